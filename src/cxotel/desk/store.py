"""The desk's file: SQLite in WAL mode, one writer thread, as many readers as ask.

What `Store.write` was given is on disk when its future has a result: writes that wait together are committed
together (group commit), with `synchronous = FULL`, so that an acknowledged span also outlives a power cut.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import sqlite3
import tempfile
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

from cxotel.desk._sql import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
Job = tuple["Callable[[sqlite3.Connection], Any]", "Future[Any]"]

SCHEMA = 2
MEMORY = ":memory:"
# Writes waiting: at 20 MiB a request at most, this bounds memory; beyond it senders are told to come back.
MAX_WAITING = 256
# Writes in one commit: a commit costs one fsync (about 1 to 10 ms on a disk), shared by all of them.
MAX_GROUP = 128

# While writing fails, the file is tried again this often, so that the trouble ends also if nobody sends.
PROBE_SECONDS = 2.0
# It is over when writing works and has not failed for so long: on a full disk a small write may still work.
CALM_SECONDS = 5.0
# The same trouble is logged at most this often.
LOG_SECONDS = 60.0
# The write-ahead log is cut back to this after a long reader (a backup) has let it grow.
MOST_LOG_BYTES = 64 * 1024 * 1024

FULL, LOCKED, DAMAGED, UNUSABLE = "full", "locked", "damaged", "unusable"
# What SQLite says (sqlite3ErrStr; Python 3.10 gives no codes) when it is the file and not the statement.
_SAID = {
    "disk is full": FULL,
    "locked": LOCKED,
    "malformed": DAMAGED,
    "file is not a database": DAMAGED,
    "disk I/O error": UNUSABLE,
    "unable to open": UNUSABLE,
    "readonly database": UNUSABLE,
}
ADVICE = {
    FULL: "make room on its disk, or have the desk keep less (--keep-size)",
    LOCKED: "another program holds it; it goes on when that lets go",
    DAMAGED: "stop the desk, see `cxotel db check`, put a backup in its place",
    UNUSABLE: "look at its disk and at who may write there",
}

log = logging.getLogger("cxotel.desk")


@dataclass(frozen=True)
class Trouble:
    """Why the file cannot be written or read: kind, since when (ns), and a sentence with what to do."""

    kind: str
    since: int
    text: str


def trouble_of(error: BaseException) -> str:
    """The kind of trouble that the file is in, "" for an error that is not the file's."""
    if not isinstance(error, sqlite3.DatabaseError):
        return ""
    return next((kind for said, kind in _SAID.items() if said in str(error)), "")


class StoreBusyError(Exception):
    """The desk cannot keep what was sent just now; sending it again later is right."""


class StoreError(Exception):
    """The file cannot be used at all: not ours, of a newer version, or not to be opened."""


class Reader:
    """A database file to read from, by as many threads as ask.

    Args:
        path: the file.

    Attributes:
        trouble: that it is in, None if all is well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: Trouble | None = None
        self._failed = 0.0
        self._logged: dict[str, float] = {}
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the file throughout.

        Raises:
            StoreBusyError: the file cannot be read just now.
            sqlite3.DatabaseError: it is damaged.
        """
        connection = None
        try:
            connection = self._reader()
            connection.execute("BEGIN")
            yield connection
        except sqlite3.DatabaseError as error:
            kind = trouble_of(error)
            if not kind:
                raise
            self._in_trouble(kind, error)
            if kind == DAMAGED:
                raise
            raise StoreBusyError(f"the desk cannot read its file: {error}") from error
        finally:
            if connection is not None:
                connection.rollback()
                self._readers.put(connection)

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get_nowait()
        except queue.Empty:
            return sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=5,
            )

    def rows(self, name: str, *parameters: object) -> list[tuple[Any, ...]]:
        """All rows of the statement `queries/<name>.sql`."""
        with self.reading() as connection:
            return connection.execute(sql(name), parameters).fetchall()

    def close_readers(self) -> None:
        """Close what is not in use."""
        while not self._readers.empty():
            self._readers.get_nowait().close()

    def _in_trouble(self, kind: str, error: BaseException) -> None:
        """Remember the trouble, and log it now and then."""
        self._failed = time.monotonic()
        known = self.trouble
        if known is None or known.kind != kind:
            if known is not None and known.kind == DAMAGED:
                return  # the worst that can be said of a file
            text = f"{self.path} cannot be used ({error}): {ADVICE[kind]}."
            known = self.trouble = Trouble(kind, time.time_ns(), text)
        self._log(kind, logging.ERROR, known.text)

    def _log(self, what: str, level: int, text: str) -> None:
        now = time.monotonic()
        if now - self._logged.get(what, -LOG_SECONDS) >= LOG_SECONDS:
            self._logged[what] = now
            log.log(level, "%s", text)


