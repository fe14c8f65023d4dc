"""What the desk hands on: to real backends on loopback, through outages, kills and refusals."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from desk_calls import CallMaker, whole_call
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from otlp_backend import Backend, No, spans_of

from cxotel.desk import forward, traces, wire, words
from cxotel.desk.access import Access
from cxotel.desk.app import Desk
from cxotel.desk.destination import DestinationError, read_destinations
from cxotel.desk.forward import DROPPED, Forwarding
from cxotel.desk.sending import LATER, REFUSED, sender_of
from cxotel.desk.settings import Timing
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CODES = grpc.StatusCode
# OTLP 1.10's table for gRPC.
RETRYABLE = [CODES.CANCELLED, CODES.DEADLINE_EXCEEDED, CODES.ABORTED]
RETRYABLE += [CODES.OUT_OF_RANGE, CODES.UNAVAILABLE, CODES.DATA_LOSS]
QUICK = Timing(grace=0.1, settle=0.02)
PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http"])


def desk_to(*urls: str, db: Path | str = ":memory:", headers: str = "", **options: Any) -> Desk:
    """A desk, not started, that hands on and tries again quickly."""
    delays = {"first_delay": 0.01, "longest_delay": 0.05}
    forwarding = Forwarding(read_destinations(urls, headers), **(delays | options))
    return Desk(db, timing=QUICK, forwarding=forwarding)


def post(endpoint: str, message: Any, signal: str = "traces") -> None:
    """One request that is acknowledged."""
    headers = {"content-type": "application/x-protobuf"}
    url = f"{endpoint}/v1/{signal}"
    httpx.post(url, content=message.SerializeToString(), headers=headers, timeout=20).raise_for_status()


def send(desk: Desk, *calls: CallMaker) -> None:
    """Each call as a request; until its verdict is told."""
    for call in calls:
        post(desk.http_endpoint, to_request(call.spans))
    for call in calls:
        desk.wait_for_verdict(call.trace_id)


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something that comes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def until_sent(desk: Desk) -> None:
    """Until nothing waits for any destination."""
    desk.wait_until_sorted()
    until(lambda: not any(state.rows for state in desk.forwarder.states()))


def judged(web_url: str, *calls: CallMaker) -> dict[tuple[bytes, bytes], list[bytes]]:
    """What a desk says that the calls' traces are, root stamped, evidence added: each span once."""
    found = {}
    for call in calls:
        text = httpx.get(f"{web_url}/call/{call.trace_id}/otlp.json").content
        for span in spans_of(wire.decode_json(wire.TRACES, text)[0]):
            found[span.trace_id, span.span_id] = [span.SerializeToString()]
    return found


def count(desk: Desk, name: str) -> int:
    """A counter of the desk."""
    return next((value for key, value, _, _ in desk.store.rows("counters") if key == name), 0)


def named(key: str, *names: str) -> ExportTraceServiceRequest:
    """Spans of a trace that is no call."""
    made = CallMaker(key)
    for name in names:
        made.add(name, "shop", 0, 1)
    for span in made.spans:
        span.attributes.clear()
    return to_request(made.spans)


def names_of(backend: Backend) -> list[str]:
    """Of all spans that a backend took, in the order that they came."""
    return [span.name for one in backend.taken for span in spans_of(one.message)]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@PROTOCOLS
def test_all_that_came_and_the_verdict_arrive_once(protocol: str) -> None:
    """Spans byte for byte as they were sent, the root stamped, evidence beside it, resources kept."""
    calls = [whole_call(f"arrives {number}", carrier="0*20 15*40") for number in range(3)]
    with Backend(protocol) as backend, desk_to(backend.url) as desk:
        send(desk, *calls)
        until_sent(desk)
        expected = judged(desk.web_url, *calls)
        (state,) = desk.forwarder.states()
    assert expected == backend.spans
    as_sent = {(s.trace_id, s.span_id): s for call in calls for s in spans_of(to_request(call.spans))}
    changed = [s.name for key, s in as_sent.items() if backend.spans[key] != [s.SerializeToString()]]
    assert ["call inbound"] * 3 == changed
    assert len(as_sent) < len(expected)  # evidence
    services = {
        (pair.key, pair.value.string_value)
        for one in backend.taken
        for group in one.message.resource_spans
        for pair in group.resource.attributes
    }
    assert services >= {("service.name", "softphone"), ("service.name", "sbc")}
    assert (len(expected), 0, 0, 0, "") == (state.sent, state.dropped, state.rows, state.oldest, state.note)
    assert state.last > 0


