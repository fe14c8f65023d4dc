"""Jaeger's own JSON (`/api/traces`, the download of its UI) as OTLP/JSON.

What Jaeger keeps in tags goes back to its place in OTLP, the way Jaeger v2.20 put it there (tried with it).
Lost on its way and not to be had back: nanoseconds (times are whole microseconds), schema URLs, flags,
dropped counts, links' attributes. Its `/api/v3/traces` loses nothing: prefer that one.
"""

from __future__ import annotations

import json
from typing import Any

from cxotel.otlp.values import whole

KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
STATUS = {"OK": 1, "ERROR": 2}
VALUE_KINDS = {
    "string": "stringValue",
    "bool": "boolValue",
    "int64": "intValue",
    "float64": "doubleValue",
    "binary": "bytesValue",
}
# Tags that are no attributes of the span but fields of OTLP (library: Jaeger before 1.50).
SCOPE_TAGS = {
    "otel.scope.name": "name",
    "otel.scope.version": "version",
    "otel.library.name": "name",
    "otel.library.version": "version",
}


def resource_spans(trace: Any) -> list[Any]:
    """The ResourceSpans of one trace of Jaeger's, neighbours of one process and scope in one group.

    A part that is no object stays where it is, so that whoever reads the result names it.
    """
    spans = trace.get("spans") if isinstance(trace, dict) else None
    if not isinstance(spans, list):
        return [trace]
    processes = trace.get("processes")
    out: list[Any] = []
    last: Any = None
    for item in spans:
        if not isinstance(item, dict):
            out.append({"scopeSpans": [{"spans": [item]}]})
            last = None
            continue
        span, scope = _span(item)
        process = item.get("process")
        if not isinstance(process, dict):
            process_id = item.get("processID")
            process = processes.get(process_id) if isinstance(processes, dict) and _text(process_id) else None
        if last is None or last != (process, scope):
            last = (process, scope)
            out.append({"resource": _resource(process), "scopeSpans": [{"scope": scope, "spans": []}]})
        out[-1]["scopeSpans"][0]["spans"].append(span)
    return out


def _resource(process: Any) -> dict[str, Any]:
    if not isinstance(process, dict):
        return {"attributes": []}
    attributes = _attributes(process.get("tags"))
    if _text(process.get("serviceName")):
        attributes.insert(0, {"key": "service.name", "value": {"stringValue": process["serviceName"]}})
    return {"attributes": attributes}


def _span(item: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The span in OTLP/JSON, and its scope."""
    span: dict[str, Any] = {"traceId": _id(item.get("traceID"), 32), "spanId": _id(item.get("spanID"), 16)}
    scope: dict[str, Any] = {}
    status: dict[str, Any] = {}
    tags = []
    for tag in _list(item.get("tags")):
        key = tag.get("key") if isinstance(tag, dict) else None
        value = tag.get("value") if isinstance(tag, dict) else None
        if not isinstance(key, str) or not _text(value):
            # "error" is Jaeger's own copy of the status.
            if not (key == "error" and value is True):
                tags.append(tag)
        elif key in SCOPE_TAGS:
            scope[SCOPE_TAGS[key]] = value
        elif key == "span.kind" and value in KINDS:
            span["kind"] = KINDS[value]
        elif key == "otel.status_code" and value in STATUS:
            status["code"] = STATUS[value]
        elif key == "otel.status_description":
            status["message"] = value
        elif key == "w3c.tracestate":
            span["traceState"] = value
        else:
            tags.append(tag)
    _parent_and_links(item, span)
    span["name"] = item.get("operationName")
    span["startTimeUnixNano"], span["endTimeUnixNano"] = _times(item)
    span["attributes"] = _attributes(tags)
    events = [_event(log) for log in _list(item.get("logs"))]
    if events:
        span["events"] = events
    if status:
        span["status"] = status
    return span, scope


def _parent_and_links(item: dict[str, Any], span: dict[str, Any]) -> None:
    links = []
    for reference in _list(item.get("references")):
        if not isinstance(reference, dict):
            continue
        trace_id, span_id = _id(reference.get("traceID"), 32), _id(reference.get("spanID"), 16)
        if (
            reference.get("refType") == "CHILD_OF"
            and trace_id == span["traceId"]
            and "parentSpanId" not in span
        ):
            span["parentSpanId"] = span_id
        else:
            links.append({"traceId": trace_id, "spanId": span_id})
    if "parentSpanId" not in span and item.get("parentSpanID"):
        span["parentSpanId"] = _id(item["parentSpanID"], 16)
    if links:
        span["links"] = links


def _times(item: dict[str, Any]) -> tuple[Any, Any]:
    start, duration = whole(item.get("startTime")), whole(item.get("duration"))
    if start is None or duration is None:
        return item.get("startTime"), None
    return str(start * 1000), str((start + duration) * 1000)


def _event(log: Any) -> Any:
    if not isinstance(log, dict):
        return log
    micros = whole(log.get("timestamp"))
    event: dict[str, Any] = {"timeUnixNano": str((micros or 0) * 1000)}
    fields = []
    for field in _list(log.get("fields")):
        if isinstance(field, dict) and field.get("key") == "event" and "name" not in event:
            event["name"] = field.get("value")
        else:
            fields.append(field)
    event["attributes"] = _attributes(fields)
    return event


def _attributes(tags: Any) -> list[Any]:
    """OTLP attributes of Jaeger's tags; a tag that is no object stays, to be named by the reader."""
    out: list[Any] = []
    for tag in _list(tags):
        if not isinstance(tag, dict):
            out.append(tag)
            continue
        value = tag.get("value")
        kind = VALUE_KINDS.get(str(tag.get("type")).lower())
        if kind == "stringValue" and isinstance(value, str) and value.startswith("["):
            out.append({"key": tag.get("key"), "value": _array(value) or {kind: value}})
        else:
            out.append({"key": tag.get("key"), "value": {kind or "stringValue": value}})
    return out


def _array(text: str) -> dict[str, Any] | None:
    """The array that Jaeger wrote as JSON text, None where it is no array of strings, numbers and bools."""
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    values: list[dict[str, Any]] = []
    for item in items:
        if isinstance(item, bool):
            values.append({"boolValue": item})
        elif isinstance(item, str):
            values.append({"stringValue": item})
        elif isinstance(item, int):
            values.append({"intValue": item})
        elif isinstance(item, float):
            values.append({"doubleValue": item})
        else:
            return None
    return {"arrayValue": {"values": values}}


def _id(value: Any, digits: int) -> Any:
    """Older Jaegers leave leading zeros out."""
    return value.rjust(digits, "0") if _text(value) and 0 < len(value) < digits else value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> bool:
    return isinstance(value, str)
