"""The desk's pages as a browser gets them: what they say and never say, and the same as JSON."""

from __future__ import annotations

import html
import re
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from desk_calls import CallMaker, ids, whole_call
from desk_sending import send, wait_until
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from cxotel.desk import links, onecall, report
from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing
from cxotel.otlp import read_json
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cxotel.impact import Span

HOSTILE = "<img src=x onerror=alert(1)>'\"&{{7*7}}"


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """A desk that is quick to say its last word."""
    with Desk(timing=Timing(grace=0.1, settle=0.02, idle=60)) as running:
        yield running


def page(desk: Desk, path: str, status: int = 200) -> str:
    """A page's HTML."""
    answer = httpx.get(desk.web_url + path)
    assert answer.status_code == status, answer.text
    return answer.text


def text_of(markup: str) -> str:
    """What a reader sees of it, in one line."""
    without = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", markup, flags=re.DOTALL)
    return " ".join(html.unescape(without).replace("\N{NO-BREAK SPACE}", " ").split())


def judged(desk: Desk, call: CallMaker) -> str:
    """Send a call, wait for its verdict, and read its page."""
    send(desk, call)
    desk.wait_for_verdict(call.trace_id)
    return page(desk, f"/call/{call.trace_id}")


def test_an_empty_desk_says_where_to_send() -> None:
    """The first page a newcomer sees tells what to do next."""
    with Desk() as desk:
        shown = text_of(page(desk, "/"))
        assert "No call has come in yet" in shown
        for protocol, endpoint in (("grpc", desk.grpc_endpoint), ("http/protobuf", desk.http_endpoint)):
            assert f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}" in shown


def test_the_list_says_of_a_call_what_matters(desk: Desk) -> None:
    """Severity, sentence, lost seconds, whose, queue and key; newest first."""
    send(
        desk,
        older := whole_call("list-older"),
        call := whole_call("list-newer", older.start + 10**12, queue=74),
    )
    sentence = desk.wait_for_verdict(call.trace_id)["summary"]
    desk.wait_for_verdict(older.trace_id)
    markup = page(desk, "/")
    shown = text_of(markup)
    for part in (sentence, "54.0 s of 5 min", "Moderate", "WFM team", "queue billing", "list-newer"):
        assert part in shown
    assert markup.index(call.trace_id) < markup.index(older.trace_id)


def test_one_call_leads_with_the_sentence_and_shows_every_part(desk: Desk) -> None:
    """Sentence as the heading, then layers, timeline, charts, evidence, spans with their attributes."""
    call = whole_call("one call", carrier="0*20 12*10 0*30", queue=40, delivered=3)
    markup = judged(desk, call)
    found = desk.wait_for_verdict(call.trace_id)
    assert text_of(markup[markup.index("<h1>") : markup.index("</h1>")]) == found["summary"]
    shown = text_of(markup)
    for part in (
        f"{found['lost_seconds']:,.1f} s of 5 min",
        "Carrier Acme Telecom",
        "Choppy audio",
        "Every layer the call went through was measured, in at least one direction.",
        "What the agent hears",
        "worst 12.0 %",
        "Waiting in queue",
        "Context lost 25.0 %",
        "sip.call_id a84b4c76e66710@sbc.example",
        "muted false bool",
        "cpu.share 0.31 double",
        "tokens 128 int",
        "http.response.status_code 200 int",
        "service.name crm-client",
    ):
        assert part in shown
    for span in call.spans:
        assert f'id="s-{span.span_id}"' in markup


def test_evidence_links_to_spans_that_are_on_the_page(desk: Desk) -> None:
    """Every link within the page leads somewhere."""
    markup = judged(desk, whole_call("links", carrier="0*20 12*10 0*30", queue=40, lookup=9))
    targets = set(re.findall(r'href="#([^"]+)"', markup))
    assert {f"s-{span_id}" for span_id in re.findall(r'id="s-([^"]+)"', markup)} & targets
    assert targets <= set(re.findall(r'id="([^"]+)"', markup))


def test_what_was_not_measured_is_said_plainly(desk: Desk) -> None:
    """A blind layer is named, with what that means."""
    shown = text_of(judged(desk, whole_call("blind", blind=True)))
    assert "Agent's network The call went through it, and nothing was measured there" in shown


