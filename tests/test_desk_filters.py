"""Finding calls: filters, search, paging, addresses, and that none of it reads more than it shows."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from desk_calls import NOON, CallMaker, S, whole_call
from desk_sending import send, wait_until
from test_desk_pages import page, text_of

from cxotel.desk import finding
from cxotel.desk._sql import sql
from cxotel.desk.app import Desk
from cxotel.desk.finding import Filter, Place
from cxotel.desk.settings import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600 * S
QUEUES = ("billing", "sales", "support")


def call_of(number: int) -> CallMaker:
    """One of a dozen calls, an hour apart, that differ in all that can be asked for."""
    call = CallMaker(f"filter {number}", NOON + number * HOUR)
    call.add(
        "carrier leg",
        "sbc",
        0,
        60,
        cx_layer="carrier",
        cx_activity="converse",
        cx_owner="Acme Telecom",
        cx_carrier_name=f"carrier {number % 2}",
        cx_media_window=5.0,
        cx_media_to__agent_loss__pct="30*12" if number % 4 == 0 else "0*12",
    )
    call.add("queue", "ccaas", 0, 30 if number % 3 == 0 else 1, cx_layer="ccaas", cx_activity="queue")
    call.add("session", "softphone", 0, 60, cx_layer="endpoint", hw_model=f"headset {number % 5}")
    call.root(
        60,
        "dropped" if number == 7 else "completed",
        cx_queue_name=QUEUES[number % 3],
        cx_site=f"site {number % 2}",
        cx_partner="BPO & Söhne",
        cx_customer_ref=f"{number % 4:032x}",
    )
    return call


CALLS = [call_of(number) for number in range(12)]
NUMBERS = {call.trace_id: number for number, call in enumerate(CALLS)}


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """A desk with the dozen."""
    with Desk(timing=Timing(grace=0.05, settle=0.02, idle=60)) as running:
        send(running, *CALLS)
        for call in CALLS:
            running.wait_for_verdict(call.trace_id)
        yield running


def numbers(desk: Desk, **asked: Any) -> list[int]:
    """Which of the dozen are found, in the order shown."""
    answer = httpx.get(desk.web_url + "/api/calls", params={"limit": 500, **asked})
    assert answer.status_code == 200, answer.text
    found = (one["trace_id"] for one in answer.json()["calls"])
    return [NUMBERS[trace_id] for trace_id in found if trace_id in NUMBERS]  # others sent more


def newest(*wanted: int) -> list[int]:
    """Numbers, newest first."""
    return sorted(wanted, reverse=True)


def test_several_values_of_a_kind_are_alternatives_and_kinds_add_up(desk: Desk) -> None:
    """One queue or the other, and that site."""
    assert numbers(desk, queue="sales") == newest(1, 4, 7, 10)
    assert numbers(desk, queue=["sales", "support"]) == newest(1, 2, 4, 5, 7, 8, 10, 11)
    assert numbers(desk, queue=["sales", "support"], site="site 1") == newest(1, 5, 7, 11)
    assert numbers(desk, queue="sales", site="site 1", headset="headset 2") == [7]
    assert numbers(desk, queue="sales", site="nowhere") == []


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("outcome", "dropped", [7]),
        ("carrier", "carrier 0", [0, 2, 4, 6, 8, 10]),
        ("headset", "headset 4", [4, 9]),
        ("partner", "BPO & Söhne", range(12)),
        ("customer", f"{3:032x}", [3, 7, 11]),
        ("state", "final", range(12)),
        ("state", "running", []),
        ("severity", "critical", [7]),
        ("owner", "Acme Telecom", [0, 4, 8]),
        ("charged", "carrier", [0, 4, 8]),
        ("charged", "ccaas", [0, 3, 6, 9]),
    ],
)
def test_every_kind_can_be_asked_for(desk: Desk, kind: str, value: str, wanted: Any) -> None:
    """By the words that the verdict and the spans gave."""
    assert numbers(desk, **{kind: value}) == newest(*wanted)


def test_the_layer_is_the_most_charged_one_and_charged_is_any(desk: Desk) -> None:
    """A call that lost more to one layer is still found by the other."""
    both = numbers(desk, charged="ccaas")
    assert set(numbers(desk, layer="ccaas")) < set(both)
    assert set(numbers(desk, layer="carrier")) & set(both)


def test_a_call_with_two_of_the_wanted_words_is_listed_once(desk: Desk) -> None:
    """Call 0 lost something in both layers."""
    assert numbers(desk, charged=["ccaas", "carrier"]) == newest(0, 3, 4, 6, 8, 9)


def test_times_bound_what_is_found(desk: Desk) -> None:
    """From is included, to is not; without a zone it is UTC."""
    assert numbers(desk, **{"from": "2026-11-20T11:00", "to": "2026-11-20T14:00"}) == newest(2, 3, 4)
    assert numbers(desk, **{"from": "2026-11-20T12:00+01:00", "to": "2026-11-20T14:00Z"}) == newest(2, 3, 4)
    assert numbers(desk, to="2026-11-20T12:00:00.5Z", queue="billing") == newest(0, 3)
    assert numbers(desk, **{"from": "2026-11-20T18:00"}, site="site 1") == newest(9, 11)


def test_a_time_may_be_so_long_ago(desk: Desk) -> None:
    """Relative to the moment of asking."""
    call = CallMaker("just now", time.time_ns() - 60 * S)
    call.root(10)
    send(desk, call)
    desk.wait_for_verdict(call.trace_id)
    NUMBERS[call.trace_id] = 99
    assert numbers(desk, **{"from": "30min"}) == [99]
    assert 99 not in numbers(desk, to="30min")
    del NUMBERS[call.trace_id]


@pytest.mark.parametrize("search", ["filter 3", CALLS[3].trace_id, CALLS[3].trace_id.upper(), "  filter 3 "])
def test_the_search_finds_one_call_by_key_and_by_id(desk: Desk, search: str) -> None:
    """And the page leads to it at once."""
    assert numbers(desk, q=search) == [3]
    answer = httpx.get(desk.web_url, params={"q": search})
    while answer.status_code == 303 and not answer.headers["location"].startswith("/call/"):
        answer = httpx.get(desk.web_url + answer.headers["location"])
    assert answer.headers["location"] == f"/call/{CALLS[3].trace_id}"


def test_the_search_finds_the_calls_of_a_customer(desk: Desk) -> None:
    """All that carry the hash; with other kinds, those of them."""
    assert numbers(desk, q=f"{3:032x}") == newest(3, 7, 11)
    assert numbers(desk, q=f"{3:032x}", queue="sales") == [7]
    assert numbers(desk, q="filter 3", queue="sales") == []
    assert numbers(desk, q="filter 3", queue="billing") == [3]
    assert numbers(desk, q="filter") == [], "the search is exact"


def test_paging_reaches_every_call_once(desk: Desk) -> None:
    """With every kind of filter, three at a time."""
    for asked in ({}, {"queue": ["sales", "support"]}, {"charged": ["ccaas", "carrier"], "site": "site 0"}):
        every = httpx.get(desk.web_url + "/api/calls", params={**asked, "limit": 500}).json()["calls"]
        found, before = [], ""
        while before is not None:
            answer = httpx.get(
                desk.web_url + "/api/calls", params={**asked, "limit": 3, "before": before}
            ).json()
            assert len(answer["calls"]) <= 3
            found += answer["calls"]
            before = answer["next"]
        assert [one["trace_id"] for one in found] == [one["trace_id"] for one in every]


def test_the_address_is_the_filter(desk: Desk) -> None:
    """What a form sends with empty fields becomes one clean address, the same for the same."""
    answer = httpx.get(desk.web_url + "/?q=&site=site+1&queue=support&queue=&queue=sales&from=&to=")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?queue=sales&queue=support&site=site+1"
    markup = page(desk, answer.headers["location"])
    listed = [NUMBERS[one] for one in re.findall(r'id="c-(\w+)"', markup)]
    assert listed == newest(1, 5, 7, 11)
    assert 'href="/?queue=support&amp;site=site+1" aria-label="Without Queue sales"' in markup
    assert 'name="queue" value="sales" checked' in markup
    assert 'href="/calls.json?queue=sales&amp;queue=support&amp;site=site+1"' in markup


def test_values_are_offered_by_use_with_their_counts(desk: Desk) -> None:
    """Most used first, only those that calls have now; customers' hashes are not offered."""
    markup = page(desk, "/?queue=sales")
    offered = re.findall(r'name="site" value="([^"]*)"', markup)
    assert offered[:2] == ["site 0", "site 1"]
    assert re.search(r'value="critical">\s*<span>Critical</span> <small>1</small>', markup)
    assert 'name="customer"' not in markup
    assert finding.offered(desk.store, Filter(), "customer") == []


