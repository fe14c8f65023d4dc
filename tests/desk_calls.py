"""Calls as their participants would send them, for the desk's tests and pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from cxotel.impact.span import Span

S = 1_000_000_000
# 2026-11-20 09:00:00 UTC
NOON = 1_795_165_200 * S


def ids(key: str, namespace: str = "default") -> tuple[str, str]:
    """Trace id and root span id of a call key (trace-model, Identity)."""
    digest = hashlib.sha256(b"cx\0" + namespace.encode() + b"\0" + key.encode()).digest()
    return digest[:16].hex(), digest[16:24].hex()


@dataclass
class CallMaker:
    """Collects the spans of one call; times are seconds from its start."""

    key: str
    start: int = NOON
    spans: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trace_id, self.root_id = ids(self.key)

    def add(
        self,
        name: str,
        service: str,
        start: float,
        end: float,
        *,
        parent: str = "",
        status: int = 0,
        **attributes: Any,
    ) -> str:
        """Add a span; `cx_layer="carrier"` becomes `cx.layer`, two underscores one. Returns its id."""
        number = len(self.spans)
        span_id = hashlib.sha256(f"{self.key} {number}".encode()).digest()[:8].hex()
        named = {k.replace("__", "\0").replace("_", ".").replace("\0", "_"): v for k, v in attributes.items()}
        self.spans.append(
            Span(
                trace_id=self.trace_id,
                span_id=span_id,
                name=name,
                start=self.start + round(start * S),
                end=self.start + round(end * S),
                attributes=named | {"cx.call.id": self.key},
                parent_id=parent or self.root_id,
                scope="cxotel",
                status=status,
                status_message="BYE from upstream, cause 41" if status == 2 else "",
                kind=1,
                service=service,
            )
        )
        return span_id

    def root(self, end: float, outcome: str = "completed", **attributes: Any) -> None:
        """Add the root, last as in life."""
        self.add(
            "call inbound",
            "ccaas-core",
            0,
            end,
            **{
                "cx_layer": "call",
                "cx_call_namespace": "default",
                "cx_call_direction": "inbound",
                "cx_call_medium": "phone",
                "cx_call_outcome": outcome,
                "cx_call_ended__by": "customer",
                "cx_queue_name": "billing",
                "cx_site": "Leeds",
                "cx_partner": "BPO North",
                "cx_customer_ref": "c:7f3a90",
            }
            | attributes,
        )
        root = self.spans[-1]
        root.span_id, root.parent_id = self.root_id, ""


def whole_call(
    key: str = "0f1e7a90-call-1",
    start: int = NOON,
    *,
    carrier: str = "0*60",
    network: str = "0*43",
    network_delay: str = "24*43",
    headset_delay: str = "60*43",
    queue: float = 18,
    lookup: float = 1.4,
    delivered: int = 4,
    outcome: str = "completed",
    cut: bool = False,
    blind: bool = False,
) -> CallMaker:
    """A 5-minute call: carrier, IVR, voice AI, handoff, queue, talk, agent's network, headset, CRM lookup.

    The AI talks from 8 s to 48 s, the agent from 85 s on. `blind` leaves the agent's network unmeasured.
    """
    call = CallMaker(key, start)
    owner = {"cx_owner": "Acme Telecom", "cx_carrier_name": "Acme Telecom"}
    call.add("call started", "ccaas-core", 0, 0, cx_layer="call")
    call.add("carrier setup", "sbc", 0, 1.8, cx_layer="carrier", cx_activity="setup", **owner)
    call.add(
        "carrier leg",
        "sbc",
        1.8,
        300,
        status=2 if cut else 0,
        cx_layer="carrier",
        cx_activity="converse",
        cx_media_window=5.0,
        cx_media_codec="PCMA",
        sip_call__id="a84b4c76e66710@sbc.example",
        cx_media_to__agent_loss__pct=carrier,
        cx_media_to__agent_delay__ms="38*30 41*30",
        cx_media_to__customer_loss__pct="0*60",
        cx_media_to__customer_delay__ms="36*60",
        **owner,
    )
    call.add("ivr", "ivr", 1.8, 8, cx_layer="ccaas", cx_activity="ivr", cx_owner="Platform team")
    bot = call.add(
        "voice ai session",
        "voice-bot",
        8,
        48,
        cx_layer="voice_ai",
        cx_activity="converse",
        cx_owner="AI team",
    )
    for at in (12.0, 21.5, 33.0, 41.0):
        turn = call.add(
            "voice ai response",
            "voice-bot",
            at,
            at + 1.1,
            parent=bot,
            cx_layer="voice_ai",
            cx_activity="respond",
        )
        call.add(
            "chat gpt",
            "voice-bot",
            at + 0.2,
            at + 0.8,
            parent=turn,
            gen__ai_operation_name="chat",
            tokens=128,
        )
    call.add(
        "handoff",
        "ccaas-core",
        48,
        50.2,
        cx_layer="handoff",
        cx_activity="handoff",
        cx_owner="AI team",
        cx_handoff_keys_expected=["name", "account", "intent", "history"],
        cx_handoff_keys_delivered=["name", "account", "intent", "history"][:delivered],
    )
    talk_at = 50.2 + queue + 1.2
    call.add(
        "queue",
        "ccaas-core",
        50.2,
        50.2 + queue,
        cx_layer="ccaas",
        cx_activity="queue",
        cx_owner="WFM team",
        cx_queue_name="billing",
    )
    call.add(
        "agent connect",
        "softphone",
        50.2 + queue,
        talk_at,
        cx_layer="endpoint",
        cx_activity="connect",
        cx_owner="BPO North",
    )
    talk = call.add(
        "talk", "ccaas-core", talk_at, 300, cx_layer="ccaas", cx_activity="talk", cx_owner="Platform team"
    )
    if not blind:
        call.add(
            "agent network",
            "softphone",
            85,
            300,
            parent=talk,
            cx_layer="agent_network",
            cx_activity="converse",
            cx_owner="BPO North IT",
            cx_media_window=5.0,
            network_connection_type="wifi",
            cx_media_to__agent_loss__pct=network,
            cx_media_to__agent_delay__ms=network_delay,
            cx_media_to__customer_loss__pct="0.2*43",
            cx_media_to__customer_delay__ms="22*20 - - 25*21",
        )
    session = call.add(
        "webrtc session",
        "softphone",
        85,
        300,
        parent=talk,
        cx_layer="endpoint",
        cx_activity="converse",
        cx_owner="BPO North",
        cx_media_window=5.0,
        cx_media_codec="opus",
        hw_model="Jabra Evolve2 40",
        cpu_share=0.31,
        muted=False,
        cx_media_to__agent_loss__pct="0*43",
        cx_media_to__agent_delay__ms=headset_delay,
    )
    lookup_id = call.add(
        "crm lookup",
        "crm-client",
        96,
        96 + lookup,
        parent=session,
        cx_layer="crm",
        cx_activity="lookup",
        cx_owner="CRM team",
        cx_crm_waiting=True,
        cx_crm_system="salesforce",
        cx_crm_operation="find contact",
    )
    call.add("GET", "crm-client", 96.1, 96 + lookup - 0.1, parent=lookup_id, http_response_status__code=200)
    call.root(300, outcome)
    return call


def some_calls(now: int) -> list[CallMaker]:
    """A dozen calls of the last two hours, the newest last, each with another fault."""
    minute = 60 * S
    bad_line = "0*20 3.1 6.4*3 12 15.5*4 14.2*4 9.8*2 4 0.5*24"
    calls = [
        whole_call("amz-4417-a", now - 131 * minute),
        whole_call("amz-4417-b", now - 117 * minute, queue=74),
        whole_call("amz-4418-a", now - 103 * minute, lookup=11.5),
        whole_call("amz-4420-c", now - 95 * minute, headset_delay="190*43", network_delay="130*43"),
        whole_call("amz-4423-a", now - 81 * minute, blind=True),
        whole_call("amz-4425-f", now - 66 * minute, delivered=2),
        whole_call("amz-4431-a", now - 52 * minute),
        whole_call("amz-4433-b", now - 44 * minute, network="0*6 18*5 100*3 22*6 0*12 16*7 0*4"),
        whole_call("amz-4437-a", now - 31 * minute, outcome="dropped", cut=True),
        whole_call("amz-4440-d", now - 24 * minute),
        whole_call("amz-4442-a", now - 13 * minute, carrier=bad_line, delivered=3, queue=31, lookup=4.1),
    ]
    abandoned = CallMaker("amz-4443-a", now - 6 * minute)
    abandoned.add(
        "carrier setup", "sbc", 0, 1.2, cx_layer="carrier", cx_activity="setup", cx_owner="Acme Telecom"
    )
    abandoned.add("ivr", "ivr", 1.2, 9, cx_layer="ccaas", cx_activity="ivr")
    abandoned.add("queue", "ccaas-core", 9, 97, cx_layer="ccaas", cx_activity="queue", cx_owner="WFM team")
    abandoned.root(97, "abandoned")
    return [*calls, abandoned]


def running_calls(now: int) -> list[CallMaker]:
    """Calls that have not ended: in one the agent's network is bad, one has queued, one has just begun."""
    hurt, queued, bot = (
        CallMaker(f"amz-{number}", now - age * S)
        for number, age in (("4447-b", 412), ("4449-a", 95), ("4450-a", 31))
    )
    for call in (hurt, queued, bot):
        call.add(
            "call started", "ccaas-core", 0, 0, cx_layer="call", cx_queue_name="billing", cx_site="Leeds"
        )
        call.add("ivr", "ivr", 1.8, 9, cx_layer="ccaas", cx_activity="ivr", cx_owner="Platform team")
    hurt.add("queue", "ccaas-core", 9, 63, cx_layer="ccaas", cx_activity="queue", cx_owner="WFM team")
    hurt.add(
        "media episode",
        "softphone",
        215,
        245,
        cx_layer="agent_network",
        cx_activity="converse",
        cx_owner="BPO North IT",
        cx_media_window=5.0,
        cx_media_to__agent_loss__pct="18 31 42 37 40 22",
    )
    return [hurt, queued, bot]
