"""OTLP in, as real exporters send it and as they should not: over real sockets."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from desk_calls import CallMaker, whole_call
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from cxotel.desk import report, traces, wire
from cxotel.desk.app import Desk
from cxotel.desk.grpc_server import SPARE
from cxotel.desk.settings import MAX_BODY, Timing
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """A desk on free ports with a file of its own."""
    with Desk(timing=Timing(grace=0.1, settle=0.05)) as running:
        yield running


def post(desk: Desk, body: bytes, path: str = "/v1/traces", **headers: str) -> httpx.Response:
    """One request to OTLP/HTTP; protobuf unless told otherwise."""
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return httpx.post(desk.http_endpoint + path, content=body, headers=PROTOBUF | named, timeout=20)


def names(desk: Desk, trace_id: str) -> list[str]:
    """What the desk keeps of a trace."""
    desk.wait_until_sorted()
    return sorted(kept.item.name for kept in traces.spans_of(desk.store, bytes.fromhex(trace_id)))


def counter(desk: Desk, name: str) -> int:
    """A counter, 0 if nothing was counted; waits for what is being written."""
    desk.wait_until_sorted()
    desk.store.write(lambda connection: None).result(5)
    return next((value for key, value, _, _ in desk.store.rows("counters") if key == name), 0)


def small_call(key: str) -> CallMaker:
    """Three spans."""
    call = CallMaker(key)
    call.add("ivr", "ivr", 0, 5, cx_layer="ccaas", cx_activity="ivr")
    call.add("talk", "ccaas", 5, 30, cx_layer="ccaas", cx_activity="talk")
    call.root(30)
    return call


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_opentelemetrys_own_exporters_are_understood(desk: Desk, protocol: str) -> None:
    """GRPC and HTTP, gzip on: span, resource, scope and types arrive as they were sent."""
    if protocol == "grpc":
        exporter: Any = GrpcExporter(desk.grpc_endpoint, insecure=True, compression=grpc.Compression.Gzip)
    else:
        exporter = HttpExporter(desk.http_endpoint + "/v1/traces")
    provider = TracerProvider(resource=Resource({"service.name": "softphone"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("my.scope", "1.2")
    with tracer.start_as_current_span(
        "webrtc session", attributes={"cx.layer": "endpoint", "n": 1, "x": 1.0}
    ) as span:
        span.add_event("device changed", {"to": "headset"})
    provider.shutdown()
    desk.wait_until_sorted()
    (kept,) = traces.spans_of(desk.store, span.get_span_context().trace_id.to_bytes(16, "big"))
    assert kept.item.name == "webrtc session"
    assert [p.value.WhichOneof("value") for p in kept.item.attributes] == [
        "string_value",
        "int_value",
        "double_value",
    ]
    assert kept.item.events[0].name == "device changed"
    assert (kept.scope.name, kept.scope.version) == ("my.scope", "1.2")
    assert kept.resource.attributes[-1].value.string_value == "softphone"


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("as_json", [False, True])
def test_both_encodings_plain_and_zipped(desk: Desk, as_json: bool, zipped: bool) -> None:
    """The answer is in the request's encoding, and empty where all is well."""
    call = small_call(f"encodings {as_json} {zipped}")
    request = to_request(call.spans)
    body = json.dumps(wire.to_json(request)).encode() if as_json else request.SerializeToString()
    headers = (JSON if as_json else PROTOBUF) | ({"content-encoding": "gzip"} if zipped else {})
    answer = httpx.post(
        desk.http_endpoint + "/v1/traces", content=gzip.compress(body) if zipped else body, headers=headers
    )
    assert (answer.status_code, answer.content) == (200, b"{}" if as_json else b"")
    assert answer.headers["content-type"] == headers["content-type"]
    assert names(desk, call.trace_id) == ["call inbound", "ivr", "talk"]


def test_a_span_sent_twice_is_kept_once(desk: Desk) -> None:
    """A retry after a lost answer does no harm, in either encoding."""
    call = small_call("twice")
    request = to_request(call.spans)
    before = counter(desk, "repeated.spans")
    post(desk, request.SerializeToString())
    post(desk, request.SerializeToString())
    httpx.post(desk.http_endpoint + "/v1/traces", content=json.dumps(wire.to_json(request)), headers=JSON)
    assert names(desk, call.trace_id) == ["call inbound", "ivr", "talk"]
    assert counter(desk, "repeated.spans") - before == 6


