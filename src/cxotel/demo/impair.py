"""What the proxy does to packets: which kind a datagram is, and a seeded course of loss, delay and jitter."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

TO_AGENT, TO_CUSTOMER = "to_agent", "to_customer"
DIRECTIONS = (TO_AGENT, TO_CUSTOMER)


def classify(datagram: bytes) -> str:
    """`rtp`, `rtcp`, `stun`, `dtls` or `other`, by the first bytes of a datagram.

    First byte: RFC 7983 section 7 (0..3 STUN, 20..63 DTLS, 128..191 RTP and RTCP). Second byte: RFC 5761
    section 4 (packet types 192..223 are RTCP, payload types 64..95 with the marker bit are not used).
    """
    if len(datagram) < 2:
        return "other"
    first = datagram[0]
    if 128 <= first <= 191:
        if 192 <= datagram[1] <= 223:
            return "rtcp"
        return "rtp" if len(datagram) >= 12 else "other"
    if first <= 3:
        return "stun"
    if 20 <= first <= 63:
        return "dtls"
    return "other"


@dataclass(frozen=True)
class Impairment:
    """One thing done to one direction of one hop, between two moments of the hop's media.

    Attributes:
        hop: `carrier` or `agent_network`.
        direction: `to_agent` or `to_customer`.
        start: seconds after the hop's first RTP packet.
        end: likewise; infinity for the rest of the call.
        loss: share of RTP packets dropped, 0..1 (1 is an outage).
        burst: mean length of a run of lost packets; 1 is Bernoulli loss, more is Gilbert-Elliott with a good
            state that loses nothing and a bad one that loses all (Gilbert, Bell
            System Technical Journal, September 1960).
        delay_ms: added to every RTP and RTCP packet.
        jitter_ms: RTP waits for delay_ms plus a draw from 0..2 * jitter_ms, uniform and independent as with
            netem (RTCP for its mean), so packets may overtake each other. The mean is delay_ms + jitter_ms.
    """

    hop: str
    direction: str
    start: float = 0.0
    end: float = math.inf
    loss: float = 0.0
    burst: float = 1.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            ValueError: names the field.
        """
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction: {self.direction!r} is none of {', '.join(DIRECTIONS)}")
        if not 0 <= self.loss <= 1:
            raise ValueError(f"loss: {self.loss} is not within 0..1")
        if self.burst < 1:
            raise ValueError(f"burst: {self.burst} is under 1 packet")
        if self.delay_ms < 0 or self.jitter_ms < 0:
            raise ValueError("delay_ms, jitter_ms: must not be negative")
        if not 0 <= self.start < self.end:
            raise ValueError(f"start, end: {self.start}..{self.end} is no stretch of time")


class LossProcess:
    """Decides packet by packet whether it is lost.

    Two states; the chance to enter the bad one is p, to leave it q. Mean run of losses 1/q = burst, share
    of lost packets p / (p + q) = loss, hence p = loss * q / (1 - loss). Bernoulli: p = loss, q = 1 - loss.
    """

    def __init__(self, loss: float, burst: float, rng: random.Random) -> None:
        self._rng = rng
        self._always = loss >= 1
        if burst <= 1:
            self._enter, self._stay = loss, loss
        else:
            leave = 1 / burst
            self._enter = min(1.0, loss * leave / (1 - loss)) if loss < 1 else 1.0
            self._stay = 1 - leave
        self._bad = False

    def lost(self) -> bool:
        """Whether the next packet is lost."""
        if self._always:
            return True
        self._bad = self._rng.random() < (self._stay if self._bad else self._enter)
        return self._bad


class Course:
    """All impairments of one direction of one hop; repeatable from its seed for the same packets."""

    def __init__(self, impairments: list[Impairment], seed: str) -> None:
        self._parts = [
            (
                item,
                LossProcess(item.loss, item.burst, random.Random(f"{seed}/{i}/loss")),  # noqa: S311 - repeatable, no secret
                random.Random(f"{seed}/{i}/jitter"),  # noqa: S311
            )
            for i, item in enumerate(impairments)
        ]

    def rtp(self, at: float) -> float | None:
        """Milliseconds that an RTP packet coming at `at` seconds must wait, None if it is lost."""
        wait, lost = 0.0, False
        for item, loss, rng in self._parts:
            if item.start <= at < item.end:
                lost = loss.lost() or lost
                wait += item.delay_ms + (rng.uniform(0, 2 * item.jitter_ms) if item.jitter_ms else 0.0)
        return None if lost else wait

    def rtcp(self, at: float) -> float:
        """Milliseconds that an RTCP packet must wait: never lost, and it uses up no draw of RTP."""
        return sum(
            item.delay_ms + item.jitter_ms for item, _, _ in self._parts if item.start <= at < item.end
        )
