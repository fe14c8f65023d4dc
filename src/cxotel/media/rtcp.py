"""RTCP sender and receiver reports (RFC 3550, 6.4): what the far side received of us, and the round trip."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cxotel.media.rtp import RTP_VERSION

SENDER_REPORT, RECEIVER_REPORT = 200, 201
_NTP_SHORT = 65536.0  # LSR, DLSR and arrival are in units of 1/65536 s


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What one receiver says of one source.

    Attributes:
        ssrc: the source reported on.
        fraction_lost: share lost since the report before, 0 to 1 (on the wire a byte, 0 to 255).
        packets_lost: total lost, negative where copies outnumber losses.
        highest_sequence: extended highest sequence number received.
        jitter: interarrival jitter, timestamp units.
        lsr: middle 32 bits of the last sender report's NTP time stamp, 0 for none.
        dlsr: delay since that report, in 1/65536 s.
    """

    ssrc: int
    fraction_lost: float
    packets_lost: int
    highest_sequence: int
    jitter: int
    lsr: int
    dlsr: int

    def round_trip(self, arrival_ntp: int) -> float | None:
        """Round trip in seconds; None without a sender report, or where the clocks make it negative.

        Args:
            arrival_ntp: middle 32 bits of the NTP time at which the report arrived.
        """
        if self.lsr == 0:
            return None
        units = (arrival_ntp - self.lsr - self.dlsr) % (1 << 32)
        return units / _NTP_SHORT if units < 1 << 31 else None


@dataclass(frozen=True, slots=True)
class Report:
    """A sender report (with what was sent) or a receiver report.

    Attributes:
        ssrc: who reports.
        reports: one block for each source heard.
        ntp: 64-bit NTP time of a sender report, None in a receiver report.
        rtp_timestamp: the same instant on the RTP clock, likewise.
        packets_sent: total sent, likewise.
    """

    ssrc: int
    reports: tuple[ReportBlock, ...]
    ntp: int | None = None
    rtp_timestamp: int | None = None
    packets_sent: int | None = None


def parse_reports(data: bytes) -> list[Report]:
    """The sender and receiver reports in a compound RTCP packet; other packets in it are passed over.

    Raises:
        ValueError: a packet in it is truncated or not of version 2.
    """
    found: list[Report] = []
    offset = 0
    while offset < len(data):
        if len(data) < offset + 4:
            raise ValueError("RTCP packet ends inside its header")
        first, kind, words = struct.unpack_from("!BBH", data, offset)
        if first >> 6 != RTP_VERSION:
            raise ValueError(f"RTCP version {first >> 6}, not {RTP_VERSION}")
        end = offset + 4 + 4 * words
        if end > len(data):
            raise ValueError(f"RTCP packet of type {kind} ends {end - len(data)} bytes early")
        if kind in {SENDER_REPORT, RECEIVER_REPORT}:
            found.append(_report(data[offset + 4 : end], kind, first & 0x1F))
        offset = end
    return found


def _report(body: bytes, kind: int, blocks: int) -> Report:
    sender = kind == SENDER_REPORT
    head = 24 if sender else 4
    if len(body) < head + 24 * blocks:
        raise ValueError(f"RTCP report of {len(body)} bytes has no room for {blocks} blocks")
    reports = tuple(_block(body, head + 24 * i) for i in range(blocks))
    (ssrc,) = struct.unpack_from("!I", body)
    if not sender:
        return Report(ssrc, reports)
    ntp, rtp_timestamp, packets = struct.unpack_from("!QII", body, 4)
    return Report(ssrc, reports, ntp, rtp_timestamp, packets)


def _block(body: bytes, offset: int) -> ReportBlock:
    ssrc, lost, highest, jitter, lsr, dlsr = struct.unpack_from("!6I", body, offset)
    total = lost & 0xFFFFFF
    signed = total - (1 << 24) if total & 0x800000 else total
    return ReportBlock(ssrc, (lost >> 24) / 256.0, signed, highest, jitter, lsr, dlsr)
