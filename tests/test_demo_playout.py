"""The parties' playout buffer, inside real aiortc connections over a real hop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiortc.mediastreams import MediaStreamError

from cxotel.demo import peer, playout
from cxotel.demo.impair import TO_AGENT, TO_CUSTOMER, Impairment
from cxotel.demo.proxy import Hop
from cxotel.demo.tracks import PacedTrack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiortc import RTCPeerConnection

SECONDS = 4.0


@asynccontextmanager
async def call_over(
    impairments: list[Impairment], device: playout.Device, codec: str
) -> AsyncIterator[tuple[Hop, playout.PlayoutBuffer, RTCPeerConnection]]:
    """Two connections with a hop between them; the one called has the buffer in question."""
    tracks = [PacedTrack(codec), PacedTrack(codec)]
    tracks[0].say("customer-1")
    caller, called = (peer.connection(track, codec) for track in tracks)
    sdp = await peer.offer(caller)
    hop = Hop(impairments, "seed", peer.address_of(sdp))
    answer = await peer.answer(called, peer.readdressed(sdp, hop.port(TO_CUSTOMER)))
    buffer = playout.install(called.getTransceivers()[0].receiver, device=device)
    try:
        await peer.accept(caller, peer.readdressed(answer, hop.port(TO_AGENT)))
        await peer.connected(called)
        yield hop, buffer, called
    finally:
        await caller.close()
        await called.close()
        hop.close()


async def gaps(pc: RTCPeerConnection, seconds: float) -> tuple[int, int]:
    """Frames that came, and frames missing between them, in some seconds of listening."""
    came = missing = 0
    last: Any = None

    async def listen() -> None:
        nonlocal came, missing, last
        with suppress(MediaStreamError):
            while True:
                frame = await peer.remote_track(pc).recv()
                if last is not None:
                    missing += (frame.pts - last) // frame.samples - 1
                last, came = frame.pts, came + 1

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(listen(), seconds)
    return came, missing


@pytest.fixture(autouse=True)
def _on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests' connections gather their candidates as ever."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", peer.aioice.ice.get_host_addresses)
    peer.stay_on_loopback()


@pytest.mark.media
@pytest.mark.parametrize("codec", ["PCMU", "opus"])
async def test_only_what_the_network_lost_is_missing(codec: str) -> None:
    """Aiortc's own buffer would make four times as much of it; jitter that reorders packets costs nothing."""
    plan = [Impairment("carrier", TO_AGENT, loss=0.1, delay_ms=20, jitter_ms=20)]
    async with call_over(plan, playout.Device(), codec) as (hop, _, called):
        _, missing = await gaps(called, SECONDS)
        dropped = sum(row[3] is None for row in hop.records[TO_AGENT].packets)
    assert dropped > 8
    # At either end of the listening a drop may lie outside of what was heard.
    assert missing == pytest.approx(dropped, abs=3)


@pytest.mark.media
async def test_a_broken_device_throws_away_its_share_and_writes_it_down() -> None:
    """A ring of 3 frames fetched every 4: a quarter is gone, though the network lost nothing."""
    async with call_over([], playout.Device(period=4, capacity=3), "PCMU") as (_, buffer, called):
        came, missing = await gaps(called, SECONDS)
    thrown = sum(was_thrown for _, was_thrown in buffer.thrown)
    assert missing == pytest.approx(thrown, abs=1)
    assert missing / (came + missing) == pytest.approx(0.25, abs=0.02)


@pytest.mark.media
async def test_a_slow_device_says_how_slow_it_is() -> None:
    """120 ms asked, 120 ms measured."""
    async with call_over([], playout.Device(delay_ms=120), "PCMU") as (_, buffer, called):
        await gaps(called, 2.0)
        assert buffer.device_delay_ms() == pytest.approx(120, abs=10)


def test_an_aiortc_that_is_built_differently_is_refused_by_name() -> None:
    """Rather than a run whose endpoint is to blame for everything."""
    with pytest.raises(playout.UnknownAiortcError, match="cannot replace the audio buffer of aiortc"):
        playout.install(object())
