"""A reference playout buffer: what a good receiver would have made of these arrivals.

Jitter is the network's. What this buffer too would have thrown away as too late, and the delay that it
needs, are charged to the network; only what a real receiver does worse is its own.

The delay is that of Ramjee, Kurose, Towsley and Schulzrinne, "Adaptive playout mechanisms for packetized
audio applications in wide-area networks" (INFOCOM 1994), algorithm 4: `p + 4 v`, mean and deviation of the
transit time followed with gain 1/8, and spike detection. It is applied to every packet, not once a talkspurt,
as buffers do that stretch and shrink audio (Liang, Faerber, Girod, "Adaptive playout scheduling and loss
concealment", IEEE Transactions on Multimedia 5(4), 2003).
"""

from __future__ import annotations

GAIN = 0.125
"""Gain of mean and deviation (algorithm 4)."""
SPIKE_SECONDS = 0.1
"""A step of transit by more than this and twice the deviation is a spike (800 units of 8 kHz)."""
SPIKE_OVER_SECONDS = 63 / 8000
"""A spike is over when its slope is below this (63 units of 8 kHz in the paper)."""
LEAST_SECONDS = 0.04
"""Least wait behind the mean: two packets of 20 ms, the level that WebRTC's NetEq starts with. A reference
that waits less throws away what every real receiver plays."""
MOST_SECONDS = 0.4
"""Most delay behind the mean: beyond 400 ms one way no conversation is planned (G.114)."""
DRIFT = 50e-6
"""The floor of transit may rise so fast: two quartz clocks of +-25 ppm."""


class Floor:
    """The least of a series of transit times, letting go slowly, so that drift is not taken for delay."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._least: float | None = None
        self._at = 0.0

    def add(self, transit: float, at: float) -> float:
        """Take one transit time seen at `at` seconds; the floor, in the same (arbitrary) origin."""
        if self._least is None or transit <= self._least + DRIFT * max(0.0, at - self._at):
            self._least, self._at = transit, at
            return transit
        return self._least + DRIFT * max(0.0, at - self._at)


class ReferencePlayout:
    """Feeds on packets in order of arrival; says of each whether it came too late, and the delay."""

    def __init__(self, clock_rate: int) -> None:
        """`clock_rate` is the codec's RTP clock in Hz."""
        self._rate = clock_rate
        self._floor = Floor()
        self._mean: float | None = None
        self._deviation = LEAST_SECONDS / 4.0
        self._before = self._before_that = 0.0
        self._spike = False
        self._slope = 0.0

    def add(self, timestamp: int, arrival: float) -> tuple[bool, float]:
        """Take one packet.

        Args:
            timestamp: extended (unwrapped) RTP timestamp.
            arrival: seconds.

        Returns:
            Whether it came too late to be played, and how long after the fastest packet so far the buffer
            plays, in seconds. Without jitter that is `LEAST_SECONDS`: the path needs what goes beyond.
        """
        transit = arrival - timestamp / self._rate
        floor = self._floor.add(transit, arrival)
        if self._mean is None:
            self._mean = self._before = self._before_that = transit
        play = self._mean + min(MOST_SECONDS, max(LEAST_SECONDS, 4.0 * self._deviation))
        self._follow(transit, self._mean)
        return transit > play, max(0.0, play - floor)

    def _follow(self, transit: float, mean: float) -> None:
        rise = transit - self._before
        if not self._spike and abs(rise) > 2.0 * self._deviation + SPIKE_SECONDS:
            self._spike, self._slope = True, 0.0
        elif self._spike:
            self._slope = self._slope / 2.0 + abs(2.0 * transit - self._before - self._before_that) / 8.0
            self._spike = self._slope > SPIKE_OVER_SECONDS
        self._mean = mean + rise if self._spike else GAIN * transit + (1.0 - GAIN) * mean
        self._deviation += GAIN * (abs(transit - self._mean) - self._deviation)
        self._before_that, self._before = self._before, transit
