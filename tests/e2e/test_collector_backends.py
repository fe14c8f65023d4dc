"""The demo's calls through otelcol-cx into a real Jaeger and Tempo at once: whole, judged, and found."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from otelcol import eventually

from cxotel.otlp import read_json

if TYPE_CHECKING:
    from hub import Hub
    from playwright.sync_api import Browser, Page

    from cxotel.impact import Span

pytestmark = pytest.mark.e2e
ROOTS = {"call inbound", "call outbound"}
JUDGE = "cxotel.impact"
VERDICT = ("cx.impact.", "cx.media.mos.")
PATHS = {"jaeger": "/api/v3/traces/{}", "tempo": "/api/v2/traces/{}"}
both = pytest.mark.parametrize("name", list(PATHS))


def trace(hub: Hub, name: str, trace_id: str) -> list[Span]:
    """A trace as a backend has it, once its root is there."""

    def ask() -> list[Span]:
        return list(read_json(hub.backend(name).get(PATHS[name].format(trace_id))))

    return eventually(ask, 20, lambda spans: any(span.name in ROOTS for span in spans))


def roots(spans: list[Span]) -> list[Span]:
    """Those that are calls."""
    return [span for span in spans if span.name in ROOTS and span.attributes.get("cx.layer") == "call"]


@both
def test_every_span_arrives_once(hub: Hub, name: str) -> None:
    """What the parties sent is there, each span once and, but for the root, as it was sent."""
    for trace_id, sent in hub.recording.calls.items():
        arrived = [span for span in trace(hub, name, trace_id) if span.scope != JUDGE]
        assert Counter(span.span_id for span in sent) == Counter(span.span_id for span in arrived)
        assert {span.span_id: span for span in sent if span.name not in ROOTS} == {
            span.span_id: plain(span) for span in arrived if span.name not in ROOTS
        }


@both
def test_roots_carry_the_verdict_that_cxotel_judge_gives(hub: Hub, name: str) -> None:
    """Each call has one root, with the verdict of the Python engine to the last digit; what it said stays."""
    assert set(hub.recording.calls) == set(hub.verdicts)
    for trace_id, expected in hub.verdicts.items():
        [root] = roots(trace(hub, name, trace_id))
        [sent] = roots(hub.recording.calls[trace_id])
        own = plain(root).attributes
        assert expected == {key: value for key, value in own.items() if key.startswith(VERDICT)}
        carrier = {"cx.carrier.name": "Acme Telecom"}  # copied from a leg, for searches
        assert {**carrier, **sent.attributes} == {k: v for k, v in own.items() if not k.startswith(VERDICT)}
        is_bad = expected["cx.impact.severity"] in ("severe", "critical")
        assert root.status_message == (expected["cx.impact.summary"] if is_bad else "")


@both
def test_the_judges_own_spans_show_where_a_call_was_hurt(hub: Hub, name: str) -> None:
    """Every layer that was charged has evidence below a span of the call; from 3 s on it is marked."""
    for trace_id, verdict in hub.verdicts.items():
        spans = trace(hub, name, trace_id)
        ids = {span.span_id for span in spans}
        evidence = [span for span in spans if "cx.evidence.layer" in span.attributes]
        assert set(verdict["cx.impact.layers"]) == {span.attributes["cx.evidence.layer"] for span in evidence}
        assert all(span.scope == JUDGE and span.parent_id in ids for span in evidence)
        for span in evidence:
            layer, owner = span.attributes["cx.evidence.layer"], span.attributes.get("cx.evidence.owner")
            assert f"{layer}: {owner or 'unknown'}" == span.service
            assert (span.attributes["cx.evidence.seconds"] >= 3) == (span.status == 2)


def test_jaeger_finds_exactly_the_calls_of_a_layer(hub: Hub) -> None:
    """By the tag on the root, with both of its APIs."""
    jaeger, expected = hub.backend("jaeger"), hub.calls_with(layer="carrier")
    assert expected
    hour = 3600
    now = time.time()
    tags = json.dumps({"cx.impact.layer": "carrier"})

    def v3() -> set[str]:
        answer = jaeger.ask(
            "/api/v3/traces",
            **{
                "query.attributes": tags,
                "query.start_time_min": datetime.fromtimestamp(now - hour, timezone.utc).isoformat(),
                "query.start_time_max": datetime.fromtimestamp(now + hour, timezone.utc).isoformat(),
                "query.search_depth": 1000,
            },
        )
        return {span.trace_id for span in read_json(json.dumps(answer))}

    def own() -> set[str]:
        found = jaeger.ask("/api/traces", service="demo-platform", tags=tags, lookback="1h", limit=1000)
        return {one["traceID"] for one in found["data"]}

    assert expected == eventually(v3, 10, lambda found: found == expected)
    assert expected == eventually(own, 10, lambda found: found == expected)


@pytest.mark.parametrize(
    ("query", "verdicts"),
    [
        (
            '{ span.cx.impact.severity = "critical" && span.cx.impact.layer = "carrier" }',
            [{"severity": "critical", "layer": "carrier"}],
        ),
        (
            '{ span.cx.impact.severity =~ "severe|critical" && span.cx.impact.layer = "carrier" }',
            [{"severity": severity, "layer": "carrier"} for severity in ("severe", "critical")],
        ),
        ('{ span.cx.impact.owner = "BPO North IT" }', [{"owner": "BPO North IT"}]),
        ('{ name = "call inbound" && span.cx.impact.lost_seconds = 0.0 }', [{"lost_seconds": 0.0}]),
    ],
)
def test_tempo_finds_exactly_the_calls_that_a_query_describes(
    hub: Hub, query: str, verdicts: list[dict[str, Any]]
) -> None:
    """In TraceQL, on the root's attributes. Doubles are compared with fractions alone: 0 finds nothing."""
    tempo = hub.backend("tempo")
    expected = {trace_id for verdict in verdicts for trace_id in hub.calls_with(**verdict)}
    assert expected

    def found() -> set[str]:
        return {one["traceID"].zfill(32) for one in tempo.ask("/api/search", q=query, limit=1000)["traces"]}

    hub.wait_for_tempo()
    assert expected == eventually(found, 10, lambda ids: ids == expected)


