"""CPU that the impact processor adds to a Collector, beside the same Collector without it and with others.

`python benchmarks/collector.py [--pairs 20]`. One Collector binary (collector/bench-config.yaml), OTLP in and
OTLP out, started anew for every run with a pipeline of its own; runs of all pipelines take turns, and each
is compared with the plain one of its round. CPU is the process's own (user and system), from before the first
request to after the last verdict has arrived. Sender and sink are in this process and are not counted.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import yaml
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

ROOT = Path(__file__).resolve().parent.parent
BINARY = ROOT / "collector" / "_build_bench" / "otelcol-bench"
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
EMPTY = trace_service_pb2.ExportTraceServiceResponse().SerializeToString()
NS = 1_000_000_000
CALLS, BATCH = 4000, 512  # calls of a run, spans of a request
GRACE = 1.0  # seconds; the verdicts of all calls are part of what is measured

SPANS = (  # name, layer, activity, start and end in seconds
    ("call started", "call", "", 0, 0),
    ("carrier setup", "carrier", "setup", 0, 2),
    ("ivr", "ccaas", "ivr", 2, 20),
    ("crm lookup", "crm", "lookup", 20, 21),
    ("queue", "ccaas", "queue", 20, 50),
    ("agent connect", "endpoint", "connect", 50, 51),
    ("talk", "ccaas", "talk", 51, 300),
    ("carrier leg", "carrier", "converse", 2, 300),
    ("agent network", "agent_network", "converse", 50, 300),
    ("webrtc session", "endpoint", "converse", 50, 300),
)
LEGS = {"carrier leg", "agent network", "webrtc session"}
PIPELINES: dict[str, list[str]] = {
    "plain": [],
    "cx_impact": ["cx_impact"],
    "cx_impact, storage": ["cx_impact/stored"],
    "groupbytrace + transform": ["groupbytrace", "transform"],
    "tail_sampling": ["tail_sampling"],
}


def attribute(key: str, value: str | int) -> KeyValue:
    """An attribute of OTLP."""
    return KeyValue(
        key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
    )


def spans_of(number: int) -> list[Span]:
    """A call: ten spans of ours, ten of HTTP and database instrumentations, and the root."""
    trace = hashlib.sha256(f"bench {number}".encode()).digest()[:16]
    start = time.time_ns() - 300 * NS
    found = []

    def add(name: str, begin: float, end: float, attributes: list[KeyValue]) -> None:
        number_in_call = len(found) + 1
        found.append(
            Span(
                trace_id=trace,
                span_id=number_in_call.to_bytes(8, "big"),
                parent_span_id=b"" if name == "call inbound" else (21).to_bytes(8, "big"),
                name=name,
                start_time_unix_nano=start + int(begin * NS),
                end_time_unix_nano=start + int(end * NS),
                attributes=[
                    attribute("cx.call.id", f"bench {number}"),
                    attribute("cx.queue.name", "billing"),
                    *attributes,
                ],
                status=Status(),
            )
        )

    for name, layer, activity, begin, end in SPANS:
        own = [attribute("cx.layer", layer), attribute("cx.owner", "Acme Telecom")]
        if activity:
            own.append(attribute("cx.activity", activity))
        if name in LEGS:
            own += [
                attribute("cx.media.to_agent.loss_pct", "0*20 0.4 0*12 1.2 0*26"),
                attribute("cx.media.to_agent.delay_ms", "20*12 21*30 24*18"),
                attribute("cx.media.to_customer.loss_pct", "0*60"),
                attribute("cx.media.to_customer.delay_ms", "20*60"),
            ]
        add(name, begin, end, own)
        add("GET", begin, end, [attribute(f"http.key.{i}", "a value of some length") for i in range(10)])
    add("call inbound", 0, 300, [attribute("cx.layer", "call"), attribute("cx.call.outcome", "completed")])
    return found


def requests(*, roots: bool) -> list[bytes]:
    """What is sent, in requests of many calls mixed; without roots all calls still run."""
    calls = [spans_of(number) for number in range(CALLS)]
    if not roots:
        calls = [[span for span in spans if span.name != "call inbound"] for spans in calls]
    mixed: list[Span] = []
    for first in range(0, CALLS, 100):  # a hundred calls live at a time
        block = calls[first : first + 100]
        mixed += [span for turn in zip(*block, strict=True) for span in turn]
    found = []
    for first in range(0, len(mixed), BATCH):
        scope = ScopeSpans(spans=mixed[first : first + BATCH])
        request = trace_service_pb2.ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(scope_spans=[scope])]
        )
        found.append(request.SerializeToString())
    return found


class Sink:
    """Takes OTLP; it decodes nothing unless the times of roots are asked for."""

    def __init__(self, *, roots: bool = False) -> None:
        self.last = 0.0
        self.roots: dict[bytes, float] | None = {} if roots else None  # time of arrival by trace id
        self.server = grpc.server(
            futures.ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)]
        )
        handler = grpc.unary_unary_rpc_method_handler(self._take)
        service, method = METHOD.strip("/").split("/")
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {method: handler}),)
        )
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def _take(self, body: bytes, _context: Any) -> bytes:
        self.last = time.monotonic()
        if self.roots is not None:
            request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        if span.name == "call inbound":
                            self.roots.setdefault(span.trace_id, self.last)
        return EMPTY


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def config_of(processors: list[str], port: int, sink: Sink, folder: Path) -> dict[str, Any]:
    """A Collector's configuration."""
    grace = f"{GRACE}s"
    known: dict[str, Any] = {
        "cx_impact": {"grace": grace},
        "cx_impact/stored": {"grace": grace, "storage": "file_storage"},
        "groupbytrace": {"wait_duration": grace, "num_traces": 100_000},
        "transform": {
            "trace_statements": [
                {
                    "context": "span",
                    "statements": ['set(attributes["x"], "y") where attributes["cx.layer"] == "call"'],
                }
            ]
        },
        "tail_sampling": {
            "decision_wait": grace,
            "num_traces": 100_000,
            "policies": [{"name": "all", "type": "always_sample"}],
        },
    }
    return {
        "extensions": {"file_storage": {"directory": str(folder)}},
        "receivers": {
            "otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{port}", "max_recv_msg_size_mib": 64}}}
        },
        "processors": {name: known[name] for name in processors},
        "exporters": {
            "otlp_grpc": {
                "endpoint": f"127.0.0.1:{sink.port}",
                "tls": {"insecure": True},
                "compression": "none",
                "sending_queue": {"enabled": False},
            }
        },
        "service": {
            "extensions": ["file_storage"],
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "error"}},
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": processors, "exporters": ["otlp_grpc"]}
            },
        },
    }


