"""What the desk deletes by age and by size, what it never does, and that the file becomes smaller."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
import httpx
import pytest
from click.testing import CliRunner
from desk_calls import CallMaker, whole_call
from desk_sending import judge, post
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from cxotel.desk import options, retention
from cxotel.desk.app import Desk
from cxotel.desk.command import serve
from cxotel.desk.retention import DAY, Retention, pages_of
from cxotel.desk.settings import Keep, Timing
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK = Timing(grace=0.05, settle=0.02, idle=3600)
TABLES = ("span", "log", "metric", "call", "verdict", "facet", "warning", "alias", "call_key", "erased")


@pytest.fixture
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk whose own retention deletes nothing."""
    with Desk(timing=getattr(request, "param", QUICK), keep=Keep(0, 0)) as running:
        yield running


def logs(*trace_ids: str) -> ExportLogsServiceRequest:
    """Log records, one of each trace id."""
    request = ExportLogsServiceRequest()
    scoped = request.resource_logs.add().scope_logs.add()
    for number, trace_id in enumerate(trace_ids):
        record = scoped.log_records.add(time_unix_nano=number, trace_id=bytes.fromhex(trace_id))
        record.body.string_value = "said"
    return request


def metric(name: str) -> ExportMetricsServiceRequest:
    """A metric."""
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    return request


def rows(desk: Desk) -> dict[str, int]:
    """Rows of each table."""
    with desk.store.reading() as connection:
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}


def all_steps(desk: Desk, keep: Keep, days_later: float = 0) -> Retention:
    """Retention until there is nothing left to do, as at another day."""
    found = Retention(desk.store, keep, lambda: time.time_ns() + round(days_later * DAY))
    for _ in range(500):
        if not found.step():
            return found
    raise AssertionError("it never ends")


def counters(desk: Desk) -> dict[str, int]:
    """What retention counted."""
    return {
        name.partition(".")[2]: value
        for name, value, _, _ in desk.store.rows("counters")
        if name.startswith("deleted.")
    }


def freeze(desk: Desk, call: CallMaker) -> None:
    """Keep a call whatever its age."""
    statement = "UPDATE call SET frozen = 1 WHERE trace_id = ?"
    desk.store.write(lambda to: to.execute(statement, (bytes.fromhex(call.trace_id),))).result(5)


@pytest.mark.parametrize("desk", [Timing(grace=0.05, settle=0.02, idle=0.4)], indirect=True)
def test_a_call_too_old_goes_with_all_that_was_made_of_it(desk: Desk) -> None:
    """Spans, logs, other ids, verdicts, facets, keys, row; logs of no call and metrics by their own age."""
    call, other = whole_call("old"), whole_call("old, elsewhere")
    other.spans = other.spans[:3]
    other.spans[1].attributes["cx.call.alias"] = ["old"]
    judge(desk, call)
    post(desk, to_request(other.spans))
    post(desk, logs(call.trace_id, other.trace_id, "", "ab" * 16), "logs")
    post(desk, metric("m"), "metrics")
    desk.wait_until_sorted()
    trace_id = bytes.fromhex(other.trace_id)
    deadline = time.monotonic() + 10
    while desk.store.rows("next_due") != [(None,)]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    before = rows(desk)
    assert before["alias"] == 1
    assert desk.store.rows("spans_of_trace", trace_id)
    all_steps(desk, Keep(days=2), days_later=1.9)
    assert rows(desk) == before
    all_steps(desk, Keep(days=2), days_later=2.1)
    assert rows(desk) == dict.fromkeys(TABLES, 0)
    spans = len(call.spans) + len(other.spans)
    assert counters(desk) == {"calls": 1, "spans": spans, "logs": 4, "metrics": 1}
    text = httpx.get(desk.web_url + "/received").text
    assert "Calls deleted by age or size" in text
    with desk.store.reading() as connection:
        assert connection.execute("SELECT sum(calls) FROM word").fetchone() == (0,)


def test_frozen_running_and_held_calls_stay(desk: Desk) -> None:
    """However old they are; their logs stay with them."""
    frozen, running = whole_call("frozen"), whole_call("running")
    running.spans.pop()
    judge(desk, frozen)
    freeze(desk, frozen)
    post(desk, to_request(running.spans))
    post(desk, logs(frozen.trace_id, running.trace_id), "logs")
    desk.wait_until_sorted()
    before = rows(desk)
    all_steps(desk, Keep(days=1), days_later=900)
    assert rows(desk) == before
    assert desk.wait_for_verdict(frozen.trace_id)["state"] == "final"


def test_traces_of_no_call_go_by_age_too(desk: Desk) -> None:
    """A trace without any span of a call."""
    call = CallMaker("no call")
    call.add("GET /", "web", 0, 1)
    post(desk, to_request(call.spans))
    desk.wait_until_sorted()
    all_steps(desk, Keep(days=1), days_later=2)
    assert rows(desk)["span"] == 0
    assert counters(desk) == {"traces": 1, "spans": 1}


