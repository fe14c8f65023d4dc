"""The worked table of the impact model: a conversation of 300 s, windows of 5 s."""

from __future__ import annotations

import pytest
from impact_calls import leg, root, span

from cxotel.impact import Span, judge

TABLE = [
    ([leg(3, "agent_network", 0, 300, to_agent__loss_pct="3*60")], {}),
    ([leg(3, "agent_network", 0, 300, to_agent__loss_pct="5*60")], {"agent_network": 10.87}),
    ([leg(3, "agent_network", 0, 300, to_agent__loss_pct="15*60")], {"agent_network": 151.70}),
    ([leg(3, "agent_network", 0, 300, to_agent__loss_pct="100*2 0*58")], {"agent_network": 9.96}),
    (
        [
            leg(3, "carrier", 0, 300, to_agent__loss_pct="6*60", to_agent__delay_ms="30*60"),
            leg(4, "agent_network", 0, 300, to_agent__loss_pct="1*60", to_agent__delay_ms="20*60"),
            leg(5, "endpoint", 0, 300, to_agent__delay_ms="60*60"),
        ],
        {"carrier": 41.70, "agent_network": 8.61, "endpoint": 4.27},
    ),
    (
        [
            leg(3, "carrier", 0, 300, to_agent__delay_ms="120*60", to_customer__delay_ms="120*60"),
            leg(4, "agent_network", 0, 300, to_agent__delay_ms="100*60", to_customer__delay_ms="100*60"),
            leg(5, "endpoint", 0, 300, to_agent__delay_ms="80*60"),
        ],
        {"carrier": 12.15, "agent_network": 12.15, "endpoint": 12.15},
    ),
]
TOTALS = [0.0, 10.87, 151.70, 9.96, 54.58, 36.44]


@pytest.mark.parametrize(("legs", "charges"), TABLE, ids=range(len(TABLE)))
def test_worked_case_is_charged_as_the_table_says(legs: list[Span], charges: dict[str, float]) -> None:
    """Every layer of the table is charged within 0.01 s, and no other at all."""
    verdict = judge([root(300), span(2, "talk", 0, 300, layer="ccaas", activity="talk"), *legs])
    actual = {layer: charged for layer, charged in verdict.charges.items() if charged > 0.0}
    assert actual == pytest.approx(charges, abs=0.01)


@pytest.mark.parametrize(
    ("legs", "total"),
    [(legs, total) for (legs, _), total in zip(TABLE, TOTALS, strict=True)],
    ids=range(len(TABLE)),
)
def test_worked_case_costs_what_the_table_says(legs: list[Span], total: float) -> None:
    """The total is the table's within 0.01 s."""
    verdict = judge([root(300), span(2, "talk", 0, 300, layer="ccaas", activity="talk"), *legs])
    assert verdict.exact_lost == pytest.approx(total, abs=0.01)
