"""What one poll of statistics says, whoever made it, in one shape: totals since the stream began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable


_LARGEST = 1e18  # counters are of 64 bits; differences and sums of such stay numbers


@dataclass(frozen=True, slots=True)
class Stream:
    """Totals of one source of audio received.

    Attributes:
        key: identity of the source (statistics id and SSRC): a new one begins a new count.
        received: packets.
        lost: packets lost by sequence numbers; negative where copies came.
        samples: samples played, concealed ones included; None if not counted, as all that follow.
        concealed: samples made up.
        silent: of them, silent ones.
        buffered: seconds that samples waited in the jitter buffer, summed over samples.
        buffered_least: the same for the least that the network alone would need.
        emitted: samples that left the jitter buffer.
        jitter: interarrival jitter now, seconds.
        ssrc: to find the sender's report by.
    """

    key: Hashable
    received: float
    lost: float = 0.0
    samples: float | None = None
    concealed: float | None = None
    silent: float | None = None
    buffered: float | None = None
    buffered_least: float | None = None
    emitted: float | None = None
    jitter: float | None = None
    ssrc: Hashable = None


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What the far side said of its sending: at `sent` on its clock, here at `received` on ours (seconds).

    Attributes:
        ssrc: of the stream.
        packets: sent so far.
        sent: seconds, far clock.
        received: seconds, our clock.
        is_arrival: `received` is when the report came; else it may be when it was asked for.
    """

    ssrc: Hashable
    packets: float | None
    sent: float | None
    received: float | None
    is_arrival: bool = False


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What the far side said of our sending: total lost, round trip in seconds; `mark` is its time."""

    mark: Hashable
    lost: float | None
    round_trip: float | None


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


@dataclass(frozen=True, slots=True)
class Sample:
    """One poll.

    Attributes:
        streams: sources of audio received.
        sender_reports: of the far side.
        receiver_report: of the far side, of our audio; None for none.
        packets_sent: total of our audio.
        round_trip: seconds, measured by other means than RTCP (ICE); None for none.
        connected: whether the transport is up; None if the statistics do not say.
        dtx: whether a codec in use stops sending in silence; None if they do not say.
        device_delay: total seconds that samples waited for the sound device.
        device_samples: samples that did.
        played: what a watched track handed out; None if none is watched.
    """

    streams: tuple[Stream, ...] = ()
    sender_reports: tuple[SenderReport, ...] = ()
    receiver_report: ReceiverReport | None = None
    packets_sent: float | None = None
    round_trip: float | None = None
    connected: bool | None = None
    dtx: bool | None = None
    device_delay: float | None = None
    device_samples: float | None = None
    played: Played | None = None


def number(value: Any) -> float | None:
    """A number up to 1e18, also one written as text (as legacy statistics do); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if abs(result) <= _LARGEST else None


def difference(new: float | None, old: float | None) -> float | None:
    """`new - old` of a total; None if either is unknown or the total went back."""
    if new is None or old is None or new < old:
        return None
    return new - old
