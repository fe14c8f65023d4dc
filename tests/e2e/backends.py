"""Real Jaeger, Tempo and Prometheus for end-to-end tests, on free ports of loopback.

Looked for in this order: the variable CXOTEL_JAEGER, CXOTEL_TEMPO or CXOTEL_PROMETHEUS (a binary), the PATH,
an .xz in ../shared/servers, which is unpacked into the user's cache folder, and the server's
own container, where there is docker or podman.
"""

from __future__ import annotations

import json
import lzma
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVERS = Path(__file__).resolve().parents[2].parent / "shared" / "servers"
READY_SECONDS = 90  # Tempo takes about 10 s on an idle machine
STOP_SECONDS = 3  # nothing that a test's server has needs to be kept

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
# By default these are the same for every Tempo of a machine, and the next one finds what the last one left.
live_store: {{wal: {{path: {folder}/live}}, shutdown_marker_dir: {folder}/marker}}
block_builder: {{wal: {{path: {folder}/builder}}}}
backend_scheduler: {{local_work_path: {folder}/work}}
usage_report: {{reporting_enabled: false}}
"""
CONTAINERS = {
    "jaeger": "docker.io/jaegertracing/jaeger:2.20.0",
    "tempo": "docker.io/grafana/tempo:3.0.0",
    "prometheus": "docker.io/prom/prometheus:v3.5.0",
}


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

    def ask(self, path: str, **query: object) -> Any:
        """The JSON that its API answers, whatever it says.

        Raises:
            urllib.error.HTTPError: it refused.
        """
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}" if query else self.url + path
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)

    def values(self, query: str) -> list[float]:
        """What Prometheus answers to a query now, without the labels."""
        found = self.ask("/api/v1/query", query=query)["data"]["result"]
        return [float(one["value"][1]) for one in found]


def command(name: str, folder: Path) -> list[str]:
    """How a server is started; skips the test, saying what is missing, where there is none.

    A container sees the folder under its own name.
    """
    variable = f"CXOTEL_{name.upper()}"
    given = os.environ.get(variable) or shutil.which(name) or _unpacked(name)
    if given:
        return [given]
    for tool in ("docker", "podman"):
        if _works(tool):
            user = f"--user={os.getuid()}:{os.getgid()}"
            return [
                *(
                    tool,
                    "run",
                    "--rm",
                    "--network=host",
                    user,
                    f"--volume={folder}:{folder}",
                    f"--workdir={folder}",
                ),
                CONTAINERS[name],
            ]
    return pytest.skip(
        f"no {name} here: set {variable} to its binary, put it on the PATH, or have docker or podman"
    )


def _works(tool: str) -> bool:
    """Whether there are containers: the command may be there and its daemon not."""
    if shutil.which(tool) is None:
        return False
    return subprocess.run([tool, "info"], capture_output=True, timeout=30, check=False).returncode == 0


def _unpacked(name: str) -> str | None:
    packed = SERVERS / f"{name}.xz"
    if not packed.exists():
        return None
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
    started = [*command("jaeger", folder), "--config", str(config)]
    with _running(started, folder, f"http://127.0.0.1:{http}/api/services"):
        yield Backend(f"http://127.0.0.1:{http}", f"127.0.0.1:{otlp}")


@contextmanager
def tempo(folder: Path) -> Iterator[Backend]:
    """Tempo as one process, its blocks in a folder."""
    http, internal, otlp, gossip = free_ports(4)
    config = folder / "tempo.yaml"
    config.write_text(TEMPO.format(http=http, internal=internal, otlp=otlp, gossip=gossip, folder=folder))
    started = [*command("tempo", folder), f"-config.file={config}"]
    with _running(started, folder, f"http://127.0.0.1:{http}/ready"):
        yield Backend(f"http://127.0.0.1:{http}", f"127.0.0.1:{otlp}")


@contextmanager
def prometheus(folder: Path, config: Mapping[str, Any]) -> Iterator[Backend]:
    """Prometheus with that configuration, and with exemplars."""
    [http] = free_ports(1)
    file = folder / "prometheus.json"  # JSON is YAML
    file.write_text(json.dumps(config))
    started = [
        *command("prometheus", folder),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{http}",
        "--enable-feature=exemplar-storage",
    ]
    with _running(started, folder, f"http://127.0.0.1:{http}/-/ready"):
        yield Backend(f"http://127.0.0.1:{http}", "")


@contextmanager
def _running(started: list[str], folder: Path, ready: str) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(started, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    try:
        until = time.monotonic() + READY_SECONDS
        while not answers(ready):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{started[0]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """Whether something there says that it is well."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def judged(data: bytes) -> dict[str, Any]:
    """Attributes by trace id, as `cxotel judge --json` says them of OTLP/JSON or a backend's answer."""
    words = [sys.executable, "-m", "cxotel", "judge", "--json", "-"]
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    assert b"" == done.stderr
    return {line["trace_id"]: line["attributes"] for line in map(json.loads, done.stdout.splitlines())}
