"""Where spans and log records of ours go: the tracer and logger, and what is done to our own tracer alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, context, trace
from opentelemetry._logs import LogRecord, SeverityNumber

from cxotel import _clock, _guard, propagation
from cxotel._version import __version__
from cxotel.ids import CallIdGenerator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, Tracer
    from opentelemetry.util.types import AttributeValue

SCOPE = "cxotel"
"""Instrumentation scope of every span and log record of ours."""


@dataclass(slots=True)
class State:
    """What `configure()` decided.

    Attributes:
        tracer_provider: None for OpenTelemetry's global one, looked up anew each time.
        logger_provider: likewise.
        namespace: of calls that name none.
        customer_key: key that customer references are hashed with.
        sample_every_call: whether our own tracer keeps every call, whatever its provider's sampler is.
        announce: whether `call started` is sent.
        configured: whether it was called.
    """

    tracer_provider: Any = None
    logger_provider: Any = None
    namespace: str = "default"
    customer_key: bytes = b""
    sample_every_call: bool = True
    announce: bool = True
    configured: bool = False


state = State(
    namespace=os.environ.get("CXOTEL_NAMESPACE") or "default",
    customer_key=os.environ.get("CXOTEL_CUSTOMER_KEY", "").encode(),
)


class CallSampler:
    """Sampler of our own tracer: keeps every call, or lets `inner` decide; marks the tracestate of roots.

    Whether to keep a call is decided after it was judged; a parent that was not sampled is followed, so that
    a call is kept by all its participants or by none.
    """

    def __init__(self, inner: Any, *, every_call: bool) -> None:
        from opentelemetry.sdk.trace import sampling  # noqa: PLC0415 (the core needs no SDK)

        self.inner = inner
        self.every_call = every_call
        self._result = sampling.SamplingResult
        self._decisions = (sampling.Decision.DROP, sampling.Decision.RECORD_AND_SAMPLE)

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Any = (),
    ) -> Any:
        """Drop, or record and sample; with the tracestate that says whose trace it is."""
        if self.every_call:
            parent = trace.get_current_span(parent_context).get_span_context()
            keep = not parent.is_valid or parent.trace_flags.sampled
            result = self._result(self._decisions[keep], attributes if keep else None, parent.trace_state)
        else:
            result = self.inner.should_sample(parent_context, trace_id, name, kind, attributes, links)
        if propagation.MEMBER not in (result.trace_state or ()):
            result.trace_state = propagation.marked(result.trace_state)
        return result

    def get_description(self) -> str:
        """Name for logs."""
        return "CallSampler" if self.every_call else f"CallSampler{{{self.inner.get_description()}}}"


def _adopt(tracer: Any) -> Any:
    """Give an SDK's tracer, which is ours alone, our ids and sampler; another tracer stays as it is."""
    if hasattr(tracer, "id_generator") and not isinstance(tracer.id_generator, CallIdGenerator):
        tracer.id_generator = CallIdGenerator(tracer.id_generator)
    if hasattr(tracer, "sampler"):
        theirs = tracer.sampler.inner if isinstance(tracer.sampler, CallSampler) else tracer.sampler
        tracer.sampler = CallSampler(theirs, every_call=samples_every_call())
    return tracer


_tracer: Tracer | None = None
_tracer_of: Any = None


def tracer() -> Tracer:
    """Our tracer on the configured provider, else on OpenTelemetry's global one."""
    global _tracer, _tracer_of  # noqa: PLW0603 (one lookup for each provider, not for each span)
    provider = state.tracer_provider or trace.get_tracer_provider()
    if _tracer is None or provider is not _tracer_of:
        if isinstance(provider, trace.ProxyTracerProvider) and not state.configured:
            hint = "nothing is recorded yet: call cxotel.configure() before the first call"
            _guard.count(_guard.EXPORT_FAILED, 0, hint=hint)
        _tracer = _adopt(provider.get_tracer(SCOPE, __version__))
        _tracer_of = provider
    return _tracer


def forget_tracer() -> None:
    """Look the tracer up anew, after a setting that it depends on changed."""
    global _tracer  # noqa: PLW0603 (see tracer)
    _tracer = None


def would_sample(trace_id: int) -> bool:
    """Whether our tracer keeps a root with that trace id: what every participant must decide alike."""
    sampler = getattr(tracer(), "sampler", None)
    if sampler is None:
        return True
    result = sampler.should_sample(context.Context(), trace_id, "call")
    return bool(result.decision.is_sampled())


def samples_every_call() -> bool:
    """Whether sampling is left to the one who judges the call."""
    return state.sample_every_call and not os.environ.get("OTEL_TRACES_SAMPLER")


def start_span(
    name: str,
    attributes: Mapping[str, AttributeValue],
    parent: Context,
    *,
    start_time: int | None = None,
    links: Sequence[Link] = (),
) -> Span:
    """A started span of ours; where anything fails, one that only keeps the parent's context."""
    try:
        return tracer().start_span(
            name,
            parent,
            attributes=attributes,
            links=links,
            start_time=start_time or _clock.now(),
            record_exception=False,
            set_status_on_exception=False,
        )
    except Exception as error:  # noqa: BLE001 (samplers and processors are the host's)
        _guard.absorb("start span", error)
        return trace.NonRecordingSpan(trace.get_current_span(parent).get_span_context())


def end_span(span: Span, end_time: int | None = None) -> None:
    """End a span of ours and count what the host's limits took of it."""
    try:
        span.end(end_time or _clock.now())
        if dropped := getattr(span, "dropped_attributes", 0):
            _guard.count(_guard.ATTRIBUTES_DROPPED, dropped)
    except Exception as error:  # noqa: BLE001 (processors are the host's)
        _guard.absorb("end span", error)


def emit(event: str, attributes: Mapping[str, AttributeValue], at: Context, timestamp: int) -> None:
    """A log record with an event name, and the trace and span id of the context."""
    with _guard.swallow("log record"):
        provider = state.logger_provider or _logs.get_logger_provider()
        record = LogRecord(
            timestamp=timestamp,
            observed_timestamp=_clock.now(),
            context=at,
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            event_name=event,
            attributes=dict(attributes),
        )
        provider.get_logger(SCOPE, __version__).emit(record)


def span_context(trace_id: int, span_id: int, *, sampled: bool, state: Any = None) -> SpanContext:
    """A remote span context of ours."""
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT)
    return trace.SpanContext(
        trace_id, span_id, is_remote=True, trace_flags=flags, trace_state=propagation.marked(state)
    )
