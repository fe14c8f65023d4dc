"""otelcol-cx with the configs that ship, on free ports of loopback, and what stands around it in the tests.

Environment variables say where a shipped config listens; one that the documentation shows has its addresses
written in it, so that a second one is laid over it.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import pytest
import yaml
from backends import answers
from collector_rig import ROOT, Addresses, collector_binary
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cxotel.otlp.proto import from_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Self

    from cxotel.impact import Span

CONFIGS = ROOT / "collector" / "configs"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
READY_SECONDS = 30.0
STOP_SECONDS = 30.0

T = TypeVar("T")


def eventually(ask: Callable[[], T], seconds: float, until: Callable[[T], bool] = bool) -> T:
    """Asks until the answer is good or time is up, and gives the last one."""
    end = time.monotonic() + seconds
    while not until(answer := ask()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer


def laid_over(base: Any, more: Any) -> Any:
    """Two configs in one as the Collector does it: maps are merged, everything else is replaced."""
    if not isinstance(base, Mapping) or not isinstance(more, Mapping):
        return more
    return {**base, **{key: laid_over(base.get(key), value) for key, value in more.items()}}


@dataclass(frozen=True)
class Otelcol:
    """A running otelcol-cx: where it takes OTLP, and where its metrics are."""

    otlp: str  # host:port of gRPC
    http: str  # host:port of HTTP
    metrics: str  # host:port of its own metrics
    verdicts: str  # host:port of the connector's metrics, where the config exports them
    log: Path
    process: subprocess.Popen[bytes]

    def metric(self, name: str, **labels: str) -> float:
        """One of its own metrics, summed over the series that have the labels; 0 if there is none."""
        return _sum(self.metrics, "otelcol_" + name, labels)

    def verdict_metric(self, name: str, **labels: str) -> float:
        """One of the connector's metrics, likewise."""
        return _sum(self.verdicts, name, labels)

    def stop(self) -> None:
        """SIGTERM, as in a rolling update.

        Raises:
            RuntimeError: it did not end in time, or not well.
        """
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = -9
        if status:
            raise RuntimeError(f"otelcol-cx ended with {status}: {self.log.read_text()[-3000:]}")


@contextmanager
def otelcol(
    folder: Path, *configs: str, over: Mapping[str, Any] | None = None, **env: str
) -> Iterator[Otelcol]:
    """Runs otelcol-cx.

    Args:
        folder: for its log, its state and the config that is laid over.
        configs: names of files in collector/configs, or paths of others, merged in that order.
        over: settings laid over them.
        env: environment variables that the configs read.

    Raises:
        RuntimeError: it did not start, or did not stop in order.
    """
    binary = collector_binary()
    if binary is None:
        missing = "no otelcol-cx: run `make collector` (needs Go), or set CXOTEL_COLLECTOR"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    folder.mkdir(parents=True, exist_ok=True)
    addresses = Addresses.free()
    command = [binary, *(f"--config={CONFIGS / name}" for name in configs)]
    laid: Any = over or {}
    if any(Path(name).is_absolute() for name in configs):
        laid = laid_over(moved(addresses, configs), laid)
    if laid:
        overlay = folder / "over.yaml"
        overlay.write_text(yaml.safe_dump(laid))
        command.append(f"--config={overlay}")
    log = folder / "collector.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **addresses.environment, "CX_STATE_DIR": str(folder / "state"), **env},
        )
    running = Otelcol(addresses.otlp, addresses.http, addresses.metrics, addresses.verdicts, log, process)
    try:
        url = f"http://{addresses.health}"
        eventually(lambda: answers(url) or process.poll() is not None, READY_SECONDS)
        if not answers(url):
            raise RuntimeError(f"otelcol-cx did not start: {log.read_text()[-3000:]}")
        yield running
        running.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def moved(addresses: Addresses, configs: Iterable[str]) -> dict[str, Any]:
    """Settings that have configs listen there, whatever they say themselves."""
    host, _, port = addresses.metrics.partition(":")
    reader = {"pull": {"exporter": {"prometheus": {"host": host, "port": int(port)}}}}
    protocols = {"grpc": {"endpoint": addresses.otlp}, "http": {"endpoint": addresses.http}}
    found: dict[str, Any] = {
        "extensions": {"health_check": {"endpoint": addresses.health}},
        "receivers": {"otlp": {"protocols": protocols}},
        "service": {"telemetry": {"metrics": {"readers": [reader]}}},
    }
    if any(
        "prometheus" in yaml.safe_load((CONFIGS / name).read_text()).get("exporters", {}) for name in configs
    ):
        found["exporters"] = {"prometheus": {"endpoint": addresses.verdicts}}
    return found


def _sum(address: str, name: str, labels: Mapping[str, str]) -> float:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = 0.0
    for line in lines:
        series = re.match(r"([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)", line)
        if series and series[1] == name:
            has = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', series[2] or ""))
            found += float(series[3]) if labels.items() <= has.items() else 0.0
    return found


class Receiver:
    """Takes OTLP over gRPC and keeps it."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        service, _, method = EXPORT[1:].partition("/")
        handler = grpc.unary_unary_rpc_method_handler(self._export)
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {method: handler})]
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()

    @property
    def endpoint(self) -> str:
        """Where it listens: host:port."""
        return f"127.0.0.1:{self.port}"

    def _export(self, request: bytes, _: grpc.ServicerContext) -> bytes:
        self.requests.append(request)
        return b""

    def spans(self) -> list[Span]:
        """All spans that came, in order."""
        return [
            span
            for data in list(self.requests)
            for span in from_request(ExportTraceServiceRequest.FromString(data))
        ]


def send(endpoint: str, requests: Iterable[bytes]) -> None:
    """Sends OTLP requests one after the other; each must be acknowledged.

    Raises:
        grpc.RpcError: one was refused.
    """
    with grpc.insecure_channel(endpoint) as channel:
        export = channel.unary_unary(EXPORT)
        for request in requests:
            export(request, timeout=30)
