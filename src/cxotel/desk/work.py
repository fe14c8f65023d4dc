"""How much a call gives the model to do, told from its spans before any of it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxotel.desk import traces
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.impact.facts import SERIES_KEYS
from cxotel.media.series import MAX_WINDOWS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.desk.traces import Kept

# The model cuts the call at each window's edge, rates what it hears there, and looks at every leg there: the
# first costs up to 40 times the look at one leg (25 legs of four random series of 1,000 windows took 5.3 s on
# one core, 50 took 12.3 s).
RATING = 40
# About 5 s at worst, in which no other call is judged. An hour of five legs, measured every 5 s in all four
# series, has 650,000; twelve hours of three legs, forgotten overnight, have 4,500,000.
MOST_WORK = 5_000_000


@dataclass(frozen=True, slots=True)
class Work:
    """Items of all media series of a call, and how many legs at most have any at one instant."""

    figures: int
    legs: int

    @property
    def too_much(self) -> bool:
        """Whether judging it would keep other calls waiting."""
        return self.figures * (self.legs + RATING) > MOST_WORK


def work_of(spans: Iterable[Kept]) -> Work:
    """Counts the items of the series' text, without reading them."""
    figures = 0
    edges: list[tuple[int, int]] = []
    for kept in traces.settled(spans):
        span = kept.item
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        if kept.scope.name == IMPACT_SCOPE or not 0 < start < end:
            continue
        items = sum(
            min(MAX_WINDOWS, pair.value.string_value.count(" ") + 1)
            for pair in span.attributes
            if pair.key in SERIES_KEYS
        )
        if items:
            figures += items
            edges += [(start, 1), (end, -1)]
    at_once = most = 0
    for _, step in sorted(edges):
        at_once += step
        most = max(most, at_once)
    return Work(figures, most)
