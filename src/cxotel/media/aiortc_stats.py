"""Windows from aiortc's statistics and from the audio that a wrapped track handed out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxotel.media.windows import NO_HINTS, Hints, Window

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Played:
    """What a track handed out since it began: the totals that aiortc's statistics lack.

    Attributes:
        samples: audio samples handed out.
        missing: samples between frames that were never handed out (gaps of the presentation time stamp).
        frames: frames handed out.
        lag: sum over the frames of how much later, in seconds, each came than its time stamp and the
            earliest frame of the track so far would have it.
        rate: samples per second.
    """

    samples: int = 0
    missing: int = 0
    frames: int = 0
    lag: float = 0.0
    rate: int = 48000


class PlayMeter:
    """Counts what a wrapped track hands out: `add` once per frame, `played` at every poll."""

    def __init__(self, rate: int = 48000) -> None:
        """Time stamps and samples are in units of `1 / rate` seconds."""

    def add(self, pts: int | None, samples: int, at: float) -> None:
        """One frame of `samples`, time stamp `pts`, handed out at `at` seconds."""

    @property
    def played(self) -> Played:
        """The totals so far."""
        return Played()


class AiortcReader:
    """Reads `RTCPeerConnection.getStats()` of aiortc (1.10 to 1.16)."""

    def __init__(self, window: float = 5.0, clock_rate: int = 48000, *, start: float | None = None) -> None:
        """Begin at `start` seconds, or at the first report; `clock_rate` is the codec's RTP clock, Hz."""

    def feed(
        self, report: Mapping[str, Any], at: float, *, played: Played | None = None, hints: Hints = NO_HINTS
    ) -> list[Window]:
        """Take one report, polled at `at` seconds; the windows that it completes."""
        return []

    def finish(self, at: float) -> list[Window]:
        """End the stream at `at` seconds; the windows still open, the last one cut there."""
        return []
