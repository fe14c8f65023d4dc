"""What is kept of a request: rows for the store, and what was refused, cut or odd in it.

Nothing here knows of gRPC, HTTP or SQLite. One bad span costs no other span of its request anything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from cxotel._semconv import CX_LAYER
from cxotel.desk.settings import FUTURE_NS, LAST_NS, MAX_ATTRIBUTES, MAX_VALUE
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.impact.facts import ROOT_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

NO_TRACE, NO_SPAN = bytes(16), bytes(8)
# Sessions of voice AI frameworks are calls without a cx.layer (the model's table of other makers' spans).
FOREIGN_CALLS = {"agent_session": "livekit", "conversation": "pipecat"}


@dataclass(slots=True)
class Origin:
    """A resource and a scope as received."""

    key: bytes
    row: tuple[bytes, bytes, str, str]
    scope_name: str


@dataclass(slots=True)
class Item:
    """One span, log record or metric to be kept; `name` is a metric's, `trace_id` b"" where there is none."""

    origin: Origin
    digest: bytes
    data: bytes
    trace_id: bytes = b""
    name: str = ""
    is_call: bool = False
    is_root: bool = False


@dataclass(slots=True)
class Batch:
    """One request, sorted out."""

    items: list[Item] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    notes: dict[str, str] = field(default_factory=dict)
    refused_of: Counter[bytes] = field(default_factory=Counter)

    def count(self, what: str, note: str) -> None:
        """One more of `what`; the first note of its kind is kept."""
        self.counts[what] += 1
        self.notes.setdefault(what, note)

    @property
    def refused(self) -> int:
        """Items not kept, for OTLP's partial success."""
        return sum(n for what, n in self.counts.items() if what.startswith("refused."))

    @property
    def message(self) -> str:
        """What the sender should know, "" where all was well."""
        return "; ".join(
            f"{self.counts[what]} {'refused' if what.startswith('refused.') else 'kept, but'}: {note}"
            for what, note in sorted(self.notes.items(), reverse=True)
        )


def spans(request: ExportTraceServiceRequest, now: int) -> Batch:
    """The spans of a request; those whose ids cannot be ids are refused, by themselves."""
    batch = Batch()
    for group in request.resource_spans:
        for scoped in group.scope_spans:
            origin = _origin(batch, group, scoped)
            for span in scoped.spans:
                _span(batch, origin, span, now)
    return batch


def logs(request: ExportLogsServiceRequest) -> Batch:
    """The log records of a request; a record with an unusable trace id is kept as one of no call."""
    batch = Batch()
    for group in request.resource_logs:
        for scoped in group.scope_logs:
            origin = _origin(batch, group, scoped)
            for record in scoped.log_records:
                _limit(batch, record, record.attributes, "log record")
                if record.HasField("body"):
                    _cut(batch, record.body, "body of a log record")
                trace_id = record.trace_id
                if trace_id and (len(trace_id) != 16 or trace_id == NO_TRACE):
                    batch.count(
                        "odd.log_trace_id", f"a log record's trace id has {len(trace_id)} bytes, not 16"
                    )
                    trace_id = b""
                data = record.SerializeToString(deterministic=True)
                batch.items.append(Item(origin, _digest(origin.key, data), data, trace_id))
    return batch


def metrics(request: ExportMetricsServiceRequest) -> Batch:
    """The metrics of a request."""
    batch = Batch()
    for group in request.resource_metrics:
        for scoped in group.scope_metrics:
            origin = _origin(batch, group, scoped)
            for metric in scoped.metrics:
                data = metric.SerializeToString(deterministic=True)
                batch.items.append(Item(origin, _digest(origin.key, data), data, name=metric.name))
    return batch


