"""What the pictures are made of: axis, rows of bars, stacks of lost time, charts, the tree of spans."""

from __future__ import annotations

import re
from typing import Any

import pytest
from desk_calls import CallMaker, whole_call
from hypothesis import given
from hypothesis import strategies as st

from cxotel.desk import charts, timeline, traces, tree, words
from cxotel.desk.axis import MOST_TICKS, SECOND, Axis
from cxotel.impact import judge
from cxotel.otlp.proto import from_request, to_request

AXIS = Axis(0, 100 * SECOND)


def kept(call: CallMaker) -> list[traces.Kept]:
    """A call's spans as the store gives them."""
    return [
        traces.Kept(span, 0, number, group.resource, scoped.scope, "", "")
        for number, group in enumerate(to_request(call.spans).resource_spans)
        for scoped in group.scope_spans
        for span in scoped.spans
    ]


def stretch(
    start: float, end: float, seconds: float, layer: str = "carrier", span_id: str = ""
) -> dict[str, Any]:
    """A stretch of lost time, seconds."""
    return {
        "layer": layer,
        "what": "loss",
        "start": round(start * SECOND),
        "end": round(end * SECOND),
        "seconds": seconds,
        "span_id": span_id,
        "text": "",
    }


def test_times_outside_the_axis_lie_at_its_edge() -> None:
    """A bar never leaves its picture."""
    assert (AXIS.x(-5), AXIS.x(25 * SECOND), AXIS.x(2**64)) == ("0%", "25%", "100%")
    assert AXIS.width(-5, 50 * SECOND) == "50%"
    assert AXIS.width(50 * SECOND, 40 * SECOND) == "0%"


@given(st.integers(0, 2**63), st.integers(0, 10**15))
def test_ticks_are_few_round_and_inside(start: int, length: int) -> None:
    """For a call of any length, at any time."""
    axis = Axis(start, start + length)
    ticks = axis.ticks()
    assert len(ticks) <= MOST_TICKS + 1
    assert all(start <= tick.at <= start + length and tick.at % SECOND == 0 for tick in ticks)


def test_rows_are_in_path_order_and_say_what_they_lost() -> None:
    """Each stretch lies on the row of its span, and its seconds beside it."""
    call = whole_call("rows", queue=30)
    verdict = judge(call.spans)
    axis = Axis(verdict.start, verdict.end)
    stretches = [
        dict(
            zip(
                ("layer", "what", "start", "end", "seconds", "span_id"),
                (s.layer, s.what, s.start, s.end, s.seconds, s.span_id),
                strict=True,
            )
        )
        for s in verdict.stretches
    ]
    rows = timeline.rows(kept(call), axis, stretches)
    assert [row.label for row in rows] == [
        "carrier setup",
        "carrier leg",
        "ivr",
        "queue",
        "talk",
        "agent network",
        "agent connect",
        "webrtc session",
        "voice ai session",
        "voice ai response",
        "handoff",
        "crm lookup",
    ]
    assert {row.label: row.seconds for row in rows if row.seconds} == {"queue": 10.0}
    assert len(next(row for row in rows if row.label == "voice ai response").bars) == 4


def test_a_stretch_without_a_row_gets_one() -> None:
    """Time nobody measured is shown as lost all the same."""
    rows = timeline.rows([], AXIS, [stretch(10, 20, 5, "unobserved", "ab")])
    assert [(row.layer, row.label, row.seconds) for row in rows] == [("unobserved", "Not observed", 5)]


