"""`cxotel serve` from the outside: killed, or cut off from its backend; what it acknowledged comes once.

A short form of `make kill KILL="--what desk"` and `make outage OUTAGE="--what desk"`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import kill
import pytest
from collector_rig import Backend, Client
from desk_rig import DeskProcess
from durable_calls import check

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.e2e

KILLS = 10
OUTAGE_SECONDS = 12.0
FULL_SECONDS = 6.0
# A file system of 3 MiB; then the desk in place of the shell.
SMALL = 'mkdir -p "$0" && mount -t tmpfs -o size=3m none "$0" && exec "$@"'


async def run(*command: str) -> None:
    """Runs a command that must succeed."""
    await asyncio.to_thread(subprocess.run, command, check=True)


async def is_ready(desk: DeskProcess) -> bool:
    """What its readiness says."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{desk.web_port}/ready", timeout=10)
    return answer.status_code == 200


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 90.0) -> None:
    """Waits until it holds; fails if it never does."""
    end = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < end, "did not happen"
        await asyncio.sleep(0.2)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounting a small file system needs root"
)
async def test_a_full_disk_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Senders are put off while it is full; once there is room, all goes on, and nothing is missing."""
    backend = Backend()
    await backend.up()
    before = ["unshare", "-m", "sh", "-c", SMALL, str(tmp_path / "disk")]
    desk = DeskProcess(tmp_path, backend.port, before=before, disk="disk")
    desk.start()
    await desk.ready()
    client = Client(desk.port)
    try:
        load = kill.Load(client, seed=9, callers=12)

        async def is_full() -> bool:
            return not await is_ready(desk)

        await until(is_full)
        await asyncio.sleep(FULL_SECONDS)
        full = time.monotonic()
        assert desk.process is not None
        inside = ["nsenter", "-t", str(desk.process.pid), "-m"]
        await run(*inside, "mount", "-o", "remount,size=200m", str(tmp_path / "disk"))
        await until(lambda: is_ready(desk))
        await asyncio.sleep(2.0)
        await load.end()
        await backend.settled(3.0)
        copied = tmp_path / "copied.sqlite"
        backup = (sys.executable, "-m", "cxotel", "db", "backup", "--db", str(desk.db), str(copied))
        await run(*inside, *backup)  # the file system goes with the desk
        await asyncio.to_thread(desk.stop)
    finally:
        desk.close()
        await client.close()
        await backend.down()
    outcome = check(load.calls, list(backend.arrivals()), [])
    desk.db = copied
    desk.check(load.calls, outcome)
    assert not outcome.broken, outcome.broken
    acknowledged = [piece.acked for call in load.calls for piece in call.pieces]
    assert any(at < full for at in acknowledged)
    assert any(at > full for at in acknowledged)


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
