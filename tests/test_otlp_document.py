"""OTLP/JSON and the answers of Jaeger and Tempo become the model's spans."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otlp_samples import ANSWERS, ATTRIBUTES, request

from cxotel.impact.span import Span
from cxotel.otlp import BadDocumentError, from_request, read_json

GOOD = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "eee19b7ec3c1b174",
    "name": "talk",
    "startTimeUnixNano": "1000",
    "endTimeUnixNano": 2000,
}


def document(span: Any) -> str:
    """An OTLP/JSON text with one span."""
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})


def read(span: Any) -> tuple[Span, list[str]]:
    """The one span of a document and what was said of it."""
    problems: list[str] = []
    [found] = read_json(document(span), problems.append)
    return found, problems


def attribute(value: Any) -> tuple[Any, list[str]]:
    """How the value of one attribute is read, and what was said of it."""
    span, problems = read({**GOOD, "attributes": [{"key": "k", "value": value}]})
    return span.attributes["k"], problems


@pytest.mark.parametrize(
    "name", ["jaeger_api_v3_traces.json", "tempo_api_traces.json", "tempo_api_v2_traces.json"]
)
def test_answers_of_jaeger_v3_and_tempo_give_the_spans_that_were_sent(name: str) -> None:
    """Ids in hex or base64, enums as names or numbers: the spans are those of the protobuf request."""
    assert from_request(request()) == list(read_json((ANSWERS / name).read_bytes(), pytest.fail))


def test_jaegers_own_json_gives_the_spans_but_for_maps_and_empty_values() -> None:
    """Tags go back to their OTLP places; a map stays the text that Jaeger made of it."""
    root, child = from_request(request())
    root.attributes = {**ATTRIBUTES, "kvl": '{"n":1.5}', "empty": ""}
    assert [root, child] == list(read_json((ANSWERS / "jaeger_api_traces.json").read_bytes(), pytest.fail))


def jaeger_span(**more: Any) -> str:
    """Jaeger's download of one trace with one span."""
    span = {"traceID": "1f", "spanID": "2a", "operationName": "talk", "startTime": 5, "duration": 2, **more}
    return json.dumps({"spans": [span], "processes": {"p1": {"serviceName": "svc", "tags": []}}})


def test_older_jaegers_are_read_too() -> None:
    """Ids without their leading zeros, the parent in a field of its own, the process inside the span."""
    text = jaeger_span(
        parentSpanID="3b",
        process={"serviceName": "own"},
        tags=[{"key": "otel.library.name", "type": "string", "value": "lib"}],
    )
    expected = Span(
        "1f".rjust(32, "0"),
        "2a".rjust(16, "0"),
        "talk",
        5000,
        7000,
        {},
        "3b".rjust(16, "0"),
        "lib",
        service="own",
    )
    assert [expected] == list(read_json(text, pytest.fail))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("[1, 2.5, true]", [1, 2.5, True]), ("[[1]]", "[[1]]"), ("[x", "[x"), ("[]", []), ("{}", "{}")],
)
def test_arrays_that_jaeger_made_text_are_arrays_again(value: str, expected: Any) -> None:
    """Those of strings, numbers and bools: the model reads a handoff's keys from such."""
    text = jaeger_span(tags=[{"key": "k", "type": "string", "value": value}], processID="p1")
    [span] = read_json(text, pytest.fail)
    assert ({"k": expected}, "svc") == (span.attributes, span.service)


def test_odd_parts_of_jaegers_json_are_named_and_the_rest_is_read() -> None:
    """Spans, tags and times that are something else."""
    problems: list[str] = []
    document = json.loads(jaeger_span(tags=["x"], startTime="soon", logs=[7]))
    document["spans"] += [7]
    [span] = read_json(json.dumps({"data": [document, 8]}), problems.append)
    assert ("talk", 0, 0, {}) == (span.name, span.start, span.end, span.attributes)
    first = "data[0] read as OTLP[0].scopeSpans[0].spans[0]"
    assert [
        f"{first}: startTimeUnixNano 'soon' where ns since 1970 belong",
        f"{first}: endTimeUnixNano none where ns since 1970 belong",
        f"{first}: an attribute without a key",
        "data[0] read as OTLP[1].scopeSpans[0].spans[0] is no object, left out",
        "data[1] read as OTLP[0] is no object, left out",
    ] == problems


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jaeger_api_v3_not_found.json", "a server's error answer: 'No traces found'"),
        ("jaeger_api_not_found.json", "a server's error answer: 'trace not found'"),
    ],
)
def test_an_error_answer_is_said_in_the_servers_words(name: str, text: str) -> None:
    """What a server answers about an unknown trace is no trace."""
    with pytest.raises(BadDocumentError) as caught:
        list(read_json((ANSWERS / name).read_bytes()))
    assert text == str(caught.value)


