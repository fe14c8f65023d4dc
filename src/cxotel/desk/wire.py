"""OTLP's bytes and messages: protobuf or JSON in, answers out (OTLP 1.10, OTLP/gRPC and OTLP/HTTP)."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

# Ids are hex in OTLP/JSON (OTLP 1.10, "JSON Protobuf Encoding") where protobuf's own JSON has base64.
ID_KEYS = frozenset({"traceId", "trace_id", "spanId", "span_id", "parentSpanId", "parent_span_id"})
# Senders write one member; bgzip, for random access, one for each 64 KiB: 320 in the largest body.
MAX_MEMBERS = 1000
# zlib copies what follows a member of each block it is given: at most 64 MB for 1,000 members.
GZIP_BLOCK = 64 * 1024
INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE = 3, 8, 14  # google.rpc.Code


class BadBodyError(Exception):
    """The body is not what it says it is. The text says where."""


class TooLargeError(Exception):
    """The body, or what it unpacks to, is over the limit."""


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


def decode_json(signal: Signal, body: bytes) -> Message:
    """A request from OTLP/JSON.

    An id that is no hex becomes an empty one, which is then refused with its span alone.

    Raises:
        BadBodyError: the text is no JSON, or a field is not what OTLP has there.
    """
    request = signal.request()
    try:
        tree = json.loads(body)
        if not isinstance(tree, dict):
            raise BadBodyError(f"not OTLP/JSON: an object is needed, not {type(tree).__name__}")
        _base64_ids(tree)
        json_format.ParseDict(tree, request, ignore_unknown_fields=True, max_recursion_depth=100)
    except UnicodeDecodeError as error:
        raise BadBodyError(f"not OTLP/JSON: {error}") from None
    except json.JSONDecodeError as error:
        raise BadBodyError(f"not OTLP/JSON: {error}") from None
    except json_format.ParseError as error:
        raise BadBodyError(f"not an OTLP/JSON {signal.request.DESCRIPTOR.name}: {str(error)[:300]}") from None
    except RecursionError:
        raise BadBodyError("not OTLP/JSON: nested too deeply") from None
    except (TypeError, ValueError, OverflowError, AttributeError) as error:  # what ParseDict lets through
        raise BadBodyError(f"not an OTLP/JSON {signal.request.DESCRIPTOR.name}: {str(error)[:300]}") from None
    return request


def answer(signal: Signal, refused: int, message: str) -> Message:
    """The response: empty for full success, else with a partial success."""
    response = signal.response()
    if refused or message:
        partial = response.partial_success  # type: ignore[attr-defined]
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
