"""What the guide and the READMEs show is run: configurations deliver, queries find what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import yaml
from backends import free_ports, jaeger, tempo
from collector_rig import ROOT, collector_binary
from hub import MONITORING
from otelcol import CONFIGS, EXPORT, Receiver, eventually, laid_over, otelcol, send

from cxotel.otlp import to_request

sys.path.insert(0, str(Path(__file__).parent.parent))
from desk_calls import CallMaker, S, whole_call

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hub import Hub
    from otelcol import Otelcol

pytestmark = pytest.mark.e2e
STAMP = "cx.impact.severity"
COLLECTOR_SECONDS = 20.0  # the default grace is 6 s


def yaml_blocks(page: str) -> list[str]:
    """What a page shows as YAML."""
    text = (ROOT / page).read_text()
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


GUIDE = (ROOT / "docs" / "guides" / "collector.md").read_text()
PIPELINE = yaml_blocks("docs/guides/collector.md")[1]
MANIFEST, _, SCRAPING, TIER, HEADERS = map(yaml.safe_load, yaml_blocks("docs/guides/collector.md"))
PROCESSOR, TENANTS = yaml_blocks("collector/cximpactprocessor/README.md")
CONNECTOR = yaml_blocks("collector/cximpactconnector/README.md")[0]
QUERIES = [text.replace("\\|", "|") for text in re.findall(r"`(\{ .*? \})`", GUIDE)]


def searches(question: str) -> tuple[list[str], list[str]]:
    """What the guide's table says to ask Jaeger and Tempo."""
    row = next(line for line in GUIDE.splitlines() if line.startswith(f"| {question} |"))
    _, _, tags, query, _ = re.split(r"(?<!\\)\|", row)
    in_jaeger, in_tempo = (re.findall(r"`(.*?)`", cell.replace("\\|", "|")) for cell in (tags, query))
    return in_jaeger, in_tempo


def collector(
    example: str, folder: Path, endpoints: dict[str, str], over: dict[str, Any] | None = None
) -> AbstractContextManager[Otelcol]:
    """Runs a configuration as it is shown, but for its ports; a health check says when it is ready.

    Args:
        example: the YAML.
        folder: where it is started; its relative paths are there.
        endpoints: where each exporter sends.
        over: settings laid over it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "example.yaml"
    file.write_text(example)
    extensions = yaml.safe_load(example)["service"].get("extensions", [])
    moved = {
        "exporters": {name: {"endpoint": endpoint} for name, endpoint in endpoints.items()},
        "service": {"extensions": [*extensions, "health_check"]},
    }
    return otelcol(folder, str(file), over=laid_over(moved, over or {}))


def a_call(name: str = "call", **what: Any) -> CallMaker:
    """A call of five minutes that ended now."""
    now = time.time_ns()
    return whole_call(f"guide-{name}-{now}", now - 300 * S, **what)


def sent(call: CallMaker) -> bytes:
    """Its spans as one request."""
    return bytes(to_request(call.spans).SerializeToString())


def stamped(receiver: Receiver) -> list[tuple[str, Any, Any]]:
    """Span id, severity and layer of the roots that came judged, once there are any."""

    def ask() -> list[tuple[str, Any, Any]]:
        return [
            (span.span_id, span.attributes[STAMP], span.attributes.get("cx.impact.layer"))
            for span in receiver.spans()
            if STAMP in span.attributes
        ]

    return eventually(ask, COLLECTOR_SECONDS)


def validated(config: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """What the Collector says of a configuration."""
    binary = collector_binary()
    if binary is None:
        pytest.skip("no otelcol-cx: run `make collector`")
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [binary, "validate", f"--config={file}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_lines_for_a_manifest_are_those_that_we_build_with() -> None:
    """But for the path to a clone."""
    ours = yaml.safe_load((ROOT / "collector" / "builder-config.yaml").read_text())
    for part, lines in MANIFEST.items():
        built = [{key: line[key] for key in line if key != "path"} for line in ours[part]]
        assert all(line in built for line in lines)


def test_the_pipeline_delivers_as_it_stands(tmp_path: Path) -> None:
    """A call's spans come to both backends, each once, with its root judged; the storage is where it says."""
    call = a_call(queue=95)
    with Receiver() as one, Receiver() as other:
        endpoints = {"otlp_grpc/jaeger": one.endpoint, "otlp_grpc/tempo": other.endpoint}
        with collector(PIPELINE, tmp_path, endpoints) as running:
            send(running.otlp, [sent(call)])
            assert [(call.root_id, "severe", "ccaas")] == stamped(one) == stamped(other)
    for receiver in (one, other):
        ids = [span.span_id for span in receiver.spans()]
        assert {span.span_id for span in call.spans} <= set(ids)
        assert len(ids) == len(set(ids))
    assert any((tmp_path / "cx-state").iterdir())


