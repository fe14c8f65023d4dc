"""aiortc's statistics become windows; each of their traps has a test."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import RtpPacket
from aiortc.stats import (
    RTCInboundRtpStreamStats,
    RTCOutboundRtpStreamStats,
    RTCRemoteInboundRtpStreamStats,
    RTCRemoteOutboundRtpStreamStats,
    RTCTransportStats,
)
from hypothesis import given
from hypothesis import strategies as st

from cxotel.media.aiortc_stats import AiortcReader, Played, PlayMeter, sample
from cxotel.media.windows import ABSENT, JITTER, NOT_MEASURED, OUTAGE, RESET, SILENT, Hints, Window

EPOCH = datetime(2026, 11, 23, tzinfo=timezone.utc)


@dataclass
class Party:
    """A receiver on aiortc: its statistics objects, packets of 20 ms through its real jitter buffer."""

    lost: set[int] = field(default_factory=set)
    sent_until: float = 1e9
    jitter_units: int = 48
    round_trip: float | None = 0.06
    remote_lost_share: float = 0.0
    remote_outage: tuple[float, float] = (0.0, 0.0)
    fraction_lost: int = 0
    rise: Any = None
    plays: bool = True
    muted: tuple[float, float] = (0.0, 0.0)
    stamps: str = "go on"
    cut: tuple[float, float] = (0.0, 0.0)
    reports: list[float] | None = None
    _buffer: JitterBuffer = field(default_factory=lambda: JitterBuffer(capacity=16, prefetch=4))
    _meter: PlayMeter = field(default_factory=PlayMeter)
    _next: int = 0
    _received: int = 0
    _highest: int = -1
    _sent: list[float] = field(default_factory=list)
    _jitter: float = 0.0
    _last: tuple[int, int] | None = None
    frames: int = 0

    def advance(self, seconds: float) -> None:
        """Let packets come up to `seconds`."""
        while self._next < min(seconds, self.sent_until) * 50:
            slot, self._next = self._next, self._next + 1
            if self.muted[0] <= slot / 50.0 < self.muted[1]:
                continue
            packet, stamp = len(self._sent), self._stamp(slot, len(self._sent))
            self._sent.append(slot / 50.0)
            if slot in self.lost or self.cut[0] <= slot / 50.0 < self.cut[1]:
                continue
            self._received += 1
            self._highest = packet
            if self._last is not None:  # RFC 3550, 6.4.1
                difference = abs(960 * slot - self._last[0] - (stamp - self._last[1]))
                self._jitter += (difference - self._jitter) / 16
            self._last = (960 * slot, stamp)
            rtp = RtpPacket(payload_type=96, sequence_number=packet % 65536, timestamp=stamp)
            rtp._data = b""  # type: ignore[attr-defined]
            _, frame = self._buffer.add(rtp)
            if frame is not None:
                self.frames += 1
                at = slot / 50.0 + (self.rise(slot / 50.0) if self.rise else 0.0)
                self._meter.add(frame.timestamp, 960, at)

    def _stamp(self, slot: int, number: int) -> int:
        """What the time stamps do while the sender is muted: go on, stand still, or begin elsewhere."""
        if self.stamps == "go on" or slot / 50.0 < self.muted[0]:
            return 960 * (slot + 10**6)
        return 960 * (number + (10**6 if self.stamps == "stand still" else 10**6 - 100))

    def _reported(self, seconds: float) -> tuple[float, int, float] | None:
        """When the last report came, the packets sent by then, and its own time: that of the last packet."""
        if self.reports is None:
            return seconds, int(min(seconds, self.sent_until) * 50), seconds
        come = [at for at in self.reports if at <= seconds and not self.cut[0] <= at < self.cut[1]]
        if not come:
            return None
        sent = [at for at in self._sent if at <= come[-1]]
        return come[-1], len(sent), sent[-1] if sent else 0.0

    def _told_of_outage(self, seconds: float) -> int:
        """The far side sees nothing of an outage until the next packet comes, then all of it."""
        begin, end = self.remote_outage
        return round((end - begin) * 50) if seconds > end else 0

    @property
    def played(self) -> Played | None:
        """Totals of the watched track."""
        return self._meter.played if self.plays else None

    def report(self, seconds: float) -> dict[str, Any]:
        """What getStats gives."""
        self.advance(seconds)
        at = EPOCH + timedelta(seconds=seconds)
        common = {"kind": "audio", "transportId": "transport_1"}
        rise = self.rise(seconds) if self.rise else 0.0
        reported = self._reported(seconds)
        stats = [
            RTCInboundRtpStreamStats(
                timestamp=at,
                type="inbound-rtp",
                id="inbound-rtp_1",
                ssrc=1,
                **common,
                packetsReceived=self._received,
                packetsLost=self._highest + 1 - self._received,
                jitter=self.jitter_units + round(self._jitter),
            ),
            RTCRemoteOutboundRtpStreamStats(
                timestamp=EPOCH + timedelta(seconds=(reported or (0.0,))[0] + rise),
                type="remote-outbound-rtp",
                id="remote-outbound-rtp_1",
                ssrc=1,
                **common,
                packetsSent=(reported or (0.0, 0))[1],
                bytesSent=0,
                remoteTimestamp=EPOCH + timedelta(seconds=(reported or (0.0, 0, 0.0))[2] - 99),
            ),
            RTCOutboundRtpStreamStats(
                timestamp=at,
                type="outbound-rtp",
                id="outbound-rtp_1",
                ssrc=2,
                **common,
                packetsSent=int(seconds * 50),
                bytesSent=0,
                trackId="t",
            ),
            RTCRemoteInboundRtpStreamStats(
                timestamp=at,
                type="remote-inbound-rtp",
                id="remote-inbound-rtp_1",
                ssrc=3,
                **common,
                packetsReceived=0,
                packetsLost=int(seconds * 50 * self.remote_lost_share) + self._told_of_outage(seconds),
                jitter=0,
                roundTripTime=self.round_trip,  # type: ignore[arg-type]
                fractionLost=self.fraction_lost,
            ),
            RTCTransportStats(
                timestamp=at,
                type="transport",
                id="transport_1",
                packetsSent=0,
                packetsReceived=0,
                bytesSent=0,
                bytesReceived=0,
                iceRole="controlling",
                dtlsState="connected",
            ),
        ]
        return {entry.id: entry for entry in stats if reported or entry.type != "remote-outbound-rtp"}


def _windows(
    party: Party, seconds: float = 20.0, *, step: float = 1.0, hints: Hints | None = None
) -> list[Window]:
    reader = AiortcReader(5.0, start=0.0)
    windows: list[Window] = []
    at = 0.0
    while at <= seconds + 1e-9:
        report = party.report(at)
        windows += reader.feed(report, at, played=party.played, hints=hints or Hints())
        at += step
    return windows + reader.finish(seconds)


def _random(share: float, packets: int = 1000, seed: int = 5) -> set[int]:
    draw = random.Random(seed)
    return {packet for packet in range(packets) if draw.random() < share}


def test_a_clean_call() -> None:
    """Nothing lost, half the round trip, no delay of the device."""
    windows = _windows(Party())
    assert [0.0] * 4 == [window.network.loss_pct for window in windows]
    assert [0.0] * 4 == [window.device.loss_pct for window in windows]
    assert windows[1].network.delay_ms == pytest.approx(30.0)
    assert windows[1].device.delay_ms == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("step", [0.5, 1.0, 2.3])
def test_sixteen_packet_buffer_loss_is_the_devices(step: float) -> None:
    """5 % lost on the network become 24 % of the audio missing: the network's 5 %, the device's the rest."""
    party = Party(lost=_random(0.05, 3000))
    windows = _windows(party, 60.0, step=step)[1:-1]
    missing = party.played
    assert missing is not None
    share = missing.missing / (missing.missing + missing.samples)
    assert 0.15 < share < 0.35
    network = sum(window.network.loss_pct or 0.0 for window in windows) / len(windows) / 100.0
    device = sum(window.device.loss_pct or 0.0 for window in windows) / len(windows) / 100.0
    assert network == pytest.approx(0.05, abs=0.012)
    assert 1.0 - (1.0 - network) * (1.0 - device) == pytest.approx(share, abs=0.03)


def test_a_receiver_that_copes_is_not_blamed() -> None:
    """Gaps that are just the lost packets are the network's alone."""
    reader = AiortcReader(5.0, start=0.0)
    party = Party(lost=_random(0.08), plays=False)
    windows = []
    for second in range(21):
        report = party.report(float(second))
        gone = sum(960 for packet in party.lost if packet < second * 50 - 10)
        heard = max(0, second * 48000 - 9600 - gone)
        windows += reader.feed(report, float(second), played=Played(heard, gone, heard // 960))
    assert all((window.network.loss_pct or 0.0) > 3.0 for window in windows)
    assert all((window.device.loss_pct or 0.0) < 0.5 for window in windows)


def test_without_a_watched_track_the_device_is_not_measured() -> None:
    """Statistics alone say nothing of what was played."""
    windows = _windows(Party(lost=_random(0.05), plays=False))
    assert [NOT_MEASURED] * 4 == [window.device for window in windows]


def test_jitter_is_in_rtp_units() -> None:
    """744 units of 48 kHz are 15.5 ms: the path needs 46.5 ms, 40 of which every buffer waits."""
    windows = _windows(Party(jitter_units=744))
    assert windows[1].network.delay_ms == pytest.approx(30.0 + 3 * 15.5 - 40.0)
    assert sample(Party(jitter_units=744).report(1.0), 8000).streams[0].jitter == pytest.approx(0.093)


def test_jitter_beyond_the_buffer_is_the_networks() -> None:
    """Gaps under 110 ms of jitter (330 ms needed, the buffer holds 320) are the network's doing."""
    windows = _windows(Party(lost=_random(0.05, 3000), jitter_units=5280), 60.0)
    assert all((window.device.loss_pct or 0.0) == 0.0 for window in windows)
    assert all((window.network.loss_pct or 0.0) > 5.0 and JITTER in window.flags for window in windows[1:-1])


@pytest.mark.parametrize("step", [0.3, 0.5, 1.0])
def test_a_gap_shorter_than_an_outage_counts_once(step: float) -> None:
    """0.8 s without packets, polled inside or not: 40 lost."""
    windows = _windows(Party(lost=set(range(330, 370))), step=step)
    assert [0.0, pytest.approx(16.0, abs=1.0), 0.0, 0.0] == [window.network.loss_pct for window in windows]


def test_timestamp_wrap_blow_up_of_jitter_is_ignored() -> None:
    """After a wrap aiortc's jitter is 268,435,459 units, 5,592 s: not jitter, and it explains nothing."""
    windows = _windows(Party(lost=_random(0.05), jitter_units=268_435_459))
    assert windows[1].network.delay_ms == pytest.approx(30.0)
    assert all(JITTER not in window.flags for window in windows)


def test_fraction_lost_is_a_byte() -> None:
    """`fractionLost` 23 is 9 %, not 2,300 %: totals tell the far side's loss."""
    windows = _windows(Party(remote_lost_share=0.09, fraction_lost=23))
    remote = windows[1].remote
    assert remote is not None
    assert remote.loss_pct == pytest.approx(9.0, abs=0.5)


def test_an_outage_at_the_far_side_counts_where_it_was() -> None:
    """Its reports tell all of it when it is over: windows already out come again, with their loss."""
    windows = _windows(Party(remote_outage=(5.0, 12.5)))
    again = {window.index: window for window in windows}
    loss = [again[index].remote.loss_pct for index in range(4)]  # type: ignore[union-attr]
    assert loss == pytest.approx([0.0, 100.0, 50.0, 0.0], abs=1.0)
    assert [window.index for window in windows].count(1) == 2
    first = next(window for window in windows if window.index == 1)
    assert (first.network, first.device) == (again[1].network, again[1].device)


def test_round_trip_none() -> None:
    """Until a report about us was answered there is no round trip: no delay, never a guess."""
    windows = _windows(Party(round_trip=None))
    assert windows[1].network.delay_ms is None
    assert windows[1].remote is not None
    assert windows[1].remote.delay_ms is None


def test_an_outage_counts_while_it_lasts() -> None:
    """Eight seconds without a packet: loss at once, where it was, and no more when numbers tell."""
    windows = _windows(Party(lost=set(range(250, 650))))
    assert [0.0, 100.0] == [window.network.loss_pct for window in windows[:2]]
    assert windows[2].network.loss_pct == pytest.approx(60.0, abs=1.5)
    assert windows[3].network.loss_pct == 0.0
    assert OUTAGE in windows[1].flags
    assert all((window.device.loss_pct or 0.0) < 8.0 for window in windows)


def test_a_sender_that_stopped_is_not_an_outage() -> None:
    """Sender reports go on with the same count (hold, a track that ended): not measured."""
    windows = _windows(Party(sent_until=5.0))
    assert windows[0].network.loss_pct == 0.0
    assert [None] * 3 == [window.network.loss_pct for window in windows[1:]]
    assert all(SILENT in window.flags for window in windows[1:])


def test_stats_absent_for_good_while_connected() -> None:
    """No inbound-rtp at all while the transport is up is total loss; before that nothing is."""
    reader = AiortcReader(5.0, start=0.0)
    windows = []
    for second in range(17):
        report = Party().report(float(second))
        report = {"transport_1": report["transport_1"]} if second >= 5 else {}
        windows += reader.feed(report, float(second))
    assert [None, 100.0, 100.0] == [window.network.loss_pct for window in windows]
    assert ABSENT in windows[1].flags


def test_duplicates_do_not_make_loss_negative() -> None:
    """Copies count as received: `packetsLost` -1 is no gain."""
    party = Party()
    reader = AiortcReader(5.0, start=0.0)
    windows = []
    for second in range(12):
        report = party.report(float(second))
        report["inbound-rtp_1"].packetsLost -= 30 * second
        windows += reader.feed(report, float(second))
    assert [0.0, 0.0] == [window.network.loss_pct for window in windows]


def test_sources_overwrite_each_other() -> None:
    """Two SSRCs on one receiver share one entry: each change begins a new count."""
    reader = AiortcReader(5.0, start=0.0)
    party, windows = Party(), []
    for second in range(12):
        report = party.report(float(second))
        report["inbound-rtp_1"].ssrc = second % 4 // 2
        windows += reader.feed(report, float(second))
    assert [0.0, 0.0] == [window.network.loss_pct for window in windows]
    assert all(RESET in window.flags for window in windows)


def test_delay_of_the_network_is_not_the_devices() -> None:
    """Frames come 150 ms later because packets do: sender reports say so, and the device is not blamed."""
    windows = _windows(Party(rise=lambda s: 0.15 if s >= 10 else 0.0))
    assert windows[3].network.delay_ms == pytest.approx(30.0 + 150.0, abs=2.0)
    assert windows[3].device.delay_ms == pytest.approx(0.0, abs=5.0)


def test_a_buffer_that_never_drains_is_the_devices_delay() -> None:
    """A burst of loss leaves aiortc's buffer fuller for good: latency that no jitter explains."""
    windows = _windows(Party(lost={300, 320, 340, 360}))
    assert windows[0].device.delay_ms == pytest.approx(0.0, abs=1.0)
    assert (windows[3].device.delay_ms or 0.0) > 100.0
    assert windows[3].network.delay_ms == pytest.approx(30.0)


def test_video_is_left_out() -> None:
    """Only audio counts."""
    party = Party()
    reader = AiortcReader(5.0, start=0.0)
    windows = []
    for second in range(12):
        report = party.report(float(second))
        video = {
            "type": "inbound-rtp",
            "kind": "video",
            "id": "v",
            "packetsReceived": 9 * second,
            "packetsLost": 99 * second,
        }
        windows += reader.feed({**report, "v": video}, float(second))
    assert [0.0, 0.0] == [window.network.loss_pct for window in windows]


def test_hold_is_not_loss() -> None:
    """A direction that is not negotiated is not measured."""
    windows = _windows(Party(lost=set(range(1000))), hints=Hints(receiving=False))
    assert [NOT_MEASURED] * 4 == [window.network for window in windows]


def test_gaps_of_time_stamps() -> None:
    """Ten frames, two missing, one late by 50 ms."""
    meter = PlayMeter(48000)
    for frame in [0, 1, 2, 5, 6]:
        meter.add(960 * frame, 960, 0.02 * frame + (0.05 if frame == 6 else 0.0))
    played = meter.played
    assert (5 * 960, 2 * 960, 5) == (played.samples, played.missing, played.frames)
    assert played.lag == pytest.approx(0.05, abs=1e-4)


def test_time_stamps_that_jump_are_another_source() -> None:
    """A wrap or a new source is no gap of hours."""
    meter = PlayMeter(8000)
    meter.add(2**32 - 160, 160, 0.0)
    meter.add(0, 160, 0.02)
    meter.add(8000 * 3600, 160, 0.04)
    meter.add(None, 160, 0.06)
    assert (640, 0) == (meter.played.samples, meter.played.missing)


@pytest.mark.parametrize("rate", [0, -8000])
def test_a_clock_that_stands_still_is_refused(rate: int) -> None:
    """The clock rate must be above 0."""
    with pytest.raises(ValueError, match="above 0"):
        AiortcReader(5.0, rate)


VALUE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.datetimes()
    | st.lists(st.none())
)
FIELDS = [
    "type",
    "kind",
    "id",
    "ssrc",
    "packetsReceived",
    "packetsLost",
    "jitter",
    "packetsSent",
    "timestamp",
]
ENTRY = st.dictionaries(st.sampled_from([*FIELDS, "roundTripTime", "remoteTimestamp", "dtlsState"]), VALUE)
KINDS = st.sampled_from(
    ["inbound-rtp", "outbound-rtp", "remote-inbound-rtp", "remote-outbound-rtp", "transport"]
)
TYPED = st.builds(lambda entry, kind: {**entry, "type": kind, "kind": "audio"}, ENTRY, KINDS)
COUNT = st.integers(-(2**40), 2**40)
PLAYED = st.builds(Played, COUNT, COUNT, COUNT, st.floats(), st.integers(-1, 48000))


@given(
    st.lists(
        st.tuples(VALUE | st.lists(TYPED | VALUE, max_size=5), st.floats(), st.none() | PLAYED), max_size=8
    )
)
def test_any_reports_are_read_without_raising(feeds: list[tuple[Any, float, Played | None]]) -> None:
    """Whatever comes, figures stay on their scale."""
    reader = AiortcReader(5.0)
    windows, now = [], 0.0
    for report, step, played in feeds:
        now = now + step if 0.0 < step < 1e3 else now
        windows += reader.feed(report, now if 0.0 < step < 1e3 else step, played=played)
    for window in windows + reader.finish(1e3):
        for figures in (window.network, window.device, window.remote or NOT_MEASURED):
            assert figures.loss_pct is None or 0.0 <= figures.loss_pct <= 100.0
            assert figures.delay_ms is None or figures.delay_ms >= 0.0


RECORDED = [
    0.86,
    1.38,
    3.04,
    3.84,
    4.61,
    5.3,
    6.4,
    7.78,
    8.51,
    9.94,
    10.66,
    11.69,
    13.02,
    14.05,
    15.02,
    16.44,
]
RECORDED += [17.28, 18.64, 19.65, 20.83, 22.06, 22.62, 24.05]
"""When the reports of a real call came, silent from second 2.2 to 14.2, on a machine with too much to do."""


def _last_told(windows: list[Window]) -> list[Window]:
    """Each window as it was given out last."""
    return [window for _, window in sorted({window.index: window for window in windows}.items())]


def _polled(party: Party, polls: list[float]) -> list[Window]:
    reader = AiortcReader(5.0, start=0.0)
    windows: list[Window] = []
    for at in polls:
        report = party.report(at)
        windows += reader.feed(report, at, played=party.played)
    return windows + reader.finish(polls[-1])


def _lost_seconds(windows: list[Window]) -> float:
    return sum((w.network.loss_pct or 0.0) / 100.0 * (w.end - w.start) for w in _last_told(windows))


@pytest.mark.parametrize("stamps", ["go on", "stand still", "begin elsewhere"])
def test_silence_of_a_muted_sender_is_neither_loss_nor_delay(stamps: str) -> None:
    """Nothing was sent, so nothing was lost; what the times of its reports and packets do is no delay."""
    party = Party(muted=(2.2, 14.2), stamps=stamps, reports=RECORDED)
    windows = _polled(party, [1.01 * poll for poll in range(25)])
    assert [0.0, None, 0.0, 0.0, 0.0] == [window.network.loss_pct for window in windows]
    assert SILENT in windows[1].flags
    assert max(window.device.loss_pct or 0.0 for window in windows) == 0.0
    assert max(window.network.delay_ms or 0.0 for window in windows) < 60.0
    assert max(window.device.delay_ms or 0.0 for window in windows) < 40.0


def test_the_way_is_measured_again_after_a_silence() -> None:
    """Also where a report of the silence was read twice: it does not make the later ones useless."""
    party = Party(muted=(2.2, 14.2), reports=RECORDED, rise=lambda s: 0.2 if s >= 18 else 0.0)
    windows = _polled(party, [0.5 * poll for poll in range(50)])
    assert windows[4].network.delay_ms == pytest.approx(30.0 + 200.0, abs=25.0)


def _late(draw: random.Random, until: float, least: float, most: float, late: float) -> list[float]:
    """Times at random intervals, some of them late."""
    times, at = [], 0.0
    while at < until:
        at += draw.uniform(least, most)
        times.append(at + draw.choice([0.0, 0.0, draw.uniform(0.0, late)]))
    return sorted(times)


@pytest.mark.parametrize("seed", range(40))
def test_silence_is_no_loss_however_late_reports_and_polls_come(seed: int) -> None:
    """As on a machine with too much to do, whenever the sender mutes and for how long."""
    draw = random.Random(seed)
    begin = draw.uniform(1.0, 9.0)
    party = Party(
        muted=(begin, begin + draw.uniform(0.3, 15.0)),
        stamps=draw.choice(["go on", "stand still", "begin elsewhere"]),
        reports=_late(draw, 30.0, 0.5, 1.5, 0.9),
    )
    windows = _polled(party, [0.0, *_late(draw, 30.0, 1.0, 1.1, 0.9)])
    assert _lost_seconds(windows) < 0.01
    assert all((window.network.loss_pct or 0.0) < 1.0 for window in windows)  # nor for a while
    assert max(window.device.loss_pct or 0.0 for window in windows) == 0.0
    assert max(window.network.delay_ms or 0.0 for window in windows) < 130.0
    assert max(window.device.delay_ms or 0.0 for window in windows) < 130.0


@pytest.mark.parametrize("reports_too", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_an_outage_is_loss_whether_reports_come_through_it_or_not(seed: int, *, reports_too: bool) -> None:
    """All of it and no more, in the windows in which it was, though some of them were out already."""
    draw = random.Random(seed)
    begin, seconds = draw.uniform(3.0, 12.0), draw.uniform(1.5, 12.0)
    party = Party(reports=_late(draw, 30.0, 0.5, 1.5, 0.5))
    if reports_too:
        party.cut = (begin, begin + seconds)
    else:
        party.lost = {slot for slot in range(1500) if begin <= slot / 50.0 < begin + seconds}
    windows = _polled(party, [0.0, *_late(draw, 30.0, 1.0, 1.1, 0.5)])
    assert _lost_seconds(windows) == pytest.approx(seconds, abs=1.0)
    for window in _last_told(windows):
        seen = max(0.0, min(window.end, begin + seconds) - max(window.start, begin))
        assert window.network.loss_pct == pytest.approx(100.0 * seen / (window.end - window.start), abs=25.0)


def test_a_path_that_is_cut_for_good_is_an_outage() -> None:
    """Neither packets nor reports: told within five seconds, from where it began."""
    party = Party(cut=(8.5, 99.0), reports=[0.9 * report for report in range(40)])
    told = {window.index: window.network.loss_pct for window in _polled(party, [float(s) for s in range(15)])}
    assert [0.0, pytest.approx(30.0, abs=11.0), 100.0] == [told[index] for index in range(3)]


def test_reports_that_come_at_last_take_an_outage_back() -> None:
    """None for seven seconds of silence looks like a cut; windows already out come again when one tells."""
    party = Party(muted=(5.0, 25.0), reports=[1.0, 2.1, 3.2, 4.3, *(11.5 + report for report in range(20))])
    windows = _polled(party, [float(second) for second in range(31)])
    assert [0.0, 100.0] == [window.network.loss_pct for window in windows[:2]]
    assert [0.0, None, None, None, None, 0.0] == [window.network.loss_pct for window in _last_told(windows)]
    assert all(SILENT in w.flags and OUTAGE not in w.flags for w in _last_told(windows)[1:5])


def test_reports_of_a_silent_sender_carry_the_time_of_its_last_packet() -> None:
    """As aiortc's do: new reports, nothing sent since the last. That is silence and no outage."""
    reader, windows = AiortcReader(5.0), []
    for second in range(41):
        at, sent = EPOCH + timedelta(seconds=second), min(second, 10)
        report = {
            "in": {
                "type": "inbound-rtp",
                "kind": "audio",
                "ssrc": 1,
                "packetsReceived": 50 * sent,
                "packetsLost": 0,
            },
            "out": {
                "type": "remote-outbound-rtp",
                "kind": "audio",
                "ssrc": 1,
                "packetsSent": 50 * sent,
                "remoteTimestamp": EPOCH + timedelta(seconds=sent),
                "timestamp": at,
            },
            "transport": {"type": "transport", "dtlsState": "connected"},
        }
        windows += reader.feed(report, float(second))
    windows += reader.finish(40.0)
    assert [0.0, 0.0] + [None] * 6 == [window.network.loss_pct for window in windows]
    assert all("silent" in window.flags for window in windows[2:])
