"""Of legs that overlap, those that count."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxotel.impact.effects import Effect

Entry = tuple[float, int, str, str, int, "Effect"]
"""Negative figure, the span's start and ids as `is_worse` goes by them, number of the change, the effect."""


class Worst:
    """The legs with figures at a moment, kept so that many at once cost little.

    Of a layer's hops only the largest figure of each metric and direction counts, and so with its path legs:
    legs that have none of these change nothing in the cell.
    """

    def __init__(self) -> None:
        self._heaps: dict[tuple[str, bool, int], list[Entry]] = {}
        self._numbers: dict[int, int] = {}  # by leg, the change that holds now
        self._live: set[int] = set()
        self._changes = 0

    def change(self, index: int, effect: Effect | None) -> None:
        """What the leg of this index does from now on; None for nothing."""
        self._live.discard(self._numbers.pop(index, -1))
        if effect is None or effect.leg is None:
            return
        span, figures = effect.leg
        self._changes += 1
        self._numbers[index] = self._changes
        self._live.add(self._changes)
        is_path = bool(span.leg and span.leg.is_path)
        for place, figure in enumerate((*figures, effect.agent[2] or None, effect.customer[2] or None)):
            if figure is not None:
                heap = self._heaps.setdefault((effect.layer, is_path, place), [])
                heappush(heap, (-figure, span.start, span.span_id, span.trace_id, self._changes, effect))

    def effects(self) -> tuple[Effect, ...]:
        """The legs that have any of the largest figures."""
        found: dict[Effect, None] = {}
        for heap in self._heaps.values():
            while heap and heap[0][4] not in self._live:
                heappop(heap)
            if heap:
                found[heap[0][5]] = None
        return tuple(found)
