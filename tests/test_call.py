"""A call's root, how participants join it, and what its context carries."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.span import TraceState

import cxotel
from cxotel import testing
from cxotel._semconv import NAMES, TEMPLATES
from cxotel.ids import call_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.testing import Capture

FOREIGN_IDS = (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
FOREIGN = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}


@pytest.fixture
def captured() -> Iterator[Capture]:
    """What the test records."""
    with testing.capture() as capture:
        yield capture


def foreign_context(*, ours: bool = False) -> otel_context.Context:
    """A context in which a span of somebody else (or of one of us) is current."""
    state = TraceState([("cx", "1")]) if ours else TraceState()
    span_context = SpanContext(*FOREIGN_IDS, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    return trace.set_span_in_context(trace.NonRecordingSpan(span_context))


# The root


def test_the_root_has_the_ids_that_everyone_computes(captured: Capture) -> None:
    """No parent, and all that is known of the call."""
    call = cxotel.start_call(
        "c-1", direction="outbound", medium="web", queue="sales", site="porto", partner="BPO North"
    )
    captured.clock.advance(60)
    call.stop(outcome="completed", ended_by="customer")

    root, ids = captured.one("call outbound"), call_ids("c-1", "test")
    assert (ids.trace_id, ids.span_id, None) == (root.context.trace_id, root.context.span_id, root.parent)
    assert {
        "cx.layer": "call",
        "cx.call.id": "c-1",
        "cx.call.namespace": "test",
        "cx.call.direction": "outbound",
        "cx.call.medium": "web",
        "cx.call.outcome": "completed",
        "cx.call.ended_by": "customer",
        "cx.call.announced": True,
        "cx.join.method": "call_key",
        "cx.queue.name": "sales",
        "cx.site": "porto",
        "cx.partner": "BPO North",
    } == dict(root.attributes)


def test_a_live_call_is_announced_at_once(captured: Capture) -> None:
    """`call started` has no length, stands below the root that comes later, and a log record goes with it."""
    call = cxotel.start_call("c-1")

    (started,) = captured.spans
    assert ("call started", started.end_time, call.span_id) == (
        started.name,
        started.start_time,
        trace.format_span_id(started.parent.span_id),
    )
    (record,) = captured.logs
    assert ("cx.call.started", call_ids("c-1", "test").trace_id) == (record.event_name, record.trace_id)
    assert {
        "cx.call.id": "c-1",
        "cx.call.namespace": "test",
        "cx.call.direction": "inbound",
    } == record.attributes


def test_the_end_is_a_log_record_with_the_outcome(captured: Capture) -> None:
    """Whoever follows logs sees how the call went."""
    call = cxotel.start_call("c-1")
    captured.clock.advance(3)
    call.stop(outcome="failed", ended_by="carrier")

    record = captured.logs[-1]
    assert ("cx.call.ended", testing.START + 3_000_000_000) == (record.event_name, record.timestamp)
    assert ("failed", "carrier") == (
        record.attributes["cx.call.outcome"],
        record.attributes["cx.call.ended_by"],
    )


def test_outcomes_that_are_none_are_counted(captured: Capture) -> None:
    """Bad values of enums are left out, never raised."""
    cxotel.start_call("c-1", direction="sideways", medium="pigeon").stop(outcome="fine", ended_by="me")

    root = captured.one("call inbound")
    assert {"cx.call.medium", "cx.call.outcome", "cx.call.ended_by"}.isdisjoint(root.attributes)
    assert {"bad_value": 4} == cxotel.counters()


def test_a_call_can_begin_and_end_in_the_past(captured: Capture) -> None:
    """Adapters write calls after the fact."""
    cxotel.start_call("c-1", start_time=testing.START - 9).stop(end_time=testing.START - 1)

    root = captured.one("call inbound")
    assert (testing.START - 9, testing.START - 1) == (root.start_time, root.end_time)


def test_the_end_of_the_call_ends_what_is_open(captured: Capture) -> None:
    """Legs that nobody ended are counted; they end with the call, without an error."""
    call = cxotel.start_call("c-1")
    leg = call.start_leg("carrier")
    call.start_activity("talk")
    captured.clock.advance(5)
    call.stop(outcome="completed")
    leg.stop()

    assert (
        testing.text("""
        call inbound 0-5 s
          call started 0 s
          talk 0-5 s
          carrier leg 0-5 s
    """)
        == captured.tree()
    )
    assert {"left_open": 2, "ended_twice": 1} == cxotel.counters()


def test_what_is_started_after_the_end_is_counted(captured: Capture) -> None:
    """It works all the same, but nothing ends it when the call is over."""
    call = cxotel.start_call("c-1")
    call.stop()
    call.start_leg("carrier").stop()
    call.start_activity("wrap_up").stop()

    assert ["carrier leg", "wrap up"] == [span.name for span in captured.spans[2:]]
    assert {"after_end": 2} == cxotel.counters()


def test_a_call_does_not_end_before_it_began(captured: Capture) -> None:
    """A wrong time is counted, and the call and what is open in it have no length."""
    call = cxotel.start_call("c-1")
    call.start_activity("queue")
    call.stop(end_time=testing.START - 1)

    assert [0, 0] == [span.end_time - span.start_time for span in captured.spans[1:]]
    assert {"bad_value": 1, "left_open": 1} == cxotel.counters()


def test_a_participant_may_end_a_call_of_the_past(captured: Capture) -> None:
    """It has no root of its own whose start the end could lie before."""
    guest = cxotel.join_call("c-1")
    guest.start_activity("queue", start_time=testing.START - 20)
    guest.stop(end_time=testing.START - 10)

    assert 10 == captured.one("queue").end_time - captured.one("queue").start_time
    assert {"left_open": 1} == cxotel.counters()


def test_a_call_that_fails_has_status_error(captured: Capture) -> None:
    """By name, or by an exception that leaves its block."""
    cxotel.start_call("c-1").fail("no_license", outcome="failed")
    with pytest.raises(OSError, match="disk"), cxotel.start_call("c-2"):
        raise OSError("disk")

    first, second = captured.named("call inbound")
    assert ("no_license", "failed") == (first.attributes["error.type"], first.attributes["cx.call.outcome"])
    assert second.attributes["error.type"] == "OSError"


async def test_a_call_is_an_asynchronous_block_too(captured: Capture) -> None:
    """Tasks started inside are in the call's context."""

    async def work() -> None:
        captured.tracer_provider.get_tracer("x").start_span("task").end()

    async with cxotel.start_call("c-1"):
        await asyncio.gather(work(), work())

    assert ["c-1", "c-1"] == [span.attributes["cx.call.id"] for span in captured.named("task")]


