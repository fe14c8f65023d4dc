"""From a decoded request to an acknowledgement: look at it, keep it as it came, answer once it is committed.

Sorting it into spans comes later (`indexing.py`): what was acknowledged is in the inbox, on disk.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import TimeoutError as WaitTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cxotel.desk import intake, wire
from cxotel.desk._sql import sql
from cxotel.desk.store import DAMAGED, StoreBusyError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from google.protobuf.message import Message

    from cxotel.desk.store import Store
    from cxotel.desk.telemetry import Telemetry

# SQLite waits 5 s for a locked file; senders give up after 10 s (OTEL_EXPORTER_OTLP_TIMEOUT's default).
COMMIT_SECONDS = 8.0


class Receiver:
    """Takes requests of all three signals, from any thread.

    Args:
        store: where to.
        written: called after each request that was kept.
        clock: the time in ns since the epoch.
        telemetry: told of what is acknowledged and refused.
    """

    def __init__(
        self,
        store: Store,
        written: Callable[[], None],
        clock: Callable[[], int] = time.time_ns,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._store = store
        self._written = written
        self._clock = clock
        self._owed: dict[str, tuple[int, str]] = {}
        self._owing = threading.Lock()

    def accept(self, signal: wire.Signal, request: Any, spoiled: Iterable[wire.Spoiled] = ()) -> Message:
        """Keep a request and answer it; `spoiled` are spans that it lost on the way here.

        Raises:
            StoreBusyError: not kept, send it again later.
        """
        trouble = self._store.trouble
        if trouble is not None and trouble.kind == DAMAGED:  # what it took now would go with the file
            raise StoreBusyError(f"the desk's file is damaged: {trouble.text}")
        now, began = self._clock(), time.perf_counter()
        batch = intake.sort(signal.name, request, now)
        lost: Counter[str] = Counter()
        for span in spoiled:
            batch.count("refused.field", span.note)
            lost[span.trace_id.hex()] += 1
        if batch.items or batch.counts:
            row = (now, signal.name, request.SerializeToString(), json.dumps(lost) if lost else "")
            self._wait(self._store.write(lambda connection: _keep(connection, row, batch)))
            if self._owed:
                self._count_refused()
            self._written()
        if self._telemetry is not None:
            self._telemetry.acknowledged(signal.name, time.perf_counter() - began)
            for name, number in batch.counts.items():
                what, _, reason = name.partition(".")
                if what == "refused":
                    self._telemetry.refused(reason, number, signal.name)
        return wire.answer(signal, batch.refused, batch.message)

    def refuse(self, what: str, note: str, signal: str = "") -> None:
        """Count a request that was turned away, as soon as that can be written; never raises.

        Its signal is "" where it was turned away before that was known.
        """
        if self._telemetry is not None:
            self._telemetry.refused(what, 1, signal)
        self._owe({what: (1, note[:500])})
        self._count_refused()

    def _count_refused(self) -> None:
        taken: dict[str, tuple[int, str]] = {}

        def job(connection: sqlite3.Connection) -> None:
            with self._owing:
                taken.update(self._owed)
                self._owed = {}
            for name, (number, text) in taken.items():
                count(connection, f"refused.{name}", number, self._clock(), text)

        def done(future: Future[None]) -> None:
            if future.exception() is not None:
                self._owe(taken)

        with suppress(StoreBusyError):  # being busy is what is refused here
            self._store.write(job).add_done_callback(done)

    def _owe(self, refused: dict[str, tuple[int, str]]) -> None:
        with self._owing:
            for what, (number, note) in refused.items():
                self._owed[what] = (number + self._owed.get(what, (0, ""))[0], note)

    def _wait(self, future: Future[Any]) -> None:
        try:
            future.result(COMMIT_SECONDS)
        except WaitTimeoutError:
            raise StoreBusyError("the desk is writing too slowly") from None


def _keep(connection: sqlite3.Connection, row: tuple[int, str, bytes, str], batch: intake.Batch) -> None:
    connection.execute(sql("insert_inbox"), row)
    traces = {item.trace_id for item in batch.items if item.trace_id} if batch.notes else ()
    # Nothing of what was erased is written again.
    is_erased = any(connection.execute(sql("is_erased"), (one,)).fetchone() for one in traces)
    for name, number in batch.counts.items():
        count(connection, name, number, row[0], "" if is_erased else batch.notes[name][:500])


def count(connection: sqlite3.Connection, name: str, number: int, now: int, note: str) -> None:
    """Count something; inside a write job."""
    if number:
        connection.execute(sql("count"), (name, number, now, note))
