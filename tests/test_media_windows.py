"""Windows take parts by time and give out figures in order, whatever the clock of the feeds does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxotel.media.delay import STALE_SECONDS, OneWay
from cxotel.media.flow import Counts, Flow, Unheard
from cxotel.media.windows import (
    INACTIVE,
    MAX_WINDOWS,
    NOT_MEASURED,
    OUTAGE,
    SILENT,
    Figures,
    Part,
    Window,
    Windows,
)


def test_a_part_is_split_by_time() -> None:
    """An interval across an edge gives each window its share."""
    windows = Windows(5.0, 0.0)
    windows.add(4.0, 6.0, Part(due=100.0, missing=10.0))
    windows.add(6.0, 10.0, Part(due=200.0))
    first, second = windows.finish(10.0)
    assert (0, 0.0, 5.0, 10.0) == (first.index, first.start, first.end, first.network.loss_pct)
    assert (1, 5.0, 10.0) == (second.index, second.start, second.end)
    assert second.network.loss_pct == pytest.approx(2.0)


def test_what_was_not_measured_is_none() -> None:
    """A window without any part has no figures."""
    windows = Windows(5.0, 0.0)
    assert [Window(0, 0.0, 5.0), Window(1, 5.0, 7.0)] == windows.finish(7.0)
    assert Figures(None, None) == NOT_MEASURED


def test_a_window_stays_open_for_a_second() -> None:
    """Loss that is counted with the next packets still finds its window."""
    windows = Windows(5.0, 0.0)
    windows.add(0.0, 5.0, Part(due=250.0))
    assert windows.close(5.9) == []
    windows.add(4.0, 6.0, Part(missing=10.0, due=10.0))
    (closed,) = windows.close(6.0)
    assert closed.network.loss_pct == pytest.approx(100.0 * 5.0 / 255.0)
    windows.add(0.0, 5.0, Part(missing=250.0))
    assert [window.index for window in windows.finish(7.0)] == [1]


def test_delays_are_means_by_time() -> None:
    """Two seconds at 100 ms and three at 50 ms are 70 ms."""
    windows = Windows(5.0, 0.0)
    windows.add(0.0, 2.0, Part(network_delay=0.1, remote_delay=0.02))
    windows.add(2.0, 5.0, Part(network_delay=0.05))
    (window,) = windows.finish(5.0)
    assert window.network.delay_ms == pytest.approx(70.0)
    assert Figures(None, 20.0) == window.remote


def test_network_and_device_combine_to_what_is_missing() -> None:
    """1 - (1 - n)(1 - d) is the share of all packets that was not heard."""
    windows = Windows(5.0, 0.0)
    windows.add(0.0, 5.0, Part(due=250.0, missing=12.5, judged=237.5, unplayed=47.5))
    (window,) = windows.finish(5.0)
    assert (5.0, 20.0) == (window.network.loss_pct, window.device.loss_pct)
    assert 1 - 0.95 * 0.8 == pytest.approx(60.0 / 250.0)


def test_a_jump_of_the_clock_does_not_fill_the_memory() -> None:
    """Of a billion empty windows the newest thousand are given out, and those that hold something."""
    windows = Windows(5.0, 0.0)
    windows.add(0.0, 5.0, Part(due=250.0))
    closed = windows.close(5e9)
    assert len(closed) == MAX_WINDOWS + 1
    assert (0, 0.0) == (closed[0].index, closed[0].network.loss_pct)


def test_silence_takes_an_outage_back() -> None:
    """When a sender's report says that nothing was sent, open windows forget the outage."""
    windows = Windows(5.0, 0.0)
    windows.add(0.0, 5.0, Part(due=100.0, outage=100.0, flags=(OUTAGE, INACTIVE)))
    windows.retract_outage(2.0)
    (window,) = windows.finish(5.0)
    assert (0.0, frozenset({SILENT, INACTIVE})) == (window.network.loss_pct, window.flags)


@given(
    st.lists(
        st.tuples(st.floats(0, 40), st.floats(0, 12), st.floats(0, 500), st.floats(0, 1), st.floats(0, 1)),
        max_size=30,
    )
)
def test_any_parts_give_shares_within_their_scale(
    parts: list[tuple[float, float, float, float, float]],
) -> None:
    """Loss stays in 0..100 and windows run on without a hole."""
    windows = Windows(5.0, 0.0)
    for begin, length, due, lost, delay in parts:
        windows.add(begin, begin + length, Part(due=due, missing=lost * due, network_delay=delay))
    result = windows.finish(60.0)
    assert list(range(12)) == [window.index for window in result]
    for window in result:
        assert window.network.loss_pct is None or 0.0 <= window.network.loss_pct <= 100.0
        assert window.network.delay_ms is None or 0.0 <= window.network.delay_ms <= 1000.0001


def _flow(*, exact: bool = True) -> tuple[Flow, Windows]:
    windows = Windows(5.0, 0.0)
    return Flow(windows, exact=exact), windows


def test_a_late_packet_gives_back_what_was_counted_for_it() -> None:
    """Lost 1, then -1 (it came late), then 1: one loss in all, not two."""
    flow, windows = _flow()
    for second, lost in enumerate([1, -1, 1, 0, 0]):
        flow.step(second, second + 1.0, Counts(50.0 - lost, lost))
    (window,) = windows.finish(5.0)
    assert window.network.loss_pct == pytest.approx(100.0 / 250.0, abs=0.05)


def test_copies_do_not_pay_for_later_loss() -> None:
    """Duplicates make the counter fall by hundreds; a loss after them counts all the same."""
    flow, windows = _flow()
    for second, lost in enumerate([-200, 0, 0, 10, 0]):
        flow.step(second, second + 1.0, Counts(50.0 - max(0, lost), lost))
    (window,) = windows.finish(5.0)
    assert window.network.loss_pct == pytest.approx(4.0, abs=0.1)