def test_logs_of_kept_calls_do_not_hide_older_ones_behind_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than are looked at in one step."""
    monkeypatch.setattr(retention, "MOST_ROWS", 3)
    call = whole_call("kept")
    judge(desk, call)
    freeze(desk, call)
    for number in range(4):
        request = logs(*[call.trace_id] * 4, "")
        request.resource_logs[0].resource.attributes.add(key="n").value.int_value = number
        post(desk, request, "logs")
    desk.wait_until_sorted()
    all_steps(desk, Keep(days=1), days_later=2)
    assert rows(desk)["log"] == 16


def test_a_large_call_goes_in_steps_and_late_spans_do_not_have_the_rest_judged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tombstone while it goes; none after."""
    monkeypatch.setattr(retention, "MOST_ROWS", 5)
    call = whole_call("large")
    judge(desk, call)
    found = Retention(desk.store, Keep(days=1), lambda: time.time_ns() + 2 * DAY)
    assert found.step()
    assert rows(desk)["span"] == len(call.spans) - 5
    assert (rows(desk)["erased"], rows(desk)["call"]) == (1, 1)
    late = whole_call("large")
    late.add("late", "ivr", 1, 2, cx_layer="ccaas")
    post(desk, to_request(late.spans[-1:]))
    desk.wait_until_sorted()
    while found.step():
        pass
    assert rows(desk) == dict.fromkeys(TABLES, 0)
    assert counters(desk) == {"calls": 1, "spans": len(call.spans)}


def test_the_oldest_go_first_when_the_file_is_too_large_and_its_pages_are_given_back(desk: Desk) -> None:
    """Down to the size; the newest calls stay, the file is as small as that."""
    calls = [whole_call(f"size {number}") for number in range(120)]
    judge(desk, *calls)
    order = [row[0].hex() for row in desk.store.rows("oldest_calls", 2**62, 1000)]
    desk.store.write(lambda c: None).result(5)
    with desk.store.reading() as connection:
        size, pages, free = pages_of(connection)
    limit = size * (pages - free) * 2 // 3
    all_steps(desk, Keep(days=0, size=limit))
    left = [row[0].hex() for row in desk.store.rows("oldest_calls", 2**62, 1000)]
    assert 0 < len(left) < len(order)
    assert left == order[-len(left) :]
    with desk.store.reading() as connection:
        size, pages, free = pages_of(connection)
    assert size * (pages - free) <= limit * retention.ENOUGH
    assert size * pages <= limit
    assert counters(desk)["calls"] == len(order) - len(left)


def test_metrics_alone_do_not_fill_the_file(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no call to delete, the oldest metrics go; a newer call stays."""
    monkeypatch.setattr(retention, "MOST_ROWS", 20)
    request = ExportMetricsServiceRequest()
    scoped = request.resource_metrics.add().scope_metrics.add()
    for number in range(2_000):
        scoped.metrics.add(name=f"{number}", description="x" * 200)
    post(desk, request, "metrics")
    desk.wait_until_sorted()
    judge(desk, whole_call("newer"))
    with desk.store.reading() as connection:
        size, pages, free = pages_of(connection)
    all_steps(desk, Keep(days=0, size=size * (pages - free) - 300_000))
    assert (rows(desk)["call"], rows(desk)["metric"] < 2_000) == (1, True)


def test_a_file_of_frozen_calls_is_left_and_said(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Once an hour, with what to do."""
    call = whole_call("frozen")
    judge(desk, call)
    freeze(desk, call)
    found = all_steps(desk, Keep(days=0, size=1))
    found.step()
    said = [record.getMessage() for record in caplog.records if "--keep-size" in record.getMessage()]
    assert len(said) == 1
    assert rows(desk)["call"] == 1


def test_words_and_origins_that_nothing_has_go_now_and_then(desk: Desk) -> None:
    """And what comes of the same origin afterwards finds it again."""
    call = whole_call("gone")
    judge(desk, call)
    found = Retention(desk.store, Keep(days=1), lambda: time.time_ns() + 2 * DAY)
    while found.step():
        pass
    found._tidied -= retention.TIDY_SECONDS
    while found.step():
        pass
    with desk.store.reading() as connection:
        for table in ("word", "origin"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    judge(desk, call)
    with desk.store.reading() as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_running_desk_deletes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own thread, without being asked."""
    monkeypatch.setattr(retention, "LOOK_SECONDS", 0.05)
    with Desk(timing=QUICK, keep=Keep(days=1e-7)) as desk:
        post(desk, to_request(whole_call("soon").spans))
        deadline = time.monotonic() + 10
        while counters(desk).get("calls") != 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500MB", 500_000_000), ("10 gb", 10**10), ("2GiB", 2**31), ("1.5k", 1500), ("7B", 7)],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    """Decimal and binary units."""
    assert options.size(None, None, text) == size


@pytest.mark.parametrize("text", ["", "ten", "10PB", "-1", "1e9"])
def test_what_is_no_size_is_said(text: str) -> None:
    """With how to write it."""
    with pytest.raises(click.BadParameter, match="500MB"):
        options.size(None, None, text)
    done = CliRunner().invoke(serve, ["--keep-size", text, "--db", ":memory:"])
    assert done.exit_code == 2


@pytest.mark.parametrize("values", [{"days": -1}, {"size": -1}, {"days": float("nan")}])
def test_keeping_less_than_nothing_is_refused(values: dict[str, float]) -> None:
    """By name."""
    with pytest.raises(ValueError, match=next(iter(values))):
        Keep(**values)
