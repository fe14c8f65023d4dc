"""A backend that takes OTLP over a real socket, keeps what came, and answers as it is told."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import uvicorn
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from cxotel.desk import wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request
    from typing_extensions import Self


class No(NamedTuple):
    """An answer that is no success.

    Attributes:
        code: HTTP status, or a gRPC status code.
        text: what is said.
        retry_after: in HTTP's header, or in seconds of a RetryInfo.
    """

    code: Any
    text: str = "not now"
    retry_after: Any = None


class Received(NamedTuple):
    """A request that came, taken or not."""

    signal: str
    message: Any
    headers: dict[str, str]
    size: int


class Backend:
    """OTLP/gRPC or OTLP/HTTP on loopback.

    Args:
        protocol: grpc or http.
        port: 0 takes a free one.
        tls: files of certificate and key.
        answer: of a signal's name and a request: a No, a response, or None for success.
    """

    def __init__(
        self,
        protocol: str,
        port: int = 0,
        *,
        tls: tuple[Path, Path] | None = None,
        answer: Callable[[str, Any], Any] = lambda _signal, _message: None,
    ) -> None:
        self.protocol, self.port, self.tls, self.answer = protocol, port, tls, answer
        self.came: list[Received] = []
        self.taken: list[Received] = []

    def __enter__(self) -> Self:
        self._stop = self._serve_grpc() if self.protocol == "grpc" else self._serve_http()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def url(self) -> str:
        """For --forward."""
        host = "localhost" if self.tls else "127.0.0.1"
        return f"{self.protocol}{'s' if self.tls else ''}://{host}:{self.port}"

    @property
    def spans(self) -> dict[tuple[bytes, bytes], list[bytes]]:
        """All spans that were taken, by trace and span id: what came of each, in order."""
        found = defaultdict(list)
        for one in list(self.taken):
            if one.signal == "traces":
                for span in spans_of(one.message):
                    found[span.trace_id, span.span_id].append(span.SerializeToString())
        return dict(found)

    def _take(self, signal: wire.Signal, body: bytes, headers: dict[str, str], size: int) -> Any:
        received = Received(signal.name, wire.decode(signal, body), headers, size)
        self.came.append(received)
        answer = self.answer(signal.name, received.message)
        if not isinstance(answer, No):
            self.taken.append(received)
        return answer or signal.response()

    def _serve_grpc(self) -> Callable[[], object]:
        server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        for signal in wire.SIGNALS:
            handler = grpc.unary_unary_rpc_method_handler(self._export(signal))
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(signal.service, {"Export": handler}),)
            )
        if self.tls:
            certificate, key = (one.read_bytes() for one in self.tls)
            trusted = grpc.ssl_server_credentials([(key, certificate)])
            self.port = server.add_secure_port(f"127.0.0.1:{self.port}", trusted)
        else:
            self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        server.start()
        return lambda: server.stop(None).wait()

    def _export(self, signal: wire.Signal) -> Callable[[bytes, Any], bytes]:
        def export(body: bytes, context: Any) -> bytes:
            answer = self._take(signal, body, dict(context.invocation_metadata()), len(body))
            if isinstance(answer, No):
                if answer.retry_after is not None:
                    detail = AnyMessage()
                    delay = Duration(nanos=round(answer.retry_after * 1e9))
                    detail.Pack(RetryInfo(retry_delay=delay))
                    status = Status(code=answer.code.value[0], details=[detail])
                    context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
                context.abort(answer.code, answer.text)
            return answer.SerializeToString()

        return export

    def _serve_http(self) -> Callable[[], object]:
        routes = [
            Route(f"/v1/{signal.name}", self._endpoint(signal), methods=["POST"]) for signal in wire.SIGNALS
        ]
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        files = {"ssl_certfile": self.tls[0], "ssl_keyfile": self.tls[1]} if self.tls else {}
        server = uvicorn.Server(
            uvicorn.Config(
                Starlette(routes=routes),
                log_config=None,
                lifespan="off",
                timeout_graceful_shutdown=1,
                **files,
            )
        )
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listening])), name="backend", daemon=True
        )
        thread.start()
        while not server.started:
            time.sleep(0.005)

        def stop() -> None:
            server.should_exit = True
            thread.join()
            listening.close()

        return stop

    def _endpoint(self, signal: wire.Signal) -> Callable[[Request], Any]:
        async def export(request: Request) -> Response:
            body = await request.body()
            size = len(body)
            if request.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            answer = await run_in_threadpool(self._take, signal, body, dict(request.headers), size)
            kind = "application/x-protobuf"
            if isinstance(answer, No):
                headers = {} if answer.retry_after is None else {"retry-after": str(answer.retry_after)}
                said = wire.status(2, answer.text).SerializeToString()
                return Response(said, answer.code, headers, kind)
            return Response(answer.SerializeToString(), 200, None, kind)

        return export


def spans_of(message: Any) -> list[Any]:
    """The spans of a request of traces."""
    return [span for group in message.resource_spans for scoped in group.scope_spans for span in scoped.spans]
