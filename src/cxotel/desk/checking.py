"""What `cxotel db check` looks for: SQLite's own checks, and what must be true of a desk's file."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

from cxotel.desk._sql import sql
from cxotel.desk.facts import facets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.desk.store import Reader

# Of one kind; a damaged file has thousands.
MOST = 20


def problems(file: Reader) -> Iterator[str]:
    """A sentence for each thing that is wrong, looked for in one state of the file."""
    try:
        with file.reading() as connection:
            damage = [row[0] for row in connection.execute(f"PRAGMA integrity_check({MOST})")]
            if damage != ["ok"]:
                yield from (f"damaged: {text}" for text in damage)
                return
            for search in (_references, _words, _belonging, _found_by):
                for number, text in enumerate(search(connection)):
                    if number == MOST:
                        yield "... and more of that kind"
                        break
                    yield text
    except sqlite3.DatabaseError as error:
        yield f"damaged: {error}"


def _references(connection: sqlite3.Connection) -> Iterator[str]:
    for table, row, other, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"{table} {row}: what it refers to is not in {other}"


def _words(connection: sqlite3.Connection) -> Iterator[str]:
    for kind, text, calls, have in connection.execute(sql("wrong_words")):
        yield f"{kind} {text!r}: {calls} calls are said to have it, {have} do"


def _belonging(connection: sqlite3.Connection) -> Iterator[str]:
    for what, trace_id in connection.execute(sql("orphans")):
        yield f"a {what} of call {trace_id}, which is not there"
    for (trace_id,) in connection.execute(sql("calls_without_spans")):
        yield f"call {trace_id} has received spans and keeps none"
    for (trace_id,) in connection.execute(sql("spans_without_calls")):
        yield f"spans of trace {trace_id}, which is not there"


def _found_by(connection: sqlite3.Connection) -> Iterator[str]:
    for trace_id, state, summary, words in connection.execute(sql("judged_calls")):
        wanted = set(facets_of(json.loads(summary), state))
        known = {(kind, text) for kind, text in json.loads(words)}
        if wanted != known:
            wrong = ", ".join(sorted(f"{kind} {text!r}" for kind, text in wanted ^ known))
            yield f"call {trace_id.hex()} is not found by what it has: {wrong}"
