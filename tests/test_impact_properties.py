"""Properties of the impact model that hold for every call (spec/impact/model.md, section 5)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from impact_calls import LAYERS, OUTCOMES, SERIES, TRACE, calls, ns
from reference_model import Reference

from cxotel import _semconv
from cxotel.impact import Engine, Span, judge
from cxotel.media.emodel import mos, r_factor

SUMMARY = "cx.impact.summary"
ENDINGS = ("abandoned", "dropped", "failed")
EXAMPLES = settings(max_examples=120)


@EXAMPLES
@given(calls())
def test_engine_and_reference_say_the_same(spans: list[Span]) -> None:
    """An independent, slow and literal reading of the model comes to the same verdict."""
    verdict, reference = judge(spans), Reference(spans)
    for layer in reference.charges.keys() | verdict.charges.keys():
        assert reference.charges.get(layer, 0.0) == pytest.approx(verdict.charges.get(layer, 0.0), abs=1e-6)
    said = {name: value for name, value in verdict.attributes.items() if name != SUMMARY}
    assert reference.attributes == said


@EXAMPLES
@given(calls())
def test_charges_add_up_and_no_more_is_lost_than_the_call(spans: list[Span]) -> None:
    """Charges sum up to the total, which is between nothing and the whole call."""
    verdict = judge(spans)
    assert verdict.exact_lost == pytest.approx(sum(verdict.charges.values()), abs=1e-9)
    assert -1e-9 <= min(verdict.charges.values(), default=0.0)
    assert -1e-9 <= verdict.exact_lost <= (verdict.end - verdict.start) / 1e9 + 1e-9


@EXAMPLES
@given(calls())
def test_stretches_hold_all_that_the_evidence_charges(spans: list[Span]) -> None:
    """The stretches of an item sum up to its seconds and lie in the call."""
    verdict = judge(spans)
    for item in verdict.evidence:
        own = [one for one in verdict.stretches if (one.layer, one.what) == (item.layer, item.what)]
        assert item.seconds == pytest.approx(sum(one.seconds for one in own), abs=1e-9)
        for one in own:
            assert verdict.start <= one.start < one.end <= verdict.end
            assert one.seconds <= (one.end - one.start) / 1e9 + 1e-9


@EXAMPLES
@given(calls())
def test_cells_hold_all_charges(spans: list[Span]) -> None:
    """The cells shown to people are the whole call, and their charges are the verdict's."""
    verdict = judge(spans)
    total: dict[str, float] = {}
    for cell in verdict.cells:
        for (layer, _), seconds in cell.charges.items():
            total[layer] = total.get(layer, 0.0) + seconds
    assert verdict.end - verdict.start == sum(cell.end - cell.start for cell in verdict.cells)
    assert total == pytest.approx(dict(verdict.charges), abs=1e-9)


@settings(max_examples=250)
@given(calls(clean=True), st.data())
def test_more_loss_or_delay_never_costs_less(spans: list[Span], data: st.DataObject) -> None:
    """Worse figures never lower the total; a hop's never its layer's charge, but for rework by outcome."""
    names = [f"cx.media.{one}" for one in SERIES]
    legs = [
        (index, name)
        for index, span in enumerate(spans)
        for name in names
        if any(item[0] != "-" for item in str(span.attributes.get(name, "-")).split())
    ]
    assume(legs)
    index, name = data.draw(st.sampled_from(legs))
    items = spans[index].attributes[name].split()
    which = data.draw(st.sampled_from([i for i, item in enumerate(items) if item[0] != "-"]))
    value, star, count = items[which].partition("*")
    high = 100.0 if name.endswith("pct") else 60_000.0
    worse = data.draw(st.floats(float(value), high))
    items[which] = f"{worse:.6f}{star}{count}"
    assume(float(f"{worse:.6f}") >= float(value))
    hurt = list(spans)
    hurt[index] = dataclasses.replace(
        spans[index], attributes={**spans[index].attributes, name: " ".join(items)}
    )
    before, after = judge(spans), judge(hurt)
    assert before.exact_lost <= after.exact_lost + 1e-9
    layer = str(spans[index].attributes["cx.layer"])
    is_hop = spans[index].attributes.get("cx.media.scope") != "path"
    reworked = any(span.attributes.get("cx.call.outcome") in ENDINGS for span in spans)
    if is_hop and not reworked:
        assert before.charges.get(layer, 0.0) <= after.charges.get(layer, 0.0) + 1e-9


