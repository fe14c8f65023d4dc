"""What is kept of a span: its facts, read once, with a count of what could not be read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxotel._semconv import (
    CX_ACTIVITY,
    CX_CALL_MEDIUM,
    CX_CALL_OUTCOME,
    CX_CRM_WAITING,
    CX_HANDOFF_FIDELITY,
    CX_HANDOFF_KEYS_DELIVERED,
    CX_HANDOFF_KEYS_EXPECTED,
    CX_LAYER,
    CX_MEDIA_SCOPE,
    CX_MEDIA_WINDOW,
    CX_OWNER,
    CX_WAIT_SECONDS,
    CxActivity,
    CxLayer,
    CxMediaScope,
)
from cxotel.impact.layers import DELAY_KEYS, IE_KEYS, LOSS_KEYS, MEDIA
from cxotel.impact.span import STATUS_ERROR, Span
from cxotel.media.series import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cxotel.impact.parameters import Parameters

ROOT_NAMES = frozenset(("call inbound", "call outbound"))
SERIES_KEYS = (LOSS_KEYS[0], DELAY_KEYS[0], LOSS_KEYS[1], DELAY_KEYS[1])
MAX_IE = 95.0  # G.107: Ie is at most 95
SHORTEST_WINDOW, LONGEST_WINDOW = 1e-9, 1e6  # seconds; impact model, section 0

Figures = tuple[float | None, float | None, float | None, float | None]
"""Loss in percent and delay in ms to the agent, then to the customer; None where not measured."""
Run = tuple[int, int, Figures]
"""Start and end in nanoseconds, and the figures of all windows between."""


@dataclass(slots=True, eq=False)
class Leg:
    """Media figures of one span.

    Attributes:
        layer: one of the five media layers.
        ie: equipment impairment to the agent and to the customer; 0 where not given.
        is_path: the figures hold for the whole way from the speaker to here.
        runs: measured time in order, equal windows joined; cut at the span's end.
    """

    layer: str
    ie: tuple[float, float]
    is_path: bool
    runs: list[Run]


@dataclass(slots=True, eq=False)
class Facts:
    """What the model needs of one span.

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        start: nanoseconds.
        end: nanoseconds.
        layer: `cx.layer`, or by the table of other makers; "" for none.
        activity: likewise.
        is_root: whether it is a call's root.
        is_error: status Error.
        owner: `cx.owner`, "" for none.
        wait: `cx.wait.seconds` in nanoseconds, None where not given.
        latencies: (activity, nanoseconds) of other makers' latency attributes; None if not readable.
        crm_waiting: `cx.crm.waiting`, None where it does not say.
        fidelity: of a handoff, 1 where it does not say.
        outcome: of a root, "" for none.
        medium: of a root, "" for none.
        root_skipped: of a root, how many of these two were not readable.
        leg: media figures, None without.
        skipped: things that were not readable.
    """

    trace_id: str
    span_id: str
    start: int
    end: int
    layer: str = ""
    activity: str = ""
    is_root: bool = False
    is_error: bool = False
    owner: str = ""
    wait: int | None = None
    latencies: tuple[tuple[str, int | None], ...] = ()
    crm_waiting: bool | None = None
    fidelity: float = 1.0
    outcome: str = ""
    medium: str = ""
    root_skipped: int = 0
    leg: Leg | None = None
    skipped: int = 0


def read_facts(span: Span, parameters: Parameters) -> Facts:
    """Facts of a span whose id and times are good."""
    attributes = span.attributes
    facts = Facts(span.trace_id, span.span_id, span.start, span.end)
    facts.is_error = span.status == STATUS_ERROR
    if not attributes:
        _apply_makers(facts, span, parameters)
        return facts
    facts.layer = _text(facts, attributes, CX_LAYER)
    facts.activity = _text(facts, attributes, CX_ACTIVITY)
    _apply_makers(facts, span, parameters)
    owner = attributes.get(CX_OWNER)
    if isinstance(owner, str):
        facts.owner = owner
    if CX_WAIT_SECONDS in attributes:
        wait = _number(facts, attributes, CX_WAIT_SECONDS, 0.0, parameters["wait.max"])
        facts.wait = None if wait is None else _nanoseconds(wait)
    if facts.activity == CxActivity.LOOKUP:
        waiting = attributes.get(CX_CRM_WAITING)
        facts.crm_waiting = waiting if isinstance(waiting, bool) else None
    facts.fidelity = _fidelity(facts, attributes)
    if facts.layer == CxLayer.CALL and span.name in ROOT_NAMES:
        _read_root(facts, attributes)
    for key in SERIES_KEYS:
        if key in attributes:
            facts.leg = _read_leg(facts, attributes, parameters)
            break
    return facts


def _read_root(facts: Facts, attributes: Mapping[str, Any]) -> None:
    """Adds what only a root says; whether it is the call's one root is not known yet."""
    facts.is_root = True
    outcome, medium = attributes.get(CX_CALL_OUTCOME, ""), attributes.get(CX_CALL_MEDIUM, "")
    facts.root_skipped = (not isinstance(outcome, str)) + (not isinstance(medium, str))
    facts.outcome = outcome if isinstance(outcome, str) else ""
    facts.medium = medium if isinstance(medium, str) else ""


