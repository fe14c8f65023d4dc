"""What whoever runs a desk for years relies on: its settings, its log, health and readiness, its stop."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import httpx
import pytest
from click.testing import CliRunner
from desk_calls import whole_call
from desk_sending import send

from cxotel._version import __version__
from cxotel.desk import addresses, logs, operation, options, telemetry, traces
from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-c", "from cxotel.desk.command import serve; serve()"]
FREE = {"CXOTEL_DESK_GRPC_PORT": "0", "CXOTEL_DESK_HTTP_PORT": "0", "CXOTEL_DESK_WEB_PORT": "0"}
PROTOBUF = {"content-type": "application/x-protobuf"}


@click.command(cls=options.Command, context_settings={"auto_envvar_prefix": "TRIED"})
@options.config_option
@click.option("--grace", type=click.FloatRange(0, 10), default=6.0)
@click.option("--web-port", type=int, default=1)
@click.option("--tls-cert", default="")
@click.option("--forward", multiple=True)
@click.option("--trust/--no-trust", default=False)
def tried(**values: Any) -> None:
    """An option of each kind."""
    click.echo(json.dumps(values, sort_keys=True))


def values_of(tmp_path: Path, text: str, *arguments: str, **environment: str) -> Any:
    """What a command gets from a file, its arguments and its environment; the error's text if it refuses."""
    file = tmp_path / "desk.toml"
    file.write_text(text)
    done = CliRunner().invoke(tried, ["--config", str(file), *arguments], env=environment)
    return json.loads(done.stdout) if done.exit_code == 0 else done.output


