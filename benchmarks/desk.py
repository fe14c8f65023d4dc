"""How much a desk takes and how quickly it shows it, beside decoding alone and beside Phoenix.

    python benchmarks/desk.py [burst] [steady] [peer] [stored] [big] [live] [--seconds 60] [--calls 300000]

Without names all of it. Sender and sink are in this process; the desk, and Phoenix (PyPI, arize-phoenix, in
an environment that is made on first use), in theirs; all on this machine. Sent are requests of 504 spans,
24 calls of 21 spans each, as in the benchmark of the Collector, over OTLP/gRPC on four connections; every
call is new.

burst   spans acknowledged (committed to disk) a second; then how long the rest took to be sorted and judged
steady  spans sorted, judged and handed on a second, from the first sent to the last verdict at a backend
peer    the same requests to Phoenix (SQLite, its default): acknowledged, and there to be asked for
stored  pages of a desk that has --calls calls of 20 spans: start, memory, calls page, filters, one call
big     one call of 10,000 spans
live    500 calls at a time: from the root's acknowledgement to its verdict in an open page's events
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from collector import METHOD, Sink, attribute, free_port, spans_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("burst", "steady", "peer", "stored", "big", "live")
CALLS_IN_REQUEST, CONNECTIONS, GRACE = 24, 4, 1.0
PEER = ROOT / ".venv-phoenix"
BURST = 25_000  # spans a second: what is promised is 20,000
QUESTIONS = 200  # asked of each page; p95 of them is told
WAIT_SECONDS = 900.0
# Half of every span id of a request, replaced by another each time: Phoenix takes equal ids for one span.
MARK = b"\xfe\xed\xfa\xce"


def say(text: str) -> None:
    """One line."""
    print(text, flush=True)


class Requests:
    """One request of many calls, given again and again with new trace and span ids."""

    def __init__(self, calls: int = CALLS_IN_REQUEST) -> None:
        request = trace_service_pb2.ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.append(attribute("service.name", "bench"))
        scoped = group.scope_spans.add()
        scoped.scope.name = "cxotel"
        for number in range(calls):
            spans = spans_of(number)
            ids = {
                span.span_id: MARK + (number * 100 + place).to_bytes(4, "big")
                for place, span in enumerate(spans)
            }
            for span in spans:
                span.span_id, span.parent_span_id = ids[span.span_id], ids.get(span.parent_span_id, b"")
            scoped.spans.extend(spans)
        self.spans = len(scoped.spans)
        self._ids = sorted({span.trace_id for span in scoped.spans})
        self._body = request.SerializeToString()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            body = self._body.replace(MARK, os.urandom(4))
            for trace_id in self._ids:
                body = body.replace(trace_id, os.urandom(16))
            yield body


def send(
    port: int, requests: Requests, seconds: float, most: float = float("inf")
) -> tuple[int, float, list[float]]:
    """Sends as fast as it is taken, or `most` spans a second; spans acknowledged, seconds, each answer's."""
    acknowledged, waits = [0] * CONNECTIONS, []
    began = time.monotonic()

    def one(place: int) -> None:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
        export, bodies = channel.unary_unary(METHOD), iter(requests)
        while (now := time.monotonic()) < began + seconds:
            if acknowledged[place] * CONNECTIONS > most * (now - began):
                time.sleep(0.005)
                continue
            body = next(bodies)
            asked = time.monotonic()
            while True:
                try:
                    export(body, timeout=60)
                    break
                except grpc.RpcError as error:
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED):
                        raise
                    time.sleep(0.1)
            waits.append(time.monotonic() - asked)
            acknowledged[place] += requests.spans
        channel.close()

    threads = [threading.Thread(target=one, args=(place,)) for place in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(acknowledged), time.monotonic() - began, waits


class Desk:
    """A desk in a process of its own."""

    def __init__(self, file: Path, *more: str) -> None:
        self.file = file
        self.grpc, self.http, self.web = free_port(), free_port(), free_port()
        ports = {"grpc": self.grpc, "http": self.http, "web": self.web}
        command = [sys.executable, "-m", "cxotel", "serve", "--db", str(file), "--grace", str(GRACE), *more]
        command += [word for name, port in ports.items() for word in (f"--{name}-port", str(port))]
        began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("Kept in"):
                break
        self.url = f"http://127.0.0.1:{self.web}"
        httpx.get(self.url + "/health", timeout=60)
        self.started = time.monotonic() - began

    def rss(self, what: str = "VmRSS") -> float:
        """Memory in MB; VmHWM is the most it ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{what}:")[2].split()[0]) / 1024

    def one(self, query: str) -> Any:
        """One value from its file."""
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30) as file:
            return file.execute(query).fetchone()[0]

    def wait(self, query: str) -> float:
        """Waits until a query gives 0; gives seconds."""
        began = time.monotonic()
        while self.one(query):
            if time.monotonic() - began > WAIT_SECONDS:
                raise TimeoutError(query)
            time.sleep(0.2)
        return time.monotonic() - began

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def desk(*more: str, file: Path | None = None) -> Iterator[Desk]:
    """A desk with a file of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="cxotel-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        running = Desk(file or Path(folder) / "bench.sqlite", *more)
        try:
            yield running
        finally:
            running.stop()


def request_of(spans: list[Span]) -> bytes:
    """One request with these spans."""
    request = trace_service_pb2.ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    scoped.scope.name = "cxotel"
    scoped.spans.extend(spans)
    return request.SerializeToString()


def decode_only(requests: Requests) -> float:
    """Spans a second that one core decodes, and no more."""
    bodies = [body for body, _ in zip(iter(requests), range(20), strict=False)]
    began, done = time.process_time(), 0
    while time.process_time() - began < 1:
        for body in bodies:
            trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            done += requests.spans
    return done / (time.process_time() - began)


# Empty once all is sorted, and once all is judged; without counting.
INBOX = "SELECT count(*) FROM (SELECT 1 FROM inbox LIMIT 1)"
DUE = "SELECT count(*) FROM (SELECT 1 FROM call WHERE due IS NOT NULL LIMIT 1)"
OUTBOX = "SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT 1)"


def place_of(waits: list[float], share: float) -> float:
    """The wait that this share of all is not longer than."""
    return sorted(waits)[int(len(waits) * share)]


def burst(seconds: float, _calls: int) -> None:
    """As fast as it is acknowledged, for a moment; then as a burst of --seconds."""
    requests = Requests()
    say(f"burst: decoding alone {decode_only(requests):,.0f} spans/s a core")
    for lasts, most in ((5.0, float("inf")), (seconds, BURST)):
        with desk() as running:
            spans, took, waits = send(running.grpc, requests, lasts, most)
            half, late = (place_of(waits, share) * 1e3 for share in (0.5, 0.99))
            wanted = "as fast as may be" if most == float("inf") else f"{most:,.0f} wanted"
            say(f"burst: {spans / took:,.0f} spans/s acknowledged for {took:.0f} s ({wanted})")
            say(f"burst: answers p50 {half:.0f} ms, p99 {late:.0f} ms")
            rest = running.wait(INBOX) + running.wait(DUE)
            say(f"burst: sorted and judged {spans / (took + rest):,.0f} spans/s, {rest:.0f} s after it")
            say(f"burst: {running.rss('VmHWM'):.0f} MB at most")


def steady(seconds: float, _calls: int) -> None:
    """Until the last verdict is at a backend."""
    sink, requests = Sink(), Requests()
    with desk("--forward", f"grpc://127.0.0.1:{sink.port}") as running:
        began = time.monotonic()
        spans, took, _ = send(running.grpc, requests, seconds, most=6_000)
        for query in (INBOX, DUE, OUTBOX):
            running.wait(query)
        whole = time.monotonic() - began
        say(f"steady: {spans:,} spans sent in {took:.0f} s, all done after {whole:.0f} s")
        say(f"steady: {spans / whole:,.0f} spans/s sorted, judged and handed on")
        say(f"steady: {running.rss('VmHWM'):.0f} MB at most")
    sink.server.stop(0)


def peer(seconds: float, _calls: int) -> None:
    """Phoenix with the same requests."""
    if not (PEER / "bin" / "phoenix").exists():
        say("peer: making an environment with arize-phoenix")
        venv.create(PEER, with_pip=True, clear=True)
        subprocess.run([PEER / "bin" / "pip", "install", "--quiet", "arize-phoenix"], check=True)
    ask_version = "import importlib.metadata as m; print(m.version('arize-phoenix'))"
    version = subprocess.check_output([PEER / "bin" / "python", "-c", ask_version], text=True).strip()
    requests = Requests()
    with tempfile.TemporaryDirectory(prefix="cxotel-bench-") as folder:
        port, web = free_port(), free_port()
        environment = os.environ | {
            "PHOENIX_WORKING_DIR": folder,
            "PHOENIX_GRPC_PORT": str(port),
            "PHOENIX_PORT": str(web),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        log = Path(folder) / "log"
        with log.open("wb") as out:
            command = [PEER / "bin" / "phoenix", "serve"]
            process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        try:
            _until(lambda: httpx.get(f"http://127.0.0.1:{web}/healthz", timeout=5).status_code == 200)
            began = time.monotonic()
            spans, took, _ = send(port, requests, seconds)
            acknowledged, last, still = spans / took, -1, time.monotonic()
            while time.monotonic() - still < 10 and last < spans:
                with sqlite3.connect(f"file:{folder}/phoenix.db?mode=ro", uri=True, timeout=30) as file:
                    (now,) = file.execute("SELECT count(*) FROM spans").fetchone()
                if now != last:
                    last, still = now, time.monotonic()
                time.sleep(0.5)
            whole = still - began
            say(
                f"peer: Phoenix {version}: {acknowledged:,.0f} spans/s acknowledged for {took:.0f} s, "
                f"{last:,} of {spans:,} kept, {last / whole:,.0f} spans/s until the last was"
            )
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _until(what: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if what():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise TimeoutError("it did not start")


def ask(url: str, path: Callable[[], str]) -> tuple[float, float]:
    """Median and p95 of a page's seconds."""
    took = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(QUESTIONS):
            asked = path()
            began = time.monotonic()
            answer = client.get(asked)
            took.append(time.monotonic() - began)
            if answer.status_code != 200:
                raise RuntimeError(f"{asked}: {answer.status_code}")
    return statistics.median(took), statistics.quantiles(took, n=20)[-1]


def fill(file: Path, calls: int) -> None:
    """Makes a desk's file with so many calls: some judged by a desk, then copied under new trace ids."""
    with desk(file=file) as running:
        _place(running, 2_000)
    began = time.monotonic()
    with sqlite3.connect(file, isolation_level=None) as to:
        to.execute("PRAGMA synchronous = OFF")
        to.execute("PRAGMA cache_size = -400000")
        base = [row[0] for row in to.execute("SELECT trace_id FROM call WHERE is_call")]
        tables = {
            name: [column[1] for column in to.execute(f"PRAGMA table_info({name})")]
            for name in ("span", "verdict", "call", "facet", "call_key")
        }
        rows: dict[bytes, dict[str, list[tuple[Any, ...]]]] = {}
        for trace_id in base:
            rows[trace_id] = {
                name: to.execute(f"SELECT * FROM {name} WHERE trace_id = ?", (trace_id,)).fetchall()
                for name in tables
            }
        (number,) = to.execute("SELECT max(id) FROM span").fetchone()
        made = len(base)
        while made < calls:
            to.execute("BEGIN")
            for trace_id in base:
                new, back = os.urandom(16), (made // len(base)) * 3_600_000_000_000
                for name, columns in tables.items():
                    copies = []
                    for row in rows[trace_id][name]:
                        values = dict(zip(columns, row, strict=True)) | {"trace_id": new}
                        if name == "span":
                            number += 1
                            values |= {
                                "id": number,
                                "digest": os.urandom(16),
                                "data": values["data"].replace(trace_id, new),
                            }
                        if "started" in values:
                            values["started"] -= back
                        if name == "call_key":
                            values["key"] = f"{values['key']} {made}"
                        copies.append(tuple(values.values()))
                    marks = ", ".join("?" * len(columns))
                    to.executemany(f"INSERT OR IGNORE INTO {name} VALUES ({marks})", copies)
                made += 1
            to.execute("COMMIT")
        to.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    say(
        f"stored: {made:,} calls made in {time.monotonic() - began:.0f} s, {file.stat().st_size / 1e9:.1f} GB"
    )


def _place(running: Desk, calls: int) -> None:
    """Sends calls that differ in what they are found by, and waits for their verdicts."""
    rng = random.Random(1)
    channel = grpc.insecure_channel(f"127.0.0.1:{running.grpc}")
    export = channel.unary_unary(METHOD)
    for first in range(0, calls, 20):
        request = trace_service_pb2.ExportTraceServiceRequest()
        scoped = request.resource_spans.add().scope_spans.add()
        scoped.scope.name = "cxotel"
        for number in range(first, first + 20):
            words = {
                "cx.queue.name": f"queue {rng.randrange(30)}",
                "cx.carrier.name": rng.choice(["Acme Telecom", "Bravo", "Charly", "Delta"]),
                "cx.site": f"site {rng.randrange(12)}",
                "cx.partner": rng.choice(["BPO North", "BPO South", "own"]),
                "hw.model": f"headset {rng.randrange(20)}",
            }
            spans = spans_of(number)[:-1][:19] + spans_of(number)[-1:]
            bad = rng.random() < 0.1
            for span in spans:
                span.trace_id = rng.randbytes(16) if span is spans[0] else spans[0].trace_id
                span.attributes.extend(attribute(name, word) for name, word in words.items())
                for pair in span.attributes:
                    if bad and pair.key == "cx.media.to_agent.loss_pct":
                        pair.value.string_value = "30*60"
            scoped.spans.extend(spans)
        export(request.SerializeToString(), timeout=60)
    channel.close()
    running.wait(INBOX)
    running.wait(DUE)


def stored(_seconds: float, calls: int) -> None:
    """Pages of a file that has grown."""
    with tempfile.TemporaryDirectory(prefix="cxotel-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        file = Path(folder) / "stored.sqlite"
        fill(file, calls)
        rng = random.Random(2)
        with desk("--keep-days", "0", "--keep-size", "0", file=file) as running:
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as found:
                some = [row[0].hex() for row in found.execute("SELECT trace_id FROM call LIMIT 2000")]
            ask(running.url, lambda: "/")
            figures = {
                "calls page": ask(running.url, lambda: "/"),
                "an older page": ask(running.url, lambda: f"/?before={_older(running, rng)}"),
                "one filter": ask(running.url, lambda: f"/?queue=queue+{rng.randrange(30)}"),
                "two filters": ask(
                    running.url, lambda: f"/?severity=severe&headset=headset+{rng.randrange(20)}"
                ),
                "three filters": ask(
                    running.url,
                    lambda: f"/?queue=queue+{rng.randrange(30)}&carrier=Bravo&site=site+{rng.randrange(12)}",
                ),
                "one call": ask(running.url, lambda: f"/call/{rng.choice(some)}"),
                "now": ask(running.url, lambda: "/now"),
            }
            for name, (half, most) in figures.items():
                say(f"stored: {name}: median {half * 1e3:.0f} ms, p95 {most * 1e3:.0f} ms")
            say(f"stored: started in {running.started:.1f} s, {running.rss():.0f} MB")


def _older(running: Desk, rng: random.Random) -> str:
    started, trace_id = running.one("SELECT min(started) FROM call"), "f" * 32
    newest = running.one("SELECT max(started) FROM call")
    return f"{rng.randrange(started, newest + 1)}-{trace_id}"


def big(_seconds: float, _calls: int) -> None:
    """One call of 10,000 spans."""
    with desk() as running:
        request = trace_service_pb2.ExportTraceServiceRequest()
        scoped = request.resource_spans.add().scope_spans.add()
        scoped.scope.name = "cxotel"
        spans = spans_of(1)
        scoped.spans.extend(spans)
        for number in range(10_000 - len(spans)):
            one = scoped.spans.add()
            one.CopyFrom(spans[1])
            one.span_id = (number + 1_000).to_bytes(8, "big")
        channel = grpc.insecure_channel(f"127.0.0.1:{running.grpc}")
        channel.unary_unary(METHOD)(request.SerializeToString(), timeout=60)
        channel.close()
        running.wait(INBOX)
        running.wait(DUE)
        half, most = ask(running.url, lambda: f"/call/{spans[0].trace_id.hex()}")
        say(f"big: a call of 10,000 spans opens in {half * 1e3:.0f} ms (median), {most * 1e3:.0f} ms (p95)")


def live(seconds: float, _calls: int) -> None:
    """Calls at a time, and how long their verdicts take to reach an open page."""
    with desk() as running:
        at_once = 500
        channel = grpc.insecure_channel(f"127.0.0.1:{running.grpc}")
        export = channel.unary_unary(METHOD)
        waits: dict[str, list[float]] = {"provisional": [], "final": []}
        for _ in range(at_once):  # that run, and are judged so far
            spans, trace_id = spans_of(0), os.urandom(16)
            for span in spans:
                span.trace_id = trace_id
            export(request_of(spans[:-1]), timeout=60)
        ends = time.monotonic() + min(seconds, 30.0)

        def one_call() -> None:
            spans, trace_id = spans_of(0), os.urandom(16)
            for span in spans:
                span.trace_id = trace_id
            export(request_of(spans[:-1]), timeout=60)
            time.sleep(2.0)
            with httpx.stream("GET", f"{running.url}/events?call={trace_id.hex()}", timeout=60) as stream:
                lines = stream.iter_lines()
                next(lines)
                export(request_of(spans[-1:]), timeout=60)
                began, state = time.monotonic(), ""
                for line in lines:
                    if not line.startswith("event: change"):
                        continue
                    now, before = time.monotonic() - began, state
                    page = f"{running.url}/call/{trace_id.hex()}.json"
                    state = httpx.get(page, timeout=60).json()["state"]
                    if state != before and state in waits:
                        waits[state].append(now)
                    if state == "final":
                        return

        def background() -> None:
            requests = Requests(1)
            send(running.grpc, requests, ends - time.monotonic(), most=at_once * requests.spans / 60)

        load = threading.Thread(target=background)
        load.start()
        while time.monotonic() < ends:
            threads = [threading.Thread(target=one_call) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        load.join()
        for name, seen in waits.items():
            half, most = place_of(seen, 0.5), place_of(seen, 0.99)
            say(f"live: root to {name} verdict on an open page: p50 {half:.2f} s, p99 {most:.2f} s")
        say(f"live: {len(waits['final'])} calls watched, grace {GRACE:g} s")


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--calls", type=int, default=300_000)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: there is {', '.join(PARTS)}")
    for name in options.parts or PARTS:
        globals()[name](options.seconds, options.calls)


if __name__ == "__main__":
    main()
