"""A real Prometheus scrapes the connector: the shipped alerts fire, the dashboard's queries have answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hub import MONITORING
from otelcol import eventually

if TYPE_CHECKING:
    from hub import Hub

pytestmark = pytest.mark.e2e
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
# As Grafana fills them in for "all" and a screen of six hours.
VARIABLES = {
    "$queue": ".*",
    "$carrier": ".*",
    "$partner": ".*",
    "$worst": "10.0",
    "$__rate_interval": "1m",
    "$__range": "6h",
}
# What is never said by a healthy judge of calls that are measured everywhere; the panels are empty then.
QUIET = {
    "cx_impact_unmeasured_total",
    "otelcol_processor_cx_impact_corrections",
    "otelcol_processor_cx_impact_partial",
    "otelcol_processor_cx_impact_skipped_values",
    "otelcol_processor_cx_impact_refused_spans",
    "otelcol_processor_cx_impact_release_retries",
    "otelcol_processor_cx_impact_discarded_roots",
    "otelcol_processor_cx_impact_storage_failures",
    "otelcol_connector_cx_impact_bad_values",
    "otelcol_connector_cx_impact_overflows",
    "otelcol_connector_cx_impact_failed_flushes",
}
NODE_SECONDS = 180
CHARGE = "cx.impact.charge."


def filled(query: str) -> str:
    """With Grafana's variables set."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def targets(kind: str) -> list[Any]:
    """The dashboard's queries in one language, by title of their panel."""
    return [
        pytest.param(filled(target[kind]), id=f"{panel['title']} {target['refId']}")
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
        if kind in target
    ]


def counted(hub: Hub) -> None:
    """Waits until Prometheus has counted all calls."""
    prometheus, calls = hub.backend("prometheus"), [len(hub.verdicts)]
    assert calls == eventually(lambda: prometheus.values("sum(cx_calls_total)"), 30, lambda now: now == calls)


def test_seconds_in_prometheus_are_those_of_the_verdicts(hub: Hub) -> None:
    """By layer, and what was lost adds up."""
    counted(hub)
    prometheus, verdicts = hub.backend("prometheus"), hub.verdicts.values()
    charges = {key for one in verdicts for key in one if key.startswith(CHARGE)}
    for key in charges:
        [found] = prometheus.values(
            f'sum(cx_impact_lost_seconds_total{{cx_layer="{key.removeprefix(CHARGE)}"}})'
        )
        assert sum(one.get(key, 0.0) for one in verdicts) == pytest.approx(found)
    [found] = prometheus.values("sum(cx_impact_lost_seconds_total)")
    assert sum(one["cx.impact.lost_seconds"] for one in verdicts) == pytest.approx(
        found, abs=0.01 * len(verdicts)
    )


def test_the_shipped_alerts_fire_on_what_the_demo_planted(hub: Hub) -> None:
    """Without their `for`: a carrier, an agent's network, dropped and severe calls, calls hurt now."""
    prometheus = hub.backend("prometheus")

    def firing() -> set[tuple[str, str]]:
        # The whole past: five minutes after the calls, no running one is hurt.
        found = prometheus.ask("/api/v1/query", query='last_over_time(ALERTS{alertstate="firing"}[1h])')
        labels = [one["metric"] for one in found["data"]["result"]]
        return {(one["alertname"], one.get("cx_layer", one.get("cx_carrier_name", ""))) for one in labels}

    expected = {
        ("CxCarrierLosesTime", "Acme Telecom"),
        ("CxLayerLosesTime", "agent_network"),
        ("CxSevereCalls", ""),
        ("CxCallsDropped", "Acme Telecom"),
        ("CxCallsHurtNow", "agent_network"),
    }
    fired = eventually(firing, 40, lambda found: expected <= found)
    assert expected <= fired
    before_the_first_scrape = {("CxCollectorAway", "")}
    assert fired - before_the_first_scrape <= expected | {
        ("CxLayerLosesTime", layer) for layer in ("endpoint", "handoff", "crm", "ccaas")
    } | {("CxCallsHurtNow", layer) for layer in ("carrier", "endpoint")}
    rules = prometheus.ask("/api/v1/rules")["data"]["groups"]
    assert [] == [rule["name"] for group in rules for rule in group["rules"] if rule["health"] == "err"]


@pytest.mark.parametrize("query", targets("expr"))
def test_a_query_of_the_dashboard_has_an_answer_in_prometheus(hub: Hub, query: str) -> None:
    """None is refused, none is empty but those that count what goes wrong."""
    counted(hub)
    is_quiet = any(name in query for name in QUIET)
    found = eventually(lambda: hub.backend("prometheus").values(query), 0 if is_quiet else 15)
    assert found or is_quiet


@pytest.mark.parametrize("query", targets("query"))
def test_a_query_of_the_dashboard_has_an_answer_in_tempo(hub: Hub, query: str) -> None:
    """The worst calls and the warnings of the demo are there, with the columns that the panel shows."""
    hub.wait_for_tempo()
    tempo = hub.backend("tempo")
    found = eventually(lambda: tempo.ask("/api/search", q=query, limit=50)["traces"], 15)
    assert {one["traceID"].zfill(32) for one in found} <= set(hub.verdicts)
    assert found


@pytest.mark.parametrize("name", ["cx_queue_name", "cx_carrier_name", "cx_partner"])
def test_the_dashboards_variables_have_values(hub: Hub, name: str) -> None:
    """What can be chosen above the panels."""
    counted(hub)
    query = {"match[]": "cx_calls_total"}
    assert hub.backend("prometheus").ask(f"/api/v1/label/{name}/values", **query)["data"]


def test_exemplars_lead_to_the_calls(hub: Hub) -> None:
    """From a metric to a trace that Jaeger and Tempo have, and to its root."""
    counted(hub)
    query = {"query": "cx_impact_lost_seconds_total", "start": 0, "end": 4e9}
    series = hub.backend("prometheus").ask("/api/v1/query_exemplars", **query)["data"]
    exemplars = [one["labels"] for each in series for one in each["exemplars"]]
    assert exemplars
    assert {one["trace_id"] for one in exemplars} <= set(hub.verdicts)


@pytest.mark.skipif(shutil.which("npm") is None, reason="no Node.js (npm) here, which has Grafana's schema")
def test_the_dashboard_agrees_with_grafanas_schema() -> None:
    """Against the types of @grafana/schema, from npm."""
    command = ["node", str(MONITORING / "check_dashboard.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=NODE_SECONDS, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
