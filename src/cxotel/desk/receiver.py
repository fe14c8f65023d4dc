"""From a decoded request to an acknowledgement: sort out, write, and answer once it is committed."""

from __future__ import annotations

import time
from concurrent.futures import TimeoutError as WaitTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cxotel.desk import intake, wire
from cxotel.desk._sql import sql
from cxotel.desk.store import StoreBusyError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from google.protobuf.message import Message

    from cxotel.desk.settings import Timing
    from cxotel.desk.store import Store

# SQLite waits 5 s for a locked file; senders give up after 10 s (OTEL_EXPORTER_OTLP_TIMEOUT's default).
COMMIT_SECONDS = 8.0


class Receiver:
    """Takes requests of all three signals, from any thread.

    Args:
        store: where to.
        timing: when calls are judged.
        written: called after each commit that brought spans, from the writer's thread.
    """

    def __init__(self, store: Store, timing: Timing, written: Callable[[], None]) -> None:
        self._store = store
        self._settle = int(timing.settle * 1e9)
        self._written = written

    def accept(self, signal: wire.Signal, request: Any, spoiled: Iterable[wire.Spoiled] = ()) -> Message:
        """Keep a request and answer it; `spoiled` are spans that it lost on the way here.

        Raises:
            StoreBusyError: not kept, send it again later.
        """
        now = time.time_ns()
        if signal is wire.TRACES:
            batch = intake.spans(request, now)
        elif signal is wire.LOGS:
            batch = intake.logs(request)
        else:
            batch = intake.metrics(request)
        for span in spoiled:
            batch.count("refused.field", span.note)
            batch.refused_of[span.trace_id] += 1
        if batch.items or batch.counts:
            self._wait(self._store.write(lambda connection: self._keep(connection, signal.name, batch, now)))
            if signal is wire.TRACES and batch.items:
                self._written()
        return wire.answer(signal, batch.refused, batch.message)

    def refuse(self, what: str, note: str) -> None:
        """Count a request that was turned away; never raises."""
        now = time.time_ns()
        with suppress(StoreBusyError):  # being busy is what is refused here
            self._store.write(lambda connection: _count(connection, f"refused.{what}", 1, now, note[:500]))

    def _wait(self, future: Future[Any]) -> None:
        try:
            future.result(COMMIT_SECONDS)
        except WaitTimeoutError:
            raise StoreBusyError("the desk is writing too slowly") from None

    def _keep(self, connection: sqlite3.Connection, what: str, batch: intake.Batch, now: int) -> None:
        origin, insert = self._store.origin, sql(f"insert_{what[:-1]}" if what != "traces" else "insert_span")
        touched: dict[bytes, list[bool]] = {}
        kept = 0
        for item in batch.items:
            number = origin(connection, item.origin.key, item.origin.row)
            key = item.name if what == "metrics" else item.trace_id or None
            cursor = connection.execute(insert, (key, item.digest, number, now, item.data))
            if not cursor.rowcount:
                continue
            kept += 1
            if what == "traces":
                flags = touched.setdefault(item.trace_id, [False, False])
                flags[0] |= item.is_call
                flags[1] |= item.is_root
        for trace_id, (is_call, is_root) in touched.items():
            parameters = {"trace_id": trace_id, "is_call": is_call, "is_root": is_root, "now": now}
            connection.execute(sql("touch_call"), {**parameters, "soon": now + self._settle})
        for trace_id, number in batch.refused_of.items():
            connection.execute(sql("refuse_span"), (number, trace_id))
        noun = "spans" if what == "traces" else what
        _count(connection, f"received.{noun}", kept, now, "")
        _count(connection, f"repeated.{noun}", len(batch.items) - kept, now, "")
        for name, number in batch.counts.items():
            _count(connection, name, number, now, batch.notes[name][:500])


def _count(connection: sqlite3.Connection, name: str, number: int, now: int, note: str) -> None:
    if number:
        connection.execute(sql("count"), (name, number, now, note))