def test_what_was_skipped_outside_or_refused_is_counted(desk: Desk) -> None:
    """The reader learns what the verdict could not use."""
    call = whole_call("odd things")
    call.add("talk", "ccaas", 4000, 4100, cx_layer="ccaas", cx_activity="talk")
    call.add("hold", "ccaas", 100, 101, cx_layer="ccaas", cx_activity="hold", cx_wait_seconds=float("nan"))
    request = to_request(call.spans)
    request.resource_spans[0].scope_spans[0].spans.add(
        trace_id=bytes.fromhex(call.trace_id), span_id=b"seven77"
    )
    httpx.post(
        desk.http_endpoint + "/v1/traces",
        content=request.SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
    )
    desk.wait_for_verdict(call.trace_id)
    shown = text_of(page(desk, f"/call/{call.trace_id}"))
    assert "1 value or span could not be read" in shown
    assert "1 span of this call lay outside its time" in shown
    assert "1 span of this call had an unusable id or field" in shown


def test_provisional_and_partial_are_said_in_words() -> None:
    """A verdict that is not the last word says so, and why."""
    with Desk(timing=Timing(grace=60, idle=0.3, settle=0.02)) as desk:
        ended, endless = whole_call("provisional"), whole_call("partial")
        endless.spans.pop()
        send(desk, ended, endless)
        desk.wait_for_verdict(endless.trace_id)
        assert "Partial: the end of this call never came" in text_of(page(desk, f"/call/{endless.trace_id}"))
        assert "Provisional: the call has just ended" in text_of(page(desk, f"/call/{ended.trace_id}"))
        shown = text_of(page(desk, "/"))
        assert "provisional" in shown
        assert "partial" in shown


