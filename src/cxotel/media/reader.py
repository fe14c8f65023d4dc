"""The core of every reader of polled statistics: samples in, windows out.

Packets that never came, and what jitter explains, are the network's; audio that came and was not played, and
buffering beyond what jitter explains, are the device's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cxotel.media.delay import OneWay
from cxotel.media.flow import Counts, Flow
from cxotel.media.pauses import Pauses
from cxotel.media.playout import LEAST_SECONDS
from cxotel.media.reports import Sent
from cxotel.media.rtp import JITTER_LIMIT_SECONDS
from cxotel.media.sample import Sample, SenderReport, Stream, difference
from cxotel.media.windows import (
    ABSENT,
    INACTIVE,
    RESET,
    UNPOLLED,
    Hints,
    Part,
    Window,
    Windows,
    checked_window,
    is_time,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

BUFFER_PER_JITTER = 3.0
"""Buffering that jitter J explains, in multiples of J: the reference buffer waits four mean deviations, and
a mean deviation is 0.71 (normal) to 0.75 (uniform) of J, the mean difference of neighbours."""
PACKET_SECONDS = 0.02
"""A packet's length: the least jitter that can make one late, and what a buffer holds while it plays."""
SENDING_SHARE = 0.9
"""Of the packets that its pace makes due a sender that did not pause sent so many: one in 25 more or less is
how an interval falls, two are chance."""
_MAX_POLL_WINDOWS = 3.0  # polls further apart say nothing of a single window


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of playing in an interval, seconds: audio not played, and the device's own delay."""

    unplayed: float | None = None
    at_once: bool = True
    device_delay: float | None = None
    buffer: float | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """Differences of an interval, over the sources that flowed."""

    received: float
    lost: float
    samples: float | None
    concealed: float | None
    silent: float | None
    buffer: float | None
    buffer_least: float | None
    jitter: float | None


