"""Programs against the public API; never run, it must type-check (`mypy --strict`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cxotel
from cxotel import testing

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider


def set_up(provider: TracerProvider) -> None:
    """A host with a provider of its own, and one without."""
    cxotel.configure(
        service_name="ivr", namespace="acme", endpoint="http://localhost:4317", headers={"a": "b"}
    )
    cxotel.configure(tracer_provider=provider, customer_key=b"secret", announce=False, sample_every_call=True)
    provider.add_span_processor(cxotel.CallContextProcessor())
    done: bool = cxotel.flush(1000)
    dropped: dict[str, int] = cxotel.counters()
    cxotel.shutdown()
    assert done
    assert dropped == {}


def owner(headers: dict[str, str]) -> None:
    """A platform that owns the call."""
    with cxotel.start_call(
        "id", direction="inbound", queue="billing", aliases=("b",), carrier=headers
    ) as call:
        call.set({"cx.site": "porto", "app.number": 7, "app.list": ["a", "b"]})
        call.set(cxotel.pii(phone="+15550100"))
        call.add_alias("b-leg", "c-leg")
        with call.start_activity("queue", owner="WFM") as queue:
            queue.waited(12.5)
        with call.start_handoff("voice_ai", "agent", expected=["intent"]) as handoff:
            handoff.expect(("account",))
            handoff.deliver({"intent"})
            handoff.rate(0.5)
            handoff.end_as("completed")
        with call.start_lookup("billing", "find_customer", waiting=True) as lookup:
            lookup.found(True)
        response: cxotel.Activity = call.start_response()
        response.fail("timeout")
        call.inject(headers, form="sip")
        call.stop(outcome="completed", ended_by="customer", end_time=1)


async def guest(context: Context) -> str:
    """A softphone that joins it."""
    call: cxotel.Call = cxotel.join_call("id", namespace="acme")
    async with call.start_media("softphone", parent=context) as media:
        media.feed({"id": {"type": "inbound-rtp"}}, 1.0, cxotel.Hints(dtx=True))
        media.feed([{"type": "inbound-rtp"}], 2.0)
        media.add(cxotel.Window(0, 0.0, 5.0, cxotel.Figures(1.0, 20.0), cxotel.Figures(), None))
        media.set_codec("opus", ie=None)
        leg: cxotel.Leg = media.network
        leg.add_window(1, to_agent=cxotel.Figures(0.0), to_customer=None)
        leg.feed({"id": {"type": "inbound-rtp"}}, 3.0, cxotel.Hints(), receives="to_customer")
        media.fail(ConnectionError("lost"), part="device")
    call.stop()
    return call.trace_id + leg.span_id


def ids() -> tuple[int, str]:
    """Ids without a span."""
    computed: cxotel.CallIds = cxotel.call_ids("id", "acme")
    context = cxotel.extract({"traceparent": "x"})
    cxotel.inject({})
    return (context.trace_id if context else computed.trace_id), computed.span_id_hex


def a_users_test() -> None:
    """What users write."""
    with testing.capture() as captured:
        captured.clock.advance(1.5)
        tree: str = captured.tree("cx.layer")
    assert tree == "".join(span.name for span in captured.spans)
    assert captured.one("talk").attributes
