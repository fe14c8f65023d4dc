"""Legs: figures by window become series; long, cut and bad ones become more spans."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import SpanLimits

import cxotel
from cxotel import Figures, Hints, Window, testing
from cxotel.media import series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.testing import Capture

LOSS, DELAY = "cx.media.to_agent.loss_pct", "cx.media.to_agent.delay_ms"
SECOND = 1_000_000_000


@pytest.fixture
def captured() -> Iterator[Capture]:
    """What the test records."""
    with testing.capture() as capture:
        yield capture


@pytest.fixture
def call(captured: Capture) -> cxotel.Call:
    """A call that lasts."""
    return cxotel.start_call("c-1")


def windows_of(spans: list[Any], attribute: str = LOSS) -> list[float | None]:
    """The series of several spans, one after the other."""
    values: list[float | None] = []
    for span in spans:
        decoded = series.decode(span.attributes[attribute])
        assert decoded is not None
        values += [value for count, value in decoded.runs for _ in range(count)]
    return values


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        ("carrier", "carrier leg"),
        ("ccaas", "platform leg"),
        ("agent_network", "agent network"),
        ("endpoint", "webrtc session"),
        ("voice_ai", "voice ai session"),
    ],
)
def test_a_leg_has_the_name_of_its_layer(captured: Capture, call: cxotel.Call, layer: str, name: str) -> None:
    """And is converse unless said otherwise."""
    call.start_leg(layer, owner="Acme").stop()

    attributes = captured.one(name).attributes
    assert {"cx.layer": layer, "cx.activity": "converse", "cx.owner": "Acme", "cx.media.window": 5.0} == {
        key: attributes[key] for key in ("cx.layer", "cx.activity", "cx.owner", "cx.media.window")
    }


def test_figures_become_series(captured: Capture, call: cxotel.Call) -> None:
    """Loss to 0.1, delay to whole ms, `-` for what was not measured, runs where shorter."""
    leg = call.start_leg("carrier", scope="path", window=2.5)
    for index in range(4):
        leg.add_window(index, to_agent=Figures(0, 40.4), to_customer=Figures(loss_pct=1.26))
    leg.add_window(6, to_agent=Figures(12.44, 41.6))
    leg.set_codec("PCMU", ie_to_agent=0)
    captured.clock.advance(17.5)
    leg.stop()

    attributes = captured.one("carrier leg").attributes
    assert {
        "cx.media.window": 2.5,
        "cx.media.scope": "path",
        "cx.media.codec": "PCMU",
        "cx.media.to_agent.ie": 0.0,
        LOSS: "0*4 - - 12.4",
        DELAY: "40*4 - - 42",
        "cx.media.to_customer.loss_pct": "1.3*4 -*3",
    } == {key: attributes[key] for key in attributes if key.startswith("cx.media")}


def test_a_window_given_twice_keeps_the_later_figures(captured: Capture, call: cxotel.Call) -> None:
    """A correction, not a second loss; what it does not measure stays."""
    leg = call.start_leg("carrier")
    leg.add_window(0, to_agent=Figures(50, 20))
    leg.add_window(0, to_agent=Figures(loss_pct=0))
    leg.stop()

    attributes = captured.one("carrier leg").attributes
    assert ("0", "20") == (attributes[LOSS], attributes[DELAY])


def test_a_leg_without_figures_has_no_series(captured: Capture, call: cxotel.Call) -> None:
    """Not measured is not lossless."""
    leg = call.start_leg("carrier")
    leg.add_window(0)
    leg.add_window(1, to_agent=Figures())
    leg.stop()

    assert {LOSS, DELAY}.isdisjoint(captured.one("carrier leg").attributes)


@pytest.mark.parametrize(
    "figures", [Figures(-1, -1), Figures(100.1, 60_001), Figures(float("nan"), float("inf"))]
)
def test_figures_out_of_range_are_counted(captured: Capture, call: cxotel.Call, figures: Figures) -> None:
    """The window is not measured; the others stay."""
    leg = call.start_leg("carrier")
    leg.add_window(0, to_agent=figures)
    leg.add_window(1, to_agent=Figures(1, 1))
    leg.stop()

    attributes = captured.one("carrier leg").attributes
    assert ("- 1", "- 1") == (attributes[LOSS], attributes[DELAY])
    assert {"bad_value": 2} == cxotel.counters()


@pytest.mark.parametrize("index", [-1, 1.0, "0", None, True, 10**9])
def test_an_index_that_is_none_is_counted(captured: Capture, call: cxotel.Call, index: Any) -> None:
    """A billion windows at once would fill the memory."""
    leg = call.start_leg("carrier")
    leg.add_window(index, to_agent=Figures(1, 1))
    leg.stop()

    assert {"bad_value": 1} == cxotel.counters()


@pytest.mark.parametrize("window", [0, -5, "5", 5000, float("nan"), None])
def test_a_window_length_that_is_none_is_five_seconds(
    captured: Capture, call: cxotel.Call, window: Any
) -> None:
    """5000 was meant as milliseconds."""
    assert call.start_leg("carrier", window=window).window == 5.0


def test_a_leg_of_more_than_an_hour_goes_on_in_a_new_span(captured: Capture, call: cxotel.Call) -> None:
    """720 windows in each, of the same name and attributes, without a gap."""
    leg = call.start_leg("carrier", owner="Acme")
    leg.set({"sip.call_id": "a@b"})
    for index in range(1500):
        leg.add_window(index, to_agent=Figures(index % 7, 30))
    assert 2 == len(captured.named("carrier leg"))
    leg.add_window(700, to_agent=Figures(99, 99))
    captured.clock.advance(7500)
    leg.fail("sip_503")

    spans = captured.named("carrier leg")
    assert [index % 7 for index in range(1500)] == windows_of(spans)
    assert [0, 3600, 7200] == [(span.start_time - testing.START) // SECOND for span in spans]
    assert [3600, 7200, 7500] == [(span.end_time - testing.START) // SECOND for span in spans]
    assert {("Acme", "a@b", 5.0)} == {
        (span.attributes["cx.owner"], span.attributes["sip.call_id"], span.attributes["cx.media.window"])
        for span in spans
    }
    assert [None, None, "sip_503"] == [span.attributes.get("error.type") for span in spans]
    assert {"late_window": 1} == cxotel.counters()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.none() | st.floats(0, 100), min_size=1, max_size=60),
    st.integers(5, 60),
    st.lists(st.none() | st.integers(0, 60_000), max_size=60),
)
def test_a_series_that_the_host_would_cut_goes_on_in_a_new_span(
    losses: list[float | None], limit: int, delays: list[int | None]
) -> None:
    """Whatever the limit on attribute length, all figures arrive, each in its own window."""
    with testing.capture(span_limits=SpanLimits(max_attribute_length=limit)) as captured:
        leg = cxotel.start_call("c-1").start_leg("carrier", activity=None, attributes={})
        length = max(len(losses), len(delays))
        for index in range(length):
            figures = Figures(
                losses[index] if index < len(losses) else None, delays[index] if index < len(delays) else None
            )
            leg.add_window(index, to_agent=figures)
        captured.clock.advance(5 * length)
        leg.stop()

        got: dict[tuple[str, int], float] = {}
        for span in captured.named("carrier leg"):
            first = (span.start_time - testing.START) // SECOND // 5
            for key in (LOSS, DELAY):
                text = span.attributes.get(key, "")
                assert len(text) <= limit
                values = windows_of([span], key) if text else []
                got.update(
                    {(key, first + place): value for place, value in enumerate(values) if value is not None}
                )
        wanted = {(LOSS, i): int(v * 10 + 0.5) / 10 for i, v in enumerate(losses) if v is not None}
        wanted.update({(DELAY, i): float(v) for i, v in enumerate(delays) if v is not None})
        assert wanted == got


def test_a_limit_too_short_for_one_window_is_counted() -> None:
    """Nothing wrong is sent, and the host never notices."""
    with testing.capture(span_limits=SpanLimits(max_attribute_length=2)) as captured:
        leg = cxotel.start_call("c-1").start_leg("carrier")
        leg.add_window(0, to_agent=Figures(12.5, 1))
        leg.add_window(1, to_agent=Figures(12.5, 2))
        leg.stop()

        assert cxotel.counters()["series_cut"] == 2
        assert "-" == captured.spans[-1].attributes[LOSS]


def test_a_limit_on_attributes_leaves_what_the_model_reads() -> None:
    """The host's own go first, and what is lost is counted."""
    with testing.capture(span_limits=SpanLimits(max_span_attributes=8)) as captured:
        leg = cxotel.start_call("c-1").start_leg("carrier", attributes={f"app.{i}": i for i in range(8)})
        leg.add_window(0, to_agent=Figures(1, 1))
        leg.stop()

        kept = captured.one("carrier leg").attributes
        assert {"cx.layer", "cx.activity", "cx.media.window", LOSS, DELAY} <= set(kept)
        assert cxotel.counters()["attributes_dropped"] >= 6


