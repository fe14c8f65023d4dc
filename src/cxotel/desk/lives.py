"""The lives of calls as the file has them, while a slice of the inbox is worked up in one transaction."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cxotel.desk import settings
from cxotel.desk._sql import sql
from cxotel.impact.lifecycle import HELD, HOLD, LIVE, OUT, PASS, Episode, Life, Times

if TYPE_CHECKING:
    import sqlite3

    from cxotel.desk.intake import Item, Part

RUNNING, PROVISIONAL, FINAL, PARTIAL = "running", "provisional", "final", "partial"
UNJUDGED = "unjudged"


@dataclass(frozen=True)
class Rules:
    """What holds for all calls.

    Attributes:
        times: of their lives.
        settle: ns from a span's arrival to judging a running call for its page.
        trust_stamped: a verdict on an incoming root is kept.
        forwards: what is received and judged is handed on.
    """

    times: Times
    settle: int
    trust_stamped: bool = False
    forwards: bool = False


@dataclass(slots=True)
class Row:
    """A trace's row in `call`, as far as lives go; `life` is None of a trace that is no call."""

    trace_id: bytes
    is_call: bool
    state: str
    life: Life | None
    spans: int
    first_received: int
    last_received: int
    due: int | None
    refused: int = 0


def to_text(life: Life | None) -> str:
    """A life as its column has it."""
    return json.dumps(asdict(life)) if life is not None else ""


def from_text(text: str) -> Life | None:
    """A life from its column."""
    if not text:
        return None
    fields = json.loads(text)
    for name in ("held", "sent", "passing"):
        fields[name] = [(trace, span) for trace, span in fields.get(name, [])]
    fields["episodes"] = [Episode(**one) for one in fields.get("episodes", [])]
    return Life(**fields)


def state_of(life: Life) -> str:
    """The state that a page shows."""
    return {LIVE: RUNNING, HELD: PROVISIONAL, OUT: FINAL}.get(life.phase, PARTIAL)


