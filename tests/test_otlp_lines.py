"""A file's bytes become JSON documents: one a line, printed over many lines, gzip; bad ones are named."""

from __future__ import annotations

import gc
import gzip
import io
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_samples import ANSWERS

from cxotel.otlp import BadDocumentError, documents, lines, parse

ONE = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": 'a } ] " {'}]}]}]}
TWO = {"resourceSpans": []}


def read(data: bytes) -> tuple[list[tuple[int, Any]], list[tuple[int, str]]]:
    """Documents with their lines, and problems with theirs."""
    problems: list[tuple[int, str]] = []
    found = [
        (document.line, document.value)
        for document in documents(io.BytesIO(data), lambda line, text: problems.append((line, text)))
    ]
    return found, problems


def test_one_document_a_line() -> None:
    """JSON lines, blank lines between them, no newline at the end."""
    data = f"{json.dumps(ONE)}\n\n  {json.dumps(TWO)}\r\n{json.dumps(ONE)}".encode()
    assert ([(1, ONE), (3, TWO), (4, ONE)], []) == read(data)


@pytest.mark.parametrize("indent", [0, 1, 4, "\t"])
def test_documents_printed_over_many_lines(indent: Any) -> None:
    """As curl | jq, or Jaeger with prettyPrint, writes them; one behind the other."""
    one, two = json.dumps(ONE, indent=indent), json.dumps([TWO, ONE], indent=indent)
    assert ([(1, ONE), (1 + len(one.splitlines()), [TWO, ONE])], []) == read(f"{one}\n{two}\n".encode())


def test_documents_behind_each_other_on_one_line() -> None:
    """Jaeger's v3 API streams its chunks like that."""
    text = json.dumps(ONE)
    assert ([(1, ONE), (1, ONE), (1, TWO)], []) == read(f"{text}{text} {json.dumps(TWO)}\n".encode())


def test_gzip_is_seen_by_its_first_bytes() -> None:
    """Members behind each other are one file, as gzip itself reads them."""
    line = json.dumps(ONE).encode() + b"\n"
    assert ([(1, ONE), (2, ONE)], []) == read(gzip.compress(line) + gzip.compress(line))


def test_a_byte_order_mark_is_no_mistake() -> None:
    """Windows tools write one."""
    assert ([(1, TWO)], []) == read(b"\xef\xbb\xbf" + json.dumps(TWO).encode())


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"oops", "not JSON at column 1: Expecting value"),
        (b'{"resourceSpans": [,]}', "not JSON at column 20: Expecting value"),
        (b'{"resourceSpans": [{"scopeSp', "not JSON at column 21: Unterminated string"),
        (b'{"resourceSpans": [', "the JSON that begins here has no end (line 3 begins another)"),
        (b'{"name": "\xff"}', "not JSON in UTF-8 (invalid start byte at byte 10)"),
        (b"[" * 100_000 + b"]" * 100_000, "JSON nested too deeply"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_read(bad: bytes, said: str) -> None:
    """Lines before and after it are read as ever."""
    good = json.dumps(ONE).encode()
    found, [(line, text)] = read(b"\n".join([good, bad, good, good]))
    assert ([(1, ONE), (3, ONE), (4, ONE)], 2) == (found, line)
    assert text.startswith(said)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("between", ["\n", ""])
def test_a_number_of_thousands_of_digits_costs_its_document_nothing_else(
    sign: str, indent: int | None, between: str
) -> None:
    """On one line, printed over many, one behind another: it is out of every range."""
    text = json.dumps({**ONE, "number": 4711, "other": 7}, indent=indent)
    text = text.replace("4711", sign + "9" * 5000)
    value = {**ONE, "number": float(f"{sign}inf"), "other": 7}
    second = 1 + text.count("\n") + between.count("\n")
    assert ([(1, value), (second, value)], []) == read(f"{text}{between}{text}".encode())
    assert value == parse(text)


def test_a_mistake_behind_a_number_of_thousands_of_digits_is_named() -> None:
    """In the words of any other."""
    bad = b'{"a": ' + b"9" * 5000 + b", oops}"
    _, [(line, said)] = read(bad)
    assert (1, "not JSON at column 5009: ") == (line, said[: said.index(":") + 2])
    with pytest.raises(BadDocumentError, match="not JSON: "):
        parse(bad)


@pytest.mark.parametrize(
    "good",
    [
        {"schemaUrl": "x", "resourceSpans": []},
        {"status": "complete", "trace": {"resourceSpans": []}},
        {"total": 1, "data": [{"processes": {}, "spans": []}]},
        {"resourceLogs": []},
        [{"schemaUrl": "x", "batches": []}],
    ],
)
@pytest.mark.parametrize("behind", [b"", b"\n", b"\n\n", b"\noops"])
def test_any_known_document_ends_one_without_end(good: Any, behind: bytes) -> None:
    """Whatever its first key is; every good line after it is read, bad ones are named."""
    line = json.dumps(good).encode()
    found, problems = read(b"\n".join([b'{"resourceSpans": [', b'{"a":', line, line]) + behind)
    assert [(3, good), (4, good)] == found
    no_end = "the JSON that begins here has no end (line 3 begins another)"
    assert [(1, no_end), (5, "not JSON at column 1: Expecting value")][: 1 + (b"oops" in behind)] == problems


@pytest.mark.parametrize(
    "text",
    [
        '[\n{"resourceSpans": []},\n{"resourceSpans": [1]}\n]',
        '[\n{"resourceSpans": []}\n,\n{"resourceSpans": [1]}\n\n]',
        '{"data": [\n{"spans": [], "processes": {}}\n], "total": 0}',
        '{"resourceSpans": [\n{"scopeSpans": []}\n]}',
    ],
)
def test_a_list_of_one_item_a_line_is_one_document(text: str) -> None:
    """Its items may be whole documents."""
    assert ([(1, json.loads(text)), (1 + len(text.splitlines()), TWO)], []) == read(
        f"{text}\n{json.dumps(TWO)}".encode()
    )


def test_a_mistake_deep_in_a_printed_document_is_named_with_its_line() -> None:
    """The whole document is left out, the next one read."""
    broken = json.dumps(ONE, indent=1).replace('"spans": [', '"spans": [,')
    at = 1 + next(i for i, line in enumerate(broken.splitlines()) if "[," in line)
    found, [(line, text)] = read(f"{broken}\n{json.dumps(TWO)}\n".encode())
    assert ([(1 + len(broken.splitlines()), TWO)], at) == (found, line)
    assert text.endswith(": Expecting value")


def test_a_cut_document_at_the_end_is_named() -> None:
    """A download that broke off."""
    cut = "\n".join(json.dumps(ONE, indent=1).splitlines()[:-2])
    assert ([], [(1, "the JSON that begins here has no end (was the file cut off?)")]) == read(cut.encode())


def test_cut_gzip_gives_what_came_before() -> None:
    """The lines that could be unpacked are read."""
    line = json.dumps(ONE).encode() + b"\n"
    data = gzip.compress(line) + gzip.compress(line * 3)[:-9]
    found, problems = read(data)
    assert (1, ONE) in found
    assert ["cannot be read from here on"] == [text.split(":")[0] for _, text in problems]


def test_a_document_over_the_limit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line, or many lines without an end, never fill the memory."""
    monkeypatch.setattr(lines, "MAX_DOCUMENT", 1000)
    good, long = json.dumps(TWO).encode(), json.dumps({"a": "x" * 2500}).encode()
    printed = json.dumps({"a": list(range(400))}, indent=1).encode()
    found, problems = read(b"\n".join([good, long, good]))
    assert [(1, TWO), (3, TWO)] == found
    assert [2] == [line for line, _ in problems]
    found, problems = read(printed)
    assert not [value for _, value in found if isinstance(value, dict)]
    assert "longer than" in problems[0][1]


def test_reading_takes_time_in_proportion_to_length() -> None:
    """Sixteen times the lines, printed documents and brackets in strings too: 256 times if quadratic."""

    def seconds(data: bytes) -> float:
        gc.disable()  # what other tests left behind is not this reader's
        begun = time.process_time()
        read(data)
        taken = time.process_time() - begun
        gc.enable()
        return taken

    tricky = [
        json.dumps(ONE).encode() + b"\n",
        b'{"a": [\n' + b'"[[[",\n' * 30 + b"1]}\n",
        b'{"a": "' + b'\\"' * 200 + b"\\\n",
    ]
    for text in tricky:
        small = min(seconds(text * 250) for _ in range(5))
        assert min(seconds(text * 4000) for _ in range(3)) < 64 * small


@given(st.data())
def test_garbled_files_never_raise(data: st.DataObject) -> None:
    """Real answers in any order, cut and garbled, plain or gzip: documents and sentences come out."""
    parts = data.draw(
        st.lists(st.sampled_from([p.read_bytes() for p in sorted(ANSWERS.glob("*.json"))]), max_size=4)
    )
    raw = bytearray(data.draw(st.sampled_from([b"\n", b"", b" \r\n"])).join(parts))
    if data.draw(st.booleans()):
        raw = bytearray(gzip.compress(bytes(raw), mtime=0))
    for _ in range(data.draw(st.integers(0, 4)) if raw else 0):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    found, problems = read(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    assert all(line >= 1 for line, _ in found)
    assert all(line >= 1 and text for line, text in problems)


@given(
    st.lists(
        st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b"\n", b"a", b":", b",", b'{"data": [']),
        max_size=40,
    )
)
def test_any_mix_of_json_marks_never_raises(marks: list[bytes]) -> None:
    """The parts that the reader looks for, in any order."""
    read(b"".join(marks))
