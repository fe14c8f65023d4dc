"""RTP headers, wrapping numbers, loss, reordering and jitter follow RFC 3550; RTCP reports are read."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxotel.media.rtcp import Report, parse_reports
from cxotel.media.rtp import Header, Reception, Unwrapper, is_rtcp, parse_header, signed_difference

SAMPLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "records" / "rtp-rtcp-bin"
PLAIN = struct.pack("!BBHII", 0x80, 0x80, 15743, 3937035252, 1545693252) + b"\0" * 160
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="shared sample packets are not beside the repository"
)


def test_header_of_a_plain_packet() -> None:
    """Twelve bytes, then payload."""
    assert Header(0, True, 15743, 3937035252, 1545693252, (), 12, 160) == parse_header(PLAIN)


def test_header_with_sources_extension_and_padding() -> None:
    """Contributing sources and the extension come before the payload, padding is not payload."""
    data = struct.pack("!BBHII", 0xB2, 8, 1, 2, 3) + struct.pack("!II", 7, 8)
    data += struct.pack("!HHI", 0xBEDE, 1, 0) + b"abc" + b"\0\0\x03"
    assert Header(8, False, 1, 2, 3, (7, 8), 28, 3) == parse_header(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "shorter than its header"),
        (PLAIN[:11], "shorter than its header"),
        (b"\x40" + PLAIN[1:], "version 1"),
        (b"\x8f" + PLAIN[1:60], "contributing sources"),
        (b"\x90" + PLAIN[1:12], "extension's header"),
        (b"\x90" + PLAIN[1:12] + b"\0\0\xff\xff", "inside its extension"),
        (b"\xa0" + PLAIN[1:], "padding of 0"),
        (b"\xa0" + PLAIN[1:20] + b"\xff", "padding of 255"),
        (b"\xa0" + PLAIN[1:12], "padding of 0"),
    ],
)
def test_bad_packets_are_named(data: bytes, message: str) -> None:
    """A truncated or foreign packet raises ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        parse_header(data)


@needs_samples
@pytest.mark.parametrize(
    ("name", "payload_type", "sources", "payload"),
    [
        ("rtp.bin", 0, 0, 160),
        ("rtp_with_csrc.bin", 0, 2, 160),
        ("rtp_dtmf.bin", 101, 0, 4),
        ("rtp_only_padding.bin", 120, 0, 0),
        ("rtp_only_padding_with_header_extensions.bin", 98, 0, 0),
        ("rtp_with_sdes_mid.bin", 111, 0, 54),
    ],
)
def test_recorded_packets(name: str, payload_type: int, sources: int, payload: int) -> None:
    """Packets recorded elsewhere are read as aiortc reads them."""
    header = parse_header((SAMPLES / name).read_bytes())
    assert (payload_type, sources, payload) == (header.payload_type, len(header.csrc), header.payload_bytes)


@needs_samples
def test_recorded_reports() -> None:
    """A sender report and a receiver report recorded elsewhere."""
    (sender,) = parse_reports((SAMPLES / "rtcp_sr.bin").read_bytes())
    assert (
        sender.ssrc,
        sender.ntp,
        sender.rtp_timestamp,
        sender.packets_sent,
    ) == (1831097322, 16016567581311369308, 1722342718, 269)
    (receiver,) = parse_reports((SAMPLES / "rtcp_rr.bin").read_bytes())
    (block,) = receiver.reports
    assert (
        receiver.ssrc,
        block.ssrc,
        block.highest_sequence,
        block.jitter,
    ) == (817267719, 1200895919, 630, 1906)


@needs_samples
@pytest.mark.parametrize("path", sorted(SAMPLES.glob("rtcp_*.bin")), ids=lambda path: path.stem)
def test_recorded_control_packets(path: Path) -> None:
    """Of the other recorded control packets none is taken for a report, and bad ones raise ValueError."""
    data = path.read_bytes()
    assert is_rtcp(data)
    if path.stem in {"rtcp_sr_invalid", "rtcp_rr_invalid"}:
        with pytest.raises(ValueError, match="no room"):
            parse_reports(data)
    elif path.stem == "rtcp_sdes_source_truncated":
        with pytest.raises(ValueError, match="bytes early"):
            parse_reports(data)
    elif path.stem not in {"rtcp_sr", "rtcp_rr"}:
        assert parse_reports(data) == []


def test_rtp_and_rtcp_on_one_port() -> None:
    """The second byte tells them apart (RFC 5761)."""
    assert (is_rtcp(PLAIN), is_rtcp(b"\x80\xc8"), is_rtcp(b"\x80"), is_rtcp(b"\x00\xc8")) == (
        False,
        True,
        False,
        False,
    )


def test_compound_report_with_negative_loss() -> None:
    """Copies make the far side's total negative; other packets in the compound are passed over."""
    block = struct.pack("!6I", 9, (128 << 24) | 0xFFFFFF, 70000, 160, 0x00020000, 0x00008000)
    compound = b"\x81\xc9\0\x07" + struct.pack("!I", 5) + block + b"\x80\xcb\0\0"
    (report,) = parse_reports(compound)
    assert Report(5, report.reports) == report
    (read,) = report.reports
    assert (read.fraction_lost, read.packets_lost, read.highest_sequence) == (0.5, -1, 70000)
    assert read.round_trip(0x00030000) == 0.5
    assert read.round_trip(0x00020000) is None


