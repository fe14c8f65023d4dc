"""The call that the facts tell of: its interval, its conversation, its waits, what it went through."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cxotel._semconv import CxActivity, CxCallMedium, CxLayer
from cxotel.impact.intervals import Instants, clip, minus, union
from cxotel.impact.layers import CHARGEABLE, PATH_ORDER, RANK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cxotel.impact.facts import Facts
    from cxotel.impact.parameters import Parameters

# Not conversation, though a leg may be up (impact model, section 0).
BEFORE_TALK = frozenset((CxActivity.SETUP, CxActivity.IVR, CxActivity.QUEUE, CxActivity.CONNECT))
# A span of these that lies far outside the call means a wrong clock or a key used twice.
PLACED = BEFORE_TALK | {
    CxActivity.TALK,
    CxActivity.CONVERSE,
    CxActivity.RESPOND,
    CxActivity.HOLD,
    CxActivity.HANDOFF,
}
FIGURES_NEEDED = frozenset((CxLayer.CARRIER, CxLayer.AGENT_NETWORK, CxLayer.ENDPOINT, CxLayer.VOICE_AI))
_CHARGEABLE = frozenset(CHARGEABLE)


@dataclass(slots=True, eq=False)
class Wait:
    """A span's wait.

    Attributes:
        span: the span.
        activity: what was waited for.
        layer: who is charged.
        start: nanoseconds.
        end: nanoseconds, by `cx.wait.seconds` where given.
        tail: lost instants beyond the allowance, in the call.
    """

    span: Facts
    activity: str
    layer: str
    start: int
    end: int
    tail: Instants


class Call:
    """One call, from the facts of all its spans (copies settled, order of no matter)."""

    def __init__(self, spans: Iterable[Facts], skipped: int, parameters: Parameters) -> None:
        """Reads the facts.

        Args:
            spans: facts, one for each span.
            skipped: spans that were not readable at all.
            parameters: the model's parameters.
        """
        self.parameters = parameters
        self.spans: Sequence[Facts] = sorted(spans, key=lambda one: (one.start, one.span_id, one.trace_id))
        roots = [one for one in self.spans if one.is_root]
        self.root = roots[0] if roots else None
        self.start, self.end = self._interval()
        self.skipped = skipped + sum(one.skipped for one in self.spans)
        if self.root:
            self.skipped += self.root.root_skipped
        self._read_activities()
        self.waits = self._waits()

    @property
    def outcome(self) -> str:
        """How it ended, "" if nobody said."""
        return self.root.outcome if self.root else ""

    def _interval(self) -> tuple[int, int]:
        if self.root is None:
            layered = [one for one in self.spans if one.layer]
            if not layered:
                return 0, 0
            return layered[0].start, max(one.end for one in layered)
        start = self.root.start
        earliest = start - self.parameters.nanoseconds("call.setup_before")
        for one in self.spans:
            if one.activity == CxActivity.SETUP and earliest <= one.start < start:
                start = one.start
                break  # in order of start
        return start, self.root.end

    def _read_activities(self) -> None:
        by_activity: dict[str, list[Facts]] = {}
        for one in self.spans:
            if one.activity:
                by_activity.setdefault(one.activity, []).append(one)
        self._by_activity = by_activity
        before = self._instants(*BEFORE_TALK)
        converse = self._instants(CxActivity.CONVERSE)
        self.talk = self._instants(CxActivity.TALK)
        self.hold = self._instants(CxActivity.HOLD)
        self.voice_ai = self._clip(
            one for one in by_activity.get(CxActivity.CONVERSE, ()) if one.layer == CxLayer.VOICE_AI
        )
        if not converse and not self.talk:
            converse = self._clip_all([(self.start, self.end)])
        spoken = union([*minus(converse, before), *self.talk, *self.voice_ai])
        self.conversation = minus(spoken, self.hold)

    def _instants(self, *activities: str) -> Instants:
        return self._clip(one for name in activities for one in self._by_activity.get(name, ()))

    def _clip(self, spans: Iterable[Facts]) -> Instants:
        return self._clip_all((one.start, one.end) for one in spans)

    def _clip_all(self, intervals: Iterable[tuple[int, int]]) -> Instants:
        return union(clip(intervals, self.start, self.end))

    @cached_property
    def staffed(self) -> Instants:
        """Instants inside talk or hold: an agent's time."""
        return union([*self.talk, *self.hold])

    def _waits(self) -> list[Wait]:
        """Every wait; tails are what the people lost of it before holds yield."""
        waits: list[Wait] = []
        for activity in self.parameters.allowances:
            for one in self._by_activity.get(activity, ()):
                if activity == CxActivity.LOOKUP and one.crm_waiting is False:
                    continue
                end = one.end if one.wait is None else one.start + one.wait
                waits.append(self._wait(one, activity, end))
        for one in self.spans:
            for activity, latency in one.latencies:
                if activity in self._by_activity:
                    continue
                if latency is None:
                    self.skipped += 1
                else:
                    waits.append(self._wait(one, activity, one.start + latency))
        return waits

    def _wait(self, span: Facts, activity: str, end: int) -> Wait:
        layer = span.layer
        if activity == CxActivity.HOLD or layer not in _CHARGEABLE:
            layer = self.parameters["wait.default_layers"][activity]
        tail = clip([(span.start + self.parameters.allowances[activity], end)], self.start, self.end)
        if tail and activity == CxActivity.HANDOFF:
            tail = minus(tail, self._instants(CxActivity.QUEUE, CxActivity.CONNECT))
        elif tail and activity == CxActivity.LOOKUP and span.crm_waiting is None:
            tail = minus(tail, minus(self.talk, self.hold))
        return Wait(span, activity, layer, span.start, end, tail)

    def handoffs(self) -> list[tuple[Facts, Instants]]:
        """Handoffs that lost context, by start, each with the instants that have to be repeated for it."""
        found: list[tuple[Facts, Instants]] = []
        since = latest = self.start
        begun = None
        for one in self._by_activity.get(CxActivity.HANDOFF, ()):
            if one.start != begun:
                since, begun = latest, one.start
            latest = max(latest, one.end)
            if one.fidelity < 1.0:
                found.append((one, clip(self.conversation, since, one.start)))
        return found

    def left_in(self) -> Wait | None:
        """The queue or hold whose wait ended last, if within 10 s of the call's end."""
        grace = self.parameters.nanoseconds("call.end_grace")
        waits = [
            one
            for one in self.waits
            if one.activity in (CxActivity.QUEUE, CxActivity.HOLD) and abs(one.end - self.end) <= grace
        ]
        return min(
            waits, key=lambda one: (-one.end, RANK[one.layer], one.start, one.span.span_id), default=None
        )

    def broken_by(self) -> Facts | None:
        """The converse, setup or connect span with status Error that ended last, if near the call's end."""
        grace = self.parameters.nanoseconds("call.end_grace")
        spans = [
            one
            for name in (CxActivity.CONVERSE, CxActivity.SETUP, CxActivity.CONNECT)
            for one in self._by_activity.get(name, ())
            if one.is_error and abs(one.end - self.end) <= grace and self.blamed_layer(one) in RANK
        ]
        return min(
            spans,
            key=lambda one: (-one.end, RANK[self.blamed_layer(one)], one.start, one.span_id),
            default=None,
        )

    def blamed_layer(self, span: Facts) -> str:
        """The layer that a span names, or whose its activity is; "" for none."""
        if span.layer in _CHARGEABLE:
            return span.layer
        layer: str = self.parameters["wait.default_layers"].get(span.activity, "")
        return layer

    def outside(self) -> int:
        """Spans that lie wholly further outside the call than a clock may differ."""
        slack = self.parameters.nanoseconds("call.outside")
        return sum(
            1
            for one in self.spans
            if one.layer in _CHARGEABLE
            and one.activity in PLACED
            and (one.end < self.start - slack or one.start > self.end + slack)
        )

    def _in_call(self, start: int, end: int) -> bool:
        return start < self.end and end >= self.start

    @cached_property
    def gone_through(self) -> frozenset[str]:
        """Layers that the call went through."""
        layers = {one.layer for one in self.spans if self._in_call(one.start, one.end)}
        layers |= {one.layer for one in self.waits if self._in_call(one.start, one.end)}
        layers &= _CHARGEABLE
        layers.discard(CxLayer.AGENT)
        talk = any(self._in_call(one.start, one.end) for one in self._by_activity.get(CxActivity.TALK, ()))
        if talk or CxLayer.AGENT_NETWORK in layers or CxLayer.ENDPOINT in layers:
            layers |= {CxLayer.AGENT_NETWORK, CxLayer.ENDPOINT}
        if self.root is None or self.root.medium != CxCallMedium.WEB:
            layers.add(CxLayer.CARRIER)
        return frozenset(layers)

    @cached_property
    def unobserved(self) -> list[str]:
        """Layers that the call went through and nobody measured, in path order."""
        measured = self.gone_through - FIGURES_NEEDED
        for one in self.spans:
            runs = one.leg.runs if one.leg else ()
            if any(max(start, self.start) < min(end, self.end) for start, end, _ in runs):
                measured |= {one.layer}
        for wait in self.waits:
            if wait.activity == CxActivity.RESPOND and self._in_call(wait.start, wait.end):
                measured |= {CxLayer.VOICE_AI}
        return [layer for layer in PATH_ORDER if layer in self.gone_through - measured]
