"""Sets of instants as sorted, disjoint, half-open intervals of integer nanoseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Interval = tuple[int, int]
Instants = list[Interval]


def union(intervals: Iterable[Interval]) -> Instants:
    """Every instant that is in any of the intervals; empty ones are dropped, touching ones joined."""
    joined: Instants = []
    for start, end in sorted(intervals):
        if end <= start:
            continue
        if joined and start <= joined[-1][1]:
            if end > joined[-1][1]:
                joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def minus(instants: Instants, taken: Instants) -> Instants:
    """The instants of the first set that are not in the second."""
    if not taken:
        return instants
    left: Instants = []
    position = 0
    for start, end in instants:
        while position < len(taken) and taken[position][1] <= start:
            position += 1
        at = start
        ahead = position
        while ahead < len(taken) and taken[ahead][0] < end:
            if taken[ahead][0] > at:
                left.append((at, taken[ahead][0]))
            at = taken[ahead][1]
            ahead += 1
        if at < end:
            left.append((at, end))
    return left


def clip(instants: Iterable[Interval], start: int, end: int) -> Instants:
    """The part of each interval that lies in [start, end); order is kept, empty ones are dropped."""
    clipped = []
    for begun, ended in instants:
        low, high = max(begun, start), min(ended, end)
        if low < high:
            clipped.append((low, high))
    return clipped


def length(instants: Instants) -> int:
    """Nanoseconds in the set."""
    return sum(end - start for start, end in instants)
