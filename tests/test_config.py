"""Where calls go: the host's provider, one of our own, or nowhere."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import textwrap
import threading
from concurrent import futures
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased

import cxotel
from cxotel import _export, _guard, _runtime, config
from cxotel.ids import call_ids

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings, counters and environment as if nothing had been configured."""
    before = replace(_runtime.state)
    for name in [name for name in os.environ if name.startswith(("OTEL_", "CXOTEL_"))]:
        monkeypatch.delenv(name)
    _guard.reset()
    yield
    for name in before.__slots__:
        setattr(_runtime.state, name, getattr(before, name))
    _runtime.forget_tracer()
    _guard.reset()


def host(**settings: Any) -> tuple[TracerProvider, InMemorySpanExporter]:
    """A provider as a host makes one, and what it exports."""
    provider, memory = TracerProvider(shutdown_on_exit=False, **settings), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return provider, memory


# In the host's process


def test_a_hosts_provider_is_left_as_it_was() -> None:
    """Its ids and its sampling are the host's; only our own tracer keeps every call."""
    provider, memory = host(sampler=ALWAYS_OFF)
    theirs = provider.get_tracer("host")
    before = (provider.id_generator, provider.sampler, theirs.id_generator, theirs.sampler)  # type: ignore[attr-defined]
    cxotel.configure(tracer_provider=provider, namespace="acme")
    theirs.start_span("host").end()
    cxotel.start_call("c-1").stop()

    assert before == (provider.id_generator, provider.sampler, theirs.id_generator, theirs.sampler)  # type: ignore[attr-defined]
    assert ["call started", "call inbound"] == [span.name for span in memory.get_finished_spans()]
    assert call_ids("c-1", "acme").trace_id == memory.get_finished_spans()[0].context.trace_id


def test_sampling_can_be_left_to_the_host() -> None:
    """Then all participants with that sampler decide alike, since they decide by the computed trace id."""
    provider, memory = host(sampler=TraceIdRatioBased(0.5))
    cxotel.configure(tracer_provider=provider, sample_every_call=False)
    for number in range(40):
        guest = cxotel.join_call(f"c-{number}")
        guest.start_leg("carrier").stop()
        cxotel.start_call(f"c-{number}").stop()

    spans = memory.get_finished_spans()
    kept = [
        {span.context.trace_id for span in spans if span.name == name}
        for name in ("carrier leg", "call inbound")
    ]
    assert kept[0] == kept[1]
    assert 5 < len(kept[0]) < 35


def test_the_environments_sampler_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_TRACES_SAMPLER says otherwise, so it is otherwise."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    provider, memory = host()
    cxotel.configure(tracer_provider=provider)
    headers: dict[str, str] = {}
    with cxotel.start_call("c-1") as call:
        call.inject(headers)

    assert ((), "00") == (memory.get_finished_spans(), headers["traceparent"][-2:])


def test_sampling_can_be_changed_later() -> None:
    """The host's sampler was not forgotten."""
    provider, memory = host(sampler=ALWAYS_OFF)
    cxotel.configure(tracer_provider=provider)
    cxotel.start_call("c-1").stop()
    cxotel.configure(sample_every_call=False)
    cxotel.start_call("c-2").stop()
    cxotel.configure(sample_every_call=True)
    cxotel.start_call("c-3").stop()

    roots = [
        span.attributes["cx.call.id"] for span in memory.get_finished_spans() if span.name == "call inbound"
    ]
    assert ["c-1", "c-3"] == roots


def test_a_call_that_its_owner_did_not_keep_is_kept_by_nobody() -> None:
    """The flag of our own context is followed."""
    provider, memory = host()
    cxotel.configure(tracer_provider=provider)
    headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-00", "tracestate": "cx=1"}
    cxotel.join_call(carrier=headers).start_leg("carrier").stop()

    assert () == memory.get_finished_spans()


