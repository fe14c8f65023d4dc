"""What the audio of one cell costs, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import factorial
from operator import mul
from typing import TYPE_CHECKING

from cxotel._semconv import CxImpactFelt
from cxotel.impact.rating import by_delay, good_or_better, rating
from cxotel.media.emodel import mos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cxotel.impact.effects import Effect, Numbers
    from cxotel.impact.facts import Facts

_NOISE = 1e-12  # share; what is smaller came from rounding in the sums


@dataclass(slots=True)
class Charge:
    """A layer's part of a cell's lost share.

    Attributes:
        layer: who is charged.
        what: loss, delay or ie, whichever of the layer's worst figures lowers R most.
        share: of the instant, 0 to 1.
        value: worst figure (percent, ms, or ie).
        span: the span that says so.
    """

    layer: str
    what: str
    share: float
    value: float
    span: Facts


@dataclass(slots=True)
class Quality:
    """A cell judged.

    Attributes:
        r: R of all layers, to the agent and to the customer.
        mos: of the worse direction, narrowband, 1 to 4.5.
        is_dead: whether either direction loses as good as all.
        effects: what each layer does.
        lost: share of the instant that is lost, 0 to 1.
        felt: symptom, "" where nothing is lost.
        directions: share lost in each direction alone.
        charges: sum up to `lost`.
    """

    r: tuple[float, float]
    mos: float
    is_dead: bool
    effects: Sequence[Effect]
    lost: float = 0.0
    felt: str = ""
    directions: tuple[float, float] = (0.0, 0.0)
    charges: tuple[Charge, ...] = ()


class Judge:
    """Judges cells by what each layer does there."""

    def __init__(self, *, bpl: float, satisfied_r: float, dead: float) -> None:
        """Takes what is the same for all cells.

        Args:
            bpl: packet-loss robustness, percent.
            satisfied_r: R from which nothing is lost.
            dead: share of loss that makes a direction dead.
        """
        self._bpl = bpl
        self._satisfied_r = satisfied_r
        self._good = good_or_better(satisfied_r)
        self._alive = 1.0 - dead + 1e-12  # 90 % of loss leaves 0.09999999999999998 or 0.1

    def judge(self, effects: Sequence[Effect]) -> Quality:
        """Judges a cell.

        Args:
            effects: one for each layer.
        """
        kept_a = kept_c = 1.0
        delay_a = delay_c = ie_a = ie_c = 0.0
        for effect in effects:
            kept, delay, ie = effect.agent
            kept_a *= kept
            delay_a += delay
            ie_a += ie
            kept, delay, ie = effect.customer
            kept_c *= kept
            delay_c += delay
            ie_c += ie
        r_a = rating(kept_a, delay_a, ie_a, self._bpl)
        r_c = rating(kept_c, delay_c, ie_c, self._bpl)
        worse = r_a if r_a <= r_c else r_c  # noqa: FURB136  # no call of min here, as in rating()
        dead = (kept_a <= self._alive, kept_c <= self._alive)
        quality = Quality((r_a, r_c), mos(worse), dead[0] or dead[1], effects)
        if worse < self._satisfied_r:
            self._attribute(quality)
            if dead[0] or dead[1]:
                quality.felt = CxImpactFelt.NO_AUDIO if dead[0] and dead[1] else CxImpactFelt.ONE_WAY_AUDIO
            elif r_a <= r_c:
                quality.felt = self._symptom((kept_a, delay_a, ie_a))
            else:
                quality.felt = self._symptom((kept_c, delay_c, ie_c))
        return quality

    def _attribute(self, quality: Quality) -> None:
        """Charges every layer with its Shapley value of the lost share."""
        players = sorted((one for one in quality.effects if one.harms), key=lambda one: one.rank)
        agent = self._lost([one.agent for one in players], quality.r[0])
        customer = self._lost([one.customer for one in players], quality.r[1])
        quality.directions = (agent[-1], customer[-1])
        lost = [1.0 - (1.0 - a) * (1.0 - c) for a, c in zip(agent, customer, strict=True)]
        quality.lost = lost[-1]
        quality.charges = tuple(
            Charge(one.layer, what, share, value, span)
            for one, share in zip(players, shapley(lost), strict=True)
            if share > _NOISE
            for what, value, span in (one.named(self._bpl),)
        )

    def _lost(self, players: Sequence[Numbers], r: float) -> list[float]:
        """Share lost in one direction to every subset of the players; bit i of the index stands for player i.

        Args:
            players: what each does to the direction.
            r: R with all of them; where it satisfies, that of no subset is worse.
        """
        if r >= self._satisfied_r:
            return [0.0] * (1 << len(players))
        kept, delay, ie = [1.0], [0.0], [0.0]
        for its_kept, its_delay, its_ie in players:
            kept += [its_kept * one for one in kept]
            delay += [its_delay + one for one in delay]
            ie += [its_ie + one for one in ie]
        lost = []
        for of_subset in zip(kept, delay, ie, strict=True):
            subset_r = rating(*of_subset, self._bpl)
            share = 0.0
            if subset_r < self._satisfied_r:
                share = (self._good - good_or_better(subset_r)) / self._good
            lost.append(share)
        return lost

    def _symptom(self, worse: Numbers) -> str:
        """What the people would say of a direction that is not dead (impact model, section 4)."""
        kept, delay, ie = worse
        broken = rating(kept, 0.0, ie, self._bpl)
        return CxImpactFelt.CHOPPY_AUDIO if broken <= by_delay(delay) else CxImpactFelt.TALK_OVER


def shapley(worth: Sequence[float]) -> list[float]:
    """Shapley value of each player.

    Args:
        worth: worth of every subset; bit i of the index stands for player i.
    """
    return [sum(map(mul, weights, worth)) for weights in _weights((len(worth) - 1).bit_length())]


@lru_cache(maxsize=16)
def _weights(players: int) -> tuple[tuple[float, ...], ...]:
    """For each player the weight of every subset's worth.

    A subset S without the player counts -|S|! (n - |S| - 1)! / n!, joined by the player as much, positive.
    """
    rows = []
    for player in range(players):
        row = []
        for subset in range(1 << players):
            joined = subset >> player & 1
            size = subset.bit_count() - joined
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            row.append(weight if joined else -weight)
        rows.append(tuple(row))
    return tuple(rows)
