"""Erasing calls for good: from tables, inbox and outbox, with a tombstone, and from the file's free pages.

Each step is a short transaction of its own, so that a running desk goes on receiving. The tombstones come
first: from then on nothing of these calls is sorted in, and a judgement under way finds no call to write to.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cxotel._semconv import CX_CALL_ALIAS, CX_CALL_ID, CX_CUSTOMER_REF
from cxotel.desk import outbox, removing, wire
from cxotel.desk._sql import sql
from cxotel.desk.receiver import count
from cxotel.desk.retention import give_back, pages_of
from cxotel.ids import DEFAULT_NAMESPACE, call_ids
from cxotel.otlp.proto import attributes_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Iterator

    from cxotel.desk.dbfile import File

# Rows of inbox and outbox, traces, and free pages in one transaction: a desk waits at most 5 s for it.
MOST_ROWS, MOST_TRACES, MOST_PAGES = 64, 20, 2_000
# Spans looked through at a time.
MOST_SPANS = 20_000
# The log of a running desk is cut once no page is being read.
CHECKPOINTS, CHECKPOINT_SECONDS = 50, 0.1

# Metrics are of no trace.
_OF_TRACES = ("traces", "logs")


def of_trace(file: File, trace_id: bytes) -> set[bytes]:
    """The call that a trace id means, and the trace itself."""
    return {trace_id, *(row[0] for row in file.rows("alias_of", trace_id))}


def of_key(file: File, key: str, namespace: str | None) -> set[bytes]:
    """The calls of a key: of one namespace, or of any."""
    own = call_ids(key, namespace or DEFAULT_NAMESPACE).trace_id.to_bytes(16, "big")
    found = of_trace(file, own)
    for trace_id, said in file.rows("traces_of_key", key):
        if namespace is None or said in ("", namespace):
            found |= of_trace(file, trace_id)

    def has_key(item: Any) -> bool:
        values = attributes_of(item.attributes)
        aliases = values.get(CX_CALL_ALIAS)
        return values.get(CX_CALL_ID) == key or (isinstance(aliases, list) and key in aliases)

    if namespace is None:
        found |= {item.trace_id for item in _waiting(file, key.encode()) if has_key(item)}
    return found


def of_customer(
    file: File, customer: str, progress: Callable[[int, int], None]
) -> tuple[set[bytes], list[int]]:
    """All traces with a span or log record of a customer, and ids of those records that are of no trace.

    Every span is looked through: a call can name more customers than the one that it is listed by.
    """
    found: set[bytes] = set()
    records = []
    text = customer.encode()

    def is_theirs(item: Any) -> bool:
        return attributes_of(item.attributes).get(CX_CUSTOMER_REF) == customer

    spans, logs = (file.rows(f"last_{noun}")[0][0] for noun in ("span", "log"))
    for noun, kind, last, before in (("spans", Span, spans, 0), ("logs", LogRecord, logs, spans)):
        for start in range(0, last, MOST_SPANS):
            for number, trace_id, data in file.rows(f"{noun}_with", start, start + MOST_SPANS, text):
                if not is_theirs(kind.FromString(data)):
                    continue
                if trace_id:
                    found |= of_trace(file, trace_id)
                else:
                    records.append(number)
            progress(before + min(start + MOST_SPANS, last), spans + logs)
    for item in _waiting(file, text):
        if is_theirs(item):
            found |= of_trace(file, item.trace_id)
    return found, records


def erase(file: File, traces: Collection[bytes], records: Collection[int] = ()) -> Counter[str]:
    """Erase traces and single log records; returns the numbers of calls, spans, logs and waiting requests."""
    gone: Counter[str] = Counter()
    now = time.time_ns()
    every = file.transaction(partial(_bury, traces=traces, now=now))
    ordered = sorted(every)
    for start in range(0, len(ordered), MOST_TRACES):
        gone += file.transaction(partial(_erase_some, traces=ordered[start : start + MOST_TRACES]))
    file.transaction(lambda to: to.executemany(sql("forget_log"), [(number,) for number in records]))
    gone["logs"] += len(records)
    for table in ("inbox", "outbox"):
        place = 0
        while True:
            place, dropped = file.transaction(partial(_erase_waiting, table=table, place=place, traces=every))
            gone += dropped
            if not place:
                break
    place = 0
    while True:
        place, _ = file.transaction(partial(removing.forget_origins, place=place, most=MOST_ROWS))
        if not place:
            break

    def finish(connection: sqlite3.Connection) -> None:
        connection.execute(sql("forget_words"))
        for table in ("counter", "destination"):  # their latest messages may name what was erased
            connection.execute(sql(f"forget_notes_{table}"))
        for noun in ("calls", "spans", "logs"):
            count(connection, f"erased.{noun}", gone[noun], now, "")

    file.transaction(finish)
    return gone


def wipe(file: File) -> bool:
    """Cut off the file's free pages and its log, which may hold what was erased; whether all is gone."""
    while True:
        _, before, free = pages_of(file.writer)
        if not free:
            break
        file.transaction(lambda to: give_back(to, MOST_PAGES))
        if pages_of(file.writer)[1] >= before:
            break  # a file of an older desk: `cxotel db vacuum` does it
    is_cut = False
    for _ in range(CHECKPOINTS):
        is_cut = not file.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if is_cut:
            break
        time.sleep(CHECKPOINT_SECONDS)
    return is_cut and not pages_of(file.writer)[2]


