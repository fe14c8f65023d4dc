"""The impact model: spans of a call in, what the call cost its people and whose it was out."""

from cxotel.impact.cells import Cell
from cxotel.impact.engine import Engine, judge
from cxotel.impact.evidence import Evidence, Stretch
from cxotel.impact.parameters import DEFAULT, Parameters
from cxotel.impact.span import Span
from cxotel.impact.verdict import Root, Verdict

__all__ = [
    "DEFAULT",
    "Cell",
    "Engine",
    "Evidence",
    "Parameters",
    "Root",
    "Span",
    "Stretch",
    "Verdict",
    "judge",
]
