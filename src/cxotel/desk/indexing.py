"""From the inbox to spans, logs and metrics: each is kept once, its call's life told of it, and handed on.

A slice of the inbox is worked up in one transaction, in which it also leaves the inbox: whatever happens,
each request is sorted once.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxotel.desk import intake, lives, outbox, wire
from cxotel.desk._sql import sql
from cxotel.desk.receiver import count
from cxotel.desk.settings import MAX_SPANS_PER_CALL

if TYPE_CHECKING:
    import sqlite3

    from cxotel.desk.lives import Rules
    from cxotel.desk.store import Store

# One slice: enough to share a commit, and no longer than an acknowledgement may wait for it (some 20 ms).
MOST_IN_SLICE = 64
MOST_BYTES = 512 * 1024


@dataclass(slots=True)
class _Request:
    """A request of the inbox, sorted out."""

    id: int
    received: int
    signal: str
    batch: intake.Batch
    lost: dict[str, int]


class Index:
    """Works the inbox up.

    Args:
        store: the desk's file.
        rules: of the life of calls.
    """

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store, self._rules = store, rules

    def oldest(self) -> int | None:
        """When the oldest request in the inbox was received, None if it is empty."""
        rows = self._store.rows("inbox_oldest")
        return rows[0][0] if rows else None

    def work(self) -> bool:
        """Work up a slice; False if the inbox was empty.

        Raises:
            StoreBusyError: it could not be written and is still there.
        """
        slice_ = self._read()
        if slice_:
            self._store.write(lambda connection: self._apply(connection, slice_)).result()
        return bool(slice_)

    def _read(self) -> list[_Request]:
        found: list[_Request] = []
        size = 0
        for number, received, signal, data, spoiled in self._store.rows("inbox_head", MOST_IN_SLICE):
            size += len(data)
            if found and size > MOST_BYTES:
                break
            request = wire.decode(wire.BY_NAME[signal], data)
            batch = intake.sort(signal, request, received)
            found.append(_Request(number, received, signal, batch, json.loads(spoiled or "{}")))
        return found

    def _apply(self, connection: sqlite3.Connection, slice_: list[_Request]) -> None:
        calls, trust = lives.Lives(connection, self._rules), self._rules.trust_stamped
        received: Counter[str] = Counter()
        repeated: Counter[str] = Counter()
        for request in slice_:
            noun = "spans" if request.signal == "traces" else request.signal
            before = calls.erased + calls.beyond
            fresh = [item for item in request.batch.items if self._insert(connection, request, item, calls)]
            not_kept = calls.erased + calls.beyond - before
            received[noun] += len(fresh)
            repeated[noun] += len(request.batch.items) - len(fresh) - not_kept
            if request.signal == "traces":
                fresh = [item for item in fresh if self._passes(item, request, calls)]
                refused = Counter({bytes.fromhex(k): v for k, v in request.lost.items()})
                for trace_id, number in (request.batch.refused_of + refused).items():
                    calls.refused(trace_id, number)
            if self._rules.forwards:
                outbox.pass_on(connection, request.signal, fresh, request.received, trust_stamped=trust)
        calls.save()
        now = slice_[-1].received
        for what, counted in (("received", received), ("repeated", repeated)):
            for noun, number in counted.items():
                count(connection, f"{what}.{noun}", number, now, "")
        if calls.erased:
            count(connection, "refused.erased", calls.erased, now, "a span of a call that was erased")
        if calls.beyond:
            note = (
                f"a span of a call that has {MAX_SPANS_PER_CALL} already: is a call key used for many calls?"
            )
            count(connection, "refused.call_full", calls.beyond, now, note)
        connection.execute(sql("inbox_done"), (slice_[-1].id,))

    def _insert(
        self, connection: sqlite3.Connection, request: _Request, item: intake.Item, calls: lives.Lives
    ) -> bool:
        """Keep an item; False if it is known, or of a call that was erased or is full."""
        key: Any = item.name if request.signal == "metrics" else item.trace_id or None
        if item.trace_id and calls.is_erased(item.trace_id):
            return False
        if request.signal == "traces" and (calls.is_of_erased(item, request.received) or calls.is_full(item)):
            return False
        origin = self._store.origin(connection, item.origin.key, item.origin.row)
        row = (key, item.digest, origin, request.received, item.data)
        return bool(connection.execute(sql(f"insert_{_TABLES[request.signal]}"), row).rowcount)

    def _passes(self, item: intake.Item, request: _Request, calls: lives.Lives) -> bool:
        """Tell the call of a span; whether that is handed on as it came."""
        if item.is_judges:
            return self._rules.trust_stamped
        return calls.arrive(item, request.received)


_TABLES = {"traces": "span", "logs": "log", "metrics": "metric"}