@pytest.fixture(scope="module")
def jaeger_page(hub: Hub, browser: Browser) -> Page:
    """A page of the browser; the first thing to do there is to go to Jaeger."""
    hub.backend("jaeger")
    return browser.new_page(viewport={"width": 1440, "height": 1000})


def test_jaegers_search_page_shows_the_calls_that_a_carrier_hurt(hub: Hub, jaeger_page: Page) -> None:
    """As an operator asks: service, tag, Find Traces. All are marked as bad, with who did it."""
    expected = hub.calls_with(layer="carrier")
    url, tags = hub.backend("jaeger").url, quote(json.dumps({"cx.impact.layer": "carrier"}))
    jaeger_page.goto(f"{url}/search?service=demo-platform&lookback=1h&limit=100&tags={tags}")
    jaeger_page.get_by_text(f"{len(expected)} Traces").wait_for()
    links = jaeger_page.locator("a[href*='/trace/']").evaluate_all("all => all.map(one => one.href)")
    assert expected == {match[1] for link in links if (match := re.search(r"/trace/([0-9a-f]+)", link))}
    assert len(expected) == jaeger_page.get_by_text(re.compile(r"\d+ Errors?")).count()
    assert len(expected) == jaeger_page.get_by_text("carrier: Acme Telecom").count()


def test_jaegers_trace_page_shows_where_a_call_was_hurt(hub: Hub, jaeger_page: Page) -> None:
    """Layer and symptom stand below the leg that shows it, with an error mark; the root says it in words."""
    trace_id = hub.recording.named("dropped")
    jaeger_page.goto(f"{hub.backend('jaeger').url}/trace/{trace_id}")
    row = jaeger_page.locator(".span-row", has_text="carrier dropped")
    row.wait_for()
    assert 1 == row.count()
    assert "carrier: Acme Telecom" in row.inner_text()
    assert 1 == row.locator(".SpanBarRow--errorIcon").count()
    root = jaeger_page.locator(".span-row").first
    assert 1 == root.locator(".SpanBarRow--errorIcon").count()
    root.locator(".span-name").first.click()
    jaeger_page.get_by_text("Tags:").first.click()
    assert jaeger_page.get_by_text(hub.verdicts[trace_id]["cx.impact.summary"]).first.is_visible()


def plain(span: Span) -> Span:
    """Without what Jaeger does to a span: its warnings, and a nanosecond for spans that have no length."""
    own = {key: value for key, value in span.attributes.items() if key != "@jaeger@warnings"}
    added = any("Negative duration" in text for text in span.attributes.get("@jaeger@warnings", ()))
    return replace(span, attributes=own, end=span.end - added)