class StatsReader:
    """Turns samples into windows; the readers of one kind of statistics are built on it."""

    def __init__(self, window: float, start: float | None, *, exact: bool) -> None:
        """See `Flow` for `exact`.

        Raises:
            ValueError: `window` is not 0.1 to 1e6 seconds.
        """
        self._length = checked_window(window)
        self._start = start
        self._exact = exact
        self._windows: Windows | None = None
        self._flow: Flow | None = None
        self._delay = OneWay()
        self._last_at = 0.0
        self._last = Sample()
        self._streams: dict[Hashable, Stream] = {}
        self._flowing: Hashable = None
        self._report: SenderReport | None = None
        self._sent: Sent | None = None
        self._held: SenderReport | None = None
        self._pauses = Pauses()
        self._settled_jitter: float | None = None
        self._told_at: float | None = None
        self._told: tuple[Hashable, float | None, float | None] = (None, None, None)
        self._jitter: tuple[float, float] = (0.0, 0.0)

    def _take(self, sample: Sample, at: float, hints: Hints) -> list[Window]:
        if not is_time(at):
            return []
        if self._windows is None or self._flow is None:
            self._windows = Windows(self._length, at if self._start is None else self._start)
            self._flow = Flow(self._windows, exact=self._exact)
            self._last_at = at
            self._measure(sample, at, at, hints)
            return []
        if at <= self._last_at:
            return []
        begin, self._last_at = self._last_at, at
        self._measure(sample, begin, at, hints)
        return self._windows.close(at)

    def _end(self, at: float) -> list[Window]:
        if self._windows is None:
            return []
        return self._windows.finish(max(self._last_at, at if is_time(at) else self._last_at))

    def _measure(self, sample: Sample, begin: float, end: float, hints: Hints) -> None:
        """One interval; an empty one (the first sample) only remembers where the counts stand."""
        windows, flow = self._windows, self._flow
        if windows is None or flow is None:
            return
        unpolled = end - begin > _MAX_POLL_WINDOWS * self._length
        came, flags = self._came(sample)
        self._delays(sample, came, begin, end)
        connected = sample.connected if hints.connected is None else hints.connected
        dtx = bool(sample.dtx if hints.dtx is None else hints.dtx)
        heard = Heard()
        if came is not None and self._exact and self._is_disturbed(came, begin, end):
            came = replace(came, jitter=_least(came.jitter, self._settled_jitter))
        elif came is not None:
            self._settled_jitter = came.jitter
            heard = self._heard(sample, came, end - begin, dtx=dtx)
        if unpolled:
            flow.pause()
            windows.add(begin, end, Part(flags=(UNPOLLED,)))
        elif end > begin:
            self._remote(sample, begin, end)
            # In an outage a receiver goes on playing (what it makes up); one that does not was switched off.
            stopped = came is not None and came.received <= 0.0 and came.samples == 0.0
            if connected is False or not hints.receiving or stopped:
                flow.pause()
                windows.add(begin, end, Part(flags=(INACTIVE,)))
            elif came is not None:
                self._count(came, heard, begin, end, dtx=dtx)
            elif connected and not sample.streams:
                flow.step(begin, end, Counts(0.0, 0.0, dtx=dtx), self._sent)
                flags = (*flags, ABSENT)
            windows.add(begin, end, self._delay_part(came, heard, flags))
        self._told_remote(sample, end)
        self._streams = {stream.key: stream for stream in sample.streams} or self._streams
        self._last = sample

    def _came(self, sample: Sample) -> tuple[Received | None, tuple[str, ...]]:
        """What came since the sample before, over the sources that flow (if none does, the last that did)."""
        steps: list[tuple[Stream, Stream]] = []
        reset = False
        for new in sample.streams:
            old = self._streams.get(new.key)
            if old is None or new.received < old.received:
                reset = reset or bool(self._streams)
            else:
                steps.append((new, old))
        flowing = [step for step in steps if step[0].received > step[1].received]
        if flowing:
            self._flowing = flowing[-1][0].key
        else:
            flowing = [step for step in steps if step[0].key == self._flowing] or steps[:1]
        flags = (RESET,) if reset else ()
        return (self._sum(flowing) if flowing and not reset else None), flags

    def _sum(self, steps: list[tuple[Stream, Stream]]) -> Received:
        def total(name: str) -> float | None:
            parts = [difference(getattr(new, name), getattr(old, name)) for new, old in steps]
            known = [part for part in parts if part is not None]
            return sum(known) if known and len(known) == len(parts) else None

        def mean_wait(name: str) -> float | None:
            seconds, samples = total(name), total("emitted")
            return seconds / samples if seconds is not None and samples else None

        jitters = [new.jitter for new, _ in steps if new.jitter is not None]
        return Received(
            sum(new.received - old.received for new, old in steps),
            sum(new.lost - old.lost for new, old in steps),
            total("samples"),
            total("concealed"),
            total("silent"),
            mean_wait("buffered"),
            mean_wait("buffered_least"),
            max((j for j in jitters if 0.0 <= j <= JITTER_LIMIT_SECONDS), default=None),
        )

    def _is_disturbed(self, came: Received, begin: float, end: float) -> bool:
        """Whether a pause of the sender spoils what is measured of jitter and of playing."""
        flow = self._flow
        if flow is None or not flow.knows_pace:
            return False
        if self._pauses.step(came.received + came.lost, flow.pace, begin, end, silent=flow.is_silent):
            self._paused()
        return self._pauses.disturb(end)

    def _paused(self) -> None:
        """The sender goes on after a pause; to be overridden."""

    def _heard(self, sample: Sample, came: Received, seconds: float, *, dtx: bool) -> Heard:  # noqa: ARG002 (hook)
        """What the statistics know of playing in an interval of `seconds`; nothing, unless overridden."""
        return Heard()

    def _count(self, came: Received, heard: Heard, begin: float, end: float, *, dtx: bool) -> None:
        explained = self._explained_by_jitter(came, heard)
        if self._flow is not None:
            counts = Counts(came.received, came.lost, heard.unplayed, heard.at_once, dtx, explained)
            self._flow.step(begin, end, counts, self._sent)

    def _explained_by_jitter(self, came: Received, heard: Heard) -> bool:
        """Whether audio that came and was not played is no wonder: the jitter fills the buffer."""
        before, now = self._jitter
        self._jitter = (now, came.jitter or 0.0)
        needed = BUFFER_PER_JITTER * max(before, *self._jitter)
        return needed >= max(PACKET_SECONDS, (heard.buffer or 0.0) - PACKET_SECONDS)

    def _delays(self, sample: Sample, came: Received | None, begin: float, at: float) -> None:
        report = sample.receiver_report
        if report is not None and report.round_trip is not None:
            self._delay.round_trip(report.round_trip, report.mark, at)
        else:
            self._delay.round_trip(sample.round_trip, at, at)
        self._sent = None
        held, self._held = self._held, None
        if held is not None and came is not None and self._sends(came.received + came.lost, at - begin):
            self._put(held, at)  # it goes on at its pace, so it was sending when it reported
        for told in sample.sender_reports:
            self._sender_report(told, at, only=len(sample.sender_reports) == 1)

    def _sender_report(self, told: SenderReport, at: float, *, only: bool) -> None:
        mine = only or any(told.ssrc == stream.ssrc for stream in self._streams.values())
        if not mine or told.sent is None or told.received is None:
            return
        if told.is_arrival:
            self._arrived(told, at)
            return
        if not self._put(told, at):
            return
        before, self._report = self._report, told
        if before is None or before.sent is None or before.ssrc != told.ssrc or self._flow is None:
            return
        packets, seconds = difference(told.packets, before.packets), told.sent - before.sent
        if packets is not None and seconds > 0.0:
            self._flow.sent(packets, seconds)

    def _arrived(self, told: SenderReport, at: float) -> None:
        """A report known by its arrival; its own time may be that of the last packet sent, as aiortc's is.

        That stands still while the sender is silent, and tells how long the way took only while it sends.
        """
        before = self._report
        if before is not None and (before.ssrc, before.received) == (told.ssrc, told.received):
            if self._delay.rise is not None:
                self._put(told, at)
            return
        self._report = told
        packets, seconds = None, 0.0
        if before is not None and before.ssrc == told.ssrc and before.received is not None:
            packets = difference(told.packets, before.packets)
            seconds = max(0.0, (told.received or 0.0) - before.received)
        self._sent = Sent(packets, seconds)
        if packets is not None and self._sends(packets, seconds):
            self._put(told, at)
        else:
            self._delay.silent()
            self._held = told if packets != 0.0 else None

    def _sends(self, packets: float, seconds: float) -> bool:
        """Whether so many packets in so many seconds are the sender's pace."""
        pace = 0.0 if self._flow is None else self._flow.pace
        return packets >= SENDING_SHARE * pace * seconds > 0.0

    def _put(self, told: SenderReport, at: float) -> bool:
        if told.sent is None or told.received is None:
            return False
        return self._delay.sender_report(told.sent, told.received, at, is_arrival=told.is_arrival)

    def _delay_part(self, came: Received | None, heard: Heard, flags: tuple[str, ...]) -> Part:
        if came is None or came.received <= 0.0:
            return Part(flags=flags)
        needed = max(BUFFER_PER_JITTER * (came.jitter or 0.0), came.buffer_least or 0.0)
        jitter = max(0.0, needed - LEAST_SECONDS)  # so much every buffer waits, also on a perfect path
        if heard.buffer is not None and heard.at_once:
            jitter = min(jitter, heard.buffer)
        inward, device = self._delay.to_here, heard.device_delay
        return Part(
            network_delay=None if inward is None else inward + jitter,
            device_delay=None if device is None else max(0.0, device - jitter),
            flags=flags,
        )

    def _remote(self, sample: Sample, begin: float, end: float) -> None:
        """What the far side says of our audio, once for every report of its."""
        report, windows = sample.receiver_report, self._windows
        if report is None or windows is None or self._told_at is None:
            return
        outward = self._delay.from_here
        windows.add(begin, end, Part(remote_delay=outward))
        mark, lost_before, sent_before = self._told
        if report.mark == mark:
            return
        sent = difference(sample.packets_sent, sent_before)
        if sent and report.lost is not None and lost_before is not None:
            lost = max(0.0, report.lost - lost_before)
            if lost <= sent:
                windows.add(self._told_at, end, Part(remote_due=sent, remote_missing=lost))
                return
            # More than was sent since the last report: an outage, of which reports know nothing until the
            # next packet comes (RFC 3550 A.3 expects up to the highest number received). It took as long as
            # that many packets take, and ended at some time since the last report.
            windows.add(self._told_at, end, Part(remote_due=sent))
            ended = (self._told_at + end) / 2.0
            seconds = lost / sent * (end - self._told_at)
            windows.correct(ended - seconds, ended, Part(remote_missing=lost))

    def _told_remote(self, sample: Sample, at: float) -> None:
        report = sample.receiver_report
        if report is not None and report.mark != self._told[0]:
            self._told = (report.mark, report.lost, sample.packets_sent)
            self._told_at = at


def _least(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else min(one, other)
