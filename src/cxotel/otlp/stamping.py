"""A trace as received, with the verdict on its root and the evidence spans added."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cxotel._semconv import CX_IMPACT_SUMMARY, CxImpactSeverity
from cxotel.impact.span import STATUS_ERROR
from cxotel.otlp.document import STATUS_CODES, enum_of
from cxotel.otlp.values import Bad, write_attributes
from cxotel.otlp.writing import regroup, to_json, write_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cxotel.impact import Verdict
    from cxotel.otlp.document import Received

JUDGE_SCOPE = "cxotel.impact"
# What a judge writes on a root (impact model, section 4).
STAMPED = ("cx.impact.", "cx.media.mos.")
# Root status, trace model: `error_from` is severe.
ERROR_FROM = (CxImpactSeverity.SEVERE, CxImpactSeverity.CRITICAL)


def stamped(received: Sequence[Received], verdict: Verdict) -> dict[str, Any]:
    """The trace as an ExportTraceServiceRequest in OTLP/JSON.

    Every span is as it came, all its fields with it, but for what a judge adds: an earlier verdict on the
    root and spans of scope `cxotel.impact` are taken off, this verdict and its evidence spans are put on. Of
    copies of the root the one that counts (latest end, then received last) is stamped. Without a root nothing
    is.
    """
    kept = [item for item in received if item.span.scope != JUDGE_SCOPE]
    root = verdict.root
    if root is not None:
        copies = [i for i, item in enumerate(kept) if item.span.span_id == root.span_id]
        winner = max(copies, key=lambda i: (kept[i].span.end, i))
        for i in copies:
            raw = _unstamped(kept[i].raw)
            kept[i] = replace(kept[i], raw=_stamp(raw, verdict) if i == winner else raw)
    return {"resourceSpans": regroup(kept) + to_json(verdict.evidence_spans())["resourceSpans"]}


def _unstamped(raw: dict[str, Any]) -> dict[str, Any]:
    """The span without an earlier verdict, and without the status that came with it."""
    items = raw.get("attributes")
    if not isinstance(items, list):
        return raw
    own = [item for item in items if not _key(item).startswith(STAMPED)]
    raw = {**raw, "attributes": own}
    status = raw.get("status")
    summaries = [item.get("value") for item in items if _key(item) == CX_IMPACT_SUMMARY]
    if isinstance(status, dict) and {"stringValue": status.get("message")} in summaries:
        raw["status"] = {}
    return raw


def _stamp(raw: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    items = raw.get("attributes")
    own = items if isinstance(items, list) else []
    raw = {**raw, "attributes": [*own, *write_attributes(verdict.attributes)]}
    status = raw.get("status")
    code = status.get("code") if isinstance(status, dict) else None
    if verdict.severity in ERROR_FROM and not enum_of(code, STATUS_CODES, Bad(), "status.code"):
        raw["status"] = write_status(STATUS_ERROR, str(verdict.attributes[CX_IMPACT_SUMMARY]))
    return raw


def _key(item: Any) -> str:
    key = item.get("key") if isinstance(item, dict) else None
    return key if isinstance(key, str) else ""
