"""RTP as RFC 3550 has it: the header, numbers that wrap, loss, reordering and interarrival jitter."""

from __future__ import annotations

import struct
from dataclasses import dataclass

RTP_VERSION = 2
_HEADER_BYTES = 12
_MAX_DROPOUT = (
    3000  # RFC 3550 A.1: a jump ahead by more is a new stream, about a minute at 50 packets a second
)
_MAX_MISORDER = 100  # RFC 3550 A.1: a packet older than this is a new stream
_REMEMBERED = 1024  # packets back that a copy is recognised as one; over ten times _MAX_MISORDER
JITTER_LIMIT_SECONDS = 10.0
"""A change of transit beyond this is a new clock, not jitter (no path holds a packet back that long)."""


@dataclass(frozen=True, slots=True)
class Header:
    """The fixed header of an RTP packet (RFC 3550, 5.1) and where its payload lies.

    Attributes:
        payload_type: 0 to 127.
        marker: first packet of a talkspurt (RFC 3551).
        sequence_number: 0 to 65535.
        timestamp: 0 to 2^32 - 1, in units of the codec's clock.
        ssrc: synchronisation source.
        csrc: contributing sources.
        payload_offset: bytes before the payload (header, contributing sources, extension).
        payload_bytes: bytes of payload, without padding.
    """

    payload_type: int
    marker: bool
    sequence_number: int
    timestamp: int
    ssrc: int
    csrc: tuple[int, ...]
    payload_offset: int
    payload_bytes: int


def parse_header(data: bytes) -> Header:
    """Read the header of an RTP packet.

    Raises:
        ValueError: the packet is truncated, not of RTP version 2, or its padding is longer than its payload.
    """
    if len(data) < _HEADER_BYTES:
        raise ValueError(f"RTP packet of {len(data)} bytes: shorter than its header of {_HEADER_BYTES}")
    first, second, sequence_number, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    if first >> 6 != RTP_VERSION:
        raise ValueError(f"RTP version {first >> 6}, not {RTP_VERSION}")
    sources = first & 0x0F
    offset = _HEADER_BYTES + 4 * sources
    if len(data) < offset:
        raise ValueError(f"RTP packet ends inside its {sources} contributing sources")
    csrc = struct.unpack_from(f"!{sources}I", data, _HEADER_BYTES)
    if first & 0x10:
        if len(data) < offset + 4:
            raise ValueError("RTP packet ends inside its extension's header")
        offset += 4 + 4 * int(struct.unpack_from("!H", data, offset + 2)[0])
        if len(data) < offset:
            raise ValueError("RTP packet ends inside its extension")
    padding = data[-1] if first & 0x20 and len(data) > offset else 0
    if first & 0x20 and not 1 <= padding <= len(data) - offset:
        raise ValueError(f"RTP padding of {padding} bytes in {len(data) - offset} bytes of payload")
    return Header(
        second & 0x7F,
        bool(second & 0x80),
        sequence_number,
        timestamp,
        ssrc,
        csrc,
        offset,
        len(data) - offset - padding,
    )


def is_rtcp(data: bytes) -> bool:
    """Whether a packet on a shared port is RTCP: second byte 192 to 223 (RFC 5761, 4)."""
    return len(data) >= 2 and data[0] >> 6 == RTP_VERSION and 192 <= data[1] <= 223


class Unwrapper:
    """Numbers that wrap, made to count on: each is taken as the nearest to the one before."""

    def __init__(self, bits: int) -> None:
        """`bits` is 16 for sequence numbers, 32 for RTP timestamps."""
        self._span = 1 << bits
        self._last: int | None = None

    def add(self, number: int) -> int:
        """The extended number; the first is itself, and what is half the span back or more counts forward."""
        if self._last is None:
            self._last = number % self._span
        else:
            self._last += signed_difference(number, self._last, self._span)
        return self._last


def signed_difference(new: int, old: int, span: int) -> int:
    """`new - old` modulo `span`, from `-span/2` up to below `span/2`."""
    return (new - old + span // 2) % span - span // 2


class Reception:
    """What was received of one source: expected, lost, doubled, out of order, jitter (RFC 3550 A.1 to A.8).

    A copy is not counted as received, so that loss is never negative. When the numbers jump by more than A.1
    allows and the next packet follows on, the source began anew: loss before is kept, the gap is not loss.

    Attributes:
        received: packets, copies left out.
        duplicates: copies.
        reordered: packets that came after a later one.
        restarts: how often the source began anew.
        jitter: interarrival jitter, in timestamp units (A.8).
    """

    def __init__(self, clock_rate: int) -> None:
        """`clock_rate` is the codec's RTP clock in Hz: 48000 for Opus, 8000 for G.711 and G.722."""
        self.clock_rate = clock_rate
        self.received = self.duplicates = self.reordered = self.restarts = 0
        self.jitter = 0.0
        self._expected_before = 0
        self._first: int | None = None
        self._highest = 0
        self._suspect: int | None = None
        self._seen: set[int] = set()
        self._last_arrival = 0.0
        self._last_timestamp = 0

    def add(self, sequence_number: int, timestamp: int, arrival: float) -> int | None:
        """Count one packet.

        Args:
            sequence_number: of the header; taken modulo 2^16.
            timestamp: of the header; taken modulo 2^32.
            arrival: seconds.

        Returns:
            The extended sequence number; None for a copy and for a packet too far off to belong.
        """
        number = self._number(sequence_number % 65536)
        if number is None:
            return None
        if number in self._seen:
            self.duplicates += 1
            return None
        self._remember(number)
        self.received += 1
        if number < self._highest:
            self.reordered += 1
        self._highest = max(self._highest, number)
        self._measure_jitter(timestamp, arrival)
        return number

    @property
    def expected(self) -> int:
        """Packets that were sent as far as the sequence numbers tell."""
        if self._first is None:
            return 0
        return self._expected_before + self._highest - self._first + 1

    @property
    def lost(self) -> int:
        """Packets expected and not received (A.3), never negative."""
        return max(0, self.expected - self.received)

    @property
    def jitter_seconds(self) -> float:
        """Interarrival jitter in seconds."""
        return self.jitter / self.clock_rate

    def _number(self, sequence_number: int) -> int | None:
        if self._first is None:
            self._first = self._highest = sequence_number
            return sequence_number
        step = signed_difference(sequence_number, self._highest, 65536)
        if -_MAX_MISORDER <= step < _MAX_DROPOUT:
            self._suspect = None
            number = self._highest + step
            self._first = min(self._first, number)
            return number
        if self._suspect != sequence_number:
            self._suspect = (sequence_number + 1) % 65536
            return None
        self._restart(sequence_number)
        return sequence_number

    def _restart(self, sequence_number: int) -> None:
        # Two packets in sequence at the new place (A.1); the first of them was left out and came after all.
        self._expected_before = self.expected
        self._first = self._highest = sequence_number
        self._suspect = None
        self._seen.clear()
        self.restarts += 1

    def _remember(self, number: int) -> None:
        self._seen.add(number)
        if len(self._seen) > 2 * _REMEMBERED:
            self._seen = {n for n in self._seen if n > self._highest - _REMEMBERED}

    def _measure_jitter(self, timestamp: int, arrival: float) -> None:
        if self.received > 1:
            sent = signed_difference(timestamp, self._last_timestamp, 1 << 32)
            difference = abs((arrival - self._last_arrival) * self.clock_rate - sent)
            if difference < JITTER_LIMIT_SECONDS * self.clock_rate:
                self.jitter += (difference - self.jitter) / 16.0
        self._last_arrival, self._last_timestamp = arrival, timestamp