def test_an_outage_counts_while_it_lasts_and_once_only() -> None:
    """Six seconds without packets are loss 100 % at once; the 300 that the counter adds later are known."""
    flow, windows = _flow()
    for second in range(20):
        empty = 5 <= second < 11
        flow.step(second, second + 1.0, Counts(0.0 if empty else 50.0, 300.0 if second == 11 else 0.0))
    losses = [window.network.loss_pct for window in windows.finish(20.0)]
    assert [0.0, 100.0, pytest.approx(20.0), 0.0] == losses


def test_a_pause_of_the_sender_is_seen_by_its_numbers() -> None:
    """Where sequence numbers go on after a gap, open windows take the outage back."""
    flow, windows = _flow(exact=True)
    for second in range(5):
        flow.step(second, second + 1.0, Counts(0.0 if second in {1, 2, 3} else 50.0, 0.0))
    (window,) = windows.finish(5.0)
    assert (0.0, frozenset({SILENT})) == (window.network.loss_pct, window.flags)


def test_a_sender_report_wins_over_silence() -> None:
    """A report that says that nothing was sent makes a stretch without packets not measured."""
    flow, windows = _flow()
    for second in range(15):
        flow.step(second, second + 1.0, Counts(50.0 if second < 5 else 0.0, 0.0))
        flow.sent(50.0 if second < 5 else 0.0, 1.0)
    first, second_window, third = windows.finish(15.0)
    assert first.network.loss_pct == 0.0
    assert second_window.network == third.network == NOT_MEASURED
    assert SILENT in third.flags


def test_a_report_that_comes_later_takes_back_an_outage_that_was_concealed() -> None:
    """Four seconds concealed count as outage until the report says that nothing was sent."""
    flow, windows = _flow(exact=False)
    for second in range(5):
        flow.step(second, second + 1.0, Counts(50.0 if second < 1 else 0.0, 0.0, float(second >= 1)))
    assert windows._open[0].amounts["outage"] == pytest.approx(200.0)
    flow.sent(0.0, 5.0)
    (window,) = windows.finish(5.0)
    assert (0.0, frozenset({SILENT})) == (window.network.loss_pct, window.flags)


def test_a_sender_report_confirms_an_outage() -> None:
    """A report that says that the sender went on makes it loss."""
    flow, windows = _flow()
    for second in range(10):
        flow.step(second, second + 1.0, Counts(50.0 if second < 5 else 0.0, 0.0))
        flow.sent(50.0, 1.0)
    assert [0.0, 100.0] == [window.network.loss_pct for window in windows.finish(10.0)]


def test_losses_are_heard_once() -> None:
    """A loss explains what was not played up to its size, and is forgotten after two seconds of audio."""
    unheard = Unheard()
    unheard.add(10.0, 1.0)
    assert [4.0, 6.0, 0.0] == [unheard.take(4.0), unheard.take(9.0), unheard.take(1.0)]
    unheard.add(10.0, 1.0)
    unheard.add(0.0, 3.0)
    assert unheard.take(5.0) == 0.0


def test_one_way_is_half_the_round_trip() -> None:
    """Without sender reports both ways take half."""
    delay = OneWay()
    delay.round_trip(0.1, 1, 0.0)
    assert (0.05, 0.05) == (delay.to_here, delay.from_here)


def test_sender_reports_tell_which_way_grew() -> None:
    """100 ms more from there to here: all of it is on the way here."""
    delay = OneWay()
    for at, rise in enumerate([0.0, 0.0, 0.1, 0.1]):
        delay.round_trip(0.1 + rise, at, float(at))
        delay.sender_report(1000.0 + at, 777.0 + at + rise, float(at))
    assert delay.to_here == pytest.approx(0.15, abs=1e-3)
    assert delay.from_here == pytest.approx(0.05, abs=1e-3)


def test_no_round_trip_no_delay() -> None:
    """A one-directional receiver has none, and reports alone do not anchor the delay."""
    delay = OneWay()
    delay.round_trip(None, None, 0.0)
    delay.sender_report(5.0, 6.0, 0.0)
    assert (None, None, 0.0) == (delay.to_here, delay.from_here, delay.rise)


def test_stale_remote_entries_say_nothing() -> None:
    """A report that is not renewed (statistics never take one away) counts for 15 seconds."""
    delay = OneWay()
    for second in range(30):
        delay.round_trip(0.1, "always the same", float(second))
        assert (0.05 if second <= STALE_SECONDS else None) == delay.to_here


@pytest.mark.parametrize("seconds", [-0.001, 11.0])
def test_a_round_trip_of_a_stepped_clock_is_ignored(seconds: float) -> None:
    """Negative or over ten seconds is a clock, not a path."""
    delay = OneWay()
    delay.round_trip(seconds, 1, 0.0)
    assert delay.to_here is None


def test_reports_stamped_when_polled_say_nothing_of_the_way() -> None:
    """One report with two times of arrival: the source stamps it with the time of the poll."""
    delay = OneWay()
    delay.round_trip(0.1, 1, 0.0)
    delay.sender_report(1000.0, 2000.0, 0.0)
    delay.sender_report(1000.0, 2001.0, 1.0)
    assert (None, 0.05) == (delay.rise, delay.to_here)


def test_a_clock_that_is_set_begins_anew() -> None:
    """A far clock set back by an hour is no delay."""
    delay = OneWay()
    delay.sender_report(1000.0, 2000.0, 0.0)
    delay.sender_report(1000.0 - 3600.0, 2001.0, 1.0)
    assert delay.rise == 0.0
