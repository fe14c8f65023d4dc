"""The desk as one object: receivers, store, judge and pages, started and stopped together."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sqlite3
import ssl
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import uvicorn

from cxotel.desk import grpc_server, http_server, operation, pages, report
from cxotel.desk.access import Access
from cxotel.desk.connections import MOST_CONNECTIONS, TimedProtocol
from cxotel.desk.destination import refuse_own
from cxotel.desk.forward import Forwarder, Forwarding
from cxotel.desk.judging import Worker
from cxotel.desk.lives import FINAL, PARTIAL, Rules
from cxotel.desk.receiver import Receiver
from cxotel.desk.retention import Retention
from cxotel.desk.settings import READY_BEHIND, Keep, Timing
from cxotel.desk.store import MEMORY, Store, StoreBusyError, StoreError
from cxotel.desk.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from cxotel.desk.access import Tls
    from cxotel.desk.links import Link

log = logging.getLogger("cxotel.desk")

# What is under way when asked to stop has this long, then it is cut off; docker stop waits 10 s.
STOP_SECONDS = 5
# As uvicorn has it.
BACKLOG = 2048
NO_ADDRESS = ": choose an address of this machine"
ADVICE = {
    errno.EADDRINUSE: ": choose another port",
    errno.EACCES: ": choose a port from 1024 on",
    errno.EADDRNOTAVAIL: NO_ADDRESS,
}


class Desk:
    """A desk in this process.

    Args:
        db: its file; ":memory:" is a temporary one.
        host: address to listen on.
        grpc_port: OTLP/gRPC; 0 takes a free port, like the others.
        http_port: OTLP/HTTP.
        web_port: the pages.
        timing: when calls are judged.
        keep: how long calls are kept.
        ready_behind: seconds that sorting or judging may be late for the desk to call itself ready.
        environment: OTEL_* variables that say where the desk's own metrics go; nowhere if left out.
        forwarding: what is handed on to where.
        links: to other tools, on each call's page.
        trust_stamped: a verdict on an incoming root is kept.
        access: who may send and read.

    `start()` raises `AccessError` if others could reach a desk that demands nothing, `OSError` for an address
    it cannot have, `StoreError` for a file that cannot be used and `DestinationError` for a backend that
    cannot be handed on to.
    """

    def __init__(
        self,
        db: str | Path = MEMORY,
        *,
        host: str = "127.0.0.1",
        grpc_port: int = 0,
        http_port: int = 0,
        web_port: int = 0,
        timing: Timing | None = None,
        keep: Keep | None = None,
        ready_behind: float = READY_BEHIND,
        environment: Mapping[str, str] | None = None,
        forwarding: Forwarding | None = None,
        links: tuple[Link, ...] = (),
        trust_stamped: bool = False,
        access: Access | None = None,
    ) -> None:
        self._environment = environment or {}
        self._keep, self._ready_behind = keep or Keep(), ready_behind
        self._db, self._host, self._timing = db, host, timing or Timing()
        self._forwarding = forwarding or Forwarding()
        self._access = access or Access()
        self._ports = {"grpc": grpc_port, "http": http_port, "web": web_port}
        self._links, self._trust_stamped = links, trust_stamped
        self._changes = Changes()
        self._started = False

    def start(self) -> Self:
        """Listen; returns itself once all three ports take connections."""
        self._access.check(self._host)
        with ExitStack() as undo:
            # Addresses first: a start that fails for one leaves no file behind.
            sockets = []
            for name in ("http", "web"):
                sockets.append(_listen(self._host, self._ports[name]))
                undo.callback(sockets[-1].close)
                self._ports[name] = sockets[-1].getsockname()[1]
            # gRPC listens by itself, and says neither what is wrong nor what to do about it.
            _listen(self._host, self._ports["grpc"]).close()
            refuse_own(self._forwarding.destinations, self._host, set(self._ports.values()))
            self.forwarder = Forwarder(self._forwarding)
            undo.callback(self.forwarder.close)
            self.store = Store(self._db)
            undo.callback(self.store.close)
            forwards = bool(self._forwarding.destinations)
            rules = Rules(
                self._timing.times,
                round(self._timing.settle * 1e9),
                trust_stamped=self._trust_stamped,
                forwards=forwards,
            )
            self._telemetry = Telemetry(self.store, self._host, set(self._ports.values()), self._environment)
            undo.callback(self._telemetry.close)
            self._worker = Worker(self.store, rules, self._changes.announce, told=self._telemetry.told)
            undo.callback(self._worker.close)
            try:
                self._worker.start()
            except (StoreBusyError, sqlite3.DatabaseError) as error:
                raise StoreError(self.store.trouble.text if self.store.trouble else str(error)) from error
            self._retention = Retention(self.store, self._keep)
            undo.callback(self._retention.close)
            self._retention.start()
            receiver = Receiver(self.store, self._worker.wake, telemetry=self._telemetry)
            self._grpc, self._ports["grpc"] = grpc_server.serve(
                receiver, self._host, self._ports["grpc"], self._access
            )
            undo.callback(self._grpc.stop, None)
            # Once more, now that the port is known.
            refuse_own(self._forwarding.destinations, self._host, set(self._ports.values()))
            addresses = pages.Addresses(self.grpc_endpoint, self.http_endpoint, self.forwarder.names)
            otlp = http_server.app(receiver, self._host, self._access)
            ports = {name: self._ports[name] for name in ("grpc", "http")}
            readiness = operation.Readiness(self.store, self._worker, self._host, ports, self._ready_behind)
            more = operation.routes(readiness, self._telemetry, self.store)
            web = pages.app(
                self.store,
                self._changes,
                self._host,
                self._timing,
                addresses,
                self._access,
                self._links,
                more,
            )
            self.forwarder.start(self.store)
            tls = self._access.tls
            senders = ssl.CERT_REQUIRED if tls and tls.client_ca else ssl.CERT_NONE
            self._web = _WebThread(
                [(otlp, sockets[0], _tls_options(tls, senders)), (web, sockets[1], _tls_options(tls))]
            )
            undo.pop_all()
        self._started = True
        return self

    def stop(self) -> None:
        """Finish what is under way, write it and let go of ports and file. More than once does no harm."""
        if not self._started:
            return
        self._started = False
        self._changes.close()
        self.forwarder.halt()
        self._grpc.stop(STOP_SECONDS).wait()
        self._web.close()
        self._worker.close()
        self._retention.close()
        self.forwarder.close()
        self._telemetry.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def grpc_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with protocol grpc."""
        return self._url("grpc")

    @property
    def http_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT with protocol http/protobuf or http/json."""
        return self._url("http")

    @property
    def web_url(self) -> str:
        """The page with all calls."""
        return self._url("web")

    def call_url(self, trace_id: str) -> str:
        """The page of one call."""
        return f"{self.web_url}/call/{trace_id}"

    def wait_until_sorted(self, timeout: float = 30.0) -> None:
        """Until all that was acknowledged so far is sorted into spans, logs and metrics.

        Raises:
            TimeoutError: some of it still waits after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self.store.rows("inbox_oldest"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"what was received is not sorted within {timeout:g} s")
            time.sleep(0.005)

    def wait_for_verdict(self, trace_id: str, timeout: float = 30.0) -> dict[str, Any]:
        """The final verdict (or that of a partial call) of a trace as `/call/<trace_id>.json` has it.

        Raises:
            TimeoutError: none after `timeout` seconds; says how far it came.
        """
        deadline = time.monotonic() + timeout
        key = bytes.fromhex(trace_id)
        while True:
            seen = self._changes.number
            row = report.call_row(self.store, key)
            if row is not None and row.state in (FINAL, PARTIAL) and row.due is None:
                found = report.verdict_report(self.store, key)
                if found is not None:
                    return found
            left = deadline - time.monotonic()
            if left <= 0:
                state = row.state if row is not None else "not received"
                raise TimeoutError(f"no final verdict of {trace_id} within {timeout:g} s: {state}")
            self._changes.wait(seen, min(left, 1.0))

    def _url(self, name: str) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._access.tls else 'http'}://{host}:{self._ports[name]}"


