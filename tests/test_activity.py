"""Activities, handoffs, lookups and responses as spans."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import cxotel
from cxotel import _semconv as names
from cxotel import testing
from cxotel.activity import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.testing import Capture


@pytest.fixture
def captured() -> Iterator[Capture]:
    """What the test records."""
    with testing.capture() as capture:
        yield capture


@pytest.fixture
def call(captured: Capture) -> cxotel.Call:
    """A call that lasts."""
    return cxotel.start_call("c-1")


@pytest.mark.parametrize("activity", list(KINDS))
def test_an_activity_has_its_usual_name_and_layer(
    captured: Capture, call: cxotel.Call, activity: str
) -> None:
    """The table of the call trace, so that nobody spells them differently."""
    call.start_activity(activity).stop()

    span = captured.one(KINDS[activity].name)
    assert (activity, KINDS[activity].layer) == (span.attributes["cx.activity"], span.attributes["cx.layer"])


def test_layer_name_and_owner_can_be_given(captured: Capture, call: cxotel.Call) -> None:
    """A carrier's hold, say."""
    call.start_activity("hold", layer="carrier", name="carrier hold", owner="Acme").stop()

    attributes = captured.one("carrier hold").attributes
    assert ("carrier", "Acme") == (attributes["cx.layer"], attributes["cx.owner"])


def test_an_unknown_activity_is_counted_and_still_a_span(captured: Capture, call: cxotel.Call) -> None:
    """Names stay of low cardinality whatever comes in."""
    call.start_activity("chatting with customer 4711").stop()

    assert "cx.activity" not in captured.one("activity").attributes
    assert {"bad_value": 1} == cxotel.counters()


def test_a_wait_that_is_not_the_duration_can_be_said(captured: Capture, call: cxotel.Call) -> None:
    """A queue record that came late."""
    queue = call.start_activity("queue")
    queue.waited(42)
    queue.waited(-1)
    queue.stop()

    assert captured.one("queue").attributes["cx.wait.seconds"] == 42.0
    assert {"bad_value": 1} == cxotel.counters()


def test_fidelity_is_the_share_of_facts_that_arrived(captured: Capture, call: cxotel.Call) -> None:
    """Names of facts only; what arrived unexpectedly does not count."""
    handoff = call.start_handoff(
        "voice_ai", "agent", expected=["intent", "account", "authenticated", "intent"]
    )
    handoff.deliver(["intent"])
    handoff.deliver({"mood"})
    handoff.stop()

    attributes = captured.one("handoff").attributes
    assert {
        "cx.handoff.from": "voice_ai",
        "cx.handoff.to": "agent",
        "cx.handoff.outcome": "completed",
        "cx.handoff.keys.expected": ("account", "authenticated", "intent"),
        "cx.handoff.keys.delivered": ("intent", "mood"),
        "cx.handoff.fidelity": 1 / 3,
        "cx.layer": "handoff",
        "cx.activity": "handoff",
    } == {key: attributes[key] for key in attributes if not key.startswith("cx.call")}


@pytest.mark.parametrize(
    ("deliver", "rate", "fidelity"),
    [(None, None, None), ((), None, 0.0), (None, 0.5, 0.5), (("intent",), 0.9, 0.9)],
)
def test_fidelity_is_said_only_where_it_is_known(
    captured: Capture, call: cxotel.Call, deliver: Any, rate: float | None, fidelity: float | None
) -> None:
    """Nobody who says nothing of what arrived is blamed; `deliver(())` says that nothing did."""
    handoff = call.start_handoff("voice_ai", "agent", expected=("intent",))
    if deliver is not None:
        handoff.deliver(deliver)
    if rate is not None:
        handoff.rate(rate)
    handoff.stop()

    assert captured.one("handoff").attributes.get("cx.handoff.fidelity") == fidelity


