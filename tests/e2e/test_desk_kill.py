"""`cxotel serve` from the outside: killed, or cut off from its backend; what it acknowledged comes once.

A short form of `make kill KILL="--what desk"` and `make outage OUTAGE="--what desk"`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import kill
import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

KILLS = 10
OUTAGE_SECONDS = 12.0


async def test_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """All that was acknowledged is in the file and at the backend, each call judged once, none partial."""
    run = await kill.kill_again_and_again(tmp_path, kills=KILLS, seed=3, desk=True)
    assert not run.outcome.broken, run.report
    assert run.outcome.counts["roots acknowledged"] > KILLS
    assert run.outcome.counts["span ids"] > run.outcome.counts["spans in the file"] > 0


async def test_a_backend_away_loses_nothing_though_the_desk_is_killed_meanwhile(tmp_path: Path) -> None:
    """All of it waits in the queue on disk."""
    run = await kill.outage(tmp_path, seconds=OUTAGE_SECONDS, seed=5, desk=True)
    assert not run.outcome.broken, run.report
    assert run.outcome.counts["spans acknowledged in the outage"] > 100
    assert run.outcome.counts["requests that came after the outage"] > 0