class Running:
    """A Collector with these processors, and a channel to it."""

    def __init__(self, processors: list[str], sink: Sink) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.sink, port = sink, free_port()
        config = self.folder / "config.yaml"
        config.write_text(yaml.safe_dump(config_of(processors, port, sink, self.folder)), encoding="utf-8")
        self.process = subprocess.Popen([BINARY, "--config", config])
        options = [("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        grpc.channel_ready_future(self.channel).result(30)
        self.export = self.channel.unary_unary(METHOD)

    def __enter__(self) -> Running:  # noqa: PYI034 (Self is from Python 3.11)
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.sink.server.stop(None)
        shutil.rmtree(self.folder)

    def cpu(self) -> float:
        """Seconds of CPU so far, user and system."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak(self) -> float:
        """MiB at the most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024

    def settle(self) -> None:
        """Until nothing has come for longer than the grace."""
        while time.monotonic() - self.sink.last < GRACE + 0.5:
            time.sleep(0.1)


def run(processors: list[str], bodies: list[bytes]) -> tuple[float, float]:
    """Seconds of CPU, and MiB at the most, of a Collector that these requests go through."""
    with Running(processors, Sink()) as collector:
        before = collector.cpu()
        for body in bodies:
            collector.export(body, timeout=60)
        collector.settle()
        return collector.cpu() - before, collector.peak()


def delays(processors: list[str], calls: int = 1500, per_second: int = 100) -> list[float]:
    """Seconds from sending a call's root to its arrival, for calls at a steady pace."""
    sink = Sink(roots=True)
    sent: dict[bytes, float] = {}
    with Running(processors, sink) as collector:
        begun = time.monotonic()
        for number in range(calls):
            spans = spans_of(CALLS + number)
            scope = ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])
            body = trace_service_pb2.ExportTraceServiceRequest(resource_spans=[scope]).SerializeToString()
            time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            sent[spans[0].trace_id] = time.monotonic()
            collector.export(body, timeout=60)
        collector.settle()
    assert sink.roots is not None
    missing = len(sent.keys() - sink.roots.keys())
    assert not missing, f"{missing} roots did not arrive"
    return sorted(sink.roots[trace] - at for trace, at in sent.items())


def compare(names: list[str], bodies: list[bytes], spans: int, pairs: int) -> None:
    """Runs these pipelines in turn and prints what each takes beside the plain one."""
    used: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, float] = dict.fromkeys(names, 0.0)
    for number in range(pairs):
        for name in names if number % 2 == 0 else reversed(names):
            seconds, peak = run(PIPELINES[name], bodies)
            used[name].append(seconds)
            peaks[name] = max(peaks[name], peak)
        ratios = ", ".join(f"{name} {used[name][-1] / used['plain'][-1]:.3f}" for name in names[1:])
        print(f"  {number + 1}/{pairs}: {ratios}", flush=True)
    for name in names:
        ratio = statistics.median(a / b for a, b in zip(used[name], used["plain"], strict=True))
        micro = statistics.median(used[name]) / spans * 1e6
        print(
            f"{name}: {micro:.2f} us CPU a span, {ratio:.3f} of plain "
            f"(median of {pairs} pairs), {peaks[name]:.0f} MiB"
        )


def main() -> int:
    """Runs all pipelines in turn and prints ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20, help="rounds; a run of each pipeline a round")
    parser.add_argument("--only", nargs="*", choices=sorted(PIPELINES), default=list(PIPELINES))
    arguments = parser.parse_args()
    if not BINARY.exists():
        print(f"{BINARY} is missing: make bench builds it")
        return 2
    names = ["plain", *(name for name in arguments.only if name != "plain")]
    print(f"Calls from beginning to verdict, {2 * len(SPANS) + 1} spans each:")
    compare(names, requests(roots=True), CALLS * (2 * len(SPANS) + 1), arguments.pairs)
    ours = [name for name in names if name == "plain" or name.startswith("cx_impact")]
    print("Calls that still run, spans passed alone:")
    compare(ours, requests(roots=False), CALLS * 2 * len(SPANS), arguments.pairs)
    for name in [name for name in names if name.startswith("cx_impact")]:
        found = delays(PIPELINES[name])
        median, late = (1000 * (found[int(len(found) * part)] - GRACE) for part in (0.5, 0.99))
        print(f"{name}: roots arrive {median:.0f} ms after the grace, p99 {late:.0f} ms (100 calls/s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
