"""What the audio of one cell costs and whose it is: path residuals, lost share, Shapley charges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import factorial

from cxotel._semconv import CxImpactFelt, CxLayer
from cxotel.impact.facts import Facts, Figures
from cxotel.impact.layers import LINE_AI, LINE_HUMAN, MEDIA, TO_AGENT
from cxotel.impact.rating import R_BEST, WORST_IE, by_delay, lost_share, rating
from cxotel.media.emodel import mos

LOSS, DELAY, IE = "loss", "delay", "ie"
_METRICS = (LOSS, DELAY)
# A cell's layers in path order: the five of media and the blind part between them.
CELL_LAYERS = (*MEDIA, CxLayer.UNOBSERVED)
_NOISE = 1e-12  # share; what is smaller came from rounding in the sums

Active = Sequence[tuple[Facts, Figures]]
"""Spans whose legs have figures in the cell, with these figures."""
Source = tuple[float, Facts]
"""A figure (percent, ms, or ie) and the span that says so; of a path figure the residual."""


@dataclass(slots=True)
class Side:
    """What one layer does to one direction in a cell.

    Attributes:
        loss: share lost, 0 to 1.
        delay: ms.
        ie: equipment impairment.
        sources: the worst single figure by metric.
    """

    loss: float = 0.0
    delay: float = 0.0
    ie: float = 0.0
    sources: dict[str, Source] = field(default_factory=dict)

    def note(self, metric: str, value: float, span: Facts) -> None:
        """Keeps the worst figure; of equal ones that of the span that began first."""
        known = self.sources.get(metric)
        if known is None or is_worse(value, span, known):
            self.sources[metric] = (value, span)


def is_worse(value: float, span: Facts, known: Source) -> bool:
    """Whether a figure goes before a known one: larger, then the span that began first."""
    if value != known[0]:
        return value > known[0]
    return (span.start, span.span_id, span.trace_id) < (
        known[1].start,
        known[1].span_id,
        known[1].trace_id,
    )


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
        lost: share of the instant that is lost, 0 to 1.
        mos: of the worse direction, narrowband, 1 to 4.5.
        is_dead: whether either direction loses as good as all.
        felt: symptom, "" where nothing is lost.
        directions: share lost in each direction alone.
        charges: sum up to `lost`.
        sides: per direction what each layer does.
    """

    r: tuple[float, float]
    lost: float = 0.0
    mos: float = 0.0
    is_dead: bool = False
    felt: str = ""
    directions: tuple[float, float] = (0.0, 0.0)
    charges: tuple[Charge, ...] = ()
    sides: tuple[dict[str, Side], dict[str, Side]] = ({}, {})


