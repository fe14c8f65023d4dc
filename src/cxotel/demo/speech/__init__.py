"""The sentences that the demo's parties speak: G.711 mu-law, 8 kHz, mono."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FRAME_BYTES = 160
"""Bytes of one 20 ms packet at 8,000 bytes a second."""

SILENCE = b"\xff" * FRAME_BYTES
"""20 ms of digital silence in mu-law (0xFF is +0, ITU-T G.711)."""


@cache
def load(name: str) -> bytes:
    """The mu-law samples of one sentence, e.g. `load("agent-1")`, filled up to whole 20 ms frames.

    Raises:
        ValueError: the file is no mono mu-law WAV at 8 kHz.
        FileNotFoundError: there is no such sentence.
    """
    data = (Path(__file__).parent / f"{name}.wav").read_bytes()
    samples = _mu_law_samples(data, name)
    return samples + b"\xff" * (-len(samples) % FRAME_BYTES)


def frames(name: str) -> list[bytes]:
    """One sentence as payloads of 160 bytes (20 ms) each."""
    samples = load(name)
    return [samples[i : i + FRAME_BYTES] for i in range(0, len(samples), FRAME_BYTES)]


def _mu_law_samples(data: bytes, name: str) -> bytes:
    # RIFF by hand: the standard library's wave module reads linear PCM only.
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"{name}: not a WAV file")
    at, form = 12, b""
    while at + 8 <= len(data):
        chunk, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if chunk == b"fmt ":
            form = body[:8]
        elif chunk == b"data":
            # format 7 = mu-law, 1 channel, 8000 Hz
            if form != b"\x07\x00\x01\x00\x40\x1f\x00\x00":
                raise ValueError(f"{name}: not mu-law, mono, 8 kHz")
            return body
        at += 8 + size + size % 2
    raise ValueError(f"{name}: no samples in the file")
