"""Attributes of the call on every span in its context, whoever made the span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from cxotel import _guard
from cxotel._runtime import SCOPE

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor as _Processor
    from opentelemetry.util.types import AttributeValue
else:
    _Processor = object  # the core needs no SDK, which asks for nothing but the methods

_KEY = otel_context.create_key("cxotel-call")


class Stamp:
    """Attributes of a call. They are replaced as a whole: another thread may be reading the old ones."""

    __slots__ = ("attributes",)

    def __init__(self, attributes: dict[str, AttributeValue]) -> None:
        self.attributes = attributes

    def update(self, more: dict[str, AttributeValue]) -> None:
        """Spans started from now on carry these too."""
        self.attributes = {**self.attributes, **more}


def with_stamp(stamp: Stamp, base: Context | None = None) -> Context:
    """The context in which spans carry those attributes."""
    return otel_context.set_value(_KEY, stamp, base)


def stamp_of(context: Context | None = None) -> Stamp | None:
    """Attributes of the call that the context (default: the current one) is in."""
    stamp = otel_context.get_value(_KEY, context)
    return stamp if isinstance(stamp, Stamp) else None


class CallContextProcessor(_Processor):
    """Span processor that copies the call's attributes to every span started in the call's context.

    `configure()` adds it to the tracer provider; a host with a provider of its own may do so itself:
    `provider.add_span_processor(CallContextProcessor())`. Spans that cxotel makes carry them anyway.
    """

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """Stamp the span; frameworks that pass contexts about are looked at first, then the current one."""
        with _guard.swallow("call context"):
            if span.instrumentation_scope.name == SCOPE:
                return
            stamp = stamp_of(parent_context) if parent_context is not None else None
            if stamp is None:
                stamp = stamp_of()
            if stamp is not None:
                span.set_attributes(stamp.attributes)

    def _on_ending(self, span: Any) -> None:
        """Nothing to do."""

    def on_end(self, span: Any) -> None:
        """Nothing to do."""

    def shutdown(self) -> None:
        """Nothing to do."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 (the SDK's signature)
        """Nothing to do."""
        return True
