"""What the impact model reads of a span: the fields OTLP gives, as plain Python values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

STATUS_UNSET, STATUS_OK, STATUS_ERROR = 0, 1, 2


@dataclass(slots=True)
class Span:
    """One span as received, whatever carried it (OTLP, Jaeger's or Tempo's API, a database row).

    Attributes:
        trace_id: 32 lower-case hex digits.
        span_id: 16 lower-case hex digits; "" where the sender gave none.
        name: span name, of low cardinality.
        start: start, integer nanoseconds since the Unix epoch; 0 where absent.
        end: end, likewise.
        attributes: str, bool, int, float, bytes, list, dict or None by key; floats may be NaN.
        parent_id: span id of the parent, "" for none.
        scope: instrumentation scope's name.
        status: 0 unset, 1 ok, 2 error (OTLP's StatusCode).
        status_message: text of the status.
        kind: OTLP's SpanKind, 0 to 5.
        service: resource attribute `service.name`, "" where absent.
    """

    trace_id: str
    span_id: str
    name: str
    start: int
    end: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    parent_id: str = ""
    scope: str = ""
    status: int = STATUS_UNSET
    status_message: str = ""
    kind: int = 0
    service: str = ""