# Episodes


def test_an_episode_is_sent_while_it_lasts(captured: Capture, call: cxotel.Call) -> None:
    """The first when the first bad window closes, then one every 10 s, then what is left."""
    leg = call.start_leg("carrier")
    sent = []
    for index, loss in enumerate([0, 40, 40, 40, 40, 40, 40, 0, 0, 50, 0]):
        leg.add_window(index, to_agent=Figures(loss, 20))
        sent.append(len(captured.named("media episode")))
    leg.stop()

    episodes = captured.named("media episode")
    assert [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5] == sent
    assert ["40", "40*2", "40*2", "40", "50"] == [span.attributes[LOSS] for span in episodes]
    assert [(5, 10), (10, 20), (20, 30), (30, 35), (45, 50)] == [
        ((span.start_time - testing.START) // SECOND, (span.end_time - testing.START) // SECOND)
        for span in episodes
    ]
    assert {leg.span_id} == {f"{span.parent.span_id:016x}" for span in episodes}
    assert {("carrier", None)} == {
        (span.attributes["cx.layer"], span.attributes.get("cx.activity")) for span in episodes
    }


def test_an_episode_that_lasts_to_the_end_is_sent_whole(captured: Capture, call: cxotel.Call) -> None:
    """Also across the beginning of a new span."""
    leg = call.start_leg("carrier")
    for index in range(718, 724):
        leg.add_window(index, to_agent=Figures(100))
    leg.stop()

    assert [100.0] * 6 == windows_of(captured.named("media episode"))


@pytest.mark.parametrize("ago", [21, 100])
def test_an_episode_ends_with_its_leg(captured: Capture, call: cxotel.Call, ago: int) -> None:
    """Which ends inside a bad window; of a call that runs, and of one recorded a while ago."""
    start = testing.START - ago * SECOND
    leg = call.start_leg("agent_network", start_time=start)
    for index, loss in enumerate([0, 0, 0, 100, 100]):
        leg.add_window(index, to_agent=Figures(loss, 20))
    leg.stop(end_time=start + 21 * SECOND)

    episodes = captured.named("media episode")
    assert 15 * SECOND + start == episodes[0].start_time
    assert 21 * SECOND + start == episodes[-1].end_time


@pytest.mark.parametrize(
    ("figures", "bad"),
    [
        (Figures(13.0, 0), False),
        (Figures(14.0, 0), True),
        (Figures(0, 300), False),
        (Figures(0, 600), True),
        (Figures(9.0, 300), True),
        (Figures(None, None), False),
    ],
)
def test_an_episode_begins_below_r_60(
    captured: Capture, call: cxotel.Call, figures: Figures, bad: bool
) -> None:
    """R of the leg alone, by loss, delay or both (13 % loss alone is R 60.8; 14 % is R 59.2)."""
    leg = call.start_leg("carrier")
    leg.add_window(0, to_customer=figures)
    leg.stop()

    assert bad == bool(captured.named("media episode"))


def test_the_codec_counts_for_an_episode(captured: Capture, call: cxotel.Call) -> None:
    """Ie 40 alone is R 53, where something was measured."""
    leg = call.start_leg("endpoint")
    leg.set_codec("evil", ie_to_agent=40)
    leg.add_window(0, to_agent=Figures(0))
    leg.add_window(1, to_customer=Figures(0))
    leg.stop()

    assert [40.0] == [span.attributes["cx.media.to_agent.ie"] for span in captured.named("media episode")]


# Media sessions


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (
            "softphone",
            {
                ("agent_network", "to_agent"): ("1", "10"),
                ("agent_network", "to_customer"): ("3", "30"),
                ("endpoint", "to_agent"): ("2", "20"),
            },
        ),
        (
            "platform_agent",
            {
                ("agent_network", "to_customer"): ("1", "10"),
                ("agent_network", "to_agent"): ("3", "30"),
                ("ccaas", "to_customer"): ("2", "20"),
            },
        ),
        (
            "platform_customer",
            {
                ("carrier", "to_agent"): ("1", "10"),
                ("carrier", "to_customer"): ("3", "30"),
                ("ccaas", "to_agent"): ("2", "20"),
            },
        ),
        (
            "voice_ai",
            {
                ("ccaas", "to_agent"): ("1", "10"),
                ("ccaas", "to_customer"): ("3", "30"),
                ("voice_ai", "to_agent"): ("2", "20"),
            },
        ),
        ("customer", {("carrier", "to_customer"): ("3", "30"), ("carrier", "to_agent"): ("3", "30")}),
    ],
)
def test_a_role_decides_who_is_charged(
    captured: Capture, call: cxotel.Call, role: str, expected: dict[tuple[str, str], tuple[str, str]]
) -> None:
    """The table of the call trace: what did not come, what was not played, and what the far side reports."""
    with call.start_media(role) as media:
        media.add(Window(0, 0, 5, network=Figures(1, 10), device=Figures(2, 20), remote=Figures(3, 30)))

    got = {}
    for span in captured.spans[1:]:
        for direction in ("to_agent", "to_customer"):
            if loss := span.attributes.get(f"cx.media.{direction}.loss_pct"):
                delay = span.attributes[f"cx.media.{direction}.delay_ms"]
                got[span.attributes["cx.layer"], direction] = (loss, delay)
        assert role == span.attributes["cx.media.role"]
    assert expected == got


