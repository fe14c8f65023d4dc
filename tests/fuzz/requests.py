"""Fuzzes a real desk's three ports with requests that nobody should send.

    python tests/fuzz/requests.py [--requests 100000] [--seed 1]

Behind `make fuzz`. A desk (`cxotel serve`, in a process of its own) gets requests from drawn parts: methods,
paths, query strings, headers, bodies whole, cut, changed and zipped, over HTTP on both ports, bytes that are
no HTTP at all, and OTLP/gRPC. It may answer whatever says that the request is at fault, or that it is busy
(503, UNAVAILABLE, RESOURCE_EXHAUSTED). Found is: another 5xx, an unhandled error in its log, a process that
ends, memory that grows beyond RSS_MB, or a desk that does not take a good request in the end.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from desk_calls import whole_call

from cxotel.desk import wire
from cxotel.otlp.proto import to_request

RSS_MB = 600
THREADS = 8
# A desk turns away more than this in one go; not what is tried here.
BUSY = {503}
PATHS = (
    *("/v1/traces", "/v1/logs", "/v1/metrics", "/", "/received", "/now", "/events", "/api/calls", "/call"),
    *(
        "/call/{id}",
        "/call/{id}.json",
        "/call/{id}/otlp.json",
        "/static/desk.js",
        "/static/../app.py",
        "/health",
    ),
    *("/ready", "/metrics", "/login", "//", "/%00", "/call/%2e%2e", "/v1/traces/", "*", "/" + "a" * 3000),
)
VALUES = (
    *("", "0", "-1", "x", "5b" * 16, "%00", "%ff", "'", '"><script>', "1" * 400, "é", "NaN", "\u202e"),
    *("severe", "critical", "carrier", "9" * 19 + "-" + "5b" * 16, "2026-01-01", "a&b=c", "[]"),
)
NAMES = (
    *("before", "limit", "severity", "layer", "owner", "queue", "carrier", "site", "q", "key", "namespace"),
    *("from", "to", "call", "state", "customer"),
)
HEADERS = {
    "content-type": (
        "application/x-protobuf",
        "application/json",
        "text/html",
        "application/json; charset=x",
        "",
    ),
    "content-encoding": ("gzip", "identity", "br", "gzip, gzip", ""),
    "host": ("localhost", "evil.example", "127.0.0.1:1", "[::1]", "", "x" * 500),
    "origin": ("http://evil.example", "null", "http://127.0.0.1"),
    "authorization": ("Bearer x", "Basic eDp5", "Bearer \x80"),
    "cookie": ("session=x", "session=" + "a" * 3000),
    "accept": ("text/event-stream", "application/json", "*/*"),
    "transfer-encoding": ("chunked", "gzip, chunked"),
    "content-length": ("0", "5", "-1", "99999999999", "x"),
    "expect": ("100-continue",),
    "upgrade": ("websocket", "h2c"),
}


class Desk:
    """A desk in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "desk.log"
        command = [
            sys.executable,
            "-m",
            "cxotel",
            "serve",
            "--db",
            str(folder / "fuzz.sqlite"),
            "--grace",
            "0",
        ]
        for name in ("grpc", "http", "web"):
            command += [f"--{name}-port", "0"]
        self._out = self.log.open("wb")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._out, text=True)
        assert self.process.stdout is not None
        said = [self.process.stdout.readline() for _ in range(4)]
        self.web, self.grpc, self.http = (int(re.findall(r":(\d+)", line)[0]) for line in said[:3])

    @property
    def rss(self) -> float:
        """Resident memory, MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def stop(self) -> int:
        """Ends it; gives its exit status."""
        self.process.terminate()
        status = self.process.wait(30)
        self._out.close()
        return status


class Sender:
    """Sends requests in several threads, and writes down what came back."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.seed = desk, seed
        self.answers: Counter[str] = Counter()
        self.bad: list[str] = []
        self._call = whole_call("fuzz")
        request = to_request(self._call.spans)
        self._bodies = [
            request.SerializeToString(),
            json.dumps(wire.to_json(request)).encode(),
            b"",
            b"{}",
            b"[]",
        ]

    def run(self, requests: int) -> None:
        """Sends so many."""
        threads = [
            threading.Thread(target=self._some, args=(number, requests // THREADS))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _some(self, number: int, requests: int) -> None:
        rng = random.Random(f"{self.seed} {number}")
        channel = grpc.insecure_channel(f"127.0.0.1:{self.desk.grpc}")
        kinds = [self._http] * 7 + [self._bytes, self._grpc, self._grpc]
        for _ in range(requests):
            if self.desk.process.poll() is not None:
                return
            kind = rng.choice(kinds)
            with suppress(OSError, http.client.HTTPException):  # it hung up: its right
                answer = kind(rng, channel)
                self.answers[answer] += 1
        channel.close()

    def _body(self, rng: random.Random) -> bytes:
        body = bytearray(rng.choice(self._bodies))
        for _ in range(rng.choice((0, 0, 1, 3, 20))):
            if body:
                at = rng.randrange(len(body))
                body[at : at + rng.choice((1, 1, 2, 50))] = rng.randbytes(rng.choice((0, 1, 1, 8)))
        if rng.random() < 0.3:
            body = bytearray(gzip.compress(bytes(body), 1))
        if rng.random() < 0.1:
            body = body[: rng.randrange(len(body) + 1)]
        return bytes(body)

    def _http(self, rng: random.Random, _channel: grpc.Channel) -> str:
        path = rng.choice(PATHS).replace("{id}", rng.choice((self._call.trace_id, "0" * 32, "x", "5b" * 16)))
        ports = (
            (self.desk.http, self.desk.web) if path.startswith("/v1/") else (self.desk.web, self.desk.http)
        )
        port = ports[rng.random() < 0.1]
        if rng.random() < 0.5:
            pairs = [f"{rng.choice(NAMES)}={rng.choice(VALUES)}" for _ in range(rng.randint(1, 4))]
            path += "?" + "&".join(pairs)
        usual = "POST" if path.startswith("/v1/") else "GET"
        method = rng.choice((*[usual] * 8, "GET", "POST", "PUT", "OPTIONS", "HEAD", "DELETE", "X"))
        headers = {name: rng.choice(values) for name, values in HEADERS.items() if rng.random() < 0.15}
        if method == "POST" and rng.random() < 0.7:
            headers["content-type"] = rng.choice(HEADERS["content-type"][:2])
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        body = self._body(rng) if method in ("POST", "PUT") else b""
        if "host" not in headers:
            lines.append(f"host: 127.0.0.1:{port}")
        if "content-length" not in headers and "transfer-encoding" not in headers:
            lines.append(f"content-length: {len(body)}")
        lines += ["connection: close", "", ""]
        return self._exchange(port, "\r\n".join(lines).encode("utf-8", "replace") + body)

    def _bytes(self, rng: random.Random, _channel: grpc.Channel) -> str:
        port = rng.choice((self.desk.http, self.desk.web, self.desk.grpc))
        first = rng.choice((b"", b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01"))
        return "no HTTP: " + self._exchange(port, first + rng.randbytes(rng.choice((1, 50, 4000))))

    def _exchange(self, port: int, data: bytes) -> str:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.settimeout(0.5)
            one.sendall(data)
            try:
                answer = one.recv(4096)
            except TimeoutError:
                return "silent"
        status = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.") else "no answer"
        if status.startswith("5") and int(status) not in BUSY:
            self.bad.append(f"{status} for {data[:600]!r}")
        return status

    def _grpc(self, rng: random.Random, channel: grpc.Channel) -> str:
        service = rng.choice((*(signal.service for signal in wire.SIGNALS), "no.such.Service"))
        method = rng.choice(("Export", "Export", "Export", "export", ""))
        try:
            channel.unary_unary(f"/{service}/{method}")(self._body(rng), timeout=20)
        except grpc.RpcError as error:
            code = error.code()
            if code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
                self.bad.append(f"{code} for gRPC {service}/{method}: {error.details()}")
            return f"gRPC {code.name}"
        return "gRPC OK"


def main() -> int:
    """Sends, and says what was found; 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 2**31))
    options = parser.parse_args()
    print(f"{options.requests:,} requests, seed {options.seed}", flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory(prefix="cxotel-fuzz-") as folder:
        desk = Desk(Path(folder))
        sender = Sender(desk, options.seed)
        began = time.monotonic()
        sender.run(options.requests)
        found = sender.bad[:]
        if desk.process.poll() is not None:
            found.append(f"the desk ended with status {desk.process.returncode}")
        else:
            found += [] if desk.rss < RSS_MB else [f"{desk.rss:.0f} MB of memory"]
            found += _still_works(desk)
            print(f"  {desk.rss:.0f} MB after {time.monotonic() - began:.0f} s")  # noqa: T201
            status = desk.stop()
            found += [] if status == 0 else [f"it stopped with status {status}"]
        text = desk.log.read_text(errors="replace")
        found += re.findall(r"^Traceback.*", text, re.MULTILINE)[:3]
        if found:
            print(text[-6000:])  # noqa: T201
    for answer, count in sender.answers.most_common():
        print(f"  {count:>8,}  {answer}")  # noqa: T201
    for one in found[:20]:
        print(f"FOUND: {one}")  # noqa: T201
    return int(bool(found))


def _still_works(desk: Desk) -> list[str]:
    """Sends a good call and reads its page."""
    call = whole_call("after all that")
    channel = grpc.insecure_channel(f"127.0.0.1:{desk.grpc}")
    channel.unary_unary(f"/{wire.TRACES.service}/Export")(
        to_request(call.spans).SerializeToString(), timeout=20
    )
    channel.close()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", desk.web, timeout=20)
        connection.request("GET", f"/call/{call.trace_id}.json")
        answer = connection.getresponse()
        if answer.status == 200 and json.loads(answer.read())["state"] == "final":
            return []
        connection.close()
        time.sleep(0.1)
    return ["a good call was not judged after all that"]


if __name__ == "__main__":
    sys.exit(main())
