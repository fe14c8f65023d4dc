"""Taking a call out of the file: spans and logs, also of its other trace ids, and what was made of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cxotel.desk._sql import sql

if TYPE_CHECKING:
    import sqlite3

ALL = -1


def remove(connection: sqlite3.Connection, trace_id: bytes, most: int = ALL) -> tuple[Counter[str], bool]:
    """Take a call, or a trace of no call, out of the file; inside a transaction.

    Args:
        connection: that writes.
        trace_id: of its row in `call`; there need be none.
        most: rows of spans and logs to delete now.

    Returns:
        Spans and logs deleted, and whether all of it is gone; if not, do it again.
    """
    gone: Counter[str] = Counter()
    for one in ids_of(connection, trace_id):
        for noun in ("logs", "spans"):
            left = most if most == ALL else most - gone.total()
            gone[noun] += connection.execute(sql(f"forget_{noun}"), (one, left)).rowcount
            if most != ALL and gone.total() >= most:
                return gone, False
    for what in ("verdicts", "facets", "warnings", "aliases", "keys", "call"):
        connection.execute(sql(f"forget_{what}"), (trace_id,))
    return gone, True


def ids_of(connection: sqlite3.Connection, trace_id: bytes) -> list[bytes]:
    """The trace id of a call, then those that mean it too."""
    return [trace_id, *(row[0] for row in connection.execute(sql("aliases_of_call"), (trace_id,)))]


def forget_origins(connection: sqlite3.Connection, place: int, most: int) -> tuple[int, bool]:
    """Of at most so many origins behind a place, delete those that nothing is of any more.

    Returns the last one looked at, 0 after all of them, and whether any was deleted.
    """
    rows = connection.execute(sql("unused_origins"), (place, most)).fetchall()
    unused = [(number,) for number, is_used in rows if not is_used]
    connection.executemany(sql("forget_origin"), unused)
    return (rows[-1][0] if rows else 0), bool(unused)
