"""Everything the page of one call shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cxotel._semconv import CX_IMPACT_OUTSIDE, CX_IMPACT_SKIPPED, CX_IMPACT_UNOBSERVED, CX_OWNER
from cxotel.desk import charts, report, timeline, traces, tree, words
from cxotel.desk.axis import Axis
from cxotel.desk.lives import FINAL, PARTIAL, PROVISIONAL
from cxotel.desk.settings import MAX_SPANS_PER_CALL
from cxotel.otlp.proto import attributes_of, value_of

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from cxotel.desk.report import CallRow, Judged, Warned
    from cxotel.desk.store import Store
    from cxotel.desk.traces import Kept


# A page shows so many spans and log records; the rest are on pages of their own.
PART = 500
# Rows and hops that are drawn.
MOST_ROWS, MOST_HOPS = 60, 24
# What a judge's word and ours are compared in.
COMPARED = {
    "cx.impact.severity": "Severity",
    "cx.impact.lost_seconds": "Lost seconds",
    "cx.impact.layer": "Main layer",
    "cx.impact.owner": "Who can fix it",
    "cx.impact.score": "Score",
    "cx.impact.summary": "Sentence",
}
NO_TIME = (
    "No time of this call could be read: none of its spans has an id, a start, and an end that is not before "
    "its start. So nothing of it could be judged."
)


@dataclass(slots=True)
class Share:
    """One layer's part of the lost seconds; x and width in percent of the bar."""

    layer: str
    label: str
    seconds: float
    percent: int
    x: str
    width: str
    owner: str = ""


@dataclass(slots=True)
class Proof:
    """One evidence item with where to look."""

    layer: str
    what: str
    figure: str
    seconds: float
    span_id: str
    span_name: str
    owner: str
    when: list[int] = field(default_factory=list)


@dataclass(slots=True)
class LogLine:
    """A log record of the call."""

    at: int
    severity: str
    event: str
    body: str
    service: str
    span_id: str
    fields: list[tree.Field]
    attributes: list[tree.Field]
    resource: list[tree.Field]
    scope: list[tree.Field]


