"""Links from a call's page to other tools: addresses with places for what is known of the call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.desk.report import CallRow

# What may stand in braces; other braces are left alone, as Grafana's addresses hold JSON.
FIELDS = {
    "trace_id": "32 hex digits",
    "call_key": "the call key",
    "namespace": "of the call key",
    "start_ms": "start of the call, ms since the epoch",
    "end_ms": "its end",
}
PLACE = re.compile(r"\{([a-z][a-z_]*)\}")


class LinkError(ValueError):
    """A template that cannot be used; the message says why and gives one that can."""


@dataclass(frozen=True, slots=True)
class Link:
    """A name and an address with places."""

    name: str
    template: str

    def address(self, row: CallRow) -> str:
        """The address for a call."""
        summary: dict[str, Any] = row.summary
        values = {
            "trace_id": row.trace_id,
            "call_key": str(summary.get("call_id", "")),
            "namespace": str(summary.get("namespace", "")),
            "start_ms": str(summary.get("start", 0) // 10**6),
            "end_ms": str(summary.get("end", 0) // 10**6),
        }
        return PLACE.sub(lambda place: quote(values[place[1]], safe=""), self.template)


def parse(texts: Iterable[str]) -> tuple[Link, ...]:
    """Links from `name=template`.

    Raises:
        LinkError: one has no name, is no http or https address, or has a place that there is not.
    """
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> Link:
    name, equals, template = (part.strip() for part in text.partition("="))
    example = "like Jaeger=http://localhost:16686/trace/{trace_id}"
    if not name or not equals:
        raise LinkError(f"a link is a name, =, and an address, {example}; not {text!r}")
    try:
        parts = urlsplit(template)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable or PLACE.search(parts.netloc) or any(letter.isspace() for letter in template):
        raise LinkError(f"link {name!r}: {template!r} is no http or https address, {example}")
    unknown = [place for place in PLACE.findall(template) if place not in FIELDS]
    if unknown:
        raise LinkError(f"link {name!r}: there is no {{{unknown[0]}}}; there are {', '.join(FIELDS)}")
    return Link(name, template)
