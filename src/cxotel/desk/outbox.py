"""What is handed on to other backends: everything received, and what the judge adds; each once.

Rows of the outbox are whole OTLP requests. They are written in the transaction in which their spans became
ours or their verdict was told, so that a crash neither loses nor doubles one. `forward.py` sends them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cxotel.desk._sql import sql
from cxotel.desk.stamps import MARK, unstamp

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from cxotel.desk.intake import Item

SHAPES: dict[str, tuple[Any, str, str, str]] = {
    "traces": (ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    "logs": (ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
    "metrics": (ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
}


def pass_on(
    connection: sqlite3.Connection, signal: str, items: list[Item], now: int, *, trust_stamped: bool
) -> None:
    """Put items as received into the outbox, without another judge's verdict unless that is trusted."""
    if not items:
        return
    kind, groups, scopes, members = SHAPES[signal]
    request = kind()
    last = None
    scoped: Any = None
    for item in items:
        if item.origin is not last:
            last = item.origin
            resource, scope, resource_url, scope_url = last.row
            group = getattr(request, groups).add(schema_url=resource_url)
            group.resource.MergeFromString(resource)
            scoped = getattr(group, scopes).add(schema_url=scope_url)
            scoped.scope.MergeFromString(scope)
        message = getattr(scoped, members).add()
        message.MergeFromString(item.data)
        if signal == "traces" and not trust_stamped and MARK in item.data:
            unstamp(message)
    put(connection, signal, len(items), request.SerializeToString(), now)


def part_of(signal: str, data: bytes, start: int, end: int) -> bytes:
    """A request with the items from `start` to before `end` alone, in the order that they have."""
    kind, groups, scopes, members = SHAPES[signal]
    request = kind.FromString(data)
    at = 0
    for group in getattr(request, groups):
        for scoped in getattr(group, scopes):
            items = getattr(scoped, members)
            here, at = at, at + len(items)
            del items[max(0, end - here) :]
            del items[: max(0, start - here)]
    part: bytes = request.SerializeToString()
    return part


def put(connection: sqlite3.Connection, signal: str, items: int, data: bytes, now: int) -> None:
    """Put a request into the outbox."""
    connection.execute(sql("insert_outbox"), (now, signal, items, data))


def items_in(signal: str, request: Any) -> Iterator[Any]:
    """The spans, log records or metrics of a request."""
    _, groups, scopes, members = SHAPES[signal]
    for group in getattr(request, groups):
        for scoped in getattr(group, scopes):
            yield from getattr(scoped, members)
