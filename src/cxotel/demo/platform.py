"""The contact-centre platform: answers, greets, queues, connects AI and agents, and relays their audio.

It owns the call, so it exports the root span. It looks at calls from both sides: what the carrier delivers,
and what comes back from the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import asdict

import cxotel
from cxotel import _semconv as names
from cxotel.demo import playout
from cxotel.demo.party import (
    CALL_KEY,
    CARRIER_OWNER,
    PLATFORM_OWNER,
    Calls,
    Tasks,
    drain,
    lateness,
    observe,
    run_party,
)
from cxotel.demo.peer import answer, connected, connection, invite, invite_through
from cxotel.demo.scenario import AGENT_NETWORK, CARRIER, CONTEXT, Scenario
from cxotel.demo.tracks import PacedTrack
from cxotel.demo.wire import Address, Message, WireError, ask

CONTEXT_HEADER = "X-Call-Context"
LONGEST_TALK = 120.0


class PlatformCall:
    """One call, from the customer's INVITE to the last BYE."""

    def __init__(self, key: str, message: Message) -> None:
        self.key = key
        self.scenario = Scenario.from_json(message["scenario"])
        self.lateness: dict[str, dict[str, float]] = {}
        self._message = message
        self._proxy: Address = tuple(message["proxy"])
        self._ended = asyncio.Event()
        self._ended_by = "agent"
        self._reason = ""
        self._tasks = Tasks()
        self._call = cxotel.start_call(
            key,
            direction="inbound",
            queue="billing",
            site="Leeds",
            partner="BPO North",
            customer="+447700900123",
        )
        self._track = PacedTrack(self.scenario.codec)
        self._pc = connection(self._track, self.scenario.codec)
        observe(self._pc, "platform_customer", self._call, self.scenario)
        # What signalling knows of the carrier's leg; the media are the instrumentation's.
        self._carrier_leg = self._call.start_leg(
            CARRIER,
            owner=CARRIER_OWNER,
            attributes={names.CX_CARRIER_NAME: CARRIER_OWNER, "sip.call_id": key},
        )
        self._relay_to: PacedTrack | None = None

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return self._call.trace_id

    async def answered(self) -> str:
        """Our SDP for the customer; from here on the call runs by itself."""
        sdp = await answer(self._pc, self._message["sdp"])
        playout.install(self._pc.getTransceivers()[0].receiver, on_payload=self._from_customer)
        return sdp

    def ended(self, by: str, reason: str = "") -> None:
        """Somebody hung up."""
        self._ended_by, self._reason = by, reason
        self._ended.set()

    def _from_customer(self, payload: bytes) -> None:
        if self._relay_to is not None:
            self._relay_to.relay(payload)

    async def run(self) -> None:
        """The whole call; whatever breaks ends it as failed."""
        listening = self._tasks.start(drain(self._pc), f"{self.key} carrier")
        try:
            await connected(self._pc)
            if self.scenario.ivr:
                await self._greet()
            context = await self._ai() if self.scenario.ai_seconds and not self._ended.is_set() else None
            if not self._ended.is_set():
                await self._agent(context)
        except WireError as exc:
            logging.getLogger("demo").exception("call %s", self.key)
            self._call.fail(exc)
        finally:
            await self._end()
            listening.cancel()

    async def _greet(self) -> None:
        with self._call.start_activity("ivr", layer="ccaas", owner=PLATFORM_OWNER):
            await self._ended_within(self._track.say("ivr"))

    async def _ended_within(self, seconds: float) -> bool:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)
        return self._ended.is_set()

    def _headers(self) -> dict[str, str]:
        """What goes with an INVITE; where headers get lost on the way only the call's id arrives."""
        headers = {CALL_KEY: self.key}
        if self.scenario.join == "headers":
            self._call.inject(headers)
        return headers

    async def _ai(self) -> dict[str, str]:
        """Let the AI talk with the customer; returns what it learned."""
        ai: Address = tuple(self._message["ai"])
        track = PacedTrack("PCMU")
        pc = connection(track, "PCMU")
        message = {"method": "INVITE", "headers": self._headers(), "scenario": asdict(self.scenario)}
        await invite(pc, ai, message)
        playout.install(pc.getTransceivers()[0].receiver, on_payload=self._track.relay)
        listening = self._tasks.start(drain(pc), f"{self.key} ai")
        try:
            await connected(pc)
            self._relay_to = track
            await self._ended_within(self.scenario.ai_seconds)
        finally:
            self._relay_to = None
            reply = await ask(ai, {"method": "BYE", "headers": {CALL_KEY: self.key}})
            await pc.close()
            listening.cancel()
        context: dict[str, str] = reply["context"]
        return context

    async def _agent(self, context: dict[str, str] | None) -> None:
        handoff = None
        headers = self._headers()
        if context is not None:
            # The planted fault: the header on the way to the agent is shorter than what the AI has to say.
            headers[CONTEXT_HEADER] = _packed(context)[: self.scenario.context_limit]
            handoff = self._call.start_handoff(
                "voice_ai", "agent", expected=list(context), owner=PLATFORM_OWNER
            )
        track = PacedTrack(self.scenario.codec)
        pc = connection(track, self.scenario.codec)
        observe(pc, "platform_agent", self._call, self.scenario)
        hop = {
            "hop": f"{self.key}/{AGENT_NETWORK}",
            "seed": f"{self._message['seed']}/{self.scenario.name}/{AGENT_NETWORK}",
            "impairments": [asdict(each) for each in self.scenario.impairments if each.hop == AGENT_NETWORK],
        }
        message = {**self._message, "method": "INVITE", "headers": headers}
        try:
            with self._call.start_activity("queue", layer="ccaas", owner=PLATFORM_OWNER):
                reply = await invite_through(self._proxy, hop, pc, tuple(self._message["agent"]), message)
            playout.install(pc.getTransceivers()[0].receiver, on_payload=self._track.relay)
            listening = self._tasks.start(drain(pc), f"{self.key} agent")
            await connected(pc)
            if handoff is not None:
                handoff.deliver(reply["context_keys"])
                handoff.stop()
            await self._talk(track)
            listening.cancel()
        finally:
            with contextlib.suppress(WireError):
                await ask(tuple(self._message["agent"]), {"method": "BYE", "headers": {CALL_KEY: self.key}})
            await pc.close()
            self.lateness["platform to agent"] = lateness(track)

    async def _talk(self, track: PacedTrack) -> None:
        with self._call.start_activity("talk", layer="ccaas", owner=PLATFORM_OWNER):
            self._relay_to = track
            await self._ended_within(LONGEST_TALK)
            self._relay_to = None

    async def _end(self) -> None:
        dropped = self._ended_by == CARRIER
        if dropped:
            self._carrier_leg.set({names.CX_Q850_CAUSE: 41})
            self._carrier_leg.fail("q850_41")
        else:
            self._carrier_leg.stop()
        with contextlib.suppress(WireError):
            await ask(tuple(self._message["customer"]), {"method": "BYE", "headers": {CALL_KEY: self.key}})
        await self._pc.close()
        self.lateness["platform to customer"] = lateness(self._track)
        self._call.stop(outcome="dropped" if dropped else "completed", ended_by=self._ended_by)


class Platform:
    """All calls of a run."""

    def __init__(self) -> None:
        self._calls = Calls(PlatformCall)

    async def handle(self, message: Message) -> Message:
        """INVITE from a customer, BYE from either side, RECORD from who runs the demo.

        Raises:
            ValueError: an unknown method or call.
        """
        method, key = message["method"], message["headers"][CALL_KEY]
        if method == "INVITE":
            _, sdp = await self._calls.answer(key, message)
            return {"sdp": sdp}
        if method == "BYE":
            self._calls[key].ended(message["from"], message["headers"].get("Reason", ""))
            return {}
        if method == "RECORD":
            call = await self._calls.over(key)
            return {"trace_id": call.trace_id, "lateness": call.lateness}
        raise ValueError(f"no method {method!r}")


def _packed(context: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in context.items())


def unpacked(header: str) -> dict[str, str]:
    """What arrived of a context header: its whole items, read as far as they can be."""
    pairs = (item.partition("=") for item in header.split(";"))
    return {name: value for name, _, value in pairs if value and CONTEXT.get(name) == value}


if __name__ == "__main__":
    run_party("platform", lambda: Platform().handle)
