"""OTLP's bytes and messages: protobuf or JSON in, answers out (OTLP 1.10, OTLP/gRPC and OTLP/HTTP)."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it brings no types
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from cxotel.otlp.lines import loads

# Ids are hex in OTLP/JSON (OTLP 1.10, "JSON Protobuf Encoding") where protobuf's own JSON has base64.
ID_KEYS = frozenset({"traceId", "trace_id", "spanId", "span_id", "parentSpanId", "parent_span_id"})
# Senders write one member; bgzip, for random access, one for each 64 KiB: 320 in the largest body.
MAX_MEMBERS = 1000
# zlib copies what follows a member of each block it is given: at most 64 MB for 1,000 members.
GZIP_BLOCK = 64 * 1024
# What Python says to programmers about a text of over 4,300 digits where a number belongs.
ADVICE = "; use sys.set_int_max_str_digits()"
INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE = 3, 8, 14  # google.rpc.Code


class BadBodyError(Exception):
    """The body is not what it says it is. The text says where."""


class TooLargeError(Exception):
    """The body, or what it unpacks to, is over the limit."""


@dataclass(frozen=True)
class Spoiled:
    """A span that is none: its trace id as far as it can be read, and why."""

    trace_id: bytes
    note: str


@dataclass(frozen=True)
class Signal:
    """One of OTLP's three services."""

    name: str
    service: str
    request: type[Message]
    response: type[Message]
    rejected: str


TRACES = Signal(
    "traces",
    "opentelemetry.proto.collector.trace.v1.TraceService",
    trace_service_pb2.ExportTraceServiceRequest,
    trace_service_pb2.ExportTraceServiceResponse,
    "rejected_spans",
)
LOGS = Signal(
    "logs",
    "opentelemetry.proto.collector.logs.v1.LogsService",
    logs_service_pb2.ExportLogsServiceRequest,
    logs_service_pb2.ExportLogsServiceResponse,
    "rejected_log_records",
)
METRICS = Signal(
    "metrics",
    "opentelemetry.proto.collector.metrics.v1.MetricsService",
    metrics_service_pb2.ExportMetricsServiceRequest,
    metrics_service_pb2.ExportMetricsServiceResponse,
    "rejected_data_points",
)
SIGNALS = (TRACES, LOGS, METRICS)
BY_NAME = {signal.name: signal for signal in SIGNALS}


def decode(signal: Signal, body: bytes) -> Message:
    """A request from protobuf bytes.

    Raises:
        BadBodyError: it is none.
    """
    request = signal.request()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise BadBodyError(f"not a protobuf {signal.request.DESCRIPTOR.name}: {error}") from None
    return request


def decode_json(signal: Signal, body: bytes) -> tuple[Message, list[Spoiled]]:
    """A request from OTLP/JSON, and the spans in it that are none.

    An id that is no hex becomes an empty one, which is then refused with its span alone. Where a request of
    traces does not parse as a whole, its spans are parsed one by one, and only the bad ones are left out.

    Raises:
        BadBodyError: the text is no JSON, or a field outside of spans is not what OTLP has there.
    """
    try:
        tree = loads(body)
        if not isinstance(tree, dict):
            raise BadBodyError(f"not OTLP/JSON: an object is needed, not {type(tree).__name__}")
        _base64_ids(tree)
    except RecursionError:
        raise BadBodyError("not OTLP/JSON: nested too deeply") from None
    except ValueError as error:  # no UTF-8, no JSON
        raise BadBodyError(f"not OTLP/JSON: {error}") from None
    try:
        return _parse(tree, signal.request()), []
    except BadBodyError:
        if signal is not TRACES:
            raise
    return _span_by_span(tree)


def _parse(tree: Any, message: Message) -> Message:
    """Fill a message from a tree, and return it."""
    try:
        json_format.ParseDict(tree, message, ignore_unknown_fields=True, max_recursion_depth=100)
    except RecursionError:
        raise BadBodyError("not OTLP/JSON: nested too deeply") from None
    except SystemError:  # upb, of a text where an enum is
        raise BadBodyError("not OTLP/JSON: half a surrogate pair in a text") from None
    except (json_format.ParseError, TypeError, ValueError, OverflowError, AttributeError) as error:
        # Half a surrogate pair in a name must not spoil the answer as well.
        text = str(error).partition(ADVICE)[0][:300].encode(errors="replace").decode()
        raise BadBodyError(f"not an OTLP/JSON {message.DESCRIPTOR.name}: {text}") from None
    return message


