"""Loss and delay over time, one small chart per hop, direction and figure, all on the same scales."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cxotel._semconv import CX_MEDIA_CODEC, CX_OWNER
from cxotel.desk import timeline, words
from cxotel.desk.traces import to_request
from cxotel.impact import DEFAULT
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.impact.facts import read_facts
from cxotel.impact.intervals import minus, union
from cxotel.otlp.proto import from_request

if TYPE_CHECKING:
    from cxotel.desk.axis import Axis
    from cxotel.desk.traces import Kept
    from cxotel.impact import Span
    from cxotel.impact.facts import Leg

# The model's columns of a leg, as read_facts gives them.
COLUMNS = (
    ("to_agent", "loss_pct"),
    ("to_agent", "delay_ms"),
    ("to_customer", "loss_pct"),
    ("to_customer", "delay_ms"),
)
# A media episode repeats windows of its leg.
EPISODE = "media episode"
MEDIA = "cx.media."
# Scales never shrink below these, so that noise does not look like a fault: 5 % loss brings R near 80
# ("satisfied", G.109), and 150 ms is the one-way delay up to which most calls are not hurt (G.114).
LEAST_SCALE = {"loss_pct": 5.0, "delay_ms": 150.0}
FIGURES = {"loss_pct": ("Loss", " %"), "delay_ms": ("Delay", " ms")}
# A path has these units: 1000 wide, 100 high.
WIDE, HIGH = 1000, 100


@dataclass(slots=True)
class Piece:
    """Windows of one leg: from, to (ns), value or None where not measured."""

    start: int
    end: int
    value: float | None


@dataclass(slots=True)
class Chart:
    """One figure of one hop in one direction.

    `area` and `line` are SVG paths in a box of 1000 by 100; `legs` is where there was a leg at all, `gaps`
    where nothing of it was measured, `shades` what was lost by it.
    """

    figure: str
    unit: str
    top: str
    area: str = ""
    line: str = ""
    worst: str = ""
    mean: str = ""
    legs: list[tuple[str, str]] = field(default_factory=list)
    gaps: list[tuple[str, str]] = field(default_factory=list)
    shades: list[timeline.Bar] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """Whether there is any figure at all."""
        return bool(self.line)


@dataclass(slots=True)
class Hop:
    """A leg's charts by direction: {"to_agent": [loss, delay], ...}; `is_path`: for the whole way to here."""

    layer: str
    name: str
    owner: str
    codec: str
    is_path: bool
    charts: dict[str, list[Chart]]


def hops(spans: list[Kept], axis: Axis, stretches: list[dict[str, Any]]) -> list[Hop]:
    """Hops in path order; legs of one layer and name follow each other on one chart."""
    legs: dict[tuple[str, str], list[tuple[Span, Leg]]] = {}
    # Most spans of a large call have no series: reading them all as the model does takes longest of all.
    measured = [one for one in spans if any(pair.key.startswith(MEDIA) for pair in one.item.attributes)]
    for span in from_request(to_request(measured)):
        if span.scope == IMPACT_SCOPE or span.name == EPISODE or not 0 < span.start <= span.end:
            continue
        leg = read_facts(span, DEFAULT).leg
        if leg is not None:
            legs.setdefault((leg.layer, span.name), []).append((span, leg))
    order = list(words.LAYERS)
    keys = sorted(legs, key=lambda key: (order.index(key[0]), legs[key][0][0].start))
    pieces = {(key, column): _pieces(legs[key], column) for key in keys for column in range(len(COLUMNS))}
    tops = {
        figure: nice(
            max([LEAST_SCALE[figure], *(_worst(p) for k, p in pieces.items() if COLUMNS[k[1]][1] == figure)])
        )
        for figure in FIGURES
    }
    found: list[Hop] = []
    for key in keys:
        legs_at = [(span.start, span.end) for span, _ in legs[key]]
        own = {span.span_id for span, _ in legs[key]}
        charged = [stretch for stretch in stretches if stretch["span_id"] in own]
        hop = Hop(
            key[0],
            key[1],
            _first(legs[key], CX_OWNER),
            _first(legs[key], CX_MEDIA_CODEC),
            any(leg.is_path for _, leg in legs[key]),
            {direction: [] for direction in words.DIRECTIONS},
        )
        for column, (direction, figure) in enumerate(COLUMNS):
            windows = pieces[key, column]
            chart = _chart(figure, windows, tops[figure], axis, legs_at)
            chart.shades = _shades(figure, windows, charged, key[0], axis)
            hop.charts[direction].append(chart)
        found.append(hop)
    return found


def _first(members: list[tuple[Span, Leg]], key: str) -> str:
    values = (span.attributes.get(key) for span, _ in members)
    return next((value for value in values if isinstance(value, str)), "")


def _pieces(members: list[tuple[Span, Leg]], column: int) -> list[Piece]:
    """One figure of all legs in order of time, neighbours of one value joined."""
    found: list[Piece] = []
    for _, leg in sorted(members, key=lambda member: member[0].start):
        for start, end, figures in leg.runs:
            value = figures[column]
            if found and found[-1].end == start and found[-1].value == value:
                found[-1].end = end
            else:
                found.append(Piece(start, end, value))
    return found


def _worst(pieces: list[Piece]) -> float:
    return max((piece.value for piece in pieces if piece.value is not None), default=0.0)


def nice(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-12))


def _chart(figure: str, pieces: list[Piece], top: float, axis: Axis, legs: list[tuple[int, int]]) -> Chart:
    label, unit = FIGURES[figure]
    chart = Chart(label, unit, f"{top:g}{unit}")
    chart.legs = [(axis.x(start), axis.width(start, end)) for start, end in union(legs)]
    measured = [piece for piece in pieces if piece.value is not None]
    if not measured:
        return chart
    decimals = 1 if figure == "loss_pct" else 0
    chart.worst = f"{_worst(measured):.{decimals}f}{unit}"
    time = sum(piece.end - piece.start for piece in measured)
    mean = sum((piece.value or 0) * (piece.end - piece.start) for piece in measured) / time
    chart.mean = f"{mean:.{decimals}f}{unit}"
    line: list[str] = []
    area: list[str] = []
    last = 0
    for piece in measured:
        x0, x1 = axis.share(piece.start) * WIDE, axis.share(piece.end) * WIDE
        y = HIGH - (piece.value or 0) / top * HIGH
        line.append(f"{'L' if last == piece.start else 'M'}{x0:.1f} {y:.1f}H{x1:.1f}")
        area.append(f"M{x0:.1f} {HIGH}V{y:.1f}H{x1:.1f}V{HIGH}Z")
        last = piece.end
    known = union((piece.start, piece.end) for piece in measured)
    chart.gaps = [(axis.x(start), axis.width(start, end)) for start, end in minus(union(legs), known)]
    chart.line, chart.area = "".join(line), "".join(area)
    return chart


def _shades(
    figure: str, pieces: list[Piece], stretches: list[dict[str, Any]], layer: str, axis: Axis
) -> list[timeline.Bar]:
    """Those of the stretches charged to this layer for this figure, where this direction had any of it."""
    what = ("delay",) if figure == "delay_ms" else ("loss", "ie")
    had = union((piece.start, piece.end) for piece in pieces if piece.value)
    ends = [end for _, end in had]
    shaded = []
    for stretch in stretches:
        if stretch["layer"] == layer and stretch["what"] in what:
            at = bisect_right(ends, stretch["start"])
            if at < len(had) and had[at][0] < stretch["end"]:
                shaded.append(stretch)
    return [timeline.lost_bar(stretch, axis) for stretch in timeline.coarse(shaded, axis)]
