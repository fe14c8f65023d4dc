"""OTLP and what answers in its likeness (Jaeger, Tempo), to and from the model's spans.

Reading and writing JSON needs nothing but the standard library; `from_request` and `to_request` need
opentelemetry-proto, which is imported when one of them is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxotel.otlp.document import BadDocumentError, Received, spans_of
from cxotel.otlp.lines import documents, parse
from cxotel.otlp.stamping import stamped
from cxotel.otlp.writing import regroup, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cxotel.impact.span import Span
    from cxotel.otlp.proto import from_request, to_request

__all__ = [
    "BadDocumentError",
    "Received",
    "documents",
    "from_request",
    "parse",
    "read_json",
    "regroup",
    "spans_of",
    "stamped",
    "to_json",
    "to_request",
]


def read_json(data: bytes | str, problem: Callable[[str], None] | None = None) -> Iterator[Span]:
    """The spans of one JSON document: OTLP/JSON, or an answer of Jaeger's or Tempo's API.

    Args:
        data: the document.
        problem: called with a sentence for each thing that could not be read; the rest is read.

    Raises:
        BadDocumentError: it is no JSON, or of no known form; raised while iterating.
    """
    tell = problem or (lambda _text: None)
    for received in spans_of(parse(data), tell):
        for text in received.bad:
            tell(f"{received.where}: {text}")
        yield received.span


def __getattr__(name: str) -> Any:
    if name in {"from_request", "to_request"}:
        from cxotel.otlp import proto  # noqa: PLC0415  # the only part that needs protobuf

        return getattr(proto, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
