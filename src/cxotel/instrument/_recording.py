"""What becomes of one connection's readings: the media of a call, by the role of the party that measured."""

from __future__ import annotations

import os
import statistics
import time
import uuid
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from cxotel import _semconv as names
from cxotel import propagation
from cxotel._semconv import (
    CxActivity,
    CxCallDirection,
    CxCallEndedBy,
    CxCallMedium,
    CxCallOutcome,
    CxMediaRole,
)
from cxotel.call import join_call, start_call
from cxotel.media.aiortc_stats import AiortcReader, PlayMeter
from cxotel.media.windows import Hints

if TYPE_CHECKING:
    from collections.abc import Callable

    from cxotel.activity import Activity
    from cxotel.call import Call
    from cxotel.media.windows import Window
    from cxotel.media_session import MediaSession

    from ._peer import Timings
    from ._stats import Codec, Reading

WINDOW = 5.0  # seconds (design of the call trace)

# Who hung up, in a call of two parties, by the role of the one of them that is here: this one, and the other.
_PARTIES = {
    CxMediaRole.SOFTPHONE: (CxCallEndedBy.AGENT, CxCallEndedBy.CUSTOMER),
    CxMediaRole.PLATFORM_AGENT: (CxCallEndedBy.PLATFORM, CxCallEndedBy.AGENT),
    CxMediaRole.PLATFORM_CUSTOMER: (CxCallEndedBy.PLATFORM, CxCallEndedBy.CUSTOMER),
    CxMediaRole.VOICE_AI: (CxCallEndedBy.VOICE_AI, CxCallEndedBy.CUSTOMER),
    CxMediaRole.CUSTOMER: (CxCallEndedBy.CUSTOMER, CxCallEndedBy.AGENT),
}


