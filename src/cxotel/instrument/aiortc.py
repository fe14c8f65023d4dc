"""Calls over aiortc become traces: switched on for a whole process, or for one connection.

    opentelemetry-instrument python your_softphone.py        # without a line of code
    AiortcInstrumentor().instrument()                        # the same from code
    instrument_peer_connection(pc, role="softphone")         # one connection

`CXOTEL_ROLE` (default `softphone`), `CXOTEL_NAMESPACE` and `CXOTEL_CALL_KEY` say what a connection is and
of which call it is part. Without a call key each connection is a two-party call of its own, inbound where the
other side made the offer.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

import aiortc
from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.instrumentation.utils import is_instrumentation_enabled, unwrap
from wrapt import wrap_function_wrapper

from cxotel import _guard, _runtime
from cxotel._semconv import CxMediaRole
from cxotel.config import configure
from cxotel.media.roles import ROLES

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
    owner: str | None = None,
    device_owner: str | None = None,
) -> Callable[[], None]:
    """Follow one connection from now to its end; returns what stops following it before that.

    Args:
        pc: the connection; one that is followed already is followed anew with what is given here.
        role: softphone, platform_agent, platform_customer, voice_ai or customer; by default `CXOTEL_ROLE`,
            else softphone.
        call: the call it is part of, which does not end with it. Without: the call that `call_key` names,
            else the call in whose context this is called, else a call of its own.
        call_key: default `CXOTEL_CALL_KEY`.
        namespace: default `CXOTEL_NAMESPACE`.
        owner: who can fix the network ("Acme Telecom"), for `cx.owner`.
        device_owner: who can fix the device or media server, likewise.

    Raises:
        ValueError: no such role; that is for the programmer to see before any call.
    """
    known = _role(role)
    if known is None:
        return _nothing
    owners = (owner, device_owner)
    recording = CallRecording(role=known, call=call, call_key=call_key, namespace=namespace, owners=owners)
    return _follow(pc, recording)


def _role(given: str | None) -> str | None:
    """The role given, else that of the environment; None (counted) where the operator mistyped that."""
    named = given or os.environ.get("CXOTEL_ROLE") or CxMediaRole.SOFTPHONE
    if named in ROLES:
        return named
    choice = f"give one of {', '.join(ROLES)}"
    if given is not None:
        raise ValueError(f"role {given!r}: {choice}")
    _guard.count(_guard.BAD_VALUE, hint=f"CXOTEL_ROLE {named!r:.40}: {choice}; connections are not followed")
    return None


def _nothing() -> None:
    """Stop following a connection that is not followed."""


def _follow(pc: aiortc.RTCPeerConnection, recording: CallRecording) -> Callable[[], None]:
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
    host set them up), and `role`, `call_key` and `namespace` as `instrument_peer_connection` does. Where
    nobody has set up OpenTelemetry when the first call begins, `cxotel.configure()` does, as OTEL_* variables
    say.
    """

    _ready = False
    _providers_before: tuple[Any, Any] = (None, None)

    def instrumentation_dependencies(self) -> Collection[str]:
        """The versions whose public API and statistics are known."""
        return ("aiortc >= 1.10, < 2",)

    def _instrument(
        self,
        *,
        tracer_provider: Any = None,
        logger_provider: Any = None,
        role: str | None = None,
        call_key: str | None = None,
        namespace: str | None = None,
        **_: Any,
    ) -> None:
        _role(role)  # a wrong one is told here, not in a call
        self._providers_before = (_runtime.state.tracer_provider, _runtime.state.logger_provider)
        if tracer_provider is not None or logger_provider is not None or _host_has_provider():
            self._configure(tracer_provider, logger_provider)

        def made(wrapped: Any, pc: Any, args: Any, kwargs: Any) -> None:
            wrapped(*args, **kwargs)
            with _guard.swallow("aiortc connection"):
                known = _role(role)
                if known is not None and is_instrumentation_enabled() and pc not in _followed:
                    recording = CallRecording(
                        role=known, call_key=call_key, namespace=namespace, prepare=self._configure
                    )
                    _follow(pc, recording)

        wrap_function_wrapper(aiortc, "RTCPeerConnection.__init__", made)

    def _configure(self, tracer_provider: Any = None, logger_provider: Any = None) -> None:
        """Use the host's provider, or make one: not before a call begins, so as not to forestall the host."""
        if not self._ready:
            configure(tracer_provider=tracer_provider, logger_provider=logger_provider)
            self._ready = True

    def _uninstrument(self, **_: Any) -> None:
        unwrap(aiortc.RTCPeerConnection, "__init__")
        for pc in tuple(_followed):
            _stop_following(pc)
        _runtime.state.tracer_provider, _runtime.state.logger_provider = self._providers_before
        _runtime.forget_tracer()
        self._ready = False


def _host_has_provider() -> bool:
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
