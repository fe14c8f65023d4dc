"""What an `aiortc.RTCPeerConnection` says of its audio at one instant, through its public API only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aiortc import RTCPeerConnection, RTCRtpTransceiver

T = TypeVar("T")

RECEIVING = frozenset({"sendrecv", "recvonly"})
SENDING = frozenset({"sendrecv", "sendonly"})

# RFC 3551 table 4: payload types that need no rtpmap line, with their RTP clock (8000 for G.722 too).
_STATIC = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}
_AUDIO = re.compile(
    r"^m=audio (?P<port>\d+) \S+ (?P<formats>[^\r\n]+)(?P<rest>(?:\r?\n(?!m=)[^\r\n]*)*)", re.MULTILINE
)
_RTPMAP = re.compile(r"^a=rtpmap:(\d+) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Codec:
    """The negotiated audio codec: name as in the SDP, RTP clock in Hz."""

    name: str
    clock_rate: int


@dataclass(frozen=True)
class Reading:
    """The audio statistics of one connection at one instant.

    `reports` maps the ids of the statistics to aiortc's statistics objects; `receiving` and `sending` say
    whether audio in that direction is negotiated (neither hold nor a one-way session).
    """

    reports: dict[str, Any]
    receiving: bool
    sending: bool


def audio(pc: RTCPeerConnection) -> list[RTCRtpTransceiver]:
    """The audio transceivers of the connection that still run."""
    return [each for each in pc.getTransceivers() if each.kind == "audio" and not each.stopped]


def read(pc: RTCPeerConnection) -> Reading:
    """Read the statistics without waiting and without making a task.

    `RTCPeerConnection.getStats()` starts a task for every sender and receiver, video included, and needs a
    turn of the event loop, which is not there while a connection closes. The same figures come from the
    senders' and receivers' own `getStats()`, whose coroutines finish in their first step.
    """
    transceivers = audio(pc)
    reports: dict[str, Any] = {}
    for each in transceivers:
        reports.update(now(each.sender.getStats()) or {})
        reports.update(now(each.receiver.getStats()) or {})
    directions = {each.currentDirection for each in transceivers}
    return Reading(reports, bool(directions & RECEIVING), bool(directions & SENDING))


def now(coroutine: Coroutine[Any, Any, T]) -> T | None:
    """The result of a coroutine that has no need to wait; None for one that has."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    return None


def negotiated_codec(pc: RTCPeerConnection) -> Codec | None:
    """The audio codec agreed on: the first format of the answer's audio section (RFC 3264, 6.1)."""
    local, remote = pc.localDescription, pc.remoteDescription
    if local is None or remote is None:
        return None
    return first_codec(remote.sdp if remote.type == "answer" else local.sdp)


def first_codec(sdp: str) -> Codec | None:
    """The preferred codec of the first audio section of an SDP that was not rejected (port 0)."""
    for section in _AUDIO.finditer(sdp):
        if section["port"] == "0":
            continue
        payload_type = section["formats"].split()[0]
        encoding = dict(_RTPMAP.findall(section["rest"])).get(payload_type) or _STATIC.get(payload_type)
        name, _, clock = (encoding or "").partition("/")
        rate = clock.partition("/")[0]
        return Codec(name, int(rate)) if rate.isdigit() and int(rate) else None
    return None
