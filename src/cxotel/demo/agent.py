"""The human agents' softphones: ring, accept, talk, look the customer up, hang up."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools

from opentelemetry import propagate

import cxotel
from cxotel.demo import playout
from cxotel.demo.crm import DELAY_HEADER
from cxotel.demo.party import CALL_KEY, CRM_OWNER, DEVICE_OWNER, Calls, drain, lateness, observe, run_party
from cxotel.demo.peer import answer, connected, connection
from cxotel.demo.platform import CONTEXT_HEADER, unpacked
from cxotel.demo.scenario import CONTEXT, Scenario
from cxotel.demo.tracks import PacedTrack
from cxotel.demo.wire import LOOPBACK, Address, Message, ask
from cxotel.media.windows import Figures

_WINDOW = 5.0


class AgentCall:
    """One call on one softphone."""

    def __init__(self, key: str, message: Message) -> None:
        self.key = key
        self.scenario = Scenario.from_json(message["scenario"])
        self.context = unpacked(message["headers"].get(CONTEXT_HEADER, ""))
        self._platform: Address = tuple(message["platform"])
        self._crm_port: int = message["crm_port"]
        self._sdp: str = message["sdp"]
        self._call = cxotel.join_call(key, carrier=message["headers"])
        self._track = PacedTrack(self.scenario.codec)
        self._pc = connection(self._track, self.scenario.codec)
        observe(self._pc, "softphone", self._call, self.scenario)
        self._buffer: playout.PlayoutBuffer | None = None
        self._over = asyncio.Event()

    async def answered(self) -> str:
        """Ring, accept, and give our SDP."""
        await asyncio.sleep(self.scenario.queue_seconds)
        sdp = await answer(self._pc, self._sdp)
        receiver = self._pc.getTransceivers()[0].receiver
        self._buffer = playout.install(receiver, device=self.scenario.device)
        return sdp

    def hung_up(self) -> None:
        """The platform ended the call."""
        self._over.set()

    async def run(self) -> None:
        """Talk until it is time, or until the call is gone."""
        tasks = [asyncio.ensure_future(drain(self._pc))]
        try:
            await connected(self._pc)
            tasks.append(asyncio.ensure_future(self._speak()))
            if "softphone" not in self.scenario.blind:
                tasks.append(asyncio.ensure_future(self._report_device()))
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._over.wait(), self.scenario.talk_seconds)
            if not self._over.is_set():
                bye = {"method": "BYE", "from": "agent", "headers": {CALL_KEY: self.key}}
                await ask(self._platform, bye)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._pc.close()
            self._call.stop()

    async def _speak(self) -> None:
        """Greet, look the customer up while they wait, then talk on."""
        await asyncio.sleep(self._track.say("agent-1"))
        await self._look_up()
        while True:
            for sentence in ("agent-2", "agent-3"):
                await asyncio.sleep(self._track.say(sentence) + 3.0)

    async def _look_up(self) -> None:
        lookup = self._call.start_lookup("demo CRM", "find customer", waiting=True, owner=CRM_OWNER)
        headers = {DELAY_HEADER: str(self.scenario.lookup_seconds)}
        propagate.inject(headers, lookup.context)
        try:
            lookup.found(await asyncio.to_thread(self._get, headers) == 200)
            lookup.stop()
        except OSError as exc:
            lookup.fail(exc)

    def _get(self, headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection(LOOPBACK, self._crm_port, timeout=30)
        try:
            connection.request("GET", f"/customers/{CONTEXT['customer_ref']}", headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    async def _report_device(self) -> None:
        """What a softphone knows of its sound device and no statistics of WebRTC say: how late it plays."""
        leg = self._call.start_leg("endpoint", name="audio device", owner=DEVICE_OWNER)
        try:
            for index in itertools.count():
                await asyncio.sleep(_WINDOW)
                leg.add_window(index, to_agent=Figures(delay_ms=self._device_delay()))
        finally:
            leg.add_window(index, to_agent=Figures(delay_ms=self._device_delay()))
            leg.stop()

    def _device_delay(self) -> float | None:
        return None if self._buffer is None else self._buffer.device_delay_ms()

    def record(self) -> Message:
        """What the softphone itself knows of the call, exactly, for the comparison with the verdict."""
        buffer = self._buffer
        return {
            "lateness": lateness(self._track),
            "device": [] if buffer is None else buffer.thrown,
            "device_delay_ms": self.scenario.device.delay_ms,
        }


class Agents:
    """All softphones of a run."""

    def __init__(self) -> None:
        self._calls = Calls(AgentCall)

    async def handle(self, message: Message) -> Message:
        """INVITE and BYE from the platform, RECORD from who runs the demo.

        Raises:
            ValueError: an unknown method or call.
        """
        method, key = message["method"], message["headers"][CALL_KEY]
        if method == "INVITE":
            call, sdp = await self._calls.answer(key, message)
            return {"sdp": sdp, "context_keys": sorted(call.context)}
        if method == "BYE":
            self._calls[key].hung_up()
            return {}
        if method == "RECORD":
            return (await self._calls.over(key)).record()
        raise ValueError(f"no method {method!r}")


if __name__ == "__main__":
    run_party("agent", lambda: Agents().handle)
