"""OTLP's protobuf messages and the model's spans, both ways.

The only module of the package that needs opentelemetry-proto (extra `desk` or `sdk`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from cxotel.impact.span import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.proto.trace.v1 import trace_pb2

TRACE_ID_BYTES, SPAN_ID_BYTES = 16, 8
INT64 = range(-(2**63), 2**63)


def from_request(request: ExportTraceServiceRequest) -> list[Span]:
    """The spans of a request, in its order.

    An id of wrong length or of zeros only is "", as OTLP calls it invalid; the model counts such a span as
    skipped.
    """
    spans = []
    for group in request.resource_spans:
        service = service_name(group.resource.attributes)
        for scoped in group.scope_spans:
            scope = scoped.scope.name
            spans += [from_message(message, service, scope) for message in scoped.spans]
    return spans


def to_request(spans: Iterable[Span]) -> ExportTraceServiceRequest:
    """A request with the spans, neighbours of one service and scope in one group.

    Raises:
        ValueError: an id is no hex, or a time is outside 0..2^64-1.
    """
    request = ExportTraceServiceRequest()
    last, scoped = None, None
    for span in spans:
        if scoped is None or last != (span.service, span.scope):
            last = (span.service, span.scope)
            group = request.resource_spans.add()
            if span.service:
                group.resource.attributes.append(
                    KeyValue(key="service.name", value=AnyValue(string_value=span.service))
                )
            scoped = group.scope_spans.add()
            scoped.scope.name = span.scope
        _fill(scoped.spans.add(), span)
    return request


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes by key; of a key given twice the last counts."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: AnyValue) -> Any:
    """An AnyValue as Python has it: str, bool, int, float, bytes, list, dict; None where nothing is set."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind)


def to_value(value: Any) -> AnyValue:
    """The AnyValue of a Python value; what OTLP has no kind for goes as its text."""
    if value is None:
        return AnyValue()
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and value in INT64:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    out = AnyValue()
    if isinstance(value, (list, tuple)):
        out.array_value.SetInParent()
        out.array_value.values.extend(to_value(item) for item in value)
    elif isinstance(value, dict):
        out.kvlist_value.SetInParent()
        out.kvlist_value.values.extend(to_pairs(value))
    else:
        out.string_value = str(value)
    return out


def to_pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Attributes as OTLP's pairs, in their order."""
    return [KeyValue(key=key, value=to_value(value)) for key, value in attributes.items()]


def from_message(message: trace_pb2.Span, service: str, scope: str) -> Span:
    """One span, with its resource's `service.name` and its scope's name."""
    return Span(
        trace_id=_id(message.trace_id, TRACE_ID_BYTES),
        span_id=_id(message.span_id, SPAN_ID_BYTES),
        name=message.name,
        start=message.start_time_unix_nano,
        end=message.end_time_unix_nano,
        attributes=attributes_of(message.attributes),
        parent_id=_id(message.parent_span_id, SPAN_ID_BYTES),
        scope=scope,
        status=message.status.code,
        status_message=message.status.message,
        kind=message.kind,
        service=service,
    )


def _fill(message: trace_pb2.Span, span: Span) -> None:
    message.trace_id = bytes.fromhex(span.trace_id)
    message.span_id = bytes.fromhex(span.span_id)
    message.parent_span_id = bytes.fromhex(span.parent_id)
    message.name = span.name
    message.kind = span.kind  # type: ignore[assignment]  # an enum number as received
    message.start_time_unix_nano = span.start
    message.end_time_unix_nano = span.end
    message.attributes.extend(to_pairs(span.attributes))
    if span.status or span.status_message:
        message.status.code = span.status  # type: ignore[assignment]
        message.status.message = span.status_message


def _id(raw: bytes, length: int) -> str:
    return raw.hex() if len(raw) == length and any(raw) else ""


def service_name(pairs: Iterable[KeyValue]) -> str:
    """`service.name` of a resource's attributes, "" where absent."""
    for pair in pairs:
        if pair.key == "service.name" and pair.value.HasField("string_value"):
            return pair.value.string_value
    return ""
