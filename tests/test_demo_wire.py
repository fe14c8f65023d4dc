"""How the demo's processes talk, and that none of them is ever left over."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cxotel.demo.wire import Child, WireError, ask, listen

if TYPE_CHECKING:
    from pathlib import Path


async def test_an_answer_comes_back() -> None:
    """What the handler returns, with status 200."""

    async def handler(message: dict[str, object]) -> dict[str, object]:
        return {"echo": message["text"]}

    server, address = await listen(handler)
    async with server:
        answer = await ask(address, {"method": "ECHO", "text": "grüß"})
    assert answer == {"status": 200, "echo": "grüß"}


async def test_a_refusal_says_why() -> None:
    """What the handler raised is the reason, with the method that was asked."""

    async def handler(_message: dict[str, object]) -> dict[str, object]:
        raise ValueError("no such call")

    server, address = await listen(handler)
    async with server:
        with pytest.raises(WireError, match=r"BYE to port \d+: ValueError: no such call"):
            await ask(address, {"method": "BYE"})


async def test_nobody_there_is_an_error_and_no_wait() -> None:
    """A closed port is told at once."""
    server, address = await listen(lambda _: asyncio.sleep(0, {}))
    server.close()
    await server.wait_closed()
    with pytest.raises(WireError, match="BYE to port"):
        await ask(address, {"method": "BYE"})


async def test_an_answer_that_never_comes_is_given_up() -> None:
    """After the time the caller gives."""
    enough = asyncio.Event()

    async def handler(_message: dict[str, object]) -> dict[str, object]:
        await enough.wait()
        return {}

    server, address = await listen(handler)
    async with server:
        with pytest.raises(WireError, match=r"no answer in 0\.1 s"):
            await ask(address, {"method": "INVITE"}, timeout=0.1)
        enough.set()
        await asyncio.sleep(0.01)


async def test_a_child_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The error has the end of its log."""
    with pytest.raises(WireError, match=r"nobody did not start.*No module named cxotel.demo.nobody"):
        await Child.start("nobody", "cxotel.demo.nobody", log=str(tmp_path / "log"))


async def test_a_child_ends_when_it_is_stopped(tmp_path: Path) -> None:
    """Closing its input is enough."""
    child = await Child.start("proxy", "cxotel.demo.proxy", log=str(tmp_path / "log"))
    assert child.alive
    await child.stop()
    assert not child.alive


_PARENT = """
import asyncio, sys
from cxotel.demo.wire import Child
async def main():
    child = await Child.start("proxy", "cxotel.demo.proxy", log=sys.argv[1])
    print(child._process.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no time to stop anybody; the pipe closes all the same."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 5
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0] != "Z"
