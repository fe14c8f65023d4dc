"""The call: its trace, its root span, and everything that is started in it."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace

from cxotel import _clock, _guard, _runtime, _values, propagation
from cxotel import _semconv as names
from cxotel._handle import Handle
from cxotel._semconv import (
    CxActivity,
    CxCallDirection,
    CxCallEndedBy,
    CxCallMedium,
    CxCallOutcome,
    CxLayer,
    CxMediaScope,
)
from cxotel.activity import KINDS, Activity, Handoff, Kind, Lookup
from cxotel.ids import planned
from cxotel.joining import Joined, join, usable_keys
from cxotel.leg import NAMES, WINDOW, Leg, usable_window
from cxotel.media.roles import ROLES
from cxotel.media_session import MediaSession
from cxotel.stamping import with_stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

_H = TypeVar("_H", bound=Handle)

STAMPED = (
    names.CX_CALL_ID,
    names.CX_CALL_NAMESPACE,
    names.CX_QUEUE_NAME,
    names.CX_SITE,
    names.CX_PARTNER,
    names.CX_CUSTOMER_REF,
)
"""Attributes of the call that every span in its context carries."""
_CHARGEABLE = CxLayer.VALUES[1:-1]


class Call(Handle):
    """One contact-centre call: from `start_call` (its owner, who exports the root) or `join_call` (everyone else).

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
        self._stamp = stamp
        self._links = joined.links
        self._aliases = joined.aliases
        self._children: dict[int, Handle] = {}
        self._facts: dict[str, AttributeValue] = {}
        parent = trace.NonRecordingSpan(joined.parent)
        base = with_stamp(stamp)
        super().__init__(parent, trace.set_span_in_context(parent, base), _clock.now())

    def start_leg(
        self,
        layer: str,
        *,
        name: str | None = None,
        activity: str | None = CxActivity.CONVERSE,
        owner: str | None = None,
        window: float = WINDOW,
        scope: str | None = None,
        parent: Handle | Context | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
    ) -> Leg:
        """Start one hop of the call's audio.

        Args:
            layer: carrier, ccaas, agent_network, endpoint or voice_ai.
            name: span name; by default the layer's (`carrier leg`, `agent network`, ...).
            activity: what goes on over it; None for a leg that does not speak for the conversation.
            owner: who can fix it ("Acme Telecom").
            window: length of a window, seconds.
            scope: `hop` (default), or `path` if the figures hold for the whole way from the speaker to here.
            parent: what it is part of; by default the current span if it is of this call, else the call.
            attributes: more attributes, by their full names.
            start_time: when it began, integer nanoseconds since the epoch; by default now.
        """
        length = usable_window(window)
        own: dict[str, Any] = {names.CX_JOIN_METHOD: self.join_method, names.CX_MEDIA_WINDOW: length}
        if good := _values.member(scope, CxMediaScope.VALUES, "scope"):
            own[names.CX_MEDIA_SCOPE] = good
        kind = Kind(layer, name or NAMES.get(layer, "media leg") if isinstance(layer, str) else "media leg")
        span_attributes = self._attributes(kind, activity, owner, attributes, own)
        below = self._below(parent)
        started = _values.time_ns(start_time, "start_time") or _clock.now()
        span = _runtime.start_span(
            kind.name, span_attributes, below, start_time=started, links=self._take_links()
        )
        leg = Leg(
            span,
            trace.set_span_in_context(span, below),
            started,
            name=kind.name,
            window=length,
            attributes=span_attributes,
            parent=below,
            on_end=self._forget,
        )
        return self._remember(leg)

    def start_media(
        self,
        role: str,
        *,
        owner: str | None = None,
        window: float = WINDOW,
        parent: Handle | Context | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
    ) -> MediaSession:
        """Start what a party measures of its audio: two legs, by the role of the party.

        `role` is softphone, platform_agent, platform_customer, voice_ai or customer (another one is counted and
        taken as softphone). The other arguments are those of `start_leg`; `owner` is who can fix the network.
        """
        known = _values.member(role, tuple(ROLES), "role") or "softphone"
        layers = ROLES[known]
        more = {**_values.attributes(attributes), names.CX_MEDIA_ROLE: known}
        started = _values.time_ns(start_time, "start_time") or _clock.now()
        given: dict[str, Any] = {
            "window": window,
            "parent": parent,
            "attributes": more,
            "start_time": started,
        }
        network = self.start_leg(layers.network, owner=owner, **given)
        device = network if layers.device == layers.network else self.start_leg(layers.device, **given)
        return MediaSession(known, network, device)

    def start_activity(
        self,
        activity: str,
        *,
        layer: str | None = None,
        name: str | None = None,
        owner: str | None = None,
        parent: Handle | Context | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
    ) -> Activity:
        """Start what is going on: setup, ivr, queue, connect, talk, hold, transfer, wrap_up, survey, ...

        Layer and span name are the activity's usual ones unless given; the rest is as in `start_leg`.
        """
        kind = self._kind(activity, layer, name)
        return self._begin(Activity, kind, activity, owner, attributes, {}, parent, start_time)

    def start_handoff(
        self,
        from_: str,
        to: str,
        *,
        expected: Iterable[str] = (),
        owner: str | None = None,
        parent: Handle | Context | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
    ) -> Handoff:
        """Start a change of party (`voice_ai` to `agent`, agent to agent): from one's leaving to the next one's first audio.

        `expected` are names of the facts that the next party should get; say with `deliver` which arrived.
        """
        own = _values.attributes({names.CX_HANDOFF_FROM: from_, names.CX_HANDOFF_TO: to})
        kind = KINDS[CxActivity.HANDOFF]
        handoff = self._begin(Handoff, kind, CxActivity.HANDOFF, owner, attributes, own, parent, start_time)
        handoff.expect(expected)
        return handoff

    def start_lookup(
        self,
        system: str,
        operation: str,
        *,
        waiting: bool | None = None,
        owner: str | None = None,
        parent: Handle | Context | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
    ) -> Lookup:
        """Start a look into customer records (`"salesforce", "find_customer"`); `waiting` says if anyone waits for it."""
        own = _values.attributes(
            {names.CX_CRM_SYSTEM: system, names.CX_CRM_OPERATION: operation, names.CX_CRM_WAITING: waiting}
        )
        kind = KINDS[CxActivity.LOOKUP]
        return self._begin(Lookup, kind, CxActivity.LOOKUP, owner, attributes, own, parent, start_time)

    def start_response(
        self,
        *,
        owner: str | None = None,
        parent: Handle | Context | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
    ) -> Activity:
        """Start an AI's response: from the end of the customer's speech to the first audio of the AI."""
        kind = KINDS[CxActivity.RESPOND]
        return self._begin(Activity, kind, CxActivity.RESPOND, owner, attributes, {}, parent, start_time)

    def inject(self, carrier: MutableMapping[str, str], *, form: str = "mapping") -> None:
        """Write the call's context into a str -> str mapping for the next participant; see `propagation.inject`.

        Inside a block of a leg or activity of this call, that one's context is written.
        """
        propagation.inject(carrier, context=self._below(None), form=form)

    def set(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes of the call, by their full names.

        Queue, site, partner and customer reference go to every span started from now on; the rest to the root.
        """
        with _guard.swallow("call attributes"):
            if self._usable():
                good = _values.attributes(attributes)
                self._stamp.update({key: value for key, value in good.items() if key in STAMPED[2:]})
                self._set(good)

    def add_alias(self, *keys: str) -> None:
        """Say that other keys of the same namespace mean this call: a B2BUA's second Call-ID, a CCaaS record's."""
        with _guard.swallow("call alias"):
            if self._usable():
                self._aliases = tuple(dict.fromkeys((*self._aliases, *usable_keys(keys))))
                alias: dict[str, AttributeValue] = {names.CX_CALL_ALIAS: list(self._aliases)}
                for handle in (self, *self._children.values()) if self._aliases else ():
                    handle._set(alias)

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
        self, joined: Joined, facts: dict[str, AttributeValue], extra: Any, start_time: int | None
    ) -> None:
        """Start the root span with the ids that everyone computes, and announce the call."""
        self._facts = facts
        self._started = _values.time_ns(start_time, "start_time") or _clock.now()
        attributes: dict[str, AttributeValue] = {
            **_values.attributes(extra),
            **self._stamp,
            **facts,
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
                f"call {facts[names.CX_CALL_DIRECTION]}",
                attributes,
                trace.set_span_in_context(below, base),
                start_time=self._started,
                links=self._take_links(),
            )
        if (
            span.get_span_context().span_id != joined.root.span_id
        ):  # no SDK: nothing is recorded, the context holds
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
        attributes = {**self._stamp, **self._facts, names.CX_LAYER: CxLayer.CALL}
        span = _runtime.start_span("call started", attributes, self._context, start_time=self._started)
        _runtime.end_span(span, self._started)
        _runtime.emit(
            names.EVENT_CX_CALL_STARTED, {**self._stamp, **self._facts}, self._context, self._started
        )

    def _before_end(self, error: BaseException | str | None, at: int) -> None:
        for child in tuple(self._children.values())[::-1]:
            _guard.count(_guard.LEFT_OPEN)
            child._finish(None, at, again=True)
        self._set(dict(self._facts))

    def _end(self, at: int) -> None:
        if self.is_owner:
            super()._end(at)
            _runtime.emit(names.EVENT_CX_CALL_ENDED, {**self._stamp, **self._facts}, self._context, at)

    # What is started in it

    def _kind(self, activity: Any, layer: str | None, name: str | None) -> Kind:
        usual = KINDS.get(activity) if isinstance(activity, str) else None
        if usual is None:
            _values.member(activity, CxActivity.VALUES, "activity")
            usual = Kind(CxLayer.CCAAS, "activity")
        return Kind(layer or usual.layer, _values.text(name) or usual.name)

    def _attributes(
        self, kind: Kind, activity: Any, owner: Any, extra: Any, own: Mapping[str, Any]
    ) -> dict[str, AttributeValue]:
        # What the model reads stands last: a limit on attributes per span drops the first ones.
        attributes = _values.attributes(extra) if extra else {}
        attributes.update(self._stamp)
        attributes.update(own)
        if self._aliases and not self.is_owner:
            attributes[names.CX_CALL_ALIAS] = list(self._aliases)
        if owner is not None and (good := _values.attribute(names.CX_OWNER, owner)) is not None:
            attributes[names.CX_OWNER] = good
        if activity in CxActivity.VALUES:
            attributes[names.CX_ACTIVITY] = activity
        if kind.layer in CxLayer.VALUES:
            attributes[names.CX_LAYER] = kind.layer
        else:
            _values.member(kind.layer, _CHARGEABLE, "layer")
        return attributes

    def _begin(
        self,
        make: type[_H],
        kind: Kind,
        activity: str,
        owner: str | None,
        extra: Mapping[str, AttributeValue] | None,
        own: dict[str, AttributeValue],
        parent: Handle | Context | None,
        start_time: int | None,
    ) -> _H:
        below = self._below(parent)
        started = _values.time_ns(start_time, "start_time") or _clock.now()
        attributes = self._attributes(kind, activity, owner, extra, own)
        span = _runtime.start_span(kind.name, attributes, below, start_time=started, links=self._take_links())
        return self._remember(make(span, trace.set_span_in_context(span, below), started, self._forget))

    def _below(self, parent: Handle | Context | None) -> Context:
        """The context to start in: the given parent's, else the current one if it is of this call, else the call's."""
        if isinstance(parent, Handle):
            return parent.context
        if isinstance(parent, otel_context.Context):
            return parent
        if parent is not None:
            _guard.count(
                _guard.BAD_VALUE, hint=f"parent: give a handle or a context, not a {type(parent).__name__}"
            )
        current = trace.get_current_span().get_span_context()
        mine = trace.get_current_span(self._context).get_span_context()
        return otel_context.get_current() if current.trace_id == mine.trace_id else self._context

    def _take_links(self) -> tuple[trace.Link, ...]:
        links, self._links = self._links, ()
        return links

    def _remember(self, handle: _H) -> _H:
        self._children[id(handle)] = handle
        return handle

    def _forget(self, handle: Handle) -> None:
        self._children.pop(id(handle), None)


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
    """Start a call as its owner (IVR, CCaaS adapter, softphone in a two-party call), who exports the root span.

    Never raises. A key that cannot be used is counted, and the call gets a trace of its own.

    Args:
        key: the id that survives transfers (Amazon Connect InitialContactId, Genesys conversationId, Twilio parent
            CallSid, LiveKit room sid, SIP Call-ID of the first leg), verbatim. None for a call that has none.
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
    tenant = _namespace(namespace)
    joined = join(key, tenant, carrier, aliases, owner=True)
    stamp = _stamp(joined, tenant, queue, site, partner, customer)
    call = Call(joined, tenant, owner=True, stamp=stamp)
    facts: dict[str, AttributeValue] = {
        names.CX_CALL_DIRECTION: _values.member(direction, CxCallDirection.VALUES, "direction")
        or CxCallDirection.INBOUND
    }
    if good := _values.member(medium, CxCallMedium.VALUES, "medium"):
        facts[names.CX_CALL_MEDIUM] = good
    call._open_root(joined, facts, attributes, start_time)  # noqa: SLF001 (the other half of making a call)
    return call


def join_call(
    key: str | None = None,
    *,
    namespace: str | None = None,
    carrier: Mapping[str, Any] | None = None,
    aliases: Iterable[str] = (),
) -> Call:
    """Join a call that someone else owns; everything started in it stands below the root that the owner exports.

    Never raises. Arguments are those of `start_call`; without key and carrier the current context is joined.
    Ending it ends what this participant left open, not the call.
    """
    tenant = _namespace(namespace)
    joined = join(key, tenant, carrier, aliases, owner=False)
    return Call(joined, tenant, owner=False, stamp=_stamp(joined, tenant, None, None, None, None))


def customer_ref(customer: str) -> str | None:
    """The keyed hash that stands for a customer: HMAC-SHA256 of the value, verbatim, its first 16 bytes in hex.

    The key is `configure(customer_key=...)` or CXOTEL_CUSTOMER_KEY. None (counted) without a key, or for a value
    that is empty or no string: an unkeyed hash of a telephone number can be undone by trying them all.
    """
    if not isinstance(customer, str) or not customer:
        _guard.count(_guard.BAD_VALUE, hint="customer: give the customer's number or account as a string")
        return None
    if not _runtime.state.customer_key:
        _guard.count(
            _guard.NO_CUSTOMER_KEY, hint="customer left out: set CXOTEL_CUSTOMER_KEY to hash it with"
        )
        return None
    value = customer.encode("utf-8", "replace")
    return hmac.new(_runtime.state.customer_key, value, hashlib.sha256).hexdigest()[:32]


def pii(**values: Any) -> dict[str, AttributeValue]:
    """Attributes for personal data: `call.set(pii(phone="+15550100"))` sets `cx.pii.phone`, for redaction by name."""
    return _values.attributes({f"{names.CX_PII}.{name}": str(value) for name, value in values.items()})


def _namespace(given: Any) -> str:
    if given is None:
        return _runtime.state.namespace
    good = _values.text(given)
    if not good:
        _guard.count(_guard.BAD_VALUE, hint=f"namespace {given!r:.40}: give a string that is not empty")
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
