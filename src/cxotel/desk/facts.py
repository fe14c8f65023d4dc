"""What the desk says of a call beside the verdict: who called whom, when, through what."""

from __future__ import annotations

import math
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
    CX_IMPACT_COST,
    CX_IMPACT_COVERAGE,
    CX_IMPACT_EVIDENCE,
    CX_IMPACT_FELT,
    CX_IMPACT_LAYERS,
    CX_IMPACT_LOST_SECONDS,
    CX_IMPACT_OUTSIDE,
    CX_IMPACT_PARTIAL,
    CX_IMPACT_SCORE,
    CX_IMPACT_SEVERITY,
    CX_IMPACT_SHARE,
    CX_IMPACT_SKIPPED,
    CX_IMPACT_SUMMARY,
    CX_IMPACT_UNOBSERVED,
    CX_LAYER,
    CX_MEDIA_MOS_MEAN,
    CX_MEDIA_MOS_MIN,
    CX_PARTNER,
    CX_QUEUE_NAME,
    CX_SITE,
    CxImpactSeverity,
    CxLayer,
)
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.impact.facts import ROOT_NAMES
from cxotel.otlp.stamping import STAMPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
# What every verdict has, as where nothing was lost.
LEAST: dict[str, Any] = {
    CX_IMPACT_LOST_SECONDS: 0.0,
    CX_IMPACT_SCORE: 100.0,
    CX_IMPACT_COVERAGE: 1.0,
    CX_IMPACT_FELT: [],
    CX_IMPACT_SUMMARY: "The judge before gave no sentence.",
}
LISTS = (CX_IMPACT_EVIDENCE, CX_IMPACT_FELT, CX_IMPACT_LAYERS, CX_IMPACT_UNOBSERVED)
NUMBERS = (
    *(CX_IMPACT_COST, CX_IMPACT_COVERAGE, CX_IMPACT_LOST_SECONDS, CX_IMPACT_OUTSIDE, CX_IMPACT_SCORE),
    *(CX_IMPACT_SHARE, CX_IMPACT_SKIPPED, CX_MEDIA_MOS_MEAN, CX_MEDIA_MOS_MIN),
)
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
    charged = [
        ("charged", layer[:MAX_WORD]) for layer, lost in summary.get("charges", {}).items() if lost > 0
    ]
    return [("state", state), *(pair for pair in words if pair[1]), *charged]


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
    times = {"start": verdict.start, "end": max(verdict.start, verdict.end)}
    return call_facts(spans) | times | figures_of(verdict.attributes)


def figures_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict's figures in the list's row."""
    prefix = CX_IMPACT_CHARGE + "."
    return {
        "charges": {k.removeprefix(prefix): v for k, v in attributes.items() if k.startswith(prefix)},
        **{name: attributes.get(f"cx.impact.{name}", "") for name in VERDICT_FACTS},
    }


def stamp_on(spans: Iterable[Span]) -> dict[str, Any] | None:
    """The verdict with which the call's root came, None if there is none.

    Only what has a verdict's types is taken; what a judge must say and did not is as where nothing was lost.
    """
    root = root_of(spans)
    own = root.attributes if root is not None else {}
    if own.get(CX_IMPACT_SEVERITY) not in CxImpactSeverity.VALUES:
        return None
    found = dict(LEAST)
    for key, value in own.items():
        layer = key.removeprefix(CX_IMPACT_CHARGE + ".")
        if layer != key:
            if layer in CxLayer.VALUES and _is_number(value):
                found[key] = float(value)
        elif key.startswith(STAMPED) and _is_like(key, value):
            found[key] = value
    return found


def _is_like(key: str, value: Any) -> bool:
    """Whether a value has the type of this attribute of a verdict."""
    if key in LISTS:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if key in NUMBERS:
        return _is_number(value)
    return isinstance(value, bool) if key == CX_IMPACT_PARTIAL else isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
