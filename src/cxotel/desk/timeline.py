"""Legs and waits of a call as rows of bars, with the stretches that were lost."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cxotel._semconv import CX_ACTIVITY, CX_LAYER, CX_OWNER
from cxotel.desk import words
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.otlp.proto import attributes_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.desk.axis import Axis
    from cxotel.desk.traces import Kept

WAITS = ("setup", "queue", "connect", "respond", "lookup", "handoff", "hold")
# Spans that repeat what others show: episodes are cut from their leg, `call started` has no length.
NOT_DRAWN = ("media episode", "call started")
# Heights in pixels: a bar, the room between two lanes, the row of all lost time, the least that is seen.
BAR, GAP, STACK, LEAST = 18, 3, 40, 3
MOST_LANES = 4
# More bars than this are drawn as one where they touch: nobody can tell them apart, or click them.
MOST_BARS = 120
# More stretches than this are drawn as so many bins of time.
MOST_STRETCHES, BINS = 400, 300
# Closer than this share of the axis, and they touch.
TOUCHING = 0.002
ORDER = list(words.LAYERS)


@dataclass(slots=True)
class Bar:
    """A rectangle in a row: percent of the width, pixels of height, its span and what to say of it."""

    x: str
    width: str
    y: int
    height: int
    style: str
    href: str
    title: str


@dataclass(slots=True)
class Row:
    """What one layer did under one name, and what of it was lost."""

    layer: str
    label: str
    owner: str
    height: int = BAR
    bars: list[Bar] = field(default_factory=list)
    lost: list[Bar] = field(default_factory=list)
    seconds: float = 0.0


def rows(spans: Iterable[Kept], axis: Axis, stretches: list[dict[str, Any]]) -> list[Row]:
    """Rows in path order, then by time. A stretch lies on the row of its span, else on a row of its layer."""
    groups: dict[tuple[str, str], list[tuple[Any, dict[str, Any]]]] = {}
    for kept in spans:
        attributes = attributes_of(kept.item.attributes)
        layer = attributes.get(CX_LAYER)
        if not isinstance(layer, str) or layer not in words.LAYERS:
            continue
        if kept.scope.name == IMPACT_SCOPE or kept.item.name in NOT_DRAWN:
            continue
        if not 0 < kept.item.start_time_unix_nano <= kept.item.end_time_unix_nano:
            continue
        if kept.item.end_time_unix_nano < axis.start or kept.item.start_time_unix_nano > axis.end:
            continue
        groups.setdefault((layer, kept.item.name), []).append((kept.item, attributes))
    found: list[tuple[tuple[int, int], Row]] = []
    row_of: dict[str, Row] = {}
    for (layer, name), members in groups.items():
        members.sort(key=lambda member: member[0].start_time_unix_nano)
        row = _row(layer, name, members, axis)
        found.append(((ORDER.index(layer), members[0][0].start_time_unix_nano), row))
        row_of |= {span.span_id.hex(): row for span, _ in members}
    lost_of: dict[int, tuple[Row, list[dict[str, Any]]]] = {}
    for stretch in stretches:
        lying = row_of.get(stretch["span_id"])
        if lying is None or lying.layer != stretch["layer"]:
            lying = next((row for _, row in found if row.layer == stretch["layer"]), lying)
        if lying is None:
            lying = Row(stretch["layer"], words.layer(stretch["layer"]), "")
            found.append(((ORDER.index(stretch["layer"]), stretch["start"]), lying))
        lost_of.setdefault(id(lying), (lying, []))[1].append(stretch)
        lying.seconds += stretch["seconds"]
    for row, charged in lost_of.values():
        row.lost = [lost_bar(stretch, axis, row.height) for stretch in coarse(charged, axis)]
    found.sort(key=lambda pair: pair[0])
    return [row for _, row in found]


def lost_bar(stretch: dict[str, Any], axis: Axis, height: int = BAR) -> Bar:
    """A stretch of lost time, as high as the share of it that was lost, so that its area is lost seconds."""
    high = max(LEAST, round(_share(stretch) * height))
    return Bar(
        axis.x(stretch["start"]),
        axis.width(stretch["start"], stretch["end"]),
        height - high,
        high,
        f"lost l-{stretch['layer']}",
        f"#s-{stretch['span_id']}" if stretch["span_id"] else "",
        f"{words.layer(stretch['layer'])}: {words.WHAT.get(stretch['what'], stretch['what'])}, "
        f"{words.lost(stretch['seconds'])} lost",
    )


def lost_stack(stretches: list[dict[str, Any]], axis: Axis) -> list[Bar]:
    """All stretches in one row, those of the same time on top of each other."""
    stretches = coarse(stretches, axis)
    edges = sorted({edge for stretch in stretches for edge in (stretch["start"], stretch["end"])})
    coming = sorted(range(len(stretches)), key=lambda i: -stretches[i]["start"])
    under: list[int] = []
    bars = []
    for start, end in pairwise(edges):
        while coming and stretches[coming[-1]]["start"] <= start:
            under.append(coming.pop())
        under = sorted(i for i in under if stretches[i]["end"] >= end)
        ground = float(STACK)
        for stretch in (stretches[i] for i in under):
            bar = lost_bar(stretch, axis, STACK)
            high = max(1.0, _share(stretch) * STACK)
            ground -= high
            bar.x, bar.width = axis.x(start), axis.width(start, end)
            bar.y, bar.height = max(0, round(ground)), max(1, round(ground + high) - round(ground))
            bars.append(bar)
    return bars


def coarse(stretches: list[dict[str, Any]], axis: Axis) -> list[dict[str, Any]]:
    """Stretches as they are, or of more than can be told apart their seconds by layer and bin of time."""
    if len(stretches) <= MOST_STRETCHES:
        return stretches
    bins: dict[tuple[int, str], dict[str, Any]] = {}
    edges = [axis.start + axis.length * i // BINS for i in range(BINS + 1)]
    for stretch in stretches:
        start, end = max(stretch["start"], axis.start), min(stretch["end"], axis.end)
        if start >= end:
            continue
        first, last = bisect_right(edges, start) - 1, bisect_left(edges, end) - 1
        for number in range(first, last + 1):
            low, high = edges[number], edges[number + 1]
            part = (min(end, high) - max(start, low)) / (stretch["end"] - stretch["start"])
            known = bins.setdefault(
                (number, stretch["layer"]), {**stretch, "start": low, "end": high, "seconds": 0.0}
            )
            known["seconds"] += stretch["seconds"] * part
    return [bins[key] for key in sorted(bins)]


def _share(stretch: dict[str, Any]) -> float:
    length = (stretch["end"] - stretch["start"]) / 1e9
    return float(min(1.0, stretch["seconds"] / length)) if length > 0 else 1.0


def _row(layer: str, name: str, members: list[tuple[Any, dict[str, Any]]], axis: Axis) -> Row:
    owner = next((a[CX_OWNER] for _, a in members if isinstance(a.get(CX_OWNER), str)), "")
    row = Row(layer, name, owner)
    if len(members) > MOST_BARS:
        row.bars = _joined(layer, name, [span for span, _ in members], axis)
        return row
    lanes: list[int] = []
    for span, attributes in members:
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        lane = next((i for i, busy in enumerate(lanes) if busy <= start), len(lanes))
        lane = min(lane, MOST_LANES - 1)
        lanes[lane : lane + 1] = [end]
        waits = attributes.get(CX_ACTIVITY) in WAITS
        error = " error" if span.status.code == 2 else ""
        length = words.seconds((end - start) / 1e9)
        row.bars.append(
            Bar(
                axis.x(start),
                axis.width(start, end),
                lane * (BAR + GAP),
                BAR,
                f"{'wait' if waits else 'leg'} l-{layer}{error}",
                f"#s-{span.span_id.hex()}",
                f"{name}, {length}" + (f", failed: {span.status.message}" if error else ""),
            )
        )
    row.height = max(1, len(lanes)) * (BAR + GAP) - GAP
    return row


def _joined(layer: str, name: str, spans: list[Any], axis: Axis) -> list[Bar]:
    """Many spans in one lane, joined where they touch; a bar leads to its first and says how many."""
    groups: list[list[Any]] = []
    room, end = TOUCHING * axis.length, 0.0
    for span in spans:
        if not groups or span.start_time_unix_nano > end + room:
            groups.append([])
            end = 0
        groups[-1].append(span)
        end = max(end, span.end_time_unix_nano)
    return [
        Bar(
            axis.x(group[0].start_time_unix_nano),
            axis.width(group[0].start_time_unix_nano, max(span.end_time_unix_nano for span in group)),
            0,
            BAR,
            f"leg l-{layer}{' error' if any(span.status.code == 2 for span in group) else ''}",
            f"#s-{group[0].span_id.hex()}",
            f"{name}, {len(group):,} spans",
        )
        for group in groups
    ]