def test_bars_of_one_time_stand_in_lanes() -> None:
    """Two lookups at once do not hide each other; more than four share the last lane."""
    call = CallMaker("lanes", 0)
    for _ in range(6):
        call.add("crm lookup", "crm", 10, 20, cx_layer="crm")
    call.add("crm lookup", "crm", 20, 30, cx_layer="crm")
    (row,) = timeline.rows(kept(call), AXIS, [])
    assert [bar.y // (timeline.BAR + timeline.GAP) for bar in row.bars] == [0, 1, 2, 3, 3, 3, 0]


def test_spans_with_impossible_times_are_not_drawn() -> None:
    """No start, or an end before it."""
    call = CallMaker("times", 0)
    call.add("ivr", "ivr", 0, 10, cx_layer="ccaas")
    call.add("ivr", "ivr", 20, 10, cx_layer="ccaas")
    call.add("ivr", "ivr", 200, 210, cx_layer="ccaas")
    assert timeline.rows(kept(call), AXIS, []) == []


def test_lost_time_of_several_layers_is_stacked() -> None:
    """The area is lost seconds: heights are shares of the time lost, and do not overlap."""
    bars = timeline.lost_stack(
        [stretch(0, 10, 5), stretch(0, 10, 2.5, "crm"), stretch(50, 60, 10, "ccaas")], AXIS
    )
    assert [(bar.x, bar.width, bar.y, bar.height) for bar in bars] == [
        ("0%", "10%", 20, 20),
        ("0%", "10%", 10, 10),
        ("50%", "10%", 0, 40),
    ]


def charts_of(call: CallMaker, stretches: list[dict[str, Any]] | None = None) -> dict[str, charts.Hop]:
    """Hops by span name."""
    start, end = min(s.start for s in call.spans), max(s.end for s in call.spans)
    return {hop.name: hop for hop in charts.hops(kept(call), Axis(start, end), stretches or [])}


def test_charts_say_worst_and_mean_and_where_nothing_was_measured() -> None:
    """A gap within a leg is marked; before the leg there is none."""
    hops = charts_of(whole_call("charts", carrier="0*30 12*30"))
    assert list(hops) == ["carrier leg", "agent network", "webrtc session"]
    loss, delay = hops["carrier leg"].charts["to_agent"]
    assert (loss.worst, loss.mean[:3], loss.top) == ("12.0 %", "6.0"[:3], "20 %")
    assert (delay.worst, delay.top) == ("41 ms", "200 ms")
    assert len(hops["agent network"].charts["to_customer"][1].gaps) == 1
    assert not hops["webrtc session"].charts["to_customer"][0].measured
    assert hops["carrier leg"].codec == "PCMA"


def test_a_chart_is_shaded_only_where_its_direction_had_the_fault() -> None:
    """Loss to the agent says nothing of what the customer heard."""
    call = whole_call("shades", start=0, carrier="0*30 12*30")
    proof = next(span.span_id for span in call.spans if span.name == "carrier leg")
    hop = charts_of(call, [stretch(152, 300, 60, span_id=proof)])["carrier leg"]
    assert [len(chart.shades) for chart in hop.charts["to_agent"]] == [1, 0]
    assert [len(chart.shades) for chart in hop.charts["to_customer"]] == [0, 0]


def test_a_charge_is_shaded_on_the_leg_that_proves_it() -> None:
    """Another leg of the same layer is not blamed for it, though it lost a little itself."""
    call = CallMaker("two legs", 0)
    series = {"cx_media_window": 5, "cx_media_to__agent_loss__pct": "0.5*12"}
    for name in ("carrier leg", "carrier leg out"):
        call.add(name, "sbc", 1, 61, cx_layer="carrier", cx_activity="converse", **series)
    found = charts_of(call, [stretch(1, 61, 20, span_id=call.spans[1].span_id)])
    assert {name: len(hop.charts["to_agent"][0].shades) for name, hop in found.items()} == {
        "carrier leg": 0,
        "carrier leg out": 1,
    }


def test_a_line_of_equal_windows_is_one_stroke() -> None:
    """720 windows of zero are not 720 path segments."""
    hop = charts_of(whole_call("strokes", carrier="0*60"))["carrier leg"]
    assert len(re.findall("[ML]", hop.charts["to_agent"][0].line)) == 1


@pytest.mark.parametrize(
    ("value", "expected"), [(5, 5), (5.1, 10), (12, 20), (100, 100), (150, 200), (0.3, 0.5)]
)
def test_scales_end_at_round_numbers(value: float, expected: float) -> None:
    """1, 2 or 5 times a power of ten."""
    assert charts.nice(value) == pytest.approx(expected)


def test_spans_stand_below_their_parents_and_none_is_lost() -> None:
    """Also orphans, spans that are their own or each other's parent, and spans without an id."""
    call = CallMaker("tree", 0)
    top = call.add("top", "s", 1, 9)
    call.add("child", "s", 2, 3, parent=top)
    call.add("orphan", "s", 4, 5, parent="ff" * 8)
    for name in ("own", "one", "other", "idless"):
        call.add(name, "s", 6, 7)
    own, one, other, idless = call.spans[-4:]
    own.parent_id, one.parent_id, other.parent_id, idless.span_id = (
        own.span_id,
        other.span_id,
        one.span_id,
        "",
    )
    found = [tree.node(one, AXIS) for one in tree.order(to_request(call.spans))]
    assert [(node.name, node.depth) for node in found if node.name in ("top", "child", "orphan")] == [
        ("top", 0),
        ("child", 1),
        ("orphan", 0),
    ]
    assert sorted(node.name for node in found) == sorted(span.name for span in call.spans)


def test_every_field_of_a_span_is_listed() -> None:
    """Nothing OTLP says of a span is dropped on the way to the page."""
    request = to_request([])
    group = request.resource_spans.add(schema_url="https://r")
    group.resource.dropped_attributes_count = 1
    group.resource.attributes.add(key="service.name").value.string_value = "svc"
    scoped = group.scope_spans.add(schema_url="https://s")
    scoped.scope.name, scoped.scope.version, scoped.scope.dropped_attributes_count = "scope", "1", 2
    scoped.scope.attributes.add(key="scope.key").value.bool_value = True
    span = scoped.spans.add(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        parent_span_id=b"p" * 8,
        name="n",
        kind=3,
        flags=0x301,
        start_time_unix_nano=5,
        end_time_unix_nano=6,
        trace_state="cx=1",
        dropped_attributes_count=3,
        dropped_events_count=4,
        dropped_links_count=5,
    )
    span.status.code, span.status.message = 2, "it failed"
    span.attributes.add(key="raw").value.bytes_value = b"\x01\x02"
    event = span.events.add(name="e", time_unix_nano=7, dropped_attributes_count=6)
    event.attributes.add(key="list").value.array_value.values.add().int_value = 8
    link = span.links.add(trace_id=b"T" * 16, span_id=b"S" * 8, trace_state="l=1", dropped_attributes_count=7)
    link.attributes.add(key="map").value.kvlist_value.values.add(key="a").value.double_value = 1.5
    (node,) = [tree.node(one, AXIS) for one in tree.order(request)]
    said = repr(node)
    for part in (
        "7070707070707070",
        "client",
        "error",
        "it failed",
        "cx=1",
        "0x301",
        "'3'",
        "'4'",
        "'5'",
        "'6'",
        "'7'",
        "0102",
        "https://r",
        "https://s",
        "svc",
        "scope.key",
        "[8]",
        "{a: 1.5}",
        "l=1",
        "54" * 16,
        "53" * 8,
    ):
        assert part in said, part


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 s"),
        (0.85, "850 ms"),
        (12.44, "12.4 s"),
        (59.99, "1 min"),
        (272, "4 min 32 s"),
        (3723, "1 h 2 min 3 s"),
        (3600, "1 h"),
        (float("nan"), "-"),
    ],
)
def test_lengths_are_short_to_read(value: float, expected: str) -> None:
    """From milliseconds to hours."""
    assert words.seconds(value) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 1, 1], [34, 33, 33]), ([43.5, 30.7, 25.8], [43, 31, 26]), ([], []), ([0, 0], [0, 0]), ([7], [100])],
)
def test_shares_add_up_to_a_hundred(values: list[float], expected: list[int]) -> None:
    """Whole percents go where the remainder is largest, and never make 101."""
    assert words.whole_percents(values) == expected


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=9))
def test_shares_of_anything_add_up_to_a_hundred(values: list[float]) -> None:
    """Whatever was lost."""
    found = words.whole_percents(values)
    assert sum(found) == 100
    assert all(abs(a - 100 * b / sum(values)) < 1 for a, b in zip(found, values, strict=True))


def test_every_layer_severity_and_symptom_has_plain_words() -> None:
    """A name added to the registry needs its words here."""
    from cxotel._semconv import CxCallOutcome, CxImpactFelt, CxImpactSeverity, CxLayer

    assert set(CxLayer.VALUES) - {"call"} <= set(words.LAYERS)
    assert list(CxImpactSeverity.VALUES) == list(words.SEVERITIES)
    assert set(CxImpactFelt.VALUES) == set(words.FELT)
    assert set(CxCallOutcome.VALUES) == set(words.OUTCOMES)


def test_the_stores_order_is_kept_for_copies() -> None:
    """Of copies the latest end wins, then the last received, as in the model."""
    call = CallMaker("copies", 0)
    call.add("ivr", "a", 0, 5, cx_layer="ccaas")
    call.add("ivr", "b", 0, 9, cx_layer="ccaas")
    call.add("ivr", "c", 0, 9, cx_layer="ccaas")
    for span in call.spans:
        span.span_id = "00000000000000aa"
    settled = traces.settled(kept(call))
    assert [span.service for span in from_request(traces.to_request(settled))] == ["c"]
