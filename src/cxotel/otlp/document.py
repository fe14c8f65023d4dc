"""From a parsed JSON document to spans: OTLP/JSON and what the APIs of Jaeger and Tempo answer.

| who | document |
|---|---|
| OTLP/JSON, the Collector's file exporter | `{"resourceSpans": [...]}` |
| Tempo `/api/traces/ID` | `{"batches": [...]}`, ids in base64 |
| Tempo `/api/v2/traces/ID` | `{"trace": {"resourceSpans": [...]}}`, ids in base64 |
| Jaeger `/api/v3/traces...` | `{"result": {"resourceSpans": [...]}}` |
| Jaeger `/api/traces...`, its UI's download | `{"data": [{"spans": [...], "processes": {...}}]}` |

A list of such documents is read as each of them.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxotel.impact.span import Span
from cxotel.otlp import jaeger
from cxotel.otlp.values import Bad, first, read_attributes, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRACE_DIGITS, SPAN_DIGITS = 32, 16
HEX = frozenset("0123456789abcdefABCDEF")
UINT64_MAX = 2**64 - 1
KINDS = {
    "SPAN_KIND_UNSPECIFIED": 0,
    "SPAN_KIND_INTERNAL": 1,
    "SPAN_KIND_SERVER": 2,
    "SPAN_KIND_CLIENT": 3,
    "SPAN_KIND_PRODUCER": 4,
    "SPAN_KIND_CONSUMER": 5,
}
STATUS_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
OTHER_SIGNALS = ("resourceLogs", "resourceMetrics", "resourceProfiles")
MAX_WRAPS = 8  # result in trace in list ...: no known answer has more than two


class BadDocumentError(ValueError):
    """Not JSON, or JSON of no known form, or a server's error answer. The text says what it is."""


@dataclass(slots=True)
class Received:
    """A span and what it came in.

    Attributes:
        span: for the model. Without a usable trace id, span id or time it has "" or 0 there.
        raw: the span as OTLP/JSON has it, as received.
        group: its ResourceSpans as received.
        scoped: its ScopeSpans as received.
        where: path in the document.
        bad: what of it could not be read, a phrase each.
    """

    span: Span
    raw: dict[str, Any]
    group: dict[str, Any]
    scoped: dict[str, Any]
    where: str
    bad: list[str]


def spans_of(document: Any, problem: Callable[[str], None]) -> Iterator[Received]:
    """The spans of a document, in its order.

    Args:
        document: what `json.loads` gave.
        problem: called with the place and the reason for each part (group, scope, span) that is no object.

    Raises:
        BadDocumentError: the document is of no known form, or says that a server could not answer.
    """
    for groups, where in _groups(document, "", 0):
        for i, group in _objects(groups, where, problem):
            service = _service(group)
            inner = "scope_spans" if "scope_spans" in group else "scopeSpans"
            for j, scoped in _objects(group.get(inner), f"{i}.{inner}", problem):
                scope = first(scoped, "scope")
                name = first(scope, "name") if isinstance(scope, dict) else ""
                for place, raw in _objects(scoped.get("spans"), f"{j}.spans", problem):
                    bad = Bad()
                    span = _span(raw, service, name if isinstance(name, str) else "", bad)
                    yield Received(span, raw, group, scoped, place, bad)


def is_known(document: Any) -> bool:
    """Whether a parsed JSON value is a document of the table above, or one of another signal."""
    try:
        for _ in _groups(document, "", 0):
            pass
    except BadDocumentError:
        return False
    return bool(document)


def _groups(document: Any, where: str, depth: int) -> Iterator[tuple[Any, str]]:
    """The lists of ResourceSpans in a document, each with its path."""
    if isinstance(document, list) and depth < MAX_WRAPS:
        for i, item in enumerate(document):
            yield from _groups(item, f"{where}[{i}].", depth + 1)
        return
    if not isinstance(document, dict) or depth >= MAX_WRAPS:
        raise BadDocumentError(f"a JSON {type(document).__name__} where a trace was expected")
    for name in ("resourceSpans", "resource_spans", "batches"):
        if name in document:
            yield document[name], where + name
            return
    for name in ("result", "trace"):
        if isinstance(document.get(name), dict):
            # An answer about no trace is an empty object inside.
            if document[name]:
                yield from _groups(document[name], f"{where}{name}.", depth + 1)
            return
    if isinstance(document.get("data"), list):
        for i, trace in enumerate(document["data"]):
            yield jaeger.resource_spans(trace), f"{where}data[{i}] read as OTLP"
        return
    if "spans" in document and "processes" in document:
        yield jaeger.resource_spans(document), f"{where}trace read as OTLP"
        return
    if any(name in document for name in OTHER_SIGNALS):
        return
    raise BadDocumentError(_what_it_is(document))


