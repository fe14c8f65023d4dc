"""The customers and their carrier: place the calls, speak, listen, and drop a call where that is planted."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from typing import Any

from cxotel.demo import playout
from cxotel.demo.party import CALL_KEY, Tasks, drain, lateness, run_party
from cxotel.demo.peer import connected, connection, invite_through
from cxotel.demo.scenario import CARRIER, Scenario
from cxotel.demo.tracks import PacedTrack
from cxotel.demo.wire import Address, Message, WireError, ask

LONGEST = 180.0
"""Seconds after which a call is given up: the longest of the demo takes 60."""


class Customers:
    """All customers of a run."""

    def __init__(self) -> None:
        self._tasks = Tasks()
        self._hung_up: dict[str, asyncio.Event] = {}

    async def handle(self, message: Message) -> Message:
        """PLACE a call and answer when it is over; BYE from the platform.

        Raises:
            ValueError: an unknown method.
        """
        key = message["headers"][CALL_KEY]
        if message["method"] == "PLACE":
            return await self._place(key, message)
        if message["method"] == "BYE":
            if key in self._hung_up:
                self._hung_up[key].set()
            return {}
        raise ValueError(f"no method {message['method']!r}")

    async def _place(self, key: str, message: Message) -> Message:
        scenario = Scenario.from_json(message["scenario"])
        proxy: Address = tuple(message["proxy"])
        platform: Address = tuple(message["platform"])
        track = PacedTrack(scenario.codec)
        pc = connection(track, scenario.codec)
        over = self._hung_up[key] = asyncio.Event()
        hop = {
            "hop": f"{key}/{CARRIER}",
            "seed": f"{message['seed']}/{scenario.name}/{CARRIER}",
            "impairments": [asdict(each) for each in scenario.impairments if each.hop == CARRIER],
        }
        tasks: list[asyncio.Task[Any]] = []
        try:
            await invite_through(proxy, hop, pc, platform, {**message, "method": "INVITE"})
            playout.install(pc.getTransceivers()[0].receiver)
            await connected(pc)
            tasks += [
                self._tasks.start(drain(pc), f"{key} listening"),
                self._tasks.start(self._speak(track), f"{key} speaking"),
            ]
            if scenario.cut_after:
                tasks.append(self._tasks.start(self._cut(scenario, hop, key, proxy, platform), f"{key} cut"))
            await asyncio.wait_for(over.wait(), LONGEST)
        except asyncio.TimeoutError:
            raise WireError(f"call {scenario.name} did not end within {LONGEST:g} s") from None
        finally:
            for task in tasks:
                task.cancel()
            await pc.close()
            del self._hung_up[key]
        return {"lateness": lateness(track)}

    @staticmethod
    async def _speak(track: PacedTrack) -> None:
        """A sentence, a pause in which others answer, and so on: with an AI as with a human."""
        await asyncio.sleep(3.0)
        while True:
            for sentence in ("customer-1", "customer-2", "customer-3"):
                await asyncio.sleep(track.say(sentence) + 3.5)

    @staticmethod
    async def _cut(scenario: Scenario, hop: Message, key: str, proxy: Address, platform: Address) -> None:
        """The line breaks: nothing passes, and a second later the carrier's border controller gives up."""
        await asyncio.sleep(scenario.cut_after)
        await ask(proxy, {"method": "CUT", "hop": hop["hop"]})
        await asyncio.sleep(1.0)
        # ITU-T Q.850 cause 41: temporary failure of the network.
        headers = {CALL_KEY: key, "Reason": 'Q.850;cause=41;text="Temporary failure"'}
        with contextlib.suppress(WireError):
            await ask(platform, {"method": "BYE", "from": CARRIER, "headers": headers})


if __name__ == "__main__":
    run_party("customer", lambda: Customers().handle)
