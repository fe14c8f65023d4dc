"""The proxy over real sockets: what it does to RTP, and whether what it wrote down is what happened."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from cxotel.demo.impair import TO_AGENT, TO_CUSTOMER, Impairment
from cxotel.demo.proxy import Hop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PACKETS = 400


class End(asyncio.DatagramProtocol):
    """One end of a hop: keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to send."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep it."""
        self.got.append(data)


@asynccontextmanager
async def hop_between(
    impairments: list[Impairment], seed: str = "s"
) -> AsyncIterator[tuple[Hop, asyncio.DatagramTransport, End, asyncio.DatagramTransport, End]]:
    """A hop with a caller and one called, who has made itself known with a STUN-like packet."""
    loop = asyncio.get_running_loop()
    to_caller, caller = await loop.create_datagram_endpoint(End, local_addr=("127.0.0.1", 0))
    to_called, called = await loop.create_datagram_endpoint(End, local_addr=("127.0.0.1", 0))
    hop = Hop(impairments, seed, to_caller.get_extra_info("sockname"))
    try:
        to_called.sendto(b"\x00\x01hello", ("127.0.0.1", hop.port(TO_CUSTOMER)))
        await until(lambda: bool(caller.got))
        yield hop, to_caller, caller, to_called, called
    finally:
        hop.close()
        to_caller.close()
        to_called.close()


async def until(condition: object, seconds: float = 3.0) -> None:
    """Wait for something to become true."""
    for _ in range(int(seconds * 200)):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.005)
    pytest.fail("did not happen in time")


def rtp(sequence: int) -> bytes:
    """A packet of audio."""
    return struct.pack("!BBHII", 0x80, 0, sequence, sequence * 160, 0x1234) + bytes(20)


def sequence(packet: bytes) -> int:
    """Its sequence number."""
    return int.from_bytes(packet[2:4], "big")


async def send(transport: asyncio.DatagramTransport, hop: Hop, count: int = PACKETS) -> None:
    """Packets to the one called, a few at a time so that no socket buffer runs over."""
    for number in range(count):
        transport.sendto(rtp(number), ("127.0.0.1", hop.port(TO_AGENT)))
        if number % 10 == 9:
            await asyncio.sleep(0.002)


async def test_what_is_written_down_is_what_came_out() -> None:
    """Every packet is in the record once; those without departure did not arrive, all others did."""
    async with hop_between([Impairment("carrier", TO_AGENT, loss=0.2)]) as (hop, to_caller, _, _, called):
        await send(to_caller, hop)
        await until(lambda: len(hop.records[TO_AGENT].packets) == PACKETS)
        record = hop.records[TO_AGENT].packets
        forwarded = [row[0] for row in record if row[3] is not None]
        await until(lambda: len(called.got) == len(forwarded))
        assert list(range(PACKETS)) == [row[0] for row in record]
        assert forwarded == [sequence(packet) for packet in called.got]
        assert 0.12 * PACKETS < PACKETS - len(forwarded) < 0.28 * PACKETS


async def test_the_seconds_add_up_to_the_packets() -> None:
    """In = dropped + forwarded, in each second and over all."""
    async with hop_between([Impairment("carrier", TO_AGENT, loss=0.3)]) as (hop, to_caller, _, _, _):
        await send(to_caller, hop)
        await until(lambda: len(hop.records[TO_AGENT].packets) == PACKETS)
        record = hop.records[TO_AGENT]
        rows = record.seconds()
        assert all(row["packets"] == row["dropped"] + row["forwarded"] for row in rows)
        assert sum(row["packets"] for row in rows) == PACKETS
        assert sum(row["dropped"] for row in rows) == sum(packet[3] is None for packet in record.packets)


async def test_the_same_seed_drops_the_same_packets() -> None:
    """Two runs with one seed lose the same sequence numbers; another seed loses others."""
    lost = []
    for seed in ("a", "a", "b"):
        async with hop_between([Impairment("carrier", TO_AGENT, loss=0.2)], seed) as (
            hop,
            to_caller,
            _,
            _,
            _,
        ):
            await send(to_caller, hop)
            await until(lambda hop=hop: len(hop.records[TO_AGENT].packets) == PACKETS)  # type: ignore[misc]
            lost.append([row[0] for row in hop.records[TO_AGENT].packets if row[3] is None])
    assert lost[0] == lost[1]
    assert lost[0] != lost[2]