def test_a_running_call_is_listed_as_running(desk: Desk) -> None:
    """Its first span is enough."""
    call = CallMaker("running")
    call.add("ivr", "ivr", 0, 5, cx_layer="ccaas", cx_activity="ivr")
    send(desk, call)
    deadline = time.monotonic() + 5
    while report.verdict_report(desk.store, bytes.fromhex(call.trace_id)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "Running" in text_of(page(desk, "/"))
    markup = page(desk, f"/call/{call.trace_id}")
    shown = text_of(markup)
    assert "Running: the call has not ended" in shown
    assert "<title>Running: running" in markup
    assert "So far: " in markup[markup.index("<h1>") : markup.index("</h1>")]
    assert "Score so far" in shown
    assert 'sev-none"' not in markup[markup.index('class="over"') : markup.index("<h1>")]


def test_a_little_lost_time_is_not_called_fine(desk: Desk) -> None:
    """Under the least severity the chip says how little it is, and what the others mean."""
    call = CallMaker("a little", whole_call().start)
    call.add("crm lookup", "crm", 1, 5, cx_layer="crm", cx_activity="lookup", cx_wait_seconds=4.0)
    call.root(20)
    markup = judged(desk, call)
    found = desk.wait_for_verdict(call.trace_id)
    assert (found["severity"], 0 < found["lost_seconds"] < 3) == ("none", True)
    assert "<title>Below 3 s: a little" in markup
    assert "Fine" not in text_of(markup)
    assert 'title="Severity goes by lost seconds, however long the call: minor from 3 s,' in markup
    shown = text_of(page(desk, "/"))
    assert "Below 3 s" in shown
    assert "moderate from 15 s, severe from 60 s; critical is a call that dropped" in shown


def test_a_correction_shows_both_verdicts(desk: Desk) -> None:
    """When, why, and what was said before."""
    call = whole_call("page correction", lookup=9)
    late = [call.spans.pop(i) for i, s in reversed(list(enumerate(call.spans))) if s.name == "crm lookup"]
    judged(desk, call)
    before = desk.wait_for_verdict(call.trace_id)["summary"]
    call.spans[:] = late
    send(desk, call)
    wait_until(lambda: desk.wait_for_verdict(call.trace_id)["corrections"])
    shown = text_of(page(desk, f"/call/{call.trace_id}"))
    assert re.search(r"Corrected \S+ \S+ UTC , because more of the call came in late", shown)
    assert before in shown
    assert "corrected" in text_of(page(desk, "/"))


def test_hostile_names_and_values_are_only_text(desk: Desk) -> None:
    """Whatever a sender writes anywhere, no tag and no template of it survives."""
    call = whole_call(HOSTILE, queue=74)
    for span in call.spans:
        span.service = HOSTILE
        span.attributes = {k: HOSTILE if k in NAMED else v for k, v in span.attributes.items()} | {
            HOSTILE: [HOSTILE]
        }
    call.add(HOSTILE, HOSTILE, 10, 20, cx_layer="ccaas", cx_activity=HOSTILE, parent="")
    call.add("leg", HOSTILE, 10, 20, cx_layer=HOSTILE)
    call.spans[-1].status_message = HOSTILE
    shown = judged(desk, call) + page(desk, "/")
    assert "<img" not in shown
    assert "onerror=alert(1)&gt;" in shown
    assert "{{7*7}}" in html.unescape(shown)


NAMED = {
    "cx.owner",
    "cx.queue.name",
    "cx.site",
    "cx.partner",
    "cx.carrier.name",
    "cx.media.codec",
    "hw.model",
}


def test_logs_of_the_call_are_on_its_page(desk: Desk) -> None:
    """Event name, body, attributes, and a link to the span."""
    call = whole_call("with logs")
    logs = ExportLogsServiceRequest()
    record = (
        logs.resource_logs.add()
        .scope_logs.add()
        .log_records.add(
            trace_id=bytes.fromhex(call.trace_id), span_id=bytes.fromhex(call.root_id), severity_text="INFO"
        )
    )
    record.body.string_value = "the call began"
    record.MergeFromString(
        b"\x62\x0fcx.call.started"
    )  # event_name; opentelemetry-proto 1.30 has no name for it
    record.time_unix_nano = call.start
    httpx.post(
        desk.http_endpoint + "/v1/logs",
        content=logs.SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
    )
    markup = judged(desk, call)
    named = "cx.call.started " if hasattr(record, "event_name") else ""
    assert f"INFO {named}the call began" in text_of(markup)
    assert f'<a href="#s-{call.root_id}" class="mono">' in markup


def test_a_log_record_without_a_body_or_a_severity_shows_none(desk: Desk) -> None:
    """An event is its name; nothing stands for what the sender left out."""
    call = whole_call("event alone")
    logs = ExportLogsServiceRequest()
    record = logs.resource_logs.add().scope_logs.add().log_records.add(trace_id=bytes.fromhex(call.trace_id))
    record.body.SetInParent()
    record.time_unix_nano = call.start
    httpx.post(
        desk.http_endpoint + "/v1/logs",
        content=logs.SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
    )
    markup = judged(desk, call)
    shown = markup[markup.index('class="logs"') :]
    assert "(empty)" not in shown
    assert '<span class="note">' not in shown


def test_a_call_without_spans_to_draw_has_no_timeline(desk: Desk) -> None:
    """A root alone gives no empty card."""
    call = CallMaker("root alone", whole_call().start)
    call.root(10)
    assert 'id="h-time"' not in judged(desk, call)


def test_times_are_utc_without_a_script_and_machine_readable(desk: Desk) -> None:
    """The server says UTC; a script may say it in the reader's own time."""
    markup = judged(desk, whole_call("times"))
    assert (
        '<time datetime="2026-11-20T09:00:00.000Z" data-form="both">2026-11-20 09:00:00 UTC</time>' in markup
    )


def test_times_beyond_any_calendar_do_no_harm(desk: Desk) -> None:
    """A span that ends in the year 2554 is shown as what it is, and the list stays in order."""
    call = CallMaker("future", start=2**63)
    call.add("talk", "ccaas", 0, 60, cx_layer="ccaas", cx_activity="talk")
    call.root(60)
    assert "clock is ahead" in text_of(judged(desk, call))
    assert call.trace_id in page(desk, "/")


def without_id(call: CallMaker) -> None:
    """A leg whose span id got lost."""
    call.add("carrier leg", "sbc", 0, 10, cx_layer="carrier", cx_media_to__agent_loss__pct="5*2")
    call.spans[-1].span_id = ""


def without_end(call: CallMaker) -> None:
    """A root that was sent before it ended."""
    call.root(10)
    call.spans[-1].end = 0


def without_start(call: CallMaker) -> None:
    """A root that only ends."""
    call.root(10)
    call.spans[-1].start = 0


def backwards(call: CallMaker) -> None:
    """A root that ends before it starts."""
    call.root(-1)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (without_id, "It has no span id"),
        (without_end, "It has no end"),
        (without_start, "It has no start"),
        (backwards, "It ends before it starts"),
    ],
)
def test_a_call_without_a_readable_time_says_so(spoil: Callable[[CallMaker], None], says: str) -> None:
    """No timeline, but its spans with what is wrong with each, and what was skipped; listed as received."""
    with Desk(timing=Timing(grace=0, settle=0, idle=0)) as desk:
        call = CallMaker("no time")
        spoil(call)
        shown = text_of(judged(desk, call))
        for part in (
            "No time of this call could be read",
            "1 value or span could not be read and took no part",
            f"{says}, and takes no part in the verdict.",
            "Every span 1",
            call.spans[0].name,
        ):
            assert part in shown
        for part in ("Timeline", "hop by hop", "Length", "into the call", "Nobody lost"):
            assert part not in shown
        row = report.call_row(desk.store, bytes.fromhex(call.trace_id))
        assert row.started == row.first_received
        assert call.trace_id in page(desk, "/")


