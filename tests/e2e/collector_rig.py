"""A real otelcol-cx between a client that tries again and a backend that writes everything down.

All of it on free ports of loopback. The backend runs in this process: what arrived is known to the byte.
"""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from backends import free_ports
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from service import Service

from cxotel.otlp.proto import attributes_of

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.trace.v1 import trace_pb2

ROOT = Path(__file__).resolve().parents[2]
SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
# The waits of an exporter that tries again, shortened: a stop shall be met by many tries.
RETRY_SECONDS = (0.02, 0.2)
REQUEST_SECONDS = 10.0  # OTEL_EXPORTER_OTLP_TIMEOUT's default

# A rough backend: shares of answers, and how late.
LATE_SHARE, LATE_SECONDS, UNHEARD_SHARE = 0.05, 1.0, 0.05

# What an exporter tries again (OTLP, "Failures"), and what a connection that breaks looks like.
RETRIED = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.INTERNAL,
}

# With a storage for the judge, and for the exporter's queue if it has one.
CONFIG = """
extensions:
  file_storage: {{directory: "{storage}", create_directory: true, {storage_more}}}
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}
processors:
  cx_impact:
    storage: file_storage
    on_shutdown: {on_shutdown}
    grace: {grace}s
    correction_window: {window}s
exporters:
  otlp_grpc:
    endpoint: 127.0.0.1:{backend}
    tls: {{insecure: true}}
    timeout: 2s
    sending_queue: {queue}
    retry_on_failure: {{initial_interval: 100ms, max_interval: 500ms, max_elapsed_time: 0s}}
service:
  extensions: [file_storage]
  pipelines:
    traces: {{receivers: [otlp], processors: [cx_impact], exporters: [otlp_grpc]}}
  telemetry:
    logs: {{level: info}}
    metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}}}]}}
"""
QUEUE = "{storage: file_storage, queue_size: 10000}"
NO_QUEUE = "{enabled: false}"


def collector_binary() -> str | None:
    """The otelcol-cx that $CXOTEL_COLLECTOR names, or that `make collector` built; None if there is none."""
    path = Path(os.environ.get("CXOTEL_COLLECTOR") or ROOT / "collector" / "_build" / "otelcol-cx")
    return str(path) if path.exists() else None


@dataclass(frozen=True)
class Addresses:
    """Where an otelcol-cx listens, on free ports of loopback."""

    otlp: str  # host:port of gRPC
    http: str
    health: str
    verdicts: str  # the connector's metrics
    metrics: str  # its own

    @classmethod
    def free(cls) -> Addresses:
        """Five that nobody has."""
        return cls(*(f"127.0.0.1:{port}" for port in free_ports(5)))

    @property
    def environment(self) -> dict[str, str]:
        """What has the configurations of collector/configs listen there."""
        host, _, port = self.metrics.partition(":")
        return {
            "CX_OTLP_GRPC": self.otlp,
            "CX_OTLP_HTTP": self.http,
            "CX_HEALTH": self.health,
            "CX_VERDICT_METRICS": self.verdicts,
            "CX_OWN_METRICS_HOST": host,
            "CX_OWN_METRICS_PORT": port,
        }


class Collector(Service):
    """A process of otelcol-cx that is started again and again with the same configuration."""

    name = "the Collector"

    def __init__(
        self, folder: Path, backend: int, *, shipped: str = "", before: Iterable[str] = (), **more: Any
    ) -> None:
        """Writes a configuration; starts nothing.

        Args:
            folder: for the configuration, the log and the storage.
            backend: the port where spans go.
            shipped: the name of a configuration in collector/configs to use as it is, told by its variables.
            before: words in front of the command, such as `unshare`.
            more: other values of CONFIG's fields.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.before = folder, list(before)
        self.binary = collector_binary() or "otelcol-cx"
        self.addresses = Addresses.free()
        self.port, self.metrics_port = (
            int(address.rpartition(":")[2]) for address in (self.addresses.otlp, self.addresses.metrics)
        )
        self.storage = folder / "storage"
        self.log = folder / "collector.log"
        self.environment = {**os.environ, **self.addresses.environment, "CX_STATE_DIR": str(self.storage)}
        if shipped:
            self.config = ROOT / "collector" / "configs" / f"{shipped}.yaml"
            self.environment[f"{shipped.upper()}_OTLP_ENDPOINT"] = f"127.0.0.1:{backend}"
            return
        self.config = folder / "collector.yaml"
        fields = {
            "grace": 0.5,
            "window": 60,
            "on_shutdown": "persist",
            "queue": QUEUE,
            "storage_more": "timeout: 1s",
            **more,
        }
        self.config.write_text(
            CONFIG.format(
                storage=self.storage, port=self.port, backend=backend, metrics=self.metrics_port, **fields
            )
        )

    @property
    def command(self) -> list[str]:
        """What is run."""
        return [*self.before, self.binary, f"--config={self.config}"]

    def metric(self, name: str) -> float:
        """The sum of one of the processor's metrics, `processor_cx_impact_` left out; 0 if there is none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found = 0.0
        for line in lines:
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0].removesuffix("_total").removeprefix("otelcol_") == (
                f"processor_cx_impact_{name}"
            ):
                found += float(value)
        return found


