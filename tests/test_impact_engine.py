"""The engine: copies, verdicts while spans come, evidence spans, cells, and that it stays pure."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest
from impact_calls import TRACE, leg, ns, root, span

import cxotel.impact
from cxotel.impact import DEFAULT, Engine, Span, judge

IMPURE = {
    "time",
    "datetime",
    "os",
    "io",
    "pathlib",
    "socket",
    "threading",
    "asyncio",
    "random",
    "numpy",
    "yaml",
    "opentelemetry",
}


def talk(end: float = 120) -> Span:
    """A human conversation."""
    return span(2, "talk", 0, end, layer="ccaas", activity="talk")


def test_verdicts_come_while_spans_do() -> None:
    """A verdict is of what came so far, partial without a root, and later spans do not change it."""
    engine = Engine()
    empty = engine.verdict()
    engine.add(span(3, "queue", 0, 30, layer="ccaas", activity="queue"))
    early = engine.verdict()
    engine.add(root(120))
    late = engine.verdict()
    assert [0.0, 10.0, 10.0] == [one.lost_seconds for one in (empty, early, late)]
    assert [True, True, False] == [one.attributes["cx.impact.partial"] for one in (empty, early, late)]
    assert [None, None, "0000000000000001"] == [one.root and one.root.span_id for one in (empty, early, late)]
    assert [100.0, 66.7, 91.7] == [one.attributes["cx.impact.score"] for one in (empty, early, late)]


def test_a_judge_that_may_have_missed_spans_says_so() -> None:
    """`partial=True` shows in the attribute and in the sentence, and in nothing else."""
    engine = Engine()
    engine.add(root(60))
    whole, part = engine.verdict(), engine.verdict(partial=True)
    differing = {key for key in whole.attributes if whole.attributes[key] != part.attributes[key]}
    assert {"cx.impact.partial", "cx.impact.summary"} == differing


def test_an_earlier_copy_does_not_replace_a_later_one() -> None:
    """The latest end wins, whatever came last; the same id in another trace is another span."""
    long, short = talk(120), talk(10)
    other = span(2, "queue", 0, 30, layer="ccaas", activity="queue", trace_id="ab" * 16)
    bad = leg(3, "carrier", 0, 120, to_agent__loss_pct="10*24", activity="wrap_up")
    verdict = judge([root(120), long, short, other, bad])
    assert {"carrier": 30.123, "ccaas": 10.0} == pytest.approx(dict(verdict.charges), abs=0.001)


def test_an_evidence_span_is_computed_from_the_call() -> None:
    """Id, name, parent, times, attributes, status, scope and resource are the trace model's."""
    bad = leg(3, "carrier", 0, 120, to_agent__loss_pct="0*6 30*2 0*16", owner="Acme Telecom")
    verdict = judge([root(120), talk(), bad])
    key = f"{TRACE}\0carrier\0loss\0{ns(30)}".encode()
    assert [
        Span(
            TRACE,
            hashlib.sha256(key).digest()[:8].hex(),
            "carrier loss",
            ns(30),
            ns(40),
            {
                "cx.evidence.layer": "carrier",
                "cx.evidence.what": "loss",
                "cx.evidence.seconds": 8.618,
                "cx.evidence.owner": "Acme Telecom",
            },
            parent_id="0000000000000003",
            scope="cxotel.impact",
            status=2,
            status_message="carrier: loss 30.0 %, 8.6 s (span 0000000000000003)",
            kind=1,
            service="carrier: Acme Telecom",
        )
    ] == verdict.evidence_spans()


def test_who_did_it_is_unknown_where_no_span_names_an_owner() -> None:
    """Tools show a span's service: without an owner it still says the layer."""
    verdict = judge([root(120), talk(), leg(3, "carrier", 0, 120, to_agent__loss_pct="30*24")])
    [evidence] = verdict.evidence_spans()
    assert "carrier: unknown" == evidence.service
    assert "cx.evidence.owner" not in evidence.attributes


@pytest.mark.parametrize(("gap", "stretches"), [(1.999, 1), (2.0, 2)])
def test_a_gap_below_the_limit_belongs_to_the_stretch(gap: float, stretches: int) -> None:
    """Two lost stretches with a smaller gap are one, and the gap's seconds are not charged."""
    parameters = DEFAULT.override({"evidence.gap": 2.0})
    lookups = [
        span(3, "lookup", 0, 12, activity="lookup", crm__waiting=True),
        span(4, "lookup", 10 + gap, 22, activity="lookup", crm__waiting=True),
    ]
    verdict = judge([root(120), *lookups], parameters)
    assert stretches == len(verdict.stretches)
    assert verdict.exact_lost == pytest.approx(sum(one.seconds for one in verdict.stretches))


def test_the_parent_is_the_span_that_was_worst_in_the_stretch() -> None:
    """Each stretch points at its own worst span, not at the item's."""
    first = leg(3, "carrier", 0, 60, to_agent__loss_pct="20*2 0*10")
    second = leg(4, "carrier", 60, 120, to_agent__loss_pct="0*6 40*2")
    verdict = judge([root(120), talk(), first, second])
    assert ["0000000000000003", "0000000000000004"] == [one.parent_id for one in verdict.evidence_spans()]
    assert "0000000000000004" == verdict.evidence[0].span_id


