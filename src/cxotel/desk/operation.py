"""What is asked of a desk by what runs it: does it live (`/health`), is it ready, and how is it (`/metrics`).

They are on the pages' port. The first two are for anyone, as an orchestrator has no login, and tell nothing
of calls; the third is for who may read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sqlite3
import threading
import time
from concurrent.futures import TimeoutError as WaitTimeoutError
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cxotel.desk import findings
from cxotel.desk._sql import sql
from cxotel.desk.prometheus import CONTENT_TYPE
from cxotel.desk.store import StoreBusyError
from cxotel.desk.words import TROUBLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from cxotel.desk.judging import Worker
    from cxotel.desk.store import Store
    from cxotel.desk.telemetry import Telemetry

# Asked more often, the last answer holds: anyone may ask, and each look writes to the file.
AGAIN_SECONDS = 1.0
# Orchestrators wait 1 s by default (Kubernetes' timeoutSeconds), people 5 s; a write takes some 10 ms.
WRITE_SECONDS = 3.0
CONNECT_SECONDS = 1.0


class Readiness:
    """Looks whether a desk does its work.

    Args:
        store: the desk's file.
        worker: what sorts and judges.
        host: what the desk listens on.
        ports: by name, of OTLP.
        behind: seconds that received requests may wait to be sorted, and calls to be judged.
        clock: the time in ns since the epoch.
    """

    def __init__(
        self,
        store: Store,
        worker: Worker,
        host: str,
        ports: Mapping[str, int],
        behind: float,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store, self._worker, self._behind, self._clock = store, worker, behind, clock
        self._host, self._ports = _reached_by(host), ports
        self._lock = threading.Lock()
        self._seen: tuple[float, list[str]] | None = None

    def reasons(self) -> list[str]:
        """Why it is not ready; empty if it is."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > AGAIN_SECONDS:
                found = [*self._writing(), *self._working(), *self._listening()]
                self._seen = (time.monotonic(), found)
            return self._seen[1]

    def _writing(self) -> list[str]:
        if self._store.trouble is not None:
            return [TROUBLES[self._store.trouble.kind]]
        now = str(self._clock())
        try:
            self._store.write(lambda connection: connection.execute(sql("touch"), (now,))).result(
                WRITE_SECONDS
            )
        except (WaitTimeoutError, TimeoutError):
            return [f"the file was not written within {WRITE_SECONDS:g} s: the disk is too slow or locked"]
        except StoreBusyError as error:
            return [str(error)]
        return []

    def _working(self) -> list[str]:
        if not self._worker.is_alive:
            return ["the worker has ended, calls are kept and not judged: restart the desk"]
        try:
            oldest = self._store.rows("inbox_oldest")
            (due,) = self._store.rows("next_due")[0]
        except (sqlite3.Error, StoreBusyError) as error:
            return [f"the file cannot be read: {error}"]
        found = []
        for at, what in ((oldest[0][0] if oldest else None, "sorting"), (due, "judging")):
            late = (self._clock() - at) / 1e9 if at is not None else 0.0
            if late > self._behind:
                found.append(f"{what} is {late:.0f} s behind, over {self._behind:g} s")
        return found

    def _listening(self) -> list[str]:
        tried = [(name, port, _unreachable(self._host, port)) for name, port in self._ports.items()]
        return [
            f"OTLP/{name} does not answer on port {port}: {error}" for name, port, error in tried if error
        ]


def routes(readiness: Readiness, telemetry: Telemetry, store: Store) -> list[Route]:
    """`/health`, `/ready` and `/metrics`; and what `cxotel doctor` asks for."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})

    async def ready(_request: Request) -> Response:
        # Not in the pages' threads: those may all be busy with slow pages, and this must answer.
        reasons = await asyncio.to_thread(readiness.reasons)
        return JSONResponse(
            {"ready": not reasons, "reasons": reasons},
            503 if reasons else 200,
            {"cache-control": "no-store"},
        )

    async def metrics(_request: Request) -> Response:
        text = await asyncio.to_thread(telemetry.prometheus)
        return Response(text, media_type=CONTENT_TYPE, headers={"cache-control": "no-store"})

    def found(_request: Request) -> Response:
        said = [one.to_json() for one in findings.of_store(store, time.time_ns())]
        return JSONResponse({"findings": said}, headers={"cache-control": "no-store"})

    return [
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Route("/api/findings", found),
    ]


def _unreachable(host: str, port: int) -> str:
    """Why a port takes no connection, "" if it does."""
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _reached_by(host: str) -> str:
    """Where to reach what listens on `host`."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    return {4: "127.0.0.1", 6: "::1"}[address.version] if address.is_unspecified else str(address)
