"""A real `cxotel serve` between a client that tries again and a backend that writes everything down."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from backends import free_ports
from service import Service

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from durable_calls import Call, Outcome


class DeskProcess(Service):
    """A desk that is started again and again with the same file, and hands everything on."""

    name = "the desk"

    def __init__(
        self, folder: Path, backend: int, *, grace: float = 0.5, before: Iterable[str] = (), disk: str = ""
    ) -> None:
        """Starts nothing.

        Args:
            folder: for the file and the log.
            backend: the port where spans go.
            grace: seconds that a root is held.
            before: words in front of the command, such as `unshare`.
            disk: a folder in `folder` for the file, if it is not to lie in that itself.
        """
        self.folder, self.before = folder, list(before)
        self.log, self.db = folder / "desk.log", folder / disk / "desk.sqlite"
        self.port, self.http_port, self.web_port = free_ports(3)
        self.backend, self.grace = backend, grace
        self.environment = os.environ | {"PYTHONUNBUFFERED": "1"}

    @property
    def command(self) -> list[str]:
        """What is run."""
        ports = {"grpc": self.port, "http": self.http_port, "web": self.web_port}
        return [
            *self.before,
            *(sys.executable, "-m", "cxotel", "serve", "--db", str(self.db), "--grace", str(self.grace)),
            *(word for name, port in ports.items() for word in (f"--{name}-port", str(port))),
            *("--forward", f"grpc://127.0.0.1:{self.backend}"),
        ]

    def check(self, calls: list[Call], outcome: Outcome) -> None:
        """Holds the file against what was acknowledged: every span there, every call judged once."""
        with closing(sqlite3.connect(self.db)) as file:
            waiting = file.execute("SELECT count(*) FROM inbox").fetchone()[0]
            spans = dict(file.execute("SELECT trace_id, count(*) FROM span GROUP BY 1"))
            judged = dict(
                file.execute(
                    "SELECT trace_id, count(*) FROM verdict "
                    "WHERE json_extract(verdict, '$.kind') = 'judged' GROUP BY 1"
                )
            )
            states = dict(file.execute("SELECT trace_id, state FROM call"))
        outcome.counts["requests left in the inbox"] = waiting
        for call in calls:
            own = bytes.fromhex(call.root.span.trace_id)
            other = bytes.fromhex(call.other.span.trace_id) if call.other else None
            expected = sum(piece.acked < float("inf") for piece in call.pieces)
            kept = spans.get(own, 0) + (spans.get(other, 0) if other else 0)
            outcome.counts["spans in the file"] += kept
            if kept < expected:
                outcome.breaks("every acknowledged span is in the file", call, f"{kept} of {expected}")
            key = own if own in states or other is None else other
            if states.get(key) != "final" or judged.get(key) != 1:
                outcome.breaks(
                    "every call is judged once", call, f"{states.get(key)}, {judged.get(key)} times"
                )