class Backend:
    """An OTLP receiver that keeps every request, with the time of its arrival."""

    def __init__(self) -> None:
        [self.port] = free_ports(1)
        self.requests: list[tuple[float, bytes]] = []
        self.refuses: grpc.StatusCode | None = None
        self.rough: random.Random | None = None  # some answers are late, some are lost
        self._server: grpc.aio.Server | None = None

    async def up(self) -> None:
        """Takes requests from now on."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        export = grpc.unary_unary_rpc_method_handler(self._export)
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(SERVICE, {"Export": export})]
        )
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def down(self) -> None:
        """Refuses connections from now on."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def _export(self, request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        if self.refuses is not None:
            await context.abort(self.refuses, "refused by the test")
        self.requests.append((time.monotonic(), request))
        if self.rough is not None:
            if self.rough.random() < LATE_SHARE:
                await asyncio.sleep(self.rough.uniform(0, LATE_SECONDS))
            if self.rough.random() < UNHEARD_SHARE:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "taken, but the answer is lost")
        return b""

    async def settled(self, quiet: float) -> None:
        """Waits until nothing has come for so many seconds."""
        began = time.monotonic()
        while True:
            last = max(began, self.requests[-1][0] if self.requests else 0.0)
            if time.monotonic() - last > quiet:
                return
            await asyncio.sleep(0.1)

    def arrivals(self) -> Iterator[Arrival]:
        """Every span that came, in order."""
        for at, data in self.requests:
            for group in ExportTraceServiceRequest.FromString(data).resource_spans:
                resource = group.resource.SerializeToString(deterministic=True)
                for scoped in group.scope_spans:
                    scope = scoped.scope.SerializeToString(deterministic=True)
                    for span in scoped.spans:
                        content = resource + scope + span.SerializeToString(deterministic=True)
                        yield Arrival(at, span, scoped.scope.name, content)


@dataclass(frozen=True)
class Arrival:
    """A span that came to the backend; content is all of it, resource and scope included."""

    at: float
    span: trace_pb2.Span
    scope: str
    content: bytes

    @property
    def key(self) -> tuple[str, str]:
        """Trace id and span id, hex."""
        return self.span.trace_id.hex(), self.span.span_id.hex()

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes by name."""
        return attributes_of(self.span.attributes)


class Client:
    """Sends requests as an exporter does: again until they are acknowledged."""

    def __init__(self, port: int) -> None:
        self.tries = 0
        self.refused: list[grpc.StatusCode] = []  # for good
        self._channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{port}",
            options=[
                ("grpc.initial_reconnect_backoff_ms", 20),
                ("grpc.min_reconnect_backoff_ms", 20),
                ("grpc.max_reconnect_backoff_ms", 100),
            ],
        )
        self._export = self._channel.unary_unary(
            f"/{SERVICE}/Export", response_deserializer=ExportTraceServiceResponse.FromString
        )

    async def send(self, request: bytes, seconds: float = 600.0) -> float | None:
        """Sends until it is acknowledged; gives the time of that, None if it is refused for good.

        Raises:
            TimeoutError: it was not acknowledged in so many seconds.
        """
        until = time.monotonic() + seconds
        wait, longest = RETRY_SECONDS
        while True:
            self.tries += 1
            try:
                answer = await self._export(request, timeout=REQUEST_SECONDS)
            except grpc.aio.AioRpcError as error:
                if error.code() not in RETRIED:
                    self.refused.append(error.code())
                    return None
                if time.monotonic() > until:
                    raise TimeoutError(f"not acknowledged: {error.code()} {error.details()}") from None
                await asyncio.sleep(wait)
                wait = min(2 * wait, longest)
            else:
                if answer.partial_success.rejected_spans:
                    self.refused.append(grpc.StatusCode.INVALID_ARGUMENT)
                    return None
                return time.monotonic()

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()
