"""One trace with every field that OTLP has, as a protobuf request, and what servers answered about it.

The files under answers/ were recorded from Jaeger 2.20.0 and Tempo 3.1 to which `request()` had been sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

ANSWERS = Path(__file__).parent / "answers"
TRACE_ID = "aa" * 15 + "03"
END = 1_795_395_965_752_038_000

# Attributes of the root as the model is to see them, in no certain order.
ATTRIBUTES: dict[str, Any] = {
    "s": "x",
    "b": True,
    "i": 2**60,
    "d": 5.0,
    "by": b"\x00\xff",
    "arr": [1, "q"],
    "kvl": {"n": 1.5},
    "empty": None,
    "cx.layer": "call",
}


def pair(key: str, **value: Any) -> KeyValue:
    """One attribute."""
    return KeyValue(key=key, value=AnyValue(**value))


def request() -> ExportTraceServiceRequest:
    """Two spans with everything."""
    trace_id = bytes.fromhex(TRACE_ID)
    some = [
        pair("s", string_value="x"),
        pair("b", bool_value=True),
        pair("i", int_value=2**60),
        pair("d", double_value=5.0),
    ]
    rest = [
        pair("by", bytes_value=b"\x00\xff"),
        pair("arr", array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="q")])),
        pair("kvl", kvlist_value=KeyValueList(values=[pair("n", double_value=1.5)])),
        pair("empty"),
        pair("cx.layer", string_value="call"),
    ]
    root = trace_pb2.Span(
        trace_id=trace_id,
        span_id=bytes.fromhex("000000000000000a"),
        name="call inbound",
        kind=trace_pb2.Span.SPAN_KIND_SERVER,
        start_time_unix_nano=END - 10**10,
        end_time_unix_nano=END,
        attributes=some + rest,
        trace_state="cx=1",
        flags=0x101,
        dropped_attributes_count=3,
        events=[
            trace_pb2.Span.Event(
                time_unix_nano=END - 5000, name="ev", attributes=some, dropped_attributes_count=1
            )
        ],
        links=[
            trace_pb2.Span.Link(
                trace_id=trace_id, span_id=b"\1" * 8, trace_state="a=b", attributes=some[:2], flags=1
            )
        ],
        status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message="bad"),
    )
    child = trace_pb2.Span(
        trace_id=trace_id,
        span_id=b"\2" * 8,
        parent_span_id=root.span_id,
        name="child",
        start_time_unix_nano=END - 10**9,
        end_time_unix_nano=END,
        status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_OK),
    )
    scoped = trace_pb2.ScopeSpans(
        scope=InstrumentationScope(name="sc", version="1.2", attributes=some[:1]),
        schema_url="http://s/2",
        spans=[root, child],
    )
    group = trace_pb2.ResourceSpans(
        resource=Resource(
            attributes=[pair("service.name", string_value="svc"), pair("r", int_value=7)],
            dropped_attributes_count=1,
        ),
        schema_url="http://s/1",
        scope_spans=[scoped],
    )
    return ExportTraceServiceRequest(resource_spans=[group])
