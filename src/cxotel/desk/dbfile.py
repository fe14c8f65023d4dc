"""A desk's file from outside: read and written in transactions of its own, whether it runs or not."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from cxotel.desk.store import DAMAGED, SCHEMA, Reader, StoreBusyError, StoreError, alone, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Self

T = TypeVar("T")
# A desk's commit takes some 10 ms, a checkpoint a second.
BUSY_SECONDS = 30.0


class File(Reader):
    """One desk's file. Use it in a `with`.

    Args:
        path: the file.

    Raises:
        StoreError: there is none, it is not a desk's, is damaged, or has another schema than this cxotel's.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._writer: sqlite3.Connection | None = None
        if not path.is_file():
            raise StoreError(f"{path}: there is no such file; name the desk's with --db")
        try:
            with self.reading() as connection:
                row = connection.execute("SELECT value FROM setting WHERE name = 'schema'").fetchone()
        except (sqlite3.DatabaseError, StoreBusyError) as error:
            self.close()
            raise StoreError(_why(path, error)) from error
        version = row[0] if row else "none"
        if version != str(SCHEMA):
            self.close()
            advice = (
                "start `cxotel serve` with it once"
                if version < str(SCHEMA)
                else "use the cxotel that made it"
            )
            raise StoreError(f"{path} has schema {version}, this cxotel reads {SCHEMA}: {advice}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.close_readers()
        if self._writer is not None:
            self._writer.close()

    @property
    def is_in_use(self) -> bool:
        """Whether a desk has it."""
        try:
            alone(self.path).close()
        except StoreError:
            return True
        return False

    @property
    def writer(self) -> sqlite3.Connection:
        """The connection that writes; what it deletes is overwritten with zeros."""
        if self._writer is None:
            self._writer = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_SECONDS)
            for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
                self._writer.execute(f"PRAGMA {pragma}").fetchall()
        return self._writer

    def transaction(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job in a transaction.

        Raises:
            StoreError: it could not be written.
        """
        connection = self.writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = job(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if trouble_of(error):
                raise StoreError(_why(self.path, error)) from error
            raise
        return result

    def write(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """As a desk's store does it, done at once."""
        future: Future[T] = Future()
        future.set_result(self.transaction(job))
        return future

    def vacuum(self) -> tuple[int, int]:
        """Write the file anew without gaps; bytes before and after.

        Raises:
            StoreError: a desk has it, or its disk has no room for a second copy.
        """
        lock = alone(self.path)
        try:
            before = self.path.stat().st_size
            self.close_readers()
            self.writer.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of files of older desks
            self.writer.execute("VACUUM")
            self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return before, self.path.stat().st_size
        except sqlite3.DatabaseError as error:
            raise StoreError(_why(self.path, error)) from error
        finally:
            lock.close()

    def backup(self, target: Path, progress: Callable[[int, int], None]) -> int:
        """Copy the file as it is at this instant, while a desk writes to it; the bytes of the copy.

        Args:
            target: what must not be there yet.
            progress: called with pages done and pages in all.

        Raises:
            StoreError: it cannot be read or written.
        """
        try:
            # A read transaction held throughout: without, each commit of the desk would start the copy again.
            with self.reading() as source, closing(sqlite3.connect(target)) as copy:
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()
                target.chmod(0o600)
                source.backup(
                    copy, pages=2_000, progress=lambda _, left, pages: progress(pages - left, pages)
                )
                (said,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        except (sqlite3.DatabaseError, StoreBusyError) as error:
            raise StoreError(f"cannot copy {self.path} to {target}: {error}") from error
        if said != "ok":
            raise StoreError(f"{self.path} is damaged, and so is the copy: {said}")
        return target.stat().st_size


def _why(path: Path, error: BaseException) -> str:
    kind = trouble_of(error) or trouble_of(error.__cause__ or error)
    if kind == DAMAGED:
        return f"{path} is damaged ({error}): put a backup in its place"
    if "no such table" in str(error):
        return f"{path} is a database, but not a desk's: name the desk's with --db"
    return f"{path} cannot be used: {error}"
