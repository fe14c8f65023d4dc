"""Who is charged for what: the layer of each part of the way, by the role of the party that measured it."""

from __future__ import annotations

from dataclasses import dataclass

TO_AGENT, TO_CUSTOMER = "to_agent", "to_customer"


@dataclass(frozen=True, slots=True)
class Role:
    """What a party's figures are about.

    Attributes:
        name: the role's name.
        receives: direction of the audio that the party receives.
        network: layer charged for packets that did not come, or came too late, on the way to the party.
        device: layer charged for audio that came and was not played.
        sends: direction of the audio that the party sends.
        sent_network: layer charged for what the far side reports (RTCP) of the audio sent to it.
    """

    name: str
    receives: str
    network: str
    device: str
    sends: str
    sent_network: str


def _role(name: str, receives: str, network: str, device: str) -> Role:
    # What the party sends goes the same way back: the far side's report is about the same hop.
    return Role(name, receives, network, device, TO_CUSTOMER if receives == TO_AGENT else TO_AGENT, network)


ROLES = {
    role.name: role
    for role in (
        _role("softphone", TO_AGENT, "agent_network", "endpoint"),
        _role("platform_agent", TO_CUSTOMER, "agent_network", "ccaas"),
        _role("platform_customer", TO_AGENT, "carrier", "ccaas"),
        _role("voice_ai", TO_AGENT, "ccaas", "voice_ai"),
        # The customer's device has no layer of its own: what it does is charged to the carrier.
        _role("customer", TO_CUSTOMER, "carrier", "carrier"),
    )
}
"""Every role by its name; `ROLES[name]` raises KeyError for any other."""
