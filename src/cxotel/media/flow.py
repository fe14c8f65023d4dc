"""From counters to windows: which packets never came, and what of those that came was not played.

Two kinds of evidence of what was heard exist. Concealment (browsers) is seen at once, also in an outage,
and decides how much of a loss was heard at all. Gaps in the audio handed out (aiortc) are seen later and only
once audio flows again, so loss counts when the packets failed to come, and gaps are set against it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

from cxotel.media.reports import Reports, Sent
from cxotel.media.windows import JITTER, OUTAGE, SILENT, Part, Windows

OUTAGE_SECONDS = 1.0
"""No packet for so long is an outage: more than two refreshes of Opus DTX (400 ms), and as long as Chromium
counts a gap as loss (50 packets)."""
DEFAULT_PACE = 50.0
"""Packets a second before any were seen: 20 ms each (RFC 3551, 4.2)."""
_PACES = 9  # intervals whose median pace counts: one of them may hold a burst or a hole
_UNHEARD_SECONDS = 2.0  # a loss not heard by then was recovered; no buffer is longer in a conversation
_SILENT_SHARE = 0.2  # a sender that sent less than this share of its pace was silent, not cut off
_SENDING_SHARE = 0.5  # between two reports of a gap: more than the sender's last packets before a silence


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
        self._charged: list[tuple[float, float, float]] = []
        self._silent = False
        self._reports = Reports()

    @property
    def pace(self) -> float:
        """Packets a second that the sender sends."""
        return median(self._paces) if self._paces else DEFAULT_PACE

    def pause(self) -> None:
        """Not measured now: the direction is not negotiated, or the transport is down."""
        self._over()
        self._silent = False
        self._reports.forget()

    @property
    def knows_pace(self) -> bool:
        """Whether packets came yet."""
        return bool(self._paces)

    @property
    def is_silent(self) -> bool:
        """Whether the sender said that it sends nothing."""
        return self._silent

    def sent(self, packets: float, seconds: float) -> None:
        """A sender report: `packets` in the `seconds` since the one before. It wins over a guess."""
        was_silent, self._silent = self._silent, packets < _SILENT_SHARE * self.pace * seconds
        if self._silent and not was_silent:
            self._take_back()

    def step(self, begin: float, end: float, counts: Counts, report: Sent | None = None) -> None:
        """Count an interval in which the stream could have come, and the report that came in it."""
        lost = self._newly_lost(counts.lost)
        self._reports.step(end - begin, report)
        if counts.received <= 0.0 and lost <= 0.0:
            self._empty(begin, end, counts)
        elif counts.unplayed is not None and counts.at_once:
            self._concealed(begin, end, counts, lost)
            self._over()
        else:
            self._flowing(begin, end, counts, lost)
        if report is not None:
            self._reported(report, end)
        if counts.received > 0.0:
            self._silent = False
            self._paces.append((counts.received + lost) / (end - begin))

    def _reported(self, report: Sent, at: float) -> None:
        """Of the packets between two reports that came while no packet did, all were lost.

        Of those since a report before the gap some had come; such a report can tell of silence only.
        """
        both = self._reports.are_both_in_gap(now=self._gap is not None)
        if report.packets is None or self._gap is None:
            return
        due = self.pace * report.seconds
        if report.packets < (_SENDING_SHARE if both else _SILENT_SHARE) * due:
            self._silent = True
            self._take_back()
            self._windows.add(self._counted_to, at, Part(flags=(SILENT,)))
            self._counted_to = at
        elif both:
            self._silent = False
            self._charge(at)

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
            if not self._reports.known:
                self._counted_to = end
        elif counts.unplayed is not None and counts.at_once:
            self._concealed(begin, end, counts, 0.0)
            self._counted_to = end
        # Before the first packet ever, only a whole window without any is loss: streams begin late.
        elif end - self._gap >= (OUTAGE_SECONDS if self._paces else self._windows.window) and (
            self._debt > 0.0 or not self._reports.may_come
        ):
            self._charge(end)

    def _charge(self, end: float) -> None:
        """All since what was counted last was lost, also what is of windows already out (told by reports)."""
        begin, outage = self._counted_to, self.pace * (end - self._counted_to)
        put = self._windows.correct if self._reports.known else self._windows.add
        put(begin, end, Part(outage=outage, flags=(OUTAGE,)))
        self._charged.append((begin, end, outage))
        self._unheard.add(outage, 0.0)
        self._debt += outage
        self._counted_to = end

    def _take_back(self) -> None:
        """Nothing had been sent in the gap, so nothing was lost."""
        if self._reports.known:
            for begin, end, outage in self._charged:
                self._windows.take_back(begin, end, outage)
        elif self._gap is not None:
            self._windows.retract_outage(self._gap)
        self._charged, self._debt = [], 0.0

    def _over(self) -> None:
        self._gap, self._debt, self._charged = None, 0.0, []

    def _settled(self, end: float, lost: float) -> float:
        """Packets come again, and their numbers tell what of a gap up to `end` was lost; the loss left."""
        untold = self.pace * (end - self._counted_to)
        if self._exact and end - self._counted_to >= OUTAGE_SECONDS and lost >= self._debt + untold / 2.0:
            self._charge(end)
        known = min(self._debt, lost)
        if self._exact and known < self._debt / 2.0:
            self._take_back()  # the numbers go on: nothing had been sent
            known = 0.0
        return lost - known

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
        if self._gap is not None:
            lost = self._settled(begin, lost)
            if self._debt == 0.0 and not self._silent and begin - self._gap < OUTAGE_SECONDS:
                begin = self._gap  # too short for an outage: the loss counted now was there
        self._over()
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
