"""Nothing of ours may hurt the host: internal errors are swallowed, and whatever is dropped is counted.

In production an error of ours becomes a count and one log line for each place it came from; under pytest it
is raised, so that tests (ours and users') see it.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics

from cxotel import _semconv as names
from cxotel._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

logger = logging.getLogger("cxotel")

# What `counters()` counts by. Each is a reason of the metric `cx.sdk.dropped`.
INTERNAL_ERROR = "internal_error"  # an exception of ours, swallowed
BAD_CALL_KEY = "bad_call_key"  # empty, no string, or no text that UTF-8 can carry
BAD_VALUE = "bad_value"  # an attribute, time, figure or member of an enum that cannot be used
BAD_CARRIER = "bad_carrier"  # a propagation header that is malformed or too large
ENDED_TWICE = "ended_twice"  # stop() or fail() on what had ended
LEFT_OPEN = "left_open"  # ended by the end of its call
AFTER_END = "after_end"  # used after its end
FORKED = "forked"  # used in a child process, where it is only a copy
LATE_WINDOW = "late_window"  # a window of a part of the leg that was sent before
SERIES_CUT = "series_cut"  # an attribute length limit too short for a single window
ATTRIBUTES_DROPPED = "attributes_dropped"  # by the host's limit on attributes per span
NO_CUSTOMER_KEY = "no_customer_key"  # a customer was named and no key to hash with is configured
QUEUE_FULL = "queue_full"  # spans that came faster than they were exported
EXPORT_FAILED = "export_failed"  # spans that the exporter could not deliver

# A signal handler of the host's may end a span while its thread counts here.
_lock = threading.RLock()
_counts: dict[str, int] = {}
_told: set[str] = set()
_MOST_TOLD = 1000  # distinct messages kept, so that hostile values cannot grow the set
generation = 0
"""Grows by one in each forked child: a handle of an older generation is a copy of the parent's."""


def count(reason: str, number: int = 1, *, hint: str = "") -> None:
    """Count what was dropped; `hint` names field and fix and is logged the first time it is given.

    A `number` of 0 only logs.
    """
    with _lock:
        if number:
            _counts[reason] = _counts.get(reason, 0) + number
        tell = bool(hint) and hint not in _told and len(_told) < _MOST_TOLD
        if tell:
            _told.add(hint)
    if tell:
        logger.warning("%s", hint)


def shown(value: Any) -> str:
    """The value as a hint shows it: at most 80 characters, and no error whatever its `repr` does."""
    try:
        return f"{value!r:.80}"
    except Exception:  # noqa: BLE001 (the host's class may raise anything; so do ints of over 4,300 digits)
        return f"a {type(value).__name__} that cannot be shown"


def counters() -> dict[str, int]:
    """How much was dropped, refused or unreadable in this process so far, by reason; empty if nothing was."""
    with _lock:
        return dict(_counts)


def reset() -> None:
    """Start counting anew; for tests."""
    with _lock:
        _counts.clear()
        _told.clear()


def under_pytest() -> bool:
    """Whether a test is running, ours or a user's."""
    return "PYTEST_CURRENT_TEST" in os.environ


def absorb(where: str, error: Exception) -> None:
    """Count an internal error and log it once for each place; under pytest raise it instead."""
    if under_pytest():
        raise error
    count(INTERNAL_ERROR)
    with _lock:
        first = where not in _told
        _told.add(where)
    if first:
        logger.warning("cxotel: %s failed; the call goes on unmeasured there", where, exc_info=error)


class swallow:  # noqa: N801 (reads as the statement it is: `with swallow("leg window"):`)
    """Context manager around work of ours that runs in the host's path; `where` names it in the log."""

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        absorb(self._where, error)
        return True


def _observe(_: Any) -> Iterable[metrics.Observation]:
    return [
        metrics.Observation(number, {names.CX_SDK_REASON: reason}) for reason, number in counters().items()
    ]


_published: set[int] = set()


def publish(provider: metrics.MeterProvider) -> None:
    """Make the counters a metric of that provider, once."""
    if id(provider) in _published:
        return
    _published.add(id(provider))
    meter = provider.get_meter("cxotel", __version__)
    meter.create_observable_counter(
        names.METRIC_CX_SDK_DROPPED,
        [_observe],
        unit="{item}",
        description="What the SDK dropped, refused or could not read, by reason.",
    )


def _after_fork() -> None:
    global _lock, generation  # noqa: PLW0603 (a lock that another thread held in the parent would never open)
    _lock = threading.RLock()
    _counts.clear()
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
