"""The verdict's sentence, word by word: one case of every kind."""

# ruff: noqa: E501  # a sentence stands on one line

from __future__ import annotations

import pytest
from impact_calls import leg, root, span

from cxotel.impact import Span, judge
from cxotel.impact.summary import fill, joined, seconds_text

TALK = span(2, "talk", 0, 300, layer="ccaas", activity="talk")
BOTH = {"to_agent__loss_pct": "15*60", "to_customer__loss_pct": "15*60"}
SENTENCES = [
    ([root(300)], "No time was lost in this call of 300 seconds; not measured: the carrier."),
    ([root(9.5, call__medium="web")], "No time was lost in this call of 9.5 seconds."),
    (
        [root(300), TALK, leg(3, "agent_network", 0, 300, to_agent__loss_pct="15*60", owner="BPO North")],
        "The agent could not follow 152 of 300 seconds: packet loss of up to 15.0 % in the agent's network (BPO North).",
    ),
    (
        [root(300), TALK, leg(3, "carrier", 0, 300, to_customer__loss_pct="15*60")],
        "The customer could not follow 152 of 300 seconds: packet loss of up to 15.0 % at the carrier.",
    ),
    (
        [root(300), TALK, leg(3, "carrier", 0, 300, **BOTH)],
        "Neither side could follow 227 of 300 seconds: packet loss of up to 15.0 % at the carrier.",
    ),
    (
        [root(300), TALK, leg(3, "endpoint", 0, 300, to_agent__delay_ms="400*60")],
        "The agent could not follow 114 of 300 seconds: delay of up to 400.0 ms on the agent's device.",
    ),
    (
        [root(300), TALK, leg(3, "carrier", 0, 300, to_agent__loss_pct="0*60", to_agent__ie=19)],
        "The agent could not follow 27 of 300 seconds: codec impairment of up to 19.0 at the carrier.",
    ),
    (
        [
            root(300),
            span(3, "queue", 0, 50, activity="queue"),
            span(4, "connect", 60, 66, activity="connect"),
        ],
        "The customer waited 34 of 300 seconds too long: the queue took up to 50.0 s on the contact-centre platform; also the agent's device (4.0 s).",
    ),
    (
        [root(300), TALK, span(3, "hold", 0, 50, activity="hold")],
        "The customer waited 20 of 300 seconds too long: on hold for up to 50.0 s by the agent.",
    ),
    (
        [root(300), TALK, span(3, "handoff", 60, 61, activity="handoff", handoff__fidelity=0.25)],
        "The customer had to repeat 45 of 300 seconds: up to 75.0 % of the context was lost at the handoff.",
    ),
    (
        [
            root(300),
            TALK,
            leg(3, "carrier", 0, 300, to_agent__loss_pct="15*60"),
            span(4, "lookup", 290, 297, activity="lookup", crm__waiting=True),
            span(5, "respond", 100, 102, activity="respond"),
        ],
        "154 of 300 seconds were lost: packet loss of up to 15.0 % at the carrier; also the CRM (5.0 s) and the voice AI (0.5 s).",
    ),
    (
        [root(300, call__outcome="dropped"), TALK],
        "The call was dropped and 300 of 300 seconds were lost: it broke off where nobody measured.",
    ),
    (
        [
            root(12, call__outcome="failed"),
            span(3, "carrier setup", 0, 3, layer="carrier", activity="setup", status=2),
        ],
        "The call never connected and 12 of 12 seconds were lost: it failed at the carrier.",
    ),
    (
        [root(25, call__outcome="abandoned"), span(3, "queue", 15, 25, layer="ccaas", activity="queue")],
        "The customer gave up waiting and 10 of 25 seconds were lost: left waiting on the contact-centre platform.",
    ),
    (
        [root(25, call__outcome="abandoned", call__medium="web")],
        "The customer gave up waiting and no time was lost.",
    ),
    (
        [span(3, "queue", 0, 50, layer="ccaas", activity="queue")],
        "The customer waited 30 of 50 seconds too long: the queue took up to 50.0 s on the contact-centre platform (part of the call was not seen).",
    ),
]


@pytest.mark.parametrize(("spans", "sentence"), SENTENCES, ids=range(len(SENTENCES)))
def test_sentence(spans: list[Span], sentence: str) -> None:
    """The summary is this sentence."""
    assert sentence == judge(spans).attributes["cx.impact.summary"]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0.0"), (49, "0.0"), (50, "0.1"), (9949, "9.9"), (9999, "10.0"), (10_000, "10"), (10_500, "11")],
)
def test_seconds_are_whole_from_ten_upwards(milliseconds: int, text: str) -> None:
    """One decimal below 10 s, none above, rounded half up."""
    assert text == seconds_text(milliseconds)


def test_names_are_joined_as_people_do() -> None:
    """Commas, and an `and` before the last."""
    assert ["a", "a and b", "a, b and c"] == [joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])]


def test_a_field_in_a_fields_text_is_left_as_it_is() -> None:
    """An owner called `{place}` fills nothing."""
    assert " ({place})" == fill(" ({owner})", owner="{place}", place="x")
