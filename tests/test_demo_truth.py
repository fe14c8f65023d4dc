"""Truth from the proxy's record: what was lost and how late, window by window."""

from __future__ import annotations

from typing import Any

import pytest

from cxotel.demo.truth import hop_windows

RATE = 8000


def record(seconds: float, *, delay_ms: float = 0.0) -> list[list[Any]]:
    """Rows of a perfect stream with a constant delay, as `proxy.Record` keeps them."""
    return [[i, 160 * i, 20_000 * i, 20_000 * i + int(delay_ms * 1000), 0] for i in range(int(seconds * 50))]


def test_a_perfect_stream_has_no_loss_and_the_proxy_s_delay() -> None:
    """Ten seconds at 30 ms: 0 %, and 30 ms once the reference buffer has settled (from two packets)."""
    first, second = hop_windows(record(10, delay_ms=30), RATE, 0.0, 10.0)
    assert first == (0.0, pytest.approx(30.0, abs=0.5))
    assert second == (0.0, pytest.approx(30.0))


def test_dropped_packets_count_in_the_window_they_were_sent_in() -> None:
    """An outage from second 4 to 6 is a fifth of each of two windows."""
    packets = record(10)
    for row in packets[200:300]:
        row[3] = None
    assert [loss for loss, _ in hop_windows(packets, RATE, 0.0, 10.0)] == [20.0, 20.0]


def test_windows_begin_with_the_leg_and_not_with_the_hop() -> None:
    """A leg that begins 1 s before the hop's first packet has its second window from the hop's second 4."""
    packets = record(9)
    for row in packets[200:]:
        row[3] = None
    assert [loss for loss, _ in hop_windows(packets, RATE, 1.0, 10.0)] == [0.0, 100.0]


def test_a_window_without_packets_is_not_measured() -> None:
    """Where nobody sent, nothing can be lost."""
    assert hop_windows(record(5), RATE, 0.0, 10.0)[1] == (None, None)


def test_a_packet_too_late_for_the_reference_buffer_is_lost() -> None:
    """One packet 2 s late is of no use to any listener."""
    packets = record(5)
    packets[150][3] += 2_000_000
    loss, _ = hop_windows(packets, RATE, 0.0, 5.0)[0]
    assert loss == pytest.approx(100 / 250)


def test_a_timestamp_that_wraps_is_no_jump() -> None:
    """RTP timestamps are modulo 2^32 (RFC 3550, 5.1)."""
    packets = record(5, delay_ms=10)
    for row in packets:
        row[1] = (row[1] + 2**32 - 8000) % 2**32
    assert hop_windows(packets, RATE, 0.0, 5.0) == [(0.0, pytest.approx(10.0, abs=0.5))]
