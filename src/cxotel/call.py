"""The call: its trace, its root span, and everything that is started in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from cxotel import _clock, _guard, _runtime, _values, propagation
from cxotel import _semconv as names
from cxotel._semconv import CxCallDirection, CxCallEndedBy, CxCallMedium, CxCallOutcome, CxLayer
from cxotel._starting import Starter
from cxotel.customer import customer_ref
from cxotel.ids import planned
from cxotel.joining import Joined, apart, join, usable_keys
from cxotel.stamping import Stamp, with_stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    from opentelemetry.util.types import AttributeValue

STAMPED = (
    names.CX_CALL_ID,
    names.CX_CALL_NAMESPACE,
    names.CX_QUEUE_NAME,
    names.CX_SITE,
    names.CX_PARTNER,
    names.CX_CUSTOMER_REF,
)
"""Attributes of the call that every span in its context carries."""


class Call(Starter):
    """One contact-centre call: from `start_call` (its owner exports the root) or `join_call` (everyone else).

    Attributes:
        key: the call key; None where this participant does not know it.
        namespace: tenant or instance that the key belongs to.
        is_owner: whether this participant exports the root span.
        join_method: how it came into the trace, one of `traceparent`, `call_key`, `foreign`, `alias`, `none`.
    """

    def __init__(
        self, joined: Joined, namespace: str, *, owner: bool, stamp: dict[str, AttributeValue]
    ) -> None:
        self.key = joined.key
        self.namespace = namespace
        self.is_owner = owner
        self.join_method = joined.method
        self._stamp = Stamp(stamp)
        self._links = joined.links
        self._aliases = joined.aliases
        self._children = {}
        self._sessions = []
        self._facts: dict[str, AttributeValue] = {}
        parent = trace.NonRecordingSpan(joined.parent)
        self._trace = joined.root.trace_id
        base = with_stamp(self._stamp)
        # A participant has no span here, and so no start that an end could lie before.
        super().__init__(parent, trace.set_span_in_context(parent, base), 0)

    def inject(self, carrier: MutableMapping[str, str], *, form: str = "mapping") -> None:
        """Write the call's context into a str -> str mapping for the next one; see `propagation.inject`.

        Inside a block of a leg or activity of this call, that one's context is written.
        """
        propagation.inject(carrier, context=self._below(None), form=form)

    def set(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes of the call, by their full names.

        Queue, site, partner and customer reference go to every span started from now on; the rest to the
        root.
        """
        with _guard.swallow("call attributes"):
            if self._usable():
                good = _values.attributes(attributes)
                self._stamp.update({key: value for key, value in good.items() if key in STAMPED[2:]})
                self._set(good)

    def add_alias(self, *keys: str) -> None:
        """Say that other keys of the same namespace mean this call, such as a B2BUA's second Call-ID."""
        with _guard.swallow("call alias"):
            if self._usable():
                self._aliases = tuple(dict.fromkeys((*self._aliases, *usable_keys(keys))))
                alias: dict[str, AttributeValue] = {names.CX_CALL_ALIAS: list(self._aliases)}
                for handle in (self, *self._children.values()) if self._aliases else ():
                    handle._set(alias)  # noqa: SLF001 (a handle among handles)

    def stop(
        self, *, outcome: str | None = None, ended_by: str | None = None, end_time: int | None = None
    ) -> None:
        """End the call and all that is still open in it.

        Args:
            outcome: completed, contained, transferred, abandoned, dropped or failed.
            ended_by: customer, agent, voice_ai, platform, carrier, network or unknown.
            end_time: integer nanoseconds since the epoch; by default now.
        """
        self._conclude(outcome, ended_by)
        self._finish(None, end_time)

    def fail(
        self,
        error: BaseException | str,
        *,
        outcome: str | None = None,
        ended_by: str | None = None,
        end_time: int | None = None,
    ) -> None:
        """End the call with status Error; the arguments are those of `stop`."""
        self._conclude(outcome, ended_by)
        self._finish(error, end_time)

    def _conclude(self, outcome: str | None, ended_by: str | None) -> None:
        with _guard.swallow("call outcome"):
            if not self._ended:
                good = {
                    names.CX_CALL_OUTCOME: _values.member(outcome, CxCallOutcome.VALUES, "outcome"),
                    names.CX_CALL_ENDED_BY: _values.member(ended_by, CxCallEndedBy.VALUES, "ended_by"),
                }
                self._facts.update({key: value for key, value in good.items() if value is not None})

    # The root

    def _open_root(
        self,
        joined: Joined,
        direction: str,
        facts: dict[str, AttributeValue],
        extra: Any,
        start_time: int | None,
    ) -> None:
        """Start the root span with the ids that everyone computes, and announce the call."""
        self._facts = {names.CX_CALL_DIRECTION: direction, **facts}
        self._started = _values.time_ns(start_time, "start_time") or _clock.now()
        attributes: dict[str, AttributeValue] = {
            **_values.attributes(extra),
            **self._stamp.attributes,
            **self._facts,
            names.CX_JOIN_METHOD: self.join_method,
            names.CX_LAYER: CxLayer.CALL,
        }
        if self._aliases:
            attributes[names.CX_CALL_ALIAS] = list(self._aliases)
        if _runtime.state.announce:
            attributes[names.CX_CALL_ANNOUNCED] = True
        base = with_stamp(self._stamp)
        below = trace.INVALID_SPAN if joined.incoming is None else trace.NonRecordingSpan(joined.incoming)
        with planned(joined.root):
            span = _runtime.start_span(
                f"call {direction}",
                attributes,
                trace.set_span_in_context(below, base),
                start_time=self._started,
                links=self._take_links(),
            )
        if span.get_span_context().span_id != joined.root.span_id:
            # No SDK: nothing is recorded, but the context goes on.
            span = trace.NonRecordingSpan(self._root_context(joined))
        self._span = span
        self._context = trace.set_span_in_context(span, base)
        if _runtime.state.announce:
            self._announce()

    @staticmethod
    def _root_context(joined: Joined) -> trace.SpanContext:
        parent = joined.parent
        return _runtime.span_context(
            joined.root.trace_id,
            joined.root.span_id,
            sampled=parent.trace_flags.sampled,
            state=parent.trace_state,
        )

    def _announce(self) -> None:
        attributes = {**self._said(), names.CX_LAYER: CxLayer.CALL}
        span = _runtime.start_span("call started", attributes, self._context, start_time=self._started)
        _runtime.end_span(span, self._started)
        _runtime.emit(names.EVENT_CX_CALL_STARTED, self._said(), self._context, self._started)

    def _said(self) -> dict[str, AttributeValue]:
        """What is known of the call so far."""
        return {**self._stamp.attributes, **self._facts}

    def _before_end(self, error: BaseException | str | None, at: int) -> None:
        super()._before_end(error, at)
        self._end_children(at)
        self._set(dict(self._facts))

    def _end(self, at: int) -> None:
        if self.is_owner:
            super()._end(at)
            _runtime.emit(names.EVENT_CX_CALL_ENDED, self._said(), self._context, at)


