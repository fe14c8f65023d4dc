"""The example softphone, run as its README says: under `opentelemetry-instrument`, without a line of ours."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cxotel.impact import judge
from cxotel.otlp import from_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.impact import Span

pytestmark = pytest.mark.media

EXAMPLE = Path(__file__).parent.parent / "examples" / "softphone" / "softphone.py"
INSTRUMENT = Path(sys.executable).parent / "opentelemetry-instrument"


class Receiver:
    """A second opinion on what was exported: an OTLP/HTTP receiver of OpenTelemetry's own messages."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    request = ExportTraceServiceRequest.FromString(body)
                    receiver.spans += from_request(request)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that send a program's telemetry here."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        return {
            **kept,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "softphone",
        }

    def traces(self) -> dict[str, list[Span]]:
        """The spans by their trace id."""
        found: dict[str, list[Span]] = defaultdict(list)
        for each in self.spans:
            found[each.trace_id].append(each)
        return found

    def close(self) -> None:
        """Close the socket."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver for one test."""
    opened = Receiver()
    yield opened
    opened.close()


@contextmanager
def phone(receiver: Receiver, *arguments: str, script: Path = EXAMPLE) -> Iterator[subprocess.Popen[str]]:
    """A program under `opentelemetry-instrument`; what is left of it in the end is killed."""
    command = [INSTRUMENT, sys.executable, script, *arguments]
    process = subprocess.Popen(command, env=receiver.environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_for(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first line of its output that matches."""
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"no line matches {pattern!r}")


def test_a_call_between_two_softphones_is_two_judged_traces(receiver: Receiver) -> None:
    """Each side's own, with root, connect and both legs, and a verdict of no harm."""
    with phone(receiver, "answer") as answering:
        address = wait_for(answering, r"answering on (\S+)")[1]
        with phone(receiver, "call", address, "--seconds", "6") as calling:
            assert (0, 0) == (calling.wait(30), answering.wait(30))
    traces = receiver.traces()
    roots = sorted(each.name for spans in traces.values() for each in spans if each.parent_id == "")
    assert ["call inbound", "call outbound"] == roots
    for spans in traces.values():
        verdict = judge(spans).attributes
        assert ("none", False, "1") == tuple(
            verdict[f"cx.impact.{key}"] for key in ("severity", "partial", "model")
        )


HANGS_UP_NEVER = """
import asyncio, os, signal, sys
sys.path.insert(0, {tests!r})
from webrtc_pair import peer, talk, listen, negotiate, connected

async def main():
    a, b = peer(), peer()
    for pc in (a, b):
        talk(pc)
        listen(pc)
    await negotiate(a, b)
    await connected(a, b)
    print("connected", flush=True)
    {then}
    await asyncio.sleep({seconds})

{before}
asyncio.run(main())
"""


def never_hangs_up(folder: Path, *, seconds: float, before: str = "", then: str = "pass") -> Path:
    """A program that leaves its connections open."""
    script = folder / "program.py"
    here = str(Path(__file__).parent)
    script.write_text(HANGS_UP_NEVER.format(tests=here, seconds=seconds, before=before, then=then))
    return script


def roots_after(receiver: Receiver, process: subprocess.Popen[str]) -> list[str]:
    """Names of the roots that arrived, once the process is gone."""
    process.wait(30)
    return sorted(each.name for each in receiver.spans if each.parent_id == "")


def test_program_that_just_ends_still_exports_its_calls(receiver: Receiver, tmp_path: Path) -> None:
    """No connection was closed, and nothing was flushed by the program."""
    with phone(receiver, script=never_hangs_up(tmp_path, seconds=0.5)) as process:
        assert ["call inbound", "call outbound"] == roots_after(receiver, process)
        assert 0 == process.returncode


def test_program_that_is_terminated_still_exports_its_calls(receiver: Receiver, tmp_path: Path) -> None:
    """SIGTERM, which Python dies of at once: the exit status is still that of the signal."""
    with phone(receiver, script=never_hangs_up(tmp_path, seconds=60)) as process:
        wait_for(process, "connected")
        process.terminate()
        assert ["call inbound", "call outbound"] == roots_after(receiver, process)
        assert -signal.SIGTERM == process.returncode


def test_hosts_own_signal_handler_stays(receiver: Receiver, tmp_path: Path) -> None:
    """Who handles SIGTERM goes on doing so."""
    before = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
    with phone(receiver, script=never_hangs_up(tmp_path, seconds=60, before=before)) as process:
        wait_for(process, "connected")
        process.terminate()
        assert ["call inbound", "call outbound"] == roots_after(receiver, process)
        assert 7 == process.returncode


def test_forked_child_exports_nothing_of_its_parents_calls(receiver: Receiver, tmp_path: Path) -> None:
    """It has only a copy, which ends with it in silence.

    The child runs what Python runs at exit, but not libav's destructors: those wait for threads it has not.
    """
    then = "os.fork() or (__import__('atexit')._run_exitfuncs(), os._exit(0))"
    with phone(receiver, script=never_hangs_up(tmp_path, seconds=1, then=then)) as process:
        assert ["call inbound", "call outbound"] == roots_after(receiver, process)


def test_terminated_program_does_not_outlive_a_dead_backend(tmp_path: Path) -> None:
    """Flushing is given up after its grace."""
    unreachable = Receiver()
    unreachable.close()
    with phone(unreachable, script=never_hangs_up(tmp_path, seconds=60)) as process:
        wait_for(process, "connected")
        process.terminate()
        began = time.monotonic()
        process.wait(30)
        assert time.monotonic() - began < 6