def test_a_handoff_that_fails_says_so(captured: Capture, call: cxotel.Call) -> None:
    """Status Error and the outcome; an outcome that is none is counted."""
    call.start_handoff("voice_ai", "agent").fail("no_agent")
    gone = call.start_handoff("agent", "agent")
    gone.end_as("abandoned")
    gone.end_as("vanished")
    gone.stop()

    first, second = captured.named("handoff")
    assert ("failed", "no_agent") == (first.attributes["cx.handoff.outcome"], first.attributes["error.type"])
    assert second.attributes["cx.handoff.outcome"] == "abandoned"
    assert {"bad_value": 1} == cxotel.counters()


@pytest.mark.parametrize("keys", [[7], None, 7, [["a"]], "intent"])
def test_keys_that_are_no_names_hurt_nobody(
    captured: Capture, call: cxotel.Call, keys: Any, monkeypatch: Any
) -> None:
    """A single string is one name; the rest is left out."""
    call.start_handoff("voice_ai", "agent", expected=keys).stop()

    expected = captured.one("handoff").attributes.get("cx.handoff.keys.expected")
    assert expected == (("intent",) if keys == "intent" else None)


def test_spans_of_http_clients_stand_below_the_lookup(captured: Capture, call: cxotel.Call) -> None:
    """The standard instrumentations do the rest."""
    with call.start_lookup("billing", "find_customer", waiting=True, owner="CRM team") as lookup:
        captured.tracer_provider.get_tracer("httpx").start_span("GET").end()
        lookup.found(False)
    call.stop()

    assert testing.text("""
        call inbound 0 s
          call started 0 s
          crm lookup 0 s cx.crm.system=billing cx.crm.waiting=true cx.crm.found=false cx.owner="CRM team"
    """).rstrip() in captured.tree("cx.crm.system", "cx.crm.waiting", "cx.crm.found", "cx.owner")
    assert captured.one("GET").parent.span_id == captured.one("crm lookup").context.span_id


def test_a_response_is_a_wait_for_the_ai(captured: Capture, call: cxotel.Call) -> None:
    """From the end of the customer's speech to the AI's first audio."""
    response = call.start_response()
    captured.clock.advance(1.8)
    response.stop()
    call.stop()

    tree = captured.tree("cx.layer", "cx.activity")
    assert "voice ai response 0-1.8 s cx.layer=voice_ai cx.activity=respond" in tree


def test_an_exception_marks_the_span_and_goes_on(captured: Capture, call: cxotel.Call) -> None:
    """The host's exception is the very same; its message, which may be personal, stays out of the span."""
    error = ValueError("+15550100 not found")
    with (
        pytest.raises(ValueError, match="not found") as raised,
        call.start_lookup("billing", "find_customer"),
    ):
        raise error

    span = captured.one("crm lookup")
    assert raised.value is error
    assert ("ValueError", "ValueError") == (span.attributes[names.ERROR_TYPE], span.status.description)
    assert "+15550100" not in span.to_json()


async def test_cancellation_is_no_error(captured: Capture, call: cxotel.Call) -> None:
    """A task that is cancelled ends its activity in order."""

    async def wait() -> None:
        async with call.start_activity("queue"):
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert captured.one("queue").status.is_unset


@pytest.mark.parametrize(
    ("start", "end"),
    [(testing.START, testing.START - 1), (testing.START + 1, None), (testing.START + 2, testing.START + 1)],
)
def test_an_activity_does_not_end_before_it_begins(
    captured: Capture, call: cxotel.Call, start: int, end: int | None
) -> None:
    """Of the two times one is wrong, which is counted; readers of traces choke on a negative length."""
    call.start_activity("queue", start_time=start).stop(end_time=end)

    assert (start, start) == (captured.one("queue").start_time, captured.one("queue").end_time)
    assert {"bad_value": 1} == cxotel.counters()


def test_ending_twice_is_harmless_and_counted(captured: Capture, call: cxotel.Call) -> None:
    """The first end counts; leaving a block after `stop()` is no second end."""
    with call.start_activity("queue") as queue:
        queue.stop()
        captured.clock.advance(5)
    queue.stop()
    queue.fail("late")
    queue.set({"k": "v"})

    span = captured.one("queue")
    assert (span.start_time, True) == (span.end_time, span.status.is_unset)
    assert {"ended_twice": 2, "after_end": 1} == cxotel.counters()