def is_known(file: File, trace_id: bytes) -> bool:
    """Whether there is anything of a trace, sorted or waiting."""
    if file.rows("has_trace", trace_id)[0][0]:
        return True
    for table in ("inbox", "outbox"):
        place = 0
        while rows := file.rows(f"{table}_after", place, MOST_ROWS):
            place = rows[-1][0]
            if any(trace_id in data for _, _, data, _ in rows):
                return True
    return False


def _bury(connection: sqlite3.Connection, traces: Iterable[bytes], now: int) -> set[bytes]:
    """Tombstones for traces and all that mean the same calls; returns them."""
    every = {one for trace_id in traces for one in removing.ids_of(connection, trace_id)}
    connection.executemany(sql("erase_trace"), [(one, now) for one in sorted(every)])
    return every


def _erase_some(connection: sqlite3.Connection, traces: Iterable[bytes]) -> Counter[str]:
    gone: Counter[str] = Counter()
    for trace_id in traces:
        is_call = connection.execute(sql("read_life"), (trace_id,)).fetchone()
        gone += removing.remove(connection, trace_id)[0]
        gone["calls"] += bool(is_call and is_call[0])
    return gone


def _erase_waiting(
    connection: sqlite3.Connection, table: str, place: int, traces: set[bytes]
) -> tuple[int, Counter[str]]:
    """Take traces out of some requests that wait; returns where to go on, 0 at the end."""
    gone: Counter[str] = Counter()
    rows = connection.execute(sql(f"{table}_after"), (place, MOST_ROWS)).fetchall()
    for number, signal, data, spoiled in rows:
        lost = json.loads(spoiled or "{}")
        kept = {key: value for key, value in lost.items() if bytes.fromhex(key) not in traces}
        is_hit = signal in _OF_TRACES and any(trace_id in data for trace_id in traces)
        if not is_hit and kept == lost:
            continue
        request: Any = wire.decode(wire.BY_NAME[signal], data)
        noun = "spans" if signal == "traces" else "logs"
        items, dropped = _drop(request, signal, traces)
        if table == "inbox":
            gone[noun] += dropped
        gone["requests"] += dropped > 0
        if not items and not kept:
            connection.execute(sql("inbox_drop" if table == "inbox" else "outbox_remove"), (number,))
        else:
            more = items if table == "outbox" else json.dumps(kept) if kept else ""
            connection.execute(sql(f"{table}_change"), (request.SerializeToString(), more, number))
    return (rows[-1][0] if len(rows) == MOST_ROWS else 0), gone


def _drop(request: Any, signal: str, traces: set[bytes]) -> tuple[int, int]:
    """Take traces out of a request; how many items are left, and how many were taken."""
    left = dropped = 0
    _, groups, scopes, members = outbox.SHAPES[signal]
    for group in getattr(request, groups):
        for scoped in getattr(group, scopes):
            items = getattr(scoped, members)
            kept = [item for item in items if item.trace_id not in traces]
            left, dropped = left + len(kept), dropped + len(items) - len(kept)
            if len(kept) < len(items):
                kept = [type(item).FromString(item.SerializeToString()) for item in kept]
                del items[:]
                items.extend(kept)
    return left, dropped


def _waiting(file: File, text: bytes) -> Iterator[Any]:
    """Spans and log records with a trace id in the requests of the inbox that hold a text."""
    place = 0
    while rows := file.rows("inbox_after", place, MOST_ROWS):
        place = rows[-1][0]
        for _, signal, data, _ in rows:
            if signal in _OF_TRACES and text in data:
                items = outbox.items_in(signal, wire.decode(wire.BY_NAME[signal], data))
                yield from (item for item in items if len(item.trace_id) == 16)
