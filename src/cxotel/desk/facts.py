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
from cxotel.otlp.proto import attributes_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.desk.traces import Kept
    from cxotel.impact import Verdict

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


def root_of(spans: Iterable[Kept]) -> Any | None:
    """The call's root span: of several the earliest start, of copies the latest end."""
    best = None
    for kept in spans:
        span = kept.item
        if span.name not in ROOT_NAMES or kept.scope.name == IMPACT_SCOPE or not span.start_time_unix_nano:
            continue
        if attributes_of(span.attributes).get(CX_LAYER) != "call":
            continue
        if best is None or _before(span, best):
            best = span
    return best


def _before(span: Any, best: Any) -> bool:
    if span.span_id == best.span_id:
        return bool(span.end_time_unix_nano >= best.end_time_unix_nano)
    return bool(span.start_time_unix_nano < best.start_time_unix_nano)


def summary_of(spans: list[Kept], verdict: Verdict) -> dict[str, Any]:
    """The list's row for a call: facts ("" where unknown), times in ns, and the verdict's figures."""
    attributes = verdict.attributes
    prefix = CX_IMPACT_CHARGE + "."
    return call_facts(spans) | {
        "start": verdict.start,
        "end": max(verdict.start, verdict.end),
        "charges": {k.removeprefix(prefix): v for k, v in attributes.items() if k.startswith(prefix)},
        **{name: attributes.get(f"cx.impact.{name}", "") for name in VERDICT_FACTS},
    }


def unjudged_summary(spans: list[Kept], text: str) -> dict[str, Any]:
    """The row for a call without a verdict: its root's time, else that of all its spans; `text` says why."""
    root = root_of(spans)
    own = [root] if root is not None else [kept.item for kept in spans]
    times = [
        (span.start_time_unix_nano, span.end_time_unix_nano)
        for span in own
        if 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    ]
    return call_facts(spans) | {
        "start": min((start for start, _ in times), default=0),
        "end": max((end for _, end in times), default=0),
        "charges": {},
        **dict.fromkeys(VERDICT_FACTS, ""),
        "summary": text,
    }


def call_facts(spans: list[Kept]) -> dict[str, Any]:
    """Who called whom and through what, "" where unknown: what the root says, else what any span does."""
    root = root_of(spans)
    facts: dict[str, Any] = {}
    for kept in spans:
        attributes = attributes_of(kept.item.attributes)
        for name, key in CALL_FACTS.items():
            value = attributes.get(key)
            if isinstance(value, str) and value:
                facts.setdefault(name, value)
    if root is not None:
        own = attributes_of(root.attributes)
        facts |= {
            name: own[key] for name, key in CALL_FACTS.items() if isinstance(own.get(key), str) and own[key]
        }
    return dict.fromkeys(CALL_FACTS, "") | facts | {"name": root.name if root is not None else "call"}