class Changes:
    """A number that grows with every verdict written, to wait for in threads and in the pages' event loop."""

    def __init__(self) -> None:
        self.number = 0
        self.closed = False
        self._condition = threading.Condition()

    def announce(self, _trace_id: bytes) -> None:
        """A verdict was written."""
        with self._condition:
            self.number += 1
            self._condition.notify_all()

    def close(self) -> None:
        """Let everybody who waits go."""
        with self._condition:
            self.closed = True
            self._condition.notify_all()

    def wait(self, seen: int, seconds: float) -> int:
        """The number as soon as it is not `seen`, or after `seconds`."""
        with self._condition:
            self._condition.wait_for(lambda: self.closed or self.number != seen, seconds)
            return self.number


class _WebThread:
    """Two uvicorn servers in one event loop in one thread."""

    def __init__(self, served: list[tuple[Any, socket.socket, dict[str, Any]]]) -> None:
        self._sockets = [one for _, one, _ in served]
        self._servers = [
            uvicorn.Server(
                uvicorn.Config(
                    application,
                    log_config=None,
                    access_log=False,
                    lifespan="off",
                    server_header=False,
                    timeout_graceful_shutdown=STOP_SECONDS,
                    http=TimedProtocol,
                    ws="none",
                    # Else X-Forwarded-For of this machine is believed, and may name a trusted proxy.
                    proxy_headers=False,
                    limit_concurrency=MOST_CONNECTIONS + 1,
                    **options,
                )
            )
            for application, _, options in served
        ]
        self._thread = threading.Thread(target=self._run, name="cxotel-desk-web", daemon=True)
        self._thread.start()
        while not all(server.started for server in self._servers):
            if not self._thread.is_alive():
                raise RuntimeError("the desk's web servers did not start")
            time.sleep(0.005)

    def _run(self) -> None:
        async def both() -> None:
            await asyncio.gather(
                *(
                    server.serve(sockets=[one])
                    for server, one in zip(self._servers, self._sockets, strict=True)
                )
            )

        asyncio.run(both())

    def close(self) -> None:
        for server in self._servers:
            server.should_exit = True
        self._thread.join()
        for one in self._sockets:
            one.close()


def _tls_options(tls: Tls | None, senders: ssl.VerifyMode = ssl.CERT_NONE) -> dict[str, Any]:
    """Options of uvicorn; certificates are asked of senders only, readers log in."""
    if not tls:
        return {}
    return {
        "ssl_certfile": tls.cert,
        "ssl_keyfile": tls.key,
        "ssl_ca_certs": tls.client_ca,
        "ssl_cert_reqs": senders,
    }


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol's number asyncio sets no TCP_NODELAY, and answers wait 40 ms for a delayed ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # Here, not when the server starts: two sockets may be bound to one port while neither listens.
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        # A name that does not resolve has a number of its own kind.
        advice = NO_ADDRESS if isinstance(error, socket.gaierror) else ADVICE.get(error.errno or 0, "")
        raise OSError(f"cannot listen on {host}:{port} ({error.strerror}){advice}") from error
    except TypeError as error:  # CPython's, for a name that no name server could be asked for
        listening.close()
        raise OSError(f"cannot listen on {host}:{port} (no host name){NO_ADDRESS}") from error
    return listening