# Joining


def test_all_who_know_the_key_are_in_one_trace(captured: Capture) -> None:
    """No header crossed between them."""
    owner = cxotel.start_call("c-1")
    with cxotel.join_call("c-1") as guest:
        guest.start_leg("carrier").stop()
    owner.stop()

    leg = captured.one("carrier leg")
    assert (owner.span_id, "call_key") == (f"{leg.parent.span_id:016x}", leg.attributes["cx.join.method"])
    assert ["call started", "carrier leg", "call inbound"] == [span.name for span in captured.spans]


def test_a_context_of_ours_beats_the_key(captured: Capture) -> None:
    """A B-leg's own Call-ID becomes an alias of the call that the header names."""
    headers: dict[str, str] = {}
    owner = cxotel.start_call("c-1")
    with owner.start_activity("transfer") as transfer:
        owner.inject(headers, form="sip")
    cxotel.join_call("b-leg@sbc", carrier=headers).start_leg("carrier").stop()

    leg = captured.one("carrier leg")
    assert (owner.trace_id, transfer.span_id) == (
        f"{leg.context.trace_id:032x}",
        f"{leg.parent.span_id:016x}",
    )
    assert leg.attributes["cx.join.method"] == "traceparent"
    assert leg.attributes["cx.call.alias"] == ("b-leg@sbc",)


def test_a_header_that_lost_its_tracestate_is_known_by_the_computed_trace(captured: Capture) -> None:
    """Intermediaries strip Tracestate; the trace id alone tells whose it is."""
    headers: dict[str, str] = {}
    cxotel.start_call("c-1").inject(headers)
    del headers["tracestate"]

    assert cxotel.join_call("c-1", carrier=headers).join_method == "traceparent"