@EXAMPLES
@given(calls())
def test_a_layer_without_spans_is_never_charged(spans: list[Span]) -> None:
    """Only layers that spans name, or whose activity they say, are charged, and the unobserved rest."""
    verdict = judge(spans)
    by_activity = {
        "setup": "carrier",
        "queue": "ccaas",
        "connect": "endpoint",
        "respond": "voice_ai",
        "lookup": "crm",
        "handoff": "handoff",
        "hold": "agent",
    }
    named = {"unobserved"}
    for span in spans:
        layer, activity = span.attributes.get("cx.layer"), span.attributes.get("cx.activity")
        named |= {one for one in LAYERS if one == layer}
        named |= {charged for name, charged in by_activity.items() if name == activity}
        if span.name in ("agent_session", "conversation") or {
            "lk.e2e_latency",
            "turn.user_bot_latency_seconds",
        } & set(span.attributes):
            named.add("voice_ai")
    assert set(verdict.charges) <= named


@EXAMPLES
@given(calls(), st.randoms(use_true_random=False))
def test_order_repeats_and_batches_change_nothing(spans: list[Span], random: Any) -> None:
    """Spans in any order, sent again, with verdicts asked for in between: the same verdict, bit by bit."""
    expected = judge(spans)
    shuffled = list(spans)  # of the copies in it all but one are bad as a whole
    random.shuffle(shuffled)
    engine = Engine()
    for span in shuffled:
        engine.add(span)
        if random.random() < 0.3:
            engine.verdict()
    for span in shuffled:
        engine.add(span)
    actual = engine.verdict()
    assert expected.attributes == actual.attributes
    assert expected.stretches == actual.stretches
    assert expected.evidence_spans() == actual.evidence_spans()


@EXAMPLES
@given(calls())
def test_judging_a_judged_trace_changes_nothing(spans: list[Span]) -> None:
    """Evidence spans and a stamped root take no part."""
    verdict = judge(spans)
    judged = [
        dataclasses.replace(span, attributes={**span.attributes, **verdict.attributes}) for span in spans
    ]
    assert verdict.attributes == judge([*judged, *verdict.evidence_spans()]).attributes


_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=4),
    st.lists(
        st.one_of(
            st.text(max_size=3), st.integers(), st.none(), st.dictionaries(st.text(max_size=1), st.none())
        )
    ),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from(
        (*LAYERS, "call", "queue", "hold", "talk", "converse", "respond", "lookup", "handoff", "path")
    ),
    st.sampled_from(("0*20 100*3", "1*99999", "٣ ٤*2", "1" * 5000, "0 " * 3000, "-*9999", "1*\u0661")),
)
_keys = st.sampled_from((*sorted(_semconv.NAMES), "lk.e2e_latency", "turn.user_bot_latency_seconds"))
_ids = st.sampled_from(("", "0" * 16, "00000000000000a1", "00000000000000a2", "00000000000000a3", "zz"))
_moments = st.one_of(st.just(0), st.integers(-5, 200).map(ns), st.integers(-(2**70), 2**70))


@settings(max_examples=300)
@given(
    st.lists(
        st.builds(
            Span,
            st.just(TRACE),
            _ids,
            st.sampled_from(("call inbound", "agent_session", "x", "")),
            _moments,
            _moments,
            st.dictionaries(_keys, _values, max_size=8),
            status=st.integers(-1, 3),
        ),
        max_size=6,
    )
)
def test_nothing_a_span_says_makes_the_engine_raise(spans: list[Span]) -> None:
    """Any values of any type under any of our names give a verdict of the promised types."""
    verdict = judge(spans)
    verdict.evidence_spans()
    assert verdict.cells is not None
    assert all(type(value) in (str, bool, int, float, list) for value in verdict.attributes.values())
    assert 0 <= verdict.attributes["cx.impact.score"] <= 100  # type: ignore[operator]


def test_default_rating_is_the_known_constant() -> None:
    """R of a connection without any impairment is 93.2062077233."""
    assert r_factor() == pytest.approx(93.2062077233, abs=1e-9)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 2000), st.floats(0, 2000))
def test_mos_never_rises_with_loss_or_delay(
    loss: float, other_loss: float, delay: float, other_delay: float
) -> None:
    """MOS stays in 1 to 4.5 and never rises with loss of 0 to 100 % or delay of 0 to 2 s."""
    less, more = sorted((loss, other_loss))
    sooner, later = sorted((delay, other_delay))
    better, worse = mos(r_factor(t=sooner, ppl=less)), mos(r_factor(t=later, ppl=more))
    assert 1.0 <= worse <= better + 1e-12
    assert better <= 4.5


def test_outcomes_of_the_strategy_are_those_of_the_registry() -> None:
    """No outcome is left out of the properties."""
    assert set(_semconv.CxCallOutcome.VALUES) == set(OUTCOMES) - {None}
