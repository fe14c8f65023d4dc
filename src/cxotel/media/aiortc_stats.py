"""Windows from aiortc's statistics and from the audio that a track handed out.

aiortc (1.10 to 1.16) counts packets and little else. Its units differ from the standard's: jitter is in RTP
units, times are datetimes, `fractionLost` a byte (not read here: totals tell more). Its audio buffer of 16
packets turns one lost packet into several frames never played, which only gaps between time stamps show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

from cxotel.media.playout import Floor
from cxotel.media.reader import Heard, Received, StatsReader
from cxotel.media.sample import Played, ReceiverReport, Sample, SenderReport, Stream, number
from cxotel.media.windows import NO_HINTS, Hints, Window

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["AiortcReader", "PlayMeter", "Played", "sample"]

BUFFER_SECONDS = 0.32
"""What aiortc's audio buffer holds: 16 packets of 20 ms (`JitterBuffer(capacity=16)`)."""
_SLACK_SECONDS = 1.0  # a gap may be longer than the wait for the frame by what was buffered before


class PlayMeter:
    """Counts what a track hands out: `add` once per frame, `played` at every poll (`Played`)."""

    def __init__(self, rate: int = 48000) -> None:
        """Time stamps and samples are in units of `1 / rate` seconds."""
        self._rate = rate
        self._samples = self._missing = self._frames = 0
        self._lag = 0.0
        self._floor = Floor()
        self._next: int | None = None
        self._last_at = 0.0

    def add(self, pts: int | None, samples: int, at: float) -> None:
        """One frame of `samples`, time stamp `pts` (None: no gap can be seen), handed out at `at` seconds."""
        self._samples += samples
        if pts is None or not isfinite(at):
            return
        if self._next is not None:
            gap = pts - self._next
            if abs(gap) > (at - self._last_at + _SLACK_SECONDS) * self._rate:
                self._floor = Floor()  # the time stamps jumped: another source, or a wrap
            else:
                self._missing += max(0, gap)
        self._next, self._last_at = pts + samples, at
        late = at - pts / self._rate
        self._frames += 1
        self._lag += late - self._floor.add(late, at)

    @property
    def played(self) -> Played:
        """The totals so far."""
        return Played(self._samples, self._missing, self._frames, self._lag, self._rate)


class AiortcReader(StatsReader):
    """Reads the statistics of one `RTCPeerConnection`, or of its audio sender and receiver."""

    def __init__(self, window: float = 5.0, clock_rate: int = 48000, *, start: float | None = None) -> None:
        """Begin at `start` seconds, or at the first report; `clock_rate` is the codec's RTP clock, Hz.

        Raises:
            ValueError: `window` is not 0.1 to 1e6 seconds, or `clock_rate` is not above 0.
        """
        super().__init__(window, start, exact=True)
        if clock_rate <= 0:
            raise ValueError(f"clock_rate of {clock_rate} Hz: must be above 0")
        self._clock_rate = clock_rate
        self._lag_base: float | None = 0.0

    def feed(
        self, report: Any, at: float, *, played: Played | None = None, hints: Hints = NO_HINTS
    ) -> list[Window]:
        """Take one report; the windows that it completes. Never raises.

        Args:
            report: what `getStats()` gave: a mapping to (or a list of) statistics objects, or dictionaries of
                their fields. What is no such thing counts as a report without statistics.
            at: when it was polled, seconds; a feed that is not later than the one before is ignored.
            played: totals of the track at that time, None if it is not watched.
            hints: what the host knows beyond the statistics.

        Returns:
            Windows in order, each `HOLD` seconds after its end or later; before them any of the last minute
            that a report of the far side now tells better, once more.
        """
        return self._take(replace(sample(report, self._clock_rate), played=played), at, hints)

    def finish(self, at: float) -> list[Window]:
        """End the stream at `at` seconds; the windows still open, the last one cut there."""
        return self._end(at)

    def _paused(self) -> None:
        # Time stamps may leave a pause out; then all after it comes later by its length.
        self._lag_base = None

    def _heard(self, sample: Sample, came: Received, seconds: float, *, dtx: bool) -> Heard:  # noqa: ARG002 (hook)
        old, new = self._last.played, sample.played
        if old is None or new is None or new.rate <= 0 or new.frames < old.frames or dtx:
            return Heard()
        samples, missing, frames = (
            new.samples - old.samples,
            new.missing - old.missing,
            new.frames - old.frames,
        )
        if samples <= 0 or missing < 0:
            return Heard()
        rise = self._delay.rise
        lag = (new.lag - old.lag) / frames if frames else None
        if lag is not None:
            lag -= self._base(lag - (rise or 0.0))
        return Heard(
            missing / new.rate,
            at_once=False,
            device_delay=None if lag is None or rise is None else max(0.0, lag - rise),
            buffer=BUFFER_SECONDS,
        )

    def _base(self, lag: float) -> float:
        """What frames come later since a pause than their time stamps would have it: the least so far."""
        if self._lag_base is None or lag < self._lag_base:
            self._lag_base = max(0.0, lag)
        return self._lag_base


