"""Audio that a party sends: speech and relayed audio in packets of 20 ms, silence where there is none."""

from __future__ import annotations

import asyncio
import fractions
from collections import deque
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from cxotel.demo.speech import SILENCE, frames

PACKET_SECONDS = 0.020
_BACKLOG = 10
"""Packets of 20 ms kept waiting at most: two clocks that differ must not build up delay in a relay."""


def _linear(byte: int) -> int:
    """One mu-law byte as a 16-bit sample (ITU-T G.711, table 2a)."""
    value = ~byte & 0xFF
    magnitude = (((value & 0x0F) << 3) + 0x84 << ((value & 0x70) >> 4)) - 0x84
    return -magnitude if value & 0x80 else magnitude


LOUDNESS = [abs(_linear(byte)) for byte in range(256)]
"""Magnitude of the sample of each mu-law byte, 0..32124."""

# Opus runs at 48 kHz stereo: each sample six times, for both channels.
_UPSAMPLED = [_linear(byte).to_bytes(2, "little", signed=True) * 12 for byte in range(256)]


class PacedTrack(MediaStreamTrack):
    """Sends one packet each 20 ms by its own clock and notes how late it was.

    For PCMU the payload goes out as it is (a packet needs no encoder); for Opus a frame goes to the encoder.
    """

    kind = "audio"

    def __init__(self, codec: str) -> None:
        super().__init__()
        self.late_ms: list[float] = []
        """Per packet how much after its time it went out."""
        self._opus = codec == "opus"
        self._speaking: deque[bytes | av.AudioFrame] = deque()
        self._relaying: deque[bytes | av.AudioFrame] = deque(maxlen=_BACKLOG)
        self._start: float | None = None
        self._count = 0

    def say(self, name: str) -> float:
        """Queue one sentence; returns its length in seconds."""
        payloads = frames(name)
        self._speaking.extend(payloads)
        return len(payloads) * PACKET_SECONDS

    def hush(self) -> None:
        """Forget what is still to be said."""
        self._speaking.clear()

    def relay(self, item: bytes | av.AudioFrame) -> None:
        """Queue 20 ms of somebody else's audio, as a PlayoutBuffer hands it out."""
        self._relaying.append(item)

    async def recv(self) -> Any:
        """The next 20 ms, when it is due.

        Raises:
            MediaStreamError: the track was stopped.
        """
        if self.readyState != "live":
            raise MediaStreamError
        now = asyncio.get_running_loop().time()
        if self._start is None:
            self._start = now
        due = self._start + self._count * PACKET_SECONDS
        if due > now:
            await asyncio.sleep(due - now)
        self.late_ms.append(max(0.0, (asyncio.get_running_loop().time() - due) * 1000))
        item: bytes | av.AudioFrame = SILENCE
        if self._speaking:
            item = self._speaking.popleft()
        elif self._relaying:
            item = self._relaying.popleft()
        self._count += 1
        return self._frame(item) if self._opus else self._packet(item)

    def _packet(self, item: bytes | av.AudioFrame) -> av.Packet[Any]:
        if not isinstance(item, bytes):
            raise TypeError("a PCMU leg relays payloads, not frames: both legs of a call need one codec")
        packet = av.Packet(item)
        packet.pts = (self._count - 1) * 160
        packet.time_base = fractions.Fraction(1, 8000)
        return packet

    def _frame(self, item: bytes | av.AudioFrame) -> av.AudioFrame:
        if isinstance(item, bytes):
            samples = b"".join([_UPSAMPLED[byte] for byte in item])
            item = av.AudioFrame(format="s16", layout="stereo", samples=960)
            item.planes[0].update(samples)
            item.sample_rate = 48000
        item.pts = (self._count - 1) * 960
        item.time_base = fractions.Fraction(1, 48000)
        return item


class Ear:
    """Tells from what is heard when somebody starts and stops speaking.

    Energy of 20 ms against a fixed threshold: the demo's speech is normalised, its silence digital zero.
    """

    THRESHOLD = 300
    """Mean magnitude of a sample; speech at -6 dBFS peak has 1,000 to 6,000, pauses within it under 100."""

    HANGOVER = 25
    """Quiet packets (0.5 s) that end an utterance: pauses between words are shorter."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.ended = asyncio.Event()
        self._quiet = self.HANGOVER

    def listen(self, payload: bytes) -> None:
        """Take the next 20 ms of mu-law audio."""
        loud = sum([LOUDNESS[byte] for byte in payload]) > self.THRESHOLD * len(payload)
        if loud:
            if self._quiet >= self.HANGOVER:
                self.ended.clear()
                self.heard.set()
            self._quiet = 0
            return
        self._quiet += 1
        if self._quiet == self.HANGOVER:
            self.heard.clear()
            self.ended.set()