def _span_by_span(tree: dict[str, Any]) -> tuple[Message, list[Spoiled]]:
    """As `decode_json` does; the tree loses its spans."""
    spoiled: list[Spoiled] = []
    taken = [
        _take_spans(scoped)
        for group in _objects(spoiled, tree, "resourceSpans", "resource_spans")
        for scoped in _objects(spoiled, group, "scopeSpans", "scope_spans")
    ]
    request = trace_service_pb2.ExportTraceServiceRequest()
    _parse(tree, request)
    scopes = (scoped for group in request.resource_spans for scoped in group.scope_spans)
    for scoped, spans in zip(scopes, taken, strict=True):
        for tree_of_span in spans:
            span = _span(tree_of_span)
            if isinstance(span, Spoiled):
                spoiled.append(span)
            else:
                scoped.spans.append(span)
    return request, spoiled


def _objects(spoiled: list[Spoiled], node: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """The objects in the list of this name, in JSON or protobuf; of both the last counts, as ever.

    What is no object is taken out of the list, so that both sides have the same ones.
    """
    last = [value for name, value in node.items() if name in names][-1:]
    if not last or not isinstance(last[0], list):
        return []
    kept = [item for item in last[0] if isinstance(item, dict)]
    if len(kept) < len(last[0]):
        spoiled.append(Spoiled(b"", f"something in {names[0]} is no object"))
        last[0][:] = kept
    return kept


def _take_spans(scoped: dict[str, Any]) -> list[Any]:
    return scoped.pop("spans") if isinstance(scoped.get("spans"), list) else []


def _span(tree: Any) -> trace_pb2.Span | Spoiled:
    if not isinstance(tree, dict):
        return Spoiled(b"", f"a span must be an object, not {type(tree).__name__}")
    span = trace_pb2.Span()
    try:
        _parse(tree, span)
    except BadBodyError as error:
        trace_id = tree.get("traceId", tree.get("trace_id"))
        raw = base64.b64decode(trace_id) if isinstance(trace_id, str) else b""
        return Spoiled(raw, f"span {str(tree.get('name', ''))[:60]!r}: {error}")
    return span


def answer(signal: Signal, refused: int, message: str) -> Message:
    """The response: empty for full success, else with a partial success."""
    response = signal.response()
    if refused or message:
        fields: Any = response  # protobuf's are made at run time
        partial = fields.partial_success
        setattr(partial, signal.rejected, refused)
        partial.error_message = message
    return response


def response_body(message: Message, *, as_json: bool) -> bytes:
    """An answer or a Status in the encoding of its request."""
    if as_json:
        text = json_format.MessageToJson(message, indent=None)
        return text.encode()
    return message.SerializeToString()


def status(code: int, message: str) -> Status:
    """google.rpc.Status, the body of OTLP/HTTP's error answers."""
    return Status(code=code, message=message)


def gunzip(body: bytes, limit: int) -> bytes:
    """Unpack gzip, of one or several members, without ever holding more than `limit` bytes.

    Raises:
        BadBodyError: not gzip, cut off, or of more than MAX_MEMBERS members.
        TooLargeError: it unpacks to more than `limit` bytes.
    """
    out = bytearray()
    view, at, members = memoryview(body), 0, 0
    while at < len(view):
        members += 1
        if members > MAX_MEMBERS:
            raise BadBodyError(f"the gzip body has more than {MAX_MEMBERS} members: send it as one")
        at = _gunzip_member(view, at, out, limit)
    return bytes(out)


def _gunzip_member(view: memoryview, at: int, out: bytearray, limit: int) -> int:
    """Unpack the member that begins at `at` behind `out`; returns where it ends."""
    member = zlib.decompressobj(wbits=31)
    while not member.eof:
        block = view[at : at + GZIP_BLOCK]
        if not block:
            raise BadBodyError("not gzip: the body ends too soon")
        try:
            out += member.decompress(block, limit + 1 - len(out))
        except zlib.error as error:
            raise BadBodyError(f"not gzip: {error}") from None
        if len(out) > limit:
            raise TooLargeError(f"the body unpacks to more than {limit} bytes: send smaller batches")
        at += len(block) - len(member.unused_data)
    return at


def to_json(message: Message) -> dict[str, Any]:
    """A message as OTLP/JSON has it: ids in hex, enums as numbers, 64-bit integers as strings."""
    tree: dict[str, Any] = json_format.MessageToDict(message, use_integers_for_enums=True)
    _hex_ids(tree)
    return tree


def _base64_ids(node: Any) -> None:
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            for key, value in node.items():
                if isinstance(value, (dict, list)):
                    stack.append(value)
                elif key in ID_KEYS and isinstance(value, str):
                    try:
                        node[key] = base64.b64encode(bytes.fromhex(value)).decode()
                    except ValueError:
                        node[key] = base64.b64encode(b"?").decode()  # of wrong length: refused by itself
        elif isinstance(node, list):
            stack.extend(item for item in node if isinstance(item, (dict, list)))


def _hex_ids(node: Any) -> None:
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            for key, value in node.items():
                if isinstance(value, (dict, list)):
                    stack.append(value)
                elif key in ID_KEYS:
                    node[key] = base64.b64decode(value).hex()
        else:
            stack.extend(item for item in node if isinstance(item, (dict, list)))
