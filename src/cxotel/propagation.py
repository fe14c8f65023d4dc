"""Carrying the call's context from one participant to the next.

One codec each way, over OpenTelemetry's own W3C propagator: `inject` writes, `extract` reads. A context
that one of us made has the tracestate member `cx`. Bad or oversized values never raise: they are counted
(`bad_carrier`) and the next way of joining is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import SpanContext, TraceState

from cxotel import _guard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
MEMBER = "cx"
"""Tracestate member of a context that one of us made."""
_MEMBER_VALUE = "1"
_MOST_MEMBERS = 32  # W3C Trace Context 3.3.1.1
# Version 00 has 55 characters; later versions may append fields (W3C Trace Context 3.2.4).
_LONGEST_TRACEPARENT = 256
# 512 must be carried (W3C Trace Context 3.3.1.5); 16 times that is a mistake or an attack.
_LONGEST_TRACESTATE = 8192
_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Carrier:
    """How a context is written into one kind of carrier: the names of its two fields.

    Attributes:
        traceparent: names that the traceparent is written under; read in this order, without regard to case.
        tracestate: likewise.
    """

    traceparent: tuple[str, ...]
    tracestate: tuple[str, ...]


CARRIERS: dict[str, Carrier] = {
    # Any str -> str mapping: HTTP headers, participant data, room metadata.
    "mapping": Carrier(("traceparent",), ("tracestate",)),
    # SIP INVITE and REFER. Jigasi reads both; X- headers survive more intermediaries.
    "sip": Carrier(("Traceparent", "X-Traceparent"), ("Tracestate",)),
}
"""Every carrier by its name."""


def is_ours(context: SpanContext) -> bool:
    """Whether one of us made the context: its tracestate has the member `cx`."""
    return MEMBER in context.trace_state


def marked(state: TraceState | None) -> TraceState:
    """The tracestate with our member in front, within W3C's limit of 32 members."""
    others = [] if state is None else [item for item in state.items() if item[0] != MEMBER]
    return TraceState([(MEMBER, _MEMBER_VALUE), *others[: _MOST_MEMBERS - 1]])


def inject(
    carrier: MutableMapping[str, str], *, context: Context | None = None, form: str = "mapping"
) -> None:
    """Write the context (default: the current one) into any mutable str -> str mapping.

    `form` is a name of `CARRIERS`: `mapping`, or `sip` for the header fields of an INVITE or REFER. Never
    raises; an invalid context writes nothing.
    """
    with _guard.swallow("propagation inject"):
        names = CARRIERS.get(form) if isinstance(form, str) else None
        if names is None:
            hint = f"form {_guard.shown(form)} is none of {', '.join(CARRIERS)}"
            _guard.count(_guard.BAD_CARRIER, hint=hint)
            return
        fields: dict[str, str] = {}
        _PROPAGATOR.inject(fields, context=context)
        written = [(name, fields.get(TRACEPARENT)) for name in names.traceparent]
        written += [(name, fields.get(TRACESTATE)) for name in names.tracestate]
        for name, value in written:
            if value:
                try:
                    carrier[name] = value
                except Exception:  # noqa: BLE001 (the host's mapping may refuse with anything)
                    _guard.count(
                        _guard.BAD_CARRIER, hint=f"carrier: cannot write {name} into {type(carrier).__name__}"
                    )
                    return


def extract(carrier: Mapping[str, Any] | None) -> SpanContext | None:
    """The context in any mapping of str to str (or to lists of str, as some frameworks have headers).

    Every form of `CARRIERS` is read. Names are compared without regard to case. Never raises; None where
    there is none or it cannot be read.
    """
    if carrier is None:
        return None
    try:
        return _read(carrier)
    except Exception:  # noqa: BLE001 (the host's mapping may raise anything)
        _guard.count(
            _guard.BAD_CARRIER, hint=f"carrier: cannot read {type(carrier).__name__}, give a mapping"
        )
        return None


def _read(carrier: Mapping[str, Any]) -> SpanContext | None:
    fields = dict(_fields(carrier))
    state = _first(fields, "tracestate", _LONGEST_TRACESTATE)
    for parent in _all(fields, "traceparent", _LONGEST_TRACEPARENT):
        context = _parse(parent, state)
        if context is not None:
            return context
        _guard.count(_guard.BAD_CARRIER)
    return None


_READ: dict[str, dict[str, int]] = {
    field: {
        name.lower(): place
        for place, name in enumerate(
            dict.fromkeys(name for one in CARRIERS.values() for name in getattr(one, field))
        )
    }
    for field in ("traceparent", "tracestate")
}
_KNOWN = frozenset(name for places in _READ.values() for name in places)


def _fields(carrier: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in carrier:
        if isinstance(key, str) and (name := key.lower()) in _KNOWN:
            yield name, carrier[key]


def _all(fields: dict[str, Any], field: str, longest: int) -> Iterator[str]:
    for name in _READ[field]:
        value = fields.get(name)
        if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
            value = ",".join(value)  # as HTTP joins repeated fields; two traceparents do not parse
        if value is None:
            continue
        if isinstance(value, str) and len(value) <= longest:
            yield value.strip()
        else:
            _guard.count(_guard.BAD_CARRIER)


def _first(fields: dict[str, Any], field: str, longest: int) -> str | None:
    return next(_all(fields, field, longest), None)


def _parse(parent: str, state: str | None) -> SpanContext | None:
    fields = {TRACEPARENT: parent} | ({TRACESTATE: state} if state else {})
    try:
        context = trace.get_current_span(_PROPAGATOR.extract(fields, context=Context())).get_span_context()
    except Exception:  # noqa: BLE001 (whatever a hostile header makes the parser raise)
        return None
    return context if context.is_valid else None