def test_the_processors_readme_delivers_as_it_stands(tmp_path: Path) -> None:
    """A whole Collector, with a storage that it makes."""
    call = a_call(queue=95)
    with (
        Receiver() as receiver,
        collector(PROCESSOR, tmp_path, {"otlp_grpc": receiver.endpoint}) as running,
    ):
        send(running.otlp, [sent(call)])
        assert [(call.root_id, "severe", "ccaas")] == stamped(receiver)
    assert any((tmp_path / "cx-state").iterdir())


def test_without_the_tls_settings_of_the_pipeline_nothing_arrives(tmp_path: Path) -> None:
    """And the log has the words that the guide tells of."""
    words = "first record does not look like a TLS handshake"
    assert words in GUIDE
    secure = {"exporters": {"otlp_grpc/jaeger": {"tls": {"insecure": False}}}}
    with Receiver() as one, Receiver() as other:
        endpoints = {"otlp_grpc/jaeger": one.endpoint, "otlp_grpc/tempo": other.endpoint}
        with collector(PIPELINE, tmp_path, endpoints, secure) as running:
            send(running.otlp, [sent(a_call())])
            assert stamped(other)
            assert eventually(lambda: words in running.log.read_text(), COLLECTOR_SECONDS)
        assert [] == one.requests


def tenants_judge(folder: Path, *, include_metadata: bool = True) -> AbstractContextManager[Otelcol]:
    """The processor's README on tenants, laid over local.yaml. It takes one tenant, and no second."""
    folder.mkdir()
    file = folder / "tenants.yaml"
    file.write_text(TENANTS)
    over = {
        "receivers": {"otlp": {"protocols": {"grpc": {"include_metadata": include_metadata}}}},
        "processors": {"cx_impact": {"grace": "500ms", "metadata_cardinality_limit": 1}},
    }
    return otelcol(folder, "local.yaml", str(file), over=over)


def send_as(tenant: str, endpoint: str) -> None:
    """Sends a call with a tenant's header."""
    with grpc.insecure_channel(endpoint) as channel:
        channel.unary_unary(EXPORT)(sent(a_call(tenant)), timeout=30, metadata=[("x-tenant", tenant)])


def test_tenants_are_told_apart_by_their_header(tmp_path: Path) -> None:
    """The second is refused, as there may be one."""
    assert yaml.safe_load(TENANTS)["receivers"]["otlp"]["protocols"]["grpc"]["include_metadata"]
    with tenants_judge(tmp_path / "judge") as judge:
        send_as("one", judge.otlp)
        with pytest.raises(grpc.RpcError, match="metadata_cardinality_limit"):
            send_as("two", judge.otlp)


def test_tenants_are_one_where_the_receiver_does_not_include_metadata(tmp_path: Path) -> None:
    """`metadata_keys` alone sees nothing."""
    with tenants_judge(tmp_path / "judge", include_metadata=False) as judge:
        send_as("one", judge.otlp)
        send_as("two", judge.otlp)
        assert 2 == stamped_by(judge)


