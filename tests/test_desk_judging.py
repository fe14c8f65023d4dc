"""The life of a call in the desk: running, provisional, final, corrected, partial."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from desk_calls import CallMaker, whole_call
from desk_sending import wait_until

from cxotel.desk import judging, report, traces
from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing
from cxotel.impact import Engine, judge
from cxotel.otlp.proto import attributes_of, from_request, to_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.impact import Span, Verdict

VECTORS = sorted(
    path
    for path in (Path(__file__).parent.parent / "spec" / "vectors").glob("*/input.json")
    if not (path.parent / "parameters.json").exists()  # the desk judges with the defaults
)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """A desk that is quick to say its last word."""
    with Desk(timing=Timing(grace=0.15, settle=0.02)) as running:
        yield running


def send(desk: Desk, spans: list[Span]) -> None:
    """As an exporter would, over OTLP/HTTP."""
    answer = httpx.post(
        desk.http_endpoint + "/v1/traces",
        content=to_request(spans).SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
    )
    assert answer.status_code == 200


def row(desk: Desk, call: CallMaker) -> report.CallRow | None:
    """The call's row as it stands, None until it was judged once."""
    found = report.call_row(desk.store, bytes.fromhex(call.trace_id))
    return found if found is not None and found.revision else None


def test_the_verdict_is_the_engines(desk: Desk) -> None:
    """Attribute for attribute what the same spans give in process."""
    call = whole_call("same as engine", carrier="0*20 15*10 0*30", delivered=3)
    send(desk, call.spans)
    expected = judge(call.spans)
    found = desk.wait_for_verdict(call.trace_id)
    assert found["attributes"] == dict(expected.attributes)
    assert [item["span_id"] for item in found["evidence"]] == [item.span_id for item in expected.evidence]


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.parent.name)
def test_every_vector_judged_over_the_wire_agrees(desk: Desk, path: Path) -> None:
    """The spec's cases, sent as OTLP/JSON under a trace id each, with and without a root."""
    expected = json.loads((path.parent / "expected.json").read_text())
    text = path.read_text()
    shared = re.search(r'"traceId": "([0-9a-f]{32})"', text).group(1)
    trace_id = hashlib.sha256(path.parent.name.encode()).digest()[:16].hex()
    answer = httpx.post(
        desk.http_endpoint + "/v1/traces",
        content=text.replace(shared, trace_id),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 200
    found = wait_until(lambda: report.verdict_report(desk.store, bytes.fromhex(trace_id)))
    if found["state"] == "provisional":
        found = desk.wait_for_verdict(trace_id)
    assert found["attributes"] == expected


def test_a_root_brings_a_provisional_verdict_at_once_and_a_final_one_after_the_grace() -> None:
    """Provisional is marked partial, final is not."""
    call = whole_call("provisional", queue=60)
    with Desk(timing=Timing(grace=1.0, settle=0.02)) as desk:
        began = time.monotonic()
        send(desk, call.spans)
        first = wait_until(lambda: report.verdict_report(desk.store, bytes.fromhex(call.trace_id)))
        assert (first["state"], first["attributes"]["cx.impact.partial"]) == ("provisional", True)
        last = desk.wait_for_verdict(call.trace_id)
        assert time.monotonic() - began >= 1.0
        assert (last["state"], last["attributes"]["cx.impact.partial"]) == ("final", False)
        assert last["replaced"] == []


def test_spans_within_the_grace_take_part_without_a_correction(desk: Desk) -> None:
    """Another process's spans come seconds after the root, as always."""
    call = whole_call("in the grace", lookup=9)
    late = [span for span in call.spans if span.name == "crm lookup"]
    send(desk, [span for span in call.spans if span.name != "crm lookup"])
    send(desk, late)
    found = desk.wait_for_verdict(call.trace_id)
    assert (found["layer"], found["corrections"]) == ("crm", 0)


def test_a_late_span_corrects_the_verdict_once_and_both_are_shown(desk: Desk) -> None:
    """The new verdict holds, the old one is kept beside it; nothing new, no correction."""
    call = whole_call("late", lookup=9)
    send(desk, [span for span in call.spans if span.name != "crm lookup"])
    assert desk.wait_for_verdict(call.trace_id)["layer"] == ""
    send(desk, [span for span in call.spans if span.name == "crm lookup"])
    wait_until(lambda: row(desk, call).corrections)
    found = desk.wait_for_verdict(call.trace_id)
    assert (found["layer"], found["corrections"]) == ("crm", 1)
    assert [old["attributes"]["cx.impact.lost_seconds"] for old in found["replaced"]] == [0.0]

    before = row(desk, call).revision
    extra = replace(call.spans[0], span_id="00000000000000ff", name="note", attributes={"cx.layer": "call"})
    send(desk, [extra])
    wait_until(lambda: row(desk, call).revision > before)
    assert desk.wait_for_verdict(call.trace_id)["corrections"] == 1


def test_the_same_spans_again_change_nothing(desk: Desk) -> None:
    """A retry of a whole call is not even judged."""
    call = whole_call("again", queue=40)
    send(desk, call.spans)
    desk.wait_for_verdict(call.trace_id)
    before = row(desk, call)
    send(desk, call.spans)
    assert row(desk, call) == before


def test_a_call_without_its_root_runs_then_is_partial_then_final() -> None:
    """After idle it is partial; a root that comes after all ends it as ever."""
    call = whole_call("no root", queue=50)
    with Desk(timing=Timing(grace=0.1, idle=0.6, settle=0.02)) as desk:
        send(desk, call.spans[:-1])
        running = wait_until(lambda: row(desk, call))
        assert (running.state, running.summary["partial"]) == ("running", True)
        partial = desk.wait_for_verdict(call.trace_id)
        assert (partial["state"], partial["lost_seconds"]) == ("partial", 30.0)
        send(desk, call.spans[-1:])
        wait_until(lambda: row(desk, call).state == "final")
        final = desk.wait_for_verdict(call.trace_id)
        assert (final["state"], final["partial"], final["corrections"]) == ("final", False, 0)


def test_a_stamp_on_an_incoming_root_is_taken_off_and_judged_anew(desk: Desk) -> None:
    """Anyone can write attributes: what the sender says the verdict is counts for nothing."""
    call = whole_call("stamped", queue=50)
    root = call.spans[-1]
    call.spans[-1] = replace(
        root,
        attributes={
            **root.attributes,
            "cx.impact.severity": "none",
            "cx.impact.charge.crm": 999.0,
            "cx.media.mos.min": 4.5,
        },
    )
    forged = replace(root, span_id="00000000000000ee", name="crm lookup", scope="cxotel.impact")
    send(desk, [*call.spans, forged])
    assert desk.wait_for_verdict(call.trace_id)["severity"] == "moderate"
    key = bytes.fromhex(call.trace_id)
    stamped = report.stamped(traces.spans_of(desk.store, key), report.verdicts_of(desk.store, key))
    spans = {s.span_id.hex(): s for g in stamped.resource_spans for c in g.scope_spans for s in c.spans}
    attributes = attributes_of(spans[call.root_id].attributes)
    assert attributes["cx.impact.severity"] == "moderate"
    assert "cx.impact.charge.crm" not in attributes
    assert forged.span_id not in spans


def stamped_spans(desk: Desk, call: CallMaker) -> list[Span]:
    """The trace as the desk hands it on."""
    key = bytes.fromhex(call.trace_id)
    return from_request(report.stamped(traces.spans_of(desk.store, key), report.verdicts_of(desk.store, key)))


def test_the_stamped_trace_has_all_spans_evidence_and_status(desk: Desk) -> None:
    """All spans, the root with verdict and Error, evidence spans under their legs; judged again the same."""
    call = whole_call("stamped whole", network="0*6 18*5 100*3 22*6 0*12 16*7 0*4")
    send(desk, call.spans)
    found = desk.wait_for_verdict(call.trace_id)
    spans = stamped_spans(desk, call)
    evidence = [span for span in spans if span.scope == "cxotel.impact"]
    rest = {span.span_id: span for span in spans if span.scope != "cxotel.impact"}
    assert rest.keys() == {span.span_id for span in call.spans}
    assert evidence
    network = next(span.span_id for span in call.spans if span.name == "agent network")
    assert {span.parent_id for span in evidence if span.name == "agent_network loss"} == {network}
    root = rest[call.root_id]
    assert (root.status, root.status_message) == (2, found["summary"])
    assert judge(spans).attributes == found["attributes"]


def test_a_correction_is_a_span_of_its_own_and_the_stamp_stays(desk: Desk) -> None:
    """A span that went out never changes."""
    call = whole_call("corrected", lookup=9)
    send(desk, [span for span in call.spans if span.name != "crm lookup"])
    desk.wait_for_verdict(call.trace_id)
    send(desk, [span for span in call.spans if span.name == "crm lookup"])
    wait_until(lambda: row(desk, call).corrections)
    spans = stamped_spans(desk, call)
    root = next(span for span in spans if span.span_id == call.root_id)
    assert root.attributes["cx.impact.lost_seconds"] == 0.0
    (correction,) = [span for span in spans if span.name == "impact correction"]
    assert (correction.parent_id, correction.scope, correction.service) == (
        call.root_id,
        "cxotel.impact",
        "cx-impact",
    )
    assert correction.attributes["cx.impact.layer"] == "crm"
    assert stamped_spans(desk, call)[-1] == spans[-1]


def test_a_trace_that_is_no_call_is_kept_and_not_judged(desk: Desk) -> None:
    """A web shop's trace that strays here is no call; it becomes one when a leg joins it."""
    call = CallMaker("a stray")
    call.add("GET", "shop", 0, 1)
    send(desk, call.spans)
    desk.wait_until_sorted()
    assert report.call_row(desk.store, bytes.fromhex(call.trace_id)) is None
    assert len(traces.spans_of(desk.store, bytes.fromhex(call.trace_id))) == 1
    call.add("ivr", "ivr", 0, 3, cx_layer="ccaas", cx_activity="ivr")
    send(desk, call.spans)
    assert wait_until(lambda: row(desk, call)).state == "running"


def test_a_fault_of_ours_in_one_call_keeps_no_other_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with the trace id, and the next call is judged."""
    bad, good = CallMaker("a fault"), whole_call("after the fault")
    bad.root(10)
    add = Engine.add

    def fail(self: Engine, span: Span) -> None:
        if span.trace_id == bad.trace_id:
            raise RuntimeError("ours")
        add(self, span)

    monkeypatch.setattr(Engine, "add", fail)
    send(desk, bad.spans)
    send(desk, good.spans)
    assert desk.wait_for_verdict(good.trace_id)["severity"] == "none"
    assert bad.trace_id in caplog.text
    with pytest.raises(TimeoutError, match="provisional"):
        desk.wait_for_verdict(bad.trace_id, timeout=0.1)


def test_a_call_longer_than_a_signed_integer_is_judged_like_any_other(desk: Desk) -> None:
    """A root from 1 ns to 2^64-1 ns, OTLP's longest, has a verdict and a page, and so has the next."""
    endless, good = CallMaker("endless"), whole_call("after the endless one")
    endless.root(10)
    endless.spans[-1].start, endless.spans[-1].end = 1, 2**64 - 1
    send(desk, endless.spans)
    send(desk, good.spans)
    assert desk.wait_for_verdict(good.trace_id)["severity"] == "none"
    assert desk.wait_for_verdict(endless.trace_id)["end"] == 2**64 - 1
    assert row(desk, endless).length == 2**63 - 1
    assert httpx.get(desk.call_url(endless.trace_id)).status_code == 200
    assert httpx.get(desk.web_url).status_code == 200


def test_a_verdict_that_cannot_be_written_is_given_up_until_a_span_comes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next call is judged meanwhile, and the one given up with its next span."""
    bad, good = whole_call("unwritable"), whole_call("after the unwritable one")
    summary_of = judging.summary_of

    def unwritable(kept: list[traces.Kept], verdict: Verdict) -> dict[str, Any]:
        found = summary_of(kept, verdict)
        return found | {"call_id": b"no JSON"} if found["call_id"] == bad.key else found

    with Desk(timing=Timing(grace=0.15, settle=0.02)) as desk:
        with monkeypatch.context() as patch:
            patch.setattr(judging, "summary_of", unwritable)
            send(desk, bad.spans[1:])
            send(desk, good.spans)
            assert desk.wait_for_verdict(good.trace_id)["severity"] == "none"
            wait_until(lambda: report.call_row(desk.store, bytes.fromhex(bad.trace_id)).due is None)
        assert f"cannot judge {bad.trace_id}" in caplog.text
        send(desk, bad.spans[:1])
        assert desk.wait_for_verdict(bad.trace_id)["severity"] == "none"


def test_waiting_for_a_call_that_never_came_ends(desk: Desk) -> None:
    """The message says so."""
    with pytest.raises(TimeoutError, match="not received"):
        desk.wait_for_verdict("ab" * 16, timeout=0.05)


def test_timing_out_of_range_is_refused() -> None:
    """A negative grace is a mistake."""
    with pytest.raises(ValueError, match="grace must be between"):
        Timing(grace=-1)