def test_tempos_answer_about_an_unknown_trace_holds_no_span() -> None:
    """Tempo's v2 API answers 200 with an empty trace."""
    assert [] == list(read_json((ANSWERS / "tempo_api_v2_not_found.json").read_bytes(), pytest.fail))


def test_a_list_of_documents_is_read_as_each_of_them() -> None:
    """Requests gathered in one JSON array."""
    text = f"[{document(GOOD)}, {document(GOOD)}]"
    assert 2 == len(list(read_json(text, pytest.fail)))


def test_snake_case_is_read_like_camel_case() -> None:
    """Protobuf's JSON mapping accepts both names of a field."""
    snake = {
        "trace_id": GOOD["traceId"],
        "span_id": GOOD["spanId"],
        "parent_span_id": GOOD["spanId"],
        "name": "talk",
        "start_time_unix_nano": "1000",
        "end_time_unix_nano": "2000",
        "attributes": [{"key": "k", "value": {"int_value": "7"}}],
    }
    text = json.dumps({"resource_spans": [{"scope_spans": [{"scope": {"name": "s"}, "spans": [snake]}]}]})
    expected = Span(
        "5b8efff798038103d269b633813fc60c",
        "eee19b7ec3c1b174",
        "talk",
        1000,
        2000,
        {"k": 7},
        "eee19b7ec3c1b174",
        "s",
    )
    assert [expected] == list(read_json(text, pytest.fail))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": "7"}, "7"),
        ({"boolValue": True}, True),
        ({"intValue": "7"}, 7),
        ({"intValue": 7}, 7),
        ({"intValue": str(-(2**63))}, -(2**63)),
        ({"doubleValue": 7}, 7.0),
        ({"doubleValue": "7.5e1"}, 75.0),
        ({"doubleValue": "-Infinity"}, -math.inf),
        ({"bytesValue": "AP8="}, b"\x00\xff"),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": False}}]}}, {"a": False}),
        ({}, None),
        (None, None),
    ],
)
def test_values_keep_their_kind(value: Any, expected: Any) -> None:
    """A bool stays a bool, an int an int, a double a float."""
    found, problems = attribute(value)
    assert (expected, type(expected), []) == (found, type(found), problems)


@pytest.mark.parametrize("text", ['{"doubleValue": "NaN"}', '{"doubleValue": NaN}'])
def test_nan_is_a_value_like_another(text: str) -> None:
    """NaN as OTLP/JSON writes it, and as Python's json does."""
    found, problems = attribute(json.loads(text))
    assert (True, []) == (math.isnan(found), problems)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"intValue": "seven"}, "intValue 'seven'"),
        ({"intValue": True}, "intValue True"),
        ({"intValue": 2**63}, "intValue 9223372036854775808"),
        ({"doubleValue": "1_0"}, "doubleValue '1_0'"),
        ({"doubleValue": 10**400}, "doubleValue 1" + "0" * 56 + "..."),
        ({"stringValue": 7}, "stringValue 7"),
        ({"boolValue": "true"}, "boolValue 'true'"),
        ({"bytesValue": "?"}, "bytesValue '?'"),
        ({"arrayValue": []}, "arrayValue that is a list"),
        ({"fooValue": 1}, "a value of an unknown kind: 'fooValue'"),
        (7, "a value that is no object"),
    ],
)
def test_a_value_that_is_not_of_its_kind_is_named(value: Any, said: str) -> None:
    """It is read as NaN or None: the model counts it wherever it wanted to read it."""
    found, problems = attribute(value)
    assert found is None or math.isnan(found)
    assert [f"resourceSpans[0].scopeSpans[0].spans[0]: attribute 'k' has {said}"] == problems


