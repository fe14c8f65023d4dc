"""Who is charged what: the pieces of a call added up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cxotel._semconv import CxLayer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.impact.call import Call
    from cxotel.impact.facts import Facts
    from cxotel.impact.quality import Quality
    from cxotel.impact.sweep import Piece, Rework, Waited

FIDELITY = "fidelity"
BEST_MOS = 4.5  # G.107 Annex B
_NOISE = 1e-3  # nanoseconds; what is less came from rounding in the sums


@dataclass(slots=True)
class Entry:
    """One charge over one stretch of time.

    Attributes:
        start: nanoseconds.
        end: nanoseconds.
        lost: nanoseconds charged, at most the length.
        value: what was bad about it (percent, ms, s, or ie); None for an outcome.
        span: the span that says so, None for none.
    """

    start: int
    end: int
    lost: float
    value: float | None
    span: Facts | None


@dataclass(slots=True)
class Ledger:
    """Sums of a call, in nanoseconds.

    Attributes:
        entries: by (layer, what), in order of time.
        charges: by layer.
        felt: by symptom.
        lost: all charges.
        staffed_lost: the part inside talk or hold.
        conversation: length of the conversation.
        dead: conversation outside lost waits with a dead direction.
        measured: conversation outside lost waits that has figures.
        mos: sum of MOS times nanoseconds over it.
        worst_mos: the least of it.
        unheard: quality lost to the agent alone and to the customer alone.
    """

    entries: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)
    charges: dict[str, float] = field(default_factory=dict)
    felt: dict[str, float] = field(default_factory=dict)
    lost: float = 0.0
    staffed_lost: float = 0.0
    conversation: int = 0
    dead: int = 0
    measured: int = 0
    mos: float = 0.0
    worst_mos: float = BEST_MOS
    unheard: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def charge(self, layer: str, what: str, entry: Entry) -> None:
        """Charges a layer."""
        self.charges[layer] = self.charges.get(layer, 0.0) + entry.lost
        if entry.lost > _NOISE:  # what was taken by others before is no evidence
            self.entries.setdefault((layer, what), []).append(entry)

    def feel(self, symptom: str, lost: float) -> None:
        """Adds to a symptom's time."""
        self.felt[symptom] = self.felt.get(symptom, 0.0) + lost


def account(call: Call, rework: Rework | None, pieces: Iterable[Piece]) -> Ledger:
    """Charges every piece: waits, then quality, handoffs by start, outcome, each of what is left."""
    ledger = Ledger()
    symptoms = call.parameters["felt.symptoms"]
    measured, mos, worst_mos = 0, 0.0, BEST_MOS
    for start, end, segment, quality in pieces:
        length = end - start
        if segment.talking:
            ledger.conversation += length
        if segment.waits:
            left = 0.0
            _charge_waits(ledger, start, end, segment.waits, symptoms)
        else:
            left = float(length)
            if quality and segment.talking:
                score = quality.mos
                measured += length
                mos += score * length
                worst_mos = min(worst_mos, score)
                if quality.is_dead:
                    ledger.dead += length
                if quality.lost > 0.0:
                    left -= _charge_quality(ledger, start, end, quality)
                elif not segment.handoffs and not segment.reworked:
                    continue
            for handoff in segment.handoffs:
                share = 1.0 - handoff.fidelity
                lost = left * share
                ledger.charge(CxLayer.HANDOFF, FIDELITY, Entry(start, end, lost, 100.0 * share, handoff))
                ledger.feel(symptoms[FIDELITY], lost)
                left -= lost
            if segment.reworked and rework:
                ledger.charge(rework.layer, rework.outcome, Entry(start, end, left, None, rework.span))
                left = 0.0
        lost = length - left
        ledger.lost += lost
        if segment.staffed:
            ledger.staffed_lost += lost
    ledger.measured, ledger.mos, ledger.worst_mos = measured, mos, worst_mos
    return ledger


def _charge_waits(
    ledger: Ledger, start: int, end: int, waits: list[Waited], symptoms: dict[str, str]
) -> None:
    """Each layer bears the same part of the instant, and its spans the same part of that."""
    by_layer: Counter[str] = Counter()
    for wait in waits:
        by_layer[wait.layer] += wait.count
    for wait in waits:
        lost = (end - start) * wait.count / (len(by_layer) * by_layer[wait.layer])
        longest = wait.longest
        seconds = (longest.end - longest.start) / 1e9
        ledger.charge(wait.layer, wait.activity, Entry(start, end, lost, seconds, longest.span))
        ledger.feel(symptoms[wait.activity], lost)


def _charge_quality(ledger: Ledger, start: int, end: int, quality: Quality) -> float:
    """Charges what bad audio cost; returns it."""
    length = end - start
    for one in quality.charges:
        ledger.charge(one.layer, one.what, Entry(start, end, one.share * length, one.value, one.span))
    ledger.feel(quality.felt, quality.lost * length)
    ledger.unheard[0] += quality.directions[0] * length
    ledger.unheard[1] += quality.directions[1] * length
    return quality.lost * length
