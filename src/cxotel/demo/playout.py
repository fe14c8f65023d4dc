"""The playout buffer that the demo's parties put in place of aiortc's own, and a broken device.

aiortc's audio buffer (16 packets, no concealment) stalls on each lost packet, then throws good ones away:
measured, 5 % of loss on the network becomes 24 % of missing audio, which would truly be the endpoint's
fault, in every call of the demo. There is no public way to replace it, so this reaches into aiortc, here and
only here.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiortc
from aiortc.codecs import get_decoder
from aiortc.jitterbuffer import JitterBuffer, JitterFrame

if TYPE_CHECKING:
    from collections.abc import Callable

_FLOOR = 0.040
"""Seconds a packet waits at least: two packets of 20 ms, as WebRTC's NetEq starts with."""

_CEILING = 0.500
"""Seconds a packet waits at most; longer is no conversation any more (ITU-T G.114: 400 ms one way)."""

_MARGIN = 0.010
_MEMORY = 100
"""Packets (2 s) whose slowest sets the wait."""

_SHRINK = 0.005
"""Seconds the wait may shrink a packet: 25 % faster for a moment, as buffers that compress time do."""


class UnknownAiortcError(RuntimeError):
    """This aiortc keeps its buffer elsewhere than the demo knows."""


@dataclass(frozen=True)
class Device:
    """The audio device behind a softphone; the default has no fault.

    Attributes:
        delay_ms: its own playout delay, on top of what the network needs.
        period: frames of 20 ms that it fetches at a time.
        capacity: frames that fit its ring buffer between two fetches; what comes beyond is overwritten, so
            that a share of (period - capacity) / period of the audio that came is thrown away.
        start: seconds after the first packet at which the fault begins.
        end: likewise, its end.
    """

    delay_ms: float = 0.0
    period: int = 1
    capacity: int = 1
    start: float = 0.0
    end: float = float("inf")


class PlayoutBuffer:
    """Plays packets in order, each as late as the slowest of the last two seconds needs; never concealing.

    Takes the place of aiortc's JitterBuffer: `add` always answers "no frame yet", and frames go to the track
    when they are due. A missing packet leaves a gap in the presentation times and delays nothing.
    """

    def __init__(self, receiver: Any, device: Device, on_payload: Callable[[bytes], None] | None) -> None:
        self.thrown: list[tuple[int, bool]] = []
        """Per packet that reached the device: Unix time in ns, and whether the device threw it away."""
        self._receiver = receiver
        self._device = device
        self._on_payload = on_payload
        self._loop = asyncio.get_running_loop()
        self._transits: deque[float] = deque(maxlen=_MEMORY)
        self._target: float | None = None
        self._decoder: Any = None
        self._rate = 8000
        self._origin = 0
        self._first_at = 0.0
        self._played = -1
        self._in_period = 0
        self._held: list[float] = []

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take one RTP packet as it comes (the interface of aiortc's buffer)."""
        now = self._loop.time()
        if self._decoder is None:
            codec = getattr(self._receiver, "_RTCRtpReceiver__codecs")[packet.payload_type]  # noqa: B009
            self._decoder, self._rate = get_decoder(codec), codec.clockRate
            self._origin, self._first_at = packet.timestamp, now
        # Signed distance from the first timestamp, modulo 2^32 (a packet from before it is negative).
        stamp = (packet.timestamp - self._origin + (1 << 31)) % (1 << 32) - (1 << 31)
        media_time = stamp / self._rate
        self._transits.append(now - media_time)
        ready = max(now, media_time + self._wait_until())
        wait = ready + self._device.delay_ms / 1000 - now
        self._loop.call_later(wait, self._play, stamp, packet._data, ready)  # noqa: SLF001
        return False, None

    def _wait_until(self) -> float:
        """The transit time at which packets are played now, on the loop's clock."""
        fastest, slowest = min(self._transits), max(self._transits)
        wanted = min(max(slowest + _MARGIN, fastest + _FLOOR), fastest + _CEILING)
        if self._target is None or wanted > self._target:
            self._target = wanted
        else:
            self._target = max(wanted, self._target - _SHRINK)
        return self._target

    def _play(self, stamp: int, data: bytes, ready: float) -> None:
        if stamp <= self._played:
            return  # a duplicate, or overtaken by a later one
        self._played = stamp
        self._held.append(self._loop.time() - ready)
        if self._overrun():
            self.thrown.append((time.time_ns(), True))
            return
        self.thrown.append((time.time_ns(), False))
        for frame in self._decoder.decode(JitterFrame(data, stamp)):
            self._receiver.track._queue.put_nowait(frame)  # noqa: SLF001
            if self._on_payload is not None:
                self._on_payload(data)

    def device_delay_ms(self) -> float:
        """How long the device held what was due, on average since the last time asked, ms."""
        held, self._held = self._held, []
        return sum(held) / len(held) * 1000 if held else self._device.delay_ms

    def _overrun(self) -> bool:
        """Whether the device's ring is full until its next fetch."""
        device = self._device
        if not device.start <= self._loop.time() - self._first_at < device.end:
            return False
        position = self._in_period
        self._in_period = (position + 1) % device.period
        return position >= device.capacity


def install(
    receiver: Any, *, device: Device | None = None, on_payload: Callable[[bytes], None] | None = None
) -> PlayoutBuffer:
    """Put a PlayoutBuffer into an aiortc receiver, before its first packet.

    `on_payload` is called with each payload as it is played.

    Raises:
        UnknownAiortcError: this version of aiortc is built differently.
    """
    held = getattr(receiver, "_RTCRtpReceiver__jitter_buffer", None)
    codecs = getattr(receiver, "_RTCRtpReceiver__codecs", None)
    if (
        not isinstance(held, JitterBuffer | PlayoutBuffer)
        or codecs is None
        or not hasattr(receiver.track, "_queue")
    ):
        raise UnknownAiortcError(
            f"the demo cannot replace the audio buffer of aiortc {aiortc.__version__} (known: 1.10 to 1.16): "
            "install an aiortc in that range"
        )
    buffer = PlayoutBuffer(receiver, device or Device(), on_payload)
    setattr(receiver, "_RTCRtpReceiver__jitter_buffer", buffer)  # noqa: B010
    return buffer
