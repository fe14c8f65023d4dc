"""A call's time on a horizontal axis, in percent of its width."""

from __future__ import annotations

from dataclasses import dataclass

SECOND = 1_000_000_000
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
MOST_TICKS = 9


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark at a round time. `minor` ones give way on a narrow page."""

    x: str
    at: int
    anchor: str
    minor: bool


@dataclass(frozen=True, slots=True)
class Axis:
    """The interval [start, end) in ns drawn over the whole width; 0 to 0 where no time is known."""

    start: int
    end: int

    @property
    def known(self) -> bool:
        """Whether there is any time to draw."""
        return self.start > 0

    @property
    def length(self) -> int:
        """Nanoseconds, at least 1."""
        return max(1, self.end - self.start)

    def share(self, at: int) -> float:
        """Where a time is, 0 to 1; times outside are at the edge."""
        return min(1.0, max(0.0, (at - self.start) / self.length))

    def x(self, at: int) -> str:
        """Where a time is, as SVG has it."""
        return percent(self.share(at))

    def width(self, start: int, end: int) -> str:
        """How wide an interval is, as SVG has it."""
        return percent(max(0.0, self.share(end) - self.share(start)))

    def ticks(self) -> list[Tick]:
        """Round clock times, at most MOST_TICKS."""
        step = next((s for s in STEPS if self.length / (s * SECOND) <= MOST_TICKS), 0) * SECOND
        if not step:
            return []
        first = -(-self.start // step) * step
        found = []
        for number, at in enumerate(range(first, self.end + 1, step)):
            share = self.share(at)
            # Half a label is 27 px, and the narrowest axis has 325 px.
            anchor = "start" if share < 0.085 else "end" if share > 0.915 else "middle"
            found.append(Tick(percent(share), at, anchor, bool(number % 2)))
        return found


def percent(share: float) -> str:
    """0.25 as 25%."""
    return f"{share * 100:.3f}".rstrip("0").rstrip(".") + "%"