async def test_only_rtp_is_lost() -> None:
    """STUN, DTLS and RTCP get through an outage, so the session stays up while its audio is gone."""
    kept = [b"\x00\x01stun", b"\x16\xfe\xfddtls", b"\x81\xc9" + bytes(30)]
    async with hop_between([Impairment("carrier", TO_AGENT, loss=1.0)]) as (hop, to_caller, _, _, called):
        for data in (rtp(1), *kept, rtp(2)):
            to_caller.sendto(data, ("127.0.0.1", hop.port(TO_AGENT)))
        await until(lambda: len(hop.records[TO_AGENT].packets) == 2 and len(called.got) == 3)
        assert kept == called.got


async def test_delay_is_applied_to_rtp_and_rtcp_and_measured() -> None:
    """50 ms asked: no packet earlier, and the record says what each really took and how late it was."""
    async with hop_between([Impairment("carrier", TO_AGENT, delay_ms=50)]) as (hop, to_caller, _, _, called):
        loop = asyncio.get_running_loop()
        to_caller.sendto(rtp(1), ("127.0.0.1", hop.port(TO_AGENT)))
        start = loop.time()
        to_caller.sendto(b"\x81\xc9" + bytes(30), ("127.0.0.1", hop.port(TO_AGENT)))
        await until(lambda: len(called.got) == 2)
        assert loop.time() - start >= 0.049
        (_, _, arrival, departure, late) = hop.records[TO_AGENT].packets[0]
        assert arrival is not None
        assert departure is not None
        assert late is not None
        assert departure - arrival == pytest.approx(50_000 + late, abs=100)


async def test_each_direction_has_its_own_plan() -> None:
    """What is planted to_agent leaves to_customer alone."""
    async with hop_between([Impairment("carrier", TO_AGENT, loss=1.0)]) as (hop, _, caller, to_called, _):
        for number in range(20):
            to_called.sendto(rtp(number), ("127.0.0.1", hop.port(TO_CUSTOMER)))
        await until(lambda: len(caller.got) == 21)
        assert all(row[3] is not None for row in hop.records[TO_CUSTOMER].packets)


async def test_a_cut_line_lets_nothing_through_and_says_so() -> None:
    """After a cut even STUN is gone, and RTP is written down as dropped."""
    async with hop_between([]) as (hop, to_caller, _, _, called):
        to_caller.sendto(rtp(1), ("127.0.0.1", hop.port(TO_AGENT)))
        await until(lambda: len(called.got) == 1)
        hop.cut()
        to_caller.sendto(rtp(2), ("127.0.0.1", hop.port(TO_AGENT)))
        to_caller.sendto(b"\x00\x01stun", ("127.0.0.1", hop.port(TO_AGENT)))
        await until(lambda: len(hop.records[TO_AGENT].packets) == 2)
        await asyncio.sleep(0.02)
        assert len(called.got) == 1
        assert hop.records[TO_AGENT].packets[1][3] is None


async def test_a_packet_under_way_at_the_end_counts_as_leaving_when_due() -> None:
    """A call may end with packets under way: they were not dropped."""
    async with hop_between([Impairment("carrier", TO_AGENT, delay_ms=500)]) as (hop, to_caller, _, _, _):
        to_caller.sendto(rtp(1), ("127.0.0.1", hop.port(TO_AGENT)))
        await until(lambda: len(hop.records[TO_AGENT].packets) == 1)
        row = hop.records[TO_AGENT].packets[0]
        assert row[3] == (row[2] or 0) + 500_000


def test_the_kernel_stamps_datagrams() -> None:
    """The proxy's lateness is only known where the kernel says when a datagram came."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 35, 1)
        sock.bind(("127.0.0.1", 0))
        sock.sendto(b"x", sock.getsockname())
        _, ancillary, _, _ = sock.recvmsg(10, 64)
        assert [(level, kind) for level, kind, _ in ancillary] == [(socket.SOL_SOCKET, 35)]
