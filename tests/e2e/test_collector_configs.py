"""Each config that ships is started for real and judges a call."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from collector_rig import ROOT, collector_binary
from otelcol import CONFIGS, Receiver, eventually, otelcol, send

from cxotel.otlp import to_request

sys.path.insert(0, str(Path(__file__).parent.parent))
from desk_calls import CallMaker, S, whole_call

if TYPE_CHECKING:
    from cxotel.impact import Span

pytestmark = pytest.mark.e2e
NAMES = sorted(path.name for path in CONFIGS.glob("*.yaml"))
QUICK = {
    "processors": {"cx_impact": {"grace": "500ms"}},
    "connectors": {"cx_impact": {"flush_interval": "1s"}},
}
STAMP = "cx.impact.severity"
# What Collectors say of configs that will stop working.
OUTDATED = re.compile(r"deprecat|will be removed", re.IGNORECASE)


def a_call() -> CallMaker:
    """A call that just ended, in which a customer waited too long."""
    return whole_call(f"configs-{time.time_ns()}", time.time_ns() - 300 * S, queue=74)


def sent(call: CallMaker) -> bytes:
    """Its spans as one request."""
    return bytes(to_request(call.spans).SerializeToString())


def stamped(receiver: Receiver, count: int = 1) -> list[Span]:
    """All spans behind a judge, once so many roots with a verdict are there."""
    return eventually(
        receiver.spans, 20, lambda spans: sum(STAMP in span.attributes for span in spans) >= count
    )


def validated(name: str) -> subprocess.CompletedProcess[str]:
    """What the Collector says of a config."""
    binary = collector_binary()
    if binary is None:
        pytest.skip("no otelcol-cx: run `make collector`")
    command = [binary, "validate", f"--config={CONFIGS / name}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_valid_as_it_ships(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing changed; gateway.yaml needs to know its judges."""
    monkeypatch.setenv("CX_JUDGES", "[judge-1:4317, judge-2:4317]")
    done = validated(name)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("name", NAMES)
def test_every_address_can_be_changed_by_a_variable(name: str) -> None:
    """Each is named with its default in the head and in the guide; no address is written bare."""
    text = (CONFIGS / name).read_text()
    head, settings = re.match(r"((?:#.*\n)+)(.*)", text, re.DOTALL).groups()
    guide = (ROOT / "docs" / "guides" / "collector.md").read_text()
    variables = re.findall(r"\$\{env:(\w+)(?::-(.*?))?\}", settings)
    words = " ".join(head.replace("#", " ").split())
    for variable, default in variables:
        assert f"{variable} ({default or 'a list'}" in words
        assert f"`{variable}`" in guide
    assert [] == re.findall(r"(?m)^ *(?:endpoint|host|port): *[\w:.]+$", settings)


def test_a_gateway_without_judges_does_not_start_and_names_what_it_misses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variable that it was not given."""
    monkeypatch.delenv("CX_JUDGES", raising=False)
    done = validated("gateway.yaml")
    assert 1 == done.returncode
    assert 'failed to create "load_balancing/CX_JUDGES" exporter' in done.stderr
    assert "no endpoints specified" in done.stderr


def test_local_prints_the_verdict(tmp_path: Path) -> None:
    """Over HTTP in; on standard output the spans and the log record, at the metrics' port the seconds."""
    call = a_call()
    with otelcol(tmp_path, "local.yaml", over=QUICK) as running:
        answer = httpx.post(
            f"http://{running.http}/v1/traces",
            content=sent(call),
            headers={"content-type": "application/x-protobuf"},
        )
        answer.raise_for_status()
        lost = eventually(
            lambda: running.verdict_metric("cx_impact_lost_seconds_total", cx_layer="ccaas"), 20
        )
        log = running.log.read_text()
    assert 54 == lost
    for text in (
        "carrier leg",
        "cx.impact.layer=ccaas",
        "ccaas queue",
        "The customer waited 54 of 300 seconds",
    ):
        assert text in log
    assert not OUTDATED.search(log)


@pytest.mark.parametrize("name", ["jaeger", "tempo"])
def test_a_backend_that_is_away_gets_the_call_when_it_is_there(name: str, tmp_path: Path) -> None:
    """The exporter keeps it in the file storage, over a stop and a start of the Collector."""
    call = a_call()
    receiver = Receiver()
    env = {f"{name.upper()}_OTLP_ENDPOINT": receiver.endpoint}
    with otelcol(tmp_path, f"{name}.yaml", over=QUICK, **env) as running:
        send(running.otlp, [sent(call)])
        assert 1 == eventually(lambda: running.metric("processor_cx_impact_stamped"), 20)
        assert eventually(lambda: running.metric("exporter_queue_size"), 5)  # CxNothingSent asks for it
        running.stop()
    with receiver, otelcol(tmp_path, f"{name}.yaml", over=QUICK, **env) as running:
        spans = stamped(receiver)
        assert not OUTDATED.search(running.log.read_text())
    ids = [span.span_id for span in spans]
    assert {span.span_id for span in call.spans} <= set(ids)
    assert len(ids) == len(set(ids))
    [root] = [span for span in spans if STAMP in span.attributes]
    assert (call.root_id, "ccaas") == (root.span_id, root.attributes["cx.impact.layer"])


def test_gateway_and_judges_on_one_host_send_a_call_to_one_judge(tmp_path: Path) -> None:
    """With the files as they ship, told apart by variables alone.

    Spans of a call that come in many requests meet at the same one of two judges.
    """
    calls = [a_call() for _ in range(6)]
    with (
        Receiver() as receiver,
        otelcol(tmp_path / "a", "jaeger.yaml", JAEGER_OTLP_ENDPOINT=receiver.endpoint) as one,
        otelcol(tmp_path / "b", "tempo.yaml", TEMPO_OTLP_ENDPOINT=receiver.endpoint) as two,
        otelcol(tmp_path / "g", "gateway.yaml", CX_JUDGES=f"[{one.otlp}, {two.otlp}]") as gateway,
    ):
        for spans in zip(*(call.spans for call in calls), strict=True):
            send(gateway.otlp, [to_request([span]).SerializeToString() for span in spans])
        found = stamped(receiver, len(calls))
        assert len(calls) * len(calls[0].spans) == gateway.metric("exporter_sent_spans")
        log = gateway.log.read_text()
    roots = [span for span in found if STAMP in span.attributes]
    assert {call.trace_id for call in calls} == {root.trace_id for root in roots}
    assert {("ccaas", 54.0, False)} == {
        tuple(root.attributes[f"cx.impact.{name}"] for name in ("layer", "lost_seconds", "partial"))
        for root in roots
    }
    assert not OUTDATED.search(log)
