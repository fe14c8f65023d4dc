"""`cxotel doctor` finds the usual mistakes, on real desks and real sockets, and only those."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner
from desk_calls import CallMaker, whole_call

from cxotel.cli import main
from cxotel.desk import exporting
from cxotel.desk.app import Desk
from cxotel.desk.doctor import doctor
from cxotel.desk.settings import Timing
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

S = 1_000_000_000
PROTOBUF = {"content-type": "application/x-protobuf"}


@contextmanager
def desk_with(*calls: CallMaker, **more: Any) -> Iterator[Desk]:
    """A desk that has received and judged these."""
    with Desk(timing=Timing(grace=0.1, idle=0.1, settle=0.02), **more) as desk:
        for call in calls:
            body = to_request(call.spans).SerializeToString()
            httpx.post(desk.http_endpoint + "/v1/traces", content=body, headers=PROTOBUF).raise_for_status()
        for call in calls:
            if any(span.attributes.get("cx.layer") for span in call.spans):
                desk.wait_for_verdict(call.trace_id)
        desk.wait_until_sorted()
        yield desk


def found(desk: Desk) -> dict[str, tuple[str, str]]:
    """State and text of each check on what a desk received."""
    told = httpx.get(desk.web_url + "/api/findings").json()["findings"]
    assert all(one["fix"] or one["state"] != "problem" for one in told)
    return {one["check"]: (one["state"], one["says"]) for one in told}


def live(key: str, **more: Any) -> CallMaker:
    """A call of five minutes that has just ended."""
    return whole_call(key, time.time_ns() - 301 * S, **more)


def problems(desk: Desk) -> dict[str, str]:
    """What is wrong."""
    return {check: says for check, (state, says) in found(desk).items() if state == "problem"}


def test_where_nothing_is_wrong_nothing_is_said_to_be() -> None:
    """Each check says what it looked at."""
    with desk_with(live("good 1"), live("good 2")) as desk:
        said = found(desk)
    assert {"ok"} == {state for state, _ in said.values()}
    assert {
        "strangers": "every trace is of a call",
        "root": "all of 2 calls have a root span",
        "media": "2 of 2 calls have media series",
        "refused": "nothing was refused",
    }.items() <= {check: says for check, (_, says) in said.items()}.items()


def test_a_desk_that_received_nothing_says_so() -> None:
    """And no more than that."""
    with desk_with() as desk:
        assert {"received": "the desk has received no span yet"} == problems(desk)


def test_calls_without_a_root_are_named_with_who_sent() -> None:
    """One of two, by its trace id."""
    rootless = live("rootless")
    rootless.spans = rootless.spans[:-1]
    with desk_with(live("good"), rootless) as desk:
        assert {"root": f"1 of 2 calls have no root span, as {rootless.trace_id}"} == problems(desk)


def test_roots_without_anything_and_calls_without_media_are_found() -> None:
    """A root alone: its parties' spans went to another trace."""
    alone = CallMaker("alone", time.time_ns() - 40 * S)
    alone.root(30)
    with desk_with(alone) as desk:
        said = problems(desk)
    assert f"1 of 1 calls are a root without a span of any party, as {alone.trace_id}" == said["children"]
    assert "none of 1 calls has a media series" in said["media"]


def test_calls_judged_by_a_part_of_their_spans_are_found() -> None:
    """The root says that `call started` was sent, and that did not come."""
    call = live("part")
    call.spans = [span for span in call.spans if span.name != "call started"]
    call.spans[-1].attributes["cx.call.announced"] = True
    with desk_with(call) as desk:
        assert {"whole": f"1 of 1 calls are judged by a part of their spans, as {call.trace_id}"} == problems(
            desk
        )


def test_traces_of_no_call_are_found_with_their_services() -> None:
    """Spans of another program that exports here."""
    other = CallMaker("other", time.time_ns() - 10 * S)
    other.add("GET /", "billing-web", 0, 1)
    other.spans[0].attributes.clear()
    with desk_with(live("good"), other) as desk:
        assert {"strangers": "1 traces are of no call, from billing-web"} == problems(desk)


def test_keys_that_differ_between_parties_are_found() -> None:
    """The same key in capitals at one party; and the same key in two namespaces."""
    with desk_with(live("ab-17"), live("AB17")) as desk:
        assert "call keys differ between parties, as 'AB17' and 'ab-17'" == problems(desk)["keys"]
    apart = live("same")
    for span in apart.spans:
        span.attributes["cx.call.id"] = "other"
    with desk_with(live("other"), apart) as desk:
        assert "the call key 'other' stands in 2 traces" == problems(desk)["keys"]


