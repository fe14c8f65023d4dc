"""For tests of programs that use cxotel: spans kept in memory, a clock that is stepped, ids that are counted.

    with cxotel.testing.capture() as captured:
        with cxotel.start_call("c-1") as call:
            with call.start_activity("queue"):
                captured.clock.advance(12)
            call.stop(outcome="abandoned", ended_by="customer")

    assert captured.tree("cx.activity", "cx.call.outcome") == cxotel.testing.text('''
        call inbound 0-12 s cx.call.outcome=abandoned
          call started 0 s
          queue 0-12 s cx.activity=queue
    ''')

Needs opentelemetry-sdk. Internal errors of cxotel are raised under pytest, not swallowed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import StatusCode

from cxotel import _clock, _guard, _runtime
from cxotel.stamping import CallContextProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk.trace import ReadableSpan, SpanLimits

START = 1_767_225_600_000_000_000
"""When a captured test begins: 2026-01-01T00:00:00Z, in nanoseconds since the epoch."""
CUSTOMER_KEY = b"a key for tests"


class Clock:
    """A clock that only moves when it is told to."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        """Nanoseconds since the epoch."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let that many seconds pass."""
        self.now += round(seconds * 1e9)


class CountedIds(IdGenerator):
    """Span and trace ids 1, 2, 3, ... (ids of a call's root are computed from its key as ever)."""

    def __init__(self) -> None:
        self._spans = itertools.count(1)
        self._traces = itertools.count(1)

    def generate_span_id(self) -> int:
        """The next span id."""
        return next(self._spans)

    def generate_trace_id(self) -> int:
        """The next trace id."""
        return next(self._traces)


class _Records:
    """A logger provider that keeps log records."""

    def __init__(self) -> None:
        self.kept: list[LogRecord] = []

    def get_logger(self, *_: Any, **__: Any) -> _Records:
        return self

    def emit(self, record: LogRecord) -> None:
        self.kept.append(record)


class Capture:
    """What was recorded inside `capture()`.

    Attributes:
        clock: the clock of all spans of cxotel.
        tracer_provider: for spans of others: `captured.tracer_provider.get_tracer("mine")`.
    """

    def __init__(self, limits: SpanLimits | None) -> None:
        self.clock = Clock()
        self.tracer_provider = TracerProvider(
            id_generator=CountedIds(), span_limits=limits, shutdown_on_exit=False
        )
        self._memory = InMemorySpanExporter()
        self.records = _Records()
        self.tracer_provider.add_span_processor(CallContextProcessor())
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._memory))

    @property
    def spans(self) -> list[ReadableSpan]:
        """Spans that have ended, in the order of their ends."""
        return list(self._memory.get_finished_spans())

    @property
    def logs(self) -> list[LogRecord]:
        """Log records, in order."""
        return list(self.records.kept)

    def named(self, name: str) -> list[ReadableSpan]:
        """Ended spans of that name, in the order of their ends."""
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The one ended span of that name.

        Raises:
            AssertionError: there is none, or more than one.
        """
        found = self.named(name)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} spans are named {name!r}; there are:\n{self.tree()}")
        return found[0]

    def tree(self, *attributes: str) -> str:
        """The ended spans as an indented tree, with those of the named attributes that they have.

        One line each: name, start-end in seconds since the capture began, `ERROR` and its type, attributes.
        Children stand below their parent in the order of their starts. Begins with a line break and ends with
        one, so that it compares to a text in triple quotes (dedented: see `text`).
        """
        spans = self.spans
        known = {_id(span): span for span in spans}
        below: dict[tuple[int, int] | None, list[ReadableSpan]] = {}
        for span in sorted(spans, key=lambda one: one.start_time or 0):
            parent = (span.parent.trace_id, span.parent.span_id) if span.parent else None
            below.setdefault(parent if parent in known else None, []).append(span)
        lines: list[str] = []
        _draw(below, None, "", attributes, lines)
        return "\n".join(["", *lines, ""])


def text(tree: str) -> str:
    """A tree written in a test's own indentation, as `Capture.tree` writes it."""
    return "\n" + textwrap.dedent(tree).strip("\n").rstrip() + "\n"


def _id(span: ReadableSpan) -> tuple[int, int]:
    return span.context.trace_id, span.context.span_id


def _draw(below: Any, parent: Any, indent: str, attributes: tuple[str, ...], lines: list[str]) -> None:
    for span in below.get(parent, ()):
        lines.append(f"{indent}{_line(span, attributes)}")
        _draw(below, _id(span), indent + "  ", attributes, lines)


def _line(span: ReadableSpan, attributes: tuple[str, ...]) -> str:
    start, end = _seconds(span.start_time), _seconds(span.end_time)
    parts = [span.name, f"{start} s" if start == end else f"{start}-{end} s"]
    if span.status.status_code is StatusCode.ERROR:
        parts.append(f"ERROR {span.status.description}")
    values = span.attributes or {}
    parts += [f"{key}={_value(values[key])}" for key in attributes if key in values]
    return " ".join(parts)


def _seconds(time: int | None) -> str:
    return f"{((time or START) - START) / 1e9:g}"


def _value(value: Any) -> str:
    if isinstance(value, str) and " " not in value:
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


@contextlib.contextmanager
def capture(*, namespace: str = "test", span_limits: SpanLimits | None = None) -> Iterator[Capture]:
    """Keep what cxotel records inside the block, whatever was configured; counters begin at 0.

    `span_limits` are the SDK's, to see what a host's limits do.
    """
    captured = Capture(span_limits)
    before = replace(_runtime.state)
    clock = _clock.use(captured.clock)
    _guard.reset()
    _set(tracer_provider=captured.tracer_provider, logger_provider=captured.records, namespace=namespace)
    _set(customer_key=CUSTOMER_KEY, sample_every_call=True, announce=True)
    try:
        yield captured
    finally:
        _clock.use(clock)
        _set(**{name: getattr(before, name) for name in before.__slots__})
        _guard.reset()


def _set(**values: Any) -> None:
    for name, value in values.items():
        setattr(_runtime.state, name, value)
    _runtime.forget_tracer()
