"""What a sender's reports tell of a stretch in which nothing came from it, where it is known when they came.

While reports come, they say what was sent: a gap in which nothing was sent is silence, and it is an outage
only once a report says so, or once reports stay away as well.
"""

from __future__ import annotations

from dataclasses import dataclass

_LEAST_POLLS = 2  # that found no report: the first may have come before the report could be read
_LEAST_PATIENCE, _MOST_PATIENCE = 3.0, 5.0
# Seconds without a report that say the path is cut: two of aiortc's longest intervals (0.5 to 1.5 s), and no
# more than RTCP's nominal one (RFC 3550, 6.2).


@dataclass(frozen=True, slots=True)
class Sent:
    """A report of the sender known by its arrival.

    Attributes:
        packets: sent since the report before; None if not known.
        seconds: from the arrival of the one before to that of this one.
    """

    packets: float | None
    seconds: float


class Reports:
    """When reports of the sender came, where it is known: while they come, they say what was sent."""

    def __init__(self) -> None:
        """None so far."""
        self.known = False
        self._quiet = self._longest = 0.0
        self._polls = 0
        self._in_gap = False

    def forget(self) -> None:
        """The time until now says nothing of the next ones."""
        self._quiet, self._polls, self._in_gap = 0.0, 0, False

    def step(self, seconds: float, report: Sent | None) -> None:
        """An interval in which that report came, or none."""
        self._quiet, self._polls = self._quiet + seconds, self._polls + 1
        if report is not None:
            self._quiet, self._polls, self.known = 0.0, 0, True
            self._longest = max(self._longest, report.seconds)

    def are_both_in_gap(self, *, now: bool) -> bool:
        """Whether the report of this interval and the one before it came while no packet did."""
        both, self._in_gap = now and self._in_gap, now
        return both

    @property
    def may_come(self) -> bool:
        """Whether it is too early to say that the next one is lost as well (late polls make late reports)."""
        patience = min(_MOST_PATIENCE, max(_LEAST_PATIENCE, 2.0 * self._longest))
        return self.known and (self._quiet <= patience or self._polls <= _LEAST_POLLS)