def test_the_key_beats_a_foreign_context_which_is_linked(captured: Capture) -> None:
    """An SBC's own trace must not split the call."""
    cxotel.start_call("c-1", carrier=FOREIGN).stop()
    guest = cxotel.join_call("c-1", carrier=FOREIGN)
    guest.start_leg("carrier").stop()
    guest.start_leg("carrier").stop()

    root, (first, second) = captured.one("call inbound"), captured.named("carrier leg")
    assert [FOREIGN_IDS, FOREIGN_IDS] == [
        (link.context.trace_id, link.context.span_id) for span in (root, first) for link in span.links
    ]
    assert (None, 0) == (root.parent, len(second.links))


def test_a_foreign_context_is_joined_where_there_is_no_key(captured: Capture) -> None:
    """It is kept although its makers did not sample it, and is ours from here on."""
    call = cxotel.start_call(carrier=FOREIGN)
    headers: dict[str, str] = {}
    call.inject(headers)
    call.stop()

    root = captured.one("call inbound")
    assert FOREIGN_IDS == (root.parent.trace_id, root.parent.span_id)
    assert root.attributes["cx.join.method"] == "foreign"
    assert "cx=1" in headers["tracestate"]


def test_without_anything_a_call_has_a_trace_of_its_own(captured: Capture) -> None:
    """And says so; what is started in it stays together."""
    guest = cxotel.join_call()
    guest.start_leg("carrier").stop()
    guest.start_leg("endpoint").stop()

    assert ["none", "none"] == [span.attributes["cx.join.method"] for span in captured.spans]
    assert {guest.trace_id} == {f"{span.context.trace_id:032x}" for span in captured.spans}


def test_those_who_know_the_same_alias_meet(captured: Capture) -> None:
    """Their spans say which key it is, so that whoever knows both can join them."""
    one, other = cxotel.join_call(aliases=["b-leg"]), cxotel.join_call(aliases=["b-leg"])
    one.start_leg("carrier").stop()

    assert one.trace_id == other.trace_id == call_ids("b-leg", "test").trace_id_hex
    attributes = captured.one("carrier leg").attributes
    assert ("alias", ("b-leg",)) == (attributes["cx.join.method"], attributes["cx.call.alias"])
    assert "cx.call.id" not in attributes


def test_aliases_can_be_named_later(captured: Capture) -> None:
    """On the owner's root, and on a guest's open and later spans."""
    owner, guest = cxotel.start_call("c-1", aliases=["a"]), cxotel.join_call("c-1")
    leg = guest.start_leg("carrier")
    owner.add_alias("b", "", "a")
    guest.add_alias("b")
    leg.stop()
    guest.start_activity("talk").stop()
    owner.stop()

    aliases = {span.name: span.attributes.get("cx.call.alias") for span in captured.spans}
    assert {
        "call started": None,
        "carrier leg": ("b",),
        "talk": ("b",),
        "call inbound": ("a", "b"),
    } == aliases
    assert {"bad_call_key": 1} == cxotel.counters()


def test_the_current_context_is_joined_by_who_has_no_key(captured: Capture) -> None:
    """Inside a request that standard propagation brought here, nothing needs to be said."""
    token = otel_context.attach(foreign_context(ours=True))
    guest = cxotel.join_call()
    otel_context.detach(token)

    assert ("traceparent", FOREIGN_IDS[0]) == (guest.join_method, int(guest.trace_id, 16))


def test_a_second_call_is_not_drawn_into_the_first(captured: Capture) -> None:
    """What is current in this process never beats a key."""
    with cxotel.start_call("c-1") as first, cxotel.start_call("c-2") as second:
        pass

    assert call_ids("c-2", "test").trace_id_hex == second.trace_id
    root = captured.named("call inbound")[0]
    assert [first.trace_id] == [f"{link.context.trace_id:032x}" for link in root.links]


def test_a_current_context_of_others_is_linked(captured: Capture) -> None:
    """The server span of the webhook that began the call."""
    token = otel_context.attach(foreign_context())
    cxotel.start_call("c-1").stop()
    otel_context.detach(token)

    assert [FOREIGN_IDS[1]] == [link.context.span_id for link in captured.one("call inbound").links]


