"""The demo's calls behind otelcol-cx: in Jaeger, in Tempo and in Prometheus."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from backends import Backend, jaeger, judged, prometheus, tempo
from otelcol import ROOT, Otelcol, eventually, otelcol, send

from cxotel.otlp import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from demo_recording import Recording

MONITORING = ROOT / "collector" / "monitoring"
# Alerts want 20 calls before they say anything, and 5 warnings of one owner.
PLAYS = 5
GRACE_SECONDS = 1.0


@dataclass
class Hub:
    """A Collector with the demo's calls in it, and what is behind it."""

    collector: Otelcol
    recording: Recording
    missing: dict[str, str]  # why a backend is not here
    backends: dict[str, Backend]
    verdicts: dict[str, dict[str, Any]] = field(default_factory=dict)  # of `cxotel judge`, by trace id

    def backend(self, name: str) -> Backend:
        """One of them; skips the test where it is missing."""
        if name in self.missing:
            pytest.skip(self.missing[name])
        return self.backends[name]

    def wait_for_tempo(self) -> None:
        """Waits until Tempo's search finds all calls, 5 to 10 s after they came."""

        def found() -> int:
            query = '{ span.cx.impact.model = "1" }'
            return len(self.backend("tempo").ask("/api/search", q=query, limit=1000)["traces"])

        assert len(self.verdicts) == eventually(found, 40, lambda count: count == len(self.verdicts))

    def calls_with(self, **attributes: Any) -> set[str]:
        """Trace ids of calls whose verdict says that: `layer="carrier"`."""
        return {
            trace_id
            for trace_id, verdict in self.verdicts.items()
            if all(verdict.get(f"cx.impact.{name}") == value for name, value in attributes.items())
        }


@contextmanager
def running_hub(demo: Recording, folder: Callable[[str], Path]) -> Iterator[Hub]:
    """Jaeger, Tempo and Prometheus behind one Collector, which got the demo's calls a few times.

    The Collector runs with both shipped configs, one laid over the other, so that calls go to both backends.

    Args:
        demo: the calls.
        folder: makes a folder of a name.
    """
    missing: dict[str, str] = {}
    backends: dict[str, Backend] = {}
    with ExitStack() as stack:

        def start(name: str, server: AbstractContextManager[Backend]) -> None:
            try:
                backends[name] = stack.enter_context(server)
            except pytest.skip.Exception as reason:
                missing[name] = str(reason)

        start("jaeger", jaeger(folder("jaeger")))
        start("tempo", tempo(folder("tempo")))
        exporters = [f"otlp_grpc/{name}" for name in backends]
        over = {
            "processors": {"cx_impact": {"grace": f"{GRACE_SECONDS}s"}},
            "connectors": {"cx_impact": {"flush_interval": "2s"}},
            "service": {"pipelines": {"traces": {"exporters": [*exporters, "cx_impact"]}}},
        }
        env = {f"{name.upper()}_OTLP_ENDPOINT": backend.otlp for name, backend in backends.items()}
        collector = stack.enter_context(
            otelcol(folder("collector"), "jaeger.yaml", "tempo.yaml", over=over, **env)
        )
        start("prometheus", prometheus(place := folder("prometheus"), scraping(collector, place)))
        if "prometheus" in backends:  # what has risen before its first scrape it does not see rise
            up = eventually(
                lambda: backends["prometheus"].values("sum(up)"), 30, lambda values: values == [2.0]
            )
            assert [2.0] == up
        played = demo.played(PLAYS)
        running = Hub(collector, played, missing, backends)
        send(collector.otlp, played.requests)
        lines = "\n".join(json.dumps(to_json(call)) for call in played.calls.values())
        running.verdicts = judged(lines.encode())
        stamped = eventually(
            lambda: collector.metric("processor_cx_impact_stamped"),
            20,
            lambda count: count >= len(played.calls),
        )
        assert len(played.calls) == stamped
        yield running


def scraping(collector: Otelcol, folder: Path) -> dict[str, Any]:
    """A configuration for Prometheus: scrapes every second, and the shipped alerts without their `for`."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    file = folder / "alerts.yaml"
    file.write_text(yaml.safe_dump(rules))

    def job(name: str, target: str, **more: Any) -> dict[str, Any]:
        return {"job_name": name, "static_configs": [{"targets": [target]}], **more}

    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(file)],
        "scrape_configs": [
            job("calls", collector.verdicts, honor_labels=True),
            job("otelcol", collector.metrics),
        ],
    }
