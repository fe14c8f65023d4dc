"""Windows where RTP packets themselves are seen coming: a tap, a media server, a receiver of one's own.

Here nothing has to be inferred from counters. The reference playout buffer says which packets came too late
and what delay the path needs; that and what never came are the network's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxotel.media.flow import DEFAULT_PACE, OUTAGE_SECONDS, Unheard
from cxotel.media.playout import LEAST_SECONDS, ReferencePlayout
from cxotel.media.rtp import JITTER_LIMIT_SECONDS, Reception, Unwrapper
from cxotel.media.windows import (
    INACTIVE,
    NO_HINTS,
    OUTAGE,
    RESET,
    SILENT,
    Hints,
    Part,
    Window,
    Windows,
    checked_window,
    is_time,
)

if TYPE_CHECKING:
    from cxotel.media.sample import Played

_MAX_GAP_PACKETS = 3000  # RFC 3550 A.1, MAX_DROPOUT: beyond it `Reception` begins anew


class ArrivalReader:
    """Reads the RTP packets of one stream of audio, in order of arrival."""

    def __init__(self, window: float = 5.0, clock_rate: int = 48000, *, start: float | None = None) -> None:
        """Begin at `start` seconds, or with the first packet; `clock_rate` is the codec's RTP clock, Hz.

        Raises:
            ValueError: `window` is not 0.1 to 1e6 seconds, or `clock_rate` is not above 0.
        """
        if clock_rate <= 0:
            raise ValueError(f"clock_rate of {clock_rate} Hz: must be above 0")
        self._length = checked_window(window)
        self._rate = clock_rate
        self._windows = None if start is None else Windows(window, start)
        self._reception = Reception(clock_rate)
        self._unwrap = Unwrapper(32)
        self._playout = ReferencePlayout(clock_rate)
        self._missing: dict[int, float] = {}
        self._highest: int | None = None
        self._last_at = 0.0
        self._transit = 0.0
        self._outage_to: float | None = None
        self._least_round_trip: float | None = None
        self._before: tuple[Played, float] | None = None
        self._unheard = Unheard()
        self._judged = 0.0

    def feed(self, sequence_number: int, timestamp: int, at: float) -> list[Window]:
        """Take one packet that arrived at `at` seconds; the windows that are complete. Never raises.

        Copies, strays and arrivals that are not later than the one before count as nothing.
        """
        if not is_time(at) or (
            self._windows is not None and self._highest is not None and at < self._last_at
        ):
            return []
        windows = self._windows = self._windows or Windows(self._length, at)
        restarts = self._reception.restarts
        number = self._reception.add(sequence_number, timestamp, at)
        if number is None:
            return windows.close(at)
        extended = self._unwrap.add(timestamp)
        transit = at - extended / self._rate
        jumped = self._highest is not None and abs(transit - self._transit) > JITTER_LIMIT_SECONDS
        if self._reception.restarts != restarts or jumped:
            windows.add_at(at, Part(flags=(RESET,)))
            self._playout = ReferencePlayout(self._rate)
            if self._reception.restarts != restarts:
                self._highest = None
                self._missing.clear()
        self._transit = transit
        self._place(number, extended, at)
        return windows.close(at)

    def idle(self, at: float, *, hints: Hints = NO_HINTS) -> list[Window]:
        """Say that it is `at` seconds, packets or not; call it about once a second.

        No packet for a second is an outage, unless the hints say that none was due.
        """
        windows = self._windows
        if windows is None or not is_time(at) or at <= self._last_at:
            return []
        if self._highest is not None:
            begin = self._outage_to if self._outage_to is not None else self._last_at
            if not hints.receiving or hints.connected is False or hints.dtx:
                flag = SILENT if hints.receiving and hints.connected is not False else INACTIVE
                windows.add(begin, at, Part(flags=(flag,)))
                self._outage_to = at
            elif at - self._last_at >= OUTAGE_SECONDS:
                windows.add(begin, at, Part(outage=DEFAULT_PACE * (at - begin), flags=(OUTAGE,)))
                self._outage_to = at
        return windows.close(at)

    def round_trip(self, seconds: float | None) -> None:
        """A round trip measured (RTCP): half of the least is the delay of the fastest packet. None: none."""
        if seconds is not None and 0.0 <= seconds <= JITTER_LIMIT_SECONDS:
            least = self._least_round_trip
            self._least_round_trip = seconds if least is None else min(seconds, least)

    def played(self, played: Played, at: float) -> None:
        """What a track handed out so far: of the audio that came, what was not played is the device's."""
        windows = self._windows
        if not is_time(at):
            return
        before, self._before = self._before, (played, at)
        if before is None or windows is None or played.rate <= 0 or played.samples <= before[0].samples:
            return
        self._unheard.add(0.0, at - before[1])
        gap = max(0, played.missing - before[0].missing) / played.rate * DEFAULT_PACE
        rest = gap - self._unheard.take(gap)
        windows.add(before[1], at, Part(judged=self._judged, unplayed=min(self._judged, rest)))
        self._judged = 0.0

    def finish(self, at: float) -> list[Window]:
        """End the stream at `at` seconds; the windows still open, the last one cut there."""
        if self._windows is None:
            return []
        return self._windows.finish(max(self._last_at, at if is_time(at) else self._last_at))

    def _place(self, number: int, extended: int, at: float) -> None:
        """One packet that belongs: count it, and those before it that have not come."""
        windows = self._windows
        if windows is None:
            return
        if self._outage_to is not None:
            windows.retract_outage(
                self._last_at, silent=False
            )  # the numbers tell better what the outage took
            self._outage_to = None
        if self._highest is not None and number > self._highest:
            self._skip(self._highest, number, at)
        self._highest = number if self._highest is None else max(self._highest, number)
        late, delay = self._playout.add(extended, at)
        expected = self._missing.pop(number, None)
        if expected is not None:
            windows.add_at(expected, Part(due=-1.0, missing=-1.0))
            self._unheard.take(1.0)
        self._unheard.add(float(late), 0.0)
        self._judged += not late
        base = self._least_round_trip
        part = Part(due=1.0, missing=float(late))
        if base is not None:
            part.network_delay = base / 2.0 + max(0.0, delay - LEAST_SECONDS)
        windows.add_at(at if expected is None else expected, part, seconds=1.0)
        self._last_at = at

    def _skip(self, before: int, number: int, at: float) -> None:
        """Packets between two that came are missing where they would have come, until they do."""
        windows, steps = self._windows, number - before
        if windows is None or steps > _MAX_GAP_PACKETS:
            return
        for step in range(1, steps):
            expected = self._last_at + (at - self._last_at) * step / steps
            self._missing[before + step] = expected
            windows.add_at(expected, Part(due=1.0, missing=1.0))
            self._unheard.add(1.0, 0.0)
        while len(self._missing) > _MAX_GAP_PACKETS:
            self._missing.pop(next(iter(self._missing)))