def test_tenants_are_one_behind_a_gateway_that_sends_no_headers_on(tmp_path: Path) -> None:
    """Though it takes them."""
    with_headers = {"receivers": {"otlp": {"protocols": {"grpc": {"include_metadata": True}}}}}
    with (
        tenants_judge(tmp_path / "judge") as judge,
        otelcol(
            tmp_path / "gateway", "gateway.yaml", over=with_headers, CX_JUDGES=f"[{judge.otlp}]"
        ) as front,
    ):
        send_as("one", front.otlp)
        send_as("two", front.otlp)
        assert 2 == stamped_by(judge)


def stamped_by(judge: Otelcol) -> float:
    """How many calls it judged, once there are two."""
    return eventually(
        lambda: judge.metric("processor_cx_impact_stamped"), COLLECTOR_SECONDS, lambda count: count >= 2
    )


def test_the_connectors_readme_delivers_as_it_stands(tmp_path: Path) -> None:
    """Spans, a metric and a log record; another Collector takes the records at Loki's path."""
    call = a_call(queue=95)
    as_loki = {
        "receivers": {"otlp": {"protocols": {"http": {"logs_url_path": "/otlp/v1/logs"}}}},
        "service": {"pipelines": {"logs": {"receivers": ["otlp"]}}},
    }
    quick = {"connectors": {"cx_impact": {"flush_interval": "1s"}}}
    with Receiver() as receiver, otelcol(tmp_path / "loki", "local.yaml", over=as_loki) as loki:
        endpoints = {"otlp_grpc/tempo": receiver.endpoint, "otlp_http/loki": f"http://{loki.http}/otlp"}
        with collector(CONNECTOR, tmp_path / "judge", endpoints, quick) as running:
            send(running.otlp, [sent(call)])
            assert [(call.root_id, "severe", "ccaas")] == stamped(receiver)
            assert 1 == eventually(lambda: running.verdict_metric("cx_calls_total"), COLLECTOR_SECONDS)
            summary = "The customer waited 75 of 300 seconds"
            assert eventually(lambda: summary in loki.log.read_text(), COLLECTOR_SECONDS)


def test_the_first_tier_is_valid(tmp_path: Path) -> None:
    """The exporter in the place of gateway.yaml's."""
    gateway = yaml.safe_load((CONFIGS / "gateway.yaml").read_text())
    to_judges = {"service": {"pipelines": {"traces": {"exporters": list(TIER["exporters"])}}}}
    done = validated({**laid_over(gateway, to_judges), "exporters": TIER["exporters"]}, tmp_path)
    assert (0, "") == (done.returncode, done.stderr)


def test_the_lines_for_headers_are_for_the_gateway_that_ships() -> None:
    """They name its exporter, and keep its extensions."""
    gateway = yaml.safe_load((CONFIGS / "gateway.yaml").read_text())
    assert HEADERS["exporters"].keys() == gateway["exporters"].keys()
    added = [name for name in HEADERS["service"]["extensions"] if name in HEADERS["extensions"]]
    assert [*gateway["service"]["extensions"], *added] == HEADERS["service"]["extensions"]