@pytest.mark.parametrize("key", ["", 7, b"c-1", ["c-1"], "\ud800", 0.5])
def test_a_key_that_cannot_be_used_is_counted(captured: Capture, key: Any) -> None:
    """The call is recorded all the same, in a trace of its own."""
    cxotel.start_call(key).stop()
    cxotel.join_call(key).start_leg("carrier").stop()

    assert (None, "none") == (
        captured.one("call inbound").attributes.get("cx.call.id"),
        captured.one("carrier leg").attributes["cx.join.method"],
    )
    assert {"bad_call_key": 2} == cxotel.counters()


@pytest.mark.parametrize("aliases", [iter(["b-leg"]), {"b-leg": 1}, "b-leg"])
def test_aliases_may_be_any_iterable_of_strings(captured: Capture, aliases: Any) -> None:
    """A generator or a mapping's keys too; a string is one alias."""
    cxotel.start_call("c-1", aliases=aliases).stop()

    assert ("b-leg",) == captured.one("call inbound").attributes["cx.call.alias"]
    assert {} == cxotel.counters()


class Hostile:
    """Whatever is asked of it fails."""

    def _fail(self, *_: Any) -> Any:
        raise RuntimeError("hostile")

    __repr__ = __str__ = __bool__ = __iter__ = __eq__ = _fail
    __hash__ = object.__hash__


@pytest.mark.parametrize("value", [10**5000, Hostile(), np.array([1, 2])], ids=["long", "hostile", "array"])
@pytest.mark.parametrize(
    "argument",
    [
        "key",
        "direction",
        "namespace",
        "medium",
        "queue",
        "customer",
        "aliases",
        "carrier",
        "attributes",
        "start_time",
    ],
)
def test_a_value_that_cannot_even_be_shown_does_not_stop_a_call(
    captured: Capture, argument: str, value: Any
) -> None:
    """The call is recorded without it; a mistake of the host is no error of ours."""
    cxotel.start_call(**{"key": "c-1", argument: value}).stop()

    assert 1 == len(captured.named("call inbound"))
    assert "internal_error" not in cxotel.counters()


@pytest.mark.parametrize("value", [10**5000, Hostile(), np.array([1, 2])], ids=["long", "hostile", "array"])
def test_a_value_that_cannot_even_be_shown_does_not_stop_what_is_in_a_call(
    captured: Capture, value: Any
) -> None:
    """Legs, activities, handoffs and lookups are recorded without it."""
    call: Any = cxotel.start_call("c-1")
    call.start_leg(value, name=value, activity=value, owner=value, scope=value, parent=value).stop()
    call.start_leg("carrier", window=value, attributes=value, start_time=value).stop(end_time=value)
    call.start_media(value, owner=value, device_owner=value, attributes=value).fail(value, part=value)
    call.start_activity(value, layer=value, name=value, owner=value, attributes=value).stop()
    call.start_handoff(value, value, expected=value).stop()
    lookup = call.start_lookup(value, value, waiting=value)
    lookup.stop()
    leg = call.start_leg("endpoint")
    leg.add_window(value)
    leg.feed(value, value)
    leg.set_codec(value, ie_to_agent=value)
    call.inject({}, form=value)
    call.stop(outcome=value, ended_by=value, end_time=value)

    left = [
        "media leg",
        "carrier leg",
        "webrtc session",
        "agent network",
        "activity",
        "handoff",
        "crm lookup",
    ]
    assert ["call started", *left, "webrtc session", "call inbound"] == [span.name for span in captured.spans]
    assert "internal_error" not in cxotel.counters()


