"""The call cell by cell: everything that went into a verdict, for showing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxotel.impact.layers import DIRECTIONS
from cxotel.impact.ledger import account
from cxotel.impact.rating import R_BEST
from cxotel.impact.sweep import Rework, pieces

if TYPE_CHECKING:
    from cxotel.impact.call import Call


@dataclass(frozen=True, slots=True)
class Suffered:
    """What one layer does to one direction: percent, ms and ie; residuals of path figures are in it."""

    layer: str
    loss_pct: float
    delay_ms: float
    ie: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A stretch of the call within which everything is constant.

    Attributes:
        start: nanoseconds.
        end: nanoseconds.
        conversation: whether people talk.
        waits: activities whose lost wait it lies in.
        measured: whether any leg has a figure here.
        suffered: by direction (`to_agent`, `to_customer`), layers with a figure.
        r: by direction, R of all layers.
        quality: share of the instant that bad audio costs, 0 to 1; 0 where people do not talk.
        charges: seconds by (layer, what).
    """

    start: int
    end: int
    conversation: bool
    waits: tuple[str, ...]
    measured: bool
    suffered: dict[str, tuple[Suffered, ...]]
    r: dict[str, float]
    quality: float
    charges: dict[tuple[str, str], float]


def cells_of(call: Call, rework: Rework | None) -> tuple[Cell, ...]:
    """Every cell of the call, in order."""
    found = []
    for piece in pieces(call, rework, everywhere=True):
        start, end, segment, quality = piece
        counts = quality is not None and segment.talking and not segment.waits
        ledger = account(call, rework, [piece])
        found.append(
            Cell(
                start=start,
                end=end,
                conversation=segment.talking,
                waits=tuple(dict.fromkeys(wait.activity for wait in segment.waits)),
                measured=quality is not None,
                suffered={
                    name: tuple(
                        Suffered(one.layer, 100.0 * (1.0 - kept), delay, ie)
                        for one in (quality.effects if quality else ())
                        for kept, delay, ie in ((one.customer if direction else one.agent),)
                    )
                    for direction, name in enumerate(DIRECTIONS)
                },
                r=dict(zip(DIRECTIONS, quality.r if quality else (R_BEST, R_BEST), strict=True)),
                quality=quality.lost if counts and quality else 0.0,
                charges={
                    key: sum(entry.lost for entry in entries) / 1e9 for key, entries in ledger.entries.items()
                },
            )
        )
    return tuple(found)