def test_a_gateway_without_a_queue_acknowledges_nothing_that_no_judge_has(tmp_path: Path) -> None:
    """So that senders try again; the guide has it for gateways without a volume."""
    off = {"sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False}}
    over = {"exporters": {"load_balancing/CX_JUDGES": off}}
    [port] = free_ports(1)
    with (
        otelcol(tmp_path, "gateway.yaml", over=over, CX_JUDGES=f"[127.0.0.1:{port}]") as front,
        pytest.raises(grpc.RpcError) as refused,
    ):
        send(front.otlp, [sent(a_call())])
    assert grpc.StatusCode.UNAVAILABLE is refused.value.code()


def test_prometheus_asks_where_the_pipeline_listens() -> None:
    """On ports that it opens to other machines."""
    pipeline = yaml.safe_load(PIPELINE)
    [reader] = pipeline["service"]["telemetry"]["metrics"]["readers"]
    own = reader["pull"]["exporter"]["prometheus"]
    opened = {pipeline["exporters"]["prometheus"]["endpoint"], f"{own['host']}:{own['port']}"}
    asked = [target for job in SCRAPING["scrape_configs"] for target in job["static_configs"][0]["targets"]]
    assert {target.replace("otelcol:", "0.0.0.0:") for target in asked} == opened


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool here (Debian: prometheus)")
def test_prometheus_takes_its_part(tmp_path: Path) -> None:
    """With the alert rules that ship."""
    file = tmp_path / "prometheus.yaml"
    file.write_text(yaml.safe_dump({**SCRAPING, "rule_files": [str(MONITORING / "alerts.yaml")]}))
    done = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("query", QUERIES)
def test_tempo_takes_a_query(hub: Hub, query: str) -> None:
    """What it finds is the business of test_collector_backends.py."""
    assert "traces" in hub.backend("tempo").ask("/api/search", q=query)


@pytest.fixture
def calls() -> dict[str, CallMaker]:
    """Those that a carrier hurt little, much and so that it broke, and others.

    `failed` was hurt little too; whoever recorded it says that it is an error.
    """
    found = {
        "fine": a_call("fine"),
        "minor": a_call("minor", carrier="0*12 12*4 0*44"),
        "failed": a_call("failed", carrier="0*12 12*4 0*44"),
        "severe": a_call("severe", carrier="0*20 20*20 0*20"),
        "critical": a_call("critical", carrier="100*60"),
        "waited": a_call("waited", queue=95),
    }
    found["failed"].spans[-1].status = 2
    return found


def test_tempo_finds_the_bad_calls_of_a_carrier(tmp_path: Path, calls: dict[str, CallMaker]) -> None:
    """Severe and critical ones, with the guide's query, behind the guide's pipeline."""
    _, [query] = searches("of these the bad ones")
    expected = {calls[name].trace_id for name in ("severe", "critical")}
    with tempo(tmp_path) as backend:

        def found(asked: str) -> set[str]:
            answer = backend.ask("/api/search", q=asked, limit=100)
            return {one["traceID"].zfill(32) for one in answer["traces"]}

        with collector(PIPELINE, tmp_path / "judge", {"otlp_grpc/tempo": backend.otlp}) as running:
            send(running.otlp, map(sent, calls.values()))
            everything = {call.trace_id for call in calls.values()}
            all_judged = '{ span.cx.impact.model = "1" }'
            assert everything == eventually(lambda: found(all_judged), 40, lambda ids: ids == everything)
            assert expected == found(query)


def test_jaeger_finds_the_bad_calls_of_a_carrier(tmp_path: Path, calls: dict[str, CallMaker]) -> None:
    """With two searches. One for errors would find a call that its maker calls an error, too."""
    bad, _ = searches("of these the bad ones")
    with jaeger(tmp_path) as backend:

        def found(tags: str) -> set[str]:
            asked = json.dumps(dict(tag.split("=") for tag in tags.split()))
            answer = backend.ask("/api/traces", service="ccaas-core", tags=asked, lookback="1h", limit=100)
            return {one["traceID"] for one in answer["data"]}

        with collector(PIPELINE, tmp_path / "judge", {"otlp_grpc/jaeger": backend.otlp}) as running:
            send(running.otlp, map(sent, calls.values()))
            everything = {call.trace_id for call in calls.values()}
            judged = eventually(lambda: found("cx.impact.model=1"), 40, lambda ids: ids == everything)
            assert everything == judged
            expected = [{calls[name].trace_id} for name in ("severe", "critical")]
            assert expected == [found(tags) for tags in bad]
            errors = {calls[name].trace_id for name in ("failed", "severe", "critical")}
            assert errors == found("cx.impact.layer=carrier error=true")