def test_configuring_again_changes_only_what_is_given() -> None:
    """And adds no second processor."""
    provider, memory = host()
    cxotel.configure(tracer_provider=provider, namespace="acme", announce=False)
    cxotel.configure(tracer_provider=provider)
    processors = provider._active_span_processor._span_processors
    cxotel.start_call("c-1").stop()

    assert [1, 2] == [
        sum(isinstance(one, cxotel.CallContextProcessor) for one in processors),
        len(processors),
    ]
    (root,) = memory.get_finished_spans()
    assert ("acme", None) == (root.attributes["cx.call.namespace"], root.attributes.get("cx.call.announced"))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument wins over its variable."""
    monkeypatch.setenv("CXOTEL_NAMESPACE", "from-env")
    monkeypatch.setenv("CXOTEL_CUSTOMER_KEY", "secret")
    monkeypatch.setenv("CXOTEL_ANNOUNCE", "false")
    monkeypatch.setenv("CXOTEL_SAMPLE_EVERY_CALL", "0")
    cxotel.configure(tracer_provider=host()[0], sample_every_call=True)

    state = _runtime.state
    assert ("from-env", b"secret", False, True) == (
        state.namespace,
        state.customer_key,
        state.announce,
        state.sample_every_call,
    )


def test_every_setting_is_an_argument() -> None:
    """The table and the signature say the same."""
    arguments = set(config.configure.__kwdefaults__)

    assert {setting.name for setting in config.SETTINGS} == arguments - {"tracer_provider", "logger_provider"}


@pytest.mark.parametrize(
    "argument",
    [
        {"namespace": ""},
        {"namespace": 7},
        pytest.param({"namespace": 10**5000}, id="long"),
        {"service_name": b"x"},
        {"endpoint": 4317},
        {"customer_key": 7},
    ],
)
def test_a_mistake_in_set_up_is_raised(argument: dict[str, Any]) -> None:
    """It is for the programmer to see, before the first call."""
    with pytest.raises(TypeError, match=next(iter(argument))):
        cxotel.configure(**argument)


def test_an_endpoint_beside_a_hosts_provider_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """It would be silently without effect."""
    cxotel.configure(tracer_provider=host()[0], endpoint="http://localhost:4317")

    assert [
        "configure: the host has a tracer provider; service_name, endpoint and headers are not used"
    ] == caplog.messages


def test_a_host_whose_processor_raises_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call's context survives, and what was lost is counted."""
    monkeypatch.setattr(_guard, "under_pytest", lambda: False)

    class Broken(cxotel.CallContextProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            """Fail, as a host's may."""
            raise RuntimeError("host")

    provider, _ = host()
    provider.add_span_processor(Broken())
    cxotel.configure(tracer_provider=provider)
    with cxotel.start_call("c-1") as call:
        call.start_activity("queue").stop()

    assert call_ids("c-1").trace_id_hex == call.trace_id
    assert cxotel.counters()["internal_error"] >= 2


# The queue


class Slow(SpanExporter):
    """Waits until it is let go."""

    def __init__(self, result: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.go = threading.Event()
        self.names: list[str] = []
        self.result = result

    def export(self, spans: Any) -> SpanExportResult:
        """Keep the names, when it is let go."""
        self.go.wait(10)
        self.names += [span.name for span in spans]
        return self.result


def test_what_the_queue_cannot_hold_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent + counted = started, whatever the timing."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "20")
    provider, slow = TracerProvider(shutdown_on_exit=False), Slow()
    provider.add_span_processor(_export.CountingBatch(slow))
    tracer = provider.get_tracer("x")
    for number in range(200):
        tracer.start_span(str(number)).end()
    slow.go.set()
    provider.shutdown()

    assert 200 == len(slow.names) + cxotel.counters()["queue_full"]
    assert 20 <= len(slow.names) <= 60


def test_the_queue_takes_the_burst_that_the_sdks_default_loses() -> None:
    """15,000 spans at once, of which the default of 2,048 lost 6,808."""
    provider, slow = TracerProvider(shutdown_on_exit=False), Slow()
    provider.add_span_processor(_export.CountingBatch(slow))
    tracer = provider.get_tracer("x")
    for number in range(15_000):
        tracer.start_span(str(number)).end()
    slow.go.set()
    provider.shutdown()

    assert (15_000, {}) == (len(slow.names), cxotel.counters())


def test_what_cannot_be_delivered_is_counted() -> None:
    """The exporter gave up."""
    provider, slow = TracerProvider(shutdown_on_exit=False), Slow(SpanExportResult.FAILURE)
    slow.go.set()
    provider.add_span_processor(_export.CountingBatch(slow))
    provider.get_tracer("x").start_span("a").end()

    assert provider.force_flush()
    assert {"export_failed": 1} == cxotel.counters()
    provider.shutdown()


def test_what_an_exporter_raises_over_is_counted() -> None:
    """Some give up by raising, such as OTLP over HTTP 1.38 where nobody listens; the SDK logs it."""

    class Raising(Slow):
        def export(self, spans: Any) -> SpanExportResult:
            super().export(spans)
            raise ConnectionError

    provider, raising = TracerProvider(shutdown_on_exit=False), Raising()
    raising.go.set()
    provider.add_span_processor(_export.CountingBatch(raising))
    provider.get_tracer("x").start_span("a").end()

    assert provider.force_flush()
    assert {"export_failed": 1} == cxotel.counters()
    provider.shutdown()


def test_a_flush_waits_no_longer_than_it_is_told() -> None:
    """For a backend that takes connections and does not answer; it says that not all was exported."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        out = run(
            """
            import os, time
            import cxotel
            cxotel.configure()
            cxotel.start_call("c-1").stop()
            began = time.monotonic()
            print(cxotel.flush(300), time.monotonic() - began < 5, flush=True)
            os._exit(0)
            """,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        )
    assert "False True\n" == out


def test_a_flush_says_that_the_exporter_gave_up() -> None:
    """Where the SDK says that all went well."""
    out = run(
        """
        import logging
        import cxotel
        logging.disable()
        cxotel.configure()
        cxotel.start_call("c-1").stop()
        print(cxotel.flush(), cxotel.counters()["export_failed"] > 0)
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    assert "False True\n" == out


def test_a_program_that_configures_nothing_is_told_once() -> None:
    """Its calls go nowhere, and nothing else would say so."""
    program = """
        import cxotel
        for number in range(2):
            cxotel.start_call(f"c-{number}").stop()
        print(cxotel.counters())
        """
    hint = "nothing is recorded yet: call cxotel.configure() before the first call\n"
    assert "{}\n" == run(program, said=hint)


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "ValueError: could not convert string to float: 'soon'"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "soon", "ValueError: could not convert string to float: 'soon'"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x", "ValueError"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "bogus", "InvalidCompressionValueException"),
    ],
)
def test_what_the_sdk_cannot_use_of_its_variables_is_said(variable: str, text: str, told: str) -> None:
    """The host goes on, and a second call says the same once."""
    program = """
        import logging
        import cxotel
        logging.basicConfig(format="%(message)s")
        cxotel.configure()
        cxotel.configure()
        with cxotel.start_call("c-1"):
            pass
        cxotel.shutdown()
        print(cxotel.counters())
        """
    hint = f"configure: OpenTelemetry cannot be set up ({told}"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**{key: value for key, value in os.environ.items() if "PYTEST" not in key}, variable: text},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "{'bad_value': 2}\n", 1) == (done.returncode, done.stdout, done.stderr.count(hint))


