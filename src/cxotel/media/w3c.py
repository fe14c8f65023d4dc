"""Windows from a series of W3C getStats reports (browsers, mobile and native WebRTC)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxotel.media.windows import NO_HINTS, Hints, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class W3CReader:
    """Reads one peer connection's getStats reports."""

    def __init__(self, window: float = 5.0, *, start: float | None = None) -> None:
        """Begin at `start` seconds, or at the first report."""

    def feed(
        self, stats: Mapping[str, Any] | Sequence[Any], at: float, *, hints: Hints = NO_HINTS
    ) -> list[Window]:
        """Take one report, polled at `at` seconds; the windows that it completes."""
        return []

    def finish(self, at: float) -> list[Window]:
        """End the stream at `at` seconds; the windows still open, the last one cut there."""
        return []
