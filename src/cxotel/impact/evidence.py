"""What a verdict rests on: one item per layer and kind, and the stretches of time behind each."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxotel._semconv import CX_EVIDENCE_LAYER, CX_EVIDENCE_OWNER, CX_EVIDENCE_SECONDS, CX_EVIDENCE_WHAT
from cxotel.impact.effects import DELAY, IE, LOSS
from cxotel.impact.layers import RANK
from cxotel.impact.ledger import FIDELITY, Entry, Ledger
from cxotel.impact.span import STATUS_ERROR, STATUS_UNSET, Span

if TYPE_CHECKING:
    from cxotel.impact.facts import Facts
    from cxotel.impact.parameters import Parameters

SCOPE = "cxotel.impact"
NO_OWNER = "unknown"
_INTERNAL = 1  # OTLP SpanKind
_UNITS = {LOSS: " %", FIDELITY: " %", DELAY: " ms", IE: ""}
_SECONDS_UNIT = " s"  # of every wait


def rounded(value: float, decimals: int) -> float:
    """The value rounded half up, as everywhere in the model."""
    factor = 10.0**decimals
    return math.floor(value * factor + 0.5) / factor


def whole(nanoseconds: float) -> int:
    """A sum of charges in whole nanoseconds: what is said of it does not hang on the order of adding up."""
    return math.floor(nanoseconds + 0.5)


def rounded_seconds(nanoseconds: float, decimals: int) -> float:
    """A sum of charges in seconds, rounded half up, exactly."""
    unit = int(10 ** (9 - decimals))
    return (whole(nanoseconds) + unit // 2) // unit / 10.0**decimals


def milliseconds(nanoseconds: float) -> int:
    """A sum of charges in whole milliseconds, rounded half up."""
    return (whole(nanoseconds) + 500_000) // 1_000_000


def service_of(layer: str, owner: str) -> str:
    """`service.name` of what a judge says of a layer: who did it, as tools show that of every span."""
    return f"{layer}: {owner or NO_OWNER}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One item.

    Attributes:
        layer: who is charged.
        what: loss, delay, ie, an activity, fidelity, or an outcome.
        value: the worst: % (loss; fidelity: context lost), ms (delay), s (waits), plain (ie); None: outcome.
        seconds: charged.
        span_id: the span that says so, "" for none.
    """

    layer: str
    what: str
    value: float | None
    seconds: float
    span_id: str

    @property
    def text(self) -> str:
        """The item as the root says it: `carrier: loss 15.5 %, 53.2 s (span dbc1b4c900ffe48d)`."""
        value = (
            ""
            if self.value is None
            else f" {rounded(self.value, 1):.1f}{_UNITS.get(self.what, _SECONDS_UNIT)}"
        )
        span = f" (span {self.span_id})" if self.span_id else ""
        return f"{self.layer}: {self.what}{value}, {rounded_seconds(self.seconds * 1e9, 1):.1f} s{span}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time lost for one item without a long gap.

    Attributes:
        layer: as its item's.
        what: as its item's.
        start: nanoseconds.
        end: nanoseconds.
        seconds: charged.
        span_id: the span that was worst in it, "" for none.
        text: the item's text.
    """

    layer: str
    what: str
    start: int
    end: int
    seconds: float
    span_id: str
    text: str


def worst(entries: list[Entry]) -> Entry:
    """The entry with the largest value; of equal ones that of the span that began first."""
    return min(entries, key=_badness)


def _badness(entry: Entry) -> tuple[float, int, str]:
    value = -math.inf if entry.value is None else entry.value
    span = entry.span
    return (-value, span.start, span.span_id) if span else (-value, 0, "")


def rank(layer: str, what: str, seconds: float) -> tuple[int, int, str]:
    """Order of items: by seconds (whole ms), then path order, then what."""
    return (-milliseconds(seconds * 1e9), RANK[layer], what)


@dataclass(slots=True)
class Item:
    """An item with what it was made from."""

    evidence: Evidence
    entries: list[Entry]
    span: Facts | None

    @property
    def is_told(self) -> bool:
        """Whether it rounds to a millisecond or more."""
        return milliseconds(self.evidence.seconds * 1e9) > 0


def items_of(ledger: Ledger) -> list[Item]:
    """All items that cost anything, the costliest first."""
    items: list[Item] = []
    for (layer, what), entries in ledger.entries.items():
        lost = sum(entry.lost for entry in entries)
        if lost <= 0.0:
            continue
        top = worst(entries)
        span_id = top.span.span_id if top.span else ""
        items.append(Item(Evidence(layer, what, top.value, lost / 1e9, span_id), entries, top.span))
    items.sort(key=lambda item: rank(item.evidence.layer, item.evidence.what, item.evidence.seconds))
    return items


def told_of(items: list[Item], parameters: Parameters) -> list[Item]:
    """The items that the verdict tells of: of at least half a millisecond, the costliest ones."""
    return [item for item in items if item.is_told][: parameters["evidence.items"]]


def stretches_of(items: list[Item], parameters: Parameters) -> list[tuple[Stretch, Facts | None]]:
    """Stretches of all items in order of time, each with its worst span."""
    gap = parameters.nanoseconds("evidence.gap")
    found: list[tuple[Stretch, Facts | None]] = []
    for item in items:
        group: list[Entry] = []
        groups: list[list[Entry]] = []
        end = 0
        for entry in sorted(item.entries, key=lambda one: one.start):
            if not group or entry.start - end >= gap:
                group = []
                groups.append(group)
            group.append(entry)
            end = max(end, entry.end)
        found += [_stretch(item.evidence, one) for one in groups]
    found.sort(key=lambda pair: (pair[0].start, *rank(pair[0].layer, pair[0].what, pair[0].seconds)))
    return found


def _stretch(evidence: Evidence, entries: list[Entry]) -> tuple[Stretch, Facts | None]:
    span = worst(entries).span
    stretch = Stretch(
        evidence.layer,
        evidence.what,
        entries[0].start,
        max(entry.end for entry in entries),
        sum(entry.lost for entry in entries) / 1e9,
        span.span_id if span else "",
        evidence.text,
    )
    return stretch, span


def evidence_spans(
    stretches: list[tuple[Stretch, Facts | None]], root: Facts | None, parameters: Parameters
) -> list[Span]:
    """Spans that a judge adds to the trace: the costliest stretches, in order of time."""
    costliest = sorted(
        stretches,
        key=lambda pair: (*rank(pair[0].layer, pair[0].what, pair[0].seconds), pair[0].start),
    )[: parameters["evidence.spans"]]
    costliest.sort(key=lambda pair: (pair[0].start, RANK[pair[0].layer], pair[0].what))
    return [_span(stretch, span, root, parameters) for stretch, span in costliest]


def _span(stretch: Stretch, worst_span: Facts | None, root: Facts | None, parameters: Parameters) -> Span:
    home = root or worst_span
    trace_id = home.trace_id if home else ""
    parent = worst_span if worst_span and worst_span.trace_id == trace_id else root
    key = "\0".join((trace_id, stretch.layer, stretch.what, str(stretch.start)))
    is_error = milliseconds(stretch.seconds * 1e9) >= parameters.milliseconds("evidence.error_from")
    owner = worst_span.owner if worst_span else ""
    return Span(
        trace_id=trace_id,
        span_id=hashlib.sha256(key.encode()).hexdigest()[:16],
        name=f"{stretch.layer} {stretch.what}",
        start=stretch.start,
        end=stretch.end,
        attributes={
            CX_EVIDENCE_LAYER: stretch.layer,
            CX_EVIDENCE_WHAT: stretch.what,
            CX_EVIDENCE_SECONDS: rounded_seconds(stretch.seconds * 1e9, 3),
            **({CX_EVIDENCE_OWNER: owner} if owner else {}),
        },
        parent_id=parent.span_id if parent else "",
        scope=SCOPE,
        status=STATUS_ERROR if is_error else STATUS_UNSET,
        status_message=stretch.text if is_error else "",
        kind=_INTERNAL,
        service=service_of(stretch.layer, owner),
    )
