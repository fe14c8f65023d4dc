"""A trace as the desk keeps it: messages with their resource and scope, in the order received."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cxotel.otlp.proto import from_message, service_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.desk.store import Reader
    from cxotel.impact import Span as ModelSpan


@dataclass(slots=True)
class Kept:
    """A span or log record with where it came from.

    Attributes:
        item: the message as received.
        received: ns since the epoch.
        origin: number of the pair of resource and scope; the same pair has the same number.
    """

    item: Any
    received: int
    origin: int
    resource: Resource
    scope: InstrumentationScope
    resource_schema_url: str
    scope_schema_url: str


def spans_of(store: Reader, *trace_ids: bytes) -> list[Kept]:
    """All spans of the traces, differing copies included."""
    rows = [row for trace_id in trace_ids for row in store.rows("spans_of_trace", trace_id)]
    return _kept(rows, Span)


def logs_of(store: Reader, *trace_ids: bytes) -> list[Kept]:
    """All log records that name one of the traces."""
    rows = [row for trace_id in trace_ids for row in store.rows("logs_of_trace", trace_id)]
    return _kept(rows, LogRecord)


def ids_of(store: Reader, trace_id: bytes) -> list[bytes]:
    """The trace id of a call, then those that mean it too."""
    return [trace_id, *(row[0] for row in store.rows("aliases_of_call", trace_id))]


def _kept(rows: Iterable[tuple[Any, ...]], message: type[Any]) -> list[Kept]:
    origins: dict[int, tuple[Resource, InstrumentationScope, str, str]] = {}
    kept = []
    for data, received, origin, resource, scope, resource_url, scope_url in rows:
        if origin not in origins:
            origins[origin] = (
                Resource.FromString(resource),
                InstrumentationScope.FromString(scope),
                resource_url,
                scope_url,
            )
        kept.append(Kept(message.FromString(data), received, origin, *origins[origin]))
    return kept


def models(kept: Iterable[Kept]) -> list[ModelSpan]:
    """Spans as the impact model reads them, in the same order."""
    services: dict[int, str] = {}
    found = []
    for one in kept:
        if one.origin not in services:
            services[one.origin] = service_name(one.resource.attributes)
        found.append(from_message(one.item, services[one.origin], one.scope.name))
    return found


def settled(spans: Iterable[Kept]) -> list[Kept]:
    """One of each span: of copies the one with the latest end, then the last received (impact model, 0)."""
    best: dict[bytes, Kept] = {}
    for number, kept in enumerate(spans):
        key = kept.item.span_id or b"#%d" % number
        known = best.get(key)
        if known is None or kept.item.end_time_unix_nano >= known.item.end_time_unix_nano:
            best[key] = kept
    return list(best.values())


def to_request(spans: Iterable[Kept]) -> ExportTraceServiceRequest:
    """Spans as one OTLP request in the same order; neighbours of one origin share a group."""
    request = ExportTraceServiceRequest()
    last, scoped = -1, None
    for kept in spans:
        if scoped is None or kept.origin != last:
            group = request.resource_spans.add(schema_url=kept.resource_schema_url)
            group.resource.CopyFrom(kept.resource)
            scoped = group.scope_spans.add(schema_url=kept.scope_schema_url)
            scoped.scope.CopyFrom(kept.scope)
            last = kept.origin
        scoped.spans.append(kept.item)
    return request


def to_logs(records: Iterable[Kept]) -> ExportLogsServiceRequest:
    """Log records as one OTLP request in the same order."""
    request = ExportLogsServiceRequest()
    for kept in records:
        group = request.resource_logs.add(schema_url=kept.resource_schema_url)
        group.resource.CopyFrom(kept.resource)
        scoped = group.scope_logs.add(schema_url=kept.scope_schema_url)
        scoped.scope.CopyFrom(kept.scope)
        scoped.log_records.append(kept.item)
    return request
