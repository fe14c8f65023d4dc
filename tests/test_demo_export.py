"""What the demo's parties send arrives whole, at any OTLP receiver, and can be judged there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing
from cxotel.otlp import from_request, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.impact import Span

pytestmark = pytest.mark.media


class Tee(trace_service_pb2_grpc.TraceServiceServicer, logs_service_pb2_grpc.LogsServiceServicer):
    """A receiver of nothing but opentelemetry-proto's classes: it keeps each request and passes it on."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.requests: list[trace_service_pb2.ExportTraceServiceRequest] = []
        self._traces = trace_service_pb2_grpc.TraceServiceStub(channel)
        self._logs = logs_service_pb2_grpc.LogsServiceStub(channel)

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 (gRPC's name)
        """Spans and log records alike, told apart by their type."""
        del context
        if isinstance(request, logs_service_pb2.ExportLogsServiceRequest):
            return self._logs.Export(request)
        self.requests.append(request)
        return self._traces.Export(request)

    def by_trace(self) -> dict[str, list[Span]]:
        """Spans received, by hex trace id."""
        found: dict[str, list[Span]] = defaultdict(list)
        for request in self.requests:
            for span in from_request(request):
                found[span.trace_id].append(span)
        return found


@pytest.fixture(scope="module")
def placed() -> Iterator[tuple[Tee, Desk, list[dict[str, Any]]]]:
    """Two of the demo's calls, exported to the tee and through it to a desk."""
    with Desk(timing=Timing(grace=2.0)) as desk, grpc.insecure_channel(desk.grpc_endpoint[7:]) as channel:
        tee = Tee(channel)
        server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(tee, server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(tee, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        url = f"http://127.0.0.1:{port}"
        arguments = ["--calls", "carrier-loss,ai-handoff", "--seed", "3", "--json", "--export", url]
        done = subprocess.run(
            [sys.executable, "-m", "cxotel", "demo", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "CI": "true"},
            timeout=180,
            check=False,
        )
        server.stop(None).wait()
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        yield tee, desk, rows


def test_no_span_is_missing_and_ids_are_equal(placed: tuple[Tee, Desk, list[dict[str, Any]]]) -> None:
    """The desk has the spans that the tee counted, each parent is there, and one span is the root."""
    tee, desk, rows = placed
    sent = tee.by_trace()
    assert len(rows) == 2
    for row in rows:
        spans = sent[row["trace_id"]]
        ids = {span.span_id for span in spans}
        assert len(ids) == len(spans)
        assert {span.parent_id for span in spans} <= ids | {""}
        assert [span.name for span in spans if not span.parent_id] == ["call inbound"]
        desk.wait_for_verdict(row["trace_id"])
        kept = httpx.get(f"{desk.call_url(row['trace_id'])}/otlp.json").json()
        received = {
            span["spanId"]
            for resource in kept["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
            if scope["scope"]["name"] != "cxotel.impact"
        }
        assert ids == received


def test_judging_the_export_stamps_one_root_and_hangs_evidence_under_its_legs(
    placed: tuple[Tee, Desk, list[dict[str, Any]]],
) -> None:
    """`cxotel judge --otlp` of what was exported: the planted layer, and its evidence under its own span."""
    tee, _, rows = placed
    sent = tee.by_trace()
    parents = {"carrier loss": "carrier leg", "handoff fidelity": "handoff"}
    found = {}
    for row in rows:
        done = subprocess.run(
            [sys.executable, "-m", "cxotel", "judge", "--otlp", "-"],
            input=json.dumps(to_json(sent[row["trace_id"]])),
            capture_output=True,
            text=True,
            check=True,
        )
        spans = [
            span
            for resource in json.loads(done.stdout)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
        stamped = [s for s in spans if any(a["key"] == "cx.impact.layer" for a in s.get("attributes", ()))]
        assert [span["name"] for span in stamped] == ["call inbound"]
        names = {span["spanId"]: span["name"] for span in spans}
        for span in spans:
            if span["name"] in parents:
                found[span["name"]] = names[span["parentSpanId"]]
    assert parents == found