@pytest.mark.parametrize(
    ("field", "value", "attr", "left"),
    [
        ("traceId", "abc", "trace_id", ""),
        ("traceId", "0" * 32, "trace_id", ""),
        ("spanId", "eee19b7ec3c1b17", "span_id", ""),
        ("spanId", None, "span_id", ""),
        ("spanId", "zzz19b7ec3c1b174", "span_id", ""),
        ("spanId", "AAAAAAAAAAAA", "span_id", ""),
        ("parentSpanId", "abc", "parent_id", ""),
        ("startTimeUnixNano", "soon", "start", 0),
        ("startTimeUnixNano", True, "start", 0),
        ("endTimeUnixNano", -5, "end", 0),
        ("endTimeUnixNano", 2**64, "end", 0),
        ("kind", "SPAN_KIND_PHONE", "kind", 0),
        ("kind", 17, "kind", 0),
        ("status", {"code": "BAD"}, "status", 0),
        ("status", 7, "status", 0),
        ("name", 7, "name", ""),
    ],
)
def test_a_bad_field_is_named_and_left_empty(field: str, value: Any, attr: str, left: Any) -> None:
    """The rest of the span is as it was sent."""
    span, problems = read({**GOOD, field: value})
    assert left == getattr(span, attr)
    [problem] = problems
    assert field in problem
    assert problem.startswith("resourceSpans[0].scopeSpans[0].spans[0]: ")
    [whole] = read_json(document(GOOD), pytest.fail)
    setattr(whole, attr, left)
    assert whole == span


def test_no_parent_may_be_written_as_absent_empty_or_zeros() -> None:
    """None of the three is a mistake."""
    for parent in (None, "", "0" * 16):
        assert [] == read({**GOOD, "parentSpanId": parent})[1]


def test_parts_that_are_no_objects_are_named_and_the_rest_is_read() -> None:
    """A group, a scope and a span that are something else."""
    groups = [7, {"scopeSpans": [None, {"spans": ["x", GOOD]}]}, {"scopeSpans": {}}]
    problems: list[str] = []
    spans = list(read_json(json.dumps({"resourceSpans": groups}), problems.append))
    assert ["talk"] == [span.name for span in spans]
    assert [
        "resourceSpans[0] is no object, left out",
        "resourceSpans[1].scopeSpans[0] is no object, left out",
        "resourceSpans[1].scopeSpans[1].spans[0] is no object, left out",
        "resourceSpans[2].scopeSpans is no list, nothing of it was read",
    ] == problems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON: Expecting value"),
        ("{", "not JSON"),
        (b"\xff{}", "not JSON in UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "a JSON float where a trace was expected"),
        ("7", "a JSON int where a trace was expected"),
        ("[" * 20 + "]" * 20, "a JSON list where a trace was expected"),
        ('{"a": 1}', "(its keys: 'a')"),
        ('{"data": null}', "(its keys: 'data')"),
    ],
)
def test_what_is_no_trace_is_said_to_be_none(text: str | bytes, said: str) -> None:
    """One exception type for all of it."""
    with pytest.raises(BadDocumentError) as caught:
        list(read_json(text))
    assert said in str(caught.value)


def test_the_other_signals_of_a_collectors_file_hold_no_span() -> None:
    """The Collector's file exporter may write logs beside traces."""
    assert [] == list(read_json('{"resourceLogs": []}', pytest.fail))


# --- fuzz ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
REAL = [json.loads(path.read_text()) for path in sorted(ANSWERS.glob("*.json"))]


def paths(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all parts of a document."""
    out = [at]
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        out += paths(value, (*at, key))
    return out


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with the part at a path exchanged."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def survives(text: str | bytes) -> None:
    """Reading gives well-formed spans and sentences, or the one documented exception."""
    problems: list[str] = []
    try:
        for span in read_json(text, problems.append):
            assert (len(span.trace_id), len(span.span_id)) in {(t, s) for t in (0, 32) for s in (0, 16)}
            assert isinstance(span.name, str)
            assert 0 <= span.start < 2**64
            assert 0 <= span.end < 2**64
            assert span.status in {0, 1, 2}
    except BadDocumentError as error:
        assert str(error)  # noqa: PT017  # either way is right
    assert all(isinstance(problem, str) for problem in problems)


@given(st.data())
def test_real_answers_with_any_part_exchanged_never_raise_anything_else(data: st.DataObject) -> None:
    """Each part of each recorded answer, exchanged for any JSON or another part of it."""
    real = data.draw(st.sampled_from(REAL))
    for _ in range(data.draw(st.integers(1, 3))):
        real = changed(real, data.draw(st.sampled_from(paths(real))), data.draw(JSON))
        if not isinstance(real, (dict, list)):
            break
    survives(json.dumps(real))


@given(JSON)
def test_any_json_never_raises_anything_else(value: Any) -> None:
    """Numbers, texts, lists and objects of no sense."""
    survives(json.dumps(value))


@given(st.sampled_from(sorted(ANSWERS.glob("*.json"))), st.data())
def test_cut_or_garbled_bytes_never_raise_anything_else(path: Any, data: st.DataObject) -> None:
    """A real answer cut off somewhere, with some bytes exchanged."""
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
