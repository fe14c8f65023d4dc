"""Bodies as they come over the wire: protobuf, JSON and gzip, whole, broken and hostile."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cxotel.desk import wire

TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def body(**fields: object) -> bytes:
    """OTLP/JSON with one span."""
    span = {"traceId": TRACE, "spanId": SPAN, "name": "queue", **fields}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def decoded_request(data: bytes) -> ExportTraceServiceRequest:
    """A body of which nothing is refused."""
    message, spoiled = wire.decode_json(wire.TRACES, data)
    assert spoiled == []
    assert isinstance(message, ExportTraceServiceRequest)
    return message


def decoded(data: bytes) -> object:
    """The span of a body."""
    return decoded_request(data).resource_spans[0].scope_spans[0].spans[0]


def test_hex_ids_of_json_become_bytes() -> None:
    """Also in links, and in either case."""
    span = decoded(body(parentSpanId=SPAN.upper(), links=[{"traceId": TRACE, "spanId": SPAN}]))
    assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN, SPAN)
    assert (span.links[0].trace_id.hex(), span.links[0].span_id.hex()) == (TRACE, SPAN)


@pytest.mark.parametrize("bad", ["xyz", "5b8", "not hex at all!!"])
def test_an_id_that_is_no_hex_spoils_only_its_span(bad: str) -> None:
    """It becomes an id of wrong length, which is refused with its span alone."""
    assert len(decoded(body(traceId=bad)).trace_id) not in (0, 16)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Expecting value"),
        (b"[]", "an object is needed"),
        (b'{"resourceSpans": [', "Expecting value"),
        (b'{"a": "\xff"}', "codec"),
        (b'{"resourceSpans": ' + b"[" * 5000 + b"]" * 5000 + b"}", "not"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": 7}]}]}', "spans"),
        (b'{"resourceSpans": [{"resource": 7, "scopeSpans": [{"spans": []}]}]}', "resource"),
        (b'{"resourceSpans": [{"schemaUrl": "\\ud800"}]}', "schemaUrl"),
        (b'{"resourceSpans": 7}', "resourceSpans"),
    ],
)
def test_a_body_that_is_no_otlp_json_says_what_is_wrong(data: bytes, says: str) -> None:
    """The message names the place."""
    with pytest.raises(wire.BadBodyError, match=says):
        wire.decode_json(wire.TRACES, data)


@pytest.mark.parametrize(
    ("span", "says"),
    [
        ({"traceId": 5}, "traceId"),
        ({"startTimeUnixNano": "tomorrow"}, "startTimeUnixNano"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano"),
        ({"endTimeUnixNano": float("inf")}, "endTimeUnixNano"),
        ({"kind": {"a": 1}}, "kind"),
        ({"kind": "\ud800"}, "surrogate"),
        ({"name": 5}, "name"),
        ({"status": 5}, "status"),
        ({"attributes": [{"key": "a", "value": {"intValue": "9" * 30}}]}, "intValue"),
        ({"attributes": [None]}, "attributes"),
        (None, "object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_ill_typed_field_spoils_only_its_span(span: dict[str, object] | None, says: str) -> None:
    """The others keep their scope, and the reason names span and field."""
    bad = span and {"traceId": TRACE, "spanId": SPAN, "name": "the bad one", **span}
    tree = json.loads(body(name="before"))
    tree["resourceSpans"][0]["scopeSpans"][0]["spans"] += [bad]
    tree["resourceSpans"] += json.loads(body(name="after"))["resourceSpans"]
    message, spoiled = wire.decode_json(wire.TRACES, json.dumps(tree).encode())
    names = [[[span.name for span in c.spans] for c in g.scope_spans] for g in message.resource_spans]
    assert names == [[["before"]], [["after"]]]
    assert [says in one.note for one in spoiled] == [True]
    assert spoiled[0].trace_id == (bytes.fromhex(TRACE) if bad and says != "traceId" else b"")
    assert wire.response_body(wire.answer(wire.TRACES, 1, spoiled[0].note), as_json=True)


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(
    "field",
    [{"startTimeUnixNano": 4711}, {"attributes": [{"key": "a", "value": {"intValue": 4711}}]}],
)
def test_a_number_of_thousands_of_digits_spoils_only_its_span(quote: str, field: dict[str, object]) -> None:
    """Its sender is told which, and nothing of Python's settings."""
    tree = json.loads(body(name="good"))
    tree["resourceSpans"] += json.loads(body(name="the bad one", **field))["resourceSpans"]
    data = json.dumps(tree).replace("4711", quote + "9" * 5000 + quote).encode()
    message, [spoiled] = wire.decode_json(wire.TRACES, data)
    assert [["good"], []] == [[s.name for s in g.scope_spans[0].spans] for g in message.resource_spans]
    assert bytes.fromhex(TRACE) == spoiled.trace_id
    assert "the bad one" in spoiled.note
    assert "sys." not in spoiled.note


def test_a_number_of_thousands_of_digits_in_a_field_unknown_to_us_is_passed_over() -> None:
    """As any other there."""
    assert decoded(body(newField=4711).replace(b"4711", b"9" * 5000)).name == "queue"


def test_of_a_field_under_both_its_names_the_last_counts() -> None:
    """Also where spans are parsed one by one."""
    tree = json.loads(body(name="first")) | {"resource_spans": json.loads(body(name=5))["resourceSpans"]}
    message, spoiled = wire.decode_json(wire.TRACES, json.dumps(tree).encode())
    assert [len(group.scope_spans[0].spans) for group in message.resource_spans] == [0]
    assert ["name" in one.note for one in spoiled] == [True]