def test_headers_are_a_mapping() -> None:
    """Told before the first call."""
    headers: Any = "a=b"
    with pytest.raises(TypeError, match="headers is a str, give a mapping"):
        cxotel.configure(headers=headers)


# A program of its own


class Receiver(BaseHTTPRequestHandler):
    """An OTLP/HTTP endpoint, judged by OpenTelemetry's own message classes."""

    server: Any

    def do_POST(self) -> None:
        """Keep the request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        message: Any = ExportLogsServiceRequest() if self.path == "/v1/logs" else ExportTraceServiceRequest()
        message.ParseFromString(body)
        self.server.got.append((self.path, self.headers.get("X-Token"), message))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A running OTLP/HTTP endpoint on a free port; `got` holds (path, token, message)."""
    server: Any = HTTPServer(("127.0.0.1", 0), Receiver)
    server.got = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(program: str, *, said: str = "", **environment: str) -> str:
    """Run a program in a process of its own, which says that on stderr; returns what it prints."""
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "CXOTEL_", "PYTEST_"))
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, said) == (done.returncode, done.stderr)
    return done.stdout


def test_a_program_without_a_provider_gets_one(receiver: Any) -> None:
    """Spans and log records arrive with service name and headers, without any other set-up, at exit."""
    run(
        f"""
        import cxotel
        cxotel.configure(
            service_name="ivr", endpoint="http://127.0.0.1:{receiver.server_port}", headers={{"X-Token": "t"}}
        )
        with cxotel.start_call("c-1") as call:
            call.start_leg("carrier").stop()
        """,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
    )

    spans = [
        (span.name, span.trace_id.hex())
        for path, _, message in receiver.got
        if path == "/v1/traces"
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]
    ids = call_ids("c-1")
    assert [(name, ids.trace_id_hex) for name in ("call started", "carrier leg", "call inbound")] == spans
    events = [
        record.event_name
        for path, _, message in receiver.got
        if path == "/v1/logs"
        for group in message.resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]
    assert ["cx.call.started", "cx.call.ended"] == events
    assert {"t"} == {token for _, token, _ in receiver.got}
    assert {("service.name", "ivr")} <= {
        (one.key, one.value.string_value)
        for path, _, message in receiver.got
        if path == "/v1/traces"
        for one in message.resource_spans[0].resource.attributes
    }


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP/gRPC endpoint."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 (the service's own name)
        """Keep the names of the spans, and the token that came with them."""
        token = dict(context.invocation_metadata()).get("x-token", "")
        for group in request.resource_spans:
            for scope in group.scope_spans:
                self.got += [(span.name, token) for span in scope.spans]
        return ExportTraceServiceResponse()


