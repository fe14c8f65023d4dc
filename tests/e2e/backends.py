"""Real Jaeger and Tempo for end-to-end tests, on free ports of loopback, from binaries on the machine.

Looked for in this order: the variable CXOTEL_JAEGER or CXOTEL_TEMPO (a binary), the PATH, and an .xz in
../shared/servers beside the project, which is unpacked into the user's cache folder.
"""

from __future__ import annotations

import lzma
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = Path(__file__).resolve().parents[2].parent / "shared" / "servers"
READY_SECONDS = 90  # Tempo takes about 10 s on an idle machine

JAEGER = """
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
  telemetry: {{metrics: {{level: none}}}}
extensions:
  jaeger_storage: {{backends: {{mem: {{memory: {{max_traces: 100000}}}}}}}}
  jaeger_query:
    storage: {{traces: mem}}
    http: {{endpoint: 127.0.0.1:{http}}}
    grpc: {{endpoint: 127.0.0.1:{internal}}}
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: 127.0.0.1:{otlp}}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: mem}}
"""
TEMPO = """
stream_over_http_enabled: true
server:
  http_listen_address: 127.0.0.1
  http_listen_port: {http}
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: {internal}
  log_level: error
distributor:
  receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{otlp}"}}}}}}}}
memberlist: {{bind_addr: [127.0.0.1], bind_port: {gossip}}}
storage:
  trace:
    backend: local
    wal: {{path: {folder}/wal}}
    local: {{path: {folder}/blocks}}
usage_report: {{reporting_enabled: false}}
"""


@dataclass(frozen=True)
class Backend:
    """A running server: where its API is and where it takes OTLP over gRPC."""

    url: str
    otlp: str

    def get(self, path: str, seconds: float = 20.0) -> bytes:
        """An answer of its API, asked for until it is there.

        Raises:
            TimeoutError: it was not there in time; the text is the last answer.
        """
        until = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                    body: bytes = answer.read()
                    if b'"spans"' in body:
                        return body
            except urllib.error.HTTPError as error:
                body = error.read()
            if time.monotonic() > until:
                raise TimeoutError(f"{path}: {body[:300]!r}")
            time.sleep(0.2)


def binary(name: str) -> str:
    """The path of a server's binary; skips the test, saying what is missing, where there is none."""
    variable = f"CXOTEL_{name.upper()}"
    given = os.environ.get(variable) or shutil.which(name)
    if given:
        return given
    packed = SERVERS / f"{name}.xz"
    if not packed.exists():
        pytest.skip(f"no {name} here: set {variable} to its binary, or put it on the PATH")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxotel-tests"
    cache.mkdir(parents=True, exist_ok=True)
    unpacked = cache / f"{name}-{packed.stat().st_size}"
    if not unpacked.exists():
        part = cache / f"{name}.{os.getpid()}"
        with lzma.open(packed) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target)
        part.chmod(0o755)
        part.rename(unpacked)
    return str(unpacked)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on just now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def jaeger(folder: Path) -> Iterator[Backend]:
    """Jaeger v2, all in memory."""
    http, internal, otlp = free_ports(3)
    config = folder / "jaeger.yaml"
    config.write_text(JAEGER.format(http=http, internal=internal, otlp=otlp))
    with _running(
        [binary("jaeger"), "--config", str(config)], folder, f"http://127.0.0.1:{http}/api/services"
    ):
        yield Backend(f"http://127.0.0.1:{http}", f"127.0.0.1:{otlp}")


@contextmanager
def tempo(folder: Path) -> Iterator[Backend]:
    """Tempo as one process, its blocks in a folder."""
    http, internal, otlp, gossip = free_ports(4)
    config = folder / "tempo.yaml"
    config.write_text(TEMPO.format(http=http, internal=internal, otlp=otlp, gossip=gossip, folder=folder))
    with _running([binary("tempo"), f"-config.file={config}"], folder, f"http://127.0.0.1:{http}/ready"):
        yield Backend(f"http://127.0.0.1:{http}", f"127.0.0.1:{otlp}")


@contextmanager
def _running(command: list[str], folder: Path, ready: str) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    try:
        until = time.monotonic() + READY_SECONDS
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
