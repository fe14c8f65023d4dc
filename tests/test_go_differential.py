"""The Go engine against the Python one: `cximpact` prints what `cxotel judge --json` prints, byte for byte.

CXOTEL_DIFFERENTIAL=10000 compares so many calls instead of the ordinary run's.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from differential_calls import joined, odd_calls, stretched
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cxotel.judge import judge
from cxotel.otlp import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cxotel.impact import Span

ROOT = Path(__file__).resolve().parent.parent
COLLECTOR = ROOT / "collector"
ANSWERS = Path(__file__).parent / "answers"
CASES = sorted(path.parent for path in (ROOT / "spec" / "vectors").glob("*/input.json"))
EXAMPLES = sorted(path.parent for path in (ROOT.parent / "shared/data/impact-examples").glob("*/input.json"))
# conftest.py takes our variables away from the tests; Linux keeps the environment as the process was started.
STARTED_WITH = Path("/proc/self/environ")
WANTED = re.search(
    rb"(?:^|\0)CXOTEL_DIFFERENTIAL=(\d+)", STARTED_WITH.read_bytes() if STARTED_WITH.exists() else b""
)
CALLS = int(WANTED[1]) if WANTED else 2000
BATCH = 200  # examples of one run
JOINED = 20  # calls whose spans make a long one
FORMS = ("--json", "--otlp")
GENERATE = settings(phases=[Phase.generate], database=None)


class Ran(NamedTuple):
    """What a run of a command gave."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go command, built once."""
    go = shutil.which("go")
    if go is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("go is not on PATH: in CI both engines are compared")
        pytest.skip("go is not on PATH, so there is no Go engine to compare with")
    path = tmp_path_factory.mktemp("go") / "cximpact"
    done = subprocess.run(
        [go, "build", "-o", str(path), "./cmd/cximpact"],
        cwd=COLLECTOR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return path


def in_go(binary: Path, *args: str, stdin: bytes = b"") -> Ran:
    """A run of the Go command."""
    done = subprocess.run([binary, *args], input=stdin, capture_output=True, check=False)
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def in_python(*args: str, stdin: bytes = b"") -> Ran:
    """A run of the Python command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            judge.main([*args], prog_name="cxotel judge")
    finally:
        sys.stdin = before
    return Ran(int(end.value.code or 0), out.getvalue(), err.getvalue())


def request(number: int, spans: Sequence[Span]) -> str:
    """The spans of a call, as trace of that number, as one line."""
    trace_id = f"{number + 1:032x}"
    return json.dumps(to_json(dataclasses.replace(span, trace_id=trace_id) for span in spans))


def drawn(strategy: st.SearchStrategy[Any], count: int) -> Iterator[list[Any]]:
    """Examples of a strategy, in batches."""
    while count > 0:
        batch = examples(strategy, min(BATCH, count))
        count -= len(batch)
        yield batch


def examples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Up to so many examples."""
    found: list[Any] = []

    @settings(GENERATE, max_examples=count)
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


def smaller(spans: list[Span], is_wrong: Callable[[list[Span]], bool]) -> list[Span]:
    """Spans that are still wrong, without those and without the attributes that it does not take."""
    size = len(spans)
    while size := size // 2:
        at = 0
        while at < len(spans):
            fewer = [*spans[:at], *spans[at + size :]]
            if is_wrong(fewer):
                spans = fewer
            else:
                at += size
    for i in range(len(spans)):
        for name in list(spans[i].attributes):
            attributes = {key: value for key, value in spans[i].attributes.items() if key != name}
            barer = [*spans[:i], dataclasses.replace(spans[i], attributes=attributes), *spans[i + 1 :]]
            if is_wrong(barer):
                spans = barer
    return spans


def test_both_engines_say_the_same_of_any_call(binary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every attribute, evidence span, warning and exit status, over thousands of calls."""

    def both(calls: list[list[Span]]) -> tuple[list[Ran], list[Ran]]:
        data = "\n".join(request(number, spans) for number, spans in enumerate(calls)).encode()
        return (
            [in_python(form, "-", stdin=data) for form in FORMS],
            [in_go(binary, form, "-", stdin=data) for form in FORMS],
        )

    def differs(spans: list[Span]) -> bool:
        expected, actual = both([spans])
        return expected != actual

    compared = 0
    for drawn_calls in drawn(odd_calls(), (CALLS + 1) // 2):
        # Many spans in a call are kept in other ways than few; drawn at once they would take too long.
        several = [drawn_calls[i : i + JOINED] for i in range(0, len(drawn_calls), JOINED)]
        long_calls = [joined(some, apart=i % 2 == 0) for i, some in enumerate(several)]
        batch = [*drawn_calls, *map(stretched, drawn_calls), *long_calls]
        expected, actual = both(batch)
        if expected != actual:
            wrong = next((spans for spans in batch if differs(spans)), None)
            if wrong is not None:
                wrong = smaller(wrong, differs)
                expected, actual = both([wrong])
                assert expected == actual, request(0, wrong)
            assert expected == actual, "only together do these calls differ"
        compared += len(batch)
    with capsys.disabled():
        print(f"\n{compared} calls compared, Go against Python")  # noqa: T201 (asked for)
    assert compared >= CALLS


# --- vectors ---


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector_gives_the_expected_attributes_in_go(binary: Path, case: Path) -> None:
    """Through the command, parameters and all; and in the bytes that Python prints."""
    overrides = case / "parameters.json"
    args = [*(("--parameters", str(overrides)) if overrides.exists() else ()), str(case / "input.json")]
    actual = in_go(binary, *args)
    assert in_python("--json", *args) == actual
    assert in_python("--otlp", *args) == in_go(binary, "--otlp", *args)
    [line] = actual.out.splitlines()
    assert json.loads((case / "expected.json").read_bytes()) == json.loads(line)["attributes"]


@pytest.mark.parametrize("case", EXAMPLES, ids=lambda case: case.name)
def test_shared_example_agrees_in_go(binary: Path, case: Path) -> None:
    """The worked examples; their evidence is no text, so it is Python's that is compared with."""
    actual = in_go(binary, str(case / "input.json"))
    assert in_python("--json", str(case / "input.json")) == actual
    [line] = actual.out.splitlines()
    texts = ("cx.impact.summary", "cx.impact.evidence")
    expected = json.loads((case / "expected.json").read_bytes())
    for attributes in (expected, said := json.loads(line)["attributes"]):
        for name in texts:
            attributes.pop(name, None)
    assert expected == said


# --- reading ---

# Stands for a number of more digits than Python reads or writes.
ENDLESS = 998877665544
ATOMS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 17, ENDLESS, -ENDLESS, 2**63, -(2**63), 2**64 - 1, 2**64, 10**30),
    *(1.5, -0.0, 1e16, 1e-5, 1e300, float("nan"), float("-inf")),
    *(
        "",
        "0",
        "-5",
        "--5",
        "18446744073709551615",
        "123456789012345678901",
        "NaN",
        "inf",
        "1e400",
        "1_0",
        ".5",
    ),
    *("\u00e9", "\ud800", "\U0001f600", "it's", 'say "x"', "both'\"", "\x00\x7f\x85", "a\tb\nc\r", "x" * 70),
    *("AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAE=", "AA=A", "=", '[1,"a",true,1.5]', "[[1]]", "[]"),
    *("STATUS_CODE_ERROR", "SPAN_KIND_CLIENT", "ERROR", "0" * 32, "0" * 16, "ab" * 16, "AB" * 8),
    *(
        [],
        {},
        [1],
        {"a": 1},
        {"values": None},
        {"stringValue": 7},
        {"intValue": 1.0},
        {"doubleValue": "1e-7"},
    ),
    *({"doubleValue": 10**400}, {"bytesValue": "AP\n8="}, {"foo": 1, "bar": None}),
    {"arrayValue": {"values": [{"stringValue": "k"}, {"intValue": 1}, {}, 7, None]}},
    {"kvlistValue": {"values": [{"key": "z", "value": {"boolValue": 3}}, 5]}},
    *({"key": "error", "value": True}, {"key": "span.kind", "value": "server"}),
    {"key": "cx.handoff.keys.expected", "type": "String", "value": '["a", "b", 1]'},
    {"refType": "CHILD_OF", "traceID": "1", "spanID": "2"},
)
NAMES = (
    *(
        "traceId",
        "trace_id",
        "traceID",
        "spanId",
        "parentSpanID",
        "name",
        "status",
        "kind",
        "attributes",
        "tags",
    ),
    *("resource_spans", "batches", "scope_spans", "spans", "processes", "process", "data", "result", "trace"),
    *("errors", "error", "resourceLogs", "startTime", "duration", "value", "type", "references", "key"),
)
REAL = [json.loads(path.read_bytes()) for path in sorted(ANSWERS.glob("*.json"))] + [
    json.loads((case / "input.json").read_bytes()) for case in CASES[::20]
]
PIECES = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"\\",
        b"\n",
        b":",
        b",",
        b'{"data": [',
        b'{"resourceSpans": []}\n',
        b"oops",
    ),
    *(
        b" ",
        b"\xc2\x85",
        b"\xe2\x80\x83",
        b"\x1c",
        b"\\u12",
        b"\\ud83d",
        b"1e",
        b"-",
        b"0.5",
        b"NaN",
        b"null",
    ),
    *(b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xef\xbb\xbf", b"\0"),
)