@PROTOCOLS
def test_a_second_desk_gets_the_same_and_judges_alike(protocol: str) -> None:
    """Nothing twice, nothing missing, the same lost seconds."""
    call = whole_call("second desk", carrier="0*20 15*40")
    with Desk(timing=QUICK) as second:
        endpoint = second.grpc_endpoint if protocol == "grpc" else second.http_endpoint
        with desk_to(endpoint.replace("http", protocol)) as first:
            send(first, call)
            until_sent(first)
            expected = judged(first.web_url, call)
            told = first.wait_for_verdict(call.trace_id)
        verdict = second.wait_for_verdict(call.trace_id)
        second.wait_until_sorted()
        kept = traces.spans_of(second.store, bytes.fromhex(call.trace_id))
        assert expected == {(k.item.trace_id, k.item.span_id): [k.item.SerializeToString()] for k in kept}
        assert (len(expected), 0) == (count(second, "received.spans"), count(second, "repeated.spans"))
        assert told["lost_seconds"] == verdict["lost_seconds"] > 0


@PROTOCOLS
def test_logs_and_metrics_arrive_too(protocol: str) -> None:
    """Each in its own service or path, as they came."""
    logs, metrics = ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(severity_text="WARN", trace_id=bytes(range(16)))
    gauge = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="queue.length").gauge
    gauge.data_points.add(as_int=7, time_unix_nano=5)
    with Backend(protocol) as backend, desk_to(backend.url) as desk:
        post(desk.http_endpoint, logs, "logs")
        post(desk.http_endpoint, metrics, "metrics")
        until_sent(desk)
    assert {("logs", str(logs)), ("metrics", str(metrics))} == {
        (one.signal, str(_bare(one.message))) for one in backend.taken
    }


def _bare(message: Any) -> Any:
    """Without the empty resource and scope that the desk writes."""
    for group in [*getattr(message, "resource_logs", []), *getattr(message, "resource_metrics", [])]:
        group.ClearField("resource")
        for scoped in [*getattr(group, "scope_logs", []), *getattr(group, "scope_metrics", [])]:
            scoped.ClearField("scope")
    return message


def test_a_backend_that_is_down_keeps_no_other_waiting() -> None:
    """The other has all; what waits is shown; and it has all too once it is there."""
    port, calls = free_port(), [whole_call(f"independent {number}") for number in range(3)]
    with Backend("http") as up, desk_to(up.url, f"grpc://127.0.0.1:{port}") as desk:
        send(desk, *calls)
        expected = judged(desk.web_url, *calls)
        until(lambda: desk.forwarder.states()[0].sent == len(expected))
        until(lambda: desk.forwarder.states()[1].is_behind)
        fine, waits = desk.forwarder.states()
        assert (fine.rows, fine.dropped, fine.note) == (0, 0, "")
        assert (waits.items, waits.sent, waits.dropped) == (len(expected), 0, 0)
        assert waits.size > 1000
        assert waits.oldest > 0
        assert "UNAVAILABLE" in waits.note
        with Backend("grpc", port) as down:
            until_sent(desk)
        assert desk.store.rows("outbox_over", -1) == []  # what both have is gone
    assert expected == up.spans == down.spans


