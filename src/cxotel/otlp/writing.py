"""Spans as OTLP/JSON (OTLP 1.10): ids in hex, enums as numbers, 64-bit integers as strings, camelCase."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cxotel.otlp.document import KINDS, SPAN_DIGITS, STATUS_CODES, TRACE_DIGITS, Received, hex_id
from cxotel.otlp.values import write_attributes, write_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.impact.span import Span

IDS = {"traceId": TRACE_DIGITS, "spanId": SPAN_DIGITS, "parentSpanId": SPAN_DIGITS}
# Fields of the messages that are written; what is not among them was unknown to us and stays as it came.
FIELDS = (
    "traceId",
    "spanId",
    "parentSpanId",
    "traceState",
    "startTimeUnixNano",
    "endTimeUnixNano",
    "timeUnixNano",
    "droppedAttributesCount",
    "droppedEventsCount",
    "droppedLinksCount",
    "schemaUrl",
    "scopeSpans",
    "stringValue",
    "boolValue",
    "intValue",
    "doubleValue",
    "bytesValue",
    "arrayValue",
    "kvlistValue",
)
# Nesting that is kept: readers of protobuf stop at 100 messages, so nobody could read what lies deeper.
MAX_DEPTH = 200
CAMEL = {"".join("_" + c.lower() if c.isupper() else c for c in name): name for name in FIELDS}


def to_json(spans: Iterable[Span]) -> dict[str, Any]:
    """Spans as an ExportTraceServiceRequest in OTLP/JSON; neighbours of one origin share a group."""
    groups: list[dict[str, Any]] = []
    last = None
    for span in spans:
        if last != (span.service, span.scope):
            last = (span.service, span.scope)
            resource = write_attributes({"service.name": span.service} if span.service else {})
            scoped: dict[str, Any] = {"scope": {"name": span.scope}, "spans": []}
            groups.append({"resource": {"attributes": resource}, "scopeSpans": [scoped]})
        scoped["spans"].append(write_span(span))
    return {"resourceSpans": groups}


def write_span(span: Span) -> dict[str, Any]:
    """One span in OTLP/JSON."""
    out: dict[str, Any] = {"traceId": span.trace_id, "spanId": span.span_id}
    if span.parent_id:
        out["parentSpanId"] = span.parent_id
    out["name"] = span.name
    out["kind"] = span.kind
    out["startTimeUnixNano"] = str(span.start)
    out["endTimeUnixNano"] = str(span.end)
    out["attributes"] = write_attributes(span.attributes)
    out["status"] = write_status(span.status, span.status_message)
    return out


def write_status(code: int, message: str) -> dict[str, Any]:
    """A status, without the fields that have their default."""
    status: dict[str, Any] = {}
    if message:
        status["message"] = message
    if code:
        status["code"] = code
    return status


def regroup(received: Iterable[Received]) -> list[dict[str, Any]]:
    """ResourceSpans with the spans as received, all their fields with them, in the form OTLP/JSON demands.

    Neighbours that came in one group stay in one. Ids go from base64 to hex, enums from names to numbers,
    field names from snake_case to lowerCamelCase. Fields that OTLP does not have, and values that could not
    be read, stay as they are.
    """
    groups: list[dict[str, Any]] = []
    group = scoped = None
    for item in received:
        if item.group is not group:
            group, scoped = item.group, None
            groups.append({**_without(group, "scopeSpans", "scope_spans"), "scopeSpans": []})
        if item.scoped is not scoped:
            scoped = item.scoped
            groups[-1]["scopeSpans"].append({**_without(scoped, "spans"), "spans": []})
        groups[-1]["scopeSpans"][-1]["spans"].append(_conform(item.raw))
    return groups


def _without(node: dict[str, Any], *names: str) -> dict[str, Any]:
    kept: dict[str, Any] = _conform({name: value for name, value in node.items() if name not in names})
    return kept


def _conform(node: Any, depth: int = 0) -> Any:
    """A deep copy with the forms of OTLP/JSON."""
    if depth > MAX_DEPTH:
        return None
    if isinstance(node, list):
        return [_conform(item, depth + 1) for item in node]
    if isinstance(node, dict):
        out: dict[str, Any] = {}
        for key, value in node.items():
            name = CAMEL.get(key) or key
            # Of a field given by both its names the one that is read stays (`values.first`).
            if out.get(name) is None or (key == name and value is not None):
                out[name] = _field(name, value, depth)
        return out
    if isinstance(node, float) and not math.isfinite(node):
        return write_value(node)["doubleValue"]  # Python's reader takes the bare word, OTLP/JSON has a string
    return node


def _field(name: Any, value: Any, depth: int) -> Any:
    if isinstance(value, str):
        if name in IDS:
            return hex_id(value, IDS[name]) or value
        if name == "kind":
            return KINDS.get(value, value)
        return STATUS_CODES.get(value, value) if name == "code" else value
    if name == "intValue" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _conform(value, depth + 1)