def test_no_round_trip_without_a_sender_report() -> None:
    """LSR 0 means that the far side heard no report of ours."""
    (report,) = parse_reports(b"\x81\xc9\0\x07" + struct.pack("!I6I", 5, 9, 0, 1, 0, 0, 0))
    assert report.reports[0].round_trip(99) is None


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda b: b"\x81\xc8" + b))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes raise anything but ValueError."""
    with suppress(ValueError):
        assert 12 <= parse_header(data).payload_offset <= len(data)
    with suppress(ValueError):
        assert len(parse_reports(data)) <= len(data) // 8


@given(st.integers(0, 2**40), st.lists(st.integers(-32767, 32767), max_size=50), st.sampled_from([16, 32]))
def test_unwrapping_restores_what_was_wrapped(first: int, steps: list[int], bits: int) -> None:
    """Numbers that go less than half the span either way are counted on without wrapping."""
    unwrapper, numbers = Unwrapper(bits), [first]
    for step in steps:
        numbers.append(numbers[-1] + step)
    restored = [unwrapper.add(number % (1 << bits)) for number in numbers]
    assert [n - numbers[0] for n in numbers] == [n - restored[0] for n in restored]


def test_signed_difference_at_the_wrap() -> None:
    """From 65535 to 0 is one step ahead."""
    assert tuple(signed_difference(a, b, 65536) for a, b in [(0, 65535), (65535, 0), (32768, 0)]) == (
        1,
        -1,
        -32768,
    )


def _receive(numbers: list[int], *, rate: int = 8000, first_timestamp: int = 0) -> Reception:
    reception = Reception(rate)
    for i, number in enumerate(numbers):
        reception.add(number % 65536, (first_timestamp + 160 * number) % 2**32, 0.02 * i)
    return reception


def test_duplicates_do_not_hide_loss() -> None:
    """1, 2, 2, 4, 4, 5: one lost and two copies, where a plain count says -1."""
    reception = _receive([1, 2, 2, 4, 4, 5])
    assert (reception.expected, reception.received, reception.lost, reception.duplicates) == (5, 4, 1, 2)


def test_reordered_first_packets_are_not_lost() -> None:
    """2, 1, 3: all three came, one of them late."""
    reception = _receive([2, 1, 3])
    assert (reception.expected, reception.lost, reception.reordered) == (3, 0, 1)


def test_loss_across_the_sequence_wrap() -> None:
    """65534, 65535, 1: number 0 is lost."""
    assert _receive([65534, 65535, 65537]).lost == 1


def test_a_long_outage_is_loss_not_a_restart() -> None:
    """A gap of six seconds (300 packets), which Chromium's counter misses, is 300 lost."""
    assert _receive([*range(100), *range(400, 500)]).lost == 300


def test_a_restart_keeps_the_loss_before_and_adds_none() -> None:
    """Two packets in sequence far away are a new stream (A.1); one alone is a stray."""
    reception = _receive([0, 1, 3, 30000, 4, 5, 40000, 40001, 40002])
    assert (reception.restarts, reception.lost) == (1, 1)
    assert reception.expected == 6 + 2


def test_steady_packets_have_no_jitter() -> None:
    """Arrivals at the pace of the timestamps, also where those wrap (plain subtraction blows up there)."""
    reception = _receive(list(range(100)), first_timestamp=2**32 - 1600)
    assert reception.jitter == pytest.approx(0.0, abs=1e-6)


def test_jitter_follows_a8() -> None:
    """J += (|D| - J) / 16 for each packet."""
    reception = Reception(8000)
    for i, arrival in enumerate([0.0, 0.030, 0.040]):
        reception.add(i, 160 * i, arrival)
    assert reception.jitter == pytest.approx(80 / 16 + (80 - 80 / 16) / 16)
    assert reception.jitter_seconds == pytest.approx(reception.jitter / 8000)


def test_a_new_clock_is_not_jitter() -> None:
    """A timestamp that jumps by more than ten seconds begins a new clock."""
    reception = Reception(8000)
    for i, timestamp in enumerate([0, 160, 8000 * 60, 8000 * 60 + 160]):
        reception.add(i, timestamp, 0.02 * i)
    assert reception.jitter == pytest.approx(0.0, abs=1e-6)


def test_copies_are_remembered_over_thousands_of_packets() -> None:
    """The memory of what was seen is bounded, and still knows recent copies."""
    reception = _receive(list(range(5000)))
    assert reception.add(4990, 0, 100.0) is None
    assert (reception.duplicates, reception.lost) == (1, 0)
    assert len(reception._seen) <= 2048


@given(st.lists(st.tuples(st.integers(), st.integers(), st.floats(0, 1e6)), max_size=80))
def test_counts_stay_sane_whatever_comes(packets: list[tuple[int, int, float]]) -> None:
    """Any numbers in any order: loss is between 0 and what was expected, jitter finite and never negative."""
    reception = Reception(48000)
    for packet in packets:
        reception.add(*packet)
    assert 0 <= reception.lost <= reception.expected or reception.expected < reception.received
    assert 0.0 <= reception.jitter < 10.0 * 48000
    assert reception.received + reception.duplicates <= len(packets)
