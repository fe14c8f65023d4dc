"""Windows from a series of W3C getStats reports (browsers, mobile and native WebRTC).

What the counters mean, and where they are blind, is measured with Chromium 156: `packetsLost` never counts an
outage over a second (libwebrtc takes what follows for a restart), `concealedSamples` follows the truth within
0.7 points. Older browsers and Chromium's legacy statistics are brought into the same shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxotel.media.reader import Heard, Received, StatsReader
from cxotel.media.sample import ReceiverReport, Sample, SenderReport, Stream, difference, number
from cxotel.media.windows import NO_HINTS, Hints, Window

if TYPE_CHECKING:
    from collections.abc import Hashable

Report = Mapping[str, Any]

_LEGACY_SAMPLES = 480.0  # the legacy counters count blocks of 10 ms
_ICE_UP = frozenset({"connected", "completed", "disconnected"})  # disconnected: what an outage looks like
_ICE_NOT_UP = frozenset({"new", "checking", "failed", "closed"})


class W3CReader(StatsReader):
    """Reads one peer connection's getStats reports."""

    def __init__(self, window: float = 5.0, *, start: float | None = None) -> None:
        """Begin at `start` seconds, or at the first report.

        Raises:
            ValueError: `window` is not 0.1 to 1e6 seconds.
        """
        super().__init__(window, start, exact=False)

    def feed(self, stats: Any, at: float, *, hints: Hints = NO_HINTS) -> list[Window]:
        """Take one report; the windows that it completes. Never raises.

        Args:
            stats: the report, a mapping from id to statistics, a sequence of them or of [id, statistics].
                What is no such thing counts as a report without statistics.
            at: when it was polled, seconds; a feed that is not later than the one before is ignored.
            hints: what the host knows beyond the statistics.

        Returns:
            Windows in order, each `HOLD` seconds after its end or later; before them any of the last minute
            that a report of the far side now tells better, once more.
        """
        return self._take(sample(stats), at, hints)

    def finish(self, at: float) -> list[Window]:
        """End the stream at `at` seconds; the windows still open, the last one cut there."""
        return self._end(at)

    def _heard(self, sample: Sample, came: Received, seconds: float, *, dtx: bool) -> Heard:
        unplayed: float | None = None
        if came.samples and came.concealed is not None:
            # In a known pause of the sender, silence made up is the pause.
            pause = (came.silent or 0.0) if dtx else 0.0
            unplayed = seconds * min(1.0, max(0.0, came.concealed - pause) / came.samples)
        return Heard(unplayed, buffer=came.buffer, device_delay=self._device_delay(sample, came))

    def _device_delay(self, sample: Sample, came: Received) -> float | None:
        if came.buffer is None:
            return None
        waited = difference(sample.device_delay, self._last.device_delay)
        samples = difference(sample.device_samples, self._last.device_samples)
        return came.buffer + (waited / samples if waited is not None and samples else 0.0)


def sample(stats: Any) -> Sample:
    """One report in the common shape; never raises."""
    entries = {str(entry.get("id", i)): entry for i, entry in enumerate(_entries(stats))}
    by_type: dict[str, list[Report]] = {}
    for entry in entries.values():
        by_type.setdefault(_text(entry.get("type")), []).append(entry)

    def audio(kind: str) -> list[Report]:
        return [entry for entry in by_type.get(kind, ()) if _is_audio(entry)]

    playout = next(iter(by_type.get("media-playout", ())), {})
    told = next(iter(audio("remote-inbound-rtp")), None)
    sent = [number(entry.get("packetsSent")) for entry in audio("outbound-rtp") if not entry.get("isRemote")]
    inbound = [entry for entry in audio("inbound-rtp") if not entry.get("isRemote")]
    return Sample(
        streams=tuple(s for entry in inbound if (s := _stream(entry, entries)) is not None),
        sender_reports=tuple(_sender_report(entry) for entry in audio("remote-outbound-rtp")),
        receiver_report=None if told is None else _receiver_report(told),
        packets_sent=sum(n for n in sent if n is not None) if sent else None,
        round_trip=_ice_round_trip(by_type, entries),
        connected=_connected(by_type),
        dtx=_dtx(inbound, entries),
        device_delay=number(playout.get("totalPlayoutDelay")),
        device_samples=number(playout.get("totalSamplesCount")),
    )


def _entries(stats: Any) -> Iterator[Report]:
    values: Any = ()
    if isinstance(stats, Mapping):
        values = stats.values()
    elif isinstance(stats, Sequence) and not isinstance(stats, (str, bytes, bytearray)):
        values = (v[1] if isinstance(v, (list, tuple)) and len(v) == 2 else v for v in stats)
    for entry in values:
        if isinstance(entry, Mapping):
            yield _modern(entry)


