"""One-way delay from round trips and sender reports.

A round trip says how long both ways take together; that half of the least of them is each way's least is
the usual assumption. How the way to here changes, sender reports say: the sender's clock against ours, whose
offset is unknown but steady (but for drift, see `playout.Floor`). What was not measured is None, no guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxotel.media.playout import Floor

if TYPE_CHECKING:
    from collections.abc import Hashable

STALE_SECONDS = 15.0
"""A report not renewed for so long says nothing more: three of RTCP's nominal intervals (RFC 3550, 6.2)."""
MAX_ROUND_TRIP = 10.0
"""Seconds; more than any conversation, but what a stepped wall clock makes of a round trip."""


class _Renewed:
    """A figure that counts while its report is renewed."""

    def __init__(self) -> None:
        self.value: float | None = None
        self._mark: Hashable = None
        self._at = 0.0

    def put(self, value: float | None, mark: Hashable, at: float) -> bool:
        """Take what a report says now; whether the report is a new one."""
        renewed = mark != self._mark
        if renewed:
            self._mark, self._at = mark, at
        self.value = value if at - self._at <= STALE_SECONDS else None
        return renewed


class OneWay:
    """Delay of each direction, fed with what one party's reports say."""

    def __init__(self) -> None:
        """Nothing measured yet."""
        self._round_trip = _Renewed()
        self._transit = _Renewed()
        self._floor = Floor()
        self._least: float | None = None
        self._last_sent: float | None = None
        self._last_received = 0.0
        self._useless = False
        self.rise: float | None = None
        """Seconds that the way to here takes more than it did at best; None without sender reports."""

    def round_trip(self, seconds: float | None, mark: Hashable, at: float) -> None:
        """A round trip in seconds (None: none measured); `mark` changes with every report."""
        if seconds is not None and not 0.0 <= seconds <= MAX_ROUND_TRIP:
            seconds = None
        self._round_trip.put(seconds, mark, at)
        if seconds is not None and (self._least is None or seconds < self._least):
            self._least = seconds

    def sender_report(self, sent: float, received: float, at: float, *, is_arrival: bool = False) -> bool:
        """A report sent at `sent` (far clock), here at `received` (ours); whether it is a new one."""
        if self._last_sent == sent and self._last_received != received and not is_arrival:
            self._useless = True  # stamped when polled, not when it came: says nothing of the way
        renewed = self._transit.put(received - sent, sent, at)
        self._last_sent, self._last_received = sent, received
        if self._useless or self._transit.value is None:
            self.rise = None
        elif renewed:
            self._rise(received - sent, at)
        return renewed

    def silent(self) -> None:
        """The far side sends nothing, or may: the time of its last report need not be that of its sending."""
        self.rise = None

    def _rise(self, transit: float, at: float) -> None:
        rise = transit - self._floor.add(transit, at)
        if rise > MAX_ROUND_TRIP:  # a clock was set
            self._floor, rise = Floor(), 0.0
            self._floor.add(transit, at)
        self.rise = rise

    @property
    def to_here(self) -> float | None:
        """Seconds from the far side to here; None if no round trip is known."""
        total, least = self._round_trip.value, self._least
        if total is None or least is None:
            return None
        return total / 2.0 if self.rise is None else least / 2.0 + self.rise

    @property
    def from_here(self) -> float | None:
        """Seconds from here to the far side: what of the round trip the way to here does not take."""
        total, least, inward = self._round_trip.value, self._least, self.to_here
        if total is None or least is None or inward is None:
            return None
        return max(least / 2.0, total - inward)