def test_bad_ids_cost_only_their_own_spans(desk: Desk) -> None:
    """The good span of the same request is kept; the partial success counts and explains."""
    call = small_call("bad ids")
    request = to_request(call.spans)
    scoped = request.resource_spans[0].scope_spans[0]
    scoped.spans.add(trace_id=b"short", span_id=bytes(range(8)), name="lost one")
    scoped.spans.add(trace_id=bytes.fromhex(call.trace_id), span_id=b"seven77", name="lost two")
    answer = ExportTraceServiceResponse.FromString(post(desk, request.SerializeToString()).content)
    assert answer.partial_success.rejected_spans == 2
    assert "lost one" in answer.partial_success.error_message
    assert "lost two" in answer.partial_success.error_message
    assert names(desk, call.trace_id) == ["call inbound", "ivr", "talk"]


def test_a_bad_id_in_json_costs_only_its_own_span(desk: Desk) -> None:
    """Ids that are no hex are refused as ids of wrong length are, and the answer is JSON."""
    call = small_call("bad json ids")
    tree = wire.to_json(to_request(call.spans))
    tree["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] = "not hex"
    answer = httpx.post(desk.http_endpoint + "/v1/traces", content=json.dumps(tree), headers=JSON)
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert names(desk, call.trace_id) == ["call inbound", "talk"]


def test_an_ill_typed_field_in_json_costs_only_its_own_span(desk: Desk) -> None:
    """The good spans are kept; answer, counter and the call's row tell of the bad one."""
    call = small_call("ill-typed json")
    tree = wire.to_json(to_request(call.spans))
    tree["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["startTimeUnixNano"] = "soon"
    before = counter(desk, "refused.field")
    answer = httpx.post(desk.http_endpoint + "/v1/traces", content=json.dumps(tree), headers=JSON)
    assert answer.status_code == 200
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert "span 'ivr'" in answer.json()["partialSuccess"]["errorMessage"]
    assert "startTimeUnixNano" in answer.json()["partialSuccess"]["errorMessage"]
    assert names(desk, call.trace_id) == ["call inbound", "talk"]
    assert counter(desk, "refused.field") == before + 1
    assert report.call_row(desk.store, bytes.fromhex(call.trace_id)).refused == 1


@pytest.mark.parametrize(
    ("body", "headers", "status", "says", "counted"),
    [
        (b"\x0a\xff", {}, 400, "ExportTraceServiceRequest", "refused.body"),
        (b"{", JSON, 400, "not OTLP/JSON", "refused.body"),
        (b"plain", {"content-encoding": "gzip"}, 400, "not gzip", "refused.body"),
        (gzip.compress(b"x" * 100)[:-4], {"content-encoding": "gzip"}, 400, "ends too soon", "refused.body"),
        (b"", {"content-type": "text/plain"}, 415, "text/plain", "refused.type"),
        (b"", {"content-type": ""}, 415, "application/x-protobuf", "refused.type"),
        (b"", {"content-encoding": "br"}, 415, "'br'", "refused.type"),
        (bytes(MAX_BODY + 1), {}, 413, str(MAX_BODY), "refused.size"),
        (gzip.compress(bytes(MAX_BODY + 1)), {"content-encoding": "gzip"}, 413, "unpacks", "refused.size"),
    ],
    ids=["protobuf", "json", "no gzip", "cut gzip", "text", "no type", "brotli", "large", "bomb"],
)
def test_what_cannot_be_read_is_answered_with_status_and_reason(
    desk: Desk, body: bytes, headers: dict[str, str], status: int, says: str, counted: str
) -> None:
    """The answer is a google.rpc.Status in the request's encoding (OTLP 1.10, Failures), and counted."""
    before = counter(desk, counted)
    answer = post(desk, body, **headers)
    if answer.headers["content-type"] == "application/json":
        code, message = answer.json()["code"], answer.json()["message"]
    else:
        refusal = Status.FromString(answer.content)
        code, message = refusal.code, refusal.message
    assert (answer.status_code, code) == (status, wire.INVALID_ARGUMENT)
    assert says in message
    assert counter(desk, counted) == before + 1


def test_a_body_without_a_length_is_stopped_at_the_limit(desk: Desk) -> None:
    """Chunked bodies announce nothing and are cut off all the same."""

    def chunks() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 2**20 + 2):
            yield bytes(2**20)

    answer = httpx.post(desk.http_endpoint + "/v1/traces", content=chunks(), headers=PROTOBUF, timeout=20)
    assert answer.status_code == 413


def test_other_methods_and_paths_are_no_receivers(desk: Desk) -> None:
    """405 and 404, as HTTP has it."""
    assert httpx.get(desk.http_endpoint + "/v1/traces").status_code == 405
    assert post(desk, b"", "/v1/profiles").status_code == 404


def test_a_foreign_host_is_turned_away(desk: Desk) -> None:
    """DNS rebinding: a page whose name resolves to us still says its own name."""
    assert post(desk, b"", host="evil.example").status_code == 421
    assert post(desk, b"", host="localhost:4318").status_code == 200


def export(desk: Desk, service: str, body: bytes) -> bytes:
    """One raw gRPC call."""
    with grpc.insecure_channel(desk.grpc_endpoint.removeprefix("http://")) as channel:
        method = channel.unary_unary(f"/opentelemetry.proto.collector.{service}/Export")
        answer: bytes = method(body, timeout=20)
        return answer


def test_a_broken_grpc_body_is_an_invalid_argument(desk: Desk) -> None:
    """Not INTERNAL: the sender must not try again (OTLP 1.10, Failures)."""
    with pytest.raises(grpc.RpcError) as caught:
        export(desk, "trace.v1.TraceService", b"\x0a\xff")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "ExportTraceServiceRequest" in caught.value.details()


def test_a_grpc_body_over_the_limit_is_refused(desk: Desk) -> None:
    """Zipped or not, and counted as over HTTP."""
    before = counter(desk, "refused.size")
    with grpc.insecure_channel(desk.grpc_endpoint.removeprefix("http://")) as channel:
        method = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            with pytest.raises(grpc.RpcError) as caught:
                method(bytes(MAX_BODY + 1), timeout=20, compression=compression)
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "send smaller batches" in caught.value.details()
    assert counter(desk, "refused.size") == before + 2


def test_a_grpc_body_far_over_the_limit_is_refused(desk: Desk) -> None:
    """By gRPC, before it is held whole."""
    with pytest.raises(grpc.RpcError) as caught:
        export(desk, "trace.v1.TraceService", bytes(MAX_BODY + SPARE + 1))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_logs_and_metrics_are_kept(desk: Desk) -> None:
    """Over gRPC and HTTP, logs beside their call."""
    call = small_call("logs")
    logs = ExportLogsServiceRequest()
    record = logs.resource_logs.add().scope_logs.add().log_records.add(trace_id=bytes.fromhex(call.trace_id))
    record.body.string_value = "the call began"
    metrics = ExportMetricsServiceRequest()
    metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="cx.dropped")
    before = counter(desk, "received.logs"), counter(desk, "received.metrics")
    assert export(desk, "logs.v1.LogsService", logs.SerializeToString()) == b""
    assert post(desk, metrics.SerializeToString(), "/v1/metrics").status_code == 200
    assert export(desk, "metrics.v1.MetricsService", metrics.SerializeToString()) == b""
    (kept,) = traces.logs_of(desk.store, bytes.fromhex(call.trace_id))
    assert kept.item == record
    assert (counter(desk, "received.logs"), counter(desk, "received.metrics")) == (
        before[0] + 1,
        before[1] + 1,
    )


