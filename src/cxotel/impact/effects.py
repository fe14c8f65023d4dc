"""What legs do to an instant's audio, and what that means per layer: largest figures, path residuals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cxotel._semconv import CxLayer
from cxotel.impact.layers import LINE_AI, LINE_HUMAN, MEDIA, TO_AGENT, TO_CUSTOMER
from cxotel.impact.rating import R_BEST, WORST_IE, by_delay, rating

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cxotel.impact.facts import Facts, Figures, Leg

LOSS: Final = "loss"
DELAY: Final = "delay"
IE: Final = "ie"
_METRICS = (LOSS, DELAY)
# A cell's layers in path order: the five of media and the blind part between them.
CELL_LAYERS = (*MEDIA, CxLayer.UNOBSERVED)
_CELL_RANK = {layer: rank for rank, layer in enumerate(CELL_LAYERS)}

Source = tuple[float, "Facts"]
"""A figure (percent, ms, or ie) and the span that says so; of a path figure the residual."""
Numbers = tuple[float, float, float]
"""Share that arrives, delay in ms, ie."""
UNHARMED: Final[Numbers] = (1.0, 0.0, 0.0)


@dataclass(slots=True, eq=False)
class Effect:
    """What a leg, or a layer, does.

    Attributes:
        layer: whose.
        agent: to what the agent hears.
        customer: to what the customer hears.
        sources: where legs were combined the worst single figure by metric, of both directions.
        leg: the one leg's span and figures; None where legs were combined.
    """

    layer: str
    agent: Numbers = UNHARMED
    customer: Numbers = UNHARMED
    sources: dict[str, Source] = field(default_factory=dict)
    leg: tuple[Facts, Figures] | None = None
    _named: tuple[str, float, Facts] | None = None

    @property
    def harms(self) -> bool:
        """Whether it does anything at all."""
        return self.agent != UNHARMED or self.customer != UNHARMED

    @property
    def rank(self) -> int:
        """Place in path order."""
        return _CELL_RANK[self.layer]

    def add(self, direction: int, metric: str, value: float, span: Facts) -> None:
        """Combines another hop figure, residual or ie of the same layer."""
        kept, delay, ie = self.customer if direction else self.agent
        if metric == LOSS:
            kept *= 1.0 - value / 100.0
        elif metric == DELAY:
            delay += value
        else:
            ie += value
        if direction:
            self.customer = (kept, delay, ie)
        else:
            self.agent = (kept, delay, ie)
        known = self.sources.get(metric)
        if known is None or is_worse(value, span, known):
            self.sources[metric] = (value, span)

    def named(self, bpl: float) -> tuple[str, float, Facts]:
        """The metric whose worst figure lowers R most alone, its worst single figure, and who says so."""
        if self._named is None:
            kept = min(self.agent[0], self.customer[0])
            delay = max(self.agent[1], self.customer[1])
            ie = max(self.agent[2], self.customer[2])
            alone = []
            if kept < 1.0:
                alone.append((rating(kept, 0.0, 0.0, bpl), 0, LOSS))
            if delay > 0.0:
                alone.append((by_delay(delay), 1, DELAY))
            if ie > 0.0:
                alone.append((R_BEST - min(ie, WORST_IE), 2, IE))
            what = min(alone)[2]
            self._named = (what, *self._source(what))
        return self._named

    def _source(self, metric: str) -> Source:
        if not self.leg:
            return self.sources[metric]
        span, (loss_a, delay_a, loss_c, delay_c) = self.leg
        if metric == IE:
            return max(self.agent[2], self.customer[2]), span
        pair = (loss_a, loss_c) if metric == LOSS else (delay_a, delay_c)
        return max(value for value in pair if value is not None), span


def is_worse(value: float, span: Facts, known: Source) -> bool:
    """Whether a figure goes before a known one: larger, then the span that began first."""
    if value != known[0]:
        return value > known[0]
    other = known[1]
    return (span.start, span.span_id, span.trace_id) < (other.start, other.span_id, other.trace_id)


def effect_of(span: Facts, leg: Leg, figures: Figures) -> Effect:
    """What a leg does, taken as a hop."""
    loss_a, delay_a, loss_c, delay_c = figures
    ie_a = 0.0 if loss_a is None and delay_a is None else leg.ie[0]
    ie_c = 0.0 if loss_c is None and delay_c is None else leg.ie[1]
    return Effect(
        leg.layer,
        (1.0 - loss_a / 100.0 if loss_a else 1.0, delay_a or 0.0, ie_a),
        (1.0 - loss_c / 100.0 if loss_c else 1.0, delay_c or 0.0, ie_c),
        leg=(span, figures),
    )


class Resolver:
    """Turns legs into layers: of one layer's legs the largest figures, of path figures the residuals."""

    def __init__(self, gone_through: frozenset[str]) -> None:
        """Takes the layers that the call went through."""
        self._gone_through = gone_through

    def resolve(self, legs: Iterable[Effect], *, is_ai: bool) -> Sequence[Effect]:
        """Effects by layer, in path order.

        Args:
            legs: effects of legs with figures at this instant.
            is_ai: whether a converse of the voice AI lasts, so that the line ends there.
        """
        line = LINE_AI if is_ai else LINE_HUMAN
        layers: dict[str, Effect] = {}
        for direction, way in ((TO_AGENT, line), (TO_CUSTOMER, line[::-1])):
            for place, metric in enumerate(_METRICS):
                hops: dict[str, Source] = {}
                paths: dict[str, Source] = {}
                for span, figures in (one.leg for one in legs if one.leg):
                    value = figures[2 * direction + place]
                    if value is None or span.leg is None:
                        continue
                    is_path = span.leg.is_path and span.leg.layer in line
                    _keep_worst(paths if is_path else hops, span.leg.layer, value, span)
                for layer, (value, span) in hops.items():
                    _of(layers, layer).add(direction, metric, value, span)
                if paths:
                    self._add_residuals(layers, direction, metric, (hops, paths), way)
            self._add_ie(layers, direction, legs)
        return sorted(layers.values(), key=lambda one: one.rank)

    def _add_residuals(
        self,
        layers: dict[str, Effect],
        direction: int,
        metric: str,
        figures: tuple[dict[str, Source], dict[str, Source]],
        line: tuple[str, ...],
    ) -> None:
        """What a path leg saw beyond all that is known before it, walking down the line."""
        hops, paths = figures
        known = 1.0 if metric == LOSS else 0.0  # share that arrived, or delay, up to here
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
                charged = CxLayer.UNOBSERVED if blind else layer
                _of(layers, charged).add(direction, metric, residual, span)
                blind = False
            elif hop is None and layer in self._gone_through:
                blind = True

    @staticmethod
    def _add_ie(layers: dict[str, Effect], direction: int, legs: Iterable[Effect]) -> None:
        """The largest ie of each layer's legs that have a figure of the direction."""
        worst: dict[str, Source] = {}
        for span, figures in (one.leg for one in legs if one.leg):
            ie = span.leg.ie[direction] if span.leg else 0.0
            if ie > 0.0 and span.leg and figures[2 * direction : 2 * direction + 2] != (None, None):
                _keep_worst(worst, span.leg.layer, ie, span)
        for layer, (ie, span) in worst.items():
            _of(layers, layer).add(direction, IE, ie, span)


def _of(layers: dict[str, Effect], layer: str) -> Effect:
    return layers.setdefault(layer, Effect(layer, sources={}))


def _keep_worst(table: dict[str, Source], layer: str, value: float, span: Facts) -> None:
    known = table.get(layer)
    if known is None or is_worse(value, span, known):
        table[layer] = (value, span)
