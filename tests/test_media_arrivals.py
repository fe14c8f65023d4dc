"""Where packets are seen coming, loss, lateness and delay are measured, not inferred."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxotel.media.aiortc_stats import Played
from cxotel.media.arrivals import ArrivalReader
from cxotel.media.windows import INACTIVE, OUTAGE, RESET, SILENT, Hints, Window

Packet = tuple[int, int, float]


def _packets(count: int, *, first: int = 0, lost: frozenset[int] = frozenset()) -> list[Packet]:
    """Packets of 20 ms at 48 kHz, 100 ms on the way."""
    return [
        ((first + i) % 65536, (960 * (first + i)) % 2**32, 0.1 + 0.02 * i)
        for i in range(count)
        if i not in lost
    ]


def _windows(packets: list[Packet], seconds: float, *, round_trip: float | None = 0.05) -> list[Window]:
    reader = ArrivalReader(5.0, 48000, start=0.1)
    reader.round_trip(round_trip)
    windows = [window for packet in sorted(packets, key=lambda p: p[2]) for window in reader.feed(*packet)]
    return windows + reader.finish(seconds + 0.1)


def _loss(windows: list[Window]) -> list[float | None]:
    return [window.network.loss_pct for window in windows]


def test_a_clean_stream() -> None:
    """Nothing lost, half the least round trip, and the buffer's own packet is not the network's."""
    windows = _windows(_packets(1000), 20.0)
    assert [0.0] * 4 == _loss(windows)
    assert windows[3].network.delay_ms == pytest.approx(25.0, abs=0.1)


@pytest.mark.parametrize("first", [0, 65300])
def test_loss_is_counted_where_it_was(first: int) -> None:
    """10 lost in the second window, also across the wrap of the numbers."""
    windows = _windows(_packets(1000, first=first, lost=frozenset(range(300, 310))), 20.0)
    assert [0.0, pytest.approx(4.0), 0.0, 0.0] == _loss(windows)


def test_reordered_packets_are_not_lost() -> None:
    """A packet overtaken by the next is there after all."""
    packets = _packets(500)
    packets[2] = (*packets[2][:2], packets[3][2] + 0.001)
    assert [0.0, 0.0] == _loss(_windows(packets, 10.0))


def test_copies_count_once() -> None:
    """Every packet twice and every tenth not at all: 10 % lost."""
    packets = _packets(500, lost=frozenset(range(5, 500, 10)))
    copies = [(number, timestamp, at + 0.001) for number, timestamp, at in packets]
    assert [pytest.approx(10.0), pytest.approx(10.0)] == _loss(_windows(packets + copies, 10.0))


def test_jitter_is_the_networks() -> None:
    """Jitter of +-60 ms: hardly a packet too late, and the delay that a good buffer needs for it."""
    draw = random.Random(7)
    packets = [(n, t, at + draw.uniform(0.0, 0.12)) for n, t, at in _packets(1000)]
    windows = _windows(packets, 20.0)
    assert max(loss or 0.0 for loss in _loss(windows)) < 2.0
    assert all(120.0 < (window.network.delay_ms or 0.0) < 25.0 + 200.0 for window in windows)


def test_what_comes_far_too_late_is_lost() -> None:
    """Every 25th packet a second late: the reference buffer too would have thrown it away."""
    packets = [(n, t, at + (1.0 if n % 25 == 24 else 0.0)) for n, t, at in _packets(1000)]
    losses = _loss(_windows(packets, 21.0))
    assert all(2.0 < (loss or 0.0) <= 5.0 for loss in losses[:4])


def test_delay_that_grows_is_the_networks() -> None:
    """100 ms more from the tenth second on."""
    packets = [(n, t, at + (0.1 if n >= 500 else 0.0)) for n, t, at in _packets(1000)]
    windows = _windows(packets, 20.0)
    assert windows[0].network.delay_ms == pytest.approx(25.0, abs=2.0)
    assert windows[3].network.delay_ms == pytest.approx(125.0, abs=2.0)


def test_without_a_round_trip_the_delay_is_not_measured() -> None:
    """How long the fastest packet took nobody knows; loss is known all the same."""
    windows = _windows(_packets(500), 10.0, round_trip=None)
    assert [None, None] == [window.network.delay_ms for window in windows]
    assert [0.0, 0.0] == _loss(windows)


def _with_idle(packets: list[Packet], seconds: int, hints: Hints | None = None) -> list[Window]:
    reader = ArrivalReader(5.0, 48000, start=0.0)
    windows: list[Window] = []
    for second in range(seconds):
        for packet in packets:
            if second <= packet[2] < second + 1:
                windows += reader.feed(*packet)
        windows += reader.idle(second + 1.0, hints=hints or Hints())
    return windows + reader.finish(float(seconds))


def test_an_outage_counts_while_it_lasts() -> None:
    """Seven seconds without a packet are loss at once, and no more when packets come again."""
    windows = _with_idle(_packets(990, lost=frozenset(range(245, 595))), 20)
    assert [pytest.approx(0.0, abs=0.5), pytest.approx(100.0), pytest.approx(40.0, abs=1.0), 0.0] == _loss(
        windows
    )
    assert OUTAGE in windows[1].flags


@pytest.mark.parametrize(
    ("hints", "flag"),
    [(Hints(dtx=True), SILENT), (Hints(receiving=False), INACTIVE), (Hints(connected=False), INACTIVE)],
)
def test_silence_is_not_loss(hints: Hints, flag: str) -> None:
    """A known pause, hold and a transport that is down are no outage."""
    windows = _with_idle(_packets(245), 15, hints)
    assert [0.0, None, None] == _loss(windows)
    assert flag in windows[1].flags


def test_a_new_stream_begins_anew() -> None:
    """Other numbers and other time stamps after a transfer: no loss, and no delay of hours."""
    later = [(n, t, at + 10.0) for n, t, at in _packets(500, first=30000)]
    windows = _windows(_packets(500) + later, 20.0)
    assert all((loss or 0.0) < 0.5 for loss in _loss(windows))
    assert all((window.network.delay_ms or 0.0) < 30.0 for window in windows)
    assert any(RESET in window.flags for window in windows)


def test_what_came_and_was_not_played_is_the_devices() -> None:
    """4 % never came, 20 % of the rest was thrown away by the receiver."""
    reader = ArrivalReader(5.0, 48000, start=0.0)
    windows: list[Window] = []
    missing = samples = 0
    for number, timestamp, at in _packets(1000):
        if number % 25 == 0:
            missing += 960
            continue
        windows += reader.feed(number, timestamp, at)
        missing, samples = (missing + 960, samples) if number % 5 == 1 else (missing, samples + 960)
        if number % 50 == 49:
            reader.played(Played(samples, missing, samples // 960), at)
    windows += reader.finish(20.0)
    assert all(window.network.loss_pct == pytest.approx(4.0, abs=0.5) for window in windows[:4])
    assert all(window.device.loss_pct == pytest.approx(100 * 200 / 960, abs=2.0) for window in windows[1:4])


@pytest.mark.parametrize(("window", "rate"), [(0.0, 48000), (5.0, 0)])
def test_bad_settings_are_refused(window: float, rate: int) -> None:
    """A window and a clock rate above 0."""
    with pytest.raises(ValueError, match="must be"):
        ArrivalReader(window, rate)


def test_nothing_fed_nothing_given() -> None:
    """A reader that saw no packet has no windows."""
    reader = ArrivalReader()
    assert (reader.idle(5.0), reader.finish(10.0)) == ([], [])


@given(
    st.lists(
        st.tuples(
            st.integers(-5, 2**17), st.integers(-5, 2**33), st.floats() | st.floats(0, 60), st.booleans()
        ),
        max_size=60,
    )
)
def test_any_packets_in_any_order(packets: list[tuple[int, int, float, bool]]) -> None:
    """Whatever comes, figures stay on their scale and windows run on in order."""
    reader = ArrivalReader(5.0, 48000)
    reader.round_trip(0.1)
    windows = []
    for number, timestamp, at, played in packets:
        windows += reader.feed(number, timestamp, at)
        windows += reader.idle(at + 1.0)
        if played:
            reader.played(Played(number, timestamp, 1), at)
    windows += reader.finish(100.0)
    assert sorted(window.index for window in windows) == [window.index for window in windows]
    for window in windows:
        for figures in (window.network, window.device):
            assert figures.loss_pct is None or 0.0 <= figures.loss_pct <= 100.0
            assert figures.delay_ms is None or figures.delay_ms >= 0.0
