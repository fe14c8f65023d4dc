"""Connections that are still open when the process ends: their calls end with it, and what they say gets out.

- The process finishes: `atexit` ends them before the SDK's own `atexit` flushes and shuts down.
- SIGTERM, where nobody handles it (Python would die at once, exit handlers unrun): they end, what was
  recorded is flushed for at most `GRACE` seconds, and the process dies of the same signal. The handler is in
  place only while a connection of the main thread is open, and only if the host has none of its own.
- fork: a child has no part in its parent's connections.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from typing import Any, Protocol

from cxotel.config import flush

# Seconds that a SIGTERM'd process is kept alive to flush. Orchestrators kill for good after 10 s
# (Docker's `stop`) or 30 s (Kubernetes), and the host has its own goodbyes to say.
GRACE = 3.0


class Open(Protocol):
    """A connection that is being followed."""

    def end_with_process(self) -> None:
        """End its spans now; the process ends."""

    def forget(self) -> None:
        """Do nothing more at all: this is a copy in a forked child."""


_open: dict[int, Open] = {}


def opened(connection: Open) -> None:
    """Note a connection that now has spans to end."""
    _open[id(connection)] = connection
    # Handlers run last in, first out: registered anew, ours runs before that of any provider made so far.
    atexit.unregister(end_all)
    atexit.register(end_all)
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGTERM, _on_sigterm)


def closed(connection: Open) -> None:
    """Note that a connection's spans have ended."""
    _open.pop(id(connection), None)
    if not _open:
        _disarm()


def end_all() -> None:
    """End the spans of all open connections."""
    for each in tuple(_open.values()):
        each.end_with_process()


def _disarm() -> None:
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is _on_sigterm
    ):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _on_sigterm(_signum: int, _frame: Any) -> None:
    """End and flush, then die of SIGTERM, in a thread: the main one may hold a lock that this needs."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        threading.Thread(target=_flush_and_die, name="cxotel-sigterm").start()
    except RuntimeError:  # the interpreter is shutting down already
        os.kill(os.getpid(), signal.SIGTERM)


def _flush_and_die() -> None:
    worker = threading.Thread(target=_end_and_flush, name="cxotel-flush", daemon=True)
    worker.start()
    worker.join(GRACE)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_and_flush() -> None:
    end_all()
    flush(int(GRACE * 1000))


def _after_fork() -> None:
    for each in _open.values():
        each.forget()
    _open.clear()
    _disarm()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
