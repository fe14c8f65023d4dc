"""Bursts and gaps are those of RFC 3611's definition, the burst ratio that of G.107."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxotel.media.burst import BurstGap, burst_ratio, bursts_and_gaps


def _pattern(text: str) -> list[bool]:
    return [character == "x" for character in text]


def test_the_example_of_the_standard() -> None:
    """RFC 3611, 4.7.2: 12 packets with 4 lost are a burst; 2 single losses in 52 packets are the gap's."""
    stream = _pattern("." * 10 + "x" + "." * 16 + "x.x..x.....x" + "." * 16 + "x" + "." * 8)
    figures = bursts_and_gaps(stream)
    assert (len(stream), 1, 12.0, 26.0) == (64, figures.bursts, figures.burst_packets, figures.gap_packets)
    assert (round(figures.burst_density, 3), round(figures.gap_density, 3)) == (0.333, 0.038)


def test_sixteen_good_packets_end_a_burst_and_fifteen_do_not() -> None:
    """Gmin is 16."""
    assert bursts_and_gaps(_pattern("x" + "." * 16 + "x")).bursts == 0
    assert bursts_and_gaps(_pattern("x" + "." * 15 + "x")).bursts == 1


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("", BurstGap(0.0, 0.0, 0, 0.0, 0.0)),
        ("....", BurstGap(0.0, 0.0, 0, 0.0, 4.0)),
        ("xxxx", BurstGap(1.0, 0.0, 1, 4.0, 0.0)),
        ("x", BurstGap(0.0, 1.0, 0, 0.0, 1.0)),
        ("xx..", BurstGap(1.0, 0.0, 1, 2.0, 2.0)),
        ("..xx", BurstGap(1.0, 0.0, 1, 2.0, 2.0)),
    ],
)
def test_ends_of_the_scale(stream: str, expected: BurstGap) -> None:
    """Nothing, nothing lost, all lost, one packet; bursts at either end leave one gap."""
    assert expected == bursts_and_gaps(_pattern(stream))


def test_burst_ratio_of_runs_of_five() -> None:
    """1,000 packets with 10 runs of 5 lost: 5 * 0.95."""
    assert burst_ratio(_pattern(("." * 95 + "x" * 5) * 10)) == pytest.approx(4.75)


@pytest.mark.parametrize("stream", ["", "....", "xxx"])
def test_burst_ratio_where_there_is_nothing_to_cluster(stream: str) -> None:
    """Nothing lost or all lost: 1."""
    assert burst_ratio(_pattern(stream)) == 1.0


def test_random_loss_has_a_burst_ratio_of_one() -> None:
    """Independent loss of 5 % over 200,000 packets."""
    draw = random.Random(4)
    assert burst_ratio(draw.random() < 0.05 for _ in range(200_000)) == pytest.approx(1.0, abs=0.02)


@given(st.lists(st.booleans(), max_size=300), st.integers(1, 40))
def test_every_lost_packet_is_in_a_burst_or_a_gap(stream: list[bool], gmin: int) -> None:
    """Densities times lengths give back the number of losses; a gap loses at most 1 of gmin + 1 inside."""
    figures = bursts_and_gaps(stream, gmin)
    inside = figures.bursts * figures.burst_packets
    outside = len(stream) - inside
    assert figures.burst_density * inside + figures.gap_density * outside == pytest.approx(sum(stream))
