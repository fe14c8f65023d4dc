"""One `RTCPeerConnection` from its first negotiation to its end.

Everything is learnt from the connection's own events, seen as it emits them (`emit` is wrapped on the one
object, so the host's listeners, their number and their order stay as they are), and from one reading of its
statistics a second. What is learnt goes to a `Recording`, which knows spans and calls; nothing here does.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cxotel import _clock, _guard

from . import _ending, _stats
from ._shim import Shim
from ._tracks import WatchedTrack

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiortc import RTCPeerConnection

TICK = 1.0  # seconds; aiortc sends RTCP reports every 0.5 to 1.5 s, so less would read the same figures twice


@dataclass
class Timings:
    """When the steps of connecting were reached, in ns since the epoch; 0 where they were not (yet)."""

    negotiated: int = 0  # offer and answer are both known
    checking: int = 0  # ICE checks began
    ice: int = 0  # ICE found a way
    connected: int = 0  # DTLS done: media can flow


class Recording(Protocol):
    """Where what is learnt of one connection goes."""

    def start(self, *, offerer: bool, at: int) -> None:
        """Audio was negotiated at `at` (ns)."""

    def connected(self, codec: _stats.Codec | None, timings: Timings) -> None:
        """Media can flow from `timings.connected` on."""

    def reading(self, reading: _stats.Reading, seconds: float) -> None:
        """Statistics read `seconds` after the connection was made."""

    def frame(self, frame: Any) -> None:
        """The host read this frame from the remote audio track."""

    def changed(self, state: str) -> None:
        """The connection's state changed to this."""

    def stop(self, *, error: str | None, by_far_side: bool, at: int) -> None:
        """The connection ended at `at` (ns): `error` is what broke it, None if it was closed."""


