"""Protobuf messages and the model's spans, both ways; JSON needs no protobuf."""

from __future__ import annotations

import math
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_samples import ATTRIBUTES, END, TRACE_ID, request

from cxotel.impact.span import Span
from cxotel.otlp import from_request, to_json, to_request
from cxotel.otlp.document import spans_of

SCALARS = (
    st.text(st.characters(codec="utf-8"))
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.binary()
    | st.none()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=5,
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SPANS = st.builds(
    Span,
    trace_id=st.binary(min_size=16, max_size=16).filter(any).map(bytes.hex),
    span_id=st.binary(min_size=8, max_size=8).filter(any).map(bytes.hex),
    name=TEXT,
    start=st.integers(1, 2**64 - 1),
    end=st.integers(1, 2**64 - 1),
    attributes=st.dictionaries(TEXT, VALUES, max_size=4),
    parent_id=st.just("") | st.binary(min_size=8, max_size=8).filter(any).map(bytes.hex),
    scope=TEXT,
    status=st.integers(0, 2),
    status_message=TEXT,
    kind=st.integers(0, 5),
    service=TEXT,
)


def test_a_request_gives_its_spans() -> None:
    """Ids in hex, attributes in Python's own kinds, service and scope by name."""
    root, child = from_request(request())
    assert (
        Span(
            trace_id=TRACE_ID,
            span_id="000000000000000a",
            name="call inbound",
            start=END - 10**10,
            end=END,
            attributes=ATTRIBUTES,
            scope="sc",
            status=2,
            status_message="bad",
            kind=2,
            service="svc",
        )
        == root
    )
    assert ("000000000000000a", 1, 0, {}) == (child.parent_id, child.status, child.kind, child.attributes)


def test_ids_of_wrong_length_or_zeros_are_empty() -> None:
    """OTLP calls them invalid; the model counts such spans."""
    message = request()
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.trace_id, span.span_id, span.parent_span_id = b"\1" * 15, bytes(8), b"\1" * 9
    found = from_request(message)[0]
    assert ("", "", "") == (found.trace_id, found.span_id, found.parent_id)


@given(st.lists(SPANS, max_size=4))
def test_spans_survive_protobuf_and_json(spans: list[Span]) -> None:
    """Both forms give back what was put in, kind by kind."""
    sent = to_request(spans)
    assert spans == from_request(ExportTraceServiceRequest.FromString(sent.SerializeToString()))
    problems: list[str] = []
    received = list(spans_of(to_json(spans), problems.append))
    assert (spans, []) == (
        [one.span for one in received],
        problems + [b for one in received for b in one.bad],
    )
    for before, after in zip(spans, received, strict=True):
        for key, value in before.attributes.items():
            assert type(value) is type(after.span.attributes[key])


def test_nan_survives_both_ways() -> None:
    """A NaN is an attribute like another."""
    span = Span(TRACE_ID, "000000000000000a", "x", 1, 2, {"n": math.nan})
    [back] = from_request(to_request([span]))
    assert math.isnan(back.attributes["n"])
    [received] = spans_of(to_json([span]), str)
    assert math.isnan(received.span.attributes["n"])


def test_what_otlp_has_no_kind_for_goes_as_text() -> None:
    """An integer over 64 bits, a set, a tuple."""
    span = Span(TRACE_ID, "000000000000000a", "x", 1, 2, {"big": 2**70, "set": {1}, "pair": (1, "a")})
    expected = {"big": str(2**70), "set": "{1}", "pair": [1, "a"]}
    assert expected == from_request(to_request([span]))[0].attributes
    [received] = spans_of(to_json([span]), str)
    assert expected == received.span.attributes


def test_json_needs_no_protobuf() -> None:
    """Reading JSON works where opentelemetry-proto is not installed."""
    code = """
import sys
sys.modules["opentelemetry.proto"] = sys.modules["google.protobuf"] = None
from cxotel.otlp import read_json
print(len(list(read_json('{"resourceSpans": []}'))))
try:
    from cxotel.otlp import from_request
except ImportError:
    print("needs it")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "0\nneeds it\n" == done.stdout
