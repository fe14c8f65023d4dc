"""What users test their programs with: captured spans, a stepped clock, counted ids, a tree as text."""

from __future__ import annotations

import pytest
from opentelemetry import trace

import cxotel
from cxotel import _guard, testing
from cxotel.ids import call_ids


def test_one_assert_compares_a_whole_tree() -> None:
    """Spans stand below their parents with seconds, errors and the attributes asked for."""
    with testing.capture() as captured:
        with cxotel.start_call("c-1") as call:
            with call.start_activity("queue"):
                captured.clock.advance(12)
            lookup = call.start_lookup("billing", "find invoice")
            captured.clock.advance(0.5)
            lookup.fail(KeyError())
            call.stop(outcome="abandoned", ended_by="customer")

        assert testing.text("""
            call inbound 0-12.5 s cx.call.outcome=abandoned
              call started 0 s
              queue 0-12 s cx.activity=queue
              crm lookup 12-12.5 s ERROR KeyError cx.activity=lookup cx.crm.operation="find invoice"
        """) == captured.tree("cx.activity", "cx.call.outcome", "cx.crm.operation")


def test_spans_of_others_are_captured_and_stamped() -> None:
    """A tracer of the capture's provider stands for any instrumentation."""
    with testing.capture() as captured:
        with cxotel.start_call("c-1"):
            captured.tracer_provider.get_tracer("http").start_span("GET").end()

        assert captured.one("GET").attributes == {"cx.call.id": "c-1", "cx.call.namespace": "test"}


def test_ids_are_counted_and_roots_are_computed() -> None:
    """Runs give the same ids every time."""
    with testing.capture() as captured:
        cxotel.start_call("c-1").stop()
        ids = call_ids("c-1", "test")

        assert (ids.trace_id, ids.span_id) == testing._id(captured.one("call inbound"))
        assert captured.one("call started").context.span_id == 1


def test_log_records_are_captured() -> None:
    """The call's two events carry the root's ids."""
    with testing.capture() as captured:
        call = cxotel.start_call("c-1")
        call.stop()

        assert ["cx.call.started", "cx.call.ended"] == [record.event_name for record in captured.logs]
        assert {call.span_id} == {trace.format_span_id(record.span_id or 0) for record in captured.logs}


def test_a_capture_leaves_nothing_behind() -> None:
    """Provider, namespace, clock and counters are as they were before."""
    with testing.capture(namespace="outer") as outer:
        with testing.capture(namespace="inner"):
            _guard.count(_guard.BAD_VALUE)
            cxotel.start_call("c-1").stop()
        cxotel.start_call("c-2").stop()

        assert ["outer"] == [span.attributes["cx.call.namespace"] for span in outer.named("call inbound")]
        assert {} == cxotel.counters()


def test_a_span_that_is_not_there_shows_those_that_are() -> None:
    """The message of `one` holds the tree."""
    with testing.capture() as captured:
        cxotel.start_call("c-1").stop()

        with pytest.raises(AssertionError, match=r"0 spans are named 'talk'(?s:.)*call inbound 0 s"):
            captured.one("talk")