def test_the_file_gives_every_kind_of_option_also_by_tables(tmp_path: Path) -> None:
    """Long names with - or _, a table for what begins alike, a list for what may be given often."""
    text = 'grace = 2\nforward = ["http://a", "http://b"]\ntrust = true\n[web]\nport = 9\n[tls]\ncert = "c"\n'

    assert {
        "grace": 2.0,
        "web_port": 9,
        "tls_cert": "c",
        "forward": ["http://a", "http://b"],
        "trust": True,
    } == values_of(tmp_path, text)
    assert ["http://a"] == values_of(tmp_path, 'forward = "http://a"\nweb_port = 9\n')["forward"]


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    """One value each from where it is first given."""
    text = 'grace = 1\nweb-port = 1\ntls-cert = "file"\n'
    got = values_of(
        tmp_path, text, "--grace", "3", TRIED_GRACE="2", TRIED_WEB_PORT="2", TRIED_FORWARD="http://e"
    )

    assert (3.0, 2, "file", ["http://e"]) == (
        got["grace"],
        got["web_port"],
        got["tls_cert"],
        got["forward"],
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("graze = 1", "desk.toml: graze: no such option; did you mean grace?"),
        ("xyzzy = 1", "desk.toml: xyzzy: no such option; `tried --help` lists them"),
        ("config = 'a'", "desk.toml: config: no such option"),
        ("[web]\nporch = 1", "desk.toml: web-porch: no such option; did you mean web-port?"),
        ("grace = '5 s'", "desk.toml: grace: must be a number, not '5 s'"),
        ("grace = true", "desk.toml: grace: must be a number, not True"),
        ("grace = 11", "desk.toml: grace: 11.0 is not in the range 0<=x<=10"),
        ("web-port = 4.5", "desk.toml: web-port: must be a whole number, not 4.5"),
        ("tls-cert = 5", "desk.toml: tls-cert: must be a text in quotes, not 5"),
        ("trust = 'yes'", "desk.toml: trust: must be true or false, not 'yes'"),
        ("forward = [1]", "desk.toml: forward: must be a list, and each item a text in quotes, not [1]"),
        ("web-port = [1]", "desk.toml: web-port: must be a whole number, not [1]"),
        ("web-port = 1\n[web]\nport = 2", "desk.toml: web-port: given twice"),
        ("grace 1", "desk.toml: cannot be read as TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_file_key_and_fix(
    tmp_path: Path, text: str, says: str
) -> None:
    """Exit status 2 and one clear line."""
    assert says in values_of(tmp_path, text)


def test_what_is_wrong_elsewhere_is_said_as_ever(tmp_path: Path) -> None:
    """The file is not blamed for the command line."""
    said = values_of(tmp_path, "grace = 1", "--grace", "11")
    assert "Invalid value for '--grace'" in said
    assert "desk.toml" not in said


def test_serve_takes_its_settings_from_a_file_and_logs_json(tmp_path: Path) -> None:
    """A desk as a unit file starts it: `--config`, JSON on standard error, nothing else said."""
    file = tmp_path / "desk.toml"
    file.write_text(f'db = "{tmp_path / "f.sqlite"}"\n[log]\nformat = "json"\n')
    process = subprocess.Popen(
        [*COMMAND, "--config", str(file)],
        env=os.environ | FREE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        started = json.loads(process.stderr.readline())
    finally:
        process.terminate()
        said, rest = process.communicate(timeout=20)
    assert (tmp_path / "f.sqlite").exists()
    assert started["level"] == "info"
    assert started["message"].startswith("started: Pages http://127.0.0.1:")
    assert ["stopping"] == [json.loads(line)["message"] for line in rest.splitlines()]
    assert (0, "") == (process.returncode, said)


def logged(formatter: logging.Formatter, error: Exception | None = None) -> str:
    """A message with a line break, and an exception if given, formatted."""
    record = logging.LogRecord("cxotel.desk", logging.WARNING, "", 0, "cannot %s", ("judge\nit",), None)
    if error is not None:
        try:
            raise error
        except type(error):
            record.exc_info = sys.exc_info()
    return formatter.format(record)


def test_an_event_is_one_line_without_what_was_received() -> None:
    """Line breaks are escaped; an exception's text is written only if it is the system's."""
    secret = ValueError("could not read +4420")

    assert logged(logs.TextLines()).endswith("Z WARNING cannot judge\\nit")
    assert "[ValueError < test_desk_ops.py:" in logged(logs.TextLines(), secret)
    assert "4420" not in logged(logs.TextLines(), secret) + logged(logs.JsonLines(), secret)
    line = logged(logs.JsonLines(), sqlite3.OperationalError("disk I/O error"))
    assert json.loads(line)["error"].startswith("OperationalError: disk I/O error < test_desk_ops.py:")
    assert ("cannot judge\nit", "warning") == (json.loads(line)["message"], json.loads(line)["level"])
    assert "\n" not in line


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk of its own, as it is broken."""
    with Desk(timing=Timing(grace=0.1, settle=0.02)) as running:
        yield running


def test_a_desk_that_works_is_healthy_and_ready(desk: Desk) -> None:
    """Tiny bodies, nothing of calls in them."""
    health, ready = httpx.get(desk.web_url + "/health"), httpx.get(desk.web_url + "/ready")
    assert (200, {"status": "ok"}) == (health.status_code, health.json())
    assert (200, {"ready": True, "reasons": []}) == (ready.status_code, ready.json())


def test_a_file_that_cannot_be_written_is_a_reason(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds the file: not ready, with the reason; alive all the same."""
    monkeypatch.setattr(operation, "WRITE_SECONDS", 0.1)
    other = sqlite3.connect(desk.store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ready = httpx.get(desk.web_url + "/ready", timeout=10)
    assert 200 == httpx.get(desk.web_url + "/health").status_code
    other.execute("ROLLBACK")
    other.close()
    assert 503 == ready.status_code
    assert ["the file was not written within 0.1 s: the disk is too slow or locked"] == ready.json()[
        "reasons"
    ]


def test_a_port_that_is_closed_and_a_worker_that_ended_are_reasons(desk: Desk) -> None:
    """Each is named."""
    desk._grpc.stop(None).wait()
    desk._worker.close()
    reasons = httpx.get(desk.web_url + "/ready", timeout=10).json()["reasons"]
    assert reasons[0].startswith("the worker has ended")
    assert reasons[1].startswith("OTLP/grpc does not answer on port ")


def test_falling_behind_is_a_reason(desk: Desk) -> None:
    """What is received and not sorted within the time given."""
    now = 0
    readiness = operation.Readiness(
        desk.store, desk._worker, "0.0.0.0", {"http": desk._ports["http"]}, 60, lambda: now
    )
    row = (1, "nothing", b"", "")  # of a signal that nobody sorts
    desk.store.write(lambda c: c.execute("INSERT INTO inbox VALUES (NULL, ?, ?, ?, ?)", row)).result()
    assert [] == readiness.reasons()
    now, readiness._seen = 75_000_000_000, None
    assert ["sorting is 75 s behind, over 60 s"] == readiness.reasons()
    desk.store.write(lambda c: c.execute("DELETE FROM inbox")).result()


def test_a_stop_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """SIGTERM while four senders send: it ends by itself, and each span that got a 200 is in the file."""
    process = subprocess.Popen(
        [*COMMAND, "--db", str(tmp_path / "s.sqlite")],
        env=os.environ | FREE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    said = dict(line.split(maxsplit=1) for line in (process.stdout.readline() for _ in range(3)))
    acknowledged: list[tuple[str, int]] = []
    enough = threading.Event()

    def send(sender: int) -> None:
        with httpx.Client(timeout=20) as client:
            for number in range(10_000):
                call = whole_call(f"stop {sender} {number}")
                try:
                    body = to_request(call.spans).SerializeToString()
                    answer = client.post(
                        said["OTLP/HTTP"].strip() + "/v1/traces", content=body, headers=PROTOBUF
                    )
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    acknowledged.append((call.trace_id, len(call.spans)))
                if len(acknowledged) > 60:
                    enough.set()

    senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for sender in senders:
        sender.start()
    assert enough.wait(60)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    for sender in senders:
        sender.join(30)
    assert 0 == process.returncode
    with Desk(tmp_path / "s.sqlite") as desk:
        desk.wait_until_sorted()
        for trace_id, spans in acknowledged:
            assert spans == len(traces.spans_of(desk.store, bytes.fromhex(trace_id)))


@pytest.mark.parametrize(
    ("endpoint", "host", "own"),
    [
        ("http://127.0.0.1:4317", "127.0.0.1", True),
        ("127.0.0.1:4317", "127.0.0.1", True),
        ("http://localhost:4317/v1/traces", "127.0.0.1", True),
        ("http://127.0.0.1", "127.0.0.1", True),
        ("http://0.0.0.0:4317", "127.0.0.1", True),
        ("http://127.0.0.1:4317", "0.0.0.0", True),
        (f"http://{socket.gethostname()}:4317", "0.0.0.0", True),
        ("http://127.0.0.1:4319", "127.0.0.1", False),
        ("http://192.0.2.1:4317", "0.0.0.0", False),
        ("http://127.0.0.2:4317", "127.0.0.1", False),
        ("http://no-such-host.invalid:4317", "127.0.0.1", False),
        ("http://:4317", "127.0.0.1", False),
        ("http://127.0.0.1:port", "127.0.0.1", False),
    ],
)
def test_a_desk_knows_its_own_address(endpoint: str, host: str, own: bool) -> None:
    """By what names resolve to, not by how they are written."""
    assert own == addresses.is_own(endpoint, host, {4317, 4318})


def scraped(desk: Desk) -> dict[str, float]:
    """What `/metrics` says now."""
    desk._telemetry._seen = (0.0, {})
    answer = httpx.get(desk.web_url + "/metrics")
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["content-type"]
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_tell_what_came_how_it_was_judged_and_what_waits(desk: Desk) -> None:
    """Counted by signal, reason, kind of verdict and severity; the same call twice is a repeat."""
    call = whole_call("metrics", carrier="0*20 15*20 0*20")
    send(desk, call)
    verdict = desk.wait_for_verdict(call.trace_id)
    send(desk, call)
    httpx.post(desk.http_endpoint + "/v1/logs", content=b"\xff", headers=PROTOBUF)
    desk.wait_until_sorted()
    said, spans = scraped(desk), len(call.spans)
    severity = f'cx_impact_severity="{verdict["severity"]}"'
    assert {
        'cx_desk_received_total{cx_desk_signal="traces"}': spans,
        'cx_desk_repeated_total{cx_desk_signal="traces"}': spans,
        'cx_desk_refused_total{cx_desk_reason="body",cx_desk_signal="logs"}': 1,
        'cx_desk_acknowledge_duration_seconds_count{cx_desk_signal="traces"}': 2,
        'cx_desk_received_total{cx_desk_signal="logs"}': 0,
        'cx_desk_write_failures_total{cx_desk_reason="full"}': 0,
        "cx_desk_inbox_requests": 0,
        "cx_desk_inbox_age_seconds": 0,
        'cx_desk_calls{cx_desk_state="final"}': 1,
        f"cx_desk_judged_calls{{{severity}}}": 1,
        f'cx_desk_verdicts_total{{cx_desk_verdict="judged",{severity}}}': 1,
        "cx_desk_verdict_delay_seconds_count": 1,
        'cx_desk_verdict_delay_seconds_bucket{le="+Inf"}': 1,
    }.items() <= said.items()
    assert said["cx_desk_file_size_bytes"] > 100_000
    assert 0.1 <= said["cx_desk_verdict_delay_seconds_sum"]
    assert any(x.startswith("target_info{") and 'service_name="cxotel-desk"' in x for x in said)


def test_metrics_tell_what_waits_for_each_destination(desk: Desk) -> None:
    """What is behind its place in the outbox, and what went and was dropped."""

    def fill(connection: sqlite3.Connection) -> None:
        for _ in range(3):
            connection.execute(
                "INSERT INTO outbox (made, signal, items, data) VALUES (1, 'traces', 2, ?)", (b"12345",)
            )
        for name, place, dropped in (("a", 0, 7), ("b", 3, 0)):
            connection.execute(
                "INSERT INTO destination (name, place, sent, dropped) VALUES (?, ?, 6, ?)",
                (name, place, dropped),
            )

    desk.store.write(fill).result()
    said = scraped(desk)
    got = [
        [said[f'cx_desk_{what}{{cx_desk_destination="{name}"}}'] for name in "ab"]
        for what in ("outbox_requests", "outbox_size_bytes", "forwarded_total", "dropped_total")
    ]
    assert [[3, 0], [15, 0], [6, 6], [7, 0]] == got
    assert said['cx_desk_outbox_age_seconds{cx_desk_destination="a"}'] > 1e6


def test_every_metric_is_in_the_registry_with_unit_kind_and_text() -> None:
    """What the desk says of itself and what spec/registry/desk.yaml says of that are the same."""
    import yaml

    path = Path(__file__).parent.parent / "spec" / "registry" / "desk.yaml"
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))["metrics"]
    with Desk() as desk:
        meter = desk._telemetry._provider.get_meter("cxotel.desk", __version__)
        made = {
            (one.name, one.unit, one.description, type(one).__name__.strip("_").removeprefix("Observable"))
            for one in meter._instrument_id_instrument.values()
        }
    kinds = {name.lower(): name for name in ("Counter", "UpDownCounter", "Gauge", "Histogram")}
    assert made == {(m["name"], m["unit"], m["brief"], kinds[m["instrument"]]) for m in listed}


def test_prometheus_reads_what_metrics_says(desk: Desk) -> None:
    """Its own tool finds nothing to complain of, also with a hostile name of a destination."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed; make e2e installs it")
    name = 'a"b\\c\nd{}'
    desk.store.write(
        lambda c: c.execute("INSERT INTO destination (name, place) VALUES (?, 0)", (name,))
    ).result()
    send(desk, whole_call("promtool"))
    text = httpx.get(desk.web_url + "/metrics").text
    done = subprocess.run([tool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert 'cx_desk_destination="a\\"b\\\\c\\nd{}"' in text


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_same_metrics_go_out_over_otlp(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    """To another desk, as OpenTelemetry's variables say."""
    with Desk() as other:
        endpoint = other.grpc_endpoint if protocol == "grpc" else other.http_endpoint
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        with Desk(environment=os.environ) as desk:
            httpx.get(desk.web_url + "/metrics").raise_for_status()
        other.wait_until_sorted()
        with other.store.reading() as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM metric")}
    assert {"cx.desk.inbox.age", "cx.desk.file.size"} <= names


@pytest.mark.parametrize(
    ("environment", "sends"),
    [
        ({}, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, 0),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://localhost:4318/v1/metrics"}, 0),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, 0),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4999"}, 1),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4999", "OTEL_METRICS_EXPORTER": "none"}, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4999", "OTEL_METRICS_EXPORTER": "prometheus"}, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4999", "OTEL_SDK_DISABLED": "true"}, 0),
    ],
)
def test_nothing_goes_to_the_desk_itself_or_unasked(environment: dict[str, str], sends: int) -> None:
    """Whatever points at the desk's own ports is left out."""
    readers = telemetry._sent(environment, "127.0.0.1", {4317, 4318, 8317})
    assert sends == len(readers)
    for reader in readers:
        reader.shutdown(100)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "abc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "br"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
    ],
)
def test_variables_that_cannot_be_stop_no_desk(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning; and headers that cannot be read are named without their secret."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization: Bearer SECRET")
    monkeypatch.setenv(name, value)
    logs.hide_headers()
    assert [] == telemetry._sent(os.environ, "127.0.0.1", {4317})
    assert "the desk's own metrics are not sent" in caplog.text
    assert "OTEL_EXPORTER_OTLP_HEADERS is not name=value" in caplog.text
    assert "SECRET" not in caplog.text


