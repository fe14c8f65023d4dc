"""From counters to windows: which packets never came, and what of those that came was not played.

Two kinds of evidence of what was heard exist. Concealment (browsers) is seen at once, also in an outage,
and decides how much of a loss was heard at all. Gaps in the audio handed out (aiortc) are seen later and only
once audio flows again, so loss counts when the packets failed to come, and gaps are set against it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

from cxotel.media.windows import JITTER, OUTAGE, SILENT, Part, Windows

OUTAGE_SECONDS = 1.0
"""No packet for so long is an outage: more than two refreshes of Opus DTX (400 ms), and as long as Chromium
counts a gap as loss (50 packets)."""
DEFAULT_PACE = 50.0
"""Packets a second before any were seen: 20 ms each (RFC 3551, 4.2)."""
_PACES = 9  # intervals whose median pace counts: one of them may hold a burst or a hole
_UNHEARD_SECONDS = 2.0  # a loss not heard by then was recovered; no buffer is longer in a conversation
_SILENT_SHARE = 0.2  # a sender that sent less than this share of its pace was silent, not cut off


@dataclass(frozen=True, slots=True)
class Counts:
    """What came in an interval.

    Attributes:
        received: packets.
        lost: packets more that the sequence numbers say are lost; negative where late ones or copies came.
        unplayed: seconds of audio not played (concealed, or missing between frames); None if not known.
        at_once: whether `unplayed` shows while it happens (concealment) or when audio flows again (gaps).
        dtx: whether the sender is known to stop sending in silence.
        by_jitter: whether the jitter measured explains audio that came and was not played.
    """

    received: float
    lost: float
    unplayed: float | None = None
    at_once: bool = True
    dtx: bool = False
    by_jitter: bool = False


class Unheard:
    """Losses not yet seen in what was played; they are forgotten after a while of audio flowing."""

    def __init__(self) -> None:
        """None so far."""
        self._waiting: deque[tuple[float, float]] = deque()
        self._clock = 0.0

    def add(self, packets: float, seconds: float) -> None:
        """Packets that did not come; below 0 for more than were due, which make good for earlier ones."""
        self._clock += seconds
        while self._waiting and self._clock - self._waiting[0][0] > _UNHEARD_SECONDS:
            self._waiting.popleft()
        if packets > 0.0:
            self._waiting.append((self._clock, packets))
        else:
            self.take(-packets)

    def take(self, packets: float) -> float:
        """Set `packets` not played against the losses; how many of them the losses explain."""
        left = packets
        while left > 0.0 and self._waiting:
            when, waiting = self._waiting.popleft()
            if waiting > left:
                self._waiting.appendleft((when, waiting - left))
                return packets
            left -= waiting
        return packets - left


class Flow:
    """The packets of one direction, interval by interval."""

    def __init__(self, windows: Windows, *, exact: bool) -> None:
        """`exact`: sequence numbers count outages of any length (aiortc), unlike Chromium's."""
        self._windows = windows
        self._exact = exact
        self._paces: deque[float] = deque(maxlen=_PACES)
        self._unheard = Unheard()
        self._last_lost = self._owed = 0.0
        self._gap: float | None = None
        self._counted_to = 0.0
        self._debt = 0.0
        self._silent = False

    @property
    def pace(self) -> float:
        """Packets a second that the sender sends."""
        return median(self._paces) if self._paces else DEFAULT_PACE

    def pause(self) -> None:
        """Not measured now: the direction is not negotiated, or the transport is down."""
        self._gap, self._debt, self._silent = None, 0.0, False

    def sent(self, packets: float, seconds: float) -> None:
        """A sender report: `packets` in the `seconds` since the one before. It wins over a guess."""
        was_silent, self._silent = self._silent, packets < _SILENT_SHARE * self.pace * seconds
        if self._silent and not was_silent and self._gap is not None:
            self._windows.retract_outage(self._gap)
            self._debt = 0.0

    def step(self, begin: float, end: float, counts: Counts) -> None:
        """Count an interval in which the stream could have come."""
        lost = self._newly_lost(counts.lost)
        if counts.received <= 0.0 and lost <= 0.0:
            self._empty(begin, end, counts)
        elif counts.unplayed is not None and counts.at_once:
            self._concealed(begin, end, counts, lost)
            self._gap = None
        else:
            self._flowing(begin, end, counts, lost)
        if counts.received > 0.0:
            self._silent = False
            self._paces.append((counts.received + lost) / (end - begin))

    def _newly_lost(self, lost: float) -> float:
        """Loss of the interval, never negative: a late packet gives back what was counted just before."""
        lost += self._owed
        self._owed = max(lost, -self._last_lost) if lost < 0.0 else 0.0
        self._last_lost = max(0.0, lost)
        return self._last_lost

    def _empty(self, begin: float, end: float, counts: Counts) -> None:
        if self._gap is None:
            self._gap = self._counted_to = begin
        if counts.dtx or self._silent:
            self._windows.add(begin, end, Part(flags=(SILENT,)))
            self._counted_to = end
        elif counts.unplayed is not None and counts.at_once:
            self._concealed(begin, end, counts, 0.0)
            self._counted_to = end
        # Before the first packet ever, only a whole window without any is loss: streams begin late.
        elif end - self._gap >= (OUTAGE_SECONDS if self._paces else self._windows.window):
            outage = self.pace * (end - self._counted_to)
            self._windows.add(self._counted_to, end, Part(outage=outage, flags=(OUTAGE,)))
            self._unheard.add(outage, 0.0)
            self._debt += outage
            self._counted_to = end

    def _concealed(self, begin: float, end: float, counts: Counts, lost: float) -> None:
        seconds = end - begin
        due = (self.pace if self._paces else counts.received / seconds or DEFAULT_PACE) * seconds
        absent = lost if counts.dtx else max(lost, due - counts.received)
        self._unheard.add(absent, seconds)
        heard = min(due, (counts.unplayed or 0.0) / seconds * due)
        missing = self._unheard.take(heard)
        rest = heard - missing
        flags: tuple[str, ...] = ()
        if counts.by_jitter and rest > 0.0:
            missing, rest, flags = heard, 0.0, (JITTER,)
        if counts.received <= 0.0 and missing > 0.0:
            flags = (*flags, OUTAGE)
        # What the sequence numbers do not call lost may turn out never to have been sent.
        outage = max(0.0, missing - lost) if absent > lost else 0.0
        part = Part(due - outage, missing - outage, outage, judged=due - missing, unplayed=rest, flags=flags)
        self._windows.add(begin, end, part)

    def _flowing(self, begin: float, end: float, counts: Counts, lost: float) -> None:
        if self._gap is not None and self._debt == 0.0 and not self._silent:
            begin = self._gap  # too short for an outage: the loss counted now was there
        known = min(self._debt, lost)
        if self._exact and known < self._debt / 2.0 and self._gap is not None:
            self._windows.retract_outage(self._gap)  # the numbers go on: nothing had been sent
        lost -= known
        self._gap, self._debt = None, 0.0
        self._unheard.add(lost, end - begin)
        part = Part(due=counts.received + lost, missing=lost)
        if counts.unplayed is not None:
            heard = counts.unplayed * self.pace
            rest = heard - self._unheard.take(heard)
            if counts.by_jitter and rest > 0.0:
                part.missing += rest
                part.flags = (JITTER,)
                rest = 0.0
            part.judged, part.unplayed = counts.received, min(rest, counts.received)
        self._windows.add(begin, end, part)
