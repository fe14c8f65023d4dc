"""The engine: spans in, verdict out; no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxotel.impact.call import Call
from cxotel.impact.evidence import SCOPE
from cxotel.impact.facts import Facts, read_facts
from cxotel.impact.parameters import DEFAULT, Parameters
from cxotel.impact.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.impact.span import Span

_NO_ID = ("", "0" * 16)


class Engine:
    """Judges one call, fed span by span.

    What is kept are compact facts of each span. A span that could not be read as a whole (no id, no start, no
    end, an end before its start) and every value that could not be read are counted in `cx.impact.skipped`.
    Nothing a span says makes the engine raise.
    """

    def __init__(self, parameters: Parameters = DEFAULT) -> None:
        """An engine for one call.

        Args:
            parameters: the model's parameters.
        """
        self._parameters = parameters
        self._facts: dict[tuple[str, str], Facts] = {}
        self._bad: set[tuple[str, ...]] = set()

    def add(self, span: Span) -> None:
        """Takes in one span, in any order; of copies the latest end wins, then the one received last.

        Spans of scope `cxotel.impact`, our own verdicts, are left out.
        """
        if span.scope == SCOPE:
            return
        if span.span_id in _NO_ID:
            self._bad.add((span.trace_id, "", span.parent_id, span.name, str(span.start), str(span.end)))
            return
        key = (span.trace_id, span.span_id)
        if span.start <= 0 or span.end < span.start:
            self._bad.add(key)
            return
        known = self._facts.get(key)
        if known is None or span.end >= known.end:
            self._facts[key] = read_facts(span, self._parameters)

    def verdict(self, *, partial: bool = False) -> Verdict:
        """The verdict on what has come so far; more spans may follow.

        Args:
            partial: the judge may have missed spans, or the root's grace has not ended. A verdict without a
                root is partial in any case.
        """
        return Verdict(Call(self._facts.values(), len(self._bad), self._parameters), partial=partial)


def judge(spans: Iterable[Span], parameters: Parameters = DEFAULT) -> Verdict:
    """The verdict on all spans of one call."""
    engine = Engine(parameters)
    for span in spans:
        engine.add(span)
    return engine.verdict()
