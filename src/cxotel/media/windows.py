"""Windows of a leg: for each few seconds what went wrong on the way, and what went wrong in the device.

A reader of statistics adds intervals as they are polled, however unevenly, and gets back the windows that are
complete. Counts are spread over an interval evenly, so a poll need not fall on a window's edge.
"""

from __future__ import annotations

from dataclasses import dataclass

ABSENT = "absent"
"""No stream to measure, or no statistics at all, during the whole window."""
OUTAGE = "outage"
"""Packets that were due did not come for at least a second."""
SILENT = "silent"
"""Nothing came and nothing was due: hold, a stopped sender, discontinuous transmission."""
INACTIVE = "inactive"
"""The direction was not negotiated or the transport was not connected: not measured."""
RESET = "reset"
"""A counter went back or the stream changed: a new count began."""
UNPOLLED = "unpolled"
"""Polls were further apart than can be spread over windows: not measured."""
JITTER = "jitter"
"""Audio that came was not played, and the jitter measured explains it: the network's."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one part of the way did to the audio of a window.

    Attributes:
        loss_pct: share of the audio lost there, percent, 0 to 100; None if not measured.
        delay_ms: one-way delay added there, ms; None if not measured.
    """

    loss_pct: float | None = None
    delay_ms: float | None = None


NOT_MEASURED = Figures()


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a stream of audio as one party received it.

    Attributes:
        index: number of the window, from 0; window i covers `start + i * w` to `start + (i + 1) * w`.
        start: seconds, on the clock of the feeds.
        end: seconds; before the next window's start only for the last one.
        network: packets that did not come or came too late, and the delay of the way to here.
        device: audio that came and was not played, and buffering beyond what jitter explains.
        remote: what the far side reports of the audio sent to it; None if it reports nothing.
        flags: what else is known, of the constants of this module.
    """

    index: int
    start: float
    end: float
    network: Figures = NOT_MEASURED
    device: Figures = NOT_MEASURED
    remote: Figures | None = None
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hints:
    """What the host knows of a stream and its statistics do not say; None where the host does not know either.

    Attributes:
        connected: whether the transport (ICE and DTLS) is up.
        receiving: whether the direction to here is negotiated (`sendrecv` or `recvonly`) and not on hold.
        dtx: whether the sender stops sending in silence (Opus `usedtx=1`, comfort noise).
    """

    connected: bool | None = None
    receiving: bool = True
    dtx: bool | None = None


NO_HINTS = Hints()
