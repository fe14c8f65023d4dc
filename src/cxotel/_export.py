"""Providers for a program that has none: OpenTelemetry's SDK and exporters; what the queue loses is counted.

Imported only by `configure()`, and only where the SDK is installed.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)

from cxotel import _guard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

# A burst of 15,000 spans lost 6,808 of them with the SDK's default of 2,048 (measured); some 2 KB a span.
QUEUE = 16_384
# The SDK's default is 5 s; a live call should be seen sooner. Milliseconds.
DELAY = 1_000
_DEFAULT_SERVICE = "cxotel"


def tracer_provider(
    service_name: str | None, endpoint: str | None, headers: Mapping[str, str] | None
) -> TracerProvider:
    """A tracer provider that exports as OTEL_* variables and the arguments say."""
    sampler = None if os.environ.get("OTEL_TRACES_SAMPLER") else sampling.ParentBased(sampling.ALWAYS_ON)
    provider = TracerProvider(resource=_resource(service_name), sampler=sampler)
    for exporter in _exporters("traces", endpoint, headers):
        provider.add_span_processor(CountingBatch(exporter))
    return provider


def logger_provider(
    service_name: str | None, endpoint: str | None, headers: Mapping[str, str] | None
) -> LoggerProvider:
    """A logger provider, likewise."""
    provider = LoggerProvider(resource=_resource(service_name))
    for exporter in _exporters("logs", endpoint, headers):
        delay = None if os.environ.get("OTEL_BLRP_SCHEDULE_DELAY") else DELAY
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=delay))
    return provider


def _resource(service_name: str | None) -> Resource:
    named = service_name or os.environ.get("OTEL_SERVICE_NAME") or _DEFAULT_SERVICE
    declared = "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if declared and not (service_name or os.environ.get("OTEL_SERVICE_NAME")):
        return Resource.create()
    return Resource.create({SERVICE_NAME: named})


def _exporters(signal: str, endpoint: str | None, headers: Mapping[str, str] | None) -> list[Any]:
    chosen = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "otlp").split(",")
    made = []
    for name in (one.strip() for one in chosen):
        if name.startswith("otlp"):
            made.append(_otlp(signal, name, endpoint, headers))
        elif name == "console":
            made.append(ConsoleSpanExporter() if signal == "traces" else ConsoleLogExporter())
        elif name not in ("none", ""):
            hint = f"OTEL_{signal.upper()}_EXPORTER: {name!r} is none of otlp, console, none"
            _guard.count(_guard.BAD_VALUE, hint=hint)
    return made


def _otlp(signal: str, name: str, endpoint: str | None, headers: Mapping[str, str] | None) -> Any:
    protocol = (
        os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "grpc"
    )
    if name.endswith("_http") or (protocol.startswith("http") and not name.endswith("_grpc")):
        return _otlp_http(signal, endpoint, headers)
    return _otlp_grpc(signal, endpoint, headers)


def _otlp_http(signal: str, endpoint: str | None, headers: Mapping[str, str] | None) -> Any:
    url = f"{endpoint.rstrip('/')}/v1/{signal}" if endpoint else None
    if signal == "traces":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 (the one asked for)

        return OTLPSpanExporter(endpoint=url, headers=dict(headers) if headers else None)
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC0415 (the one asked for)

    return OTLPLogExporter(endpoint=url, headers=dict(headers) if headers else None)


def _otlp_grpc(signal: str, endpoint: str | None, headers: Mapping[str, str] | None) -> Any:
    # gRPC wants lower-case header names.
    lower = tuple((key.lower(), value) for key, value in headers.items()) if headers else None
    if signal == "traces":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 (the one asked for)

        return OTLPSpanExporter(endpoint=endpoint, headers=lower)
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter  # noqa: PLC0415 (the one asked for)

    return OTLPLogExporter(endpoint=endpoint, headers=lower)


class _Handover(SpanExporter):
    """Exporter that tells how many spans left the queue, and counts those that could not be delivered."""

    def __init__(self, exporter: SpanExporter, batch: CountingBatch) -> None:
        self._exporter = exporter
        self._batch = batch

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._batch.took(len(spans))
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:  # some exporters raise, which the SDK logs
            if result is not SpanExportResult.SUCCESS:
                _guard.count(_guard.EXPORT_FAILED, len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


class CountingBatch(SpanProcessor):
    """The SDK's batch processor behind a gate: what does not fit is counted, which the SDK only logs.

    OTEL_BSP_* variables hold; without them the queue is longer and the delay shorter than the SDK's.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._limit = _number("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE)
        self._waiting = 0
        self._lock = threading.RLock()  # a signal handler of the host's may end a span in here
        self._batch = BatchSpanProcessor(
            _Handover(exporter, self),
            max_queue_size=self._limit,
            schedule_delay_millis=_number("OTEL_BSP_SCHEDULE_DELAY", DELAY),
            max_export_batch_size=min(_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512), self._limit),
        )
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def took(self, number: int) -> None:
        """That many spans left the queue."""
        with self._lock:
            self._waiting -= number

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if there is room, else count it as dropped."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        with self._lock:
            room = self._waiting < self._limit
            self._waiting += room
        if room:
            self._batch.on_end(span)
        else:
            _guard.count(_guard.QUEUE_FULL)

    def shutdown(self) -> None:
        """Export what waits, then stop."""
        self._batch.shutdown()  # type: ignore[no-untyped-call]  # the SDK's, untyped

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Export what waits."""
        return bool(self._batch.force_flush(timeout_millis))

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._waiting = 0  # the SDK clears the child's queue


def _number(env: str, default: int) -> int:
    text = os.environ.get(env, "").strip()
    if not text:
        return default
    if text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text) > 0:
        return int(text)
    _guard.count(_guard.BAD_VALUE, hint=f"{env}: give a whole number above 0, not {text!r:.40}")
    return default