def test_grpc_is_what_otlp_is_by_default() -> None:
    """As in OpenTelemetry's own SDK for Python; headers become lower-case metadata."""
    traces, server = Traces(), grpc.server(futures.ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(traces, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    run(
        f"""
        import cxotel
        cxotel.configure(endpoint="http://127.0.0.1:{port}", headers={{"X-Token": "t"}})
        cxotel.start_call("c-1").stop()
        """,
        OTEL_LOGS_EXPORTER="none",
    )
    server.stop(None).wait()

    assert [("call started", "t"), ("call inbound", "t")] == traces.got


def test_a_forked_worker_exports_its_own_spans_once(receiver: Any) -> None:
    """As under a pre-forking server: the child's queue begins empty, and its spans arrive."""
    run(
        f"""
        import os, cxotel
        cxotel.configure(endpoint="http://127.0.0.1:{receiver.server_port}")
        call = cxotel.start_call("parent")
        child = os.fork()
        if child == 0:
            cxotel.start_call("child").stop()
            call.stop()
            cxotel.shutdown()
            os._exit(0 if cxotel.counters() == {{"forked": 1}} else 1)
        assert os.waitpid(child, 0)[1] == 0
        call.stop()
        """,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_LOGS_EXPORTER="none",
    )

    spans = sorted(
        (span.name, span.trace_id.hex())
        for _, _, message in receiver.got
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    )
    wanted = [
        (name, call_ids(key).trace_id_hex)
        for name in ("call inbound", "call started")
        for key in ("parent", "child")
    ]
    assert sorted(wanted) == spans


NOTHING = """
    import sys
    if {api_only}:
        sys.modules["opentelemetry.sdk"] = None
    import cxotel
    cxotel.configure()
    headers = {{}}
    with cxotel.start_call("c-1") as call, call.start_media("softphone") as media:
        media.network.add_window(0, to_agent=cxotel.Figures(50, 20))
        call.inject(headers)
    print(headers["traceparent"], cxotel.flush(), "opentelemetry.sdk" in sys.modules, cxotel.counters())
"""


def test_with_the_api_alone_everything_works_and_nothing_is_recorded() -> None:
    """The context goes on as computed, and `configure` says what is missing."""
    ids = call_ids("c-1")
    printed = run(
        NOTHING.format(api_only=True),
        said="opentelemetry-sdk is not installed, nothing is recorded: pip install 'cxotel[sdk]'\n",
    )

    assert f"00-{ids.trace_id_hex}-{ids.span_id_hex}-01 True True {{}}\n" == printed


def test_the_core_imports_no_sdk() -> None:
    """Hosts choose their SDK."""
    program = (
        'import sys, cxotel; print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])'
    )

    assert "[]\n" == run(program)


@pytest.mark.parametrize(
    "environment",
    [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}],
)
def test_exporting_can_be_switched_off(environment: dict[str, str]) -> None:
    """By OpenTelemetry's own variables."""
    ids = call_ids("c-1")

    assert run(NOTHING.format(api_only=False), **environment).startswith(
        f"00-{ids.trace_id_hex}-{ids.span_id_hex}-01 True"
    )


def test_spans_can_go_to_the_console() -> None:
    """OTEL_TRACES_EXPORTER=console, with the resource of OTEL_RESOURCE_ATTRIBUTES."""
    printed = run(
        'import cxotel; cxotel.configure(); cxotel.start_call("c-1").stop()',
        OTEL_TRACES_EXPORTER="console",
        OTEL_LOGS_EXPORTER="none",
        OTEL_RESOURCE_ATTRIBUTES="service.name=from-env",
    )

    assert '"name": "call inbound"' in printed
    assert '"service.name": "from-env"' in printed