def test_every_answer_forbids_scripts_from_elsewhere(desk: Desk) -> None:
    """CSP without any exception for inline code, on pages, data, files and errors alike."""
    call = whole_call("csp")
    markup = judged(desk, call)
    for path in ("/", "/received", f"/call/{call.trace_id}", "/static/desk.js", "/nothing"):
        headers = httpx.get(desk.web_url + path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    for shown in (markup, page(desk, "/")):
        tags = re.sub(r'"[^"]*"', '""', shown)
        assert not re.search(r"<script(?![^>]*src=)|<style|<\w[^>]*\s(on\w+|style)=", tags)


def test_a_foreign_host_is_turned_away(desk: Desk) -> None:
    """DNS rebinding must not read calls."""
    assert httpx.get(desk.web_url, headers={"host": "evil.example:8317"}).status_code == 421
    assert httpx.get(desk.web_url, headers={"host": "[::1]:8317"}).status_code == 200


@pytest.mark.parametrize("path", ["/call/" + "0" * 32, "/call/nothing", "/nothing"])
def test_what_is_not_there_gets_a_page(desk: Desk, path: str) -> None:
    """With a way back, and without figures of the desk that it did not look up."""
    markup = page(desk, path, 404)
    assert 'href="/"' in markup
    assert "refused" not in text_of(markup)


@pytest.mark.parametrize("before", ["x", "-1-" + "0" * 32, "1-zz", "9" * 30 + "-" + "0" * 32])
def test_a_broken_page_address_is_a_bad_request(desk: Desk, before: str) -> None:
    """The message says what belongs there."""
    assert "earlier page" in page(desk, f"/?before={before}", 400)


def test_json_beside_every_page(desk: Desk) -> None:
    """The verdict, the list with its next page, and clear errors."""
    call = whole_call("as json", queue=74)
    judged(desk, call)
    found = httpx.get(f"{desk.web_url}/call/{call.trace_id}.json").json()
    assert found == desk.wait_for_verdict(call.trace_id)
    assert found["attributes"]["cx.impact.layer"] == "ccaas"
    first = httpx.get(desk.web_url + "/api/calls?limit=1").json()
    second = httpx.get(desk.web_url + "/api/calls", params={"limit": 500, "before": first["next"]}).json()
    every = httpx.get(desk.web_url + "/api/calls?limit=500").json()["calls"]
    assert first["calls"] + second["calls"] == every
    assert second["next"] is None
    assert found["summary"] in [one["summary"] for one in every]
    for path in ("/api/calls?limit=0", "/api/calls?limit=many", "/api/calls?before=x"):
        assert "must be" in httpx.get(desk.web_url + path).json()["error"]
    assert httpx.get(f"{desk.web_url}/call/{'0' * 32}.json").json()["error"].startswith("No call")


def test_the_whole_trace_as_otlp_json_can_be_read_again(desk: Desk) -> None:
    """Hex ids, all spans, the stamp: `cxotel judge` takes it as it is."""
    call = whole_call("otlp out", queue=74)
    judged(desk, call)
    text = page(desk, f"/call/{call.trace_id}/otlp.json")
    spans: list[Span] = list(read_json(text))
    assert {span.span_id for span in call.spans} <= {span.span_id for span in spans}
    root = next(span for span in spans if span.span_id == call.root_id)
    assert root.attributes["cx.impact.layer"] == "ccaas"
    assert page(desk, f"/call/{'0' * 32}/otlp.json", 404)


def test_more_calls_than_a_page_are_reached_by_going_on() -> None:
    """Every call once, newest first, over all pages."""
    with Desk(timing=Timing(grace=0, settle=0)) as desk:
        calls = []
        for number in range(53):
            call = CallMaker(f"many {number}", whole_call().start + number * 10**9)
            call.root(10)
            calls.append(call)
        send(desk, *calls)
        for call in calls:
            desk.wait_for_verdict(call.trace_id)
        first = page(desk, "/")
        older = html.unescape(re.search(r'href="(/\?before=[^"]+)"', first).group(1))
        shown = re.findall(r'id="c-(\w+)"', first) + re.findall(r'id="c-(\w+)"', page(desk, older))
        assert shown == [call.trace_id for call in reversed(calls)]


def test_the_received_page_counts_what_was_refused_and_why(desk: Desk) -> None:
    """In words, with the latest reason."""
    httpx.post(desk.http_endpoint + "/v1/traces", content=b"", headers={"content-type": "text/plain"})
    desk.store.write(lambda connection: None).result(5)
    shown = text_of(page(desk, "/received"))
    assert "Requests refused: wrong content type or encoding" in shown
    assert "content type 'text/plain'" in shown
    assert "refused" in text_of(page(desk, "/").partition("<footer")[2])


def test_open_pages_hear_of_new_verdicts(desk: Desk) -> None:
    """The list hears of all, a call's page only of its own."""
    call, other = whole_call("events"), whole_call("other events")
    judged(desk, call)
    with (
        httpx.Client(timeout=5) as client,
        client.stream("GET", desk.web_url + "/events") as every,
        client.stream("GET", f"{desk.web_url}/events?call={other.trace_id}") as own,
        client.stream("GET", f"{desk.web_url}/events?call={call.trace_id}") as foreign,
    ):
        silent = foreign.iter_lines()
        assert next(silent) == "retry: 2000"
        send(desk, other)
        for stream in (every, own):
            assert "event: change" in (line for line in stream.iter_lines())
    assert page(desk, "/events?call=x", 400)


def test_stopping_lets_open_pages_go() -> None:
    """A page left open does not keep the desk from stopping."""
    desk = Desk().start()
    with httpx.Client(timeout=10) as client, client.stream("GET", desk.web_url + "/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        began = time.monotonic()
        desk.stop()
        assert time.monotonic() - began < 4
        assert list(lines) == [""]
    desk.stop()


def stamped(call: CallMaker, **figures: object) -> None:
    """A verdict on the root, as a judge before the desk gives it."""
    call.spans[-1].attributes |= {
        "cx.impact.severity": "severe",
        "cx.impact.summary": "The agent's network lost 77 of 300 seconds.",
        "cx.impact.lost_seconds": 77.0,
        "cx.impact.charge.agent_network": 77.0,
        "cx.impact.layer": "agent_network",
        "cx.impact.score": 74.3,
        "cx.impact.model": "1",
        **figures,
    }


def test_a_trusted_verdict_is_shown_beside_the_desks_own() -> None:
    """On the page, in the list, to filters and as JSON; and the trace stays as it came."""
    with Desk(timing=Timing(grace=0.1, settle=0.02), trust_stamped=True) as desk:
        call, own = whole_call("trusted", queue=74), whole_call("own", queue=74)
        stamped(call)
        shown = text_of(judged(desk, call))
        assert "The agent's network lost 77 of 300 seconds." in shown
        assert "came with the call's root, from a judge before this desk" in shown
        assert "Lost seconds 77.0 54.0" in shown
        assert "Severity severe moderate" in shown
        assert "Main layer agent_network ccaas" in shown
        found = desk.wait_for_verdict(call.trace_id)
        assert (found["severity"], found["attributes"]["cx.impact.lost_seconds"]) == ("severe", 77.0)
        assert found["reckoned"]["cx.impact.lost_seconds"] == 54.0
        assert call.trace_id in page(desk, "/?severity=severe")
        otlp = page(desk, f"/call/{call.trace_id}/otlp.json")
        (root,) = (span for span in read_json(otlp) if span.span_id == call.root_id)
        assert root.attributes["cx.impact.lost_seconds"] == 77.0
        assert "judge before this desk" not in text_of(judged(desk, own))


def test_a_trusted_verdict_stays_and_the_desk_reckons_anew_what_comes_late() -> None:
    """The page does not say that both are the same when they no longer are; nothing is replaced."""
    with Desk(timing=Timing(grace=0.1, settle=0.02)) as desk:
        on_time = whole_call("late and trusted")
        on_time.spans[:] = [span for span in on_time.spans if span.name != "queue"]
        judged(desk, on_time)
        own = desk.wait_for_verdict(on_time.trace_id)["attributes"]
    call = whole_call("late and trusted", queue=74)
    late = CallMaker("late and trusted")
    late.spans = [span for span in call.spans if span.name == "queue"]
    call.spans[:] = [span for span in call.spans if span.name != "queue"]
    call.spans[-1].attributes |= own
    with Desk(timing=Timing(grace=0.1, settle=0.02), trust_stamped=True) as desk:
        assert "The desk reckons the same." in text_of(judged(desk, call))
        send(desk, late)
        end = time.monotonic() + 20
        while desk.wait_for_verdict(call.trace_id)["reckoned"]["cx.impact.lost_seconds"] != 54.0:
            assert time.monotonic() < end
            time.sleep(0.02)
        found = desk.wait_for_verdict(call.trace_id)
        assert (found["attributes"]["cx.impact.lost_seconds"], found["replaced"]) == (0.0, [])
        assert "The desk reckons the same." not in text_of(page(desk, f"/call/{call.trace_id}"))


def test_a_trusted_verdict_that_is_the_same_is_said_to_be() -> None:
    """Then there is nothing to compare."""
    call = whole_call("agreed", queue=74)
    with Desk(timing=Timing(grace=0.1, settle=0.02)) as desk:
        judged(desk, call)
        own = desk.wait_for_verdict(call.trace_id)["attributes"]
    call.spans[-1].attributes |= own
    with Desk(timing=Timing(grace=0.1, settle=0.02), trust_stamped=True) as desk:
        shown = text_of(judged(desk, call))
        assert "The desk reckons the same." in shown
        assert "Where this desk reckons otherwise" not in shown


def test_a_trusted_verdict_of_wrong_types_does_no_harm() -> None:
    """What is no figure of a verdict is not taken for one; without a severity there is none."""
    with Desk(timing=Timing(grace=0.1, settle=0.02), trust_stamped=True) as desk:
        odd, none = whole_call("odd stamp"), whole_call("no stamp")
        stamped(
            odd,
            **{
                "cx.impact.lost_seconds": "many",
                "cx.impact.score": True,
                "cx.impact.felt": "pain",
                "cx.impact.unobserved": [1],
                "cx.impact.charge.agent_network": "x",
                "cx.impact.charge.moon": 3.0,
                "cx.impact.coverage": float("nan"),
            },
        )
        stamped(none, **{"cx.impact.severity": "awful"})
        assert "0.0 s of 5 min" in text_of(judged(desk, odd))
        assert "judge before this desk" not in text_of(judged(desk, none))


def test_a_call_has_an_address_by_its_key(desk: Desk) -> None:
    """In its namespace or the only one; what is not there says what was looked for; as JSON too."""
    call = whole_call("key & address")
    judged(desk, call)
    for query in ({"key": "key & address"}, {"key": "key & address", "namespace": "default"}):
        for ending in ("", ".json"):
            answer = httpx.get(f"{desk.web_url}/call{ending}", params=query)
            assert answer.headers["location"] == f"/call/{call.trace_id}{ending}"
    shown = text_of(page(desk, "/call?key=nobody&namespace=acme", 404))
    assert "No call with the key 'nobody' in namespace 'acme' was received here." in shown
    assert (
        httpx.get(desk.web_url + "/call.json?key=nobody").json()["error"].startswith("No call with the key")
    )
    assert "Give the call key" in text_of(page(desk, "/call", 400))


def test_a_key_of_two_namespaces_leads_to_both_calls(desk: Desk) -> None:
    """The reader chooses."""
    one, other = whole_call("twice"), whole_call("twice")
    other.trace_id, other.root_id = ids("twice", "acme")
    for span in other.spans:
        span.trace_id, span.attributes = other.trace_id, span.attributes | {"cx.call.namespace": "acme"}
    for number, call in enumerate((one, other)):
        call.spans[-1].start += number
        judged(desk, call)
    answer = httpx.get(desk.web_url + "/call?key=twice")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?q=twice")
    markup = page(desk, "/?q=twice")
    assert {one.trace_id, other.trace_id} == set(re.findall(r'id="c-(\w+)"', markup))
    answer = httpx.get(desk.web_url + "/call?key=twice&namespace=acme")
    assert answer.headers["location"] == f"/call/{other.trace_id}"


def test_a_call_is_reached_by_any_of_its_trace_ids(desk: Desk) -> None:
    """An alias leads to the call's own address."""
    call = whole_call("first leg")
    call.spans[-1].attributes["cx.call.alias"] = ["second leg"]
    judged(desk, call)
    other, _ = ids("second leg")
    answer = httpx.get(f"{desk.web_url}/call/{other}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/call/{call.trace_id}")
    answer = httpx.get(desk.web_url + "/?q=second+leg")
    assert answer.headers["location"] == f"/call/{call.trace_id}"


def test_a_call_of_many_spans_comes_in_parts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every span and log record is on one of them, and evidence leads to the one that has its span."""
    monkeypatch.setattr(onecall, "PART", 8)
    call = whole_call("parts", carrier="0*20 12*10 0*30", queue=40)
    markup = judged(desk, call)
    addresses = list(dict.fromkeys(re.findall(r'href="(/call/\w+/spans\?part=\d+)"', markup)))
    on_pages = [re.findall(r'<details id="s-(\w+)"', page(desk, one)) for one in addresses]
    assert on_pages[0] == re.findall(r'<details id="s-(\w+)"', markup)
    every = [one for part in on_pages for one in part]
    assert len(every) == len(set(every))
    assert {span.span_id for span in call.spans} <= set(every)
    links_to = re.findall(r'href="(/call/\w+/spans\?span=(\w+))#s-\2"', markup)
    assert links_to
    for address, span_id in links_to:
        assert f'<details id="s-{span_id}"' in page(desk, address)
    for bad in ("0", "x", "-1", "0000000010", "99"):
        assert page(desk, f"/call/{call.trace_id}/spans?part={bad}", 404 if bad == "99" else 400)
    assert page(desk, f"/call/{call.trace_id}/spans?span=zz", 400)
    assert page(desk, f"/call/{call.trace_id}/logs", 404)


def test_a_call_leads_to_other_tools() -> None:
    """By templates, with what is known of it; nothing of a call can leave its place in an address."""
    texts = (
        "Jaeger=http://localhost:16686/trace/{trace_id}",
        'Grafana=https://g.example/explore?panes={"a":{"q":"{trace_id}"}}&from={start_ms}&to={end_ms}',
        "CRM=https://crm.example/{namespace}/{call_key}",
    )
    with Desk(timing=Timing(grace=0.1, settle=0.02), links=links.parse(texts)) as desk:
        call = whole_call("a/b?c=d&e#f")
        markup = html.unescape(judged(desk, call))
        start = call.start // 10**6
        for address in (
            f"http://localhost:16686/trace/{call.trace_id}",
            f'{{"a":{{"q":"{call.trace_id}"}}}}&from={start}&to={start + 300_000}',
            "https://crm.example/default/a%2Fb%3Fc%3Dd%26e%23f",
        ):
            assert address in markup
        assert "Open in Jaeger" in text_of(markup)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://localhost/{trace_id}", "a link is a name, =, and an address"),
        ("=http://localhost", "a link is a name, =, and an address"),
        ("Jaeger", "a link is a name, =, and an address"),
        ("Bad=javascript:alert(1)", "is no http or https address"),
        ("Bad=http://{trace_id}.example/", "is no http or https address"),
        ("Bad=http://[::1/", "is no http or https address"),
        ("Bad=http://x/{span}", "there is no {span}; there are trace_id, call_key"),
    ],
)
def test_a_link_that_cannot_be_used_says_why(text: str, says: str) -> None:
    """Before the desk starts."""
    with pytest.raises(links.LinkError, match=re.escape(says)):
        links.parse([text])


def test_data_beside_the_other_pages(desk: Desk) -> None:
    """What was received, and the list under its second name."""
    judged(desk, whole_call("data"))
    found = httpx.get(desk.web_url + "/received.json").json()
    assert found["received.spans"]["value"] > 0
    first = httpx.get(desk.web_url + "/calls.json").json()
    assert first == httpx.get(desk.web_url + "/api/calls").json()