@pytest.mark.usefixtures("in_production")
def test_a_call_that_an_error_of_ours_stops_goes_on_unmeasured(
    captured: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host gets a handle that works; what is started in it is a trace of its own, without a root."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(cxotel.call, "join", fail)
    with cxotel.start_call("c-1", queue="billing") as call:
        call.set({"cx.site": "porto"})
        call.start_activity("queue").stop()
        call.stop(outcome="completed")
    guest = cxotel.join_call("c-1")
    guest.stop()

    assert ["queue"] == [span.name for span in captured.spans]
    assert [] == captured.records.kept
    assert {"internal_error": 2} == cxotel.counters()


@pytest.mark.usefixtures("in_production")
def test_what_an_error_of_ours_stops_in_a_call_goes_on_unmeasured(
    captured: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handles of every kind work, and spans of the host below them are not lost."""
    call = cxotel.start_call("c-1")

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(call, "_attributes", fail)
    monkeypatch.setattr(cxotel._starting, "MediaSession", Brittle(cxotel.MediaSession))
    leg = call.start_leg("carrier")
    leg.add_window(0, to_agent=cxotel.Figures(0.0, 10.0))
    leg.stop()
    call.start_media("softphone").stop()
    with call.start_lookup("billing", "find_customer") as lookup:
        captured.tracer_provider.get_tracer("httpx").start_span("GET").end()
        lookup.found(True)
    call.stop()

    root = captured.one("call inbound")
    assert ["call started", "GET", "call inbound"] == [span.name for span in captured.spans]
    assert root.context.span_id == captured.one("GET").parent.span_id
    assert {"internal_error": 5} == cxotel.counters()


class Brittle:
    """Fails the first time it is called."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._failed = False

    def __call__(self, *arguments: Any) -> Any:
        """Raise the first time."""
        if not self._failed:
            self._failed = True
            raise RuntimeError("ours")
        return self._inner(*arguments)


# The context


def test_spans_of_others_carry_the_calls_attributes(captured: Capture) -> None:
    """The context that a framework passes explicitly is looked at first, then the current one."""
    tracer = captured.tracer_provider.get_tracer("framework")
    outer, inner = cxotel.start_call("outer", queue="sales"), cxotel.start_call("inner")
    with outer:
        tracer.start_span("current").end()
        tracer.start_span("explicit", inner.context).end()
        tracer.start_span("detached", otel_context.Context()).end()
    tracer.start_span("outside").end()

    got = {span.name: span.attributes.get("cx.call.id") for span in captured.spans if "call" not in span.name}
    assert {"current": "outer", "explicit": "inner", "detached": "outer", "outside": None} == got
    assert captured.one("current").attributes["cx.queue.name"] == "sales"


def test_what_is_learnt_later_is_on_later_spans(captured: Capture) -> None:
    """The queue is known when the IVR has done its work; the rest of what is set stays on the root."""
    with cxotel.start_call("c-1") as call:
        call.start_activity("ivr").stop()
        call.set({"cx.queue.name": "billing", "app.vip": True})
        call.start_activity("queue").stop()
        captured.tracer_provider.get_tracer("x").start_span("GET").end()

    queues = {span.name: span.attributes.get("cx.queue.name") for span in captured.spans}
    assert {
        "call started": None,
        "ivr": None,
        "queue": "billing",
        "GET": "billing",
        "call inbound": "billing",
    } == queues
    assert captured.one("call inbound").attributes["app.vip"] is True


def test_the_customer_is_a_keyed_hash(captured: Capture) -> None:
    """The same for the same customer under one key; the number itself is nowhere."""
    cxotel.start_call("c-1", customer="+15550100").stop()
    cxotel.start_call("c-2", customer="+15550100").stop()

    refs = {span.attributes["cx.customer.ref"] for span in captured.spans}
    assert [32] == [len(ref) for ref in refs]
    assert not [span for span in captured.spans if "5550100" in span.to_json()]


def test_without_a_key_no_customer_is_sent(captured: Capture) -> None:
    """An unkeyed hash of a telephone number can be undone by trying them all."""
    testing._set(customer_key=b"")
    cxotel.start_call("c-1", customer="+15550100").stop()

    assert "cx.customer.ref" not in captured.one("call inbound").attributes
    assert {"no_customer_key": 1} == cxotel.counters()


def test_personal_data_has_its_own_prefix(captured: Capture) -> None:
    """Redaction is a name match."""
    call = cxotel.start_call("c-1")
    call.set(cxotel.pii(phone="+15550100"))
    call.stop()

    assert captured.one("call inbound").attributes["cx.pii.phone"] == "+15550100"


def test_personal_data_without_a_text_is_counted(captured: Capture) -> None:
    """The rest of it stays."""
    assert {"cx.pii.phone": "7"} == cxotel.pii(phone=7, account=10**5000, name=Hostile())
    assert {"bad_value": 2} == cxotel.counters()


def test_threads_without_context_find_the_call_by_its_handle(captured: Capture) -> None:
    """A worker thread has an empty context of its own."""
    call = cxotel.start_call("c-1")

    def work() -> None:
        for _ in range(25):
            call.start_activity("talk").stop()
            call.set({"cx.queue.name": threading.current_thread().name})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    call.stop()

    talks = captured.named("talk")
    assert (100, {call.span_id}) == (len(talks), {f"{span.parent.span_id:016x}" for span in talks})
    assert {} == cxotel.counters()


def test_the_current_span_of_the_call_is_the_parent(captured: Capture) -> None:
    """Unless another one is given, as a handle or a context."""
    with cxotel.start_call("c-1") as call:
        leg = call.start_leg("carrier")
        with call.start_activity("talk"):
            call.start_lookup("billing", "a").stop()
            call.start_lookup("billing", "b", parent=leg).stop()
            call.start_lookup("billing", "c", parent=call.context).stop()
        leg.stop()

    assert testing.text("""
        call inbound 0 s
          call started 0 s
          carrier leg 0 s
            crm lookup 0 s cx.crm.operation=b
          talk 0 s
            crm lookup 0 s cx.crm.operation=a
          crm lookup 0 s cx.crm.operation=c
    """).count("\n") == captured.tree("cx.crm.operation").count("\n")
    parents = {
        span.attributes["cx.crm.operation"]: span.parent.span_id for span in captured.named("crm lookup")
    }
    assert {
        "a": captured.one("talk").context.span_id,
        "b": captured.one("carrier leg").context.span_id,
        "c": captured.one("call inbound").context.span_id,
    } == parents


def test_a_forked_child_does_not_end_its_parents_call(captured: Capture) -> None:
    """It would send the root a second time; legs of its own it may start."""
    call = cxotel.start_call("c-1")
    before = len(captured.spans)
    child = os.fork()
    if child == 0:
        call.stop(outcome="completed")
        call.start_activity("talk").stop()
        good = [span.name for span in captured.spans[before:]] == ["talk"] and cxotel.counters() == {
            "forked": 1
        }
        os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    call.stop()

    assert (0, 1) == (status, len(captured.named("call inbound")))


# Whatever a host hands over

JUNK = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(),
    st.floats(),
    st.binary(max_size=3),
    st.booleans(),
    st.just(object()),
    st.lists(st.text(max_size=3) | st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.integers() | st.none(), max_size=3),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(JUNK, min_size=12, max_size=12))
def test_nothing_that_is_handed_over_raises(junk: list[Any]) -> None:
    """Every argument of everything that a host calls while a customer waits."""
    a, b, c, d, e, f, g, h, i, j, k, m = junk
    with testing.capture() as captured:
        call: Any = cxotel.start_call(
            a,
            direction=b,
            namespace=c,
            medium=d,
            queue=e,
            customer=f,
            aliases=g,
            carrier=h,
            attributes=i,
            start_time=j,
        )
        guest: Any = cxotel.join_call(k, namespace=m, carrier=a, aliases=b)
        leg = guest.start_leg(
            c, name=d, activity=e, owner=f, window=g, scope=h, parent=i, attributes=j, start_time=k
        )
        leg.add_window(m, to_agent=cxotel.Figures(a, b))
        leg.set_codec(c, ie_to_agent=d)
        media = call.start_media(e, window=f, attributes=g, start_time=h)
        media.feed(i, j)
        media.set_codec(k, ie=m)
        call.start_activity(a, layer=b, name=c, owner=d, parent=e, attributes=f).stop(end_time=g)
        call.start_handoff(h, i, expected=j).deliver(k)
        call.start_lookup(m, a, waiting=b).found(c)
        call.set(d)
        call.add_alias(e)
        call.inject(f, form=g)
        leg.stop(end_time=h)
        guest.stop()
        call.stop(outcome=i, ended_by=j, end_time=k)

        emitted = {
            key for span in captured.spans for key in span.attributes if key.startswith(("cx.", "sip."))
        }
        assert not {key for key in emitted - NAMES if key.rpartition(".")[0] not in TEMPLATES}
        assert 1 == len([span for span in captured.spans if span.name in ("call inbound", "call outbound")])
