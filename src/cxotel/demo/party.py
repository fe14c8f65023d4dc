"""What all parties of a call share: one process each, one task a call, the SDK from the environment."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from aiortc.mediastreams import MediaStreamError

import cxotel
from cxotel.demo.peer import remote_track, stay_on_loopback
from cxotel.demo.wire import Handler, Message, serve_child
from cxotel.instrument.aiortc import instrument_peer_connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from aiortc import RTCPeerConnection

    from cxotel.call import Call
    from cxotel.demo.scenario import Scenario
    from cxotel.demo.tracks import PacedTrack

CALL_KEY = "X-Call-Key"
"""The header with the call's id, which every hop lets through."""

PLATFORM_OWNER, CARRIER_OWNER = "Contact-centre platform team", "Acme Telecom"
NETWORK_OWNER, DEVICE_OWNER = "BPO North IT", "Agent desktop team"
CRM_OWNER, AI_OWNER = "CRM team", "Voice AI team"

_OWNERS = {
    "platform_customer": (CARRIER_OWNER, PLATFORM_OWNER),
    "platform_agent": (NETWORK_OWNER, PLATFORM_OWNER),
    "softphone": (NETWORK_OWNER, DEVICE_OWNER),
    "voice_ai": (PLATFORM_OWNER, AI_OWNER),
}
"""By role: who can fix the network, and who the device or media server."""

LATE_MS = 40.0
"""A packet this late did harm by itself: a playout buffer holds 40 ms (playout.py), more is delay or loss."""


def configured(name: str) -> None:
    """Set up the SDK for this process; where it sends to stands in OTEL_* variables."""
    logging.basicConfig(level=logging.WARNING, format=f"{name}: %(levelname)s %(name)s: %(message)s")
    cxotel.configure(service_name=f"demo-{name}", namespace=os.environ.get("CXOTEL_NAMESPACE"))


async def flush() -> None:
    """Send what the SDK still holds."""
    await asyncio.to_thread(cxotel.flush)


def reporting(handler: Handler) -> Handler:
    """The handler, and FLUSH: send what the SDK still holds, then say what it dropped so far, by reason."""

    async def handle(message: Message) -> Message:
        if message["method"] == "FLUSH":
            await flush()
            return {"counters": cxotel.counters()}
        return await handler(message)

    return handle


class Tasks:
    """The calls of a party; a failure is logged with its call, not lost."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run one call."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logging.getLogger("demo").error(
                "%s: %r", task.get_name(), task.exception(), exc_info=task.exception()
            )


class PartyCall(Protocol):
    """A call at one party."""

    async def answered(self) -> str:
        """Our SDP."""

    async def run(self) -> None:
        """The call, to its end."""


C = TypeVar("C", bound=PartyCall)


class Calls(Generic[C]):
    """The calls of a party, by their key."""

    def __init__(self, make: Callable[[str, Message], C]) -> None:
        """`make` is a call from its key and the INVITE."""
        self._make = make
        self._tasks = Tasks()
        self._calls: dict[str, C] = {}
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def answer(self, key: str, invite: Message) -> tuple[C, str]:
        """A new call that runs from now on, and its SDP."""
        call = self._calls[key] = self._make(key, invite)
        sdp = await call.answered()
        self._running[key] = self._tasks.start(call.run(), key)
        return call, sdp

    def __getitem__(self, key: str) -> C:
        """A call that was invited, also while it rings; ValueError for any other key."""
        if key not in self._calls:
            raise ValueError(f"no call {key!r}")
        return self._calls[key]

    async def over(self, key: str) -> C:
        """The call once it has ended; it is forgotten here."""
        call = self[key]
        await self._running.pop(key)
        del self._calls[key]
        return call


def run_party(name: str, make: Callable[[], Handler]) -> None:
    """The main function of a party's process."""
    stay_on_loopback()
    configured(name)

    async def main() -> None:
        await serve_child(reporting(make()), closing=flush)

    asyncio.run(main())


def observe(pc: RTCPeerConnection, role: str, call: Call, scenario: Scenario) -> None:
    """Switch the instrumentation on for this connection, unless the call is to be unobserved here."""
    if role not in scenario.blind:
        owner, device_owner = _OWNERS[role]
        instrument_peer_connection(pc, role=role, call=call, owner=owner, device_owner=device_owner)


async def drain(pc: RTCPeerConnection) -> None:
    """Read the remote track to its end, as a sound device does."""
    track = remote_track(pc)
    with contextlib.suppress(MediaStreamError):
        while True:
            await track.recv()


async def after(seconds: float, action: Callable[[], Awaitable[None]]) -> None:
    """Do something later."""
    await asyncio.sleep(seconds)
    await action()


def lateness(track: PacedTrack) -> dict[str, float]:
    """How late a sender was: packets sent, how many over `LATE_MS`, and the latest in ms."""
    late = track.late_ms
    return {
        "packets": len(late),
        "late": sum(ms > LATE_MS for ms in late),
        "max_ms": round(max(late, default=0.0), 1),
    }
