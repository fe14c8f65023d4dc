"""How loss clusters: bursts and gaps of RFC 3611, and the burst ratio of G.107."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

GMIN = 16
"""Packets received in a row that end a burst (RFC 3611, 4.7.2: recommended, a gap then loses under 6 %)."""


@dataclass(frozen=True, slots=True)
class BurstGap:
    """Bursts and gaps of a stream, counted in packets (times the packet time for durations).

    Attributes:
        burst_density: share of packets lost or discarded inside bursts, 0 to 1; 0 without bursts.
        gap_density: the same inside gaps.
        bursts: number of bursts.
        burst_packets: mean length of a burst; 0 without bursts.
        gap_packets: mean length of a gap; 0 without gaps.
    """

    burst_density: float
    gap_density: float
    bursts: int
    burst_packets: float
    gap_packets: float


def bursts_and_gaps(lost: Iterable[bool], gmin: int = GMIN) -> BurstGap:
    """Bursts and gaps by the definition of RFC 3611, 4.7.2 (not by the counters of its Appendix A.2).

    A burst is the longest stretch that begins and ends with a lost packet and has no `gmin` received packets
    in a row inside; a single loss with `gmin` received on either side belongs to the gap. The stream is taken
    as preceded and followed by `gmin` received packets.

    Args:
        lost: for each packet in order of sending, whether it was lost or discarded.
        gmin: packets received in a row that end a burst, 1 or more.
    """
    losses: list[int] = []
    total = 0
    for is_lost in lost:
        if is_lost:
            losses.append(total)
        total += 1
    groups: list[list[int]] = []
    for place in losses:
        if groups and place - groups[-1][-1] <= gmin:
            groups[-1].append(place)
        else:
            groups.append([place])
    bursts = [group for group in groups if len(group) > 1]
    inside = sum(group[-1] - group[0] + 1 for group in bursts)
    lost_inside = sum(map(len, bursts))
    outside = total - inside
    gaps = _gaps(bursts, total)
    return BurstGap(
        lost_inside / inside if inside else 0.0,
        (len(losses) - lost_inside) / outside if outside else 0.0,
        len(bursts),
        inside / len(bursts) if bursts else 0.0,
        outside / gaps if gaps else 0.0,
    )


def _gaps(bursts: list[list[int]], total: int) -> int:
    if not bursts:
        return 1 if total else 0
    return len(bursts) - 1 + (bursts[0][0] > 0) + (bursts[-1][-1] < total - 1)


def burst_ratio(lost: Iterable[bool]) -> float:
    """BurstR of G.107: mean length of a run of losses over the mean under random loss of the same share.

    Returns:
        `lost / runs * (1 - lost / total)`: 1 for random loss, more for bursts; 1 where none or all are lost.
    """
    total = losses = runs = 0
    before = False
    for is_lost in lost:
        total += 1
        losses += is_lost
        runs += is_lost and not before
        before = is_lost
    if losses in {0, total}:
        return 1.0
    return losses / runs * (1.0 - losses / total)
