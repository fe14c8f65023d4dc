"""Browsers' statistics become windows; each blind spot of theirs has a test."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxotel.media.w3c import W3CReader, sample
from cxotel.media.windows import (
    ABSENT,
    INACTIVE,
    JITTER,
    NOT_MEASURED,
    OUTAGE,
    RESET,
    SILENT,
    UNPOLLED,
    Hints,
    Window,
)

RECORDS = Path(__file__).resolve().parents[2] / "shared" / "data" / "records"
needs_records = pytest.mark.skipif(
    not RECORDS.is_dir(), reason="shared records are not beside the repository"
)


@dataclass
class Browser:
    """A receiver that counts as Chromium 156 was measured to, packet by packet of 20 ms.

    `lost` packets never come; outages of over 50 packets never reach `packetsLost`; each 20 ms without one
    are 960 concealed samples, silent ones after half a second; `thrown` packets come and are not played.
    """

    lost: set[int] = field(default_factory=set)
    thrown: set[int] = field(default_factory=set)
    jitter: float = 0.001
    buffer: float = 0.04
    round_trip: float | None = 0.04
    sent: Any = None
    rise: Any = None
    playout_delay: float = 0.0
    ssrc: int = 1
    extra: dict[str, dict[str, Any]] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def report(self, seconds: float) -> dict[str, dict[str, Any]]:
        """What getStats gives `seconds` after the start."""
        packets = range(int(seconds * 50))
        received = lost = concealed = silent = run = 0
        for packet in packets:
            if packet in self.lost:
                run += 1
            else:
                received += 1
                lost += run if run <= 50 else 0
                run = 0
            gone = packet in self.lost or packet in self.thrown
            concealed += 960 * gone
            silent += 960 * (gone and run > 25)
        emitted = 960 * received
        inbound: dict[str, Any] = {
            "id": f"IT01A{self.ssrc}",
            "type": "inbound-rtp",
            "kind": "audio",
            "ssrc": self.ssrc,
            "packetsReceived": received,
            "packetsLost": lost,
            "jitter": self.jitter,
            "totalSamplesReceived": 960 * len(packets),
            "concealedSamples": concealed,
            "silentConcealedSamples": silent,
            "jitterBufferDelay": emitted * self.buffer,
            "jitterBufferEmittedCount": emitted,
        }
        for name in self.without:
            inbound.pop(name)
        entries: dict[str, dict[str, Any]] = {
            "T01": {"id": "T01", "type": "transport", "dtlsState": "connected", "iceState": "connected"},
            **({inbound["id"]: inbound} if received else {}),
            **self.extra,
        }
        if self.round_trip is not None:
            entries["RI1"] = {
                "id": "RI1",
                "type": "remote-inbound-rtp",
                "kind": "audio",
                "timestamp": 1000.0 * seconds,
                "roundTripTime": self.round_trip,
                "packetsLost": 0,
            }
        if self.sent is not None or self.rise is not None:
            rise = self.rise(seconds) if self.rise is not None else 0.0
            entries["RO1"] = {
                "id": "RO1",
                "type": "remote-outbound-rtp",
                "kind": "audio",
                "ssrc": self.ssrc,
                "packetsSent": int(seconds * 50) if self.sent is None else self.sent(seconds),
                "remoteTimestamp": 1000.0 * seconds,
                "timestamp": 1000.0 * (seconds + 55.0 + rise),
            }
        if self.playout_delay:
            entries["AP1"] = {
                "id": "AP1",
                "type": "media-playout",
                "kind": "audio",
                "totalPlayoutDelay": self.playout_delay * 960 * len(packets),
                "totalSamplesCount": 960 * len(packets),
            }
        return entries


def _windows(
    browser: Browser, seconds: float = 20.0, *, step: float = 1.0, hints: Hints | None = None
) -> list[Window]:
    reader = W3CReader(5.0, start=0.0)
    windows: list[Window] = []
    at = 0.0
    while at <= seconds + 1e-9:
        windows += reader.feed(browser.report(at), at, hints=hints or Hints())
        at += step
    return windows + reader.finish(seconds)


def _random(share: float, packets: int = 1000, seed: int = 5) -> set[int]:
    draw = random.Random(seed)
    return {packet for packet in range(packets) if draw.random() < share}


def _loss(windows: list[Window]) -> list[float | None]:
    return [window.network.loss_pct for window in windows]


def _device(windows: list[Window]) -> list[float | None]:
    return [window.device.loss_pct for window in windows]


def test_a_clean_call() -> None:
    """Nothing lost; half the round trip on the network, the buffer's packet on the device."""
    windows = _windows(Browser())
    assert [0.0] * 4 == _loss(windows) == _device(windows)
    assert windows[1].network.delay_ms == pytest.approx(20.0)
    assert windows[1].device.delay_ms == pytest.approx(40.0)
    assert all(not window.flags for window in windows)