def test_what_is_not_there_is_said(desk: Desk) -> None:
    """With the way back, and what the search is."""
    shown = text_of(page(desk, "/?q=no+such+call"))
    assert "No call has all of this" in shown
    assert "The search is exact" in shown


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("colour=red", "There is no filter 'colour'"),
        ("from=yesterday", "from is a time like"),
        ("to=99999-01-01", "to is a time like"),
        ("q=" + "x" * 501, "more than 500 characters"),
        ("&".join(f"queue={n}" for n in range(51)), "more than 50 values"),
        ("before=1-zz", "before must be what an earlier page gave"),
        (f"before={'0' * 5000}-{'0' * 32}", "before must be what an earlier page gave"),
    ],
)
def test_what_cannot_be_asked_for_is_said(desk: Desk, query: str, says: str) -> None:
    """On the page and as JSON."""
    assert says in text_of(page(desk, f"/?{query}", 400))
    answer = httpx.get(f"{desk.web_url}/calls.json?{query}")
    assert (answer.status_code, says in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("limit", ["0", "501", "0000011000", "0000019999999999999999", "0" * 5000, "x", "-1"])
def test_a_list_has_no_more_than_it_can_have(desk: Desk, limit: str) -> None:
    """Whatever a limit is written like."""
    answer = httpx.get(f"{desk.web_url}/calls.json?limit={limit}")
    assert (answer.status_code, answer.json()) == (400, {"error": "limit must be a number from 1 to 500."})


def test_hostile_addresses_do_no_harm(desk: Desk) -> None:
    """Whatever is asked for is only text."""
    for text in (
        "<script>alert(1)</script>",
        "' OR 1=1 --",
        "\x00",
        "%",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    ):
        for name in ("q", "queue"):
            answer = httpx.get(desk.web_url, params={name: text}, follow_redirects=True)
            assert answer.status_code == 200
            assert "<script>alert" not in answer.text


def test_a_search_that_looks_far_says_how_far(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops after so many calls, says so, and can be taken up where it stopped, without missing one."""
    monkeypatch.setattr(finding, "MOST_LOOKED", 3)
    asked = Filter(
        words={
            "site": ("site 0",),
            "carrier": ("carrier 0",),
            "outcome": ("completed",),
            "headset": ("headset 0",),
        }
    )
    asked = asked.without("headset", "headset 0")
    found, place, steps = [], Place(), 0
    while place is not None:
        part = finding.find(desk.store, asked, place, 500, time.time_ns())
        found += [NUMBERS[row.trace_id] for row in part.rows]
        assert (part.looked_to is None) == (part.next is None)
        place, steps = part.next, steps + 1
    assert (found, steps > 1) == (newest(0, 2, 4, 6, 8, 10), True)
    rare = Filter(words={"site": ("site 0",), "state": ("running",)})
    assert finding.find(desk.store, rare, Place(), 500, time.time_ns()).looked_to is None
    shown = text_of(page(desk, "/?carrier=carrier+1&headset=headset+4&site=site+0"))
    assert "No call has all of this" in shown
    shown = text_of(page(desk, "/?carrier=carrier+1&site=site+0"))
    assert "No such call started since 2026-11-20" in shown
    assert "earlier ones were not looked at yet" in shown


def plan(desk: Desk, name: str, *parameters: object) -> str:
    """How SQLite goes about a statement."""
    with desk.store.reading() as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql(name)}", parameters).fetchall()
    return "; ".join(row[-1] for row in rows)


def test_no_question_scans_or_sorts_the_calls(desk: Desk) -> None:
    """Each goes by a key, in the order shown, so that it costs what is shown and not what is kept."""
    groups = json.dumps([[1], [2, 3]])
    plans = {
        "calls_page": plan(desk, "calls_page", 1, b"", 0, 51),
        "calls_by_word": plan(desk, "calls_by_word", 1, b"", 0, groups, 1, 51),
        "facet_after": plan(desk, "facet_after", 1, 1, 50_000),
        "calls_of_key": plan(desk, "calls_of_key", "k", 1000),
        "word_of": plan(desk, "word_of", "queue", "sales"),
        "severities_between": plan(desk, "severities_between", 0, 1),
        "lost_between": plan(desk, "lost_between", 0, 1),
        "call_row": plan(desk, "call_row", b""),
        "calls_count": plan(desk, "calls_count"),
        "words_of_kind": plan(desk, "words_of_kind", "queue", 10),
    }
    for name, text in plans.items():
        assert not re.search(r"SCAN (call|one|other|facet|word|lost|call_key)\b(?! USING)", text), (
            name,
            text,
        )
    for name in ("calls_page", "calls_by_word", "facet_after"):
        assert "TEMP B-TREE" not in plans[name], (name, plans[name])
    assert "call_by_time" in plans["calls_page"]
    assert "SEARCH one USING PRIMARY KEY (word=? AND started>? AND started<?)" in plans["calls_by_word"]
    assert re.search(r"SEARCH other USING [\w ]+ \((\w+=\? AND ){2}\w+=\?\)", plans["calls_by_word"])
    assert "USING COVERING INDEX call_other" in plans["calls_count"]


def test_filters_follow_a_verdict_that_changes() -> None:
    """A call is found by its latest verdict only."""
    with Desk(timing=Timing(grace=0.05, settle=0.02, idle=60)) as desk:
        call = whole_call("moves", lookup=40)
        late = [call.spans.pop(i) for i, s in reversed(list(enumerate(call.spans))) if s.name == "crm lookup"]
        send(desk, call)
        before = desk.wait_for_verdict(call.trace_id)["severity"]
        call.spans[:] = late
        send(desk, call)
        wait_until(lambda: desk.wait_for_verdict(call.trace_id)["corrections"])
        after = desk.wait_for_verdict(call.trace_id)["severity"]
        assert before != after
        for severity, found in ((before, 0), (after, 1)):
            calls = httpx.get(f"{desk.web_url}/calls.json", params={"severity": severity}).json()["calls"]
            assert len(calls) == found