def started(db: Path, url: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """A desk in a process of its own and the addresses it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cxotel", "serve", "--forward", url],
        env=os.environ
        | {f"CXOTEL_DESK_{name}_PORT": "0" for name in ("GRPC", "HTTP", "WEB")}
        | {"CXOTEL_DESK_DB": str(db), "CXOTEL_DESK_GRACE": "0.1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [process.stdout.readline().split(maxsplit=1) for _ in range(5)]
    return process, {line[0]: line[1].strip() for line in lines}


@PROTOCOLS
def test_kills_lose_nothing_and_no_span_gets_a_second_content(tmp_path: Path, protocol: str) -> None:
    """SIGKILL while the backend is down, and again while it takes what waited: all is there in the end."""
    dice, port, calls = random.Random(7), free_port(), []
    with Backend(protocol, port) as backend:
        url = backend.url
    for number in range(2):
        process, said = started(tmp_path / "k.sqlite", url)
        for _ in range(4):
            calls.append(whole_call(f"killed {number} {len(calls)}", carrier="0*20 15*40"))
            post(said["OTLP/HTTP"], to_request(calls[-1].spans))
        time.sleep(dice.uniform(0, 0.2))
        process.kill()
        process.communicate(timeout=10)
    with Backend(protocol, port) as backend:
        for _ in range(2):
            process, said = started(tmp_path / "k.sqlite", url)
            seen = len(backend.taken)
            calls.append(whole_call(f"killed {len(calls)}"))
            post(said["OTLP/HTTP"], to_request(calls[-1].spans))
            until(lambda seen=seen: len(backend.taken) > seen)
            time.sleep(dice.uniform(0, 0.1))
            process.kill()
            process.communicate(timeout=10)
        with desk_to(url, db=tmp_path / "k.sqlite") as desk:
            for call in calls:
                desk.wait_for_verdict(call.trace_id)
            until_sent(desk)
            expected = judged(desk.web_url, *calls)
    assert expected.keys() == backend.spans.keys()
    assert expected == {key: sorted(set(contents)) for key, contents in backend.spans.items()}


@pytest.mark.parametrize(("protocol", "no"), [("grpc", CODES.INVALID_ARGUMENT), ("http", 400)])
def test_what_is_refused_for_good_goes_alone(protocol: str, no: Any) -> None:
    """Of rows that went together only the bad one is given up, counted and shown with the reason."""
    closed = threading.Event()

    def answer(_: str, message: Any) -> No | None:
        if not closed.is_set():
            return No(CODES.UNAVAILABLE if protocol == "grpc" else 503)
        return No(no, "a span is bad") if any(s.name == "bad" for s in spans_of(message)) else None

    with Backend(protocol, answer=answer) as backend, desk_to(backend.url) as desk:
        for number, name in enumerate(["one", "bad", "two", "three"]):
            post(desk.http_endpoint, named(f"refused {number}", name, f"{name}, too"))
        desk.wait_until_sorted()
        until(lambda: desk.forwarder.states()[0].is_behind)
        closed.set()
        until_sent(desk)
        post(desk.http_endpoint, named("after", "after"))
        until_sent(desk)
        (state,) = desk.forwarder.states()
        assert (state.sent, state.dropped, count(desk, DROPPED)) == (7, 2, 2)
        assert state.note.startswith("traces: ")
        assert state.note.endswith("a span is bad")
        notes = [note for name, _, _, note in desk.store.rows("counters") if name == DROPPED]
        assert [f"{backend.url}: {state.note}"] == notes
    assert ["after", "one", "one, too", "three", "three, too", "two", "two, too"] == sorted(names_of(backend))


@pytest.mark.parametrize(("protocol", "no"), [("grpc", CODES.RESOURCE_EXHAUSTED), ("http", 413)])
def test_a_request_larger_than_a_backend_takes_is_sent_in_parts(protocol: str, no: Any) -> None:
    """Collectors take 4 MiB over gRPC, the desk 20: all spans arrive but one that is too large alone."""
    limit = 300_000
    request = named("large", *(f"span {number}" for number in range(40)))
    for number, span in enumerate(spans_of(request)):
        size = limit + 1 if number == 13 else 20_000
        for part in range(0, size, 50_000):
            span.attributes.add(key=f"text {part}").value.string_value = "x" * min(50_000, size - part)

    def answer(_: str, message: Any) -> No | None:
        return No(no, "larger than max") if message.ByteSize() > limit else None

    with Backend(protocol, answer=answer) as backend, desk_to(backend.url) as desk:
        post(desk.http_endpoint, request)
        until_sent(desk)
        (state,) = desk.forwarder.states()
    assert [f"span {number}" for number in range(40) if number != 13] == names_of(backend)
    assert (state.sent, state.dropped) == (39, 1)
    assert len(backend.came) < 30


@pytest.mark.parametrize(("protocol", "no"), [("grpc", CODES.UNIMPLEMENTED), ("http", 404)])
def test_a_backend_without_metrics_takes_traces(protocol: str, no: Any) -> None:
    """Metrics are given up, in one attempt, and block nothing."""
    metrics = ExportMetricsServiceRequest()
    scoped = metrics.resource_metrics.add().scope_metrics.add()
    for number in range(5):
        scoped.metrics.add(name=f"m{number}")

    def answer(signal: str, _: Any) -> No | None:
        return No(no, "no metrics here") if signal == "metrics" else None

    with Backend(protocol, answer=answer) as backend, desk_to(backend.url) as desk:
        post(desk.http_endpoint, metrics, "metrics")
        post(desk.http_endpoint, named("no metrics", "span"))
        until_sent(desk)
        (state,) = desk.forwarder.states()
    assert ["span"] == names_of(backend)
    assert (state.sent, state.dropped) == (1, 5)
    assert "no metrics here" in state.note
    assert 1 == sum(one.signal == "metrics" for one in backend.came)


@PROTOCOLS
def test_a_partial_success_is_counted(protocol: str) -> None:
    """What was rejected was not taken; it is not sent again."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans, response.partial_success.error_message = 1, "too old"
    with Backend(protocol, answer=lambda *_: response) as backend, desk_to(backend.url) as desk:
        post(desk.http_endpoint, named("partial", "one", "two", "three"))
        until_sent(desk)
        (state,) = desk.forwarder.states()
        assert (state.sent, state.dropped, state.note) == (2, 1, "traces: too old")
        assert count(desk, DROPPED) == 1
    assert len(backend.came) == 1


@pytest.mark.parametrize(
    ("protocol", "no", "kind", "after"),
    [
        *(("grpc", No(code), LATER, 0) for code in RETRYABLE),
        ("grpc", No(CODES.UNAVAILABLE, retry_after=0.5), LATER, 0.5),
        ("grpc", No(CODES.RESOURCE_EXHAUSTED, retry_after=0.5), LATER, 0.5),
        ("grpc", No(CODES.RESOURCE_EXHAUSTED), REFUSED, 0),
        *(("grpc", No(code), REFUSED, 0) for code in (CODES.INTERNAL, CODES.UNKNOWN, CODES.UNAUTHENTICATED)),
        *(("http", No(code), LATER, 0) for code in (429, 502, 503, 504)),
        ("http", No(503, retry_after=7), LATER, 7),
        ("http", No(429, retry_after=10**12), LATER, 300),
        ("http", No(429, retry_after="Fri, 31 Dec 1999 23:59:59 GMT"), LATER, 0),
        ("http", No(429, retry_after="Fri, 31 Dec 2999 23:59:59 GMT"), LATER, 300),
        ("http", No(429, retry_after="soon"), LATER, 0),
        *(("http", No(code), REFUSED, 0) for code in (301, 400, 401, 404, 413, 500, 501)),
    ],
)
def test_answers_mean_what_the_standard_says(protocol: str, no: No, kind: str, after: float) -> None:
    """OTLP's table of codes, and how long to wait; the text comes along."""
    with Backend(protocol, answer=lambda *_: no) as backend:
        sender = sender_of(read_destinations([backend.url])[0], None)
        answer = sender.send(wire.TRACES, b"")
        sender.close()
    assert (kind, after) == (answer.kind, answer.after)
    assert answer.note.endswith("not now")


def test_nobody_there_is_said_without_pythons_words() -> None:
    """It is tried again; the reason is what the system says."""
    sender = sender_of(read_destinations([f"http://127.0.0.1:{free_port()}"])[0], None)
    answer = sender.send(wire.TRACES, b"")
    assert (LATER, "Connection refused" in answer.note) == (answer.kind, True)
    assert "<" not in answer.note
    sender.close()


def test_headers_go_to_their_backend_alone_and_are_never_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not on the page, not in the log, not in the file: not even where a backend repeats them."""
    no = [No(503, "no such key: s3cret-key", retry_after=0), No(400, "Bearer t0p-s3cret is unknown")]
    script = {"http": list(no), "grpc": [No(CODES.UNAVAILABLE, no[0].text), No(CODES.ABORTED, no[1].text)]}
    both = [
        Backend(protocol, answer=lambda *_, p=protocol: script[p].pop(0) if script[p] else None)
        for protocol in ("http", "grpc")
    ]
    with both[0] as http_backend, both[1] as grpc_backend:
        headers = (
            f"# keys\n{http_backend.url} api-key=s3cret-key,authorization=Bearer%20t0p-s3cret\n\n"
            f"{grpc_backend.url} Authorization=Bearer t0p-s3cret, api-key=s3cret-key\n"
        )
        desk = desk_to(http_backend.url, grpc_backend.url, db=tmp_path / "h.sqlite", headers=headers)
        assert "s3cret" not in repr(desk._forwarding)
        with desk:
            post(desk.http_endpoint, named("headers", "one"))
            until_sent(desk)
            page = httpx.get(desk.web_url + "/received").text
    for backend in both:
        assert len(backend.came) > 1
        for one in backend.came:
            assert ("s3cret-key", "Bearer t0p-s3cret") == (
                one.headers["api-key"],
                one.headers["authorization"],
            )
    assert "*** *** is unknown" in page
    assert "s3cret" not in page + caplog.text
    assert b"s3cret" not in (tmp_path / "h.sqlite").read_bytes()


def test_http_is_sent_as_the_standard_has_it() -> None:
    """Protobuf, gzip, the signal's path behind the given one."""
    with Backend("http") as backend, desk_to(backend.url) as desk:
        post(desk.http_endpoint, named("gzip", *["the same name"] * 500))
        until_sent(desk)
        post(desk.http_endpoint, named("gzip, again", "one"))
        until_sent(desk)
    first = backend.taken[0]
    assert first.headers["content-type"] == "application/x-protobuf"
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["user-agent"].startswith("cxotel/")
    assert first.size < first.message.ByteSize() / 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Files of a certificate for localhost that signed itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return files


@PROTOCOLS
def test_tls_trusts_the_given_authority_and_no_stranger(
    protocol: str, certificate: tuple[Path, Path]
) -> None:
    """Without it nothing is sent, it waits; with it all arrives."""
    with Backend(protocol, tls=certificate) as backend:
        with desk_to(backend.url, db=":memory:") as desk:
            post(desk.http_endpoint, named("tls", "never"))
            until(lambda: desk.forwarder.states()[0].is_behind)
            (state,) = desk.forwarder.states()
        assert [] == backend.came
        assert "certificate" in state.note.lower()
        with desk_to(backend.url, certificate=certificate[0]) as desk:
            post(desk.http_endpoint, named("tls", "trusted"))
            until_sent(desk)
    assert ["trusted"] == names_of(backend)


def test_a_certificate_that_is_none_is_said_before_a_file_is_made(tmp_path: Path) -> None:
    """Both what is no PEM and what is not there."""
    (tmp_path / "no.pem").write_text("no certificate")
    for name, says in (("no.pem", "give a PEM file"), ("none.pem", "No such file")):
        with pytest.raises(DestinationError, match=says):
            desk_to("grpcs://localhost:9", db=tmp_path / "x.sqlite", certificate=tmp_path / name).start()
    assert [tmp_path / "no.pem"] == list(tmp_path.iterdir())


@pytest.mark.parametrize("proxy", ["foo", "http://user:hidden@[::1"])
def test_a_proxy_that_is_none_is_not_taken_for_the_certificate(
    proxy: str, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without a certificate; without the proxy's password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("https_proxy", proxy)
    for given in (None, certificate[0]):
        with pytest.raises(DestinationError, match="HTTPS_PROXY is no proxy") as told:
            desk_to("https://backend.example:9", certificate=given).start()
        assert "hidden" not in str(told.value)


def test_over_the_limit_the_oldest_is_dropped_counted_and_shown() -> None:
    """Only for whom it still waited; the newest arrives."""
    port = free_port()
    with Backend("http") as up, desk_to(up.url, f"http://127.0.0.1:{port}", queue_bytes=2000) as desk:
        for number in range(20):
            post(desk.http_endpoint, named(f"limit {number}", f"span {number}"))
            desk.wait_until_sorted()
        until(lambda: desk.forwarder.states()[0].sent == 20)
        desk.forwarder.keep_limit()
        fine, waits = desk.forwarder.states()
        assert (fine.sent, fine.dropped, fine.rows) == (20, 0, 0)
        assert 0 < waits.size <= 2000
        assert (waits.items + waits.dropped, waits.dropped) == (20, count(desk, DROPPED))
        desk.forwarder.keep_limit()
        assert waits.dropped == count(desk, DROPPED)
        with Backend("http", port) as late:
            until_sent(desk)
        (_, state) = desk.forwarder.states()
        assert (state.sent, state.dropped) == (waits.items, waits.dropped)
        page = httpx.get(desk.web_url + "/received").text
    assert [f"span {number}" for number in range(20 - waits.items, 20)] == names_of(late)
    assert words.COUNTERS[DROPPED] in page
    assert late.url in page


def test_what_arrives_after_it_was_dropped_counts_as_arrived() -> None:
    """A request on its way while the limit is kept."""
    there, go = threading.Event(), threading.Event()

    def answer(*_: object) -> None:
        there.set()
        go.wait(20)

    with Backend("grpc", answer=answer) as backend, desk_to(backend.url, queue_bytes=1) as desk:
        post(desk.http_endpoint, named("on its way", "one", "two"))
        assert there.wait(20)
        desk.forwarder.keep_limit()
        assert [2] == [state.dropped for state in desk.forwarder.states()]
        go.set()
        until(lambda: desk.forwarder.states()[0].sent)
        assert (2, 0) == (desk.forwarder.states()[0].sent, desk.forwarder.states()[0].dropped)
        assert 0 == count(desk, DROPPED)


def test_a_destination_that_is_gone_keeps_nothing(tmp_path: Path) -> None:
    """Without it the queue empties; forwarding to nobody leaves what waits for who comes back."""
    gone, db = f"grpc://127.0.0.1:{free_port()}", tmp_path / "gone.sqlite"
    with Backend("http") as backend:
        with desk_to(gone, db=db) as desk:
            post(desk.http_endpoint, named("gone", "one"))
            desk.wait_until_sorted()
        with Desk(db) as desk:
            post(desk.http_endpoint, named("gone", "while nobody was given"))
            desk.wait_until_sorted()
            assert [] == desk.forwarder.states()
        with desk_to(backend.url, gone, db=db) as desk:
            until(lambda: desk.forwarder.states()[0].sent == 1)
            assert 1 == desk.forwarder.states()[1].rows
        with desk_to(backend.url, db=db) as desk:
            assert [] == desk.store.rows("outbox_over", -1)
    assert ["one"] == names_of(backend)


def test_stopping_waits_for_no_backend_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not answered is sent again after the next start."""
    monkeypatch.setattr(forward, "STOP_SECONDS", 0.05)
    there, go = threading.Event(), threading.Event()

    def answer(*_: object) -> None:
        there.set()
        go.wait(20)

    with Backend("grpc", answer=answer) as backend:
        with desk_to(backend.url, db=tmp_path / "s.sqlite") as desk:
            post(desk.http_endpoint, named("hangs", "one"))
            assert there.wait(20)
        go.set()
        with desk_to(backend.url, db=tmp_path / "s.sqlite") as desk:
            until_sent(desk)
            assert 1 == desk.forwarder.states()[0].sent
    assert {"one"} == set(names_of(backend))


def test_the_page_shows_how_it_stands() -> None:
    """What waits, since when and why, in words."""
    with desk_to(f"grpc://127.0.0.1:{free_port()}") as desk:
        page = httpx.get(desk.web_url + "/received").text
        assert "All handed on" in page
        assert "never" in page
        post(desk.http_endpoint, named("page", "one", "two"))
        until(lambda: desk.forwarder.states()[0].is_behind)
        page = httpx.get(desk.web_url + "/received").text
        assert "Waiting: 2 spans, log records or metrics" in page
        assert "UNAVAILABLE" in page
    with Desk() as desk:
        assert "Handed on" not in httpx.get(desk.web_url + "/received").text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1", "0.0.0.0"])
@pytest.mark.parametrize("kind", ["grpc", "http", "web"])
def test_its_own_address_is_refused(tmp_path: Path, host: str, kind: str) -> None:
    """Under whatever name, at any of its ports, before a file is made."""
    port = free_port()
    scheme = "grpc" if kind == "grpc" else "http"
    url = f"{scheme}://{host}:{port}"
    desk = Desk(
        tmp_path / "x.sqlite", forwarding=Forwarding(read_destinations([url])), **{f"{kind}_port": port}
    )
    with pytest.raises(DestinationError, match="is this desk itself: give the address of another backend"):
        desk.start()
    assert [] == list(tmp_path.iterdir())
    Desk(**{f"{kind}_port": port}).start().stop()  # it let go of its addresses


def test_its_own_name_is_refused_where_it_listens_everywhere() -> None:
    """The name of the machine is then the desk too."""
    port = free_port()
    to_itself = Forwarding(read_destinations([f"http://{socket.gethostname()}:{port}"]))
    with pytest.raises(DestinationError, match="is this desk itself"):
        Desk(host="0.0.0.0", http_port=port, forwarding=to_itself, access=Access(insecure_open=True)).start()


def test_addresses_are_read_as_people_write_them() -> None:
    """Spaces, commas, capitals, a slash at the end, ports left out, IPv6, one twice."""
    given = ["grpc://a, GRPCS://B:1", "http://c/otlp/ https://d", "http://[::1]:4318", "http://c/otlp"]
    names = ["grpc://a:4317", "grpcs://b:1", "http://c:80/otlp", "https://d:443", "http://[::1]:4318"]
    assert names == [one.name for one in read_destinations(given)]
    assert () == read_destinations([""])
    (one,) = read_destinations(["https://d"], "X-A=b%2Cc%3Dd==,y = z ")
    assert (("x-a", "b,c=d=="), ("y", "z")) == one.headers


@pytest.mark.parametrize(
    ("urls", "headers", "says"),
    [
        ("backend:4317", "", "write grpc://host:4317"),
        ("ftp://a", "", "write grpc://host:4317"),
        ("http://", "", "write grpc://host:4317"),
        ("http://a:99999", "", "write grpc://host:4317"),
        ("http://[::1", "", "write grpc://host:4317"),
        ("http://a:0", "", "0 is no port"),
        ("grpc://a/path", "", "gRPC has no path, leave out /path"),
        ("http://a:4318/v1/traces", "", "leave out /v1/traces"),
        ("https://me:s3cret@a", "", "put what is secret into CXOTEL_FORWARD_HEADERS"),
        ("https://a?key=s3cret", "", "put what is secret into CXOTEL_FORWARD_HEADERS"),
        ("ftp://me:s3cret@a:b/c?key=s3cret#s3cret", "", "write grpc://host:4317"),
        ("http://a http://b", "key=s3cret", "does not say for which of 2 destinations"),
        ("http://a", "http://b key=s3cret", "has headers for http://b:80, which --forward does not name"),
        ("http://a", "\ns3cret", "line 2: headers are written name=value"),
        ("http://a", "s3cret key=s3cret", "line 1: headers are written name=value"),
        ("http://a", "key=s3cret%0aand", "the value of key must be printable ASCII"),
        ("http://a", "content-type=s3cret", "content-type is set by the transport"),
        ("http://a", "grpc-timeout=s3cret", "grpc-timeout is set by the transport"),
    ],
)
def test_what_cannot_be_read_is_said_without_its_secrets(urls: str, headers: str, says: str) -> None:
    """Field, reason and fix."""
    with pytest.raises(DestinationError) as raised:
        read_destinations([urls], headers)
    assert says in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_the_command_takes_it_from_options_environment_and_file(tmp_path: Path) -> None:
    """Addresses and headers reach the backend; a mistake is one line, and no secret is printed."""
    keys = tmp_path / "keys"
    keys.write_text("api-key=s3cret")
    ports = [f"--{name}-port=0" for name in ("grpc", "http", "web")]
    command = [sys.executable, "-m", "cxotel", "serve", "--db", str(tmp_path / "c.sqlite"), *ports]
    with Backend("http") as backend:
        process = subprocess.Popen(
            command,
            env=os.environ | {"CXOTEL_FORWARD": backend.url, "CXOTEL_FORWARD_HEADERS_FILE": str(keys)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = [process.stdout.readline() for _ in range(5)]
        try:
            post(lines[2].split()[1], named("command", "one"))
            until(lambda: names_of(backend) == ["one"])
        finally:
            process.terminate()
            rest, _ = process.communicate(timeout=20)
    assert f"Handed on  {backend.url}\n" == lines[4]
    assert "s3cret" not in "".join(lines) + rest
    assert "s3cret" == backend.taken[0].headers["api-key"]
    port = str(free_port())
    for more, says in (
        (["--forward", "nowhere"], "--forward 'nowhere' is no address"),
        (["--forward", f"grpc://localhost:{port}", "--grpc-port", port], "is this desk itself"),
    ):
        done = subprocess.run(
            [*command, *more], env=os.environ, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


def test_sizes_are_said_in_words() -> None:
    """Short, in powers of 1000."""
    sizes = {0: "0 B", 999: "999 B", 1000: "1 kB", 999_499: "999 kB", 999_500: "1.0 MB", 2**31: "2.1 GB"}
    assert sizes == {number: words.size(number) for number in sizes}