class Lives:
    """Calls that spans come for, read when first needed and written by `save`."""

    def __init__(self, connection: sqlite3.Connection, rules: Rules) -> None:
        self._connection, self._rules = connection, rules
        self._rows: dict[bytes, Row] = {}
        self._calls: dict[bytes, bytes] = {}
        self._erased: dict[bytes, bool] = {}
        self._keys: set[tuple[str, bytes]] = set()
        self._frozen: set[bytes] = set()
        self.erased = self.beyond = 0

    def is_erased(self, trace_id: bytes) -> bool:
        """Whether spans of this trace are not kept; counted if so."""
        found = self._erased.get(trace_id)
        if found is None:
            found = self._connection.execute(sql("is_erased"), (trace_id,)).fetchone() is not None
            self._erased[trace_id] = found
        self.erased += found
        return found

    def is_full(self, item: Item) -> bool:
        """Whether a span is not kept because its call has all that it can have; counted if so."""
        row = self._rows.get(key := self._call_of(item.trace_id)) or self._read(key)
        if row is None:
            return False
        self._rows[key] = row
        most = settings.MAX_SPANS_PER_CALL
        if item.part is not None and item.part.is_root:
            most += settings.MAX_ROOTS_OF_FULL_CALL
        known = (item.trace_id, item.digest)
        if row.spans < most or self._connection.execute(sql("has_span"), known).fetchone():
            return False
        row.refused += 1
        self.beyond += 1
        return True

    def is_of_erased(self, item: Item, now: int) -> bool:
        """Whether a span says that its trace is one with a call that was erased: then that is erased too."""
        if item.part is None or not any(self.is_erased(other) for other, _ in item.part.aliases):
            return False
        self._connection.execute(sql("erase_trace"), (item.trace_id, now))
        self._erased[item.trace_id] = True
        return True

    def refused(self, trace_id: bytes, number: int) -> None:
        """Spans of a trace were refused."""
        if len(trace_id) == 16 and not self.is_erased(trace_id):
            self._row(self._call_of(trace_id), 0).refused += number

    def arrive(self, item: Item, now: int) -> bool:
        """A span came that was not known; whether it is handed on as it came."""
        row = self._row(self._call_of(item.trace_id), now)
        row.spans += 1
        row.last_received = max(row.last_received, now)
        if item.is_call and row.life is None:
            row.is_call, row.life = True, Life(now, now, now + self._rules.times.idle)
        life, part = row.life, item.part
        if life is None:
            return True
        life.arrive(now, self._rules.times)
        passes = part is None or self._tell(row, life, part, item.trace_id, now)
        self._look(row, life, now)
        return passes

    def save(self) -> None:
        """Write what has changed."""
        for row in self._rows.values():
            self._connection.execute(
                sql("save_call"),
                (
                    row.trace_id,
                    row.is_call,
                    row.state,
                    to_text(row.life),
                    row.spans,
                    row.first_received,
                    row.last_received,
                    row.due,
                    row.refused,
                ),
            )
        self._connection.executemany(sql("insert_call_key"), sorted(self._keys))
        self._connection.executemany(sql("set_frozen"), [(1, one) for one in sorted(self._frozen)])

    def _tell(self, row: Row, life: Life, part: Part, trace_id: bytes, now: int) -> bool:
        """Tell a life of a span of ours; whether that is handed on as it came."""
        times = self._rules.times
        life.layered |= part.layered
        if part.key:
            self._keys.add((part.key, row.trace_id))
        passes = True
        if part.is_root:
            root = (trace_id.hex(), part.span_id.hex())
            trust = part.is_stamped and self._rules.trust_stamped
            action = life.root(root, now, times, trust=trust)
            # A second root that goes on as it came still loses a verdict that is not ours: see outbox.
            passes = action == PASS
            if action == HOLD or trust:
                self._soon(row, now)
        if part.episode is not None and life.episode(part.episode):
            self._soon(row, now)
        for other, span_id in part.aliases:
            self._join(row, other, span_id, now)
        return passes

    def _look(self, row: Row, life: Life, now: int) -> None:
        """When the judge is to look: when its life says so, and soon for a page that may be open."""
        # A trusted verdict stays; what the desk reckons beside it may change.
        if life.phase in (LIVE, HELD) or life.trusted:
            self._soon(row, now + self._rules.settle)
        if life.due:
            self._soon(row, life.due)
        if row.state != UNJUDGED:  # that has a trusted life
            row.state = state_of(life)

    @staticmethod
    def _soon(row: Row, at: int) -> None:
        row.due = at if row.due is None else min(row.due, at)

    def _join(self, row: Row, other: bytes, span_id: bytes, now: int) -> None:
        """Make another trace part of a call, with what came of it so far."""
        if other == row.trace_id or self._call_of(other) != other:
            return
        self._connection.execute(sql("insert_alias"), (other, span_id, row.trace_id))
        self._calls[other] = row.trace_id
        part = self._rows.pop(other, None) or self._read(other)
        if part is None or part.life is None or row.life is None:
            if part is not None:
                row.spans += part.spans
                self._connection.execute(sql("forget_call"), (other,))
            return
        for key, known in list(self._calls.items()):
            if known == other:
                self._calls[key] = row.trace_id
        self._connection.execute(sql("move_aliases"), (row.trace_id, other))
        row.first_received = min(row.first_received, part.first_received)
        row.spans += part.spans
        row.refused += part.refused
        row.life.merge(part.life, now, self._rules.times)
        self._forget(other, row.trace_id)
        self._soon(row, now)

    def _forget(self, other: bytes, into: bytes) -> None:
        """Take away what was judged of a part by itself; a frozen part freezes the call."""
        if other in self._frozen or self._connection.execute(sql("is_frozen"), (other,)).fetchone():
            self._frozen.add(into)
        for name in ("forget_verdicts", "forget_facets", "forget_call"):
            self._connection.execute(sql(name), (other,))
        self._connection.execute(sql("move_keys"), (into, other))

    def _call_of(self, trace_id: bytes) -> bytes:
        found = self._calls.get(trace_id)
        if found is None:
            row = self._connection.execute(sql("alias_of"), (trace_id,)).fetchone()
            found = self._calls[trace_id] = row[0] if row else trace_id
        return found

    def _row(self, trace_id: bytes, now: int) -> Row:
        row = self._rows.get(trace_id)
        if row is None:
            row = self._read(trace_id) or Row(trace_id, False, RUNNING, None, 0, now, now, None)
            self._rows[trace_id] = row
        return row

    def _read(self, trace_id: bytes) -> Row | None:
        found: Any = self._connection.execute(sql("read_life"), (trace_id,)).fetchone()
        if found is None:
            return None
        is_call, state, life, *rest = found
        return Row(trace_id, bool(is_call), state, from_text(life), *rest)
