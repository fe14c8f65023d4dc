"""Calls over aiortc become traces: switched on for a whole process, or for one connection.

    opentelemetry-instrument python your_softphone.py        # without a line of code
    AiortcInstrumentor().instrument()                        # the same from code
    instrument_peer_connection(pc, role="softphone")         # one connection

`CXOTEL_ROLE` (default `softphone`), `CXOTEL_NAMESPACE` and `CXOTEL_CALL_KEY` say what a connection is and
of which call it is part. Without a call key each connection is a two-party call of its own, inbound where the
other side made the offer.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import aiortc
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, unwrap
from wrapt import wrap_function_wrapper

from cxotel import _guard, _runtime
from cxotel.config import configure

from ._peer import Peer
from ._recording import CallRecording

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cxotel.call import Call

_followed: weakref.WeakKeyDictionary[aiortc.RTCPeerConnection, weakref.ref[Peer]] = (
    weakref.WeakKeyDictionary()
)


def instrument_peer_connection(
    pc: aiortc.RTCPeerConnection,
    *,
    role: str | None = None,
    call: Call | None = None,
    call_key: str | None = None,
    namespace: str | None = None,
) -> Callable[[], None]:
    """Follow one connection from now to its end; returns what stops following it before that.

    `role` is one of `cxotel.media.roles`: softphone, platform_agent, platform_customer, voice_ai, customer
    (default: `CXOTEL_ROLE`, else softphone). The connection becomes part of `call` if one is given, which
    does not end with it; else of the call that `call_key` (default: `CXOTEL_CALL_KEY`) names; else of the call in
    whose context it is made; else it is a call of its own. A connection that is followed already is followed
    anew with what is given here.

    Raises ValueError for an unknown role: that is for the programmer to see at once, before any call.
    """
    recording = CallRecording(role=role, call=call, call_key=call_key, namespace=namespace)
    _stop_following(pc)
    peer = Peer(pc, recording)
    _followed[pc] = weakref.ref(peer)
    return peer.stop


def _stop_following(pc: aiortc.RTCPeerConnection) -> None:
    reference = _followed.pop(pc, None)
    peer = reference() if reference is not None else None
    if peer is not None:
        peer.stop()


class AiortcInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Follows every `aiortc.RTCPeerConnection` that is made from now on.

    `instrument()` takes `tracer_provider` and `logger_provider` (default: OpenTelemetry's global ones, as the
    host set them up) and what `instrument_peer_connection` takes: `role`, `call_key`, `namespace`.
    """

    _ready = False
    _providers_before: tuple[Any, Any] = (None, None)

    def instrumentation_dependencies(self) -> Collection[str]:
        """The versions whose public API and statistics are known."""
        return ("aiortc >= 1.10, < 2",)

    def _instrument(
        self, *, tracer_provider: Any = None, logger_provider: Any = None, **settings: Any
    ) -> None:
        CallRecording(**settings)  # a wrong role is told here, not in a call
        state = _runtime.state
        self._providers_before = (state.tracer_provider, state.logger_provider)
        self._prepare(tracer_provider, logger_provider)

        def made(wrapped: Any, pc: Any, args: Any, kwargs: Any) -> None:
            wrapped(*args, **kwargs)
            with _guard.swallow("aiortc connection"):
                if is_instrumentation_enabled() and pc not in _followed:
                    self._prepare(None, None)
                    instrument_peer_connection(pc, **settings)

        wrap_function_wrapper(aiortc, "RTCPeerConnection.__init__", made)

    def _prepare(self, tracer_provider: Any, logger_provider: Any) -> None:
        """Use the host's provider as soon as there is one; one made here would forestall the host's."""
        if self._ready or (
            tracer_provider is None and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        ):
            return
        configure(tracer_provider=tracer_provider, logger_provider=logger_provider)
        self._ready = True

    def _uninstrument(self, **_: Any) -> None:
        unwrap(aiortc.RTCPeerConnection, "__init__")
        for pc in tuple(_followed):
            _stop_following(pc)
        _runtime.state.tracer_provider, _runtime.state.logger_provider = self._providers_before
        _runtime.forget_tracer()
        self._ready = False