class Judge:
    """Judges cells of one call; equal cells once."""

    def __init__(
        self, *, bpl: float, satisfied_r: float, dead: float, gone_through: frozenset[str], plain: bool
    ) -> None:
        """Takes what is the same for all cells.

        Args:
            bpl: packet-loss robustness, percent.
            satisfied_r: R from which nothing is lost.
            dead: share of loss that makes a direction dead.
            gone_through: layers that the call went through.
            plain: no layer has two legs at one instant and none is a path leg, so that a cell where nothing
                hurts needs no attribution.
        """
        self._bpl = bpl
        self._satisfied_r = satisfied_r
        self._alive = 1.0 - dead + 1e-12  # 90 % of loss leaves 0.09999999999999998 or 0.1
        self._gone_through = gone_through
        self._plain = plain

    def judge(self, active: Active, *, is_ai: bool) -> Quality:
        """Judges a cell.

        Args:
            active: legs with figures here, in a fixed order.
            is_ai: whether a converse of the voice AI lasts.
        """
        if self._plain:
            fine = self._fine(active)
            if fine:
                return fine
        return self._attribute(self.sides(active, is_ai=is_ai))

    def _fine(self, active: Active) -> Quality | None:
        """The cell, if both directions satisfy: the usual case, kept cheap."""
        agent = customer = 1.0
        agent_delay = customer_delay = agent_ie = customer_ie = 0.0
        for span, (loss_a, delay_a, loss_c, delay_c) in active:
            leg_ie = span.leg.ie if span.leg else (0.0, 0.0)
            if loss_a is not None:
                agent *= 1.0 - loss_a / 100.0
                agent_ie += leg_ie[0]
            elif delay_a is not None:
                agent_ie += leg_ie[0]
            if delay_a is not None:
                agent_delay += delay_a
            if loss_c is not None:
                customer *= 1.0 - loss_c / 100.0
                customer_ie += leg_ie[1]
            elif delay_c is not None:
                customer_ie += leg_ie[1]
            if delay_c is not None:
                customer_delay += delay_c
        to_agent = rating(agent, agent_delay, agent_ie, self._bpl)
        to_customer = rating(customer, customer_delay, customer_ie, self._bpl)
        worse = min(to_agent, to_customer)
        if worse < self._satisfied_r:
            return None
        is_dead = agent <= self._alive or customer <= self._alive
        return Quality((to_agent, to_customer), mos=mos(worse), is_dead=is_dead)

    def sides(self, active: Active, *, is_ai: bool) -> tuple[dict[str, Side], dict[str, Side]]:
        """Per direction what each layer does, path figures resolved; only layers with figures."""
        return (
            self._direction(active, TO_AGENT, LINE_AI if is_ai else LINE_HUMAN),
            self._direction(active, 1, tuple(reversed(LINE_AI if is_ai else LINE_HUMAN))),
        )

    def _direction(self, active: Active, direction: int, line: tuple[str, ...]) -> dict[str, Side]:
        hops: dict[str, dict[str, Source]] = {LOSS: {}, DELAY: {}}
        paths: dict[str, dict[str, Source]] = {LOSS: {}, DELAY: {}}
        sides: dict[str, Side] = {}
        for span, figures in active:
            leg = span.leg
            if leg is None:
                continue
            pair = figures[2 * direction : 2 * direction + 2]
            table = paths if leg.is_path and leg.layer in line else hops
            for metric, value in zip(_METRICS, pair, strict=True):
                if value is not None:
                    known = table[metric].get(leg.layer)
                    if known is None or is_worse(value, span, known):
                        table[metric][leg.layer] = (value, span)
            if pair != (None, None):
                side = sides.setdefault(leg.layer, Side())
                if leg.ie[direction] > 0.0:
                    side.note(IE, leg.ie[direction], span)
                    side.ie = side.sources[IE][0]
        for metric in _METRICS:
            for layer, (value, span) in hops[metric].items():
                _add(sides, layer, metric, value, span)
            if paths[metric]:
                self._add_residuals(sides, metric, hops[metric], paths[metric], line)
        return sides

    def _add_residuals(
        self,
        sides: dict[str, Side],
        metric: str,
        hops: dict[str, Source],
        paths: dict[str, Source],
        line: tuple[str, ...],
    ) -> None:
        """Charges what a path leg saw beyond all that is known before it, walking down the line."""
        known = 1.0 if metric == LOSS else 0.0  # survival, or delay, up to here
        blind = False
        for layer in line:
            hop = hops.get(layer)
            if hop:
                known = known * (1.0 - hop[0] / 100.0) if metric == LOSS else known + hop[0]
            if layer in paths:
                figure, span = paths[layer]
                if metric == LOSS:
                    share = 1.0 - (1.0 - figure / 100.0) / known if known > 0.0 else 0.0
                    residual = 100.0 * max(0.0, share)
                    known *= 1.0 - residual / 100.0
                else:
                    residual = max(0.0, figure - known)
                    known += residual
                _add(sides, CxLayer.UNOBSERVED if blind else layer, metric, residual, span)
                blind = False
            elif hop is None and layer in self._gone_through:
                blind = True

    def _attribute(self, sides: tuple[dict[str, Side], dict[str, Side]]) -> Quality:
        players = [
            layer
            for layer in CELL_LAYERS
            if any(
                layer in side and (side[layer].loss > 0.0 or side[layer].delay > 0.0 or side[layer].ie > 0.0)
                for side in sides
            )
        ]
        ratings = [self._ratings(players, side) for side in sides]
        r = (ratings[0][-1][0], ratings[1][-1][0])
        survival = (ratings[0][-1][1], ratings[1][-1][1])
        dead = tuple(one <= self._alive for one in survival)
        quality = Quality(r, mos=mos(min(r)), is_dead=any(dead), sides=sides)
        directions = (lost_share(r[0], self._satisfied_r), lost_share(r[1], self._satisfied_r))
        quality.directions = directions
        if directions == (0.0, 0.0):
            return quality
        lost = [
            1.0
            - (1.0 - lost_share(one[0], self._satisfied_r)) * (1.0 - lost_share(other[0], self._satisfied_r))
            for one, other in zip(*ratings, strict=True)
        ]
        quality.lost = lost[-1]
        shares = shapley(lost)
        quality.charges = tuple(
            self._charge(layer, share, sides)
            for layer, share in zip(players, shares, strict=True)
            if share > _NOISE
        )
        quality.felt = self._symptom(sides, r, dead, survival)
        return quality

    def _ratings(self, players: list[str], side: dict[str, Side]) -> list[tuple[float, float]]:
        """(R, survival) of every subset of the players; bit i of the index stands for player i."""
        sums = [(1.0, 0.0, 0.0)]
        for layer in players:
            one = side.get(layer)
            loss, delay, ie = (one.loss, one.delay, one.ie) if one else (0.0, 0.0, 0.0)
            sums += [(kept * (1.0 - loss), late + delay, codec + ie) for kept, late, codec in sums]
        return [(rating(kept, late, codec, self._bpl), kept) for kept, late, codec in sums]

    def _charge(self, layer: str, share: float, sides: tuple[dict[str, Side], dict[str, Side]]) -> Charge:
        own = [side[layer] for side in sides if layer in side]
        loss, delay, ie = (max(getattr(one, name) for one in own) for name in (LOSS, DELAY, IE))
        alone = {
            LOSS: (loss, rating(1.0 - loss, 0.0, 0.0, self._bpl)),
            DELAY: (delay, by_delay(delay)),
            IE: (ie, R_BEST - min(ie, WORST_IE)),
        }
        what = min((name for name in alone if alone[name][0] > 0.0), key=lambda name: alone[name][1])
        worst = Side()
        for one in own:
            if what in one.sources:
                worst.note(what, *one.sources[what])
        value, span = worst.sources[what]
        return Charge(layer, what, share, value, span)

    def _symptom(
        self,
        sides: tuple[dict[str, Side], dict[str, Side]],
        r: tuple[float, float],
        dead: tuple[bool, ...],
        survival: tuple[float, float],
    ) -> str:
        """What the people would say of the cell (impact model, section 4)."""
        if all(dead):
            return CxImpactFelt.NO_AUDIO
        if any(dead):
            return CxImpactFelt.ONE_WAY_AUDIO
        worse = 0 if r[0] <= r[1] else 1
        side = sides[worse].values()
        broken = rating(survival[worse], 0.0, sum(one.ie for one in side), self._bpl)
        late = by_delay(sum(one.delay for one in side))
        return CxImpactFelt.CHOPPY_AUDIO if broken <= late else CxImpactFelt.TALK_OVER


def _add(sides: dict[str, Side], layer: str, metric: str, value: float, span: Facts) -> None:
    """Combines a hop figure or a residual with what is known of the layer."""
    side = sides.setdefault(layer, Side())
    if metric == LOSS:
        side.loss = 1.0 - (1.0 - side.loss) * (1.0 - value / 100.0)
    else:
        side.delay += value
    side.note(metric, value, span)


def shapley(worth: Sequence[float]) -> list[float]:
    """Shapley value of each player.

    Args:
        worth: worth of every subset; bit i of the index stands for player i.
    """
    players = (len(worth) - 1).bit_length()
    weights = _weights(players)
    shares = [0.0] * players
    for subset, value in enumerate(worth):
        size = subset.bit_count()
        for player in range(players):
            if subset >> player & 1:
                shares[player] += weights[size - 1] * value
            else:
                shares[player] -= weights[size] * value
    return shares


@lru_cache(maxsize=16)
def _weights(players: int) -> tuple[float, ...]:
    """|S|! (n - |S| - 1)! / n! by the size of S, without the player; a full S has no one to join."""
    return (
        *(factorial(size) * factorial(players - size - 1) / factorial(players) for size in range(players)),
        0.0,
    )