@dataclass
class Part:
    """A part of a call's spans or log records.

    Attributes:
        what: spans or logs.
        items: those of this part.
        first: number of the first one, from 1.
        total: of all parts.
        number: of this part, from 1.
    """

    trace_id: str
    what: str
    items: list[Any]
    first: int
    total: int
    number: int

    def __post_init__(self) -> None:
        self._ids = {node.id for node in self.items} if self.what == "spans" else set()

    @property
    def others(self) -> list[tuple[int, str]]:
        """All parts with their addresses, none if this is the only one."""
        parts = -(-self.total // PART)
        return (
            []
            if parts < 2
            else [(n, f"/call/{self.trace_id}/{self.what}?part={n}") for n in range(1, parts + 1)]
        )

    @property
    def last(self) -> int:
        """Number of the last one."""
        return self.first + len(self.items) - 1

    def link(self, span_id: str) -> str:
        """Where a span is to be seen: on this page, or on that of its part."""
        if not span_id or self.total <= PART or span_id in self._ids:
            return f"#s-{span_id}"
        return f"/call/{self.trace_id}/spans?span={span_id}#s-{span_id}"


@dataclass(slots=True)
class Difference:
    """A figure of the verdict that came with the root, and what the desk reckons."""

    label: str
    stamped: str
    reckoned: str


@dataclass(slots=True)
class OneCall:
    """The page's data; `axis` covers the call with its set-up.

    Attributes:
        attributes: of the verdict that is shown: the root's own stamp where that is trusted.
        trusted: it is.
        differences: what the desk reckons otherwise.
        hidden: rows and hops that are not drawn.
    """

    row: CallRow
    attributes: dict[str, Any]
    axis: Axis
    shares: list[Share]
    proofs: list[Proof]
    lost: list[timeline.Bar]
    rows: list[timeline.Row]
    hops: list[charts.Hop]
    hidden: int
    blind: list[str]
    remarks: list[str]
    warnings: list[Warned]
    spans: Part
    logs: Part
    judged_at: int
    replaced: list[Judged]
    trusted: bool
    differences: list[Difference]


def load(store: Store, trace_id: bytes) -> OneCall | None:
    """Read a call; None if there is none of this id, or it was not judged yet."""
    row = report.call_row(store, trace_id)
    verdicts = report.verdicts_of(store, bytes.fromhex(row.trace_id)) if row is not None else []
    if row is None or not verdicts:
        return None
    ids = traces.ids_of(store, bytes.fromhex(row.trace_id))
    every, warnings = traces.spans_of(store, *ids), report.warnings_of(store, ids[0])
    kept, last = traces.settled(every), verdicts[-1]
    axis = Axis(row.summary["start"], row.summary["end"])
    names = {k.item.span_id.hex(): k for k in kept}
    stamp = report.stamp_of(store, row, lambda: kept)
    attributes = last.attributes if stamp is None else stamp
    rows, hops = [], []
    if axis.known:
        rows, hops = timeline.rows(kept, axis, last.stretches), charts.hops(kept, axis, last.stretches)
    request = report.stamped(every, verdicts, [one.spans for one in warnings], trusted=stamp is not None)
    spans = _spans(row, request, axis)
    for bar in (bar for one in rows for bar in one.bars):
        bar.href = spans.link(bar.href.removeprefix("#s-"))
    drawn = (
        sorted(sorted(rows, key=lambda one: -one.seconds)[:MOST_ROWS], key=rows.index)
        if len(rows) > MOST_ROWS
        else rows
    )
    return OneCall(
        row=row,
        attributes=attributes,
        axis=axis,
        shares=shares(row.summary.get("charges", {}), owners(last, names)),
        proofs=_proofs(last, names),
        lost=timeline.lost_stack(last.stretches, axis),
        rows=drawn,
        hops=hops[:MOST_HOPS],
        hidden=len(rows) - len(drawn) + max(0, len(hops) - MOST_HOPS),
        blind=list(attributes.get(CX_IMPACT_UNOBSERVED, [])),
        remarks=_remarks(row, attributes),
        warnings=warnings,
        spans=spans,
        logs=_logs(row, traces.logs_of(store, *ids)),
        judged_at=last.at,
        replaced=verdicts[:-1],
        trusted=stamp is not None,
        differences=differences(attributes, last.attributes),
    )


def unjudged(store: Store, row: CallRow) -> dict[str, Any]:
    """What the page of a call shows that was too much to judge."""
    trace_id = bytes.fromhex(row.trace_id)
    verdicts = report.verdicts_of(store, trace_id)
    ids = traces.ids_of(store, trace_id)
    axis = Axis(row.summary["start"], row.summary["end"])
    return {
        "row": row,
        "summary": row.summary,
        "axis": axis,
        "judged": verdicts,
        "spans": _spans(row, report.stamped(traces.spans_of(store, *ids), verdicts), axis),
        "logs": _logs(row, traces.logs_of(store, *ids)),
    }


def spans_part(store: Store, row: CallRow, number: int, span_id: str = "") -> Part:
    """A part of a call's spans: that with a span, else by number."""
    trace_id = bytes.fromhex(row.trace_id)
    ids = traces.ids_of(store, trace_id)
    kept, warnings = traces.spans_of(store, *ids), report.warnings_of(store, trace_id)
    trusted = report.stamp_of(store, row, lambda: traces.settled(kept)) is not None
    request = report.stamped(
        kept, report.verdicts_of(store, trace_id), [one.spans for one in warnings], trusted=trusted
    )
    return _spans(row, request, Axis(row.summary["start"], row.summary["end"]), number, span_id)


def logs_part(store: Store, row: CallRow, number: int) -> Part:
    """A part of a call's log records."""
    ids = traces.ids_of(store, bytes.fromhex(row.trace_id))
    return _logs(row, traces.logs_of(store, *ids), number)


def differences(stamped: dict[str, Any], reckoned: dict[str, Any]) -> list[Difference]:
    """In what two verdicts differ that a reader would ask about."""
    return [
        Difference(label, words.plain(stamped.get(key, "")), words.plain(reckoned.get(key, "")))
        for key, label in COMPARED.items()
        if stamped.get(key, "") != reckoned.get(key, "")
    ]


def _spans(
    row: CallRow, request: ExportTraceServiceRequest, axis: Axis, number: int = 1, span_id: str = ""
) -> Part:
    placed = tree.order(request)
    if span_id:
        wanted = bytes.fromhex(span_id)
        number = next((i // PART + 1 for i, one in enumerate(placed) if one.span.span_id == wanted), 1)
    first = (number - 1) * PART
    items = [tree.node(one, axis) for one in placed[first : first + PART]]
    return Part(row.trace_id, "spans", items, first + 1, len(placed), number)


def owners(verdict: Judged, spans: dict[str, Kept]) -> dict[str, str]:
    """Who can fix a layer: `cx.owner` of the span of its first evidence item."""
    found: dict[str, str] = {}
    for item in verdict.evidence:
        owner = _attribute(spans.get(item["span_id"]), CX_OWNER)
        if owner:
            found.setdefault(item["layer"], owner)
    return found


def _attribute(kept: Kept | None, key: str) -> str:
    value = attributes_of(kept.item.attributes).get(key) if kept is not None else None
    return value if isinstance(value, str) else ""


def shares(
    charges: dict[str, float], owner_of: dict[str, str] | None = None, whole: float = 0.0
) -> list[Share]:
    """Charged layers, the largest first; `whole` is what the bar stands for, by default their sum."""
    total = sum(charges.values())
    whole = max(whole, total)
    found, at = [], 0.0
    order = list(words.LAYERS)
    ranked = sorted(charges.items(), key=lambda item: (-item[1], order.index(item[0])))
    percents = words.whole_percents([value for _, value in ranked])
    for (layer, value), percent in zip(ranked, percents, strict=True):
        width = value / whole if whole else 0.0
        found.append(
            Share(
                layer,
                words.layer(layer),
                value,
                percent,
                f"{at * 100:.3f}%",
                f"{width * 100:.3f}%",
                (owner_of or {}).get(layer, ""),
            )
        )
        at += width
    return found


def _proofs(verdict: Judged, spans: dict[str, Kept]) -> list[Proof]:
    found = []
    for item in verdict.evidence:
        kept = spans.get(item["span_id"])
        found.append(
            Proof(
                item["layer"],
                item["what"],
                words.figure(item["what"], item["value"]),
                item["seconds"],
                item["span_id"] if kept is not None else "",
                kept.item.name if kept is not None else "",
                _attribute(kept, CX_OWNER),
                [
                    s["start"]
                    for s in verdict.stretches
                    if (s["layer"], s["what"]) == (item["layer"], item["what"])
                ],
            )
        )
    return found


def _remarks(row: CallRow, attributes: dict[str, Any]) -> list[str]:
    """What else a reader must know to trust the verdict, in sentences."""
    found = []
    skipped, outside = attributes.get(CX_IMPACT_SKIPPED, 0), attributes.get(CX_IMPACT_OUTSIDE, 0)
    if not row.summary["start"]:
        found.append(NO_TIME)
    if skipped:
        found.append(
            f"{_things(skipped, 'value or span')} could not be read and took no part in the verdict."
        )
    if outside:
        found.append(
            f"{_things(outside, 'span')} of this call lay outside its time and took no part: "
            "a sender's clock is wrong, or a call key was used twice."
        )
    if row.refused:
        found.append(
            f"{_things(row.refused, 'span')} of this call had an unusable id or field, or came when it had "
            f"{MAX_SPANS_PER_CALL:,} already, and could not be kept."
        )
    if row.summary["start"] > row.last_received:
        found.append("The call's times lie in the future: the sender's clock is ahead.")
    return found


def _things(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} " + " or ".join(f"{word}s" for word in noun.split(" or "))


def _logs(row: CallRow, kept: list[Kept], number: int = 1) -> Part:
    kept = sorted(
        kept, key=lambda one: one.item.time_unix_nano or one.item.observed_time_unix_nano or one.received
    )
    first = (number - 1) * PART
    return Part(
        row.trace_id, "logs", [_log(one) for one in kept[first : first + PART]], first + 1, len(kept), number
    )


def _log(one: Kept) -> LogLine:
    record = one.item
    service = attributes_of(one.resource.attributes).get("service.name")
    return LogLine(
        record.time_unix_nano or record.observed_time_unix_nano or one.received,
        record.severity_text or ("" if not record.severity_number else str(record.severity_number)),
        getattr(record, "event_name", ""),  # since OTLP 1.5; kept in the bytes all the same
        words.plain(body) if (body := value_of(record.body)) is not None else "",
        service if isinstance(service, str) else "",
        record.span_id.hex(),
        tree.log_fields(record),
        tree.table(attributes_of(record.attributes)),
        tree.resource_fields(one.resource, one.resource_schema_url),
        tree.scope_fields(one.scope, one.scope_schema_url),
    )


def state_text(row: CallRow, grace: float) -> str:
    """What the reader must know of a verdict that is not the last word; "" for one that is."""
    if row.state == FINAL:
        return ""
    if row.state == PARTIAL:
        return "Partial: the end of this call never came, so this is what can be said without it."
    if row.state == PROVISIONAL:
        return f"Provisional: the call has just ended. Late reports are awaited for {grace:g} s."
    return "Running: the call has not ended. This is what can be said so far."