class Store(Reader):
    """One database file. Threads may share it.

    Args:
        path: the file, made if absent; ":memory:" is a temporary file that goes with the store.

    Raises:
        StoreError: the file is not a desk's, is damaged, or of a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if str(path) == MEMORY:
            self._temporary = tempfile.TemporaryDirectory(prefix="cxotel-desk-")
            path = Path(self._temporary.name) / "desk.sqlite"
        super().__init__(Path(path))
        self._jobs: queue.Queue[Job | None] = queue.Queue(MAX_WAITING)
        self._gate = threading.Lock()
        self._closed = False
        self._origins: dict[bytes, int] = {}
        self._version = 0
        self._unwritten = 0
        self._connection = self._open()
        self._thread = threading.Thread(target=self._run, name="cxotel-desk-writer", daemon=True)
        self._thread.start()

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = alone(self.path)
            # Calls are nobody else's business. SQLite gives the files beside it the rights of this one.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=5, cached_statements=64
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot open {self.path}: {error}") from error
        try:
            connection.execute(
                "PRAGMA auto_vacuum = INCREMENTAL"
            )  # of a new file; retention gives pages back
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA journal_size_limit = {MOST_LOG_BYTES}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(
                "PRAGMA secure_delete = FAST"
            )  # what is erased leaves no copy in a page in use
            connection.execute("PRAGMA foreign_keys = ON")
            _prepare(connection, self.path)
            self.path.chmod(0o600)  # of a file that somebody else made
        except sqlite3.DatabaseError as error:
            connection.close()
            self._lock.close()
            kind = trouble_of(error)
            advice = ""
            if kind == DAMAGED and _is_database(self.path):
                check = f"cxotel db check --db {self.path}"
                advice = f". It is damaged: see `{check}`, and put a backup in its place or move it away"
            elif kind in (FULL, LOCKED, UNUSABLE):
                advice = f": {ADVICE[kind]}"
            raise StoreError(f"{self.path} cannot be used as a desk's file: {error}{advice}") from error
        except BaseException:
            connection.close()
            self._lock.close()
            raise
        return connection

    def write(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Run `job` in the writer's next transaction; the future has its result once that is committed.

        Raises:
            StoreBusyError: too many writes are waiting, or the store is closed.
        """
        future: Future[T] = Future()
        with self._gate:  # nothing may be put behind the None that ends the writer
            if self._closed:
                raise StoreBusyError("the desk is stopping")
            try:
                self._jobs.put_nowait((job, future))
            except queue.Full:
                raise StoreBusyError("too much is waiting to be written") from None
        return future

    @property
    def waiting(self) -> int:
        """Writes that wait for the writer, about."""
        return self._jobs.qsize()

    def forget_origins(self) -> None:
        """Ids of origins may have changed; only inside a write job."""
        self._origins.clear()

    def origin(self, connection: sqlite3.Connection, key: bytes, row: tuple[bytes, bytes, str, str]) -> int:
        """The id of a resource and scope, written if new; only inside a write job."""
        known = self._origins.get(key)
        if known is None:
            known = cast("int", connection.execute(sql("insert_origin"), (key, *row)).fetchone()[0])
            if (
                len(self._origins) > 50_000
            ):  # a sender that makes a new resource each time must not fill memory
                self._origins.clear()
            self._origins[key] = known
        return known

    def close(self) -> None:
        """Write what waits, then close. More than once does no harm."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        self.close_readers()
        self._connection.close()
        self._lock.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _run(self) -> None:
        while True:
            group: list[Job] = []
            try:
                job = self._jobs.get(timeout=PROBE_SECONDS)
            except queue.Empty:
                if self.trouble is not None:
                    self._commit([])
                continue
            while job is not None:
                group.append(job)
                if len(group) >= MAX_GROUP:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if group:
                self._commit(group)
            if job is None:
                return

    def _commit(self, group: list[Job]) -> None:
        """Write a group in one transaction.

        If it fails for the file's sake, all fail: none could have been written. Else each is written by
        itself, so that one takes no other along.
        """
        try:
            results = self._transaction([job for job, _ in group])
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to whom it belongs
            self._origins.clear()  # ids given in what was rolled back
            kind = trouble_of(error)
            if kind:
                self._unwritten += max(1, len(group))
                self._in_trouble(kind, error)
            elif len(group) > 1:
                for one in group:
                    self._commit([one])
                return
            if kind or isinstance(error, sqlite3.OperationalError):
                error = StoreBusyError(f"the desk cannot write its file: {error}")
            for _, future in group:
                future.set_exception(error)
            return
        is_calm = time.monotonic() - self._failed >= CALM_SECONDS
        if self.trouble is not None and self.trouble.kind != DAMAGED and is_calm:
            self._log("", logging.INFO, f"{self.path} is written again")
            self.trouble = None
        for (_, future), result in zip(group, results, strict=True):
            future.set_result(result)

    def _transaction(self, jobs: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            if version != self._version:  # another process wrote, and may have deleted origins
                self._version = version
                self._origins.clear()
            results = [job(connection) for job in jobs]
            if self._unwritten and self.trouble is not None:
                row = (f"trouble.{self.trouble.kind}", self._unwritten, time.time_ns(), self.trouble.text)
                connection.execute(sql("count"), row)
            connection.execute("COMMIT")
            self._unwritten = 0
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return results


def _is_database(path: Path) -> bool:
    """Whether a file begins as SQLite's do."""
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def alone(path: Path) -> IO[bytes]:
    """A lock that goes with the process: two desks on one file would judge every call twice.

    Raises:
        StoreError: another desk has it.
    """
    path = path.resolve()  # a link to a file is that file
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StoreError(
            f"{path} is in use by another desk: stop that one or give --db another file"
        ) from None
    return lock


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file, bring an older one up to date; refuse one that is not ours or newer."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    version = 0
    if tables:
        if "setting" not in tables or "call" not in tables:
            raise StoreError(f"{path} is a database, but not a desk's: give --db another file")
        row = connection.execute("SELECT value FROM setting WHERE name = 'schema'").fetchone()
        text = str(row[0]) if row else ""
        version = int(text) if text.isdecimal() else SCHEMA + 1
        if not 0 < version <= SCHEMA:
            has = f"{path} has schema {text or 'none'}, this desk reads up to {SCHEMA}"
            raise StoreError(f"{has}: use the cxotel that made it")
    if 0 < version < SCHEMA:
        log.info("bringing %s from schema %d to %d", path, version, SCHEMA)
    for number in range(version + 1, SCHEMA + 1):
        _migrate(connection, number)


def _migrate(connection: sqlite3.Connection, number: int) -> None:
    """Bring the tables to a schema from the one before it, or leave them."""
    script = f"BEGIN IMMEDIATE; {sql(f'schema_{number}')} UPDATE setting SET value = '{number}'; COMMIT;"  # noqa: S608 - ours
    try:
        connection.executescript(script)
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
