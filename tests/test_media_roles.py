"""Each party's figures are charged to the layers of the trace model."""

from __future__ import annotations

import pytest

from cxotel.media.roles import ROLES


@pytest.mark.parametrize(
    ("name", "receives", "network", "device"),
    [
        ("softphone", "to_agent", "agent_network", "endpoint"),
        ("platform_agent", "to_customer", "agent_network", "ccaas"),
        ("platform_customer", "to_agent", "carrier", "ccaas"),
        ("voice_ai", "to_agent", "ccaas", "voice_ai"),
        ("customer", "to_customer", "carrier", "carrier"),
    ],
)
def test_who_is_charged(name: str, receives: str, network: str, device: str) -> None:
    """What never came is the network's, what came and was not played is the device's."""
    role = ROLES[name]
    assert (receives, network, device) == (role.receives, role.network, role.device)


def test_what_a_party_sends_goes_the_other_way_over_the_same_hop() -> None:
    """The far side's report of our sending is about the same network, in the other direction."""
    for role in ROLES.values():
        assert {"to_agent", "to_customer"} == {role.receives, role.sends}
        assert role.network == role.sent_network


def test_there_are_no_other_roles() -> None:
    """Five roles, by name."""
    assert list(ROLES) == ["softphone", "platform_agent", "platform_customer", "voice_ai", "customer"]
