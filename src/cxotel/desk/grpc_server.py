"""OTLP/gRPC: three unary services over `Receiver`."""

from __future__ import annotations

import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from cxotel.desk import wire
from cxotel.desk.access import UNKNOWN_SENDER
from cxotel.desk.settings import MAX_BODY
from cxotel.desk.store import StoreBusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cxotel.desk.access import Access, Tls
    from cxotel.desk.receiver import Receiver

# Each request waits for its commit in a thread; 16 of them share one fsync and leave two cores their work.
THREADS = 16
# Requests at once, waiting ones included, whose messages are not read yet. Beyond it gRPC itself answers
# RESOURCE_EXHAUSTED, which OTLP has senders take for final: so it must not come before every sender has one.
MAX_REQUESTS = 1024
# Of one connection; an exporter has one or a few.
MAX_STREAMS = 128
# A body this far over the limit still reaches us, so that it is counted; one over even that is refused by
# gRPC itself, with the same code, and we never hear of it.
SPARE = 4 * 1024 * 1024
# From a request's headers to its message. A thread waits for it; exporters give a whole request 10 s.
MESSAGE_SECONDS = 10.0
# Agents whose softphones send directly: each keeps one open while it has calls.
MOST_CONNECTIONS = 1024
LIMITS = [
    ("grpc.max_receive_message_length", MAX_BODY + SPARE),
    # gRPC unzips without a limit (1.80 does; 1.85 stops at the length above), so that we do it.
    ("grpc.per_message_decompression", 0),
    ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    ("grpc.server_handshake_timeout_ms", 10_000),  # TLS and HTTP/2's opening; 120 s by default
    ("grpc.max_connection_idle_ms", 30_000),  # exporters send every 5 s, and come back by themselves
    # Whoever is silent is asked whether he is there, and forgotten after 20 s: a call's end in a tunnel.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]


def serve(receiver: Receiver, host: str, port: int, access: Access) -> tuple[grpc.Server, int]:
    """Start a server; returns it and its port (`port` 0 takes a free one).

    Raises:
        OSError: the port is taken.
    """
    server = grpc.server(
        ThreadPoolExecutor(THREADS, thread_name_prefix="cxotel-desk-grpc"),
        options=[
            *LIMITS,
            ("grpc.so_reuseport", 0),  # a second desk on the same port must fail, not share its calls
        ],
        maximum_concurrent_rpcs=MAX_REQUESTS,
    )
    patience = _Patience()
    for signal in wire.SIGNALS:
        # For the sender it is unary, which on the wire is the same; to us it comes before its message does.
        handler = grpc.stream_unary_rpc_method_handler(_export(receiver, signal, access, patience))
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(signal.service, {"Export": handler}),)
        )
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = (
            server.add_secure_port(address, _credentials(access.tls))
            if access.tls
            else server.add_insecure_port(address)
        )
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address} (is it taken?)") from error
    server.start()
    return server, bound


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    client_ca = Path(tls.client_ca).read_bytes() if tls.client_ca else None
    pair = (Path(tls.key).read_bytes(), Path(tls.cert).read_bytes())
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)


class _Patience:
    """Takes the one message of each request; who does not deliver it in time is cut off (CANCELLED).

    One thread looks after all, while there are any: a timer for each costs as much as keeping a span.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[float, Any]] = {}
        self._looks = False

    def message(self, requests: Iterator[bytes], context: Any) -> bytes:
        """The message of a request."""
        with self._lock:
            self._waiting[id(context)] = (time.monotonic() + MESSAGE_SECONDS, context)
            begins, self._looks = not self._looks, True
        if begins:
            threading.Thread(target=self._look, name="cxotel-desk-patience", daemon=True).start()
        try:
            return next(requests)
        except StopIteration:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a request without a message")
            raise
        finally:
            with self._lock:
                del self._waiting[id(context)]

    def _look(self) -> None:
        while True:
            time.sleep(MESSAGE_SECONDS / 10)
            with self._lock:
                self._looks = bool(self._waiting)
                if not self._looks:
                    return
                late = [context for until, context in self._waiting.values() if until < time.monotonic()]
            for context in late:
                context.cancel()


def _unzipped(body: bytes) -> bytes:
    """A message as it was before gzip or deflate, which are told by their first byte: OTLP begins with 0a."""
    if body[:1] == b"\x1f":
        return wire.gunzip(body, MAX_BODY)
    if body[:1] == b"\x78":
        inflating = zlib.decompressobj()
        try:
            body = inflating.decompress(body, MAX_BODY + 1)
        except zlib.error as error:
            raise wire.BadBodyError(f"not deflate: {error}") from None
        if len(body) <= MAX_BODY and not inflating.eof:
            raise wire.BadBodyError("not deflate: the body ends too soon")
    if len(body) > MAX_BODY:
        raise wire.TooLargeError(f"the body is larger than {MAX_BODY} bytes: send smaller batches")
    return body


def _token(context: Any) -> str:
    return next((str(v) for k, v in context.invocation_metadata() if k == "authorization"), "")


def _export(
    receiver: Receiver, signal: wire.Signal, access: Access, patience: _Patience
) -> Callable[[Iterator[bytes], grpc.ServicerContext], bytes]:
    def export(requests: Iterator[bytes], context: Any) -> bytes:
        if not access.may_send(_token(context)):
            receiver.refuse("token", UNKNOWN_SENDER, signal.name)
            context.abort(grpc.StatusCode.UNAUTHENTICATED, UNKNOWN_SENDER)
        body = patience.message(requests, context)
        try:
            answer = receiver.accept(signal, wire.decode(signal, _unzipped(body)))
        except wire.TooLargeError as error:
            receiver.refuse("size", str(error), signal.name)
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except wire.BadBodyError as error:
            receiver.refuse("body", str(error), signal.name)
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except StoreBusyError as error:
            receiver.refuse("busy", str(error), signal.name)
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        reply: bytes = answer.SerializeToString()
        return reply

    return export
