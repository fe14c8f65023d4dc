"""What can be set on a desk, with the reason for each number."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cxotel.impact.lifecycle import Times

# The Collector's confighttp refuses bodies over 20 MiB; a batch of the SDKs (512 spans) has under 1 MiB.
MAX_BODY = 20 * 1024 * 1024
# The longest series the model reads (1,000 windows of "100.0 ") has 6 kB; ten times that is kept of a text.
MAX_VALUE = 64 * 1024
# OpenTelemetry's own default limit is 128 attributes a span; of eight times that on, the rest is counted.
MAX_ATTRIBUTES = 1024
# A call of a working day has under 1,000 spans. A page of 10,000 must open within 1 s, and one of five times
# that still opens; what a sender that runs wild sends on top is counted and not kept, but for a few roots.
MAX_SPANS_PER_CALL, MAX_ROOTS_OF_FULL_CALL = 50_000, 100
# Clocks of one contact centre differ by seconds; an hour ahead is a wrong clock or a wrong time zone.
FUTURE_NS = 3600 * 10**9
# The last time (year 2262) that a signed 64-bit integer of ns holds, as SQLite and most languages have it.
LAST_NS = 2**63 - 1
# A restart of the desk, or a burst of a minute, is caught up with in less; then somebody should look.
READY_BEHIND = 60.0
# A month's report can be opened down to its calls; of older ones few complain, and privacy asks for less.
KEEP_DAYS = 30.0
# 300,000 calls of 20 spans have some 6 GB; what a small machine's disk has to spare.
KEEP_BYTES = 10 * 10**9


def default_db() -> Path:
    """`$XDG_DATA_HOME/cxotel/desk.sqlite`, as the XDG Base Directory Specification 0.8 has it."""
    base = os.environ.get("XDG_DATA_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "share"
    return root / "cxotel" / "desk.sqlite"


@dataclass(frozen=True)
class Keep:
    """How long calls are kept; frozen ones are, whatever this says.

    Attributes:
        days: since the last span of a call was received; 0 for ever.
        size: bytes of the file, from which the oldest calls go; 0 for any.
    """

    days: float = KEEP_DAYS
    size: int = KEEP_BYTES

    def __post_init__(self) -> None:
        for name in ("days", "size"):
            value = getattr(self, name)
            if not 0 <= value < 2**63:
                raise ValueError(f"{name} must be 0 or more, not {value}")


@dataclass(frozen=True)
class Timing:
    """When a call is judged, in seconds.

    Attributes:
        grace: from the root's arrival to the final verdict. Other processes flush their batches every 5 s by
            default (OTEL_BSP_SCHEDULE_DELAY), so that 6 s sees them all.
        idle: without a span and without a root, until the call is told as partial. A leg's span ends after an
            hour at the latest, so that no running call is silent for longer than 65 minutes.
        longest: from the first span, until a call without its root is told as partial however lively it is: a
            working day.
        settle: from a span's arrival to judging a running call again for its page; what is sent in one go by
            several exporters arrives within this.
    """

    grace: float = 6.0
    idle: float = 3900.0
    longest: float = 28_800.0
    settle: float = 1.0

    def __post_init__(self) -> None:
        for name in ("grace", "idle", "longest", "settle"):
            value = getattr(self, name)
            if not 0 <= value <= 86_400:
                raise ValueError(f"{name} must be between 0 and 86400 seconds, not {value}")

    @property
    def times(self) -> Times:
        """Those of a call's life, in ns."""
        return Times(*(round(value * 1e9) for value in (self.grace, self.idle, self.longest)))
