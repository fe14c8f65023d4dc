"""Small calls with known verdicts, as OTLP/JSON documents."""

from __future__ import annotations

import json
from typing import Any

from cxotel.impact import Span
from cxotel.otlp import to_json

START = 1_760_000_000_000_000_000
SECOND = 10**9


def trace_id(number: int) -> str:
    """A trace id that tells its number."""
    return f"{number:032x}"


def spans(number: int = 1, *, loss: str = "10*24", status: int = 0, **root: Any) -> list[Span]:
    """Two minutes of talk whose agent hears the carrier with that loss in 5 s windows."""

    def span(span_id: int, name: str, layer: str, activity: str = "", **more: Any) -> Span:
        attributes = {"cx.layer": layer, **({"cx.activity": activity} if activity else {}), **more}
        return Span(
            trace_id(number),
            f"{span_id:016x}",
            name,
            START,
            START + 120 * SECOND,
            attributes,
            parent_id="" if layer == "call" else f"{1:016x}",
            scope="cxotel",
            service="softphone",
        )

    call = span(1, "call inbound", "call", **{"cx.call.outcome": "completed", **root})
    call.status = status
    leg = span(
        2,
        "carrier leg",
        "carrier",
        "converse",
        **{"cx.owner": "Acme Telecom", "cx.media.window": 5.0, "cx.media.to_agent.loss_pct": loss},
    )
    return [call, span(3, "talk", "ccaas", "talk"), leg]


def text(*calls: list[Span]) -> str:
    """The spans of all calls as one request."""
    return json.dumps(to_json(one for call in calls for one in call))
