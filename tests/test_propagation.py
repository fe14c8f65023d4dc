"""Contexts cross from one participant to the next, and bad ones hurt nobody."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.span import TraceState

import cxotel
from cxotel import _guard, propagation
from cxotel.testing import capture

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
IDS = (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)


@pytest.fixture(autouse=True)
def _fresh_counters() -> None:
    _guard.reset()


def test_what_is_injected_is_extracted() -> None:
    """Ids, flags and our tracestate member survive a mapping."""
    headers: dict[str, str] = {}
    with capture():
        call = cxotel.start_call("c-1")
        call.inject(headers)
    context = propagation.extract(headers)

    assert context is not None
    assert (call.trace_id, call.span_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert propagation.is_ours(context)
    assert context.is_remote


def test_sip_headers_carry_the_context_twice() -> None:
    """X- headers survive more intermediaries than the plain one."""
    headers: dict[str, str] = {}
    with capture():
        cxotel.start_call("c-1").inject(headers, form="sip")

    assert ["Traceparent", "X-Traceparent", "Tracestate"] == list(headers)
    del headers["Traceparent"]
    context = propagation.extract(headers)
    assert context is not None
    assert propagation.is_ours(context)


@pytest.mark.parametrize(
    "carrier",
    [
        {"traceparent": PARENT},
        {"Traceparent": PARENT},
        {"X-TRACEPARENT": PARENT},
        {"traceparent": [PARENT]},
        {"traceparent": f" {PARENT} "},
        {"Traceparent": "garbage", "X-Traceparent": PARENT},
        {"traceparent": PARENT, "tracestate": "x" * 9000},
        {"traceparent": PARENT, "tracestate": ["a=1", "b=2"]},
        {7: "x", "traceparent": PARENT},
        UserDict({"traceparent": PARENT}),
    ],
)
def test_a_context_is_found_however_it_is_written(carrier: Any) -> None:
    """Case, lists, X- headers and a tracestate that is too large do not hide it."""
    context = propagation.extract(carrier)

    assert context is not None
    assert (context.trace_id, context.span_id) == IDS


@pytest.mark.parametrize(
    "carrier",
    [
        {"traceparent": ""},
        {"traceparent": PARENT[:-4]},
        {"traceparent": PARENT.replace("00-", "ff-", 1)},
        {"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01"},
        {"traceparent": PARENT + "x" * 300},
        {"traceparent": [PARENT, PARENT]},
        {"traceparent": 7},
        {"traceparent": b"bytes"},
    ],
)
def test_a_bad_traceparent_is_counted_and_ignored(carrier: Any) -> None:
    """The next way of joining is used; nothing is raised."""
    assert propagation.extract(carrier) is None
    assert {"bad_carrier": 1} == cxotel.counters()


@pytest.mark.parametrize("carrier", [7, "traceparent", object(), [PARENT]])
def test_what_is_no_mapping_is_not_read(carrier: Any) -> None:
    """Hosts hand over all kinds of things."""
    assert propagation.extract(carrier) is None


def test_a_field_that_cannot_be_read_is_counted() -> None:
    """A list of headers may be a view of something that is gone."""

    class Gone(list[str]):
        def __iter__(self) -> Any:
            raise RuntimeError("gone")

    assert propagation.extract({"traceparent": Gone([PARENT])}) is None
    assert {"bad_carrier": 1} == cxotel.counters()


def test_no_carrier_is_nothing_to_count() -> None:
    """None and an empty mapping are what most calls have."""
    assert propagation.extract(None) is None
    assert propagation.extract({}) is None
    assert {} == cxotel.counters()


def test_a_mapping_that_refuses_is_counted() -> None:
    """A frozen mapping of headers cannot be written to."""

    class Frozen(dict[str, str]):
        def __setitem__(self, key: str, value: str) -> None:
            raise TypeError("frozen")

    with capture():
        cxotel.start_call("c-1").inject(Frozen())

        assert {"bad_carrier": 1} == cxotel.counters()


def test_an_unknown_form_is_counted() -> None:
    """Nothing is written in a form that nobody would read."""
    headers: dict[str, str] = {}
    propagation.inject(headers, form="pigeon")

    assert ({}, {"bad_carrier": 1}) == (headers, cxotel.counters())


def test_our_member_stands_in_front_and_w3cs_limit_holds() -> None:
    """Of 32 foreign members the last gives way to ours; one of ours is not there twice."""
    full = TraceState([(f"k{number}", "v") for number in range(32)])

    marked = propagation.marked(full)

    assert (32, "cx") == (len(marked), next(iter(marked)))
    assert list(marked) == list(propagation.marked(marked))


def test_a_context_of_others_is_not_ours() -> None:
    """Only the member `cx` says so."""
    foreign = SpanContext(
        *IDS, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "1")])
    )

    assert not propagation.is_ours(foreign)
    assert not propagation.is_ours(trace.INVALID_SPAN_CONTEXT)


HEADERS = st.sampled_from(
    ["traceparent", "Traceparent", "X-Traceparent", "tracestate", "Tracestate", "other"]
)
VALUES = st.one_of(
    st.text(),
    st.just(PARENT),
    st.from_regex(r"\A[0-9a-fA-F]{2}-[0-9a-f]{30,34}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?\Z"),
    st.from_regex(r"\A([a-z0-9_*/@-]{0,5}=[ -~]{0,9},?){0,40}\Z"),
    st.lists(st.text(), max_size=3),
    st.none() | st.integers() | st.binary(),
)


@given(st.dictionaries(HEADERS | st.text() | st.integers(), VALUES))
@example({"traceparent": PARENT, "tracestate": "\x00=\ud800"})
def test_no_header_makes_the_parser_raise(carrier: dict[Any, Any]) -> None:
    """Whatever arrives, the answer is a valid context or none."""
    context = propagation.extract(carrier)

    assert context is None or context.is_valid


@given(
    st.one_of(
        st.none(), st.text(), st.lists(st.integers()), st.dictionaries(st.text(), st.integers()), st.binary()
    )
)
def test_no_carrier_makes_the_parser_raise(carrier: Any) -> None:
    """Nor does what is no carrier at all."""
    assert propagation.extract(carrier) is None
