"""How the demo's processes talk and live: one JSON line asked, one answered, over loopback TCP.

A message is SIP-like: `{"method": "INVITE", "headers": {"Traceparent": ...}, ...}`; an answer has `status`
200, or another with a `reason`. A child watches its standard input: when the parent ends, in whatever way,
the pipe closes and the child ends too.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Message], Awaitable[Message]]
Address: TypeAlias = tuple[str, int]

LOOPBACK = "127.0.0.1"
LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of the longest line: the record of a hop holds every packet of a call, some 50 bytes each."""

STOP_SECONDS = 8.0
"""How long a child may take to stop by itself: the SDK flushes its spans in at most 5 s."""


class WireError(Exception):
    """The other process refused, or could not be reached."""


async def ask(address: Address, message: Message, *, timeout: float = 30.0) -> Message:
    """Send one message and wait for its answer.

    Raises:
        WireError: no connection, no answer in `timeout` seconds, or an answer other than 200.
    """
    what = f"{message.get('method')} to port {address[1]}"
    try:
        answer = await asyncio.wait_for(_exchange(address, message), timeout)
    except asyncio.TimeoutError:  # from Python 3.11 on an OSError too
        raise WireError(f"{what}: no answer in {timeout:g} s") from None
    except (OSError, ValueError) as exc:
        raise WireError(f"{what}: {exc}") from exc
    if answer.get("status") != 200:
        raise WireError(f"{what}: {answer.get('reason', 'refused')}")
    return answer


async def _exchange(address: Address, message: Message) -> Message:
    reader, writer = await asyncio.open_connection(*address, limit=LINE_LIMIT)
    try:
        writer.write(json.dumps(message).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise ConnectionResetError("connection closed without an answer")
    answer: Message = json.loads(line)
    return answer


async def listen(handler: Handler) -> tuple[asyncio.Server, Address]:
    """Serve messages on a free loopback port; what a handler raises becomes a 500 with its text."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            message = json.loads(await reader.readline())
            try:
                answer = {"status": 200, **await handler(message)}
            except Exception as exc:  # noqa: BLE001 - told to the one who asked
                answer = {"status": 500, "reason": f"{type(exc).__name__}: {exc}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            pass  # the one who asked has gone, or never sent a message
        finally:
            writer.close()

    server = await asyncio.start_server(connected, LOOPBACK, 0, limit=LINE_LIMIT)
    host, port = server.sockets[0].getsockname()[:2]
    return server, (host, port)


async def serve_child(handler: Handler, *, closing: Callable[[], Awaitable[None]] | None = None) -> None:
    """The main loop of a child process: says its port on its output, serves until its input closes."""
    server, address = await listen(handler)
    parent_gone = asyncio.Event()
    _watch_parent(asyncio.get_running_loop(), parent_gone)
    sys.stdout.write(json.dumps({"port": address[1]}) + "\n")
    sys.stdout.flush()
    await parent_gone.wait()
    server.close()
    if closing is not None:
        await closing()


def _watch_parent(loop: asyncio.AbstractEventLoop, gone: asyncio.Event) -> None:
    def watch() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(gone.set)
        # Whatever hangs while stopping must not outlive the parent.
        timer = threading.Timer(STOP_SECONDS, os._exit, args=(1,))
        timer.daemon = True
        timer.start()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


class Child:
    """A process of the demo that this one started: `python -m <module> <arguments>`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, address: Address, log: str) -> None:
        self.name = name
        self.address = address
        self.log = log
        self._process = process

    @classmethod
    async def start(cls, name: str, module: str, *, log: str, env: dict[str, str] | None = None) -> Child:
        """Start one and wait until it says its port.

        Raises:
            WireError: it ended, or said nothing within 30 s; the text has the last lines of its log.
        """
        with open(log, "wb") as stderr:  # noqa: PTH123, ASYNC230 - opened once, before any call
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **(env or {})},
                # Ctrl-C is for the parent, who stops its children in good order.
                start_new_session=True,
            )
        if process.stdout is None:
            raise WireError(f"{name}: no pipe to its output")
        try:
            # 30 s: importing aiortc takes 2 s here on an idle core, ten of it on a busy machine.
            line = await asyncio.wait_for(process.stdout.readline(), 30)
            port = int(json.loads(line)["port"])
        except (asyncio.TimeoutError, ValueError, KeyError):
            if process.returncode is None:
                process.kill()
            await process.wait()
            raise WireError(f"{name} did not start: {_tail(log)}") from None
        return cls(name, process, (LOOPBACK, port), log)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    async def ask(self, message: Message, *, timeout: float = 30.0) -> Message:
        """As `ask`; an error names the process and says what its log ends with.

        Raises:
            WireError: as `ask`.
        """
        try:
            return await ask(self.address, message, timeout=timeout)
        except WireError as exc:
            detail = "" if self.alive else f"; it has ended: {_tail(self.log)}"
            raise WireError(f"{self.name}: {exc}{detail}") from None

    async def stop(self) -> None:
        """Close its input and wait for its end; what does not end is killed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS + 2)
        except asyncio.TimeoutError:
            self._process.kill()
            await self._process.wait()


def _tail(log: str, lines: int = 8) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        return " | ".join(line.strip() for line in file.readlines()[-lines:]) or "nothing in its log"