def _what_it_is(document: dict[str, Any]) -> str:
    errors = document.get("errors")
    said = errors[0] if isinstance(errors, list) and errors else document.get("error")
    if isinstance(said, dict):
        text = first(said, "msg", "message")
        return f"a server's error answer: {ascii(text)[:200]}"
    keys = ", ".join(ascii(key)[:40] for key in list(document)[:5]) or "none"
    return f"a JSON object without resourceSpans, batches, trace, result or data (its keys: {keys})"


def _objects(items: Any, where: str, problem: Callable[[str], None]) -> Iterator[tuple[str, dict[str, Any]]]:
    if items is None:
        return
    if not isinstance(items, list):
        problem(f"{where} is no list, nothing of it was read")
        return
    for i, item in enumerate(items):
        if isinstance(item, dict):
            yield f"{where}[{i}]", item
        else:
            problem(f"{where}[{i}] is no object, left out")


def _service(group: dict[str, Any]) -> str:
    resource = group.get("resource")
    if not isinstance(resource, dict):
        return ""
    service = read_attributes(resource.get("attributes"), Bad()).get("service.name")
    return service if isinstance(service, str) else ""


def _span(raw: dict[str, Any], service: str, scope: str, bad: Bad) -> Span:
    status = raw.get("status")
    if not isinstance(status, dict):
        if status is not None:
            bad.append("status that is no object")
        status = {}
    return Span(
        trace_id=_id(raw, ("traceId", "trace_id"), TRACE_DIGITS, bad),
        span_id=_id(raw, ("spanId", "span_id"), SPAN_DIGITS, bad),
        name=_text(raw, "name", bad),
        start=_time(raw, ("startTimeUnixNano", "start_time_unix_nano"), bad),
        end=_time(raw, ("endTimeUnixNano", "end_time_unix_nano"), bad),
        attributes=read_attributes(raw.get("attributes"), bad),
        parent_id=_id(raw, ("parentSpanId", "parent_span_id"), SPAN_DIGITS, bad, needed=False),
        scope=scope,
        status=enum_of(status.get("code"), STATUS_CODES, bad, "status.code"),
        status_message=_text(status, "message", bad),
        kind=enum_of(raw.get("kind"), KINDS, bad, "kind"),
        service=service,
    )


def hex_id(value: Any, digits: int) -> str:
    """An id in lower-case hex, from hex or (Tempo's way) base64; "" for any other, and for zeros only."""
    if not isinstance(value, str):
        return ""
    if len(value) == digits and HEX.issuperset(value):
        return value.lower() if value.strip("0") else ""
    if value.endswith("=") and len(value) == -(-digits // 6) * 4:  # digits/2 bytes, 4 letters for each 3
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return ""
        return raw.hex() if len(raw) * 2 == digits and any(raw) else ""
    return ""


def enum_of(value: Any, names: dict[str, int], bad: Bad, field: str) -> int:
    """An enum given as number or name; 0 for what is neither."""
    if value is None:
        return 0
    number = names.get(value) if isinstance(value, str) else whole(value)
    if number is None or not 0 <= number < len(names):
        bad.append(f"{field} {ascii(value)[:40]} that OTLP does not have (taken as unset)")
        return 0
    return number


def _id(raw: dict[str, Any], names: tuple[str, str], digits: int, bad: Bad, *, needed: bool = True) -> str:
    value = first(raw, *names)
    found = hex_id(value, digits)
    if not found and (needed or value not in (None, "", "0" * digits)):
        said = "none" if value is None else ascii(value)[:60]
        bad.append(f"{names[0]} {said} where {digits} hex digits, not all 0, belong")
    return found


def _time(raw: dict[str, Any], names: tuple[str, str], bad: Bad) -> int:
    value = first(raw, *names)
    number = whole(value)
    if number is None or not 0 < number <= UINT64_MAX:
        said = "none" if value is None else ascii(value)[:40]
        bad.append(f"{names[0]} {said} where ns since 1970 belong")
        return 0
    return number


def _text(node: dict[str, Any], name: str, bad: Bad) -> str:
    value = node.get(name)
    if isinstance(value, str):
        return value
    if value is not None:
        bad.append(f"{name} that is no string")
    return ""
