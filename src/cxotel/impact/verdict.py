"""The verdict: what the engine says of a call."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cxotel._semconv import (
    CX_IMPACT_CHARGE,
    CX_IMPACT_COST,
    CX_IMPACT_COVERAGE,
    CX_IMPACT_CURRENCY,
    CX_IMPACT_EVIDENCE,
    CX_IMPACT_FELT,
    CX_IMPACT_LAYER,
    CX_IMPACT_LAYERS,
    CX_IMPACT_LOST_SECONDS,
    CX_IMPACT_MODEL,
    CX_IMPACT_OUTSIDE,
    CX_IMPACT_OWNER,
    CX_IMPACT_PARTIAL,
    CX_IMPACT_SCORE,
    CX_IMPACT_SEVERITY,
    CX_IMPACT_SHARE,
    CX_IMPACT_SKIPPED,
    CX_IMPACT_SUMMARY,
    CX_IMPACT_UNOBSERVED,
    CX_MEDIA_MOS_MEAN,
    CX_MEDIA_MOS_MIN,
    CxCallOutcome,
    CxImpactFelt,
    CxImpactSeverity,
    CxLayer,
)
from cxotel.impact.cells import Cell, cells_of
from cxotel.impact.evidence import (
    Evidence,
    Item,
    Stretch,
    evidence_spans,
    items_of,
    milliseconds,
    rounded,
    stretches_of,
    told_of,
    whole,
)
from cxotel.impact.layers import RANK
from cxotel.impact.ledger import Ledger, account
from cxotel.impact.parameters import MODEL
from cxotel.impact.summary import Told, summarise
from cxotel.impact.sweep import pieces, rework_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cxotel.impact.call import Call
    from cxotel.impact.facts import Facts
    from cxotel.impact.span import Span

Value = str | bool | int | float | list[str]
_ENDINGS = (CxCallOutcome.DROPPED, CxCallOutcome.ABANDONED, CxCallOutcome.FAILED)


@dataclass(frozen=True, slots=True)
class Root:
    """The root span that a verdict belongs to; times in nanoseconds."""

    trace_id: str
    span_id: str
    start: int
    end: int


class Verdict:
    """What a call cost its people and whose it was; later spans do not change it.

    Attributes:
        attributes: the root's attributes, rounded as the model says.
        charges: seconds charged by layer, unrounded; they sum up to `exact_lost`.
        exact_lost: lost seconds, unrounded.
        start: the call's start, ns.
        end: the call's end, ns.
    """

    def __init__(self, call: Call, *, partial: bool = False) -> None:
        """Judges a call.

        Args:
            call: the call.
            partial: the judge may have missed spans, or the grace has not ended.
        """
        self._call = call
        self._rework = rework_of(call)
        self._ledger: Ledger = account(call, self._rework, pieces(call, self._rework))
        self._all_items: list[Item] = items_of(self._ledger)
        self._items = told_of(self._all_items, call.parameters)
        self.start, self.end = call.start, call.end
        self.charges: Mapping[str, float] = {
            layer: lost / 1e9
            for layer, lost in sorted(self._ledger.charges.items(), key=lambda pair: RANK[pair[0]])
        }
        self.exact_lost = self._ledger.lost / 1e9
        self._charged = self._charged_layers()
        self._lost_ms = sum(charged for _, charged in self._charged)
        self.attributes: dict[str, Value] = self._attributes(partial or call.root is None)

    @property
    def lost_seconds(self) -> float:
        """Lost seconds, whole ms."""
        return self._lost_ms / 1000

    @property
    def layers(self) -> list[str]:
        """Charged layers, the largest charge first."""
        return [layer for layer, _ in self._charged]

    @property
    def severity(self) -> str:
        """none, minor, moderate, severe or critical."""
        return str(self.attributes[CX_IMPACT_SEVERITY])

    @property
    def root(self) -> Root | None:
        """The call's root, None if it has not been seen."""
        root = self._call.root
        return Root(root.trace_id, root.span_id, root.start, root.end) if root else None

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What the verdict rests on, the costliest first."""
        return tuple(item.evidence for item in self._items)

    @cached_property
    def _stretches(self) -> list[tuple[Stretch, Facts | None]]:
        return stretches_of(self._items, self._call.parameters)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """Lost time of every evidence item, in order of time; gaps under 10 s belong to a stretch."""
        return tuple(stretch for stretch, _ in self._stretches)

    def evidence_spans(self) -> list[Span]:
        """Spans to add to the trace: the costliest stretches, in order of time; ids are computed."""
        return evidence_spans(self._stretches, self._call.root, self._call.parameters)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The call cell by cell, for people who want to know why."""
        return cells_of(self._call, self._rework)

    def _charged_layers(self) -> list[tuple[str, int]]:
        charged = [(layer, milliseconds(lost)) for layer, lost in self._ledger.charges.items()]
        charged = [pair for pair in charged if pair[1] > 0]
        return sorted(charged, key=lambda pair: (-pair[1], RANK[pair[0]]))

    def _attributes(self, partial: bool) -> dict[str, Value]:
        call, ledger = self._call, self._ledger
        attributes: dict[str, Value] = {
            f"{CX_IMPACT_CHARGE}.{layer}": charged / 1000 for layer, charged in self._charged
        }
        attributes[CX_IMPACT_LOST_SECONDS] = self._lost_ms / 1000
        attributes[CX_IMPACT_LAYERS] = self.layers
        owner = ""
        if self._charged:
            top, charged = self._charged[0]
            owner = self._owner(top)
            attributes[CX_IMPACT_LAYER] = top
            attributes[CX_IMPACT_SHARE] = rounded(charged / self._lost_ms, 3)
            if owner:
                attributes[CX_IMPACT_OWNER] = owner
        attributes[CX_IMPACT_SEVERITY] = self._severity()
        attributes[CX_IMPACT_SCORE] = self._score()
        attributes[CX_IMPACT_FELT] = self._felt()
        attributes[CX_IMPACT_EVIDENCE] = [item.evidence.text for item in self._items]
        attributes[CX_IMPACT_SUMMARY] = summarise(
            Told(
                outcome=call.outcome,
                lost=self._lost_ms,
                call=call.end - call.start,
                items=[item.evidence for item in self._all_items],
                layers=self._charged,
                owner=owner,
                unobserved=call.unobserved,
                is_partial=partial,
                unheard=ledger.unheard,
            ),
            call.parameters,
        )
        gone = len(call.gone_through)
        attributes[CX_IMPACT_COVERAGE] = rounded((gone - len(call.unobserved)) / gone, 3) if gone else 0.0
        attributes[CX_IMPACT_UNOBSERVED] = list(call.unobserved)
        attributes[CX_IMPACT_OUTSIDE] = call.outside()
        attributes[CX_IMPACT_PARTIAL] = partial
        attributes[CX_IMPACT_MODEL] = MODEL
        attributes[CX_IMPACT_SKIPPED] = call.skipped
        if ledger.measured:
            attributes[CX_MEDIA_MOS_MIN] = rounded(ledger.worst_mos, 2)
            attributes[CX_MEDIA_MOS_MEAN] = rounded(ledger.mos / ledger.measured, 2)
        if call.parameters.priced:
            attributes[CX_IMPACT_COST] = self._cost()
            attributes[CX_IMPACT_CURRENCY] = call.parameters["cost.currency"]
        return attributes

    def _owner(self, layer: str) -> str:
        """Owner named by the span behind the layer's first item."""
        if layer == CxLayer.UNOBSERVED:
            return ""
        for item in self._all_items:
            if item.evidence.layer == layer:
                return item.span.owner if item.span else ""
        return ""

    def _severity(self) -> str:
        parameters, ledger = self._call.parameters, self._ledger
        outcome = self._call.outcome
        is_short = outcome == CxCallOutcome.ABANDONED and self._is_short()
        mostly_dead = ledger.conversation and (
            ledger.dead >= parameters["severity.dead_share"] * ledger.conversation
        )
        if (outcome in _ENDINGS and not is_short) or mostly_dead:
            return CxImpactSeverity.CRITICAL
        severity: str = CxImpactSeverity.NONE
        for name in (CxImpactSeverity.MINOR, CxImpactSeverity.MODERATE, CxImpactSeverity.SEVERE):
            if self._lost_ms >= parameters.milliseconds(f"severity.{name}"):
                severity = name
        return severity

    def _is_short(self) -> bool:
        wait = self._call.left_in()
        return wait is not None and wait.end - wait.start < self._call.parameters.nanoseconds("abandon.short")

    def _score(self) -> float:
        seconds = (self.end - self.start) / 1e9
        if seconds <= 0.0:
            return 100.0
        return max(0.0, rounded(100.0 * (1.0 - self._lost_ms / 1000 / seconds), 1))

    def _felt(self) -> list[str]:
        least = self._call.parameters.nanoseconds("felt.least")
        felt = {symptom for symptom, lost in self._ledger.felt.items() if whole(lost) >= least}
        if self._call.outcome in _ENDINGS:
            felt.add(self._call.parameters["felt.symptoms"][self._call.outcome])
        return [symptom for symptom in CxImpactFelt.VALUES if symptom in felt]

    def _cost(self) -> float:
        parameters, ledger = self._call.parameters, self._ledger
        customer = ledger.lost / 3.6e12 * parameters["cost.customer_hourly"]
        agent = ledger.staffed_lost / 3.6e12 * parameters["cost.agent_hourly"]
        return rounded(customer + agent, 2)
