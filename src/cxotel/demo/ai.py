"""The AI agent: speaks, listens for the end of what the customer says, answers and hands over."""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import TYPE_CHECKING

import cxotel
from cxotel.demo import playout
from cxotel.demo.party import AI_OWNER, CALL_KEY, Calls, drain, observe, run_party
from cxotel.demo.peer import answer, connected, connection
from cxotel.demo.scenario import CONTEXT, Scenario
from cxotel.demo.tracks import Ear, PacedTrack

if TYPE_CHECKING:
    from cxotel.demo.wire import Message

THINKING = 0.5
"""Seconds from the end of the customer's speech to the first word, for recognition, model and synthesis."""


class AiCall:
    """One conversation of the AI."""

    def __init__(self, key: str, message: Message) -> None:
        self.key = key
        self._sdp: str = message["sdp"]
        self._call = cxotel.join_call(key, carrier=message["headers"])
        self._track = PacedTrack("PCMU")
        self._pc = connection(self._track, "PCMU")
        observe(self._pc, "voice_ai", self._call, Scenario.from_json(message["scenario"]))
        self._ear = Ear()
        self._over = asyncio.Event()

    async def answered(self) -> str:
        """Our SDP."""
        sdp = await answer(self._pc, self._sdp)
        playout.install(self._pc.getTransceivers()[0].receiver, on_payload=self._ear.listen)
        return sdp

    def hung_up(self) -> None:
        """The platform takes the customer back."""
        self._over.set()

    async def run(self) -> None:
        """Converse until the platform takes the customer back."""
        tasks = [asyncio.ensure_future(drain(self._pc)), asyncio.ensure_future(self._converse())]
        try:
            await self._over.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._pc.close()
            self._call.stop()

    async def _converse(self) -> None:
        await connected(self._pc)
        self._track.say("ai-1")
        for sentence in cycle(("ai-2", "ai-3")):
            await self._ear.heard.wait()
            self._track.hush()  # the customer speaks: barge-in
            await self._ear.ended.wait()
            response = self._call.start_response(owner=AI_OWNER)
            try:
                await asyncio.sleep(THINKING)
                self._track.say(sentence)
            finally:
                response.stop()


class Ai:
    """All conversations of a run."""

    def __init__(self) -> None:
        self._calls = Calls(AiCall)

    async def handle(self, message: Message) -> Message:
        """INVITE and BYE from the platform; the answer to BYE has what was learned of the customer.

        Raises:
            ValueError: an unknown method or call.
        """
        method, key = message["method"], message["headers"][CALL_KEY]
        if method == "INVITE":
            _, sdp = await self._calls.answer(key, message)
            return {"sdp": sdp}
        if method == "BYE":
            self._calls[key].hung_up()
            await self._calls.over(key)
            return {"context": CONTEXT}
        raise ValueError(f"no method {method!r}")


if __name__ == "__main__":
    run_party("ai", lambda: Ai().handle)