def test_network_and_device_have_owners_of_their_own(captured: Capture, call: cxotel.Call) -> None:
    """Who can fix the way and who can fix what stands at its end are seldom the same."""
    call.start_media("softphone", owner="BPO North IT", device_owner="Desktop team").stop()

    got = {span.attributes["cx.layer"]: span.attributes["cx.owner"] for span in captured.spans[1:]}
    assert got == {"agent_network": "BPO North IT", "endpoint": "Desktop team"}


def test_an_unknown_role_is_counted(captured: Capture, call: cxotel.Call) -> None:
    """A softphone is what most programs are."""
    assert call.start_media("telephone").role == "softphone"
    assert {"bad_value": 1} == cxotel.counters()


def test_the_part_that_broke_has_the_error(captured: Capture, call: cxotel.Call) -> None:
    """The network unless the device is named."""
    call.start_media("softphone").fail("ice_failed")
    call.start_media("softphone").fail("device_lost", part="device")

    errors = [(span.name, span.attributes.get("error.type")) for span in captured.spans[1:]]
    assert [
        ("webrtc session", None),
        ("agent network", "ice_failed"),
        ("webrtc session", "device_lost"),
        ("agent network", None),
    ] == errors


def test_the_codec_stands_where_it_is_decoded(captured: Capture, call: cxotel.Call) -> None:
    """Its impairment comes from the table, if the standard has one."""
    media = call.start_media("softphone")
    media.set_codec("G729")
    media.stop()
    other = call.start_media("softphone")
    other.set_codec("x-unheard-of")
    other.stop()

    first, second = captured.named("webrtc session")
    assert (10.0, None) == (
        first.attributes["cx.media.to_agent.ie"],
        second.attributes.get("cx.media.to_agent.ie"),
    )
    assert "cx.media.to_agent.ie" not in captured.named("agent network")[0].attributes
    assert ("G729", "x-unheard-of") == (
        first.attributes["cx.media.codec"],
        second.attributes["cx.media.codec"],
    )


