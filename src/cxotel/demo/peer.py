"""Peer connections of the demo: on loopback only, one audio stream, and with the proxy in between."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import aioice.ice
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription

from cxotel.demo.impair import TO_AGENT, TO_CUSTOMER
from cxotel.demo.wire import LOOPBACK, Address, Message, WireError, ask

if TYPE_CHECKING:
    from cxotel.demo.tracks import PacedTrack

_CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ udp \d+) (\S+) (\d+) ", re.MULTILINE | re.IGNORECASE)


def stay_on_loopback() -> None:
    """Make this process gather ICE candidates on 127.0.0.1 only.

    aioice leaves loopback out, so that without this the demo would need a network, and would speak on it.

    Raises:
        RuntimeError: this version of aioice gathers its addresses in another way.
    """
    if not callable(getattr(aioice.ice, "get_host_addresses", None)):
        raise RuntimeError(  # noqa: TRY004 - a version, not an argument
            "the demo does not know this aioice: it needs 0.9 to 0.13"
        )

    def loopback(use_ipv4: bool = True, use_ipv6: bool = True) -> list[str]:  # noqa: ARG001
        return [LOOPBACK]

    aioice.ice.get_host_addresses = loopback


def connection(track: PacedTrack, codec: str) -> RTCPeerConnection:
    """A connection that will send this track and prefers one codec (`PCMU` or `opus`)."""
    pc = RTCPeerConnection()
    pc.addTrack(track)
    capabilities = RTCRtpReceiver.getCapabilities("audio")
    wanted = [
        c
        for c in (capabilities.codecs if capabilities else [])
        if c.mimeType.lower() == f"audio/{codec.lower()}"
    ]
    pc.getTransceivers()[0].setCodecPreferences(wanted)
    return pc


async def offer(pc: RTCPeerConnection) -> str:
    """Make the offer, with all candidates."""
    await pc.setLocalDescription(await pc.createOffer())
    return str(pc.localDescription.sdp)


async def answer(pc: RTCPeerConnection, sdp: str) -> str:
    """Take an offer and make the answer."""
    await pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
    await pc.setLocalDescription(await pc.createAnswer())
    return str(pc.localDescription.sdp)


async def accept(pc: RTCPeerConnection, sdp: str) -> None:
    """Take the answer to our offer."""
    await pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))


def address_of(sdp: str) -> Address:
    """The address of the first UDP candidate.

    Raises:
        ValueError: the SDP has none.
    """
    found = _CANDIDATE.search(sdp)
    if found is None:
        raise ValueError("no UDP candidate in the SDP")
    return found[2], int(found[3])


def readdressed(sdp: str, port: int) -> str:
    """The same SDP with all its UDP candidates at a port of the proxy."""
    return _CANDIDATE.sub(rf"\1 {LOOPBACK} {port} ", sdp)


async def invite_through(
    proxy: Address, hop: Message, pc: RTCPeerConnection, callee: Address, message: Message
) -> Message:
    """Offer a call to `callee` so that its media run through a new hop of the proxy; returns its answer.

    `hop` has the hop's name, seed and impairments.

    Raises:
        WireError: the proxy or the one called refused or did not answer.
    """
    sdp = await offer(pc)
    opened = await ask(proxy, {**hop, "method": "OPEN", "caller": address_of(sdp)})
    reply = await ask(callee, {**message, "sdp": readdressed(sdp, opened["ports"][TO_CUSTOMER])})
    await accept(pc, readdressed(reply["sdp"], opened["ports"][TO_AGENT]))
    return reply


async def invite(pc: RTCPeerConnection, callee: Address, message: Message) -> Message:
    """Offer a call to `callee` directly (inside the platform nothing impairs)."""
    reply = await ask(callee, {**message, "sdp": await offer(pc)})
    await accept(pc, reply["sdp"])
    return reply


async def connected(pc: RTCPeerConnection, timeout: float = 10.0) -> None:
    """Wait until media can flow.

    Raises:
        WireError: the connection failed, or took longer than `timeout` seconds.
    """
    ready = asyncio.Event()

    def changed() -> None:
        if pc.connectionState in {"connected", "failed", "closed"}:
            ready.set()

    pc.on("connectionstatechange", changed)
    changed()
    try:
        await asyncio.wait_for(ready.wait(), timeout)
    except asyncio.TimeoutError:
        raise WireError(f"no media connection within {timeout:g} s") from None
    finally:
        pc.remove_listener("connectionstatechange", changed)
    if pc.connectionState != "connected":
        raise WireError(f"media connection {pc.connectionState}")


def remote_track(pc: RTCPeerConnection) -> Any:
    """The track that the other side sends."""
    return pc.getTransceivers()[0].receiver.track
