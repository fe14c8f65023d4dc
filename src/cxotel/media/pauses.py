"""Pauses of a sender: what is measured of its packets and frames just after one, is of the pause."""

from __future__ import annotations

SETTLE_SECONDS = 3.0
"""So long after a pause neither jitter nor what was played is a measure: a pause of an hour that time stamps
leave out adds 225 s to the jitter of RFC 3550 (1/16 of it), of which 14 ms are left 150 packets later."""
_PAUSE_SECONDS = 0.2  # audio short by more is a pause; less is a delay that nobody minds
_PAUSE_SHARE = 0.2  # the same where polls are a second apart; of shorter intervals, their noise


class Pauses:
    """Follows whether the sender sends at its pace; packets lost count as sent."""

    def __init__(self) -> None:
        """It does."""
        self._short = 0.0
        self._settles_at = 0.0

    def step(self, sent: float, pace: float, begin: float, end: float, *, silent: bool) -> bool:
        """An interval; whether the sender goes on after a pause. `silent`: its reports told of the pause."""
        due, pause = pace * (end - begin), pace * _PAUSE_SECONDS
        self._short = max(0.0, self._short + due - sent)
        if due - sent > min(pause, _PAUSE_SHARE * due):
            return False
        # Packets that were missing and come after all were late, unless the sender itself was silent.
        goes_on, self._short = silent or self._short > pause, 0.0
        if goes_on:
            self._settles_at = end + SETTLE_SECONDS
        return goes_on

    def disturb(self, at: float) -> bool:
        """Whether the interval that ends there is of a pause, or too soon after one."""
        return self._short > 0.0 or at < self._settles_at