def parts_of(node: Any) -> Iterator[Any]:
    """All lists and objects of a document."""
    if isinstance(node, (dict, list)):
        yield node
        for inner in node.values() if isinstance(node, dict) else node:
            yield from parts_of(inner)


@st.composite
def odd_documents(draw: st.DrawFn) -> bytes:
    """A document of a known form with parts exchanged, printed in some way."""
    document = json.loads(json.dumps(draw(st.sampled_from(REAL))))
    for _ in range(draw(st.integers(0, 4))):
        part = draw(st.sampled_from(list(parts_of(document))))
        value = copy.deepcopy(draw(st.sampled_from(ATOMS)))
        if isinstance(part, list):
            part.insert(draw(st.integers(0, len(part))), value)
        else:
            part[draw(st.sampled_from((*part, *NAMES)))] = value
    indent = draw(st.sampled_from((None, None, 0, 1, "\t")))
    text = json.dumps(document, indent=indent, ensure_ascii=draw(st.booleans()))
    return text.encode(
        draw(st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16-be"))), "surrogatepass"
    )


@st.composite
def odd_files(draw: st.DrawFn) -> bytes:
    """Such documents one behind another, with pieces of JSON between and in them, cut off and zipped."""
    raw = draw(st.sampled_from((b"\n", b"", b" \r\n", b"\n\n", b",\n"))).join(
        draw(st.lists(odd_documents(), min_size=1, max_size=3))
    )
    raw = raw.replace(str(ENDLESS).encode(), b"9" * 4301)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.sampled_from(PIECES)) + raw[at + draw(st.integers(0, 3)) :]
    if draw(st.integers(0, 5)) == 0:
        raw = raw[: draw(st.integers(0, len(raw)))]
    if draw(st.integers(0, 5)) == 0:
        raw = gzip.compress(raw, mtime=0) + draw(st.sampled_from((b"", b"\0\0", gzip.compress(raw), b"junk")))
    return raw


