"""What tests do with a desk that runs: send to it as an exporter would, and wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx

from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from desk_calls import CallMaker

    from cxotel.desk.app import Desk


def post(desk: Desk, message: Any, signal: str = "traces") -> None:
    """One request over OTLP/HTTP, acknowledged; `message` is of the signal's protobuf kind."""
    httpx.post(
        f"{desk.http_endpoint}/v1/{signal}",
        content=message.SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
        timeout=20,
    ).raise_for_status()


def send(desk: Desk, *calls: CallMaker) -> None:
    """Each call as a request of its own."""
    for call in calls:
        post(desk, to_request(call.spans))


def judge(desk: Desk, *calls: CallMaker) -> None:
    """Send calls, and wait for their verdicts."""
    send(desk, *calls)
    for call in calls:
        desk.wait_for_verdict(call.trace_id)


def wait_until(what: Callable[[], Any], seconds: float = 15) -> Any:
    """The first true value of a function."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
    return value
