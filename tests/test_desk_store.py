"""The desk's file: committed before acknowledged, whole after a restart, refused when it is not ours."""

from __future__ import annotations

import os
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest
from desk_calls import NOON, whole_call

from cxotel.desk import intake
from cxotel.desk._sql import sql
from cxotel.desk.app import Desk
from cxotel.desk.store import SCHEMA, Store, StoreBusyError, StoreError
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from pathlib import Path

COUNT = "INSERT INTO counter (name, value, last, note) VALUES (?, 1, 0, '')"


def add(store: Store, name: str) -> None:
    """Write one counter and wait for the commit."""
    store.write(lambda connection: connection.execute(COUNT, (name,))).result(5)


def names(store: Store) -> list[str]:
    """The counters there are."""
    return [row[0] for row in store.rows("counters")]


def test_what_was_acknowledged_is_seen_by_another_connection(tmp_path: Path) -> None:
    """A future with a result means committed: another process would see the row."""
    store = Store(tmp_path / "desk.sqlite")
    add(store, "a")
    other = sqlite3.connect(tmp_path / "desk.sqlite")
    assert other.execute("SELECT name FROM counter").fetchall() == [("a",)]
    other.close()
    store.close()


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    """Closing and opening the same file loses nothing."""
    first = Store(tmp_path / "desk.sqlite")
    add(first, "a")
    first.close()
    second = Store(tmp_path / "desk.sqlite")
    assert names(second) == ["a"]
    second.close()


def test_a_failing_write_takes_no_other_along(tmp_path: Path) -> None:
    """Writes committed together fail apart: the bad one gets its error, the others are kept."""
    store = Store(tmp_path / "desk.sqlite")
    jobs = [
        lambda c, n=name: (
            c.execute(COUNT, (n,)) if n != "bad" else c.execute("INSERT INTO nothing VALUES (1)")
        )
        for name in ("a", "bad", "b")
    ]
    futures = [store.write(job) for job in jobs]
    futures[0].result(5)
    futures[2].result(5)
    with pytest.raises(StoreBusyError, match="nothing"):
        futures[1].result(5)
    assert names(store) == ["a", "b"]
    store.close()


def test_a_locked_file_is_reported_as_busy_and_recovers(tmp_path: Path) -> None:
    """While another process holds the file, senders are told to come back; afterwards all is well."""
    store = Store(tmp_path / "desk.sqlite")
    store.write(lambda connection: None).result(5)
    store._connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(tmp_path / "desk.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError, match="locked"):
        add(store, "a")
    other.execute("ROLLBACK")
    other.close()
    add(store, "a")
    assert names(store) == ["a", "trouble.locked"]
    store.close()


def test_a_closed_store_takes_nothing_and_closes_twice(tmp_path: Path) -> None:
    """After close a write is refused instead of waiting for ever."""
    store = Store(tmp_path / "desk.sqlite")
    store.close()
    store.close()
    with pytest.raises(StoreBusyError, match="stopping"):
        store.write(lambda connection: None)


def test_the_temporary_file_goes_with_the_store() -> None:
    """`:memory:` leaves nothing behind."""
    store = Store(":memory:")
    assert store.path.exists()
    store.close()
    assert not store.path.parent.exists()


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    """Calls are private: the file, and what SQLite keeps beside it, are readable by their owner alone."""
    before = os.umask(0o022)
    try:
        store = Store(tmp_path / "new" / "desk.sqlite")
        add(store, "x")
        files = [path for path in store.path.parent.iterdir() if not path.name.endswith(".lock")]
        assert {path.name for path in files} == {"desk.sqlite", "desk.sqlite-wal", "desk.sqlite-shm"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        store.close()
    finally:
        os.umask(before)


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    """A database that is not a desk's is left as it is, with a clear message."""
    path = tmp_path / "other.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (a)")
    other.close()
    with pytest.raises(StoreError, match="not a desk's"):
        Store(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A text file named by mistake is not overwritten."""
    path = tmp_path / "notes.txt"
    path.write_text("dear diary " * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store(path)
    assert path.read_text().startswith("dear diary")


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A file of a later schema is not touched by an older desk."""
    path = tmp_path / "desk.sqlite"
    store = Store(path)
    store.write(lambda c: c.execute("UPDATE setting SET value = ?", (str(SCHEMA + 1),))).result(5)
    store.close()
    with pytest.raises(StoreError, match=f"schema {SCHEMA + 1}"):
        Store(path)


def test_a_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    """A path below a file cannot be opened, and the message names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/desk\.sqlite"):
        Store(tmp_path / "file" / "desk.sqlite")


def test_two_desks_on_one_file_are_refused(tmp_path: Path) -> None:
    """The second would judge every call again; after the first has gone the file is free."""
    first = Store(tmp_path / "desk.sqlite")
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "desk.sqlite")
    for name in ("desk.sqlite", "link.sqlite"):
        with pytest.raises(StoreError, match="in use by another desk"):
            Store(tmp_path / name)
    first.close()
    Store(tmp_path / "desk.sqlite").close()


def test_a_file_of_an_earlier_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its tables are those of a new file, its calls can be found, and nothing is told twice."""
    call = whole_call("of schema 1")
    old = sqlite3.connect(tmp_path / "old.sqlite")
    old.executescript(sql("schema_1"))
    request = to_request(call.spans)
    for number, item in enumerate(intake.spans(request, NOON).items):
        resource, scope, *urls = item.origin.row
        digest = item.origin.key + bytes([number])
        old.execute("INSERT INTO origin VALUES (?, ?, ?, ?, ?, ?)", (number, digest, resource, scope, *urls))
        row = (item.trace_id, item.digest, number, NOON, item.data)
        old.execute("INSERT INTO span (trace_id, digest, origin, received, data) VALUES (?, ?, ?, ?, ?)", row)
    trace_id = bytes.fromhex(call.trace_id)
    old.execute(
        "INSERT INTO call (trace_id, is_call, state, arrivals, first_received, last_received, root_received) "
        "VALUES (?, 1, 'final', 1, ?, ?, ?)",
        (trace_id, NOON, NOON, NOON),
    )
    old.commit()
    old.close()
    with Desk(tmp_path / "old.sqlite") as desk:
        found = desk.wait_for_verdict(call.trace_id)
        assert (found["state"], found["replaced"]) == ("final", [])
        assert desk.store.rows("facets_of_call", trace_id)
        tables = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
        new = Store(":memory:")
        with desk.store.reading() as one, new.reading() as other:
            assert one.execute(tables).fetchall() == other.execute(tables).fetchall()
        new.close()