@pytest.mark.parametrize("step", [0.5, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("share", [0.05, 0.15])
def test_random_loss_is_the_networks(share: float, step: float) -> None:
    """What never came is the network's, at any pace of polling; the device has no part in it."""
    lost = _random(share)
    windows = _windows(Browser(lost=lost), step=step)
    truth = 100.0 * len(lost) / 1000.0
    losses, devices = _loss(windows), _device(windows)
    assert sum(loss or 0.0 for loss in losses) / 4 == pytest.approx(truth, abs=1.0)
    assert max(device or 0.0 for device in devices) < 0.7


@pytest.mark.parametrize("packets", [60, 100, 300])
def test_chromiums_blind_packets_lost_on_outages_over_a_second(packets: int) -> None:
    """`packetsLost` stays 0 for 1.2, 2 and 6 s; concealment and packets that never came tell all of it."""
    browser = Browser(lost=set(range(260, 260 + packets)))
    assert browser.report(20.0)["IT01A1"]["packetsLost"] == 0
    windows = _windows(browser)
    missed = sum((window.network.loss_pct or 0.0) / 100.0 * 250.0 for window in windows)
    assert missed == pytest.approx(packets, abs=3.0)
    assert all((device or 0.0) < 1.0 for device in _device(windows))
    assert OUTAGE in windows[1].flags or packets < 100


def test_an_outage_of_a_whole_window_is_total_loss() -> None:
    """Ten seconds without a packet are two windows of 100 %; of the device nothing is known there."""
    windows = _windows(Browser(lost=set(range(250, 750))))
    assert [0.0, pytest.approx(100.0), pytest.approx(100.0), pytest.approx(0.0, abs=0.5)] == _loss(windows)
    assert windows[1].device.loss_pct is None


def test_short_gaps_are_counted_once() -> None:
    """A gap of 0.9 s is in `packetsLost` (45) and in the concealment: 45 lost, not 90."""
    windows = _windows(Browser(lost=set(range(320, 365))))
    assert [0.0, pytest.approx(18.0, abs=0.5), 0.0, 0.0] == _loss(windows)


def test_silence_of_a_sender_with_dtx_is_not_loss() -> None:
    """With DTX known, packets that do not come and the silence made up for them are a pause."""
    browser = Browser(lost=set(range(250, 500)))
    windows = _windows(browser, hints=Hints(dtx=True))
    assert all((loss or 0.0) < 3.0 for loss in _loss(windows))
    assert SILENT in windows[1].flags


def test_dtx_is_read_from_the_codec() -> None:
    """`usedtx=1` in the format parameters of the codec in use says it."""
    inbound = {**Browser().report(1.0)["IT01A1"], "codecId": "C1"}
    codec = {"id": "C1", "type": "codec", "sdpFmtpLine": "minptime=10;useinbandfec=1;usedtx=1"}
    assert sample([inbound, codec]).dtx is True
    assert sample([inbound, {**codec, "sdpFmtpLine": "minptime=10"}]).dtx is None


def test_a_sender_report_that_nothing_was_sent_wins() -> None:
    """Hold without renegotiation: reports go on, their packet count stands still; that is no outage."""
    browser = Browser(
        lost=set(range(250, 750)), sent=lambda s: min(int(s * 50), 250) if s < 15 else int(s * 50) - 500
    )
    windows = _windows(browser)
    assert all((loss or 0.0) < 1.0 for loss in _loss(windows))
    assert windows[2].network.loss_pct is None
    assert SILENT in windows[2].flags


def test_hold_is_not_loss() -> None:
    """A direction that is not negotiated is not measured."""
    windows = _windows(Browser(lost=set(range(1000))), hints=Hints(receiving=False))
    assert [NOT_MEASURED] * 4 == [window.network for window in windows]
    assert all(INACTIVE in window.flags for window in windows)


def test_a_receiver_that_plays_nothing_is_off() -> None:
    """Neither packets nor samples (Jitsi's large room while two talk directly): off, not an outage."""
    browser = Browser()
    reader = W3CReader(5.0, start=0.0)
    windows = [w for at in range(17) for w in reader.feed(browser.report(min(float(at), 5.0)), float(at))]
    assert [0.0, None, None] == _loss(windows)
    assert all(INACTIVE in window.flags for window in windows[1:])


def test_stats_absent_for_good_while_connected_are_total_loss() -> None:
    """One-way audio from the start: Chromium has no inbound-rtp at all."""
    windows = _windows(Browser(lost=set(range(1000))))
    assert [100.0] * 4 == _loss(windows)
    assert all({ABSENT, OUTAGE} <= window.flags for window in windows)
    assert [None] * 4 == _device(windows)


def test_stats_absent_at_the_start_are_not_loss() -> None:
    """Before the transport is up (Chromium 141 leaves entries out) and until the first packet."""
    reader = W3CReader(5.0, start=0.0)
    browser = Browser()
    windows = []
    for second in range(16):
        report: Any = (
            browser.report(second - 3.0) if second > 3 else {"T01": {"type": "transport", "iceState": "new"}}
        )
        windows += reader.feed(report, float(second))
    assert [0.0, 0.0] == _loss(windows)
    assert INACTIVE in windows[0].flags


def test_no_statistics_at_all_are_not_loss() -> None:
    """Where nothing says that the transport is up, nothing is measured."""
    reader = W3CReader(5.0, start=0.0)
    windows = [window for second in range(12) for window in reader.feed({}, float(second))]
    assert [NOT_MEASURED] * 2 == [window.network for window in windows]


def test_jitter_is_the_networks() -> None:
    """Audio made up without loss, under jitter that fills the buffer, is the network's."""
    thrown = _random(0.03)
    windows = _windows(Browser(thrown=thrown, jitter=0.03, buffer=0.088))
    assert sum(loss or 0.0 for loss in _loss(windows)) / 4 == pytest.approx(len(thrown) / 10.0, abs=1.0)
    assert [0.0] * 4 == _device(windows)
    assert all(JITTER in window.flags for window in windows)


def test_audio_that_came_and_was_not_played_is_the_devices() -> None:
    """The same without jitter is the device's."""
    thrown = _random(0.1)
    windows = _windows(Browser(thrown=thrown))
    assert [0.0] * 4 == _loss(windows)
    assert sum(device or 0.0 for device in _device(windows)) / 4 == pytest.approx(len(thrown) / 10.0, abs=1.0)


def test_loss_and_device_together_are_told_apart() -> None:
    """4 % that never came and 20 % of the rest thrown away: each its own, together what was concealed."""
    lost = _random(0.04, seed=1)
    thrown = _random(0.2, seed=2) - lost
    windows = _windows(Browser(lost=lost, thrown=thrown))
    for i, window in enumerate(windows):
        packets = set(range(250 * i, 250 * i + 250))
        network, device = window.network.loss_pct or 0.0, window.device.loss_pct or 0.0
        assert network == pytest.approx(100.0 * len(lost & packets) / 250.0, abs=2.5)
        missing = len((lost | thrown) & packets) / 250.0
        assert 1 - (1 - network / 100) * (1 - device / 100) == pytest.approx(missing, abs=0.02)


def test_buffer_delay_beyond_jitter_is_the_devices() -> None:
    """Of 200 ms in the buffer, 20 ms of jitter explain 20 (60 less the usual 40); playing out takes 30."""
    windows = _windows(Browser(jitter=0.02, buffer=0.2, playout_delay=0.03))
    assert windows[1].network.delay_ms == pytest.approx(20.0 + 20.0)
    assert windows[1].device.delay_ms == pytest.approx(200.0 - 20.0 + 30.0)


def test_least_delay_of_the_jitter_buffer_is_the_networks() -> None:
    """`jitterBufferMinimumDelay` is what the network alone would need."""
    browser = Browser(buffer=0.2)
    report = browser.report

    def with_least(seconds: float) -> dict[str, dict[str, Any]]:
        entries = report(seconds)
        for entry in entries.values():
            if "jitterBufferEmittedCount" in entry:
                entry["jitterBufferMinimumDelay"] = 0.12 * entry["jitterBufferEmittedCount"]
        return entries

    browser.report = with_least  # type: ignore[method-assign]
    windows = _windows(browser)
    assert windows[1].network.delay_ms == pytest.approx(20.0 + 80.0)
    assert windows[1].device.delay_ms == pytest.approx(120.0)


def test_timestamp_wrap_jitter_is_ignored() -> None:
    """Jitter of 5,592 s (an RTP timestamp that wrapped under plain subtraction) explains nothing."""
    windows = _windows(Browser(thrown=_random(0.1), jitter=5592.0))
    assert [0.0] * 4 == _loss(windows)
    assert windows[1].network.delay_ms == pytest.approx(20.0)


def test_round_trip_none_is_no_delay() -> None:
    """Without a round trip the delay is not measured, never guessed."""
    windows = _windows(Browser(round_trip=None))
    assert [None] * 4 == [window.network.delay_ms for window in windows]
    assert windows[1].network.loss_pct == 0.0


def test_round_trip_of_ice_where_rtcp_has_none() -> None:
    """The selected candidate pair's round trip is the second best."""
    pair = {"id": "CP1", "type": "candidate-pair", "currentRoundTripTime": 0.06}
    transport = {"id": "T01", "type": "transport", "dtlsState": "connected", "selectedCandidatePairId": "CP1"}
    windows = _windows(Browser(round_trip=None, extra={"CP1": pair, "T01": transport}))
    assert windows[1].network.delay_ms == pytest.approx(30.0)


def test_stale_remote_entries_end() -> None:
    """A remote entry that is never renewed stops telling delay and loss."""
    browser = Browser()
    stale = browser.report(1.0)["RI1"]
    browser.round_trip, browser.extra = None, {"RI1": stale}
    windows = _windows(browser, 30.0)
    assert windows[0].network.delay_ms == pytest.approx(20.0)
    assert windows[5].network.delay_ms is None
    assert windows[5].remote is None


def test_delay_that_grows_on_the_way_here() -> None:
    """Sender reports show that the 100 ms more are on the way here, before the round trip would say so."""
    windows = _windows(Browser(rise=lambda s: 0.1 if s >= 10 else 0.0))
    assert windows[0].network.delay_ms == pytest.approx(20.0)
    assert windows[3].network.delay_ms == pytest.approx(120.0, abs=1.0)


def test_what_the_far_side_missed() -> None:
    """Totals of the far side's reports against what was sent: 10 % lost on the way there."""
    reader = W3CReader(5.0, start=0.0)
    windows: list[Window] = []
    for second in range(21):
        report = Browser().report(float(second))
        report["RI1"]["packetsLost"] = 5 * second
        report["OT1"] = {"id": "OT1", "type": "outbound-rtp", "kind": "audio", "packetsSent": 50 * second}
        windows += reader.feed(report, float(second))
    remote = windows[1].remote
    assert remote is not None
    assert remote.loss_pct == pytest.approx(10.0)
    assert remote.delay_ms == pytest.approx(20.0)


@pytest.mark.parametrize("lost", [-1, -40])
def test_duplicates_never_give_negative_loss(lost: int) -> None:
    """Copies and reordering make `packetsLost` negative; loss stays 0."""
    reader = W3CReader(5.0, start=0.0)
    windows: list[Window] = []
    for second in range(12):
        report = Browser(without=("concealedSamples",)).report(float(second))
        if "IT01A1" in report:
            report["IT01A1"]["packetsLost"] = lost * second
        windows += reader.feed(report, float(second))
    assert [0.0, 0.0] == _loss(windows)


def test_a_new_ssrc_begins_a_new_count() -> None:
    """After a transfer another source with small totals is no loss and no negative count."""
    reader = W3CReader(5.0, start=0.0)
    windows: list[Window] = []
    for second in range(21):
        browser = Browser() if second < 7 else Browser(ssrc=2)
        windows += reader.feed(browser.report(float(second if second < 7 else second - 6)), float(second))
    assert [0.0] * 3 == _loss(windows)
    assert RESET in windows[1].flags


def test_counters_that_go_back_begin_a_new_count() -> None:
    """The same source with smaller totals began anew."""
    reader = W3CReader(5.0, start=0.0)
    windows: list[Window] = []
    for second in range(21):
        windows += reader.feed(Browser().report(float(second if second < 7 else second - 6)), float(second))
    assert [0.0] * 3 == _loss(windows)
    assert RESET in windows[1].flags


def test_of_several_sources_those_that_flow_count() -> None:
    """A source that ended stays in the report and goes on concealing; only the living one counts."""
    reader = W3CReader(5.0, start=0.0)
    windows: list[Window] = []
    for second in range(16):
        dead, living = Browser(lost=set(range(100, 1000))), Browser(ssrc=2, lost=_random(0.1))
        report = {**dead.report(float(second)), **living.report(float(second))}
        windows += reader.feed(report, float(second))
    assert windows[1].network.loss_pct == pytest.approx(10.0, abs=5.0)
    assert (windows[1].device.loss_pct or 0.0) < 1.0


def test_polls_too_far_apart_are_not_measured() -> None:
    """A minute between two polls says nothing of a window of five seconds."""
    reader = W3CReader(5.0, start=0.0)
    browser = Browser(lost=_random(0.2, 5000))
    windows = [window for at in (0.0, 1.0, 2.0, 62.0) for window in reader.feed(browser.report(at), at)]
    assert windows[5].network == NOT_MEASURED
    assert UNPOLLED in windows[5].flags


def test_without_concealment_counters_numbers_tell() -> None:
    """Firefox before 113 has packets only: loss by number, outages by the packets that stopped."""
    bare = ("concealedSamples", "silentConcealedSamples", "totalSamplesReceived", "jitterBufferDelay")
    windows = _windows(Browser(lost=_random(0.1, 500) | set(range(500, 750)), without=bare))
    assert windows[0].network.loss_pct == pytest.approx(10.0, abs=4.0)
    assert windows[2].network.loss_pct == pytest.approx(100.0)
    assert [None] * 4 == _device(windows)
    assert [None] * 4 == [window.device.delay_ms for window in windows]


def test_time_that_does_not_go_on_is_ignored() -> None:
    """A feed at the same or an earlier time, or at none, changes nothing."""
    reader = W3CReader(5.0, start=0.0)
    for at in (0.0, 1.0, 1.0, 0.5, float("nan"), float("inf")):
        assert reader.feed(Browser().report(1.0), at) == []
    assert [(0, 0.0, 1.0)] == [(w.index, w.start, w.end) for w in reader.finish(0.0)]


@pytest.mark.parametrize("window", [0.0, 0.09, 2e6, -1.0, float("nan"), float("inf")])
def test_a_window_without_length_is_refused(window: float) -> None:
    """The length of a window must be a number above 0."""
    with pytest.raises(ValueError, match="must be"):
        W3CReader(window)


def test_nothing_fed_nothing_given() -> None:
    """A reader that was never fed has no windows."""
    assert W3CReader().finish(100.0) == []


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3),
    max_leaves=5,
)
NAMES = sorted({name for entry in Browser(sent=int, playout_delay=1).report(2.0).values() for name in entry})
ENTRY = st.dictionaries(st.sampled_from([*NAMES, "stats", "trackId", "codecId"]), VALUE, max_size=12)
TYPES = [
    "inbound-rtp",
    "remote-inbound-rtp",
    "remote-outbound-rtp",
    "outbound-rtp",
    "transport",
    "candidate-pair",
]
TYPED = st.builds(
    lambda entry, kind: {**entry, "type": kind}, ENTRY, st.sampled_from([*TYPES, "ssrc", "media-playout"])
)
ANY_REPORT = VALUE | st.lists(TYPED, max_size=5) | st.dictionaries(st.text(max_size=4), TYPED, max_size=5)