def test_refused_spans_are_told_with_their_reason() -> None:
    """What the sender got as an answer."""
    with desk_with(live("good")) as desk:
        httpx.post(desk.http_endpoint + "/v1/traces", content=b"\xff", headers=PROTOBUF)
        assert problems(desk)["refused"].startswith("Requests refused: body could not be read: 1 (")


def test_clocks_that_are_off_are_told_by_service() -> None:
    """One ahead by a minute, one that sends what is long past."""
    ahead, late = live("ahead"), live("late")
    for span in ahead.spans:
        span.start, span.end, span.service = span.start + 61 * S, span.end + 61 * S, "softphone"
    for span in late.spans:
        span.start, span.end, span.service = span.start - 900 * S, span.end - 900 * S, "sbc"
    with desk_with(ahead) as desk:
        assert " s or more ahead: its spans end after they were received" in problems(desk)["clock"]
    with desk_with(late) as desk:
        assert problems(desk)["clock"].startswith("spans of sbc come 90")


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """A desk with one good call."""
    with desk_with(live("good")) as running:
        yield running


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "{grpc}"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "{http}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ""),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{http}/v1/traces",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "{http}"},
            "that port speaks OTLP/HTTP -> set OTEL_EXPORTER_OTLP_PROTOCOL",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "{grpc}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "that port speaks OTLP/gRPC -> set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "{grpc}/v1/traces"}, "gRPC has no path -> say http://127.0.0.1:"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "{http}/v1/traces",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "the exporter adds /v1/traces itself -> say http://127.0.0.1:",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "{http}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "is used as it is -> say http://127.0.0.1:",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "{web}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "spans are not taken (HTTP 40",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "{web}"}, "spans are not taken (gRPC "),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "https{tail}"},
            "the port there has no TLS -> say http://127.0.0.1:",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4317"}, "is misread -> say http://127.0.0.1:4317"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:x"},
            "its port is no number -> say http://host:port",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://:1"}, "it names no host -> say http://host:port"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
            "cannot connect (Connection refused) -> start",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://no-such-host.invalid:1"}, "no such host ("),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http"}, "is 'http' -> say grpc or http/protobuf"),
        ({"OTEL_SDK_DISABLED": "true"}, "nothing is recorded -> unset it"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "no span is sent -> unset it"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "{grpc}", "OTEL_TRACES_SAMPLER": "traceidratio"},
            "calls lose spans or are not recorded -> unset it",
        ),
    ],
)
def test_an_exporter_that_points_wrong_is_told_what_to_say(
    desk: Desk, environment: dict[str, str], says: str
) -> None:
    """Each usual mistake by itself, tried on the desk's real ports."""
    places = {
        "grpc": desk.grpc_endpoint,
        "http": desk.http_endpoint,
        "web": desk.web_url,
        "tail": desk.grpc_endpoint.removeprefix("http"),
    }
    told = exporting.check({name: text.format(**places) for name, text in environment.items()})
    wrong = [f"{one.says} -> {one.fix}" for one in told if one.state == "problem"]
    assert bool(says) == bool(wrong)
    assert says in "".join(wrong)


def test_a_port_with_tls_is_told_from_one_without(tmp_path: Path) -> None:
    """http:// to a port that speaks TLS."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate")
    made = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=a",
        "-keyout",
        "k.pem",
        "-out",
        "c.pem",
    ]
    subprocess.run([openssl, *made], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    with serving(http.server.BaseHTTPRequestHandler, context) as port:
        [told] = exporting.check({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
    assert told.says.endswith("the port there has TLS")
    assert f"say https://127.0.0.1:{port}" == told.fix


@contextmanager
def serving(
    handler: type[http.server.BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A small server, and its port."""
    handler.log_message = lambda *_: None  # type: ignore[method-assign]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def examined(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    done = CliRunner().invoke(doctor, list(arguments), env={"OTEL_SDK_DISABLED": None, **environment})
    return done.exit_code, done.output