def start_call(
    key: str | None = None,
    *,
    direction: str = CxCallDirection.INBOUND,
    namespace: str | None = None,
    medium: str | None = None,
    queue: str | None = None,
    site: str | None = None,
    partner: str | None = None,
    customer: str | None = None,
    aliases: Iterable[str] = (),
    carrier: Mapping[str, Any] | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    start_time: int | None = None,
) -> Call:
    """Start a call as its owner (IVR, CCaaS adapter, softphone of a two-party call), who exports the root.

    Never raises. A key that cannot be used is counted, and the call gets a trace of its own. So does a call
    that an error of ours keeps from starting; its root is not sent.

    Args:
        key: the id that survives transfers, verbatim: Amazon Connect InitialContactId, Genesys
            conversationId, Twilio parent CallSid, LiveKit room sid, SIP Call-ID of the first leg. None for
            a call that has none.
        direction: `inbound` or `outbound`.
        namespace: tenant or instance of the key; by default CXOTEL_NAMESPACE, else `default`.
        medium: `phone` (what is taken for granted) or `web`.
        queue: queue that the call waits in.
        site: site where the agent works.
        partner: outsourcing partner that the agent works for.
        customer: number or account of the customer; only its keyed hash is sent (see `customer_ref`).
        aliases: other keys of the same namespace that mean this call.
        carrier: headers that came with the call, to join what is upstream.
        attributes: more attributes of the root, by their full names.
        start_time: when it began, integer nanoseconds since the epoch; by default now.
    """
    with _guard.swallow("start call"):
        tenant = _namespace(namespace)
        joined = join(key, tenant, carrier, aliases, owner=True)
        stamp = _stamp(joined, tenant, queue, site, partner, customer)
        call = Call(joined, tenant, owner=True, stamp=stamp)
        way = _values.member(direction, CxCallDirection.VALUES, "direction") or CxCallDirection.INBOUND
        facts: dict[str, AttributeValue] = {}
        if good := _values.member(medium, CxCallMedium.VALUES, "medium"):
            facts[names.CX_CALL_MEDIUM] = good
        call._open_root(joined, way, facts, attributes, start_time)  # noqa: SLF001 (the other half of it)
        return call
    return _apart()


def join_call(
    key: str | None = None,
    *,
    namespace: str | None = None,
    carrier: Mapping[str, Any] | None = None,
    aliases: Iterable[str] = (),
) -> Call:
    """Join a call that someone else owns; what is started in it stands below the root that they export.

    Never raises. Arguments are those of `start_call`; without key and carrier the current context is joined.
    Ending it ends what this participant left open, not the call.
    """
    with _guard.swallow("join call"):
        tenant = _namespace(namespace)
        joined = join(key, tenant, carrier, aliases, owner=False)
        return Call(joined, tenant, owner=False, stamp=_stamp(joined, tenant, None, None, None, None))
    return _apart()


def _apart() -> Call:
    """What the host goes on with where an error of ours kept its call from starting: no root is sent."""
    return Call(apart(), _runtime.state.namespace, owner=False, stamp={})


def _namespace(given: Any) -> str:
    if given is None:
        return _runtime.state.namespace
    good = _values.text(given)
    if not good:
        _guard.count(
            _guard.BAD_VALUE, hint=f"namespace {_guard.shown(given)}: give a string that is not empty"
        )
    return good or _runtime.state.namespace


def _stamp(
    joined: Joined, namespace: str, queue: Any, site: Any, partner: Any, customer: Any
) -> dict[str, AttributeValue]:
    identity = {names.CX_CALL_ID: joined.key, names.CX_CALL_NAMESPACE: namespace} if joined.key else {}
    return _values.attributes(
        {
            **identity,
            names.CX_QUEUE_NAME: queue,
            names.CX_SITE: site,
            names.CX_PARTNER: partner,
            names.CX_CUSTOMER_REF: None if customer is None else customer_ref(customer),
        }
    )
