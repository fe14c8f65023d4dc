"""Spans as they are handed on: roots with or without a verdict, and the spans that a judge adds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from cxotel._semconv import (
    CX_CARRIER_NAME,
    CX_IMPACT_SEVERITY,
    CX_IMPACT_SUMMARY,
    CX_PARTNER,
    CX_QUEUE_NAME,
    CX_SITE,
    CX_WARNING_LAYER,
    CX_WARNING_LOST_SECONDS,
    CX_WARNING_OWNER,
    CX_WARNING_WHAT,
)
from cxotel.desk import traces
from cxotel.impact.evidence import SCOPE, service_of
from cxotel.impact.lifecycle import CORRECTION, JUDGED, PARTIAL_CALL, WARNING, Root, Telling
from cxotel.impact.span import STATUS_ERROR, Span
from cxotel.otlp.proto import to_pairs, to_request
from cxotel.otlp.stamping import ERROR_FROM, STAMPED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from cxotel.desk.traces import Kept

# In the bytes of every span that has an attribute of a verdict, and hardly of any other.
MARK = b"cx.impact."
# The root gets these from the first span of the call that has them: searches and metrics read the root alone.
COPIED = (CX_CARRIER_NAME, CX_QUEUE_NAME, CX_SITE, CX_PARTNER)
JUDGE_SERVICE = "cx-impact"
CALL_PARTIAL, IMPACT_CORRECTION, IMPACT_WARNING = "call (partial)", "impact correction", "impact warning"


def unstamp(span: OtlpSpan) -> None:
    """Take another judge's verdict off a span, and the status that came with it."""
    said = {pair.value.string_value for pair in span.attributes if pair.key == CX_IMPACT_SUMMARY}
    if span.status.message in said:
        span.ClearField("status")
    own = [pair for pair in span.attributes if not pair.key.startswith(STAMPED)]
    del span.attributes[:]
    span.attributes.extend(own)


def stamp(span: OtlpSpan, attributes: Mapping[str, Any], copied: Mapping[str, str] | None = None) -> None:
    """Put a verdict on a span, in place of any other, with attributes from other spans of its call."""
    unstamp(span)
    known = {pair.key for pair in span.attributes}
    span.attributes.extend(to_pairs({k: v for k, v in (copied or {}).items() if k not in known}))
    span.attributes.extend(to_pairs(attributes))
    if attributes[CX_IMPACT_SEVERITY] in ERROR_FROM and span.status.code == Status.STATUS_CODE_UNSET:
        span.status.code = Status.STATUS_CODE_ERROR
        span.status.message = str(attributes[CX_IMPACT_SUMMARY])


def copied_of(spans: list[Span]) -> dict[str, str]:
    """What the root gets from other spans."""
    found: dict[str, str] = {}
    for span in spans:
        for key in COPIED:
            value = span.attributes.get(key)
            if isinstance(value, str) and value and span.scope != SCOPE:
                found.setdefault(key, value)
    return found


def request_of(
    telling: Telling,
    trace_id: str,
    kept: list[Kept],
    links: list[Root],
    evidence: list[Span],
    copied: Mapping[str, str],
) -> ExportTraceServiceRequest:
    """What is sent of a telling. Equal tellings make equal spans.

    Args:
        telling: what a life told.
        trace_id: of the call.
        kept: its spans.
        links: parts of the call that were not seen here.
        evidence: evidence spans of the verdict.
        copied: what the root gets from other spans.
    """
    wanted = {*telling.others, *([telling.root] if telling.root else [])}
    roots = [k for k in traces.settled(kept) if (k.item.trace_id.hex(), k.item.span_id.hex()) in wanted]
    request = traces.to_request(roots)
    for group in request.resource_spans:
        for scoped in group.scope_spans:
            for span in scoped.spans:
                if (span.trace_id.hex(), span.span_id.hex()) == telling.root:
                    stamp(span, telling.verdict.attributes, copied)
                    _link(span, links)
                else:
                    unstamp(span)
    if telling.kind == JUDGED:
        request.MergeFrom(to_request(evidence))
    elif telling.kind in (PARTIAL_CALL, CORRECTION):
        make = partial_span if telling.kind == PARTIAL_CALL else correction_span
        added = to_request([make(trace_id, telling)])
        [span] = added.resource_spans[0].scope_spans[0].spans
        stamp(span, telling.verdict.attributes, copied)
        _link(span, links)
        request.MergeFrom(added)
    elif telling.kind == WARNING:
        request.MergeFrom(to_request([warning_span(telling)]))
    return request


def partial_span(trace_id: str, telling: Telling) -> Span:
    """The span that stands for a call whose root did not come."""
    return _own(trace_id, computed_id(trace_id, CALL_PARTIAL), "", CALL_PARTIAL, telling.verdict)


def correction_span(trace_id: str, telling: Telling) -> Span:
    """The span that says how a verdict changed: no length, at the call's end."""
    verdict, root = telling.verdict, telling.verdict.root
    parent = root.span_id if root else computed_id(trace_id, CALL_PARTIAL)
    home = root.trace_id if root else trace_id
    content = "\0".join(f"{key}\0{value}" for key, value in verdict.attributes.items())
    span_id = computed_id(home, IMPACT_CORRECTION, str(telling.number), content)
    span = _own(home, span_id, parent, IMPACT_CORRECTION, verdict)
    span.start = span.end
    return span


def warning_span(telling: Telling) -> Span:
    """The span that tells of a running call, below the media episode that showed it."""
    episode, verdict = telling.episode, telling.verdict
    if episode is None:
        raise ValueError("a warning is of an episode")
    item = next((one for one in verdict.evidence if one.layer == episode.layer), None)
    return Span(
        trace_id=episode.trace_id,
        span_id=computed_id(episode.trace_id, IMPACT_WARNING, episode.layer, episode.span_id),
        parent_id=episode.span_id,
        name=IMPACT_WARNING,
        start=episode.start,
        end=episode.end,
        attributes={
            CX_WARNING_LAYER: episode.layer,
            **({CX_WARNING_OWNER: episode.owner} if episode.owner else {}),
            **({CX_WARNING_WHAT: item.what} if item else {}),
            CX_WARNING_LOST_SECONDS: verdict.lost_seconds,
        },
        scope=SCOPE,
        status=STATUS_ERROR,
        status_message=item.text if item else f"{episode.layer}: the audio is bad",
        kind=1,
        service=service_of(episode.layer, episode.owner),
    )


def computed_id(*parts: str) -> str:
    """The first half of a sha256 over the parts joined by NUL, in hex: as an evidence span's."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _own(trace_id: str, span_id: str, parent: str, name: str, verdict: Any) -> Span:
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent,
        name=name,
        start=verdict.start,
        end=max(verdict.start, verdict.end),
        attributes={},
        scope=SCOPE,
        kind=1,
        service=JUDGE_SERVICE,
    )


def _link(span: OtlpSpan, links: list[Root]) -> None:
    for trace_id, span_id in links:
        span.links.add(trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(span_id))
