"""How long the desk keeps what it has: by age and by size, oldest first, a little at a time.

A call goes as a whole: while a large one goes in several steps, a tombstone keeps late spans from having the
rest of it judged. Calls that run, are held or frozen stay, and what waits in inbox and outbox does too.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from cxotel.desk import removing
from cxotel.desk._sql import sql
from cxotel.desk.receiver import count
from cxotel.desk.settings import LAST_NS
from cxotel.desk.store import StoreBusyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cxotel.desk.settings import Keep
    from cxotel.desk.store import Store

DAY = 86_400 * 10**9
# Rows deleted in one transaction, which acknowledgements wait for: some 10 ms.
MOST_ROWS = 1_000
# Traces in one; each is a few rows beside its spans.
MOST_TRACES = 50
# Between two steps, so that what is received has the file for most of the time.
PAUSE_SECONDS = 0.05
# Between two looks for what has become too old or too much.
LOOK_SECONDS = 30.0
# Between two looks for words and origins that nothing has any more, which costs a look-up each.
TIDY_SECONDS = 6 * 3600.0
# That the size cannot be kept is said this often.
WARN_SECONDS = 3600.0
# Once the size is exceeded, it is brought this far below, so that free pages are used again, not given back.
ENOUGH = 0.95
# Free pages from which on they are given back: below it new calls soon take them.
SPARE_SHARE, SPARE_PAGES = 0.1, 1_000
# Given back in one transaction: 2 MB are moved and cut off.
MOST_PAGES = 500

log = logging.getLogger("cxotel.desk")


class Retention:
    """A thread that deletes what is too old or too much.

    Args:
        store: the desk's file.
        keep: how much of it stays.
        clock: the time in ns since the epoch.
    """

    def __init__(self, store: Store, keep: Keep, clock: Callable[[], int] = time.time_ns) -> None:
        self._store, self._keep, self._clock = store, keep, clock
        self._stop = threading.Event()
        self._shrinks = False
        self._log_place = self._origin_place = 0
        self._ours: dict[bytes, list[tuple[bytes]]] = {}  # tombstones of what goes in several steps
        self._warned = -WARN_SECONDS
        self._tidied = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="cxotel-desk-retention", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Finish the step under way and stop. More than once does no harm."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def step(self) -> bool:
        """Delete, tidy or give back a little; whether there is more to do."""
        return self._by_age() or self._by_size() or self._tidy() or self._give_back()

    def _run(self) -> None:
        wait = PAUSE_SECONDS
        while not self._stop.wait(wait):
            try:
                wait = PAUSE_SECONDS if self.step() else LOOK_SECONDS
                if wait == LOOK_SECONDS:
                    self._log_place = 0
            except (StoreBusyError, sqlite3.DatabaseError):  # noqa: PERF203 - the store has logged and shows it
                wait = LOOK_SECONDS
            except Exception:
                log.exception("cannot delete what is too old, trying again")
                wait = LOOK_SECONDS

    def _by_age(self) -> bool:
        if not self._keep.days:
            return False
        return self._older_than(self._clock() - round(self._keep.days * DAY))

    def _by_size(self) -> bool:
        if not self._keep.size:
            return False
        size, pages, free = self._pages()
        used = (pages - free) * size
        self._shrinks = used > self._keep.size * (ENOUGH if self._shrinks else 1)
        if not self._shrinks:
            return False
        # How far the next step comes with each kind; the oldest of these times is for all of them.
        calls = self._store.rows("oldest_calls", LAST_NS, MOST_TRACES)
        (metrics,) = self._store.rows("oldest_metrics", MOST_ROWS)[0]
        logs = self._store.rows("logs_after", self._log_place, MOST_ROWS)
        nexts = [at for at in (calls and calls[-1][3], metrics, logs and logs[-1][1]) if at]
        if nexts and self._older_than(min(nexts) + 1):
            return True
        if time.monotonic() - self._warned > WARN_SECONDS:
            self._warned = time.monotonic()
            text = "over --keep-size, of calls that run or are frozen: unfreeze some, or keep more"
            log.warning("%s has %d bytes, %s", self._store.path, used, text)
        return False

    def _older_than(self, cutoff: int) -> bool:
        """Delete some of what is older than a time; False if there is none."""
        if len(self._ours) > MOST_TRACES:
            self._ours.clear()
        place = self._store.write(lambda connection: self._delete(connection, cutoff)).result()
        is_more = place is None or place != self._log_place
        self._log_place = place if place is not None else self._log_place
        return is_more

    def _delete(self, connection: sqlite3.Connection, cutoff: int) -> int | None:
        """Delete calls, else metrics: None; else log records of no call: the place up to which seen."""
        place = None
        gone = self._delete_calls(connection, cutoff)
        if not gone:
            gone["metrics"] = connection.execute(sql("forget_metrics"), (MOST_ROWS, cutoff)).rowcount
        if not gone.total():
            rows = connection.execute(sql("logs_after"), (self._log_place, MOST_ROWS)).fetchall()
            old = [row for row in rows if row[1] < cutoff]
            connection.executemany(sql("forget_log"), [(number,) for number, _, is_free in old if is_free])
            gone["logs"] = sum(is_free for _, _, is_free in old)
            place = old[-1][0] if old else self._log_place
        for noun, number in gone.items():
            count(connection, f"deleted.{noun}", number, self._clock(), "")
        return place

    def _delete_calls(self, connection: sqlite3.Connection, cutoff: int) -> Counter[str]:
        gone: Counter[str] = Counter()
        rows = connection.execute(sql("oldest_calls"), (cutoff, MOST_TRACES)).fetchall()
        for trace_id, is_call, spans, _ in rows:
            left = MOST_ROWS - gone["spans"] - gone["logs"]
            if gone and spans > left:
                break
            ids = removing.ids_of(connection, trace_id)
            removed, is_whole = removing.remove(connection, trace_id, left)
            gone += removed
            if is_whole:
                gone["calls" if is_call else "traces"] += 1
                connection.executemany(sql("unerase_trace"), self._ours.get(trace_id, ()))
            else:
                ours = [(one,) for one in ids if not _is_erased(connection, one)]
                ours = self._ours.setdefault(trace_id, ours)
                connection.executemany(sql("erase_trace"), [(*one, self._clock()) for one in ours])
        return gone

    def _tidy(self) -> bool:
        """Delete words and origins that nothing has, now and then."""
        if not self._origin_place and time.monotonic() - self._tidied < TIDY_SECONDS:
            return False
        self._tidied = time.monotonic()
        self._origin_place = self._store.write(self._delete_unused).result()
        return bool(self._origin_place)

    def _delete_unused(self, connection: sqlite3.Connection) -> int:
        """Returns the last origin looked at, 0 after all."""
        if not self._origin_place:
            connection.execute(sql("forget_words"))
        place, is_less = removing.forget_origins(connection, self._origin_place, MOST_ROWS)
        if is_less:
            self._store.forget_origins()
        return place

    def _give_back(self) -> bool:
        """Cut free pages off the file, a few at a time."""
        size, pages, free = self._pages()
        is_large = self._keep.size and pages * size > self._keep.size
        if free <= (0 if is_large else max(SPARE_PAGES, SPARE_SHARE * pages)):
            return False
        self._store.write(lambda to: give_back(to, MOST_PAGES)).result()
        return self._pages()[1] < pages

    def _pages(self) -> tuple[int, int, int]:
        """Bytes a page, pages, and free ones among them."""
        with self._store.reading() as connection:
            return pages_of(connection)


def _is_erased(connection: sqlite3.Connection, trace_id: bytes) -> bool:
    return connection.execute(sql("is_erased"), (trace_id,)).fetchone() is not None


def pages_of(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Bytes a page, pages of the file, and free ones among them."""
    names = ("page_size", "page_count", "freelist_count")
    size, pages, free = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return size, pages, free


def give_back(connection: sqlite3.Connection, pages: int) -> None:
    """Cut up to so many free pages off the file; inside a transaction."""
    connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
