"""Following real aiortc connections: what is learnt of them, and that they are none the wiser."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import aioice.ice
import aioice.stun
import pytest
from webrtc_pair import Relay, call, connected, listen, negotiate, peer, talk

from cxotel.instrument import _ending
from cxotel.instrument._peer import Peer

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection

    from cxotel.instrument._stats import Codec

pytestmark = pytest.mark.media


class Notes:
    """A recording that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.readings: list[tuple[Any, float]] = []
        self.frames = 0

    def start(self, *, offerer: bool, at: int) -> None:
        """See Recording."""
        self.told.append(("start", offerer))

    def connected(self, codec: Codec | None, timings: Any) -> None:
        """See Recording."""
        self.timings = timings
        self.told.append(("connected", codec.name if codec else None))

    def reading(self, reading: Any, seconds: float) -> None:
        """See Recording."""
        self.readings.append((reading, seconds))

    def frame(self, frame: Any) -> None:
        """See Recording."""
        self.frames += 1

    def changed(self, state: str) -> None:
        """See Recording."""
        self.told.append((state,))

    def stop(self, *, error: str | None, by_far_side: bool, at: int) -> None:
        """See Recording."""
        self.told.append(("stop", error, by_far_side))


def follow(pc: RTCPeerConnection) -> tuple[Peer, Notes]:
    """Follow a connection, writing down what is learnt."""
    notes = Notes()
    return Peer(pc, notes), notes


