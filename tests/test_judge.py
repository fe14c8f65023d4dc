"""`cxotel judge`: files in, verdicts out; what cannot be read is named and costs nothing else."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from judge_samples import spans, text, trace_id
from otlp_samples import ANSWERS

import cxotel.judge as module
from cxotel.impact import judge as verdict_of
from cxotel.judge import judge


class Ran(NamedTuple):
    """What a run of the command gave."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Standard output as one JSON a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Runner:
    """Runs the command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *args: str | Path, stdin: bytes = b"") -> Ran:
        """One run, with what it finds on standard input."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            judge.main([str(arg) for arg in args], prog_name="cxotel judge")
        out, err = self._capsys.readouterr()
        return Ran(stopped.value.code, out, err)  # type: ignore[arg-type]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    """The command."""
    monkeypatch.setenv("COLUMNS", "120")
    return Runner(capsys, monkeypatch)


def line_of(number: int, **options: Any) -> dict[str, Any]:
    """What --json says of a sample call."""
    return {"trace_id": trace_id(number), "attributes": verdict_of(spans(number, **options)).attributes}


def test_json_is_one_line_a_trace_with_the_engines_attributes(run: Runner, tmp_path: Path) -> None:
    """In the order in which the traces first appear."""
    file = tmp_path / "calls.json"
    file.write_text(text(spans(2), spans(1, loss="5*24")))
    ran = run("--json", file)
    assert (0, "", [line_of(2), line_of(1, loss="5*24")]) == (ran.status, ran.err, ran.lines)


