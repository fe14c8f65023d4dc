"""An IVR that owns its calls: menu, queue, the agent answers, talk.

Run a desk (`cxotel serve`), then this; the call's page shows what the queue cost the caller. So that you need
not wait two minutes, the call is told after the fact, from the times that the IVR wrote down; leave the times
out and everything is timed as it happens.
"""

from __future__ import annotations

import sys
import time
import uuid

import cxotel

SECOND = 1_000_000_000


def answer(call_id: str, incoming_headers: dict[str, str]) -> str:
    """One call through the IVR; returns the trace id."""
    began = time.time_ns() - 120 * SECOND

    def at(seconds: float) -> int:
        return began + int(seconds * SECOND)

    call = cxotel.start_call(
        call_id,
        direction="inbound",
        queue="billing",
        site="Leeds",
        customer="+44 20 7946 0958",  # only a keyed hash of it leaves this process
        carrier=incoming_headers,  # SIP headers or any mapping; joins a carrier that traces
        start_time=at(0),
    )
    with call:
        menu = call.start_activity("ivr", start_time=at(0))
        menu.set({"cx.platform.name": "my_ivr"})
        menu.stop(end_time=at(8))

        queue = call.start_activity("queue", start_time=at(8), owner="Workforce management")
        queue.stop(end_time=at(40))

        to_agent: dict[str, str] = {}
        call.inject(to_agent)  # SIP: form="sip" writes Traceparent and X-Traceparent

        talk = call.start_activity("talk", start_time=at(40))
        talk.stop(end_time=at(120))

        call.stop(outcome="completed", ended_by="customer", end_time=at(120))
    return call.trace_id


if __name__ == "__main__":
    cxotel.configure(service_name="example-ivr", customer_key="a secret from your vault")
    trace_id = answer(str(uuid.uuid4()), incoming_headers={})
    cxotel.shutdown()
    print(trace_id)
    sys.exit(1 if any(cxotel.counters().values()) else 0)
