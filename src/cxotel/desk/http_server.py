"""OTLP/HTTP: POST /v1/traces, /v1/logs and /v1/metrics, protobuf or JSON, gzip or plain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from cxotel.desk import wire
from cxotel.desk.access import UNKNOWN_SENDER
from cxotel.desk.guard import LoopbackGuard, OriginGuard
from cxotel.desk.settings import MAX_BODY
from cxotel.desk.store import StoreBusyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from cxotel.desk.access import Access
    from cxotel.desk.receiver import Receiver

PROTOBUF, JSON = "application/x-protobuf", "application/json"
UNAUTHENTICATED = 16  # google.rpc.Code


class _TurnedAwayError(Exception):
    """An answer that is no success: HTTP status, Status code, what is counted, text, headers."""

    def __init__(self, http: int, code: int, what: str, text: str, **headers: str) -> None:
        super().__init__(text)
        self.http, self.code, self.what, self.text, self.headers = http, code, what, text, headers


def app(receiver: Receiver, host: str, access: Access) -> Starlette:
    """The ASGI application."""
    routes = [
        Route(f"/v1/{signal.name}", _endpoint(receiver, signal, access), methods=["POST"])
        for signal in wire.SIGNALS
    ]
    application = Starlette(routes=routes)
    application.add_middleware(
        OriginGuard, access.cors_origins, refused=lambda text: receiver.refuse("origin", text)
    )
    application.add_middleware(LoopbackGuard, host=host)
    return application


def _endpoint(
    receiver: Receiver, signal: wire.Signal, access: Access
) -> Callable[[Request], Awaitable[Response]]:
    async def export(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        as_json = kind != PROTOBUF
        try:
            _check_token(request, access)
            _check_headers(request, kind)
            body = await _read(request)
            answer = await run_in_threadpool(_accept, receiver, signal, request, body, as_json=as_json)
        except _TurnedAwayError as error:
            receiver.refuse(error.what, error.text, signal.name)
            return Response(
                wire.response_body(wire.status(error.code, error.text), as_json=as_json),
                error.http,
                error.headers,
                JSON if as_json else PROTOBUF,
            )
        return Response(answer, 200, None, kind)

    return export


def _check_token(request: Request, access: Access) -> None:
    if not access.may_send(request.headers.get("authorization", "")):
        raise _TurnedAwayError(
            401, UNAUTHENTICATED, "token", UNKNOWN_SENDER, **{"www-authenticate": "Bearer"}
        )


def _check_headers(request: Request, kind: str) -> None:
    if kind not in (PROTOBUF, JSON):
        raise _TurnedAwayError(
            415, wire.INVALID_ARGUMENT, "type", f"content type {kind[:80]!r}: send {PROTOBUF} or {JSON}"
        )
    encoding = _encoding(request)
    if encoding not in ("", "identity", "gzip"):
        raise _TurnedAwayError(
            415,
            wire.INVALID_ARGUMENT,
            "type",
            f"content encoding {encoding[:80]!r}: send gzip or none",
            **{"accept-encoding": "gzip"},
        )


def _encoding(request: Request) -> str:
    return request.headers.get("content-encoding", "").strip().lower()


async def _read(request: Request) -> bytes:
    """The body as sent, at most MAX_BODY bytes of it."""
    too_large = _TurnedAwayError(
        413,
        wire.INVALID_ARGUMENT,
        "size",
        f"the body is larger than {MAX_BODY} bytes: send smaller batches",
        connection="close",
    )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > MAX_BODY:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise too_large
    except ClientDisconnect:
        raise _TurnedAwayError(
            400, wire.INVALID_ARGUMENT, "body", "the sender hung up before the body was whole"
        ) from None
    return bytes(body)


def _accept(
    receiver: Receiver, signal: wire.Signal, request: Request, body: bytes, *, as_json: bool
) -> bytes:
    try:
        if _encoding(request) == "gzip":
            body = wire.gunzip(body, MAX_BODY)
        message, spoiled = wire.decode_json(signal, body) if as_json else (wire.decode(signal, body), [])
        return wire.response_body(receiver.accept(signal, message, spoiled), as_json=as_json)
    except wire.TooLargeError as error:
        raise _TurnedAwayError(413, wire.INVALID_ARGUMENT, "size", str(error)) from None
    except wire.BadBodyError as error:
        raise _TurnedAwayError(400, wire.INVALID_ARGUMENT, "body", str(error)) from None
    except StoreBusyError as error:
        raise _TurnedAwayError(503, wire.UNAVAILABLE, "busy", str(error), **{"retry-after": "2"}) from None
