"""Real aiortc pairs on this machine, with a UDP relay between them that loses RTP where a test says so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole
from aiortc.mediastreams import AudioStreamTrack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Drop = Callable[[int], bool]

_CANDIDATE = re.compile(r"^a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) .*$", re.MULTILINE)


def peer() -> RTCPeerConnection:
    """A connection that gathers host candidates only (no STUN server is asked)."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def is_rtp(datagram: bytes) -> bool:
    """RTP, and neither STUN, DTLS nor RTCP (RFC 7983, RFC 5761 4)."""
    return len(datagram) > 1 and 128 <= datagram[0] < 192 and not 192 <= datagram[1] < 224


@dataclass
class Side(asyncio.DatagramProtocol):
    """One socket of the relay: takes what one peer sends, passes it out through the other side's socket."""

    drop: Drop = field(default=lambda _i: False)
    target: tuple[str, int] | None = None
    other: Side | None = None
    transport: asyncio.DatagramTransport | None = None
    seen: int = 0
    dropped: int = 0
    cut: bool = False

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        """Keep the socket (asyncio's interface)."""
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Pass on, or lose (asyncio's interface)."""
        if self.cut:
            return
        if is_rtp(data):
            self.seen += 1
            if self.drop(self.seen - 1):
                self.dropped += 1
                return
        self.other.transport.sendto(data, self.other.target)

    @property
    def port(self) -> int:
        """Where this side's peer sends to."""
        return self.transport.get_extra_info("sockname")[1]


class Relay:
    """`from_a.drop(i)` says whether the i-th RTP packet that peer a sends is lost; `from_b` likewise."""

    def __init__(self, from_a: Side, from_b: Side) -> None:
        self.from_a, self.from_b = from_a, from_b

    @classmethod
    async def start(cls, *, from_a: Drop | None = None, from_b: Drop | None = None) -> Relay:
        """Open both sockets."""
        sides = [Side(drop=drop) if drop else Side() for drop in (from_a, from_b)]
        loop = asyncio.get_running_loop()
        for side, other in (sides, reversed(sides)):
            side.other = other
            await loop.create_datagram_endpoint(lambda side=side: side, local_addr=("0.0.0.0", 0))
        return cls(*sides)

    def offer(self, description: RTCSessionDescription) -> RTCSessionDescription:
        """Peer a's description as peer b shall see it."""
        return self._through(description, own=self.from_a, shown=self.from_b)

    def answer(self, description: RTCSessionDescription) -> RTCSessionDescription:
        """Peer b's description as peer a shall see it."""
        return self._through(description, own=self.from_b, shown=self.from_a)

    def _through(self, description: RTCSessionDescription, own: Side, shown: Side) -> RTCSessionDescription:
        found = _CANDIDATE.search(description.sdp)
        own.target = (found[1], int(found[2]))
        line = f"a=candidate:1 1 udp 2130706431 {found[1]} {shown.port} typ host"
        kept = [each for each in description.sdp.splitlines() if not each.startswith("a=candidate")]
        where = next(i for i, each in enumerate(kept) if each.startswith("a=end-of-candidates"))
        kept.insert(where, line)
        return RTCSessionDescription("\r\n".join(kept) + "\r\n", description.type)

    def cut(self) -> None:
        """Let nothing through any more."""
        self.from_a.cut = self.from_b.cut = True

    def close(self) -> None:
        """Close both sockets."""
        for side in (self.from_a, self.from_b):
            side.transport.close()


async def negotiate(a: RTCPeerConnection, b: RTCPeerConnection, relay: Relay | None = None) -> None:
    """Offer from a, answer from b."""
    await a.setLocalDescription(await a.createOffer())
    await b.setRemoteDescription(relay.offer(a.localDescription) if relay else a.localDescription)
    await b.setLocalDescription(await b.createAnswer())
    await a.setRemoteDescription(relay.answer(b.localDescription) if relay else b.localDescription)


async def connected(*peers: RTCPeerConnection, within: float = 10.0) -> None:
    """Wait until all are connected."""

    async def wait() -> None:
        while any(pc.connectionState != "connected" for pc in peers):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    await asyncio.wait_for(wait(), within)


def talk(pc: RTCPeerConnection) -> None:
    """Send silence, as real packets."""
    pc.addTrack(AudioStreamTrack())


def listen(pc: RTCPeerConnection) -> None:
    """Read all that comes."""
    sink = MediaBlackhole()

    @pc.on("track")
    async def on_track(track: object) -> None:
        sink.addTrack(track)
        await sink.start()


@asynccontextmanager
async def call(
    *, from_a: Drop | None = None, from_b: Drop | None = None, relay: bool = False, read: bool = True
) -> AsyncIterator[tuple[RTCPeerConnection, RTCPeerConnection, Relay | None]]:
    """Two connected parties that talk and (unless not `read`) listen; both closed in the end."""
    through = await Relay.start(from_a=from_a, from_b=from_b) if relay or from_a or from_b else None
    a, b = peer(), peer()
    try:
        for pc in (a, b):
            talk(pc)
            if read:
                listen(pc)
        await negotiate(a, b, through)
        await connected(a, b)
        yield a, b, through
    finally:
        await a.close()
        await b.close()
        if through is not None:
            through.close()
