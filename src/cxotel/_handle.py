"""What calls, legs and activities have in common: started once, ended once, by whichever way comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from cxotel import _clock, _guard, _runtime, _values
from cxotel import _semconv as names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext
    from opentelemetry.util.types import AttributeValue
    from typing_extensions import Self

_LONGEST_ERROR = 120  # characters; error.type is of low cardinality, so a longer one is a message gone astray


def error_type(error: BaseException | str) -> str:
    """`error.type`: a given name as it is, an exception's class by its full name.

    The exception's message is left out: it may hold a telephone number, an address, a query.
    """
    if isinstance(error, str):
        return (_values.text(error) or "error")[:_LONGEST_ERROR]
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class Handle:
    """A span that has begun. End it with `stop()` or `fail()`, or by leaving a `with` or `async with` block.

    Inside the block its span is the current one. An exception that leaves the block marks the span as
    failed and goes on unchanged; cancellation and interpreter exits end it without an error. Ending twice
    is harmless.
    """

    def __init__(
        self, span: Span, context: Context, started: int, on_end: Callable[[Handle], None] | None = None
    ) -> None:
        self._span = span
        self._context = context
        self._started = started
        self._on_end = on_end
        self._ended = False
        self._first_end = iter((True,))  # whoever takes it ends the span: next() is atomic
        self._generation = _guard.generation
        self._tokens: list[Token[Context]] = []

    @property
    def context(self) -> Context:
        """OpenTelemetry context in which this span is the current one; pass it to threads and tasks."""
        return self._context

    @property
    def span(self) -> Span:
        """The OpenTelemetry span itself."""
        return self._span

    @property
    def span_context(self) -> SpanContext:
        """Ids of the span, as OpenTelemetry's API has them."""
        return trace.get_current_span(self._context).get_span_context()

    @property
    def trace_id(self) -> str:
        """Trace id of the call: 32 lower-case hex digits."""
        return f"{self.span_context.trace_id:032x}"

    @property
    def span_id(self) -> str:
        """Span id: 16 lower-case hex digits."""
        return f"{self.span_context.span_id:016x}"

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._ended

    def set(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set attributes by their full names; those that cannot be exported are counted and left out."""
        with _guard.swallow("set attributes"):
            if self._usable():
                self._set(_values.attributes(attributes))

    def _set(self, attributes: dict[str, AttributeValue]) -> None:
        self._span.set_attributes(attributes)

    def _copied(self) -> bool:
        """Whether it is a copy in a forked child, which is counted.

        Ask before a lock of the handle is taken: a copied lock that was held in the parent never opens.
        """
        if self._generation == _guard.generation:
            return False
        _guard.count(_guard.FORKED)
        return True

    def _usable(self) -> bool:
        """Whether it still lasts and is no copy in a forked child; what comes otherwise is counted."""
        if self._copied():
            return False
        if self._ended:
            _guard.count(_guard.AFTER_END)
        return not self._ended

    def stop(self, *, end_time: int | None = None) -> None:
        """End it, now or at `end_time` (integer nanoseconds since the epoch)."""
        self._finish(None, end_time)

    def fail(self, error: BaseException | str, *, end_time: int | None = None) -> None:
        """End it with status Error; `error` is an exception, or a name such as `ice_failed`."""
        self._finish(error, end_time)

    def _finish(
        self, error: BaseException | str | None, end_time: int | None, *, again: bool = False
    ) -> None:
        with _guard.swallow("end"):
            if self._copied():
                return
            if not next(self._first_end, False):
                if not again:
                    _guard.count(_guard.ENDED_TWICE)
                return
            self._ended = True
            at = self._not_before_start(_values.time_ns(end_time, "end_time") or _clock.now())
            try:
                self._before_end(error, at)
                if error is not None:
                    kind = error_type(error)
                    self._set({names.ERROR_TYPE: kind})
                    self._span.set_status(Status(StatusCode.ERROR, kind))
            finally:
                self._end(at)

    def _not_before_start(self, at: int) -> int:
        """The end, or the start where that is later: of the two that were given, one is wrong."""
        if at < self._started:
            _guard.count(_guard.BAD_VALUE, hint="end_time, start_time: it would end before it starts")
        return max(at, self._started)

    def _before_end(self, error: BaseException | str | None, at: int) -> None:
        """What a kind of handle has to say last."""

    def _end(self, at: int) -> None:
        _runtime.end_span(self._span, at)
        if self._on_end is not None:
            self._on_end(self)

    def __enter__(self) -> Self:
        self._tokens.append(otel_context.attach(self._context))
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        try:
            if self._tokens:
                otel_context.detach(self._tokens.pop())  # logs what goes wrong, and does not raise
        finally:
            self._finish(error if isinstance(error, Exception) else None, None, again=True)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)