async def test_a_session_that_is_left_by_an_exception_has_failed(
    captured: Capture, call: cxotel.Call
) -> None:
    """Asynchronous blocks too; ending twice is harmless."""
    with pytest.raises(ConnectionError):
        async with call.start_media("softphone") as media:
            raise ConnectionError
    media.stop()
    media.add(Window(0, 0, 5))
    media.feed({}, 1.0, Hints())

    assert captured.one("agent network").attributes["error.type"] == "ConnectionError"
    assert {"ended_twice": 2, "after_end": 3} == cxotel.counters()


def getstats(seconds: float, lost: int, concealed: int) -> dict[str, dict[str, Any]]:
    """What Chromium's getStats has of an audio stream of 50 packets a second (the members that matter)."""
    samples = int(seconds * 48_000)
    return {
        "IT01A": {
            "type": "inbound-rtp",
            "id": "IT01A",
            "kind": "audio",
            "ssrc": 1,
            "timestamp": seconds * 1000,
            "packetsReceived": int(seconds * 50) - lost,
            "packetsLost": lost,
            "jitter": 0.002,
            "jitterBufferDelay": 0.03 * samples,
            "jitterBufferEmittedCount": samples,
            "concealedSamples": concealed,
            "silentConcealedSamples": 0,
            "totalSamplesReceived": samples,
        }
    }


def test_a_softphone_is_fed_with_getstats(captured: Capture, call: cxotel.Call) -> None:
    """10 % of the packets lost for 10 s are two windows of loss on the network, none on the device."""
    media = call.start_media("softphone")
    for second in range(21):
        lost = 5 * min(max(second - 5, 0), 10)
        media.feed(getstats(second, lost, lost * 960), 1000.0 + second)
        captured.clock.advance(1)
    media.stop()

    network, device = captured.one("agent network"), captured.one("webrtc session")
    assert [0, 10, 10, 0] == windows_of([network])
    assert [0, 0, 0, 0] == windows_of([device])
    assert {} == cxotel.counters()


