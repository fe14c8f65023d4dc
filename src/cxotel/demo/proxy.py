"""A UDP proxy on a hop of a call: loses and delays RTP by a seeded plan and writes down exactly what it did.

ICE, DTLS and RTCP survive any loss, as with a firewall that keeps a session open but starves its audio;
delay and jitter apply to RTP and RTCP, so that round trips are real. Arrival times come from the kernel
(SO_TIMESTAMPNS), so the proxy's own lateness is measured packet by packet, not guessed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from dataclasses import dataclass, field

from cxotel.demo.impair import DIRECTIONS, TO_AGENT, TO_CUSTOMER, Course, Impairment, classify
from cxotel.demo.wire import LOOPBACK, Address, Message, serve_child

# linux/socket.h: 35 on all architectures but parisc and sparc; Python has no name for it.
_SO_TIMESTAMPNS = 35
_BATCH = 32
"""Datagrams read per turn of the loop, so that one busy call cannot starve the others."""


@dataclass
class Record:
    """What happened to the RTP packets of one direction of one hop.

    Attributes:
        packets: per packet [sequence, RTP timestamp, arrival, departure, lateness], in order of arrival;
            times in whole microseconds after the hop's first RTP packet, departure None for a dropped packet,
            lateness how much after its due time it left.
    """

    packets: list[list[int | None]] = field(default_factory=list)

    def seconds(self) -> list[dict[str, float]]:
        """The record summed up by the second of arrival: counts, mean delay and greatest lateness in ms."""
        rows: dict[int, dict[str, float]] = {}
        for _, _, arrival, departure, late in self.packets:
            second = (arrival or 0) // 1_000_000
            row = rows.setdefault(
                second,
                {
                    "second": second,
                    "packets": 0,
                    "dropped": 0,
                    "forwarded": 0,
                    "delay_ms": 0.0,
                    "late_ms": 0.0,
                },
            )
            row["packets"] += 1
            if departure is None:
                row["dropped"] += 1
                continue
            row["forwarded"] += 1
            row["delay_ms"] += (departure - (arrival or 0)) / 1000
            row["late_ms"] = max(row["late_ms"], (late or 0) / 1000)
        for row in rows.values():
            row["delay_ms"] = round(row["delay_ms"] / row["forwarded"], 3) if row["forwarded"] else 0.0
        return [rows[second] for second in sorted(rows)]


class Hop:
    """Two sockets, one facing each end; what comes in on one goes out of the other.

    The caller of a hop (the customer on the carrier's, the platform on the agent network's) sends `to_agent`,
    the one called `to_customer`. The caller's address is given; that of the one called is learned from its
    first packet, as its ICE checks start before its answer is on the way.
    """

    def __init__(self, impairments: list[Impairment], seed: str, caller: Address) -> None:
        self._courses = {
            direction: Course([i for i in impairments if i.direction == direction], f"{seed}/{direction}")
            for direction in DIRECTIONS
        }
        self.records = {direction: Record() for direction in DIRECTIONS}
        self.first_rtp_ns: int | None = None
        self._cut = False
        self._loop = asyncio.get_running_loop()
        self._sockets = {direction: _bind() for direction in DIRECTIONS}
        self._ends: dict[str, Address | None] = {TO_AGENT: None, TO_CUSTOMER: caller}
        for direction, sock in self._sockets.items():
            self._loop.add_reader(sock.fileno(), self._readable, direction)

    def port(self, direction: str) -> int:
        """The port at which packets of this direction come in."""
        port: int = self._sockets[direction].getsockname()[1]
        return port

    def cut(self) -> None:
        """Forward nothing any more, of no kind: the line is gone."""
        self._cut = True

    def close(self) -> None:
        """Give the sockets back."""
        for sock in self._sockets.values():
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def _readable(self, direction: str) -> None:
        sock = self._sockets[direction]
        for _ in range(_BATCH):
            try:
                data, ancillary, _, source = sock.recvmsg(2048, 64)
            except (BlockingIOError, ConnectionError):
                return
            if direction == TO_CUSTOMER and self._ends[TO_AGENT] is None:
                self._ends[TO_AGENT] = source
            self._handle(direction, data, _kernel_ns(ancillary))

    def _handle(self, direction: str, data: bytes, arrived: int) -> None:
        kind = classify(data)
        if self._cut:
            if kind == "rtp":
                self._note(direction, data, arrived, None)
            return
        if kind == "rtp":
            if self.first_rtp_ns is None:
                self.first_rtp_ns = arrived
            wait = self._courses[direction].rtp((arrived - self.first_rtp_ns) / 1e9)
            row = self._note(direction, data, arrived, wait)
            if wait is not None:
                self._after(wait, arrived, direction, data, row)
        elif kind == "rtcp" and self.first_rtp_ns is not None:
            wait = self._courses[direction].rtcp((arrived - self.first_rtp_ns) / 1e9)
            self._after(wait, arrived, direction, data, None)
        else:
            self._send(direction, data)

    def _note(self, direction: str, data: bytes, arrived: int, wait: float | None) -> list[int | None]:
        # Sequence number and timestamp stand in clear in SRTP too (RFC 3711 section 3.1).
        sequence, timestamp = struct.unpack_from("!HI", data, 2)
        at = (arrived - (self.first_rtp_ns or arrived)) // 1000
        # Until it has left, a packet counts as leaving when due: a call may end with packets under way.
        row: list[int | None] = [sequence, timestamp, at, None if wait is None else at + int(wait * 1000), 0]
        self.records[direction].packets.append(row)
        return row

    def _after(
        self, wait_ms: float, arrived: int, direction: str, data: bytes, row: list[int | None] | None
    ) -> None:
        due = arrived + int(wait_ms * 1e6)
        ahead = (due - time.time_ns()) / 1e9
        if ahead <= 0:
            self._forward(direction, data, arrived, due, row)
        else:
            self._loop.call_later(ahead, self._forward, direction, data, arrived, due, row)

    def _forward(
        self, direction: str, data: bytes, arrived: int, due: int, row: list[int | None] | None
    ) -> None:
        self._send(direction, data)
        if row is None:
            return
        now = time.time_ns()
        row[3] = (row[2] or 0) + max(0, now - arrived) // 1000
        row[4] = max(0, now - due) // 1000

    def _send(self, direction: str, data: bytes) -> None:
        # Sent from the socket that faces the receiver, so that its answers come in there.
        end = self._ends[direction]
        other = TO_CUSTOMER if direction == TO_AGENT else TO_AGENT
        sock = self._sockets[other]
        if end is not None and sock.fileno() >= 0:
            with contextlib.suppress(BlockingIOError, ConnectionError):  # as a full or closed line would
                sock.sendto(data, end)


def _bind() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.bind((LOOPBACK, 0))
    return sock


def _kernel_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("@ll", data[:16])
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


class Proxy:
    """All hops of a run, by name; answers OPEN, CUT and CLOSE."""

    def __init__(self) -> None:
        self._hops: dict[str, Hop] = {}

    async def handle(self, message: Message) -> Message:
        """Do what one message asks.

        Raises:
            ValueError: an unknown method or hop, or an impairment without meaning.
        """
        method, name = message["method"], message["hop"]
        if method == "OPEN":
            plan = [Impairment(**item) for item in message["impairments"]]
            hop = self._hops[name] = Hop(plan, message["seed"], tuple(message["caller"]))
            return {"ports": {direction: hop.port(direction) for direction in DIRECTIONS}}
        if name not in self._hops:
            raise ValueError(f"no hop {name!r}")
        hop = self._hops[name]
        if method == "CUT":
            hop.cut()
            return {}
        if method == "CLOSE":
            del self._hops[name]
            hop.close()
            return {
                "first_rtp_ns": hop.first_rtp_ns,
                "packets": {direction: record.packets for direction, record in hop.records.items()},
                "seconds": {direction: record.seconds() for direction, record in hop.records.items()},
            }
        raise ValueError(f"no method {method!r}")


def main() -> None:
    """Run as a process of its own, until the parent closes our input."""
    asyncio.run(serve_child(Proxy().handle))


if __name__ == "__main__":
    main()
