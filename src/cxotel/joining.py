"""How a participant comes into the call's trace.

In this order: (1) an incoming context that one of us made; (2) the call key, a foreign incoming context
becoming a span link, since an SBC's or a web page's own trace must not split the call; (3) a foreign
incoming context; (4) none: a trace of its own, which an alias may join later.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext

from cxotel import _guard, _runtime, _values, propagation
from cxotel._semconv import CxJoinMethod
from cxotel.ids import DEFAULT_NAMESPACE, CallIds, call_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Joined:
    """Where a participant stands.

    Attributes:
        method: one of `CxJoinMethod`.
        key: the call key, None where it is not known.
        root: trace id and id of the root span, which its owner exports and all others compute.
        incoming: the span that this participant stands below, None for the root itself.
        links: contexts of others that the call's first span points to.
        aliases: other keys that mean this call.
    """

    method: str
    key: str | None
    root: CallIds
    incoming: SpanContext | None
    links: tuple[Link, ...]
    aliases: tuple[str, ...]

    @property
    def parent(self) -> SpanContext:
        """What the participant's spans are children of."""
        if self.incoming is not None:
            return self.incoming
        sampled = _runtime.would_sample(self.root.trace_id)
        return _runtime.span_context(self.root.trace_id, self.root.span_id, sampled=sampled)


def usable_keys(keys: Any) -> tuple[str, ...]:
    """Those keys that ids can be computed from, each once; the others are counted."""
    if keys is None:
        return ()
    given = _values.listed(keys)
    if given is None:
        hint = f"aliases: give strings that can be iterated, not {type(keys).__name__}"
        _guard.count(_guard.BAD_CALL_KEY, hint=hint)
        return ()
    return tuple(dict.fromkeys(key for key in given if ids_or_none(key, DEFAULT_NAMESPACE) is not None))


def ids_or_none(key: Any, namespace: str) -> CallIds | None:
    """Ids of the key, None (counted) for one that is empty or no string that UTF-8 can carry."""
    try:
        return call_ids(key, namespace)
    except (TypeError, ValueError) as error:
        _guard.count(_guard.BAD_CALL_KEY, hint=f"call key {_guard.shown(key)} cannot be used: {error}")
        return None


def join(
    key: Any, namespace: str, carrier: Mapping[str, Any] | None, aliases: Iterable[str], *, owner: bool
) -> Joined:
    """Where a participant with that key, carrier and aliases stands; never raises."""
    computed = None if key is None else ids_or_none(key, namespace)
    known = None if computed is None else key
    others = usable_keys(aliases)
    carried = propagation.extract(carrier)
    incoming = carried if carried is not None else _ambient()
    ours = incoming is not None and (
        propagation.is_ours(incoming) or (computed is not None and incoming.trace_id == computed.trace_id)
    )
    if incoming is not None and ours and computed is not None and incoming.trace_id == computed.trace_id:
        # The root is above the incoming span, so its owner must not put it below.
        below = None if owner else incoming
        return Joined(CxJoinMethod.TRACEPARENT, known, computed, below, (), others)
    # What is current in this process may belong to another call that is still open: it never beats a key.
    if incoming is not None and ours and (carried is not None or computed is None):
        extra = (known, *others) if known is not None else others
        root = CallIds(incoming.trace_id, computed.span_id if computed else _fresh(namespace).span_id)
        return Joined(CxJoinMethod.TRACEPARENT, known, root, incoming, (), extra)
    if computed is not None:
        links = () if incoming is None else (Link(incoming),)
        return Joined(CxJoinMethod.CALL_KEY, known, computed, None, links, others)
    if incoming is not None:
        adopted = _adopted(incoming)
        root = CallIds(adopted.trace_id, _fresh(namespace).span_id)
        return Joined(CxJoinMethod.FOREIGN, None, root, adopted, (), others)
    if others:
        return Joined(CxJoinMethod.ALIAS, None, call_ids(others[0], namespace), None, (), others)
    return Joined(CxJoinMethod.NONE, None, _fresh(namespace), None, (), ())


def apart() -> Joined:
    """A trace of its own, for a participant that nothing could be found out for; no code of the host runs."""
    root = _fresh(DEFAULT_NAMESPACE)
    # Sampled: what the host records below the call is not lost by an error of ours.
    incoming = _runtime.span_context(root.trace_id, root.span_id, sampled=True)
    return Joined(CxJoinMethod.NONE, None, root, incoming, (), ())


def _ambient() -> SpanContext | None:
    context = trace.get_current_span().get_span_context()
    return context if context.is_valid else None


def _fresh(namespace: str) -> CallIds:
    return call_ids(uuid.uuid4().hex, namespace)


def _adopted(context: SpanContext) -> SpanContext:
    """A foreign context as ours: marked, and kept even where its makers keep few of theirs."""
    sampled = context.trace_flags.sampled or _runtime.samples_every_call()
    return _runtime.span_context(
        context.trace_id, context.span_id, sampled=sampled, state=context.trace_state
    )