def test_traces_mixed_over_lines_and_files_are_brought_together(run: Runner, tmp_path: Path) -> None:
    """One request a line, the spans of two calls in turns, in three files of which one is gzip."""
    one, two = spans(1), spans(2, loss="20*24")
    (tmp_path / "a.jsonl").write_text(text(one[:1], two[:1]) + "\n" + text(one[1:2]) + "\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress((text(two[1:]) + "\n").encode()))
    ran = run("--json", tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz", "-", stdin=text(one[2:]).encode())
    assert (0, [line_of(1), line_of(2, loss="20*24")]) == (ran.status, ran.lines)


@pytest.mark.parametrize("indent", [None, 2])
def test_standard_input_is_read_plain_and_printed(run: Runner, indent: int | None) -> None:
    """As piped from curl or jq."""
    data = json.dumps(json.loads(text(spans())), indent=indent).encode()
    assert [line_of(1)] == run("--json", "-", stdin=data).lines


def test_people_read_the_sentence_bars_evidence_and_blind_spots(run: Runner) -> None:
    """The whole page of one call."""
    ran = run("-", stdin=text(spans(loss="0*12 10*12")).encode())
    assert (0, "") == (ran.status, ran.err)
    assert (
        """\
call 00000000000000000000000000000001
The agent could not follow 16 of 120 seconds: packet loss of up to 10.0 % at the carrier (Acme Telecom).

  severity moderate   16.4 of 120.0 s lost   score 86.3 of 100   MOS 3.91, at worst 3.41

  carrier            16.4 s  100 %  ████████████████████████████████

  owner of the largest part: Acme Telecom
  felt: choppy audio

  evidence
    carrier: loss 10.0 %, 16.4 s (span 0000000000000002)

  not measured: agent_network, endpoint (so never blamed; 50 % of the layers were measured)
"""
        == ran.out
    )


def test_several_calls_end_with_their_sums(run: Runner) -> None:
    """So that a file of a day's calls says at its end who cost most."""
    ran = run("-", stdin=text(spans(1, loss="10*24"), spans(2, loss="20*24"), spans(3, loss="0*24")).encode())
    assert 3 == ran.out.count("\ncall 0") + ran.out.startswith("call 0")
    sums = ran.out[ran.out.index("3 calls, ") :]
    lost = sum(verdict_of(spans(loss=loss)).lost_seconds for loss in ("10*24", "20*24"))
    assert sums.startswith(f"3 calls, 2 of them lost time, {lost:.1f} s in all")
    assert f"{lost:.1f} s  100 %" in sums


def test_explain_shows_every_cell(run: Runner) -> None:
    """When, what people did, what each layer did, what was charged."""
    ran = run("--explain", "-", stdin=text(spans(loss="0*12 10*12")).encode())
    cells = ran.out[ran.out.index("cell by cell") :].splitlines()[1:]
    assert [
        "      0.000 -    60.000  conversation",
        "      to_agent     R  93.2  nothing known to hurt",
        "      to_customer  R  93.2  nothing known to hurt",
        "     60.000 -   120.000  conversation",
        "      to_agent     R  66.1  carrier loss 10.0 %, delay 0 ms",
        "      to_customer  R  93.2  nothing known to hurt",
        "      charged: carrier loss 16.431 s (27.4 % of the time)",
    ] == [line.rstrip() for line in cells if line.strip()][:7]


def test_warnings_of_the_verdict_are_said(run: Runner) -> None:
    """No root, values that could not be read, spans outside the call; nothing on it is hidden."""
    call = spans(loss="0*24")
    call[2].attributes = {**call[2].attributes, "cx.media.to_agent.delay_ms": 7}
    late = spans(loss="0*24")[1]
    late.span_id, late.start, late.end = "00000000000000aa", late.start + 10**12, late.end + 10**12
    out = run("-", stdin=text([*call, late]).encode()).out
    assert "  1 span(s) outside the call: a wrong clock, or a key used twice" in out
    assert "  1 span(s) or value(s) could not be read and were skipped" in out
    assert "  partial: the call's root span is missing" in run("-", stdin=text(call[1:]).encode()).out


def test_a_lost_wait_is_explained_without_quality(run: Runner) -> None:
    """Its cells say what was waited for and who was charged."""
    call = spans(loss="0*24")
    call[1].attributes = {"cx.layer": "ccaas", "cx.activity": "queue"}
    out = run("--explain", "-", stdin=text(call).encode()).out
    lost = out[out.index("lost waiting for queue") :].splitlines()
    assert "      charged: ccaas queue 100.000 s" in lost
    assert "  measured: 100 % of the layers that the call went through" in out


def test_otlp_is_the_trace_judged_once_for_all(run: Runner) -> None:
    """Its output judged again gives the same trace and the same verdict."""
    once = run("--otlp", "-", stdin=text(spans(1), spans(2)).encode())
    assert (0, 2) == (once.status, len(once.lines))
    assert once.out == run("--otlp", "-", stdin=once.out.encode()).out
    assert [line_of(1), line_of(2)] == run("--json", "-", stdin=once.out.encode()).lines


def test_a_forged_verdict_changes_nothing(run: Runner) -> None:
    """What stands on an incoming root is not believed."""
    forged = text(spans(**{"cx.impact.lost_seconds": 0.0, "cx.impact.layer": "crm"}))
    assert [line_of(1)] == run("--json", "-", stdin=forged.encode()).lines


@pytest.mark.parametrize(
    "name", ["jaeger_api_traces", "jaeger_api_v3_traces", "tempo_api_traces", "tempo_api_v2_traces"]
)
def test_answers_of_jaeger_and_tempo_are_recognised(run: Runner, name: str) -> None:
    """All four say the same of the same trace."""
    ran = run("--json", ANSWERS / f"{name}.json")
    [line] = ran.lines
    assert (0, "", "aa" * 15 + "03", 0.0) == (
        ran.status,
        ran.err,
        line["trace_id"],
        line["attributes"]["cx.impact.lost_seconds"],
    )


def test_bad_lines_and_spans_are_named_and_the_rest_is_judged(run: Runner, tmp_path: Path) -> None:
    """File, line, field and what belongs there."""
    broken = json.loads(text(spans(2)))
    found = broken["resourceSpans"][0]["scopeSpans"][0]["spans"]
    found.append({**found[0], "traceId": "abc"})
    found.append({**found[1], "spanId": "00000000000000aa", "startTimeUnixNano": "soon"})
    file = tmp_path / "calls.jsonl"
    file.write_text("\n".join([text(spans(1)), "oops", json.dumps(broken), '{"a": 1}']))
    ran = run("--json", file)
    second = line_of(2)
    second["attributes"]["cx.impact.skipped"] = 1
    assert (0, [line_of(1), second]) == (ran.status, ran.lines)
    place = "resourceSpans[0].scopeSpans[0].spans"
    no_trace = "a JSON object without resourceSpans, batches, trace, result or data"
    assert [
        f"{file}, line 2: not JSON at column 1: Expecting value",
        f"{file}, line 3: {place}[3]: traceId 'abc' where 32 hex digits, not all 0, belong",
        f"{file}, line 3: {place}[3]: the span is left out, it belongs to no trace",
        f"{file}, line 3: {place}[4]: startTimeUnixNano 'soon' where ns since 1970 belong",
        f"{file}, line 4: {no_trace} (its keys: 'a'); left out",
        "5 thing(s) could not be read; the rest was judged.",
    ] == ran.err.splitlines()


def test_every_bad_line_is_named(run: Runner) -> None:
    """However many there are."""
    ran = run("--json", "-", stdin=b"oops\n" * 1000 + text(spans()).encode())
    assert (0, [line_of(1)]) == (ran.status, ran.lines)
    *named, last = ran.err.splitlines()
    assert [f"-, line {line}: not JSON at column 1: Expecting value" for line in range(1, 1001)] == named
    assert "1000 thing(s) could not be read; the rest was judged." == last


def test_a_flood_of_bad_spans_in_a_line_is_counted_and_hides_no_line(run: Runner) -> None:
    """Twenty more than the first are named, then the number of the rest; later lines are named still."""
    flood = json.loads(text(spans()))
    found = flood["resourceSpans"][0]["scopeSpans"][0]["spans"]
    found += [None] * 30
    ran = run("--json", "-", stdin=json.dumps(flood).encode() + b"\noops\n")
    assert (0, [line_of(1)]) == (ran.status, ran.lines)
    *named, oops, more, last = ran.err.splitlines()
    assert 21 == len(named)
    assert [
        "-, line 2: not JSON at column 1: Expecting value",
        "(9 more in lines named above)",
        "31 thing(s) could not be read; the rest was judged.",
    ] == [oops, more, last]


@pytest.mark.parametrize("data", [b"", b"oops", b"null", b'{"resourceSpans": []}', b'{"trace": {}}'])
def test_status_1_where_nothing_could_be_judged(run: Runner, data: bytes) -> None:
    """Said on standard error, with nothing on standard output."""
    ran = run("--json", "-", stdin=data)
    assert (1, "") == (ran.status, ran.out)
    assert "Nothing could be judged." == ran.err.splitlines()[-1]
    assert "the rest was judged" not in ran.err


def test_a_trace_without_a_call_is_named(run: Runner) -> None:
    """Ordinary traces of a web shop, say; --json still has its line."""
    plain = spans()
    for span in plain:
        span.attributes = {}
    ran = run("--json", "-", stdin=text(plain).encode())
    assert (1, [trace_id(1)]) == (ran.status, [line["trace_id"] for line in ran.lines])
    assert f"trace {trace_id(1)}: no call in it (no span has cx.layer and a time)" in ran.err
    assert (1, "") == run("-", stdin=text(plain).encode())[:2]


def test_parameters_of_a_file_take_the_place_of_the_models(run: Runner, tmp_path: Path) -> None:
    """By dotted name or nested."""
    file = tmp_path / "own.yaml"
    file.write_text("severity:\n  minor: 0.5\n  moderate: 1\nseverity.severe: 2\n")
    ran = run("--json", "--parameters", file, "-", stdin=text(spans()).encode())
    assert "severe" == ran.lines[0]["attributes"]["cx.impact.severity"]
    file.write_text("")
    assert [line_of(1)] == run("--json", "--parameters", file, "-", stdin=text(spans()).encode()).lines


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("severity.minr: 1", "impact parameter severity.minr: unknown; there is"),
        ("severity.minor: soon", "impact parameter severity.minor: 'soon' given; must be a number"),
        ("- a", "a mapping of names to values is needed, such as `allowance.queue: 30`"),
        ("a: [", "while parsing"),
    ],
)
def test_bad_parameters_are_wrong_usage(run: Runner, tmp_path: Path, content: str, said: str) -> None:
    """The message names the parameter and what it may be."""
    file = tmp_path / "own.yaml"
    file.write_text(content)
    ran = run("--parameters", file, "-")
    assert (2, "") == (ran.status, ran.out)
    assert said in ran.err


