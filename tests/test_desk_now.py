"""The page "Now": running calls and their warnings, the last hour against the usual, what is not known."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from desk_calls import CallMaker, S
from desk_sending import judge, send, wait_until
from test_desk_pages import page, text_of

from cxotel.desk import now, report
from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE, DAY = 60 * S, 24 * 3600 * S


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk that is quick to say its last word, and waits long for a root."""
    with Desk(timing=Timing(grace=0.05, settle=0.02, idle=3900)) as running:
        yield running


def waited(key: str, start: int, seconds: float) -> CallMaker:
    """A call that waited in the queue; of that 20 s are free."""
    call = CallMaker(key, start)
    call.add("queue", "ccaas", 0, 20 + seconds, cx_layer="ccaas", cx_activity="queue", cx_owner="WFM team")
    call.root(120)
    return call


def shown(desk: Desk, call: CallMaker) -> None:
    """Wait until a running call is on the page."""
    deadline = time.monotonic() + 5
    while not (row := report.call_row(desk.store, bytes.fromhex(call.trace_id))) or not row.summary:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_desk_without_calls_says_what_it_does_not_know(desk: Desk) -> None:
    """No usual without a past, and no calm where nothing was seen."""
    text = text_of(page(desk, "/now"))
    assert "No call runs that this desk knows of." in text
    assert "No call started in that hour." in text
    assert "What is usual is not known" in text


def test_running_calls_stand_with_their_warnings(desk: Desk) -> None:
    """The ones warned of first, then the longest; each leads to its page."""
    at = time.time_ns()
    for key, age in (("young", 60), ("old", 600)):
        calm = CallMaker(key, at - age * S)
        calm.add("ivr", "ivr", 0, 5, cx_layer="ccaas", cx_activity="ivr", cx_site="Leeds")
        send(desk, calm)
        shown(desk, calm)
    warned = CallMaker("hurt", at - 300 * S)
    warned.add(
        "media episode",
        "softphone",
        100,
        130,
        cx_layer="agent_network",
        cx_activity="converse",
        cx_owner="BPO North IT",
        cx_media_window=5.0,
        cx_media_to__agent_loss__pct="40*6",
    )
    send(desk, warned)
    shown(desk, warned)
    markup = page(desk, "/now")
    order = re.findall(r'<tr id="r-\w+"[^>]*>.*?href="/call/\w+">(\w+)<', markup, re.DOTALL)
    assert order == ["hurt", "old", "young"]
    text = text_of(markup)
    assert "Running calls 3 , 1 with a warning" in text
    assert re.search(r"Agent's network .*?40.0 %", text)
    found = httpx.get(desk.web_url + "/now.json").json()
    assert (found["running"], [one["call_id"] for one in found["calls"]]) == (3, order)
    assert [one["layer"] for one in found["calls"][0]["warnings"]] == ["agent_network"]
    assert found["calls"][0]["lasts_seconds"] > 199, "since its first span"
    text = text_of(page(desk, f"/call/{warned.trace_id}"))
    assert re.search(r"Agent's network .*?40.0 %.* warned", text)


def test_the_last_hour_stands_beside_the_usual(desk: Desk) -> None:
    """The median of the same hour of the days that had calls, and how many days that is."""
    at = time.time_ns() - 30 * MINUTE
    calls = [waited("today", at, 60), waited("today 2", at + MINUTE, 30)]
    calls += [waited(f"day {day}", at - day * DAY, 10 * day) for day in (1, 2, 4)]
    calls += [waited("other hour", at - 3 * 60 * MINUTE, 50), waited("long ago", at - 8 * DAY, 50)]
    judge(desk, *calls)
    found = httpx.get(desk.web_url + "/now.json").json()
    assert found["lost"] == [{"layer": "ccaas", "calls": 2, "seconds": 90.0, "usual": 20.0}]
    assert (found["started"], found["started_usual"], found["usual_from_days"]) == (2, 1, 3)
    assert found["severities"] == {"critical": 0, "severe": 1, "moderate": 1, "minor": 0, "none": 0}
    markup = page(desk, "/now")
    text = text_of(markup)
    assert "90.0 s 4.5 \N{MULTIPLICATION SIGN} 20.0 s 2" in text
    assert "the same hour on the 3 days of the last 7 that had calls then" in text


def test_numbers_lead_to_the_calls_they_come_from(desk: Desk) -> None:
    """Down from lost seconds and verdicts to those calls, and from a call to its spans."""
    at = time.time_ns() - 30 * MINUTE
    hurt, fine, old = waited("hurt", at, 60), waited("fine", at, -10), waited("old", at - 2 * 60 * MINUTE, 60)
    judge(desk, hurt, fine, old)
    markup = page(desk, "/now")
    for kind in ("charged=ccaas", "severity=severe"):
        address = re.search(rf'href="(/\?{kind}[^"]*)"', markup).group(1).replace("&amp;", "&")
        assert re.findall(r'id="c-(\w+)"', page(desk, address)) == [hurt.trace_id]
    address = (
        re.search(r'href="(/\?from=[^"]*)">2</a> calls that started', markup).group(1).replace("&amp;", "&")
    )
    assert set(re.findall(r'id="c-(\w+)"', page(desk, address))) == {hurt.trace_id, fine.trace_id}
    text = page(desk, f"/call/{hurt.trace_id}")
    assert '<a href="#h-proof">60.0 s</a>' in text
    assert f'<a href="#s-{hurt.spans[0].span_id}">queue</a>' in text


def test_the_hour_follows_a_verdict_that_changes_and_a_call_that_goes(desk: Desk) -> None:
    """What a correction took back does not count, nor does a call that is gone."""
    at = time.time_ns() - 10 * MINUTE
    call = waited("changes", at, 60)
    judge(desk, call)
    late = CallMaker("changes", at)
    late.add("lookup", "crm", 85, 105, cx_layer="crm", cx_activity="lookup", cx_crm_waiting=True)
    late.spans[0].span_id = "ab" * 8
    send(desk, late)
    wait_until(lambda: desk.wait_for_verdict(call.trace_id)["corrections"])
    found = now.load(desk.store, time.time_ns() + MINUTE)
    charges = desk.wait_for_verdict(call.trace_id)["charges"]
    assert {cost.layer: cost.seconds for cost in found.costs} == charges
    assert found.started == 1
    key = bytes.fromhex(call.trace_id)
    desk.store.write(lambda to: to.execute("DELETE FROM call WHERE trace_id = ?", (key,))).result(5)
    found = now.load(desk.store, time.time_ns() + MINUTE)
    assert (found.costs, found.started) == ([], 0)


def test_the_hour_is_counted_by_whole_minutes(desk: Desk) -> None:
    """Sixty of them, so that no day has more of the hour than another."""
    found = now.load(desk.store, 10_000 * MINUTE + 59 * S)
    assert (found.until, found.until - found.since) == (10_000 * MINUTE, 60 * MINUTE)


def test_many_running_calls_are_counted_and_the_first_are_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is a click away."""
    monkeypatch.setattr(now, "MOST_SHOWN", 2)
    for number in range(3):
        call = CallMaker(f"many {number}", time.time_ns() - 60 * S)
        call.add("ivr", "ivr", 0, 5, cx_layer="ccaas", cx_activity="ivr")
        send(desk, call)
        shown(desk, call)
    markup = page(desk, "/now")
    assert '<a href="/?state=running">1 more</a> run.' in markup
    assert len(re.findall(r'id="r-', markup)) == 2
