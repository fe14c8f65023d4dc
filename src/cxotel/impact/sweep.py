"""The call cut at every edge: pieces within which everything is constant."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

from cxotel._semconv import CxActivity, CxCallOutcome
from cxotel.impact.effects import Effect, Resolver, effect_of
from cxotel.impact.intervals import Instants, clip
from cxotel.impact.quality import Judge, Quality
from cxotel.impact.worst import Worst

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.impact.call import Call, Wait
    from cxotel.impact.facts import Facts, Figures

Key = tuple[Effect, ...]
"""What the legs that count do; equal windows of a leg have one effect, so that equal cells are found."""


@dataclass(slots=True, eq=False)
class Rework:
    """What a dropped, failed or abandoned call has to spend again.

    Attributes:
        outcome: its name.
        layer: who is charged.
        span: the span that says so, None for none.
        instants: what is to be spent again.
    """

    outcome: str
    layer: str
    span: Facts | None
    instants: Instants


@dataclass(frozen=True, slots=True)
class Waited:
    """Waits of one layer and activity at one instant: how many, and the longest."""

    layer: str
    activity: str
    count: int
    longest: Wait


class _Waiting:
    """The waits that are lost at a moment, kept so that many at once cost little."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._heaps: dict[tuple[str, str], list[tuple[int, int, str, int, Wait]]] = {}
        self._ended: set[int] = set()
        self._on: set[int] = set()

    def toggle(self, index: int, wait: Wait) -> None:
        """Begins the wait of this index, or ends it."""
        key = (wait.layer, wait.activity)
        heap = self._heaps.setdefault(key, [])
        if index in self._on:
            self._on.remove(index)
            self._ended.add(index)
            self._counts[key] -= 1
            while heap and heap[0][3] in self._ended:
                self._ended.remove(heappop(heap)[3])
        else:
            # A handoff's tail may begin again after a queue: its entry may still be in the heap.
            self._on.add(index)
            self._counts[key] = self._counts.get(key, 0) + 1
            if index in self._ended:
                self._ended.remove(index)
            else:
                heappush(heap, (wait.start - wait.end, wait.start, wait.span.span_id, index, wait))

    def charged(self) -> list[Waited]:
        """What is charged now; a hold yields to any other wait."""
        waited = [Waited(*key, count, self._heaps[key][0][4]) for key, count in self._counts.items() if count]
        return [one for one in waited if one.activity != CxActivity.HOLD] or waited


@dataclass(slots=True, eq=False)
class Segment:
    """Constant activity.

    Attributes:
        start: nanoseconds.
        end: nanoseconds.
        waits: lost waits here by layer and activity, holds already yielding.
        talking: inside the conversation.
        is_ai: a converse of the voice AI lasts.
        staffed: inside talk or hold.
        handoffs: handoffs that make this instant to be repeated, by start.
        reworked: lost with the outcome.
    """

    start: int
    end: int
    waits: list[Waited]
    talking: bool
    is_ai: bool
    staffed: bool
    handoffs: list[Facts]
    reworked: bool


Piece = tuple[int, int, Segment, Quality | None]
"""Start, end, constant activity and constant figures; quality is None where nothing is measured or counts."""


def rework_of(call: Call) -> Rework | None:
    """What the call's outcome makes lost; None for nothing."""
    outcome = call.outcome
    if outcome in (CxCallOutcome.DROPPED, CxCallOutcome.FAILED):
        span = call.broken_by()
        layer = call.blamed_layer(span) if span else "unobserved"
        whole = clip([(call.start, call.end)], call.start, call.end)
        instants = call.conversation if outcome == CxCallOutcome.DROPPED else whole
        return Rework(outcome, layer, span or call.root, instants)
    if outcome == CxCallOutcome.ABANDONED:
        wait = call.left_in()
        if wait and wait.end - wait.start >= call.parameters.nanoseconds("abandon.short"):
            instants = clip([(wait.start, wait.end)], call.start, call.end)
            return Rework(outcome, wait.layer, wait.span, instants)
    return None


