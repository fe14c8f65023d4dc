"""What is kept of a request: rows for the store, and what was refused, cut or odd in it.

Nothing here knows of gRPC, HTTP or SQLite. One bad span costs no other span of its request anything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from cxotel._semconv import (
    CX_CALL_ALIAS,
    CX_CALL_ID,
    CX_CALL_NAMESPACE,
    CX_IMPACT_MODEL,
    CX_LAYER,
    CX_OWNER,
)
from cxotel.desk.settings import FUTURE_NS, LAST_NS, MAX_ATTRIBUTES, MAX_VALUE
from cxotel.ids import DEFAULT_NAMESPACE, call_ids
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.impact.facts import ROOT_NAMES
from cxotel.impact.lifecycle import Episode
from cxotel.leg import EPISODE

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
# Aliases and keys of one span that are looked at: a call has few.
MOST_KEYS = 16


@dataclass(slots=True)
class Origin:
    """A resource and a scope as received."""

    key: bytes
    row: tuple[bytes, bytes, str, str]
    scope_name: str


@dataclass(slots=True)
class Item:
    """One span, log record or metric to be kept.

    Attributes:
        name: a metric's.
        trace_id: b"" where there is none.
        is_call: a span that takes part in a call.
        part: what such a span says of the call's life; None for all others.
        is_judges: a span of another judge.
    """

    origin: Origin
    digest: bytes
    data: bytes
    trace_id: bytes = b""
    name: str = ""
    is_call: bool = False
    part: Part | None = None
    is_judges: bool = False


@dataclass(slots=True)
class Part:
    """What a span says of the life of its call.

    Attributes:
        span_id: its id.
        layered: it can be read, and names a layer.
        is_root: it is a root of the call.
        is_stamped: it carries a verdict.
        key: of the call, "" where it does not say.
        aliases: trace id and root span id of further keys.
        episode: of a media episode.
    """

    span_id: bytes
    layered: bool
    is_root: bool
    is_stamped: bool
    key: str
    aliases: list[tuple[bytes, bytes]]
    episode: Episode | None


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


def sort(signal: str, request: Any, now: int) -> Batch:
    """A request of the signal's kind, sorted out."""
    if signal == "traces":
        return spans(request, now)
    return logs(request) if signal == "logs" else metrics(request)


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
    item = Item(origin, _digest(origin.key, data), data, span.trace_id)
    if origin.scope_name == IMPACT_SCOPE:
        item.is_judges = True
    else:
        item.part = _part(span)
        item.is_call = bool(item.part) or FOREIGN_CALLS.get(name, "-") in origin.scope_name
    batch.items.append(item)


def _part(span: Span) -> Part | None:
    """What a span of ours says of its call; None for spans that are not ours."""
    own = {pair.key: pair.value for pair in span.attributes if pair.key.startswith("cx.")}
    layer = own[CX_LAYER].string_value if CX_LAYER in own else ""
    if not layer and CX_CALL_ALIAS not in own:
        return None
    is_good = span.span_id not in (b"", NO_SPAN) and 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    namespace = own[CX_CALL_NAMESPACE].string_value if CX_CALL_NAMESPACE in own else ""
    episode = None
    if is_good and span.name == EPISODE:
        episode = Episode(
            span.trace_id.hex(),
            span.span_id.hex(),
            layer,
            own[CX_OWNER].string_value if CX_OWNER in own else "",
            span.start_time_unix_nano,
            span.end_time_unix_nano,
        )
    return Part(
        span.span_id,
        bool(layer) and is_good,
        is_good and layer == "call" and span.name in ROOT_NAMES,
        CX_IMPACT_MODEL in own,
        own[CX_CALL_ID].string_value[:MAX_VALUE] if CX_CALL_ID in own else "",
        _aliases(own[CX_CALL_ALIAS], namespace or DEFAULT_NAMESPACE) if CX_CALL_ALIAS in own else [],
        episode,
    )


def _aliases(value: AnyValue, namespace: str) -> list[tuple[bytes, bytes]]:
    """The ids of the keys, of at most MOST_KEYS of them."""
    keys = [one.string_value for one in value.array_value.values if one.string_value][:MOST_KEYS]
    return [
        (found.trace_id.to_bytes(16, "big"), found.span_id.to_bytes(8, "big"))
        for found in (call_ids(key, namespace) for key in keys)
    ]


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
