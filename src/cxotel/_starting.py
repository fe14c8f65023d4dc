"""What can be started in a call: legs, media, activities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace

from cxotel import _clock, _guard, _runtime, _values
from cxotel import _semconv as names
from cxotel._handle import Handle
from cxotel._semconv import CxActivity, CxLayer, CxMediaScope
from cxotel.activity import KINDS, Activity, Handoff, Kind, Lookup
from cxotel.leg import NAMES, WINDOW, Leg, usable_window
from cxotel.media.roles import ROLES
from cxotel.media_session import MediaSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from cxotel.stamping import Stamp

_H = TypeVar("_H", bound=Handle)


class Starter(Handle):
    """A handle that other handles are started from, and that ends those which are still open when it ends."""

    is_owner: bool
    _trace: int
    join_method: str
    _stamp: Stamp
    _links: tuple[trace.Link, ...]
    _aliases: tuple[str, ...]
    _children: dict[int, Handle]
    _sessions: list[MediaSession]

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
        with _guard.swallow("start leg"):
            length = usable_window(window)
            own: dict[str, Any] = {names.CX_JOIN_METHOD: self.join_method, names.CX_MEDIA_WINDOW: length}
            if good := _values.member(scope, CxMediaScope.VALUES, "scope"):
                own[names.CX_MEDIA_SCOPE] = good
            hop = _values.text(layer) or ""
            kind = Kind(hop, _values.text(name) or NAMES.get(hop, "media leg"))
            span_attributes = self._attributes(kind, activity, owner, attributes, own)
            span, below, started = self._start_span(kind.name, span_attributes, parent, start_time)
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
        return self._unmeasured_leg()

    def start_media(
        self,
        role: str,
        *,
        owner: str | None = None,
        device_owner: str | None = None,
        window: float = WINDOW,
        parent: Handle | Context | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
    ) -> MediaSession:
        """Start what a party measures of its audio: two legs, by the role of the party.

        `role` is softphone, platform_agent, platform_customer, voice_ai or customer (another one is counted
        and taken as softphone). `owner` is who can fix the network, `device_owner` who can fix the device or
        media server; the other arguments are those of `start_leg`.
        """
        with _guard.swallow("start media"):
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
            device = network
            if layers.device != layers.network:
                device = self.start_leg(layers.device, owner=device_owner, **given)
            session = MediaSession(known, network, device)
            self._sessions.append(session)
            return session
        return MediaSession("softphone", self._unmeasured_leg(), self._unmeasured_leg())

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
        given = (activity, layer, name)
        return self._begin(Activity, given, owner, attributes, {}, parent, start_time)

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
        """Start a change of party: from the leaving of one to the first audio of the next.

        `expected` are names of the facts that the next party should get; say with `deliver` which arrived.
        """
        own = {names.CX_HANDOFF_FROM: from_, names.CX_HANDOFF_TO: to}
        given = (CxActivity.HANDOFF, None, None)
        handoff = self._begin(Handoff, given, owner, attributes, own, parent, start_time)
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
        """Start a look into customer records; `waiting` says whether anyone waits for the answer."""
        own = {
            names.CX_CRM_SYSTEM: system,
            names.CX_CRM_OPERATION: operation,
            names.CX_CRM_WAITING: waiting,
        }
        given = (CxActivity.LOOKUP, None, None)
        return self._begin(Lookup, given, owner, attributes, own, parent, start_time)

    def start_response(
        self,
        *,
        owner: str | None = None,
        parent: Handle | Context | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        start_time: int | None = None,
    ) -> Activity:
        """Start an AI's response: from the end of the customer's speech to the first audio of the AI."""
        given = (CxActivity.RESPOND, None, None)
        return self._begin(Activity, given, owner, attributes, {}, parent, start_time)

    # What is started in it

    def _kind(self, activity: Any, layer: str | None, name: str | None) -> Kind:
        usual = KINDS.get(activity) if isinstance(activity, str) else None
        if usual is None:
            _values.member(activity, CxActivity.VALUES, "activity")
            usual = Kind(CxLayer.CCAAS, "activity")
        if layer is None and name is None:
            return usual
        return Kind(_values.text(layer) or usual.layer, _values.text(name) or usual.name)

    def _attributes(
        self, kind: Kind, activity: Any, owner: Any, extra: Any, own: Mapping[str, Any]
    ) -> dict[str, AttributeValue]:
        # What the model reads stands last: a limit on attributes per span drops the first ones.
        attributes = _values.attributes(extra)
        attributes.update(self._stamp.attributes)
        attributes.update(own)
        if self._aliases and not self.is_owner:
            attributes[names.CX_CALL_ALIAS] = list(self._aliases)
        if good := _values.text(owner):
            attributes[names.CX_OWNER] = good
        elif owner is not None:
            hint = f"owner: give who can fix it as a string, not {_guard.shown(owner)}"
            _guard.count(_guard.BAD_VALUE, hint=hint)
        if isinstance(activity, str) and activity in CxActivity.VALUES:
            attributes[names.CX_ACTIVITY] = activity
        if kind.layer in CxLayer.VALUES:
            attributes[names.CX_LAYER] = kind.layer
        else:
            _values.member(kind.layer, CxLayer.VALUES[1:-1], "layer")
        return attributes

    def _begin(
        self,
        make: type[_H],
        given: tuple[str, str | None, str | None],
        owner: str | None,
        extra: Mapping[str, AttributeValue] | None,
        own: Mapping[str, Any],
        parent: Handle | Context | None,
        start_time: int | None,
    ) -> _H:
        with _guard.swallow("start activity"):
            activity, layer, name = given
            kind = self._kind(activity, layer, name)
            attributes = self._attributes(kind, activity, owner, extra, _values.attributes(own))
            span, below, started = self._start_span(kind.name, attributes, parent, start_time)
            return self._remember(make(span, trace.set_span_in_context(span, below), started, self._forget))
        return make(*self._unmeasured())

    def _start_span(
        self,
        name: str,
        attributes: Mapping[str, AttributeValue],
        parent: Handle | Context | None,
        start_time: int | None,
    ) -> tuple[trace.Span, Context, int]:
        """A started span, what it stands below, and when it began."""
        if self._ended:
            _guard.count(_guard.AFTER_END, hint=f"{name}: started after the end of its call")
        below = self._below(parent)
        started = _values.time_ns(start_time, "start_time") or _clock.now()
        span = _runtime.start_span(name, attributes, below, start_time=started, links=self._take_links())
        return span, below, started

    def _unmeasured(self) -> tuple[trace.Span, Context, int]:
        """What a handle is made of where an error of ours kept it from starting: nothing is recorded."""
        return trace.NonRecordingSpan(self.span_context), self._context, _clock.now()

    def _unmeasured_leg(self) -> Leg:
        return Leg(
            *self._unmeasured(),
            name="media leg",
            window=WINDOW,
            attributes={},
            parent=self._context,
            on_end=self._forget,
        )

    def _below(self, parent: Handle | Context | None) -> Context:
        """The given parent's context, else the current one if it is of this call, else the call's."""
        if parent is not None:
            if isinstance(parent, Handle):
                return parent.context
            if isinstance(parent, otel_context.Context):
                return parent
            _guard.count(
                _guard.BAD_VALUE, hint=f"parent: give a handle or a context, not a {type(parent).__name__}"
            )
        current = trace.get_current_span().get_span_context()
        return otel_context.get_current() if current.trace_id == self._trace else self._context

    def _take_links(self) -> tuple[trace.Link, ...]:
        links, self._links = self._links, ()
        return links

    def _remember(self, handle: _H) -> _H:
        self._children[id(handle)] = handle
        return handle

    def _forget(self, handle: Handle) -> None:
        self._children.pop(id(handle), None)

    def _end_children(self, at: int) -> None:
        for session in self._sessions:
            session.flush()  # what a reader still holds, before its legs end
        for child in tuple(self._children.values())[::-1]:
            _guard.count(_guard.LEFT_OPEN)
            at_least = max(at, child._started)  # noqa: SLF001 (a handle among handles)
            child._finish(None, at_least, again=True)  # noqa: SLF001 (likewise)