def _span(batch: Batch, origin: Origin, span: Span, now: int) -> None:
    name = span.name[:60]
    if len(span.trace_id) != 16 or span.trace_id == NO_TRACE:
        batch.count(
            "refused.trace_id",
            f"trace id of span {name!r} has {len(span.trace_id)} bytes, it must have 16 that are not all 0",
        )
        return
    if span.span_id and len(span.span_id) != 8:
        batch.count(
            "refused.span_id", f"span id of span {name!r} has {len(span.span_id)} bytes, it must have 8"
        )
        batch.refused_of[span.trace_id] += 1
        return
    if span.span_id in (b"", NO_SPAN):
        # Well-formed, and the impact model counts it as skipped: so it stays to be counted.
        batch.count("odd.no_span_id", f"span {name!r} has no span id and takes no part in the verdict")
    if max(span.start_time_unix_nano, span.end_time_unix_nano) > LAST_NS:
        batch.count("odd.time", f"span {name!r} has a time after the year 2262: check the sender's clock")
    elif span.start_time_unix_nano > now + FUTURE_NS:
        batch.count("odd.future", f"span {name!r} starts over an hour from now: check the sender's clock")
    _limit(batch, span, span.attributes, f"span {name!r}")
    for event in span.events:
        _limit(batch, event, event.attributes, f"an event of span {name!r}")
    for link in span.links:
        _limit(batch, link, link.attributes, f"a link of span {name!r}")
    if len(span.status.message) > MAX_VALUE:
        span.status.message = span.status.message[:MAX_VALUE]
        batch.count("odd.cut", f"the status message of span {name!r} is over {MAX_VALUE} bytes and was cut")
    data = span.SerializeToString(deterministic=True)
    layer = _layer(span)
    ours = origin.scope_name == IMPACT_SCOPE
    is_call = not ours and (bool(layer) or FOREIGN_CALLS.get(name, "-") in origin.scope_name)
    is_root = not ours and layer == "call" and name in ROOT_NAMES
    batch.items.append(
        Item(origin, _digest(origin.key, data), data, span.trace_id, is_call=is_call, is_root=is_root)
    )


def _layer(span: Span) -> str:
    for pair in span.attributes:
        if pair.key == CX_LAYER:
            text: str = pair.value.string_value
            return text
    return ""


def _origin(batch: Batch, group: Any, scoped: Any) -> Origin:
    resource, scope = group.resource, scoped.scope
    _limit(batch, resource, resource.attributes, "resource")
    _limit(batch, scope, scope.attributes, "scope")
    row = (
        resource.SerializeToString(deterministic=True),
        scope.SerializeToString(deterministic=True),
        group.schema_url[:MAX_VALUE],
        scoped.schema_url[:MAX_VALUE],
    )
    return Origin(_digest(*row[:2], row[2].encode(), row[3].encode()), row, scope.name)


def _digest(*parts: bytes) -> bytes:
    """16 bytes that tell contents apart; lengths are hashed too, so that parts cannot run together."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def _limit(batch: Batch, holder: Any, attributes: Iterable[KeyValue], what: str) -> None:
    """Keep the first MAX_ATTRIBUTES attributes and at most MAX_VALUE bytes of each value."""
    count = len(holder.attributes)
    if count > MAX_ATTRIBUTES:
        batch.count("odd.cut", f"{what} has {count} attributes, the first {MAX_ATTRIBUTES} are kept")
        del holder.attributes[MAX_ATTRIBUTES:]
        holder.dropped_attributes_count += count - MAX_ATTRIBUTES
    if holder.ByteSize() <= MAX_VALUE:  # no value can be longer than all
        return
    for pair in attributes:
        if len(pair.key) > MAX_VALUE:
            pair.key = pair.key[:MAX_VALUE]
            batch.count("odd.cut", f"an attribute's name of {what} is over {MAX_VALUE} bytes and was cut")
        _cut(batch, pair.value, f"attribute {pair.key[:60]!r} of {what}")
    name = getattr(holder, "name", "")
    if len(name) > MAX_VALUE:
        holder.name = name[:MAX_VALUE]
        batch.count("odd.cut", f"the name of {what} is over {MAX_VALUE} bytes and was cut")


def _cut(batch: Batch, value: AnyValue, what: str) -> None:
    size = value.ByteSize()
    if size <= MAX_VALUE + 8:  # tag and length of the text itself
        return
    batch.count("odd.cut", f"{what} has {size} bytes, at most {MAX_VALUE} are kept")
    kind = value.WhichOneof("value") or "value"
    if kind == "string_value":
        value.string_value = value.string_value.encode()[:MAX_VALUE].decode(errors="ignore")
    elif kind == "bytes_value":
        value.bytes_value = value.bytes_value[:MAX_VALUE]
    else:
        value.string_value = f"(not kept: {kind.removesuffix('_value')} of {size} bytes)"
