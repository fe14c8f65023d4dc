"""What happens in one call of the demo, and the calls that `cxotel demo` places."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cxotel.demo.impair import DIRECTIONS, TO_AGENT, Impairment
from cxotel.demo.playout import Device

CARRIER, AGENT_NETWORK, ENDPOINT = "carrier", "agent_network", "endpoint"

CONTEXT = {
    "customer_ref": "C-20417",
    "intent": "invoice_dispute",
    "invoice": "2026-10-4711",
    "verified": "yes",
    "promised": "check_late_fee",
}
"""What the AI agent learns of the customer and hands over."""


@dataclass(frozen=True)
class Scenario:
    """One call.

    Attributes:
        name: short, for `--calls` and as part of the call's key.
        title: what a person reads in the table.
        planted: layers to blame; empty for a healthy call. Several: all of them together, in any order.
        impairments: what the proxy does.
        device: the agent's audio device.
        codec: `PCMU` (about two thirds of the CPU) or `opus`.
        join: `headers`: context runs with the signalling; `key`: only the call's id does.
        ivr: whether the IVR greets first.
        ai_seconds: how long the AI agent talks with the customer, 0 for no AI.
        context_limit: bytes that fit into the header with the AI's context at the handoff; more is cut off.
        queue_seconds: how long until the agent accepts.
        talk_seconds: how long customer and agent talk.
        lookup_seconds: how long the CRM takes, while the customer waits.
        cut_after: seconds of the call after which the carrier drops it, 0 for never.
        blind: roles of `cxotel.media.roles` whose party is not instrumented.
    """

    name: str
    title: str
    planted: tuple[str, ...] = ()
    impairments: tuple[Impairment, ...] = ()
    device: Device = field(default_factory=Device)
    codec: str = "PCMU"
    join: str = "headers"
    ivr: bool = True
    ai_seconds: float = 0.0
    context_limit: int = 1024
    queue_seconds: float = 1.5
    talk_seconds: float = 20.0
    lookup_seconds: float = 0.2
    cut_after: float = 0.0
    blind: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values, for a message."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Scenario:
        """From plain values.

        Raises:
            TypeError: a field that there is not.
            ValueError: an impairment without meaning.
        """
        return cls(
            **{
                **values,
                "planted": tuple(values["planted"]),
                "blind": tuple(values["blind"]),
                "impairments": tuple(Impairment(**each) for each in values["impairments"]),
                "device": Device(**values["device"]),
            }
        )


def both(impairment: Impairment) -> tuple[Impairment, ...]:
    """The same in both directions."""
    return tuple(replace(impairment, direction=direction) for direction in DIRECTIONS)


def demo_calls(seed: int) -> list[Scenario]:
    """The calls of `cxotel demo`, in the order they are placed; their strengths vary with the seed.

    Strong enough that chance in the packets cannot turn a verdict: under 4 % of loss costs nothing
    in the impact model, and 15 % costs half of each second.
    """
    rng = random.Random(f"demo/{seed}")  # noqa: S311 - repeatable, no secret
    loss = rng.uniform(0.14, 0.20)
    wifi = rng.uniform(0.12, 0.16)
    dead = rng.choice(DIRECTIONS)
    return [
        Scenario("healthy", "Nothing wrong", talk_seconds=15),
        Scenario(
            "carrier-loss",
            f"Carrier loses {loss:.0%} of what the customer says",
            (CARRIER,),
            (Impairment(CARRIER, TO_AGENT, start=6, loss=loss),),
            join="key",
        ),
        Scenario(
            "agent-wifi",
            f"Agent's Wi-Fi: {wifi:.0%} loss in bursts, 30 ms jitter",
            (AGENT_NETWORK,),
            both(Impairment(AGENT_NETWORK, TO_AGENT, start=2, loss=wifi, burst=2.5, jitter_ms=30)),
            codec="opus",
        ),
        Scenario(
            "one-way",
            f"One-way audio: the {'agent' if dead == TO_AGENT else 'customer'} hears nothing",
            (AGENT_NETWORK,),
            (Impairment(AGENT_NETWORK, dead, loss=1.0),),
            talk_seconds=16,
        ),
        Scenario(
            "ai-handoff",
            "AI hands over, its context gets lost",
            ("handoff",),
            ai_seconds=15,
            context_limit=60,
            talk_seconds=12,
        ),
        Scenario(
            "slow-crm",
            "CRM takes 9 s while the customer waits",
            ("crm",),
            lookup_seconds=rng.uniform(8.5, 9.5),
            join="key",
        ),
        Scenario(
            "three-delays",
            "Three delays, each harmless alone",
            (CARRIER, AGENT_NETWORK, ENDPOINT),
            (
                *both(Impairment(CARRIER, TO_AGENT, delay_ms=150)),
                *both(Impairment(AGENT_NETWORK, TO_AGENT, delay_ms=150)),
            ),
            device=Device(delay_ms=150),
        ),
        Scenario("dropped", "Carrier drops the call", (CARRIER,), cut_after=rng.uniform(16, 20)),
        Scenario(
            "broken-buffer",
            "Softphone's own buffer throws audio away",
            (ENDPOINT,),
            device=Device(period=5, capacity=4, start=3),
        ),
    ]