def test_fields_unknown_to_us_are_passed_over() -> None:
    """A newer OTLP may have more."""
    assert decoded(body(newField={"a": 1})).name == "queue"


def test_a_truncated_protobuf_body_is_refused() -> None:
    """As is one of another kind."""
    whole = decoded_request(body()).SerializeToString()
    with pytest.raises(wire.BadBodyError, match="ExportTraceServiceRequest"):
        wire.decode(wire.TRACES, whole[:-1])


def test_json_out_has_hex_ids_and_numbers_for_enums() -> None:
    """As OTLP/JSON has it, so that what is read again is the same."""
    sent, _ = wire.decode_json(
        wire.TRACES, body(kind=2, status={"code": 2}, startTimeUnixNano="1760000000000000000")
    )
    tree = wire.to_json(sent)
    span = tree["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert (span["traceId"], span["spanId"], span["kind"], span["status"]["code"]) == (TRACE, SPAN, 2, 2)
    assert wire.decode_json(wire.TRACES, json.dumps(tree).encode()) == (sent, [])


def test_gzip_of_one_or_more_members_is_unpacked() -> None:
    """RFC 1952, 2.2: members simply follow each other."""
    assert wire.gunzip(gzip.compress(b"abc") + gzip.compress(b"def"), 100) == b"abcdef"


def test_gzip_members_longer_than_a_block_are_unpacked() -> None:
    """Members end anywhere in a block, or at its edge."""
    parts = [os.urandom(size) for size in (3 * wire.GZIP_BLOCK, 1, wire.GZIP_BLOCK)]
    body = b"".join(gzip.compress(part) for part in parts)
    assert wire.gunzip(body, 10 * wire.GZIP_BLOCK) == b"".join(parts)
    stored = zlib.compressobj(0, wbits=31)
    at_edge = stored.compress(bytes(wire.GZIP_BLOCK - 28)) + stored.flush()
    assert len(at_edge) == wire.GZIP_BLOCK
    assert len(wire.gunzip(at_edge * 2, 2 * wire.GZIP_BLOCK)) == 2 * (wire.GZIP_BLOCK - 28)


def test_gzip_of_very_many_members_is_refused() -> None:
    """Each costs the reader more than its 20 bytes cost the sender."""
    assert wire.gunzip(gzip.compress(b"") * wire.MAX_MEMBERS, 100) == b""
    with pytest.raises(wire.BadBodyError, match="more than 1000 members"):
        wire.gunzip(gzip.compress(b"") * (wire.MAX_MEMBERS + 1), 100)


def test_a_gzip_bomb_is_stopped_at_the_limit() -> None:
    """10 MB of zeros in 10 kB are refused, also spread over members."""
    for bomb in (gzip.compress(bytes(10_000_000)), gzip.compress(bytes(90)) * 2):
        with pytest.raises(wire.TooLargeError, match="100 bytes"):
            wire.gunzip(bomb, 100)


def test_gzip_at_the_limit_passes() -> None:
    """The limit itself is allowed."""
    assert len(wire.gunzip(gzip.compress(bytes(100)), 100)) == 100


@pytest.mark.parametrize("broken", [b"plain", gzip.compress(b"abc")[:-1], gzip.compress(b"abc") + b"tail"])
def test_what_is_not_gzip_is_refused(broken: bytes) -> None:
    """Cut off, followed by something else, or none at all."""
    with pytest.raises(wire.BadBodyError, match="not gzip"):
        wire.gunzip(broken, 1000)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoders(data: bytes) -> None:
    """Whatever comes is a message or a BadBodyError."""
    for decode in (wire.decode, wire.decode_json):
        for signal in wire.SIGNALS:
            with suppress(wire.BadBodyError):
                decode(signal, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "resourceSpans",
                    "scopeSpans",
                    "spans",
                    "traceId",
                    "spanId",
                    "attributes",
                    "key",
                    "value",
                    "intValue",
                    "status",
                    "kind",
                    "kvlistValue",
                    "values",
                    "startTimeUnixNano",
                    "events",
                    "resource",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@given(JSON)
def test_no_json_crashes_the_decoder(tree: object) -> None:
    """Whatever the shape, it is a message or a BadBodyError."""
    for signal in wire.SIGNALS:
        with suppress(wire.BadBodyError):
            wire.decode_json(signal, json.dumps(tree).encode())


def test_what_is_no_object_in_a_list_costs_nothing_else() -> None:
    """Text among scopes, beside a span that does not parse: the good span of the other scope is there."""
    good = {"traceId": "5b" * 16, "spanId": "0a" * 8, "name": "good"}
    scopes = ["0", None, {"spans": [{**good, "name": {"no": "text"}}]}, 7, {"spans": [good]}]
    text = json.dumps({"resourceSpans": [{"scopeSpans": scopes}, "x"]})
    request, spoiled = wire.decode_json(wire.TRACES, text.encode())
    assert isinstance(request, ExportTraceServiceRequest)
    spans = [span for scoped in request.resource_spans[0].scope_spans for span in scoped.spans]
    assert [span.name for span in spans] == ["good"]
    assert sorted(one.note[:40] for one in spoiled)[:2] == [
        "something in resourceSpans is no object",
        "something in scopeSpans is no object",
    ]
    assert len(spoiled) == 3
