"""`cxotel demo`: which calls, what agrees, and what its exit status says."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
from subprocess import PIPE
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from cxotel.demo import command
from cxotel.demo.command import AGREE, DISAGREE, INCONCLUSIVE, Demo, Row, demo
from cxotel.demo.impair import Impairment
from cxotel.demo.playout import Device
from cxotel.demo.scenario import Scenario, demo_calls


def verdict(*layers: str, severity: str = "minor") -> dict[str, Any]:
    """The attributes of a verdict that the table reads."""
    return {
        "cx.impact.layers": list(layers),
        **{f"cx.impact.charge.{layer}": 5.0 for layer in layers},
        "cx.impact.severity": severity,
        "cx.impact.lost_seconds": 5.0 if layers else 0.0,
        "cx.impact.summary": "Five seconds were lost.",
    }


@pytest.mark.parametrize(
    ("planted", "attributes", "agrees"),
    [
        (("carrier",), verdict("carrier", "agent_network"), True),
        (("carrier",), verdict("agent_network", "carrier"), False),
        (("carrier",), verdict(), False),
        ((), verdict(severity="none"), True),
        ((), verdict("carrier", severity="minor"), False),
        (("carrier", "endpoint"), verdict("endpoint", "carrier", "ccaas"), True),
        (("carrier", "endpoint"), verdict("endpoint", "ccaas", "carrier"), False),
    ],
)
def test_a_verdict_agrees_if_it_blames_what_was_planted(
    planted: tuple[str, ...], attributes: dict[str, Any], agrees: bool
) -> None:
    """The first layer, or the first ones in any order where several were planted; nothing where none was."""
    assert Row(Scenario("x", "x", planted), verdict=attributes).agrees is agrees


def rows(*changes: dict[str, Any]) -> list[Row]:
    """Rows that agree but for the changes."""
    return [Row(Scenario("x", "x", ("crm",)), **{"verdict": verdict("crm"), **change}) for change in changes]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        (({}, {}), AGREE),
        (({}, {"verdict": verdict("carrier")}), DISAGREE),
        (({}, {"late": ["proxy was late"]}), INCONCLUSIVE),
        (({"late": ["proxy was late"], "verdict": verdict("carrier")},), INCONCLUSIVE),
        (({"late": ["proxy was late"]}, {"verdict": verdict("carrier")}), DISAGREE),
        (({"error": "no answer", "verdict": {}},), DISAGREE),
    ],
)
def test_the_exit_status_is_the_worst_that_is_certain(
    changes: tuple[dict[str, Any], ...], status: int
) -> None:
    """A late machine makes its own calls inconclusive and excuses no other."""
    run = Demo([], 1, object(), None)  # type: ignore[arg-type]
    run.rows = rows(*changes)
    assert run.status == status


def test_the_table_shows_planted_cause_beside_verdict() -> None:
    """One row a call; layers charged with less than a second are left out."""
    run = Demo([], 1, None, None)
    faint = {**verdict("crm", "ccaas"), "cx.impact.charge.ccaas": 0.9}
    run.rows = rows({"verdict": faint})
    cells = [list(column.cells) for column in run.table().columns]
    assert cells == [["x"], ["crm"], ["crm"], ["5.0 s"], ["yes"]]


def test_an_unknown_call_is_refused_with_the_names_there_are() -> None:
    """Before any process is started."""
    result = CliRunner().invoke(demo, ["--calls", "healthy,nothing"])
    assert result.exit_code == 2
    assert "no call nothing; there are healthy, carrier-loss" in result.output


@pytest.mark.parametrize(
    "url", ["nonsense", "127.0.0.1:4317", "ftp://a:1", "http://", "http://a:b", "http://[a"]
)
def test_an_export_to_no_address_is_wrong_usage(url: str) -> None:
    """The message names the option and what it may be; no process is started."""
    result = CliRunner().invoke(demo, ["--export", url])
    assert result.exit_code == 2
    assert f"{url!r} is no address, give one such as http://127.0.0.1:4317" in " ".join(result.output.split())


def test_no_call_is_placed_for_a_receiver_that_is_not_there() -> None:
    """Said at once; the port was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = CliRunner().invoke(demo, ["--export", f"http://127.0.0.1:{port}"])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: no connection to 127.0.0.1 port {port} (")
    assert "no call was placed" in result.output


@pytest.mark.media
def test_ctrl_c_in_the_middle_of_a_run_says_so() -> None:
    """No traceback, and a status that no verdict has."""
    # A test run in the background ignores the signal, and what it starts inherits that.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program = heed + "from cxotel.cli import main; main(prog_name='cxotel')"
    command = [sys.executable, "-c", program, "demo", "--calls", "healthy"]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as run:
        assert run.stdout is not None
        assert any("talking" in line for line in run.stdout)
        run.send_signal(signal.SIGINT)
        _, told = run.communicate(timeout=60)
    assert ("Stopped before all calls were judged.\n", 130) == (told, run.returncode)


@pytest.mark.parametrize("stays", [False, True])
def test_the_page_is_named_at_the_end_only_while_it_can_be_opened(
    monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    """Where nobody waits, its address is gone when the command returns."""

    def ctrl_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    out = io.StringIO()
    console = Console(file=out, width=120)
    done = Demo([], 1, None, None)
    monkeypatch.setattr(command, "time", SimpleNamespace(sleep=ctrl_c))
    monkeypatch.setattr(command, "_run", lambda *_: done)
    assert AGREE == command._judge([], 1, console, stays=stays)
    assert stays is ("The calls: http" in out.getvalue())


@pytest.mark.parametrize("desk", [None, object()])
def test_lost_spans_are_a_failure(desk: Any) -> None:
    """Whatever the verdicts are, and where none is asked for."""
    run = Demo([], 1, desk, None)
    run.rows = rows({})
    assert run.status == AGREE
    run.lost = ["7 span(s) of agent were lost (export_failed 7)"]
    assert run.status == DISAGREE


def test_the_same_seed_plants_the_same() -> None:
    """And another one other strengths."""
    assert demo_calls(1) == demo_calls(1)
    assert demo_calls(1) != demo_calls(2)


def test_every_kind_of_call_is_there() -> None:
    """The faults that the demo promises, by the layers they are planted in."""
    planted = [call.planted for call in demo_calls(1)]
    assert planted == [
        (),
        ("carrier",),
        ("agent_network",),
        ("agent_network",),
        ("handoff",),
        ("crm",),
        ("carrier", "agent_network", "endpoint"),
        ("carrier",),
        ("endpoint",),
    ]


def test_calls_are_joined_both_ways_and_speak_two_codecs() -> None:
    """By headers and by the key; PCMU and Opus."""
    calls = demo_calls(1)
    assert {call.join for call in calls} == {"headers", "key"}
    assert {call.codec for call in calls} == {"PCMU", "opus"}


def test_a_scenario_survives_the_wire() -> None:
    """As plain values and back."""
    scenario = Scenario(
        "a",
        "b",
        ("carrier",),
        (Impairment("carrier", "to_agent", loss=0.1),),
        Device(period=3),
        blind=("softphone",),
    )
    assert Scenario.from_json(scenario.to_json()) == scenario