def segments(call: Call, rework: Rework | None) -> list[Segment]:
    """The call cut at the edges of conversation, talk, waits, handoffs and outcome, in order."""
    toggles: dict[int, list[tuple[str, int]]] = {call.start: [], call.end: []}
    handoffs = call.handoffs()

    def toggle(name: str, index: int, instants: Instants) -> None:
        for start, end in instants:
            toggles.setdefault(start, []).append((name, index))
            toggles.setdefault(end, []).append((name, index))

    toggle("talking", 0, call.conversation)
    toggle("ai", 0, call.voice_ai)
    toggle("staffed", 0, call.staffed)
    for index, wait in enumerate(call.waits):
        toggle("wait", index, wait.tail)
    for index, (_, instants) in enumerate(handoffs):
        toggle("handoff", index, instants)
    if rework:
        toggle("rework", 0, rework.instants)
    waiting = _Waiting()
    on: dict[str, set[int]] = {name: set() for name in ("talking", "ai", "staffed", "handoff", "rework")}
    found: list[Segment] = []
    times = sorted(toggles)
    for start, end in pairwise(times):
        for name, index in toggles[start]:
            if name == "wait":
                waiting.toggle(index, call.waits[index])
            else:
                on[name] ^= {index}
        found.append(
            Segment(
                start,
                end,
                waiting.charged(),
                bool(on["talking"]),
                bool(on["ai"]),
                bool(on["staffed"]),
                [handoffs[index][0] for index in sorted(on["handoff"])] if on["handoff"] else [],
                bool(on["rework"]),
            )
        )
    return found


def cells(call: Call, legs: list[Facts], worst: Worst | None) -> Iterator[tuple[int, int, Key]]:
    """The call cut at the edges of all windows, equal ones joined; `worst` picks the legs, None takes all."""
    changes: list[tuple[int, int, Effect | None]] = []
    for index, span in enumerate(legs):
        leg = span.leg
        if leg is None:
            continue
        effects: dict[Figures, Effect] = {}
        last = None
        for start, end, figures in leg.runs:
            low, high = max(start, call.start), min(end, call.end)
            if low >= high:
                continue
            if last is not None and last != low:
                changes.append((last, index, None))
            effect = effects.get(figures)
            if effect is None:
                effect = effects[figures] = effect_of(span, leg, figures)
            changes.append((low, index, effect))
            last = high
        if last is not None:
            changes.append((last, index, None))
    changes.sort(key=itemgetter(0, 1))
    active: dict[int, Effect] = {}
    at = call.start
    for time, index, change in changes:
        if time > at:
            yield at, time, worst.effects() if worst else tuple(active.values())
            at = time
        if worst:
            worst.change(index, change)
        elif change is None:
            active.pop(index, None)
        else:
            active[index] = change
    if at < call.end:
        yield at, call.end, worst.effects() if worst else tuple(active.values())


def pieces(call: Call, rework: Rework | None, *, everywhere: bool = False) -> Iterator[Piece]:
    """The call in pieces, in order.

    Args:
        call: the call.
        rework: what its outcome makes lost.
        everywhere: judge quality outside the conversation and inside lost waits too, for showing.
    """
    legs = [span for span in call.spans if span.leg and span.leg.runs]
    judge = Judge(
        bpl=call.parameters["quality.bpl"],
        satisfied_r=call.parameters["quality.satisfied_r"],
        dead=call.parameters["quality.dead"],
    )
    # Without path legs, and never two legs of a layer at one instant, legs are layers.
    resolver, worst = (None, None) if _is_plain(legs) else (Resolver(call.gone_through), Worst())
    known: dict[tuple[Key, bool], Quality] = {}
    waiting_cells = cells(call, legs, worst)
    start, end, key = next(waiting_cells, (call.start, call.end, ()))
    for segment in segments(call, rework):
        if not legs or not (everywhere or (segment.talking and not segment.waits)):
            yield segment.start, segment.end, segment, None
            continue
        while end <= segment.start:
            start, end, key = next(waiting_cells)
        while True:
            low = max(segment.start, start)
            high = min(segment.end, end)
            if low < high:
                quality = None
                if key:
                    quality = known.get((key, segment.is_ai))
                    if quality is None:
                        effects = resolver.resolve(key, is_ai=segment.is_ai) if resolver else key
                        quality = known[key, segment.is_ai] = judge.judge(effects)
                yield low, high, segment, quality
            if end >= segment.end:
                break
            start, end, key = next(waiting_cells)


def _is_plain(legs: list[Facts]) -> bool:
    """Whether no path leg is there and no layer has two legs at one instant."""
    ends: dict[str, int] = {}
    for span in legs:
        leg = span.leg
        if leg is None or leg.is_path or ends.get(leg.layer, 0) > leg.runs[0][0]:
            return False
        ends[leg.layer] = leg.runs[-1][1]
    return True