class CallRecording:
    """One connection as the media of a call.

    The call is the one given; else the one that `call_key` names; else the one in whose context the
    connection was made; else one of its own, which ends with it. `role` is one of `cxotel.media.roles.ROLES`.
    """

    def __init__(
        self,
        *,
        role: str = CxMediaRole.SOFTPHONE,
        call: Call | None = None,
        call_key: str | None = None,
        namespace: str | None = None,
        owners: tuple[str | None, str | None] = (None, None),
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._role = role
        self._call = call
        self._given = call is not None
        self._call_key = call_key or os.environ.get("CXOTEL_CALL_KEY") or None
        self._namespace = namespace
        self._owners = owners  # of the network, of the device
        self._prepare = prepare  # called before anything is recorded
        self._made_in = otel_context.get_current()
        self._connect: Activity | None = None
        self._media: MediaSession | None = None
        self._reader: AiortcReader | None = None
        self._meter: PlayMeter | None = None
        self._rtts: list[float] = []
        self._seconds = 0.0
        self._negotiated = 0

    def start(self, *, offerer: bool, at: int) -> None:
        """Join the call, or begin one: outbound where this side made the offer."""
        self._negotiated = at
        self._prepare()
        token = otel_context.attach(self._made_in)
        try:
            self._call = self._call or self._join(offerer=offerer, at=at)
        finally:
            otel_context.detach(token)
        if self._role == CxMediaRole.SOFTPHONE:
            self._connect = self._call.start_activity(CxActivity.CONNECT, parent=self._call, start_time=at)

    def _join(self, *, offerer: bool, at: int) -> Call:
        if self._call_key is not None:
            return join_call(self._call_key, namespace=self._namespace)
        if propagation.is_ours(trace.get_current_span().get_span_context()):
            return join_call(namespace=self._namespace)
        direction = CxCallDirection.OUTBOUND if offerer else CxCallDirection.INBOUND
        # With a key, the request in which the connection was made becomes a link; without, the trace.
        return start_call(
            uuid.uuid4().hex,
            direction=direction,
            namespace=self._namespace,
            # A customer who speaks WebRTC came over the web; how other parties' customers came is not known.
            medium=CxCallMedium.WEB if self._role == CxMediaRole.CUSTOMER else None,
            start_time=at,
        )

    def connected(self, codec: Codec | None, timings: Timings) -> None:
        """Media can flow: open the legs."""
        if self._connect is not None:
            self._connect.stop(end_time=timings.connected)
        self._media = media = self._open(timings.connected)
        self._reader = AiortcReader(WINDOW, codec.clock_rate if codec else 48000, start=0.0)
        media.remaining = self._remaining
        if codec is not None:
            media.set_codec(codec.name)
        if timings.checking and timings.ice:
            media.device.set({names.CX_ICE_CONNECT_MS: (timings.ice - timings.checking) / 1e6})

    def _open(self, at: int) -> MediaSession:
        assert self._call is not None  # noqa: S101 (for mypy: `start` comes first)
        owner, device_owner = self._owners
        return self._call.start_media(
            self._role,
            owner=owner,
            device_owner=device_owner,
            window=WINDOW,
            parent=self._call,
            start_time=at,
        )

    def reading(self, reading: Reading, seconds: float) -> None:
        """Feed the reader; the windows it completes go to the legs."""
        if self._reader is None or self._media is None:
            return
        self._seconds = seconds
        rtts = (getattr(each, "roundTripTime", None) for each in reading.reports.values())
        self._rtts.extend(rtt for rtt in rtts if rtt is not None)
        played = self._meter.played if self._meter is not None else None
        hints = Hints(connected=True, receiving=reading.receiving)
        for window in self._reader.feed(reading.reports, seconds, played=played, hints=hints):
            self._media.add(window)

    def _remaining(self) -> list[Window]:
        """The windows that were not complete when the legs end, even where the host ends the call first."""
        reader, self._reader = self._reader, None
        return reader.finish(self._seconds) if reader is not None else []

    def frame(self, frame: Any) -> None:
        """Count what the host got to play."""
        if self._meter is None:
            self._meter = PlayMeter(frame.sample_rate)
        base = frame.time_base
        pts = (
            None if frame.pts is None else frame.pts * frame.sample_rate * base.numerator // base.denominator
        )
        self._meter.add(pts, frame.samples, time.monotonic())

    def changed(self, state: str) -> None:
        """Note the state on the device's leg, where one is open."""
        if self._media is not None:
            self._media.device.span.add_event(f"connection {state}")

    def stop(self, *, error: str | None, by_far_side: bool, at: int) -> None:
        """End what is open; a call that is not given from outside ends with its connection."""
        if self._call is None:
            return
        connected = self._media is not None
        if self._connect is not None and not self._connect.ended:
            self._connect.stop(end_time=at)
        if self._media is None and error is not None:
            self._media = self._open(self._negotiated)  # legs that never came to be say why
        if self._media is not None:
            self._end_media(self._media, error, at)
        if not self._given:
            self._call.stop(
                outcome=outcome(error, connected=connected),
                ended_by=self._ended_by(error, by_far_side=by_far_side),
                end_time=at,
            )

    def _end_media(self, media: MediaSession, error: str | None, at: int) -> None:
        if self._rtts:
            media.network.set({names.CX_NETWORK_RTT_MS: round(1000 * statistics.median(self._rtts), 1)})
        if error is None:
            media.stop(end_time=at)
            return
        # ICE lost or never found the way; with DTLS the way was there, and the two devices did not agree.
        on_the_way = error == "ice_failed"
        media.device.set({names.CX_ICE_FAILURES: int(on_the_way)})
        media.fail(error, part="network" if on_the_way else "device", end_time=at)

    def _ended_by(self, error: str | None, *, by_far_side: bool) -> str:
        if error is not None:
            return CxCallEndedBy.NETWORK if error == "ice_failed" else CxCallEndedBy.UNKNOWN
        return _PARTIES[self._role][by_far_side]


def outcome(error: str | None, *, connected: bool) -> str:
    """How a call that was one connection ended: a close is a hang-up, whoever did it."""
    if not connected:
        return CxCallOutcome.FAILED
    return CxCallOutcome.COMPLETED if error is None else CxCallOutcome.DROPPED