def test_cells_explain_a_verdict() -> None:
    """Each cell tells what every layer did, what R that gave, and who was charged; outside talk nobody is."""
    verdict = judge(
        [
            root(30),
            span(2, "talk", 10, 30, layer="ccaas", activity="talk"),
            leg(3, "endpoint", 0, 30, activity="talk2", to_agent__loss_pct="10*6"),
        ]
    )
    before, during = verdict.cells
    assert [False, True] == [before.conversation, during.conversation]
    assert {"to_agent", "to_customer"} == set(during.suffered)
    assert 10.0 == pytest.approx(before.suffered["to_agent"][0].loss_pct)
    assert 66.14 == pytest.approx(during.r["to_agent"], abs=0.01)
    assert {} == before.charges
    assert {("endpoint", "loss"): 5.477} == pytest.approx(during.charges, abs=0.001)


def test_the_package_stays_pure() -> None:
    """No clock, no I/O, no numpy, no OpenTelemetry; of the project only the names and the media package."""
    for path in Path(cxotel.impact.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in IMPURE, f"{path.name} imports {name}"
                own = name.split(".")[1] if name.startswith("cxotel.") else "impact"
                assert own in {"_semconv", "media", "impact"}, f"{path.name} imports {name}"


def test_the_first_layer_is_told_even_if_no_item_of_it_is_shown() -> None:
    """With one item shown, and that another layer's, owner and sentence still are the first layer's."""
    spans = [
        root(300),
        span(3, "queue", 0, 26, layer="carrier", activity="queue", owner="Acme Telecom"),
        span(4, "connect", 30, 37, layer="carrier", activity="connect"),
        span(5, "lookup", 50, 59, layer="crm", activity="lookup", crm__waiting=True),
    ]
    verdict = judge(spans, DEFAULT.override({"evidence.items": 1}))
    assert ["carrier", "crm"] == verdict.layers
    assert ["crm: lookup 9.0 s, 7.0 s (span 0000000000000005)"] == verdict.attributes["cx.impact.evidence"]
    assert "Acme Telecom" == verdict.attributes["cx.impact.owner"]
    assert "the queue took up to 26.0 s at the carrier (Acme Telecom)" in str(
        verdict.attributes["cx.impact.summary"]
    )


def test_a_charge_of_parts_too_small_to_show_is_still_told() -> None:
    """Two waits of 0.4 ms each make 1 ms; neither is evidence, and the sentence stands."""
    spans = [
        root(300),
        span(3, "queue", 0, 20.0004, layer="ccaas", activity="queue", wait__seconds=20.0004),
        span(4, "connect", 30, 33, layer="ccaas", activity="connect", wait__seconds=2.0004),
    ]
    verdict = judge(spans)
    assert 0.001 == verdict.lost_seconds
    assert [] == verdict.attributes["cx.impact.evidence"]
    assert "The customer waited 0.0 of 300 seconds too long: " in str(verdict.attributes["cx.impact.summary"])


def test_many_waits_at_once_are_one_item() -> None:
    """A thousand waits inside each other are one item, told by the longest."""
    waits = [span(10 + i, "queue", i / 10, 1000, layer="ccaas", activity="queue") for i in range(1000)]
    verdict = judge([root(1000), *waits])
    assert ["ccaas: queue 1000.0 s, 980.0 s (span 000000000000000a)"] == verdict.attributes[
        "cx.impact.evidence"
    ]
    assert 1 == len(verdict.stretches)


def test_a_tail_interrupted_by_a_queue_goes_on_behind_it() -> None:
    """A handoff's tail begins again after the queue inside it, beside another handoff that is longer."""
    spans = [
        root(200),
        span(3, "handoff", 0, 60, activity="handoff"),
        span(4, "handoff", 10, 100, activity="handoff"),
        span(5, "queue", 20, 40, layer="ccaas", activity="queue"),
    ]
    verdict = judge(spans)
    assert {"handoff": 77.0} == verdict.charges
    assert [(ns(3), ns(20)), (ns(40), ns(100))] == [(one.start, one.end) for one in verdict.stretches]
    assert ["0000000000000004", "0000000000000004"] == [one.span_id for one in verdict.stretches]


def test_nothing_lies_inside_a_call_of_no_length() -> None:
    """A root that ends as it starts has no figures inside, no conversation and full score."""
    verdict = judge([root(60, start=60), leg(3, "carrier", 0, 120, to_agent__loss_pct="100*24")])
    assert [0.0, ["carrier"], 100.0] == [
        verdict.attributes[f"cx.impact.{name}"] for name in ("coverage", "unobserved", "score")
    ]


def test_what_others_had_taken_is_no_evidence() -> None:
    """A handoff that lost all over instants that another had already taken does not name the item."""
    spans = [
        root(100),
        span(2, "talk", 0, 100, layer="ccaas", activity="talk"),
        span(3, "handoff", 40, 41, activity="handoff", handoff__fidelity=0.0),
        span(4, "handoff", 40, 41, activity="handoff", handoff__fidelity=0.0, owner="x"),
        span(5, "handoff", 60, 61, activity="handoff", handoff__fidelity=0.5),
    ]
    verdict = judge(spans)
    assert ["handoff: fidelity 100.0 %, 49.5 s (span 0000000000000003)"] == verdict.attributes[
        "cx.impact.evidence"
    ]
    assert ["0000000000000003"] == [one.span_id for one in verdict.stretches]
