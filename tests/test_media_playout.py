"""The reference playout buffer throws away little, needs little delay, and follows the path."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxotel.media.playout import LEAST_SECONDS, Floor, ReferencePlayout


def _play(transits: list[float], *, rate: int = 8000) -> tuple[float, list[float]]:
    """Share too late in percent and each packet's delay, for packets of 20 ms with these transit times."""
    playout = ReferencePlayout(rate)
    results = [playout.add(i * rate // 50, i * 0.02 + transit) for i, transit in enumerate(transits)]
    return 100.0 * sum(late for late, _ in results) / len(results), [delay for _, delay in results]


def test_steady_arrivals_need_two_packets_of_delay() -> None:
    """Without jitter nothing is late and 40 ms are enough."""
    late, delays = _play([0.5] * 200)
    assert late == 0.0
    assert delays[0] == pytest.approx(0.04)
    assert delays[-1] == pytest.approx(LEAST_SECONDS, abs=1e-6)


def test_uniform_jitter_is_played_whole() -> None:
    """+-20 ms: under 0.5 % late, with less than twice the spread of delay."""
    draw = random.Random(1)
    late, delays = _play([0.1 + draw.uniform(0.0, 0.04) for _ in range(3000)])
    assert late < 0.5
    assert sum(delays) / len(delays) < 0.07


def test_heavy_tails_cost_some_packets() -> None:
    """Exponential jitter, mean 20 ms: a few per cent are too late, at four times the mean of delay."""
    draw = random.Random(2)
    late, delays = _play([0.1 + draw.expovariate(50.0) for _ in range(3000)])
    assert 1.0 < late < 6.0
    assert sum(delays) / len(delays) < 0.1


def test_a_spike_costs_its_first_packet_and_is_forgotten() -> None:
    """A stall of 300 ms that drains: one packet late, and the delay is back within half a second after it."""
    transits = [0.1] * 100 + [0.4 - 0.02 * i for i in range(15)] + [0.1] * 100
    late, delays = _play(transits)
    assert late == pytest.approx(100.0 / len(transits))
    assert max(delays[100:115]) > 0.25
    assert delays[145] < 0.05


def test_a_step_of_delay_is_followed() -> None:
    """100 ms more for good: the delay grows by 100 ms and hardly a packet is lost."""
    late, delays = _play([0.1] * 200 + [0.2] * 400)
    assert late < 1.0
    assert delays[-1] - delays[190] == pytest.approx(0.1, abs=0.01)


def test_delay_is_bounded() -> None:
    """However wild the path, the buffer waits at most 400 ms behind the mean."""
    draw = random.Random(3)
    late, delays = _play([draw.choice([0.0, 3.0]) for _ in range(500)])
    assert late > 5.0
    assert max(delays) < 3.5


def test_clock_drift_is_not_delay() -> None:
    """A sender 40 ppm slow for ten minutes adds 24 ms of transit, and no delay."""
    _, delays = _play([i * 0.02 * 40e-6 for i in range(30000)])
    assert delays[-1] == pytest.approx(LEAST_SECONDS, abs=0.001)


def test_the_floor_is_the_least_seen() -> None:
    """A floor falls at once and rises only as fast as clocks drift apart."""
    floor = Floor()
    assert [floor.add(5.0, 0.0), floor.add(6.0, 10.0), floor.add(4.0, 20.0)] == [5.0, 5.0005, 4.0]


@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6)), max_size=60))
def test_any_arrivals(packets: list[tuple[int, float]]) -> None:
    """Whatever comes, a packet is late or not and the delay is finite and never negative."""
    playout = ReferencePlayout(48000)
    for timestamp, arrival in packets:
        late, delay = playout.add(timestamp, arrival)
        assert late in {True, False}
        assert 0.0 <= delay < 1e12
