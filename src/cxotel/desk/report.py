"""What is told of a call: its row, its verdict as JSON, and the whole trace with the verdict stamped on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.trace.v1.trace_pb2 import Status

from cxotel._semconv import CX_IMPACT_SEVERITY, CX_IMPACT_SUMMARY
from cxotel.desk import traces
from cxotel.desk.facts import root_of
from cxotel.desk.judging import UNJUDGED
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.impact.span import Span
from cxotel.otlp.proto import to_pairs, to_request
from cxotel.otlp.stamping import ERROR_FROM, STAMPED

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

    from cxotel.desk.store import Store
    from cxotel.desk.traces import Kept


@dataclass(slots=True)
class CallRow:
    """A call's row; times in ns since the epoch. `summary` is what `facts.summary_of` made of it."""

    trace_id: str
    state: str
    arrivals: int
    first_received: int
    last_received: int
    root_received: int | None
    due: int | None
    refused: int
    revision: int
    corrections: int
    started: int | None
    length: int | None
    summary: dict[str, Any]


@dataclass(slots=True)
class Judged:
    """A verdict as kept: number 0 or a correction, when, in which state, what, and its evidence spans."""

    number: int
    at: int
    state: str
    attributes: dict[str, Any]
    evidence: list[dict[str, Any]]
    stretches: list[dict[str, Any]]
    spans: bytes


def row_from(columns: tuple[Any, ...]) -> CallRow:
    """A CallRow from a row of `call_row` or `calls_page`."""
    return CallRow(*(columns[0].hex(), *columns[1:-1], json.loads(columns[-1] or "{}")))


def call_row(store: Store, trace_id: bytes) -> CallRow | None:
    """The row of a call, None if there is none of this id."""
    rows = store.rows("call_row", trace_id)
    return row_from(rows[0]) if rows else None


def calls_before(store: Store, started: int, trace_id: bytes, limit: int) -> list[CallRow]:
    """Calls that started earlier than a given one, newest first."""
    return [row_from(row) for row in store.rows("calls_page", started, trace_id, limit)]


def verdicts_of(store: Store, trace_id: bytes) -> list[Judged]:
    """All verdicts of a call, the first one first."""
    return [
        Judged(number, at, state, **json.loads(text), spans=spans)
        for number, at, state, text, spans in store.rows("verdicts_of_trace", trace_id)
    ]


def summary_report(row: CallRow) -> dict[str, Any]:
    """A call as `/api/calls` has it."""
    return {
        "trace_id": row.trace_id,
        "state": row.state,
        "corrections": row.corrections,
        "refused": row.refused,
        **row.summary,
    }


def verdict_report(store: Store, trace_id: bytes) -> dict[str, Any] | None:
    """A call as `/call/<trace_id>.json` has it: the verdict that holds now, and those it replaced.

    A call that was not judged, since its work is too much, has no attributes, and replaced all it had.
    """
    row, verdicts = call_row(store, trace_id), verdicts_of(store, trace_id)
    if row is not None and row.state == UNJUDGED:
        verdicts.append(Judged(len(verdicts), row.last_received, UNJUDGED, {}, [], [], b""))
    if row is None or not verdicts:
        return None
    last = verdicts[-1]
    return {
        **summary_report(row),
        "judged_at": last.at,
        "attributes": last.attributes,
        "evidence": last.evidence,
        "stretches": last.stretches,
        "replaced": [{"at": v.at, "attributes": v.attributes} for v in verdicts[:-1]],
    }


def stamped(kept: list[Kept], verdicts: list[Judged]) -> ExportTraceServiceRequest:
    """The whole trace as it is handed on: spans as received, the root with the verdict, evidence spans.

    A span that went out never changes, so the root carries the first final verdict, and each correction is a
    span `impact correction` of its own. Spans and stamps of another judge are left out: this one judged anew.
    """
    root = root_of(kept)
    request = traces.to_request(k for k in traces.settled(kept) if k.scope.name != IMPACT_SCOPE)
    if not verdicts:
        return request
    if root is not None:
        for group in request.resource_spans:
            for scoped in group.scope_spans:
                for span in scoped.spans:
                    if span.span_id == root.span_id:
                        stamp(span, verdicts[0].attributes)
    request.MergeFromString(verdicts[0].spans)
    corrections = [_correction(verdict, root) for verdict in verdicts[1:] if root is not None]
    request.MergeFrom(to_request(corrections))
    return request


def stamp(span: OtlpSpan, attributes: dict[str, Any]) -> None:
    """Take another judge's verdict off a root span and put this one on."""
    said = {pair.value.string_value for pair in span.attributes if pair.key == CX_IMPACT_SUMMARY}
    if span.status.message in said:  # the status came with the verdict
        span.ClearField("status")
    own = [pair for pair in span.attributes if not pair.key.startswith(STAMPED)]
    del span.attributes[:]
    span.attributes.extend(own)
    span.attributes.extend(to_pairs(attributes))
    if attributes[CX_IMPACT_SEVERITY] in ERROR_FROM and span.status.code == Status.STATUS_CODE_UNSET:
        span.status.code = Status.STATUS_CODE_ERROR
        span.status.message = attributes[CX_IMPACT_SUMMARY]


def _correction(verdict: Judged, root: OtlpSpan) -> Span:
    trace_id = root.trace_id.hex()
    text = "\0".join((trace_id, "correction", str(verdict.number)))
    return Span(
        trace_id=trace_id,
        span_id=hashlib.sha256(text.encode()).digest()[:8].hex(),
        parent_id=root.span_id.hex(),
        name="impact correction",
        start=root.end_time_unix_nano,
        end=root.end_time_unix_nano,
        attributes=verdict.attributes,
        scope=IMPACT_SCOPE,
        service="cx-impact",
        kind=1,
    )
