"""`cxotel serve` as a person or a supervisor runs it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner
from desk_calls import whole_call

from cxotel.desk.app import Desk
from cxotel.desk.command import serve
from cxotel.desk.settings import default_db
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-c", "from cxotel.desk.command import serve; serve()"]
FREE = {"CXOTEL_DESK_GRPC_PORT": "0", "CXOTEL_DESK_HTTP_PORT": "0", "CXOTEL_DESK_WEB_PORT": "0"}


def started(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """A running desk and the addresses it printed."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=os.environ | FREE | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = [process.stdout.readline() for _ in range(4)]  # "" at once if it ended
    return process, {
        name: value.strip()
        for name, _, value in (re.split(r"( {2,}|(?<=in) +)", x, maxsplit=1) for x in lines)
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_says_where_and_stops_when_asked(tmp_path: Path, number: int) -> None:
    """Addresses on four lines, exit status 0, and what was acknowledged is in the file."""
    call = whole_call("command")
    process, said = started("--db", str(tmp_path / "a.sqlite"))
    try:
        assert httpx.get(said["Pages"]).status_code == 200
        answer = httpx.post(
            said["OTLP/HTTP"] + "/v1/traces",
            content=to_request(call.spans).SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
        )
        assert answer.status_code == 200
    finally:
        process.send_signal(number)
        rest, _ = process.communicate(timeout=15)
    assert (process.returncode, rest) == (0, "Stopping.\n")
    with Desk(tmp_path / "a.sqlite") as desk:
        assert httpx.get(f"{desk.web_url}/call/{call.trace_id}/otlp.json").status_code == 200


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """SIGKILL right after the answer: every span is there afterwards."""
    calls = [whole_call(f"kill {number}") for number in range(5)]
    process, said = started(CXOTEL_DESK_DB=str(tmp_path / "k.sqlite"))
    for call in calls:
        httpx.post(
            said["OTLP/HTTP"] + "/v1/traces",
            content=to_request(call.spans).SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
        ).raise_for_status()
    process.kill()
    process.communicate(timeout=10)
    from cxotel.desk import traces

    with Desk(tmp_path / "k.sqlite") as desk:
        desk.wait_until_sorted()
        for call in calls:
            assert len(traces.spans_of(desk.store, bytes.fromhex(call.trace_id))) == len(call.spans)


def test_help_says_what_it_is_and_every_setting_with_its_variable() -> None:
    """A newcomer needs no other page to start."""
    text = CliRunner().invoke(serve, ["--help"]).output
    for option in serve.params:
        assert option.opts[0] in text
        if option.name != "help":
            assert (option.envvar or f"CXOTEL_DESK_{option.name.upper()}") in text
    assert "Point any OpenTelemetry exporter" in text


def test_a_taken_port_and_a_foreign_file_are_said_in_one_line(tmp_path: Path) -> None:
    """Exit status 1, no trace of Python."""
    (tmp_path / "notes.txt").write_text("no database " * 100)
    with Desk() as desk:
        port = desk.web_url.rpartition(":")[2]
        for arguments, says in (
            (["--web-port", port, "--db", ":memory:"], f"{port} "),
            (["--db", str(tmp_path / "notes.txt")], "notes.txt cannot be used"),
        ):
            done = subprocess.run(
                [*COMMAND, *arguments],
                env=os.environ | FREE,
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
            assert done.returncode == 1
            assert re.fullmatch(r"Error: [^\n]+\n", done.stderr)
            assert says in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--grpc-port", "{taken}"], "{taken} (Address already in use): choose another port"),
        (["--http-port", "{taken}"], "{taken} (Address already in use): choose another port"),
        (
            ["--grpc-port", "{free}", "--http-port", "{free}"],
            "{free} (Address already in use): choose another",
        ),
        (
            ["--http-port", "{free}", "--web-port", "{free}"],
            "{free} (Address already in use): choose another",
        ),
        (["--insecure-open", "--host", "no-such-host.invalid"], "): choose an address of this machine"),
        (["--insecure-open", "--host", "ü" * 80], "(no host name): choose an address of this machine"),
        (
            ["--insecure-open", "--host", "192.0.2.1"],
            "(Cannot assign requested address): choose an address of this machine",
        ),
    ],
)
def test_an_address_it_cannot_have_is_said_with_what_to_do_and_leaves_no_file(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    """One line for each of the three ports and for the host; the file is made only once all are there."""
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))
        ports = {"taken": taken.getsockname()[1], "free": free.getsockname()[1]}
        free.close()
        done = subprocess.run(
            [*COMMAND, "--db", str(tmp_path / "x.sqlite"), *(one.format(**ports) for one in arguments)],
            env=os.environ | FREE,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 1
    assert re.fullmatch(r"Error: [^\n]+\n", done.stderr)
    assert says.format(**ports) in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--grace", "-1"], ["--grpc-port", "70000"], ["--grace", "nan"]])
def test_settings_out_of_range_are_refused(arguments: list[str]) -> None:
    """Before anything is opened."""
    result = CliRunner().invoke(serve, [*arguments, "--db", ":memory:"])
    assert (result.exit_code, arguments[0] in result.output) == (2, True)


def test_an_empty_name_of_the_file_is_refused(tmp_path: Path) -> None:
    """By option and in the file of settings."""
    config = tmp_path / "desk.toml"
    config.write_text('db = ""\n')
    for arguments in (["--db", ""], ["--config", str(config)]):
        result = CliRunner().invoke(serve, arguments)
        assert (result.exit_code, "it names no file" in result.output) == (2, True), result.output


def test_the_file_is_in_the_data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_DATA_HOME where it is absolute, ~/.local/share else."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_db() == tmp_path / "cxotel" / "desk.sqlite"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/someone")
    assert str(default_db()) == "/home/someone/.local/share/cxotel/desk.sqlite"


@pytest.mark.parametrize("by", ["option", "environment", "file"])
def test_a_link_that_cannot_be_used_is_named(by: str, tmp_path: Path) -> None:
    """However it was given, before anything is opened."""
    config = tmp_path / "desk.toml"
    config.write_text('link = ["Jaeger=http://localhost:16686/trace/{trace_id}", "Bad=ftp://x"]\n')
    options = {"option": ["--link", "Bad=ftp://x"], "environment": [], "file": ["--config", str(config)]}[by]
    environment = {"CXOTEL_DESK_LINKS": "A=http://a/{trace_id} Bad=ftp://x"} if by == "environment" else {}
    found = CliRunner().invoke(serve, [*options, "--db", str(tmp_path / "x.sqlite")], env=environment)
    assert found.exit_code == 1
    assert "--link: link 'Bad': 'ftp://x' is no http or https address" in found.output
    assert not (tmp_path / "x.sqlite").exists()
