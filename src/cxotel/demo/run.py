"""Starts the processes of a run, places calls and collects what everybody wrote down about them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cxotel.demo.impair import DIRECTIONS
from cxotel.demo.party import CALL_KEY, LATE_MS
from cxotel.demo.scenario import AGENT_NETWORK, CARRIER, Scenario
from cxotel.demo.wire import Child, Message, WireError

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

NAMESPACE = "demo"

LATE_SHARE = 0.03
"""Share of late packets (see `party.LATE_MS`) in a stream from which its call proves nothing. Late is lost at
worst, and 3 % of a call of 25 s is 0.75 s: less than the 3 s that the model calls an impact."""

_PARTIES = ("crm", "ai", "agent", "platform", "customer")

_FLUSH_SECONDS = 60.0
"""For a party's last spans: three exports (one that runs, one of spans, one of log records) of 10 s at most,
which is the exporters' own limit, and room for a busy machine."""

_LOST = ("export_failed", "queue_full")
"""Of the SDK's counters those that count spans which nobody will see."""


@dataclass
class CallRecord:
    """What is known of a call that was placed, apart from what the SDK measured.

    Attributes:
        scenario: what was planted.
        key: the call's key in the namespace `demo`.
        trace_id: 32 hex digits.
        hops: by hop, what the proxy wrote down (see `proxy.Record`); `first_rtp_ns` is Unix time.
        device: per packet that reached the agent's device [Unix time in ns, whether it was thrown away].
        device_delay_ms: how much later than needed that device played.
        late: sentences on senders and hops that were late; a call with any proves nothing.
    """

    scenario: Scenario
    key: str
    trace_id: str
    hops: dict[str, Message] = field(default_factory=dict)
    device: list[tuple[int, bool]] = field(default_factory=list)
    device_delay_ms: float = 0.0
    late: list[str] = field(default_factory=list)


class Rig:
    """All processes of a run: proxy, CRM, AI, agents, platform and customers.

    `endpoint` is where the parties' SDK sends OTLP over gRPC (`http://127.0.0.1:4317`) or, with `protocol`
    `http/protobuf`, over HTTP; `directory` takes their logs.
    """

    def __init__(self, endpoint: str, directory: Path, *, seed: int, protocol: str = "grpc") -> None:
        self._env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "CXOTEL_NAMESPACE": NAMESPACE,
            # Ofcom keeps the numbers that the demo's customers have free for drama.
            "CXOTEL_CUSTOMER_KEY": "demo",
            # A span of a call that has just ended should not wait 5 s for company.
            "OTEL_BSP_SCHEDULE_DELAY": "1000",
        }
        self._directory = directory
        self._seed = seed
        self._run = secrets.token_hex(4)
        self._children: dict[str, Child] = {}
        self._crm_port = 0
        self._placed = 0

    async def __aenter__(self) -> Self:
        """Start all processes.

        Raises:
            WireError: one did not start.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            await self._start_all()
            self._crm_port = (await self._children["crm"].ask({"method": "PORT"}))["port"]
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _start_all(self) -> None:
        # All of them come to an end, so that none is left over when one fails.
        ends = await asyncio.gather(
            *(self._start(role) for role in ("proxy", *_PARTIES)), return_exceptions=True
        )
        for end in ends:
            if end is not None:
                raise end

    async def _start(self, role: str) -> None:
        log = str(self._directory / f"{role}.log")
        self._children[role] = await Child.start(role, f"cxotel.demo.{role}", log=log, env=self._env)

    async def __aexit__(self, *_: object) -> None:
        """Stop them all; those that speak first, so that nobody waits for the others' answers."""
        await asyncio.gather(*(child.stop() for child in self._children.values()))

    async def place(self, scenario: Scenario) -> CallRecord:
        """Place one call and wait for its end.

        Raises:
            WireError: it could not be placed, or one of the processes is gone.
        """
        self._placed += 1
        key = f"{scenario.name}-{self._run}-{self._placed}"
        headers = {CALL_KEY: key}
        addresses = {
            role: self._children[role].address for role in ("proxy", "ai", "agent", "platform", "customer")
        }
        message = {
            "headers": headers,
            "scenario": scenario.to_json(),
            "seed": self._seed,
            "crm_port": self._crm_port,
        }
        # 200 s: more than the longest call is allowed to take (customer.LONGEST).
        customer = await self._children["customer"].ask(
            {**message, **addresses, "method": "PLACE"}, timeout=200
        )
        platform = await self._children["platform"].ask({"method": "RECORD", "headers": headers})
        agent: Message = {"lateness": {}, "device": [], "device_delay_ms": 0.0}
        with contextlib.suppress(WireError):  # a call that never reached an agent
            agent = await self._children["agent"].ask({"method": "RECORD", "headers": headers})
        record = CallRecord(
            scenario,
            key,
            platform["trace_id"],
            device=[(at, thrown) for at, thrown in agent["device"]],
            device_delay_ms=agent["device_delay_ms"],
        )
        for hop in (CARRIER, AGENT_NETWORK):
            with contextlib.suppress(WireError):
                record.hops[hop] = await self._children["proxy"].ask(
                    {"method": "CLOSE", "hop": f"{key}/{hop}"}
                )
        senders = {"customer": customer["lateness"], "agent": agent["lateness"], **platform["lateness"]}
        record.late = _late_senders(senders) + _late_hops(record.hops)
        return record

    async def lost(self) -> list[str]:
        """Have all parties send what they still hold; a sentence on each whose spans did not all arrive."""
        said = await asyncio.gather(*(self._lost(role) for role in _PARTIES))
        return [sentence for sentence in said if sentence]

    async def _lost(self, role: str) -> str:
        try:
            answer = await self._children[role].ask({"method": "FLUSH"}, timeout=_FLUSH_SECONDS)
        except WireError as exc:
            return f"spans of {role} may be lost: {exc}"
        counts = {reason: number for reason, number in answer["counters"].items() if reason in _LOST}
        reasons = ", ".join(f"{reason} {number}" for reason, number in counts.items())
        return f"{sum(counts.values())} span(s) of {role} were lost ({reasons})" if counts else ""


def _late_senders(senders: dict[str, dict[str, float]]) -> list[str]:
    return [
        f"{name} sent {row['late']:.0f} of {row['packets']:.0f} packets over {LATE_MS:.0f} ms late"
        for name, row in senders.items()
        if row and row["late"] > LATE_SHARE * row["packets"]
    ]


def _late_hops(hops: dict[str, Message]) -> list[str]:
    said = []
    for hop, report in hops.items():
        for direction in DIRECTIONS:
            packets: list[list[Any]] = report["packets"][direction]
            late = sum(row[4] > LATE_MS * 1000 for row in packets)
            if late > LATE_SHARE * len(packets):
                said.append(f"proxy forwarded {late} of {len(packets)} packets of {hop} {direction} late")
    return said


def cpu_seconds() -> float:
    """CPU time of this process and its ended children, seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