def sample(report: Any, clock_rate: int) -> Sample:
    """One report in the common shape; never raises."""
    by_type: dict[Any, list[Mapping[str, Any]]] = {}
    for entry in _entries(report):
        kind = entry.get("type")
        if isinstance(kind, str) and entry.get("kind", "audio") == "audio":
            by_type.setdefault(kind, []).append(entry)
    told = next(iter(by_type.get("remote-inbound-rtp", ())), None)
    sent = [number(entry.get("packetsSent")) for entry in by_type.get("outbound-rtp", ())]
    states = [entry["dtlsState"] for entry in by_type.get("transport", ()) if "dtlsState" in entry]
    return Sample(
        streams=tuple(
            s for entry in by_type.get("inbound-rtp", ()) if (s := _stream(entry, clock_rate)) is not None
        ),
        sender_reports=tuple(_sender_report(entry) for entry in by_type.get("remote-outbound-rtp", ())),
        receiver_report=None if told is None else _receiver_report(told),
        packets_sent=sum(n for n in sent if n is not None) if sent else None,
        connected="connected" in states if states else None,
    )


_FIELDS = (
    "id",
    "type",
    "kind",
    "ssrc",
    "timestamp",
    "packetsReceived",
    "packetsLost",
    "jitter",
    "packetsSent",
    "roundTripTime",
    "remoteTimestamp",
    "dtlsState",
)


def _entries(report: Any) -> Iterator[Mapping[str, Any]]:
    values = report.values() if isinstance(report, Mapping) else report
    if not isinstance(report, (Mapping, list, tuple)):
        return
    for entry in values:
        if isinstance(entry, Mapping):
            yield entry
        else:
            yield {name: getattr(entry, name) for name in _FIELDS if hasattr(entry, name)}


def _stream(entry: Mapping[str, Any], clock_rate: int) -> Stream | None:
    received = number(entry.get("packetsReceived"))
    if received is None:
        return None
    ssrc = _hashable(entry.get("ssrc"))
    jitter = number(entry.get("jitter"))
    return Stream(
        key=(_hashable(entry.get("id")), ssrc),
        received=received,
        lost=number(entry.get("packetsLost")) or 0.0,
        jitter=None if jitter is None else jitter / clock_rate,
        ssrc=ssrc,
    )


def _sender_report(entry: Mapping[str, Any]) -> SenderReport:
    return SenderReport(
        _hashable(entry.get("ssrc")),
        number(entry.get("packetsSent")),
        _seconds(entry.get("remoteTimestamp")),
        _seconds(entry.get("timestamp")),
        is_arrival=True,
    )


def _receiver_report(entry: Mapping[str, Any]) -> ReceiverReport:
    told = (number(entry.get("packetsLost")), number(entry.get("roundTripTime")))
    return ReceiverReport((_seconds(entry.get("timestamp")), *told), *told)


def _seconds(time: Any) -> float | None:
    if not isinstance(time, datetime):
        return None
    try:
        return time.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _hashable(value: Any) -> Hashable:
    return value if isinstance(value, (str, int, float)) else None