@given(st.lists(st.tuples(ANY_REPORT, st.floats() | st.floats(0.1, 3.0)), max_size=12))
def test_any_reports_are_read_without_raising(feeds: list[tuple[Any, float]]) -> None:
    """Whatever a page sends, figures stay on their scale."""
    reader = W3CReader(5.0)
    windows, now = [], 0.0
    for report, step in feeds:
        now = now + step if 0.0 < step < 1e3 else now
        windows += reader.feed(report, now if 0.0 < step < 1e3 else step)
    for window in windows + reader.finish(1e3):
        for figures in (window.network, window.device, window.remote or NOT_MEASURED):
            assert figures.loss_pct is None or 0.0 <= figures.loss_pct <= 100.0
            assert figures.delay_ms is None or figures.delay_ms >= 0.0


@given(st.sets(st.integers(0, 999)), st.sets(st.integers(0, 999)), st.floats(0.5, 3.0), st.floats(0.0, 0.2))
def test_network_and_device_never_exceed_what_was_concealed(
    lost: set[int], thrown: set[int], step: float, jitter: float
) -> None:
    """Over the call, both shares together are the concealed share, whatever was lost or thrown away."""
    browser = Browser(lost=lost, thrown=thrown - lost, jitter=jitter)
    missed = 0.0
    for window in _windows(browser, step=step):
        network, device = window.network.loss_pct or 0.0, window.device.loss_pct or 0.0
        missed += (window.end - window.start) * (1 - (1 - network / 100) * (1 - device / 100))
    assert missed <= 0.02 * len(lost | thrown) + 3.0


