"""Calls that are too much to judge: told beforehand, said in words, and nobody else waits for them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import httpx
from desk_calls import CallMaker, whole_call
from desk_sending import send
from test_desk_pages import page, text_of
from test_desk_receiver import counter

from cxotel.desk import judging, report, traces
from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing
from cxotel.desk.work import MOST_WORK, RATING, Work, work_of
from cxotel.impact import Engine
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    import pytest

    from cxotel.impact import Verdict


def legs(number: int, windows: int, apart: float, key: str = "flood") -> CallMaker:
    """Carrier legs of 5 s windows that start `apart` seconds after each other, with one series each."""
    call = CallMaker(key)
    for i in range(number):
        call.add(
            "carrier leg",
            "sbc",
            i * apart,
            i * apart + windows * 5,
            cx_layer="carrier",
            cx_media_to__agent_loss__pct=" ".join("1" * windows),
        )
    call.root(number * apart + windows * 5)
    return call


def work(call: CallMaker) -> Work:
    """Of the call as the desk keeps it."""
    request = to_request(call.spans)
    return work_of(
        traces.Kept(span, 0, 0, group.resource, scoped.scope, "", "")
        for group in request.resource_spans
        for scoped in group.scope_spans
        for span in scoped.spans
    )


def test_work_is_figures_and_legs_at_one_time() -> None:
    """Legs that follow each other are one at a time; runs count once; spans without series not at all."""
    assert work(legs(10, 4, apart=20)) == Work(40, 1)
    assert work(legs(10, 4, apart=1)) == Work(40, 10)
    assert work(CallMaker("empty")) == Work(0, 0)
    runs = legs(1, 4, apart=1)
    runs.spans[0].attributes |= {"cx.media.to_customer.delay_ms": "30*700 -", "cx.media.to_agent.delay_ms": 7}
    assert work(runs) == Work(4 + 2 + 1, 1)


def test_work_counts_of_a_series_what_the_model_reads() -> None:
    """More than 1,000 items are none to it; copies count once, and spans without a length never."""
    call = legs(2, 1, apart=100)
    call.spans[0].attributes["cx.media.to_agent.loss_pct"] = "1 " * 5000
    call.spans[1].end = call.spans[1].start
    call.spans.append(call.spans[0])
    assert work(call) == Work(1000, 1)


def test_an_ordinary_long_call_is_far_from_too_much() -> None:
    """The whole hour of five legs that the limit is stated by, and where it ends."""
    assert not Work(4 * 720 * 5, 5).too_much
    assert not Work(MOST_WORK // (RATING + 10), 10).too_much
    assert Work(MOST_WORK // (RATING + 10) + 1, 10).too_much


def test_a_call_that_is_too_much_is_not_judged_and_said_so() -> None:
    """700 legs at once: page, row, JSON and counter tell, its spans are kept, and others go on."""
    flood, good = legs(700, 12, apart=0.007), whole_call("after the flood")
    with Desk(timing=Timing(grace=0.1, settle=0.02)) as desk:
        send(desk, flood)
        send(desk, good)
        assert desk.wait_for_verdict(good.trace_id)["severity"] == "none"
        key = bytes.fromhex(flood.trace_id)
        found = report.verdict_report(desk.store, key)
        said = "Not judged: 8,400 media figures, of up to 700 legs at the same time"
        assert found is not None
        assert found["summary"].startswith(said)
        assert (found["state"], found["severity"], found["attributes"]) == ("unjudged", "", {})
        assert (found["start"], found["end"]) == (flood.spans[-1].start, flood.spans[-1].end)
        shown = text_of(page(desk, f"/call/{flood.trace_id}"))
        assert said in shown
        assert "Every span 701" in shown
        listed = text_of(page(desk, "/"))
        assert said in listed
        assert "Fine" in listed
        assert len(httpx.get(f"{desk.web_url}/call/{flood.trace_id}/otlp.json").content) > 100_000
        assert counter(desk, "odd.unjudged") == 1
        assert "Calls not judged" in text_of(page(desk, "/received"))


def test_a_verdict_given_before_a_call_became_too_much_is_still_shown() -> None:
    """As what was said before; the call is counted once, however many spans follow."""
    call = whole_call("grown", queue=74)
    with Desk(timing=Timing(grace=0.05, settle=0.02)) as desk:
        send(desk, call)
        before = desk.wait_for_verdict(call.trace_id)["summary"]
        for part in (slice(0, 650), slice(650, 700)):
            more = legs(700, 12, apart=0.007, key="grown")
            more.spans = more.spans[part]
            for number, span in enumerate(more.spans, part.start):
                span.span_id = f"{number + 1:016x}"
            revision = report.call_row(desk.store, bytes.fromhex(call.trace_id)).revision
            send(desk, more)
            deadline = time.monotonic() + 10
            while report.call_row(desk.store, bytes.fromhex(call.trace_id)).revision == revision:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        shown = text_of(page(desk, f"/call/{call.trace_id}"))
        assert "Not judged" in shown
        assert before in shown
        found = report.verdict_report(desk.store, bytes.fromhex(call.trace_id))
        assert [old["attributes"]["cx.impact.summary"] for old in found["replaced"]] == [before]
        assert counter(desk, "odd.unjudged") == 1


def test_stopping_does_not_wait_for_a_judgement_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is left behind; what it finds later is not written, and harms nobody."""
    begun, go_on = threading.Event(), threading.Event()
    verdict = Engine.verdict

    def slow(self: Engine, *, partial: bool = False) -> Verdict:
        begun.set()
        go_on.wait(20)
        return verdict(self, partial=partial)

    monkeypatch.setattr(Engine, "verdict", slow)
    monkeypatch.setattr(judging, "STOP_SECONDS", 0.2)
    desk = Desk().start()
    try:
        send(desk, whole_call("endless judgement"))
        assert begun.wait(5)
        (judge,) = (thread for thread in threading.enumerate() if thread.name == "cxotel-desk-worker")
        desk.stop()
        assert judge.is_alive()
    finally:
        go_on.set()
    judge.join(5)
    assert not judge.is_alive()