async def until(condition: Any, within: float = 10.0) -> None:
    """Wait until the condition holds."""
    for _ in range(int(within / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


@pytest.fixture(autouse=True)
def nothing_left_open() -> Any:
    """Each connection that was opened is closed again, and SIGTERM is nobody's."""
    yield
    assert {} == _ending._open


async def test_both_sides_of_a_call_are_followed_to_their_end() -> None:
    """Start, states, codec, a reading a second, frames as they are read, and who closed."""
    a, b = peer(), peer()
    (_, from_a), (_, from_b) = follow(a), follow(b)
    for pc in (a, b):
        talk(pc)
        listen(pc)
    await negotiate(a, b)
    await connected(a, b)
    await asyncio.sleep(2.2)
    await a.close()
    await until(lambda: b.connectionState == "closed")
    assert [
        ("start", True),
        ("connecting",),
        ("connected",),
        ("connected", "opus"),
        ("stop", None, False),
    ] == from_a.told
    assert ("start", False) == from_b.told[0]
    assert ("stop", None, True) == from_b.told[-1]
    assert [0, 1, 2, 2] == [int(seconds) for _, seconds in from_a.readings]
    assert from_a.frames > 80
    steps = from_a.timings
    assert 0 < steps.negotiated <= steps.checking <= steps.ice <= steps.connected


async def test_connection_instrumented_late_is_followed_from_there() -> None:
    """Its tracks are watched though they were handed out before."""
    async with call() as (a, _b, _):
        peer_of_a, notes = follow(a)
        await asyncio.sleep(0.5)
        assert [("start", True), ("connected",), ("connected", "opus")] == notes.told
        assert notes.frames > 10
        peer_of_a.stop()
        frames = notes.frames
        await asyncio.sleep(0.2)
        assert (("stop", None, False), frames) == (notes.told[-1], notes.frames)
        assert ("emit" in a.__dict__, "recv" in a.getReceivers()[0].track.__dict__) == (False, False)


async def test_host_sees_no_listeners_and_no_tasks_of_ours() -> None:
    """Its listeners, their number and the tasks of the loop are as without us."""

    async def seen(*, followed: bool) -> tuple[Any, ...]:
        async with call() as (a, b, _):
            peers = [follow(pc) for pc in (a, b) if followed]
            await asyncio.sleep(0.1)
            events = (a.event_names(), len(a.listeners("track")), len(a.listeners("connectionstatechange")))
            tasks = sum("cxotel" in repr(task.get_coro()) for task in asyncio.all_tasks())
            assert len(peers) == 2 * followed
            return (*events, tasks)

    assert await seen(followed=False) == await seen(followed=True)


async def test_data_only_connection_is_no_call() -> None:
    """Nothing is recorded, as long as no audio comes to it."""
    a, b = peer(), peer()
    (_, notes), _ = follow(a), follow(b)
    a.createDataChannel("chat")
    await negotiate(a, b)
    await connected(a, b)
    await asyncio.sleep(1.2)
    assert [] == notes.told
    talk(a)
    listen(b)
    await negotiate(a, b)
    await until(lambda: notes.readings)
    await a.close()
    await b.close()
    told = [each for each in notes.told if each not in {("connecting",), ("connected",)}]
    assert [("start", True), ("connected", "opus"), ("stop", None, False)] == told


async def test_video_only_connection_is_no_call() -> None:
    """Video is none of ours."""
    a, b = peer(), peer()
    (_, notes), _ = follow(a), follow(b)
    a.addTransceiver("video", direction="recvonly")
    await negotiate(a, b)
    await connected(a, b)
    await asyncio.sleep(0.2)
    await a.close()
    await b.close()
    assert [] == notes.told


async def test_unanswered_offer_is_no_call() -> None:
    """Nobody answered: there was no media to fail."""
    a = peer()
    _, notes = follow(a)
    talk(a)
    await a.setLocalDescription(await a.createOffer())
    await a.close()
    assert [] == notes.told


async def test_hold_is_told_with_the_readings() -> None:
    """After a renegotiation to inactive nothing is to be expected in either direction."""
    async with call() as (a, b, _):
        _, notes = follow(a)
        for pc, direction in ((a, "inactive"), (b, "inactive")):
            pc.getTransceivers()[0].direction = direction
        await negotiate(a, b)
        await asyncio.sleep(1.2)
        first, last = notes.readings[0][0], notes.readings[-1][0]
        assert (True, True, False, False) == (first.receiving, first.sending, last.receiving, last.sending)


async def test_far_side_that_stops_sending_is_not_an_outage() -> None:
    """After its RTCP BYE nothing is to be expected, though the direction is still negotiated."""
    async with call() as (a, b, _):
        _, notes = follow(a)
        await asyncio.sleep(0.1)
        await b.getTransceivers()[0].sender.stop()
        await asyncio.sleep(1.2)
        assert (False, True) == (notes.readings[-1][0].receiving, notes.readings[-1][0].sending)


async def test_connection_that_fails_is_told_as_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is cut: ICE consent runs out (RFC 7675), sooner here than its 30 s."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    monkeypatch.setattr(aioice.stun, "RETRY_MAX", 0)
    monkeypatch.setattr(aioice.stun, "RETRY_RTO", 0.2)
    async with call(relay=True) as (a, _b, relay):
        _, notes = follow(a)
        relay.cut()
        await until(lambda: a.connectionState == "closed")
        assert ("stop", "ice_failed", False) == notes.told[-1]


async def test_connection_that_never_connects_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pair of candidates works."""
    monkeypatch.setattr(aioice.stun, "RETRY_MAX", 0)
    monkeypatch.setattr(aioice.stun, "RETRY_RTO", 0.1)
    relay = await Relay.start()
    a, b = peer(), peer()
    _, notes = follow(a)
    talk(a)
    relay.cut()
    await negotiate(a, b, relay)
    await until(lambda: a.connectionState == "failed")
    for pc in (a, b):
        await pc.close()
    relay.close()
    assert [("start", True), ("connecting",), ("failed",), ("stop", "ice_failed", False)] == notes.told


async def test_closing_twice_ends_once() -> None:
    """As aiortc allows."""
    async with call() as (a, _b, _):
        _, notes = follow(a)
        await asyncio.gather(a.close(), a.close())
        await a.close()
    assert [("stop", None, False)] == [each for each in notes.told if each[0] == "stop"]


async def test_connection_that_is_dropped_is_not_kept_alive() -> None:
    """Following holds no reference: what the host forgets is collected."""
    pc = peer()
    followed, _ = follow(pc)
    gone = weakref.ref(pc)
    talk(pc)
    del pc
    gc.collect()
    assert (None, False) == (gone(), followed.started)


async def test_process_that_ends_ends_its_connections() -> None:
    """As far as they were seen."""
    async with call() as (a, b, _):
        notes = [follow(pc)[1] for pc in (a, b)]
        _ending.end_all()
        assert [("stop", None, False)] * 2 == [each.told[-1] for each in notes]