@pytest.mark.parametrize(
    "args", [[], ["nowhere.json"], ["/"], ["--json", "--otlp", "-"], ["--json", "--explain", "-"]]
)
def test_wrong_usage_is_status_2(run: Runner, args: list[str]) -> None:
    """Nothing is read then."""
    assert (2, "") == run(*args)[:2]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("form", [[], ["--json"], ["--otlp"], ["--explain"]])
def test_output_that_cannot_be_written_is_told_in_a_sentence(form: list[str]) -> None:
    """With a status that no verdict has."""
    command = [sys.executable, "-m", "cxotel", "judge", *form, "-"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, input=text(spans()).encode(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    said = b"Error: standard output could not be written: No space left on device\n"
    assert (74, said) == (done.returncode, done.stderr)


def test_a_pipe_that_nobody_reads_on_is_no_mistake() -> None:
    """As with `| head`."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "cxotel", "judge", "--json", "-"]
    done = subprocess.run(
        command, input=text(spans()).encode(), stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (1, b"") == (done.returncode, done.stderr)


def test_standard_input_that_is_closed_is_wrong_usage() -> None:
    """Said in a sentence."""
    command = ["sh", "-c", '"$0" -m cxotel judge - <&-', sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (2, "Error: standard input is closed, nothing can be read from it") == (
        done.returncode,
        done.stderr.splitlines()[-1],
    )


def test_what_a_trace_says_cannot_steer_the_terminal(run: Runner) -> None:
    """Anyone can write an owner with escape codes, or half a surrogate pair."""
    call = spans()
    call[2].attributes = {**call[2].attributes, "cx.owner": "Acme\x1b[2J\ud800"}
    ran = run("-", stdin=text(call).encode())
    assert 0 == ran.status
    assert "Acme\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}" in ran.out


def test_only_facts_are_kept_unless_the_trace_is_wanted(tmp_path: Path) -> None:
    """A long file does not fill the memory with spans."""
    for keep, kept in ((False, 0), (True, 3)):
        judging = module.Judging(module.DEFAULT, keep=keep)
        judging.read(io.BytesIO(text(spans()).encode()), "x", module.Notes())
        assert kept == len(judging.traces[trace_id(1)].received)


def test_progress_shows_on_a_terminal_only() -> None:
    """On standard error, so that standard output stays clean; its notes come through."""
    code = """
import os, pty, subprocess, sys
main, child = pty.openpty()
done = subprocess.Popen([sys.executable, "-m", "cxotel", "judge", "--json", "-"], stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE, stderr=child)
out, _ = done.communicate(sys.stdin.buffer.read())
os.close(child)
shown = b""
try:
    while more := os.read(main, 65536):
        shown += more
except OSError:
    pass
print(done.returncode, out.count(b"trace_id"), b"reading -" in shown, b"line 1: not JSON" in shown)
"""
    data = b"oops\n" + text(spans()).encode()
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert b"0 1 True True\n" == done.stdout
