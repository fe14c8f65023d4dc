"""Overrides of the impact model's parameters: what is taken, and how a wrong one is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from impact_calls import root, span
from test_vectors import ROOT

from cxotel.impact import DEFAULT, judge
from cxotel.impact._parameters import RANGES, UNITS, VALUES

ENTRIES = yaml.safe_load((ROOT / "spec/impact/parameters.yaml").read_text("utf-8"))["parameters"]


def test_every_parameter_says_its_unit_and_reason() -> None:
    """No parameter stands without a unit and a reason, and every number has a range."""
    for entry in ENTRIES:
        assert entry["unit"].strip(), entry["name"]
        assert entry["reason"].strip(), entry["name"]
        if isinstance(entry["value"], int | float):
            low, high = entry["range"]
            assert low <= entry["value"] <= high, entry["name"]


def test_generated_literals_are_the_files_values() -> None:
    """What the engine reads is what the YAML says."""
    assert {entry["name"]: entry["value"] for entry in ENTRIES} == VALUES
    assert set(VALUES) == set(UNITS)
    assert {name for name, value in VALUES.items() if type(value) in (int, float)} == set(RANGES)


def test_an_override_by_dotted_name_or_nested_is_the_same() -> None:
    """Both ways of writing give one value and leave the defaults as they were."""
    spans = [root(100), span(2, "queue", 0, 40, layer="ccaas", activity="queue")]
    dotted = DEFAULT.override({"allowance.queue": 30})
    nested = DEFAULT.override({"allowance": {"queue": 30}})
    assert [10.0, 10.0, 20.0] == [judge(spans, one).lost_seconds for one in (dotted, nested, DEFAULT)]


def test_of_a_table_only_the_keys_given_are_replaced() -> None:
    """A word of one's own for the carrier leaves the other words."""
    names = DEFAULT.override({"summary.names": {"carrier": "our trunk"}})["summary.names"]
    assert {**DEFAULT["summary.names"], "carrier": "our trunk"} == names


def test_other_makers_may_be_added() -> None:
    """A session span and a latency of one's own framework take part."""
    parameters = DEFAULT.override(
        {"makers.sessions": {"bot": "voice_ai"}, "makers.latencies": {"bot.lag": "respond"}}
    )
    turn = span(3, "turn", 10, 12)
    turn.attributes = {"bot.lag": 2.5}
    verdict = judge([root(60), span(2, "bot", 0, 60), turn], parameters)
    assert {"voice_ai": 1.0} == verdict.charges


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            {"allowance.que": 1},
            "impact parameter allowance.que: unknown; there is allowance.connect, allowance.handoff, ",
        ),
        ({"nonsense": 1}, "impact parameter nonsense: unknown; there is "),
        ({"allowance": {"que": 1}}, "impact parameter allowance.que: unknown; "),
        (
            {"allowance.queue": "20"},
            "impact parameter allowance.queue: '20' given; must be a number from 0 to 1e+07 (s)",
        ),
        ({"allowance.queue": True}, "impact parameter allowance.queue: True given; must be a number"),
        ({"allowance.queue": -1}, "impact parameter allowance.queue: -1 given; must be a number from 0"),
        ({"allowance.queue": float("nan")}, "impact parameter allowance.queue: nan given; must be a number"),
        (
            {"evidence.items": 2.5},
            "impact parameter evidence.items: 2.5 given; must be a whole number from 1 to 128",
        ),
        (
            {"evidence.items": float("inf")},
            "impact parameter evidence.items: inf given; must be a whole number",
        ),
        ({"cost.currency": 5}, "impact parameter cost.currency: 5 given; must be a string (ISO 4217 code)"),
        (
            {"cost.agent_hourly": 5},
            'impact parameter cost.currency: missing; a rate needs it, for example "EUR"',
        ),
        ({"summary.names": "x"}, "impact parameter summary.names: 'x' given; must be a mapping"),
        (
            {"summary.names": {"carier": "x"}},
            "impact parameter summary.names.carier: unknown; there is carrier, ",
        ),
        (
            {"summary.names": {"carrier": 1}},
            "impact parameter summary.names.carrier: 1 given; must be a string",
        ),
        (
            {"summary.owner": "by {who}"},
            "impact parameter summary.owner: 'by {who}' given; must be a text with {owner}",
        ),
        (
            {"summary.partial": "{x}"},
            "impact parameter summary.partial: '{x}' given; must be a text with no fields",
        ),
        (
            {"wait.default_layers": {"queue": "pbx"}},
            "impact parameter wait.default_layers.queue: 'pbx' given; must be one",
        ),
        (
            {"felt.symptoms": {"queue": "boredom"}},
            "impact parameter felt.symptoms.queue: 'boredom' given; must be one of",
        ),
        (
            {"makers.sessions": {"bot": "robot"}},
            "impact parameter makers.sessions.bot: 'robot' given; must be one of",
        ),
    ],
)
def test_a_wrong_override_names_the_field_and_the_fix(override: dict[str, Any], message: str) -> None:
    """The message says which parameter, what was given, and what it may be."""
    with pytest.raises(ValueError, match="impact parameter ") as caught:
        DEFAULT.override(override)
    assert str(caught.value).startswith(message)
