"""Every span of a trace in waterfall order, with all that OTLP says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cxotel._semconv import CX_EVIDENCE_LAYER, CX_LAYER
from cxotel.desk import words
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.otlp.proto import attributes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from cxotel.desk.axis import Axis

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
# Indentation ends here; deeper spans stand below each other.
DEEPEST = 12


@dataclass(slots=True)
class Field:
    """One line of a table: name, text, type, and what the name means in plain words, "" where unknown."""

    name: str
    text: str
    kind: str
    label: str = ""


@dataclass(slots=True)
class Node:
    """A span as the page lists it."""

    id: str
    name: str
    depth: int
    layer: str
    service: str
    ours: bool
    error: bool
    fault: str
    offset: float
    length: float
    x: str
    width: str
    start: int
    fields: list[Field]
    attributes: list[Field]
    resource: list[Field]
    scope: list[Field]
    events: list[tuple[str, int, list[Field]]]
    links: list[tuple[str, str, list[Field]]]


@dataclass(slots=True)
class Placed:
    """A span in waterfall order, with the groups of its request."""

    span: Any
    group: Any
    scoped: Any
    depth: int = 0
    children: list[Placed] = field(default_factory=list)


def order(request: ExportTraceServiceRequest) -> list[Placed]:
    """All spans: parents before children, siblings by start; without its parent a span stands at the top."""
    placed = [
        Placed(span, group, scoped)
        for group in request.resource_spans
        for scoped in group.scope_spans
        for span in scoped.spans
    ]
    placed.sort(key=lambda one: (one.span.start_time_unix_nano, -one.span.end_time_unix_nano))
    by_id = {one.span.span_id: one for one in placed if one.span.span_id}
    tops = []
    for one in placed:
        parent = by_id.get(one.span.parent_span_id)
        if parent is None or parent is one:
            tops.append(one)
        else:
            parent.children.append(one)
    found: list[Placed] = []
    seen: set[int] = set()
    _walk(tops, found, seen)
    for one in placed:  # spans that are each other's parents hang under no top
        if id(one) not in seen:
            _walk([one], found, seen)
    return found


def _walk(tops: list[Placed], found: list[Placed], seen: set[int]) -> None:
    stack = [(one, 0) for one in reversed(tops)]
    while stack:
        one, depth = stack.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.depth = depth
        found.append(one)
        stack += [(child, depth + 1) for child in reversed(one.children)]


def node(one: Placed, axis: Axis) -> Node:
    """All that is shown of a span."""
    span, resource, scope = one.span, one.group.resource, one.scoped.scope
    attributes = attributes_of(span.attributes)
    layer = attributes.get(CX_LAYER, attributes.get(CX_EVIDENCE_LAYER))
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    service = attributes_of(resource.attributes).get("service.name")
    return Node(
        id=span.span_id.hex(),
        name=span.name or "(no name)",
        depth=min(one.depth, DEEPEST),
        layer=layer if isinstance(layer, str) else "",
        service=service if isinstance(service, str) else "",
        ours=scope.name == IMPACT_SCOPE,
        error=span.status.code == 2,
        fault=_fault(span),
        offset=(start - axis.start) / 1e9,
        length=max(0, end - start) / 1e9,
        x=axis.x(start),
        width=axis.width(start, max(start, end)),
        start=start,
        fields=_fields(span),
        attributes=table(attributes),
        resource=resource_fields(resource, one.group.schema_url),
        scope=scope_fields(scope, one.scoped.schema_url),
        events=[
            (
                event.name,
                event.time_unix_nano,
                [*_named({"time": _nanos(event.time_unix_nano)}), *_more(event)],
            )
            for event in span.events
        ],
        links=[
            (
                link.trace_id.hex(),
                link.span_id.hex(),
                [*_named({"trace state": link.trace_state, "flags": _flags(link.flags)}), *_more(link)],
            )
            for link in span.links
        ],
    )


def _fault(span: Any) -> str:
    """Why the verdict could not use the span at all (impact model, 0), "" where it could."""
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if not any(span.span_id):
        return "It has no span id"
    if not start:
        return "It has no start"
    if not end:
        return "It has no end"
    return "It ends before it starts" if end < start else ""


def _fields(span: Any) -> list[Field]:
    """What is no attribute; what is not set is left out."""
    status = STATUSES[span.status.code] if span.status.code < len(STATUSES) else str(span.status.code)
    return _named(
        {
            "span id": span.span_id.hex() or "(none)",
            "parent": span.parent_span_id.hex(),
            "kind": KINDS[span.kind] if 0 <= span.kind < len(KINDS) else str(span.kind),
            "start": _nanos(span.start_time_unix_nano),
            "end": _nanos(span.end_time_unix_nano),
            "status": status,
            "status message": span.status.message,
            "trace state": span.trace_state,
            "flags": _flags(span.flags),
            "dropped attributes": span.dropped_attributes_count,
            "dropped events": span.dropped_events_count,
            "dropped links": span.dropped_links_count,
        }
    )


def resource_fields(resource: Any, schema_url: str) -> list[Field]:
    """What is said of who sent it."""
    return [
        *table(attributes_of(resource.attributes)),
        *_named({"schema URL": schema_url, "dropped attributes": resource.dropped_attributes_count}),
        *(field for ref in getattr(resource, "entity_refs", ()) for field in _entity(ref)),  # OTLP 1.6
    ]


def scope_fields(scope: Any, schema_url: str) -> list[Field]:
    """What is said of the library that made it."""
    return [
        *_named({"name": scope.name, "version": scope.version, "schema URL": schema_url}),
        *table(attributes_of(scope.attributes)),
        *_named({"dropped attributes": scope.dropped_attributes_count}),
    ]


def log_fields(record: Any) -> list[Field]:
    """What is no attribute of a log record; what is not set is left out."""
    return _named(
        {
            "event name": getattr(record, "event_name", ""),  # OTLP 1.5
            "time": _nanos(record.time_unix_nano),
            "observed": _nanos(record.observed_time_unix_nano),
            "severity": record.severity_text,
            "severity number": record.severity_number,
            "span id": record.span_id.hex(),
            "flags": _flags(record.flags),
            "dropped attributes": record.dropped_attributes_count,
        }
    )


def _entity(ref: Any) -> list[Field]:
    return _named(
        {
            "entity": ref.type,
            "entity schema URL": ref.schema_url,
            "entity id": ", ".join(ref.id_keys),
            "entity description": ", ".join(ref.description_keys),
        }
    )


def _flags(flags: int) -> str:
    return f"0x{flags:x}" if flags else ""


def _nanos(at: int) -> str:
    """A time as OTLP has it, and in UTC."""
    moment = words.moment(at)
    return f"{at} ns ({moment.isoformat(timespec='microseconds')})" if moment else str(at or "")


def _more(holder: Any) -> list[Field]:
    return [
        *table(attributes_of(holder.attributes)),
        *_named({"dropped attributes": holder.dropped_attributes_count}),
    ]


def _named(values: Mapping[str, Any]) -> list[Field]:
    return [Field(name, words.plain(value), "") for name, value in values.items() if value]


def table(attributes: Mapping[str, Any]) -> list[Field]:
    """Attributes by name, each with its type."""
    return [
        Field(key, words.plain(value), words.kind(value), words.label(key))
        for key, value in sorted(attributes.items())
    ]
