"""Statistics that a host feeds, as windows on the clock of the span they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxotel import _clock, _guard
from cxotel.media.w3c import W3CReader
from cxotel.media.windows import is_time

if TYPE_CHECKING:
    from cxotel.media.windows import Hints, Window


class Feed:
    """A series of W3C `getStats()` answers for a span that began at `started` (ns since the epoch).

    The host's seconds may be of any clock that only goes forward. It has no lock: its owner has one.
    """

    def __init__(self, window: float, started: int) -> None:
        self._window = window
        self._started = started
        self._reader: W3CReader | None = None
        self._at = 0.0

    def take(self, stats: Any, at: Any, hints: Hints) -> list[Window]:
        """The windows that this answer, read at second `at`, completes."""
        if not isinstance(at, int | float) or isinstance(at, bool) or not is_time(at):
            hint = f"feed: `at` is seconds on a clock, not {_guard.shown(at)}"
            _guard.count(_guard.BAD_VALUE, hint=hint)
            return []
        if self._reader is None:
            elapsed = max(0, _clock.now() - self._started) / 1e9
            self._reader = W3CReader(self._window, start=at - elapsed)
        self._at = at
        return self._reader.feed(stats, at, hints=hints)

    def rest(self) -> list[Window]:
        """The windows that were not complete yet."""
        reader, self._reader = self._reader, None
        return [] if reader is None else reader.finish(self._at)