@pytest.mark.parametrize("at", ["now", None, True, float("nan"), 1e300])
def test_a_feed_without_a_time_is_counted(captured: Capture, call: cxotel.Call, at: Any) -> None:
    """Seconds on a clock are needed to know how long a count took."""
    call.start_media("softphone").feed({}, at)
    call.start_leg("carrier").feed({}, at)

    assert {"bad_value": 2} == cxotel.counters()


def far_side(seconds: float) -> dict[str, dict[str, Any]]:
    """What getStats has of a stream sent at 50 packets a second, of which the far side misses 2 %."""
    return {
        "OT01A": {"type": "outbound-rtp", "id": "OT01A", "kind": "audio", "packetsSent": int(seconds * 50)},
        "RI01A": {
            "type": "remote-inbound-rtp",
            "id": "RI01A",
            "kind": "audio",
            "timestamp": seconds * 1000,
            "packetsLost": int(seconds),
            "roundTripTime": 0.08,
        },
    }


@pytest.mark.parametrize("layer", ["carrier", "agent_network", "ccaas", "endpoint", "voice_ai"])
@pytest.mark.parametrize("receives", ["to_agent", "to_customer"])
def test_a_leg_takes_of_getstats_what_its_layer_is_charged_with(
    captured: Capture, call: cxotel.Call, layer: str, receives: str
) -> None:
    """The way: 10 % lost for 10 s, and 2 % of what was sent; the device: half of 5 s not played."""
    leg = call.start_leg(layer)
    for second in range(21):
        lost = 5 * min(max(second - 5, 0), 10)
        unplayed = 24_000 * min(max(second - 15, 0), 5)
        leg.feed(
            getstats(second, lost, lost * 960 + unplayed) | far_side(second),
            1000.0 + second,
            receives=receives,
        )
        captured.clock.advance(1)
    leg.stop()

    span = captured.spans[-1]
    sends = "to_customer" if receives == "to_agent" else "to_agent"
    got = {
        direction: windows_of([span], f"cx.media.{direction}.loss_pct")
        for direction in (receives, sends)
        if f"cx.media.{direction}.loss_pct" in span.attributes
    }
    way = {receives: [0, 10, 10, 0], sends: [2, 2, 2, 2]}
    assert ({receives: [0, 0, 0, 50]} if layer in ("endpoint", "voice_ai") else way) == got
    assert {} == cxotel.counters()


def test_a_leg_is_fed_up_to_its_end(captured: Capture, call: cxotel.Call) -> None:
    """The last window is not complete when the call ends; what comes later is counted."""
    leg = call.start_leg("agent_network")
    for second in range(9):
        leg.feed(getstats(second, 0, 0), second)
        captured.clock.advance(1)
    call.stop()
    leg.feed(getstats(9, 0, 0), 9)

    assert [0, 0] == windows_of([captured.one("agent network")])
    assert {"left_open": 1, "after_end": 1} == cxotel.counters()


def test_a_direction_that_is_none_is_what_the_agent_hears(captured: Capture, call: cxotel.Call) -> None:
    """And is counted."""
    call.start_leg("carrier").feed({}, 1.0, receives="both")

    assert {"bad_value": 1} == cxotel.counters()


# Forked children


@contextlib.contextmanager
def held(*locks: Any) -> Iterator[None]:
    """The locks are held by another thread."""
    taken, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            taken.set()
            enough.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        yield
    finally:
        enough.set()
        thread.join()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # Python 3.12 and later
def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent(captured: Capture, call: cxotel.Call) -> None:
    """A thread that was feeding is not there in the child, and its lock would never open."""
    leg, media = call.start_leg("carrier"), call.start_media("softphone")
    with held(leg._lock, media._lock, media.network._lock, media.device._lock):
        child = os.fork()
        if child == 0:
            signal.alarm(5)  # ends the child if it waits
            good = False
            try:
                leg.add_window(0, to_agent=Figures(1.0))
                leg.feed({}, 1.0)
                leg.set_codec("opus")
                media.feed({}, 1.0)
                leg.stop()
                call.stop()
                good = {"forked": 6} == cxotel.counters()
                media.add(Window(0, 0, 5))
                media.set_codec("opus")
                media.stop()
            finally:
                os._exit(0 if good else 1)
        _, status = os.waitpid(child, 0)

    assert status == 0
