"""Calls to compare both engines with: those of the properties, made odd in every way that senders are."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from hypothesis import strategies as st
from impact_calls import LAYERS, MEDIA_LAYERS, SERIES, T0, TRACE, calls, ns, series

from cxotel import _semconv
from cxotel.impact import Span

SECOND = 10**9
LATENCIES = ("lk.e2e_latency", "turn.user_bot_latency_seconds")
KEYS = (*sorted(_semconv.NAMES), *LATENCIES)
WORDS = (
    *LAYERS,
    "call",
    "unobserved",
    "talk",
    "converse",
    "hold",
    "queue",
    "handoff",
    "path",
    "dropped",
    "web",
)
TEXTS = (
    "",
    "Zoë & Söhne",
    "\U0001f4de",
    "half \ud83d",
    "two\nlines\t\x7f\x00",
    'a "b" \\',
    "{lost}",
    "{place}",
)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 100),
    st.floats(),
    st.floats(0, 60),
    st.sampled_from((-0.0, 1e-9, 1e-10, 1e6, 1e7, 95.0, 95, 1e300, 5e-324, float("nan"), float("inf"))),
    st.sampled_from((*WORDS, *TEXTS)),
    st.sampled_from((b"\0", [], ["name"], ["name", 1, None, "name"], {"a": 1}, [["name"]])),
    st.sampled_from(
        ("0*20 100*3", "1*99999", "\u0663 \u0664*2", "1" * 400, "0 " * 300, "5*1000", "-*9999", "1**2")
    ),
    st.text(st.characters(codec="utf-8"), max_size=12),
)
# Seconds that a clock is off, or that a span is late by: over both edges of what the model leaves to clocks.
SKEWS = (
    1,
    -1,
    5 * SECOND,
    -5 * SECOND,
    5 * SECOND + 1,
    60 * SECOND,
    -61 * SECOND,
    3600 * SECOND,
    333_333_333,
)


@st.composite
def lines_of_layers(draw: st.DrawFn) -> list[Span]:
    """Legs of all layers at about one time, hops and paths: where residuals and shares are split."""
    found = []
    for number in range(draw(st.integers(2, 7))):
        start = draw(st.sampled_from((10.0, 10.0, 12.5, 20.0)))
        attributes: dict[str, Any] = {
            "cx.layer": draw(st.sampled_from(MEDIA_LAYERS)),
            "cx.activity": draw(st.sampled_from(("converse", "talk"))),
        }
        for key in draw(st.lists(st.sampled_from(SERIES), min_size=1, unique=True)):
            attributes[f"cx.media.{key}"] = draw(series(is_loss=key.endswith("pct"), clean=True))
        if draw(st.booleans()):
            attributes["cx.media.scope"] = "path"
        if draw(st.booleans()):
            attributes["cx.media.window"] = draw(st.sampled_from((0.013, 0.3, 1 / 3, 5, 7.77, 30.0)))
        end = start + draw(st.sampled_from((3.3, 20.0, 60.0)))
        found.append(Span(TRACE, f"{number + 0x50:016x}", "leg", ns(start), ns(end), attributes))
    return found


@st.composite
def odd_spans(draw: st.DrawFn, one: Span) -> Span:
    """A span of a call, changed in one way."""
    how = draw(st.integers(0, 6))
    if how == 0:
        shift = draw(st.sampled_from(SKEWS))
        return dataclasses.replace(one, start=one.start + shift, end=one.end + shift)
    if how == 1:
        return dataclasses.replace(one, end=one.end + draw(st.integers(-(10**9), 10**10)))
    if how == 2:
        return dataclasses.replace(one, start=one.start + draw(st.integers(-(10**9), 10**9)))
    if how == 3:
        ids = ("", "0" * 16, "zz", "00000000000000A1", f"{draw(st.integers(1, 6)):016x}")
        return dataclasses.replace(one, span_id=draw(st.sampled_from(ids)))
    if how == 4:
        return dataclasses.replace(
            one,
            name=draw(st.sampled_from(("call inbound", "agent_session", "conversation", "", "é\ud800"))),
            scope=draw(st.sampled_from(("", "cxotel", "cxotel.impact"))),
            status=draw(st.integers(0, 2)),
            parent_id=draw(st.sampled_from(("", f"{1:016x}", "x"))),
        )
    if how == 5:
        moments = draw(st.tuples(*[st.sampled_from((0, -5, 2**63 - 1, 2**63, 2**64 - 1, 2**64, ns(50)))] * 2))
        return dataclasses.replace(one, start=moments[0], end=moments[1])
    changes = draw(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
    return dataclasses.replace(one, attributes={**one.attributes, **changes})


@st.composite
def odd_calls(draw: st.DrawFn) -> list[Span]:
    """A call with spans changed, told twice with other words, or of other senders; in any order."""
    found = draw(calls(clean=draw(st.booleans())))
    if draw(st.integers(0, 3)) == 0:
        found = [*found, *draw(lines_of_layers())]
    for _ in range(draw(st.integers(0, 3)) if found else 0):
        at = draw(st.integers(0, len(found) - 1))
        changed = draw(odd_spans(found[at]))
        # A copy that differs, in most cases, or the span in place of the other.
        found = [*found, changed] if draw(st.booleans()) else [*found[:at], changed, *found[at + 1 :]]
    return found


def stretched(spans: list[Span]) -> list[Span]:
    """The call slower by a part, so that its times are odd nanoseconds and no edges meet that met before."""

    def moved(moment: int) -> int:
        return T0 + (moment - T0) * 1013 // 1009 if 0 < moment < 2**63 else moment

    return [dataclasses.replace(one, start=moved(one.start), end=moved(one.end)) for one in spans]


def joined(many: list[list[Span]], *, apart: bool) -> list[Span]:
    """All spans of many calls as one call; unless `apart` spans with one id are copies."""
    found: list[Span] = []
    for number, spans in enumerate(many):
        for one in spans:
            is_named = apart and re.fullmatch("0{12}[0-9a-f]{4}", one.span_id) and int(one.span_id, 16)
            span_id = f"{int(one.span_id, 16) + number * 2**16:016x}" if is_named else one.span_id
            found.append(dataclasses.replace(one, span_id=span_id))
    return found