def _apply_makers(facts: Facts, span: Span, parameters: Parameters) -> None:
    """Layer, activity and latencies of spans that other makers write (LiveKit, Pipecat)."""
    if not facts.layer and span.name in parameters.sessions:
        facts.layer = parameters.sessions[span.name]
        facts.activity = facts.activity or CxActivity.CONVERSE
    for key, activity in parameters.latencies.items():
        if key in span.attributes:
            seconds = number(span.attributes[key], 0.0, parameters["wait.max"])
            facts.latencies += ((activity, None if seconds is None else _nanoseconds(seconds)),)


def _text(facts: Facts, attributes: Mapping[str, Any], key: str) -> str:
    value = attributes.get(key, "")
    if isinstance(value, str):
        return value
    facts.skipped += 1
    return ""


def number(value: object, low: float, high: float) -> float | None:
    """The value as a number; None if it is none (a bool is none), NaN, or outside low..high."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if low <= value <= high else None


def _number(facts: Facts, attributes: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = number(attributes[key], low, high)
    if value is None:
        facts.skipped += 1
    return value


def _nanoseconds(seconds: float) -> int:
    return math.floor(seconds * 1e9 + 0.5)


def _fidelity(facts: Facts, attributes: Mapping[str, Any]) -> float:
    if CX_HANDOFF_FIDELITY in attributes:
        fidelity = _number(facts, attributes, CX_HANDOFF_FIDELITY, 0.0, 1.0)
        if fidelity is not None:
            return fidelity
    if facts.activity != CxActivity.HANDOFF:
        return 1.0
    expected = _keys(attributes.get(CX_HANDOFF_KEYS_EXPECTED))
    delivered = _keys(attributes.get(CX_HANDOFF_KEYS_DELIVERED))
    if not expected or delivered is None:
        return 1.0
    return len(expected & delivered) / len(expected)


def _keys(value: object) -> set[str] | None:
    if not isinstance(value, list | tuple):
        return None
    return {key for key in value if isinstance(key, str)}


def _read_leg(facts: Facts, attributes: Mapping[str, Any], parameters: Parameters) -> Leg | None:
    """Media figures; None, and 1 skipped, where the layer has none or the window is bad."""
    window: float | None = parameters["quality.window"]
    if CX_MEDIA_WINDOW in attributes:
        window = number(attributes[CX_MEDIA_WINDOW], SHORTEST_WINDOW, LONGEST_WINDOW)
    if facts.layer not in MEDIA or window is None:
        facts.skipped += 1
        return None
    is_path = _text(facts, attributes, CX_MEDIA_SCOPE) == CxMediaScope.PATH
    ie = [
        (_number(facts, attributes, key, 0.0, MAX_IE) or 0.0) if key in attributes else 0.0 for key in IE_KEYS
    ]
    series: list[list[float | None]] = []
    for key in SERIES_KEYS:
        high = parameters["quality.max_loss" if key in LOSS_KEYS else "quality.max_delay"]
        windows: list[float | None] = []
        if key in attributes:
            decoded = decode(attributes[key], high=high, most=parameters["quality.windows"])
            facts.skipped += decoded.bad if decoded else 1
            for count, value in decoded.runs if decoded else ():
                if count == 1:
                    windows.append(value)
                else:
                    windows.extend([value] * count)
        series.append(windows)
    runs = _join_runs(facts, _nanoseconds(window), series)
    return Leg(facts.layer, (ie[0], ie[1]), is_path, runs)


def _join_runs(facts: Facts, window: int, series: list[list[float | None]]) -> list[Run]:
    """Windows of four series as runs of equal figures; unmeasured time is left out."""
    count = max(len(one) for one in series)
    for one in series:
        one.extend([None] * (count - len(one)))
    start, end = facts.start, facts.end
    nothing = (None, None, None, None)
    runs: list[Run] = []
    begun = 0
    before: Figures = nothing
    for index, figures in enumerate(zip(*series, strict=True)):
        if figures != before:
            if before != nothing:
                runs.append((start + begun * window, start + index * window, before))
            begun, before = index, figures
    if before != nothing:
        runs.append((start + begun * window, start + count * window, before))
    return [(low, min(high, end), figures) for low, high, figures in runs if low < end]