def test_a_log_with_a_bad_id_is_kept_and_said(desk: Desk) -> None:
    """A warning: nothing rejected, a message all the same."""
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(trace_id=b"short")
    answer = ExportLogsServiceResponse.FromString(
        export(desk, "logs.v1.LogsService", logs.SerializeToString())
    )
    assert answer.partial_success.rejected_log_records == 0
    assert "5 bytes" in answer.partial_success.error_message


def test_a_desk_that_cannot_write_asks_to_come_back() -> None:
    """503 with Retry-After and UNAVAILABLE are what exporters retry (OTLP 1.10); nothing is acknowledged."""
    call = to_request(small_call("busy").spans).SerializeToString()
    with Desk(timing=Timing()) as desk:
        desk.store.close()
        answer = post(desk, call)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert Status.FromString(answer.content).code == wire.UNAVAILABLE
        with pytest.raises(grpc.RpcError) as caught:
            export(desk, "trace.v1.TraceService", call)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_taken_port_is_named(desk: Desk) -> None:
    """Starting a second desk on the same ports says which, and leaves nothing running."""
    for name, url in (("grpc", desk.grpc_endpoint), ("http", desk.http_endpoint), ("web", desk.web_url)):
        port = int(url.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)):
            Desk(**{f"{name}_port": port}).start()


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Any) -> None:
    """A call received before the desk stopped is judged by the next one."""
    call = whole_call("restart")
    with Desk(tmp_path / "desk.sqlite", timing=Timing(grace=60)) as first:
        assert post(first, to_request(call.spans).SerializeToString()).status_code == 200
    with Desk(tmp_path / "desk.sqlite", timing=Timing(grace=0)) as second:
        assert second.wait_for_verdict(call.trace_id)["state"] == "final"
        assert len(names(second, call.trace_id)) == len(call.spans)


def test_three_hundred_agents_send_directly_each_with_a_connection_of_its_own(desk: Desk) -> None:
    """A connection stays open between calls, and none is turned away for the others'."""
    channels = [
        grpc.insecure_channel(desk.grpc_endpoint[7:], options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(300)
    ]
    body = to_request(small_call("many agents").spans).SerializeToString()
    for channel in channels:
        export = channel.unary_unary(f"/{wire.TRACES.service}/Export")
        assert export(body, timeout=20, wait_for_ready=True) == b""
    for channel in channels:
        channel.close()
