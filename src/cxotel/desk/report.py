"""What is told of a call: its row, its verdict as JSON, and the whole trace with the verdict stamped on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cxotel._semconv import CX_WARNING_OWNER
from cxotel.desk import stamps, traces
from cxotel.desk.facts import root_of, stamp_on
from cxotel.desk.lives import UNJUDGED
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.impact.lifecycle import CORRECTION, JUDGED, PARTIAL_CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cxotel.desk.store import Store
    from cxotel.desk.traces import Kept


@dataclass(slots=True)
class CallRow:
    """A call's row; times in ns since the epoch. `summary` is what `facts.summary_of` made of it."""

    trace_id: str
    state: str
    spans: int
    first_received: int
    last_received: int
    due: int | None
    refused: int
    revision: int
    corrections: int
    frozen: int
    started: int | None
    length: int | None
    summary: dict[str, Any]


@dataclass(slots=True)
class Judged:
    """A verdict as kept.

    Attributes:
        number: place among the call's, from 0.
        at: when, ns.
        state: of the call then.
        spans: evidence spans as ExportTraceServiceRequest.
        told: the judge's span that says it, likewise; b"" where the root does.
        kind: judged, partial or correction; "" while it may be replaced.
    """

    number: int
    at: int
    state: str
    attributes: dict[str, Any]
    evidence: list[dict[str, Any]]
    stretches: list[dict[str, Any]]
    spans: bytes
    told: bytes
    kind: str = ""


def row_from(columns: tuple[Any, ...]) -> CallRow:
    """A CallRow from a row of `call_row` or `calls_page`."""
    return CallRow(*(columns[0].hex(), *columns[1:-1], json.loads(columns[-1] or "{}")))


def call_row(store: Store, trace_id: bytes) -> CallRow | None:
    """The row of a call, None if there is none of this id."""
    rows = store.rows("call_row", trace_id)
    return row_from(rows[0]) if rows else None


def calls_before(store: Store, started: int, trace_id: bytes, since: int, limit: int) -> list[CallRow]:
    """Calls behind a place in the list, newest first, that did not start before `since`."""
    return [row_from(row) for row in store.rows("calls_page", started, trace_id, since, limit)]


def verdicts_of(store: Store, trace_id: bytes) -> list[Judged]:
    """All verdicts of a call, the first one first."""
    return [
        Judged(number, at, state, **json.loads(text), spans=spans, told=told)
        for number, at, state, text, spans, told in store.rows("verdicts_of_trace", trace_id)
    ]


@dataclass(slots=True)
class Warned:
    """A warning that was sent while a call ran: in which layer, when, what, and its span in a request."""

    layer: str
    at: int
    message: str
    spans: bytes

    @property
    def owner(self) -> str:
        """Who can fix it, "" where nobody said."""
        request = ExportTraceServiceRequest.FromString(self.spans)
        spans = [span for g in request.resource_spans for s in g.scope_spans for span in s.spans]
        owners = [
            pair.value.string_value
            for span in spans
            for pair in span.attributes
            if pair.key == CX_WARNING_OWNER
        ]
        return owners[0] if owners else ""


def warnings_of(store: Store, trace_id: bytes) -> list[Warned]:
    """The warnings of a call, the first one first."""
    return [Warned(*row) for row in store.rows("warnings_of_call", trace_id)]


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

    Where a verdict that came with the root is trusted, that one is it, and `reckoned` is the desk's own.

    A call that was not judged, since its work is too much, has no attributes, and replaced all it had.
    """
    row = call_row(store, trace_id)
    verdicts = verdicts_of(store, bytes.fromhex(row.trace_id)) if row is not None else []
    if row is not None and row.state == UNJUDGED:
        verdicts.append(Judged(len(verdicts), row.last_received, UNJUDGED, {}, [], [], b"", b""))
    if row is None or not verdicts:
        return None
    last = verdicts[-1]
    ids = traces.ids_of(store, bytes.fromhex(row.trace_id))
    stamp = stamp_of(store, row, lambda: traces.settled(traces.spans_of(store, *ids)))
    return {
        **summary_report(row),
        "judged_at": last.at,
        "attributes": last.attributes if stamp is None else stamp,
        **({} if stamp is None else {"reckoned": last.attributes}),
        "evidence": last.evidence,
        "stretches": last.stretches,
        "replaced": [{"at": v.at, "attributes": v.attributes} for v in verdicts[:-1]],
    }


def stamp_of(store: Store, row: CallRow, kept: Callable[[], list[Kept]]) -> dict[str, Any] | None:
    """The verdict with which the call's root came, where that is trusted; `kept` gives the call's spans."""
    trusted = row.state != UNJUDGED and store.rows("is_trusted", bytes.fromhex(row.trace_id)) == [(1,)]
    return stamp_on(traces.models(kept())) if trusted else None


def stamped(
    kept: list[Kept], verdicts: list[Judged], warnings: Iterable[bytes] = (), *, trusted: bool = False
) -> ExportTraceServiceRequest:
    """The whole trace as it is handed on: spans as received, the root with the verdict, what the judge adds.

    A span that went out never changes, so the root carries the verdict with which it went out, and each
    correction is a span `impact correction` of its own. Spans and stamps of another judge are left out: this
    one judged anew, unless that one is `trusted`: then all is as it came.
    """
    if trusted:
        request = traces.to_request(traces.settled(kept))
        for data in warnings:
            request.MergeFromString(data)
        return request
    models = traces.models(kept)
    root = root_of(models)
    root_id = bytes.fromhex(root.span_id) if root is not None else None
    request = traces.to_request(k for k in traces.settled(kept) if k.scope.name != IMPACT_SCOPE)
    own = next((v for v in verdicts if v.kind == JUDGED), None)
    if own is None and verdicts and verdicts[-1].kind not in (PARTIAL_CALL, CORRECTION):
        own = verdicts[-1]  # it runs still
    copied = stamps.copied_of(models)
    for group in request.resource_spans:
        for scoped in group.scope_spans:
            for span in scoped.spans:
                if own is not None and span.span_id == root_id:
                    stamps.stamp(span, own.attributes, copied)
                else:
                    stamps.unstamp(span)
    if own is not None:
        request.MergeFromString(own.spans)
    for verdict in verdicts:
        if verdict.kind in (PARTIAL_CALL, CORRECTION):
            request.MergeFromString(verdict.told)
    for data in warnings:
        request.MergeFromString(data)
    return request