def test_the_command_says_all_is_well_or_what_is_not(desk: Desk) -> None:
    """A line a check, what to do below it, exit status 0 or 1; the same as JSON."""
    exporter = {"OTEL_EXPORTER_OTLP_ENDPOINT": desk.grpc_endpoint}
    status, said = examined("--url", desk.web_url, **exporter)
    assert (0, "All is well.") == (status, said.splitlines()[-1])
    assert f"ok      desk: a desk answers at {desk.web_url}\n" in said
    status, said = examined("--url", desk.web_url, "--json", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    told = json.loads(said)
    assert (1, False) == (status, told["ok"])
    assert ["exporter"] == [one["check"] for one in told["findings"] if one["state"] == "problem"]
    status, said = examined("--db", str(desk.store.path), **exporter)
    assert (0, "All is well.") == (status, said.splitlines()[-1])


def test_a_desk_that_does_not_answer_and_who_has_its_port() -> None:
    """Another program on its ports is named with its process."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {
            "CXOTEL_DESK_HTTP_PORT": str(port),
            "CXOTEL_DESK_GRPC_PORT": "0000011234567",
            "CXOTEL_DESK_WEB_PORT": "eighty",
        }
        status, said = examined("--url", "http://127.0.0.1:1", **ports)
    assert 1 == status
    assert "PROBLEM desk: no desk answers at http://127.0.0.1:1 (Connection refused)\n" in said
    assert "PROBLEM port: CXOTEL_DESK_WEB_PORT is 'eighty'\n" in said
    assert "PROBLEM port: CXOTEL_DESK_GRPC_PORT is '0000011234567'\n" in said
    assert f"port {port} is taken by " in said
    assert (
        f"(process {os.getpid()})\n        -> stop that program, or start `cxotel serve --http-port`" in said
    )


class WrongClock(http.server.BaseHTTPRequestHandler):
    """Answers as a desk whose clock is an hour ahead would."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """An hour too late."""
        return super().date_time_string(int(time.time()) + 3600)

    def do_GET(self) -> None:
        """Ready, with nothing found."""
        body = b'{"ready": false, "reasons": ["sorting is 75 s behind"], "findings": []}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_the_desks_clock_is_compared_and_its_readiness_told() -> None:
    """By the Date of its answers."""
    with serving(WrongClock) as port:
        _, said = examined("--url", f"http://127.0.0.1:{port}")
    assert "PROBLEM clock: the desk's clock is 3600 s ahead of this machine's" in said
    assert "PROBLEM ready: the desk is not ready: sorting is 75 s behind" in said


def test_what_is_no_desk_and_no_address_is_said() -> None:
    """A server that answers otherwise; and addresses that cannot be."""
    with serving(http.server.BaseHTTPRequestHandler) as port:
        assert "is no desk" in examined("--url", f"http://127.0.0.1:{port}")[1]
    assert (2, True) == ((r := examined("--url", "http://h:x"))[0], "its port is no number" in r[1])
    assert (2, True) == ((r := examined("--url", "ftp://h"))[0], "give http://host:port" in r[1])


def test_what_cannot_be_an_address_token_or_variable_is_said(desk: Desk) -> None:
    """Without a traceback, and without a password."""
    for url in ("http://[::1", "http://127.0.0.1 :38317"):
        assert (2, True) == ((r := examined("--url", url))[0], "give http://host:port" in r[1])
    for endpoint in ("http://[::1", "http://user:hidden@127.0.0.1:1"):
        status, said = examined("--url", desk.web_url, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        assert (1, False) == (status, "hidden" in said)
    assert "CXOTEL_DESK_READ_TOKEN has" in examined("--url", desk.web_url, CXOTEL_DESK_READ_TOKEN="\u20ac")[1]
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization: Bearer hidden"}
    said = examined("--url", desk.web_url, **headers)[1]
    assert (True, False) == ("OTEL_EXPORTER_OTLP_HEADERS is not name=value" in said, "hidden" in said)
    for name, value, says in (
        ("OTEL_TRACES_EXPORTER", "none", "no test call is sent: OTEL_* variables turn that off"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "abc", "OTEL_* variables cannot be used: no test call is sent"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "br", "OTEL_* variables cannot be used: no test call is sent"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "cxotel", "doctor", "--url", desk.web_url, "--send", "--json"],
            env={key: text for key, text in os.environ.items() if "PYTEST" not in key} | {name: value},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert says in [one["says"] for one in json.loads(done.stdout)["findings"]], done.stderr


def test_a_test_call_is_sent_judged_and_marked() -> None:
    """Through the exporter that the environment describes, seen on the desk; if not, that is told."""
    with desk_with() as desk, desk_with() as other:
        advice: list[str] = []
        for sent_to, status, seconds in ((desk, 0, 30), (other, 1, 1)):
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    f"from cxotel.desk import doctor; doctor.VERDICT_SECONDS = {seconds}; doctor.doctor()",
                    *("--url", desk.web_url, "--send", "--json"),
                ],
                env=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": sent_to.grpc_endpoint},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            [said] = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "send"]
            advice.append(said["fix"])
            assert (said["state"] == "ok") == (status == 0), done
        calls = httpx.get(desk.web_url + "/api/calls").json()["calls"]
        assert [("cxotel doctor", "cxotel-doctor")] == [(one["queue"], one["namespace"]) for one in calls]
        assert calls[0]["trace_id"] in httpx.get(desk.web_url + "/").text
        _, *erase = re.findall(r"`(.+)`", advice[0])[0].split()
        erased = CliRunner().invoke(main, [*erase, "--db", str(desk.store.path), "--yes"])
        assert 0 == erased.exit_code, erased.output
        assert [] == httpx.get(desk.web_url + "/api/calls").json()["calls"]
