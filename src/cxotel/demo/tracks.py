"""Audio that a party sends: speech and relayed audio in packets of 20 ms, silence where there is none."""

from __future__ import annotations

import asyncio
import fractions
from collections import deque
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.codecs.opus import OpusEncoder
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

_OPUS_SILENCE = b"\xf8\xff\xfe"
"""20 ms of silence (RFC 6716, 3.1: CELT, full band, mono), for while the encoder fills its first frame."""

# Opus runs at 48 kHz stereo: each sample six times, for both channels.
_UPSAMPLED = [_linear(byte).to_bytes(2, "little", signed=True) * 12 for byte in range(256)]


class PacedTrack(MediaStreamTrack):
    """Sends one packet each 20 ms by its own clock and notes how late it was.

    Packets leave here encoded: aiortc would encode a frame in another thread, and on a busy machine waiting
    for one another costs more time than the encoding.
    """

    kind = "audio"

    def __init__(self, codec: str) -> None:
        super().__init__()
        self.late_ms: list[float] = []
        """Per packet how much after its time it went out."""
        self._opus = OpusEncoder() if codec == "opus" else None
        self._saying: deque[bytes] = deque()
        self._relaying: deque[bytes] = deque(maxlen=_BACKLOG)
        self._start: float | None = None
        self._count = 0

    def say(self, name: str) -> float:
        """Queue one sentence; returns its length in seconds."""
        payloads = frames(name)
        self._saying.extend(payloads)
        return len(payloads) * PACKET_SECONDS

    def hush(self) -> None:
        """Forget what is still to be said."""
        self._saying.clear()

    def relay(self, payload: bytes) -> None:
        """Queue 20 ms of somebody else's audio, in this track's codec, as a PlayoutBuffer hands it out."""
        self._relaying.append(payload)

    async def recv(self) -> av.Packet[Any]:
        """The next 20 ms, when it is due.

        Raises:
            MediaStreamError: the track was stopped.
        """
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if self._start is None:
            self._start = loop.time()
        due = self._start + self._count * PACKET_SECONDS
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        self.late_ms.append(max(0.0, (loop.time() - due) * 1000))
        packet = av.Packet(self._payload())
        packet.pts = self._count * 160
        packet.time_base = fractions.Fraction(1, 8000)
        self._count += 1
        return packet

    def _payload(self) -> bytes:
        if not self._saying and self._relaying:
            return self._relaying.popleft()
        samples = self._saying.popleft() if self._saying else SILENCE
        return samples if self._opus is None else self._encoded(samples)

    def _encoded(self, samples: bytes) -> bytes:
        frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        frame.planes[0].update(b"".join([_UPSAMPLED[byte] for byte in samples]))
        frame.sample_rate = 48000
        frame.pts = self._count * 960
        frame.time_base = fractions.Fraction(1, 48000)
        payloads, _ = self._opus.encode(frame) if self._opus is not None else ([], 0)
        return payloads[0] if payloads else _OPUS_SILENCE


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