def without_parsers_words(ran: Ran) -> Ran:
    """Python 3.13 has other words for some mistakes in JSON."""
    if sys.version_info < (3, 13):
        return ran
    return ran._replace(err=re.sub("not JSON at column .*", "not JSON", ran.err))


def test_both_commands_read_the_same_and_name_the_same_mistakes(binary: Path) -> None:
    """Files of all known forms, garbled: the same verdicts, and the same sentences about the same lines."""
    for batch in drawn(odd_files(), max(CALLS // 10, 1)):
        for data in batch:
            for form in FORMS:
                expected, actual = in_python(form, "-", stdin=data), in_go(binary, form, "-", stdin=data)
                assert without_parsers_words(expected) == without_parsers_words(actual), data


@pytest.mark.parametrize("path", sorted(ANSWERS.glob("*.json")), ids=lambda path: path.stem)
def test_answers_of_jaeger_and_tempo_are_read_alike(binary: Path, path: Path) -> None:
    """As recorded from the servers."""
    for form in FORMS:
        assert in_python(form, str(path)) == in_go(binary, form, str(path))


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["nowhere.json"],
        ["/"],
        ["--nothing", "-"],
        ["--parameters"],
        ["--parameters", "nowhere.yaml", "-"],
        ["--json=1", "-"],
        ["--json", "--otlp", "-"],
    ],
)
def test_wrong_usage_is_told_alike(binary: Path, args: list[str]) -> None:
    """The same words, and status 2; click's releases differ in their marks."""
    expected, actual = in_python(*args), in_go(binary, *args)
    assert expected[:2] == actual[:2]
    told = [re.findall(r"[\w/=-]+", ran.err.splitlines()[-1]) for ran in (expected, actual)]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "content",
    [
        "severity:\n  minor: 0.5\n  moderate: 1\nseverity.severe: 2\n",
        "",
        "cost: {customer_hourly: 20, agent_hourly: 31.5, currency: EUR}\n",
        "makers.latencies: {own.latency: respond}\n",
        "severity.minr: 1",
        "severity.minor: soon",
        "cost.customer_hourly: 20",
        "- a",
    ],
)
def test_parameters_are_taken_alike(binary: Path, tmp_path: Path, content: str) -> None:
    """By dotted name or nested; a wrong one is named in the same words, if in each language's quotes."""
    file = tmp_path / "own.yaml"
    file.write_text(content)
    args = ["--parameters", str(file), str(CASES[0] / "input.json")]
    expected, actual = in_python("--json", *args), in_go(binary, *args)
    assert expected[:2] == actual[:2]
    assert expected.err.replace('"', "'").splitlines()[-1:] == actual.err.replace('"', "'").splitlines()[-1:]
