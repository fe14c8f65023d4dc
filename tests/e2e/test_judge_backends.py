"""A call sent to a real Jaeger or Tempo and fetched by its API has the verdict that its file has."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from backends import Backend, jaeger, judged, tempo
from judge_samples import spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from cxotel.otlp import read_json, to_json, to_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.impact import Span

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
INPUTS = [
    *sorted((ROOT / "spec" / "vectors").glob("*/input.json")),
    *sorted((ROOT.parent / "shared" / "data" / "impact-examples").glob("*/input.json")),
]


def calls() -> dict[str, list[Span]]:
    """Calls by trace id: the sample and every vector whose spans a backend keeps as they are.

    Each gets a trace id of its own. Left out are vectors about spans that no backend takes (without ids or
    times) and about copies of a span, which each backend settles in its own way.
    """
    found = {"sample": spans()}
    for path in INPUTS:
        read = list(read_json(path.read_bytes()))
        ids = [span.span_id for span in read]
        if all(ids) and len(set(ids)) == len(ids) and all(0 < span.start <= span.end for span in read):
            found[str(path.parent)] = read
    out = {}
    for name, call in found.items():
        trace_id = hashlib.sha256(name.encode()).hexdigest()[:32]
        for span in call:
            span.trace_id = trace_id
        out[trace_id] = call
    return out


def send(backend: Backend, found: dict[str, list[Span]]) -> None:
    """All calls, by OTLP over gRPC."""
    with grpc.insecure_channel(backend.otlp) as channel:
        stub = TraceServiceStub(channel)
        for call in found.values():
            stub.Export(to_request(call), timeout=30)


def judged_from_file(found: dict[str, list[Span]]) -> dict[str, Any]:
    """The verdicts on the calls themselves."""
    return judged("\n".join(json.dumps(to_json(call)) for call in found.values()).encode())


def judged_from(backend: Backend, path: str, found: dict[str, list[Span]]) -> dict[str, Any]:
    """The verdicts on what the backend answers."""
    return judged(b"\n".join(backend.get(path.format(trace_id)) for trace_id in found))


@pytest.fixture(scope="module")
def a_jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A Jaeger that has all calls."""
    with jaeger(tmp_path_factory.mktemp("jaeger")) as backend:
        send(backend, calls())
        yield backend


@pytest.fixture(scope="module")
def a_tempo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A Tempo that has all calls."""
    with tempo(tmp_path_factory.mktemp("tempo")) as backend:
        send(backend, calls())
        yield backend


def test_jaegers_v3_api_gives_the_same_verdicts(a_jaeger: Backend) -> None:
    """It answers OTLP/JSON, in chunks wrapped in `result`."""
    found = calls()
    assert judged_from_file(found) == judged_from(a_jaeger, "/api/v3/traces/{}", found)


def test_jaegers_own_api_gives_the_same_verdicts(a_jaeger: Backend) -> None:
    """But for what its JSON cannot say: NaN, nested values, parts of a microsecond."""

    def plain(value: Any) -> bool:
        if isinstance(value, list):
            return all(isinstance(item, (str, bool, int, float)) for item in value)
        return isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))

    found = {
        trace_id: call
        for trace_id, call in calls().items()
        if all(plain(value) for span in call for value in span.attributes.values())
        and all(span.start % 1000 == span.end % 1000 == 0 for span in call)
    }
    assert found
    assert judged_from_file(found) == judged_from(a_jaeger, "/api/traces/{}", found)


@pytest.mark.parametrize("path", ["/api/traces/{}", "/api/v2/traces/{}"])
def test_tempos_apis_give_the_same_verdicts(a_tempo: Backend, path: str) -> None:
    """Both write ids in base64."""
    found = calls()
    assert judged_from_file(found) == judged_from(a_tempo, path, found)


def test_a_search_in_jaeger_is_judged_call_by_call(a_jaeger: Backend) -> None:
    """What its UI's search page fetches: many traces in one answer."""
    sample = {trace_id: call for trace_id, call in calls().items() if call[0].service == "softphone"}
    expected = judged_from_file(sample)
    found = judged(
        a_jaeger.get("/api/traces?service=softphone&limit=100&lookback=custom&start=0&end=2000000000000000")
    )
    assert expected == {trace_id: found[trace_id] for trace_id in expected}


def test_a_judged_trace_sent_to_a_backend_comes_back_whole(a_jaeger: Backend, a_tempo: Backend) -> None:
    """`--otlp`, then OTLP, then the API: one stamped root, evidence spans under the right leg."""
    call = spans()
    trace_id = hashlib.sha256(b"judged").hexdigest()[:32]
    for span in call:
        span.trace_id = trace_id
    command = [sys.executable, "-m", "cxotel", "judge", "--otlp", "-"]
    data = json.dumps(to_json(call)).encode()
    stamped = list(read_json(subprocess.run(command, input=data, capture_output=True, check=True).stdout))
    for backend, path in ((a_jaeger, "/api/v3/traces/{}"), (a_tempo, "/api/v2/traces/{}")):
        send(backend, {trace_id: stamped})
        found = {span.span_id: span for span in read_json(backend.get(path.format(trace_id)))}
        assert {span.span_id: span for span in stamped} == found
        assert 1 == sum("cx.impact.severity" in span.attributes for span in found.values())
        [evidence] = [span for span in found.values() if span.scope == "cxotel.impact"]
        assert "carrier leg" == found[evidence.parent_id].name