DEPLOY = Path(__file__).parent.parent / "deploy"


def test_the_shipped_settings_are_options_at_their_defaults() -> None:
    """Uncommented, every line of deploy/desk.toml is taken as it stands."""
    from cxotel.desk.command import serve

    lines = (DEPLOY / "desk.toml").read_text(encoding="utf-8").splitlines()
    given = [line[1:] for line in lines if re.match(r"#[a-z-]+ = .", line)]
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("\n".join(given))
        file.flush()
        values = options.read(Path(file.name), serve)
    assert ("127.0.0.1", 4317, 6.0) == (values["host"], values["grpc_port"], values["grace"])
    keys = {line[1:].partition(" ")[0] for line in lines if re.match(r"#[a-z-]+ =", line)}
    names = {options.key_of(one) for one in serve.params}
    assert names - {"config", "help"} == keys


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """As it is shipped, with this environment's command; and it is confined."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("there is no systemd here")
    text = (DEPLOY / "cxotel-desk.service").read_text(encoding="utf-8")
    unit = tmp_path / "cxotel-desk.service"
    unit.write_text(text.replace("/opt/cxotel/bin/cxotel", str(Path(sys.executable).parent / "cxotel")))
    done = subprocess.run([tool, "verify", unit], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


def test_the_containers_own_lines_hold(desk: Desk) -> None:
    """What it copies is there and not ignored, and its health check passes on a desk that is ready."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    ignored = (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8").split()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (DEPLOY.parent / name).exists()
            assert f"!{name}" in ignored
    [check] = re.findall(r"^    CMD (\[.+\])$", text, re.MULTILINE)
    _, *arguments = json.loads(check)
    arguments = [one.replace("http://127.0.0.1:8317", desk.web_url) for one in arguments]
    assert 0 == subprocess.run([sys.executable, *arguments], check=False).returncode
