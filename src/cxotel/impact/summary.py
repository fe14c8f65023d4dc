"""The verdict in one sentence, from the templates of the parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxotel._semconv import CxCallOutcome
from cxotel.impact.effects import DELAY, IE, LOSS
from cxotel.impact.evidence import Evidence, rounded
from cxotel.impact.ledger import FIDELITY
from cxotel.impact.parameters import FIELD

if TYPE_CHECKING:
    from cxotel.impact.parameters import Parameters

_COUNTED = 0.0005  # seconds; what rounds to no millisecond changes no sentence
_ENDINGS = (CxCallOutcome.DROPPED, CxCallOutcome.FAILED, CxCallOutcome.ABANDONED)


@dataclass(slots=True)
class Told:
    """What the sentence is made of.

    Attributes:
        outcome: of the call, "" if nobody said.
        lost: lost seconds, in ms.
        call: length of the call, ns.
        items: everything that cost anything, the costliest first.
        layers: (layer, ms), the largest charge first.
        owner: who can fix it, "" if not known.
        unobserved: layers that nobody measured.
        is_partial: whether part of the call was not seen.
        unheard: quality lost to the agent and to the customer.
    """

    outcome: str
    lost: int
    call: int
    items: list[Evidence]
    layers: list[tuple[str, int]]
    owner: str
    unobserved: list[str]
    is_partial: bool
    unheard: list[float]


def seconds_text(milliseconds: float) -> str:
    """Seconds as people say them: whole from 10 s upwards, with one decimal below."""
    if milliseconds >= 10_000:
        return str(math.floor(milliseconds / 1000.0 + 0.5))
    return f"{rounded(milliseconds / 1000.0, 1):.1f}"


def fill(template: str, **fields: str) -> str:
    """The template with its `{fields}` replaced; nothing in a field's text is one."""
    return FIELD.sub(lambda found: fields.get(found[1], found[0]), template)


def summarise(told: Told, parameters: Parameters) -> str:
    """The sentence, ending in a full stop."""
    text = fill(
        parameters["summary.leads"][_lead(told, parameters)],
        lost=seconds_text(told.lost),
        call=seconds_text(told.call / 1e6),
    )
    if told.layers:
        text += ": " + _cause(told, parameters) + _others(told, parameters)
    elif told.unobserved:
        names = [parameters["summary.names"][layer] for layer in told.unobserved]
        text += fill(parameters["summary.unobserved"], others=joined(names))
    if told.is_partial:
        text += parameters["summary.partial"]
    return text + "."


def joined(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _lead(told: Told, parameters: Parameters) -> str:
    if told.outcome in _ENDINGS:
        return told.outcome if told.layers else f"{told.outcome}_without_loss"
    if not told.layers:
        return "nothing"
    counted = [item for item in told.items if item.seconds >= _COUNTED] or told.items
    kinds = {_kind(item.what) for item in counted}
    if len(kinds) > 1:
        return "mixed"
    kind = kinds.pop()
    return _listeners(told, parameters) if kind == "quality" else kind


def _kind(what: str) -> str:
    if what in (LOSS, DELAY, IE):
        return "quality"
    return FIDELITY if what == FIDELITY else "wait"


def _listeners(told: Told, parameters: Parameters) -> str:
    agent, customer = told.unheard
    if min(agent, customer) >= parameters["summary.both_share"] * max(agent, customer):
        return "both"
    return "to_agent" if agent > customer else "to_customer"


def _cause(told: Told, parameters: Parameters) -> str:
    """The costliest item of the first layer, and who can fix it."""
    layer = told.layers[0][0]
    item = next(one for one in told.items if one.layer == layer)
    value = "" if item.value is None else f"{rounded(item.value, 1):.1f}"
    place = parameters["summary.places"][layer]
    text = fill(parameters["summary.causes"][item.what], value=value, place=place)
    if told.owner:
        text += fill(parameters["summary.owner"], owner=told.owner)
    return text


def _others(told: Told, parameters: Parameters) -> str:
    others = [
        fill(
            parameters["summary.other"],
            name=parameters["summary.names"][layer],
            seconds=seconds_text(charged),
        )
        for layer, charged in told.layers[1:]
        if charged >= 500
    ]
    return fill(parameters["summary.also"], others=joined(others)) if others else ""