@needs_records
@pytest.mark.parametrize(
    ("name", "received", "lost", "jitter", "round_trip"),
    [
        ("rtcstatsreport-edge.json", 61687, 41, 0.003, None),
        ("rtcstatsreport-ff.json", 836, 0, 0.003, None),
        ("rtcstatsreport.json", 61687, 41, 0.003, 0.086),
        ("rtcstatsreport-with-transport.json", 4, 0, 0.0, 0.08),
        ("rtcstatsresponse.json", 24776, 0, 0.004, 0.085),
    ],
)
def test_recorded_reports(
    name: str, received: int, lost: int, jitter: float, round_trip: float | None
) -> None:
    """Reports of Chrome, Edge, Firefox and legacy Chrome are read alike."""
    read = sample(json.loads((RECORDS / "twilio-voice-js" / name).read_text()))
    (stream,) = read.streams
    assert (received, lost, jitter) == (stream.received, stream.lost, stream.jitter)
    if round_trip is not None:
        assert round_trip == read.round_trip


@needs_records
def test_recorded_reports_before_ice() -> None:
    """Chrome 141 leaves entries out until ICE connects: not connected, nothing received."""
    read = sample(
        json.loads((RECORDS / "twilio-voice-js" / "rtcstatsreport-chrome141-pre-ice.json").read_text())
    )
    assert (False, ()) == (read.connected, read.streams)


@needs_records
@pytest.mark.parametrize(
    "name",
    [
        "google-standard-stats-p2p",
        "google-legacy-stats-p2p",
        "google-standard-stats-sfu",
        "firefox-standard-stats-sfu",
    ],
)
def test_recorded_calls(name: str) -> None:
    """Real calls of Jitsi, delta-compressed: most windows are clean, but for one talker's in a large room."""
    connections: dict[str, tuple[W3CReader, dict[str, dict[str, Any]]]] = {}
    windows: list[Window] = []
    for line in (RECORDS / "rtcstats-jitsi" / name).read_text().splitlines():
        event = json.loads(line)
        if not (isinstance(event, list) and event[0] == "getstats"):
            continue
        reader, stats = connections.setdefault(event[1], (W3CReader(5.0), {}))
        for key, values in event[2].items():
            if isinstance(values, dict):
                stats.setdefault(key, {"id": key}).update(values)
        windows += reader.feed(stats, event[3] / 1000.0)
    measured = [window.network.loss_pct for window in windows if window.network.loss_pct is not None]
    assert len(measured) > 3
    assert sorted(measured)[len(measured) // 2] < (5.0 if name == "google-standard-stats-sfu" else 1.0)