def _modern(entry: Report) -> Report:
    """An entry of Chromium's legacy statistics (text, `goog` names) in the standard's form."""
    kind = _text(entry.get("type"))
    if kind not in {"ssrc", "googCandidatePair"}:
        return entry
    stats = entry.get("stats")
    old: Report = {**entry, **stats} if isinstance(stats, Mapping) else entry
    if kind == "googCandidatePair":
        up = str(old.get("googActiveConnection")).lower() == "true"
        return {
            "type": "candidate-pair",
            "id": old.get("id"),
            "selected": up,
            "state": "succeeded" if up else "waiting",
            "currentRoundTripTime": _times(old.get("googRtt"), 1e-3),
        }
    common = {"id": old.get("id"), "ssrc": old.get("ssrc"), "kind": old.get("mediaType")}
    if "packetsSent" in old:
        return {**common, "type": "outbound-rtp", "packetsSent": old.get("packetsSent")}
    silent = _times(old.get("googDecodingPLCCNG"), _LEGACY_SAMPLES)
    audible = _times(old.get("googDecodingPLC"), _LEGACY_SAMPLES)
    return {
        **common,
        "type": "inbound-rtp",
        "packetsReceived": old.get("packetsReceived"),
        "packetsLost": old.get("packetsLost"),
        "jitter": _times(old.get("googJitterReceived"), 1e-3),
        "totalSamplesReceived": _times(old.get("googDecodingCTN"), _LEGACY_SAMPLES),
        "concealedSamples": None if silent is None or audible is None else silent + audible,
        "silentConcealedSamples": silent,
    }


def _times(value: Any, factor: float) -> float | None:
    known = number(value)
    return None if known is None else known * factor


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _hashable(value: Any) -> Hashable:
    return value if isinstance(value, (str, int, float)) else None


def _is_audio(entry: Report) -> bool:
    kind = entry.get("kind") or entry.get("mediaType")
    if isinstance(kind, str):
        return kind == "audio"
    return "video" not in _text(entry.get("id")).lower() and "frameWidth" not in entry


def _stream(entry: Report, entries: Mapping[str, Report]) -> Stream | None:
    received = number(entry.get("packetsReceived"))
    if received is None:
        return None
    # Until 2022 Chromium kept what was played on the track.
    track = entries.get(_text(entry.get("trackId")), {})

    def total(name: str) -> float | None:
        return number(entry[name] if name in entry else track.get(name))

    ssrc = _hashable(entry.get("ssrc"))
    return Stream(
        key=(_hashable(entry.get("id")), ssrc),
        received=received,
        lost=number(entry.get("packetsLost")) or 0.0,
        samples=total("totalSamplesReceived"),
        concealed=total("concealedSamples"),
        silent=total("silentConcealedSamples"),
        buffered=total("jitterBufferDelay"),
        buffered_least=total("jitterBufferMinimumDelay"),
        emitted=total("jitterBufferEmittedCount"),
        jitter=total("jitter"),
        ssrc=ssrc,
    )


def _sender_report(entry: Report) -> SenderReport:
    return SenderReport(
        _hashable(entry.get("ssrc")),
        number(entry.get("packetsSent")),
        _times(entry.get("remoteTimestamp"), 1e-3),
        _times(entry.get("timestamp"), 1e-3),
    )


def _receiver_report(entry: Report) -> ReceiverReport:
    # Not every browser stamps it with the report's own time: a new count or round trip is a new report too.
    told = (number(entry.get("packetsLost")), number(entry.get("roundTripTime")))
    return ReceiverReport((_hashable(entry.get("timestamp")), *told), *told)


def _ice_round_trip(by_type: Mapping[str, list[Report]], entries: Mapping[str, Report]) -> float | None:
    for transport in by_type.get("transport", ()):
        pair = entries.get(_text(transport.get("selectedCandidatePairId")))
        if pair is not None:
            return number(pair.get("currentRoundTripTime"))
    pairs = by_type.get("candidate-pair", ())
    chosen = [p for p in pairs if p.get("selected") is True] or [
        p for p in pairs if p.get("nominated") is True and p.get("state") == "succeeded"
    ]
    return number(chosen[0].get("currentRoundTripTime")) if chosen else None


def _connected(by_type: Mapping[str, list[Report]]) -> bool | None:
    """Whether any transport is up; None if no statistic says."""
    states: list[bool] = []
    for transport in by_type.get("transport", ()):
        ice, dtls = _text(transport.get("iceState")), _text(transport.get("dtlsState"))
        if dtls in {"connected", "closed", "failed", "new", "connecting"}:
            states.append(dtls == "connected" and ice not in {"failed", "closed"})
        elif ice in _ICE_UP | _ICE_NOT_UP:
            states.append(ice in _ICE_UP)
    if not states and "candidate-pair" in by_type:
        pairs = by_type["candidate-pair"]
        states = [
            p.get("state") == "succeeded" and bool(p.get("nominated") or p.get("selected")) for p in pairs
        ]
        return any(states) or None
    return any(states) if states else None


def _dtx(inbound: list[Report], entries: Mapping[str, Report]) -> bool | None:
    for entry in inbound:
        codec = entries.get(_text(entry.get("codecId")), {})
        parameters = _text(codec.get("sdpFmtpLine")).replace(" ", "").split(";")
        if "usedtx=1" in parameters:
            return True
    return None
