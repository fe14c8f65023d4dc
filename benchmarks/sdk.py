"""What one span of ours costs beside a raw OpenTelemetry SDK span with the same attributes and parent.

    python benchmarks/sdk.py [--spans 4000] [--pairs 21]

Both go to the same provider: a batch processor with an exporter that throws them away. Pairs are interleaved
(ours, raw, raw, ours), in CPU time of this thread; the ratio is the median over the pairs. Goal: at most
1.25. Exit status 1 if it is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import cxotel

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL = 1.25
SPAN: dict[str, Any] = {
    "app.tenant": "acme",
    "app.agent": "agent-4711",
    "app.skill": "billing",
    "app.attempt": 1,
}


class Nowhere(SpanExporter):
    """Throws spans away."""

    def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002 (it throws them away)
        """Take them."""
        return SpanExportResult.SUCCESS


def measure(work: Callable[[], None], spans: int) -> float:
    """Microseconds of CPU time of this thread for one span."""
    began = time.thread_time_ns()
    for _ in range(spans):
        work()
    return (time.thread_time_ns() - began) / spans / 1000


def main() -> int:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spans", type=int, default=4000)
    parser.add_argument("--pairs", type=int, default=21)
    options = parser.parse_args()

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    cxotel.configure(tracer_provider=provider)
    call = cxotel.start_call(
        "7a1c4f6e-0d52-4c1b-9a57-2f0f3b7a9e10", queue="billing", site="porto", partner="BPO"
    )

    def ours() -> None:
        with call.start_activity("queue", owner="WFM", attributes=SPAN):
            pass

    with call.start_activity("queue", owner="WFM", attributes=SPAN) as sample:
        attributes = dict(sample.span.attributes)  # type: ignore[attr-defined]
    raw_provider = TracerProvider()
    raw_provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = raw_provider.get_tracer("raw", "1")

    def raw() -> None:
        with tracer.start_as_current_span("queue", call.context, attributes=dict(attributes)):
            pass

    for work in (ours, raw):
        measure(work, options.spans // 4)
    pairs = []
    for _ in range(options.pairs):
        first, one, other, last = (measure(work, options.spans // 2) for work in (ours, raw, raw, ours))
        pairs.append(((first + last) / 2, (one + other) / 2))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"span of ours   {statistics.median(a for a, _ in pairs):6.1f} us  ({len(attributes)} attributes)")
    print(f"raw SDK span   {statistics.median(b for _, b in pairs):6.1f} us")
    print(f"ratio          {ratio:6.2f}     goal <= {GOAL}")
    call.stop()
    for one in (provider, raw_provider):
        one.shutdown()
    return int(ratio > GOAL)


if __name__ == "__main__":
    trace.set_tracer_provider(trace.NoOpTracerProvider())
    sys.exit(main())
