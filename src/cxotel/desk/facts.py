"""What the desk says of a call beside the verdict: who called whom, when, through what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxotel._semconv import (
    CX_CALL_DIRECTION,
    CX_CALL_ENDED_BY,
    CX_CALL_ID,
    CX_CALL_MEDIUM,
    CX_CALL_NAMESPACE,
    CX_CALL_OUTCOME,
    CX_CARRIER_NAME,
    CX_CUSTOMER_REF,
    CX_IMPACT_CHARGE,
    CX_LAYER,
    CX_PARTNER,
    CX_QUEUE_NAME,
    CX_SITE,
)
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.impact.facts import ROOT_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.impact import Span, Verdict

# Attributes of the call, as they stand on the root or on any span in the call's context.
CALL_FACTS = {
    "call_id": CX_CALL_ID,
    "namespace": CX_CALL_NAMESPACE,
    "direction": CX_CALL_DIRECTION,
    "medium": CX_CALL_MEDIUM,
    "outcome": CX_CALL_OUTCOME,
    "ended_by": CX_CALL_ENDED_BY,
    "queue": CX_QUEUE_NAME,
    "carrier": CX_CARRIER_NAME,
    "headset": "hw.model",
    "site": CX_SITE,
    "partner": CX_PARTNER,
    "customer": CX_CUSTOMER_REF,
}
VERDICT_FACTS = ("severity", "lost_seconds", "layer", "owner", "summary", "score", "partial", "felt")


# What calls are found by: the facts of the list's row that say so in few words.
FACETS = (
    "severity",
    "layer",
    "owner",
    "queue",
    "carrier",
    "headset",
    "site",
    "partner",
    "customer",
    "outcome",
)
# A word is looked up and shown; what is longer is no name of a queue.
MAX_WORD = 200


def facets_of(summary: dict[str, Any], state: str) -> list[tuple[str, str]]:
    """Pairs of kind and word that a call can be found by."""
    words = [(kind, str(summary.get(kind, ""))[:MAX_WORD]) for kind in FACETS]
    return [("state", state), *(pair for pair in words if pair[1])]


def root_of(spans: Iterable[Span]) -> Span | None:
    """The call's root span: of several the earliest start, of copies the latest end."""
    best = None
    for span in spans:
        if span.name not in ROOT_NAMES or span.scope == IMPACT_SCOPE or not span.start:
            continue
        if span.attributes.get(CX_LAYER) == "call" and (best is None or _before(span, best)):
            best = span
    return best


def _before(span: Span, best: Span) -> bool:
    if span.span_id == best.span_id:
        return span.end >= best.end
    return span.start < best.start


def summary_of(spans: list[Span], verdict: Verdict) -> dict[str, Any]:
    """The list's row for a call: facts ("" where unknown), times in ns, and the verdict's figures."""
    attributes = verdict.attributes
    prefix = CX_IMPACT_CHARGE + "."
    return call_facts(spans) | {
        "start": verdict.start,
        "end": max(verdict.start, verdict.end),
        "charges": {k.removeprefix(prefix): v for k, v in attributes.items() if k.startswith(prefix)},
        **{name: attributes.get(f"cx.impact.{name}", "") for name in VERDICT_FACTS},
    }


def unjudged_summary(spans: list[Span], text: str) -> dict[str, Any]:
    """The row for a call without a verdict: its root's time, else that of all its spans; `text` says why."""
    root = root_of(spans)
    own = [root] if root is not None else spans
    times = [(span.start, span.end) for span in own if 0 < span.start <= span.end]
    return call_facts(spans) | {
        "start": min((start for start, _ in times), default=0),
        "end": max((end for _, end in times), default=0),
        "charges": {},
        **dict.fromkeys(VERDICT_FACTS, ""),
        "summary": text,
    }


def call_facts(spans: list[Span]) -> dict[str, Any]:
    """Who called whom and through what, "" where unknown: what the root says, else what any span does."""
    root = root_of(spans)
    facts: dict[str, Any] = dict.fromkeys(CALL_FACTS, "")
    for name, key in CALL_FACTS.items():
        for span in (root, *spans) if root is not None else spans:
            value = span.attributes.get(key)
            if isinstance(value, str) and value:
                facts[name] = value
                break
    return facts | {"name": root.name if root is not None else "call"}
