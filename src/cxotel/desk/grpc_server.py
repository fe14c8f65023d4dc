"""OTLP/gRPC: three unary services over `Receiver`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc

from cxotel.desk import wire
from cxotel.desk.settings import MAX_BODY
from cxotel.desk.store import StoreBusyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cxotel.desk.receiver import Receiver

# Each request waits for its commit in a thread; 16 of them share one fsync and leave two cores their work.
THREADS = 16
# Requests at once, waiting ones included; senders beyond it get RESOURCE_EXHAUSTED and come back.
MAX_REQUESTS = 128
# A body this far over the limit still reaches us, so that it is counted; one over even that is refused by
# gRPC itself, with the same code, and we never hear of it.
SPARE = 4 * 1024 * 1024


def serve(receiver: Receiver, host: str, port: int) -> tuple[grpc.Server, int]:
    """Start a server; returns it and its port (`port` 0 takes a free one).

    Raises:
        OSError: the port is taken.
    """
    server = grpc.server(
        ThreadPoolExecutor(THREADS, thread_name_prefix="cxotel-desk-grpc"),
        options=[
            ("grpc.max_receive_message_length", MAX_BODY + SPARE),
            ("grpc.so_reuseport", 0),  # a second desk on the same port must fail, not share its calls
        ],
        maximum_concurrent_rpcs=MAX_REQUESTS,
    )
    for signal in wire.SIGNALS:
        handler = grpc.unary_unary_rpc_method_handler(_export(receiver, signal))
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(signal.service, {"Export": handler}),)
        )
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address} (is it taken?)") from error
    server.start()
    return server, bound


def _export(receiver: Receiver, signal: wire.Signal) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def export(body: bytes, context: Any) -> bytes:
        if len(body) > MAX_BODY:
            text = f"the body is larger than {MAX_BODY} bytes: send smaller batches"
            receiver.refuse("size", text, signal.name)
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        try:
            answer = receiver.accept(signal, wire.decode(signal, body))
        except wire.BadBodyError as error:
            receiver.refuse("body", str(error), signal.name)
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except StoreBusyError as error:
            receiver.refuse("busy", str(error), signal.name)
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        reply: bytes = answer.SerializeToString()
        return reply

    return export
