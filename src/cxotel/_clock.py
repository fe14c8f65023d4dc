"""The one clock that spans of ours are timed with, so that tests can step it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_source: Callable[[], int] = time.time_ns


def now() -> int:
    """Nanoseconds since the Unix epoch."""
    return _source()


def use(source: Callable[[], int]) -> Callable[[], int]:
    """Read the time from `source`; returns what it was read from before."""
    global _source  # noqa: PLW0603 (one clock a process)
    before = _source
    _source = source
    return before