class Peer:
    """Follows one connection; made before its first negotiation, or at any time later."""

    def __init__(self, pc: RTCPeerConnection, recording: Recording) -> None:
        self._pc = weakref.ref(pc)  # what the host forgets is collected as ever
        self._recording = recording
        self._lock = threading.RLock()  # SIGTERM ends a connection from another thread than its loop's
        self._tracks: list[WatchedTrack] = []
        self._timings = Timings()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._origin = 0.0
        self._last_seen = 0
        self._offerer: bool | None = None
        self.started = self.ended = False
        self._shim = Shim(pc, "emit", self._observing)
        self._catch_up(pc)

    # What the connection says

    def _observing(self, emit: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(emit)
        def observed(event: str, *args: Any, **kwargs: Any) -> bool:
            notice = _NOTICED.get(event)
            pc = self._pc()
            if notice is not None and pc is not None and not self.ended:
                with _guard.swallow("aiortc event"), self._lock:
                    notice(self, pc, *args)
            heard: bool = emit(event, *args, **kwargs)
            return heard

        return observed

    def _catch_up(self, pc: RTCPeerConnection) -> None:
        """Take in what happened before we were there."""
        for each in _stats.audio(pc):
            if each.receiver.track is not None:
                self.on_track(pc, each.receiver.track)
        if pc.localDescription is not None:
            self._offerer = pc.localDescription.type == "offer"
        if pc.connectionState != "new":
            self._timings.negotiated = _clock.now()
            self.on_connection(pc)

    def on_track(self, _pc: RTCPeerConnection, track: Any, *_: Any) -> None:
        """Watch the frames of a remote audio track."""
        if track.kind == "audio":
            self._tracks.append(WatchedTrack(track, self._on_frame))

    def _on_frame(self, frame: Any) -> None:
        try:
            if self.started and not self.ended:
                self._recording.frame(frame)
        except Exception as error:  # noqa: BLE001 (50 times a second: cheaper than a context manager)
            _guard.absorb("aiortc frame", error)

    def on_signaling(self, pc: RTCPeerConnection, *_: Any) -> None:
        """Note offer, answer and the beginning of a close."""
        state = pc.signalingState
        if state == "closed":
            self._on_closing(pc)
        elif state == "stable":
            self._timings.negotiated = self._timings.negotiated or _clock.now()
        elif self._offerer is None:
            self._offerer = state == "have-local-offer"

    def _on_closing(self, pc: RTCPeerConnection) -> None:
        """The connection begins to close: by the host, or by aiortc itself because DTLS is closed already.

        The second has two causes that look alike: the far side hung up, or ICE consent ran out (RFC 7675);
        aiortc 1.16 goes to `closed` then, never to `failed`. The states that follow in a moment tell.
        """
        if {each.receiver.transport.state for each in pc.getTransceivers()} != {"closed"}:
            self._end(error=None)
        elif self._timings.connected:
            self._read(pc)

    def _on_closed(self, pc: RTCPeerConnection) -> None:
        lost = any(each.receiver.transport.transport.state == "failed" for each in pc.getTransceivers())
        self._end(error="ice_failed" if lost else None, by_far_side=not lost, at=self._last_seen or None)

    def on_ice(self, pc: RTCPeerConnection, *_: Any) -> None:
        """Time the steps of ICE."""
        state = pc.iceConnectionState
        if state == "checking":
            self._timings.checking = self._timings.checking or _clock.now()
        elif state == "completed":
            self._timings.ice = self._timings.ice or _clock.now()
        elif state == "closed":
            self._on_closed(pc)

    def on_connection(self, pc: RTCPeerConnection, *_: Any) -> None:
        """Begin, open media, or end, by the connection's state."""
        state = pc.connectionState
        self._start_if_audio(pc)
        if self.started:
            self._recording.changed(state)
        if state == "connected":
            self._connected(pc)
        elif state == "failed":
            self._end(error="ice_failed" if pc.iceConnectionState == "failed" else "dtls_failed")
        elif state == "closed":
            self._on_closed(pc)

    # What we make of it

    def _start_if_audio(self, pc: RTCPeerConnection) -> None:
        """Begin once audio is negotiated: connections of data or video alone are no calls."""
        if self.started or not self._timings.negotiated:
            return
        directions = {each.currentDirection for each in _stats.audio(pc)}
        if directions & (_stats.RECEIVING | _stats.SENDING):
            self.started = True
            _ending.opened(self)
            late = self._timer is not None
            self._recording.start(
                offerer=bool(self._offerer), at=_clock.now() if late else self._timings.negotiated
            )

    def _connected(self, pc: RTCPeerConnection) -> None:
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(TICK, self._tick)
        # Where audio joins a connection that is up, its description comes later: the next tick has it.
        if self.started and not self._timings.connected and _stats.negotiated_codec(pc) is not None:
            self._open_media(pc)

    def _open_media(self, pc: RTCPeerConnection) -> None:
        self._timings.connected = self._last_seen = _clock.now()
        self._origin = time.monotonic()
        self._recording.connected(_stats.negotiated_codec(pc), self._timings)
        self._read(pc)

    def _tick(self) -> None:
        with _guard.swallow("aiortc tick"), self._lock:
            pc = self._pc()
            if pc is None:
                self._end(error=None, at=self._last_seen)
            if pc is None or self.ended or self._loop is None:
                return
            self._timer = self._loop.call_later(TICK, self._tick)
            self._start_if_audio(pc)  # it may come to a connection of data or video by a later negotiation
            if self._timings.connected:
                self._read(pc)
            elif self.started and pc.connectionState == "connected":
                self._open_media(pc)

    def _read(self, pc: RTCPeerConnection) -> None:
        reading = _stats.read(pc)
        if self._tracks and all(each.ended_far for each in self._tracks):
            reading = _stats.Reading(reading.reports, receiving=False, sending=reading.sending)
        self._recording.reading(reading, time.monotonic() - self._origin)
        self._last_seen = _clock.now()

    # The end

    def _end(self, *, error: str | None, by_far_side: bool = False, at: int | None = None) -> None:
        with self._lock:
            if self.ended:
                return
            self.ended = True
            if self._timer is not None:
                self._timer.cancel()
            pc = self._pc()
            try:
                if self.started and self._timings.connected and pc is not None and at is None:
                    self._read(pc)
            finally:
                self._release()
                if self.started:
                    self._recording.stop(error=error, by_far_side=by_far_side, at=at or _clock.now())
                    _ending.closed(self)

    def _release(self) -> None:
        for each in self._tracks:
            each.release()
        self._tracks.clear()
        self._shim.release()

    def stop(self) -> None:
        """Stop following: what is open ends now, and the connection is as if we had never been there."""
        with _guard.swallow("aiortc stop"):
            self._end(error=None)

    def end_with_process(self) -> None:
        """End now, or where the event loop has ended before, when the connection was last seen alive."""
        with _guard.swallow("aiortc end"):
            over = self._loop is not None and self._loop.is_closed()
            self._end(error=None, at=self._last_seen if over else None)

    def forget(self) -> None:
        """Neither record nor end anything: a forked child has only a copy."""
        self._lock = threading.RLock()
        self.ended = True


_NOTICED: dict[str, Callable[..., None]] = {
    "track": Peer.on_track,
    "signalingstatechange": Peer.on_signaling,
    "iceconnectionstatechange": Peer.on_ice,
    "connectionstatechange": Peer.on_connection,
}
