"""The life of a call in the desk: running, provisional when its root comes, final after the grace.

    running ──root──► provisional ──grace──► final ──late span──► final, corrected if the verdict changed
       └──idle──► partial ──span──► running, ──root──► provisional
    any ──more than one call may take of the judge's time──► unjudged

Every judgement reads the trace from the file and feeds the model anew, so that a restart in between changes
nothing. Its result is written only if no span came meanwhile.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cxotel.desk import traces
from cxotel.desk._sql import sql
from cxotel.desk.facts import summary_of, unjudged_summary
from cxotel.desk.settings import LAST_NS
from cxotel.desk.store import StoreBusyError
from cxotel.desk.work import work_of
from cxotel.impact import Engine
from cxotel.otlp.proto import from_request, to_request

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from cxotel.desk.settings import Timing
    from cxotel.desk.store import Store
    from cxotel.impact import Verdict

RUNNING, PROVISIONAL, FINAL, PARTIAL = "running", "provisional", "final", "partial"
UNJUDGED = "unjudged"
SECOND = 1_000_000_000
# Asked again at least this often, should the clock have been set.
LONGEST_SLEEP = 5.0
# What is under way when asked to stop: a judgement rarely takes longer (work.MOST_WORK has the worst). The
# thread is a daemon, and what it did not write is judged after the next start.
STOP_SECONDS = 3.0

log = logging.getLogger("cxotel.desk")


@dataclass(slots=True)
class _Due:
    """A row of `due_calls`."""

    trace_id: bytes
    state: str
    arrivals: int
    first_received: int
    last_received: int
    root_received: int | None
    due: int
    corrections: int


class Judge:
    """A thread that judges what is due.

    Args:
        store: the desk's file.
        timing: grace, idle and settle.
        changed: called with the trace id after a verdict was written.
    """

    def __init__(self, store: Store, timing: Timing, changed: Callable[[bytes], None]) -> None:
        self._store = store
        self._grace, self._idle = int(timing.grace * SECOND), int(timing.idle * SECOND)
        self._changed = changed
        self._woken = threading.Event()
        self._stopping = False
        store.write(
            lambda connection: connection.execute(sql("wake_calls"), {"now": time.time_ns()})
        ).result()
        self._thread = threading.Thread(target=self._run, name="cxotel-desk-judge", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something was received: look again what is due."""
        self._woken.set()

    def close(self) -> None:
        """Finish the judgement under way, if that takes no longer than STOP_SECONDS, and stop."""
        self._stopping = True
        self._woken.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            try:
                wait = self._round()
            except Exception:
                log.exception("judging failed, trying again")
                wait = 1.0
            if wait:
                self._woken.wait(wait)

    def _round(self) -> float:
        """Judge what is due; returns seconds until there is more to do, 0 for at once."""
        rows = [_Due(*row) for row in self._store.rows("due_calls")]
        now = time.time_ns()
        for row in rows:
            if self._stopping:
                return 0.0
            if row.due > now:
                return min(LONGEST_SLEEP, (row.due - now) / SECOND) if row is rows[0] else 0.0
            self._judge(row, now)
        return 0.0 if rows else LONGEST_SLEEP

    def _judge(self, row: _Due, now: int) -> None:
        with suppress(StoreBusyError):  # it stays due
            try:
                judgement = self._reckon(row, now)
                written = self._store.write(lambda connection: _save(connection, row, judgement)).result()
            except StoreBusyError:
                raise
            except Exception:
                # A fault of ours in one call must not keep the others waiting: it is left until a span comes.
                log.exception("cannot judge %s", row.trace_id.hex())
                self._store.write(lambda connection: _give_up(connection, row)).result()
                return
            if written:
                self._changed(row.trace_id)

    def _reckon(self, row: _Due, now: int) -> _Judgement:
        state, due = self._next(row, now)
        kept = traces.spans_of(self._store, row.trace_id)
        work = work_of(kept)
        if work.too_much:
            text = (
                f"Not judged: {work.figures:,} media figures, of up to {work.legs:,} legs at the same time, "
                "are more than the desk compares."
            )
            summary = unjudged_summary(kept, text)
            return _Judgement(now, UNJUDGED, None, None, b"", summary, _started(row, summary))
        engine = Engine()
        for span in from_request(traces.to_request(kept)):
            engine.add(span)
        verdict = engine.verdict(partial=state != FINAL)
        summary = summary_of(kept, verdict)
        spans = to_request(verdict.evidence_spans()).SerializeToString()
        return _Judgement(now, state, due, verdict_json(verdict), spans, summary, _started(row, summary))

    def _next(self, row: _Due, now: int) -> tuple[str, int | None]:
        """The state this judgement is for, and when the next one is due."""
        if row.root_received is not None:
            final_at = row.root_received + self._grace
            return (FINAL, None) if row.state == FINAL or now >= final_at else (PROVISIONAL, final_at)
        idle_at = row.last_received + self._idle
        return (PARTIAL, None) if now >= idle_at else (RUNNING, idle_at)


@dataclass(slots=True)
class _Judgement:
    at: int
    state: str
    due: int | None
    verdict: dict[str, Any] | None
    spans: bytes
    summary: dict[str, Any]
    started: int


def _started(row: _Due, summary: dict[str, Any]) -> int:
    """The list is in order of time: a call whose clock runs ahead, or that has no time, is as old as here."""
    return min(summary["start"] or row.first_received, row.first_received)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """What is kept of a verdict: root attributes, evidence, stretches."""
    return {
        "attributes": dict(verdict.attributes),
        "evidence": [asdict(item) for item in verdict.evidence],
        "stretches": [asdict(item) for item in verdict.stretches],
    }


def _give_up(connection: sqlite3.Connection, row: _Due) -> None:
    """Let a call rest until a span comes, unless one came since."""
    connection.execute(sql("give_up_call"), {"trace_id": row.trace_id, "arrivals": row.arrivals})


def _save(connection: sqlite3.Connection, row: _Due, judgement: _Judgement) -> bool:
    """Write a judgement unless something came since; True if it was written."""
    corrections, changed = row.corrections, judgement.verdict is not None
    if row.state == FINAL and judgement.verdict is not None:
        last = connection.execute(sql("last_verdict"), (row.trace_id,)).fetchone()
        changed = last is None or json.loads(last[0])["attributes"] != judgement.verdict["attributes"]
        corrections += changed
    parameters = {
        "trace_id": row.trace_id,
        "arrivals": row.arrivals,
        "state": judgement.state,
        "due": judgement.due,
        "corrections": corrections,
        "started": judgement.started,
        # OTLP's times go to 2^64 - 1 ns, SQLite's integers to 2^63 - 1.
        "length": min(judgement.summary["end"] - judgement.summary["start"], LAST_NS),
        "summary": json.dumps(judgement.summary),
    }
    if not connection.execute(sql("update_call"), parameters).rowcount:
        return False
    if judgement.state == UNJUDGED != row.state:
        note = f"trace {row.trace_id.hex()}: {judgement.summary['summary']}"
        connection.execute(sql("count"), ("odd.unjudged", 1, judgement.at, note))
    if changed:
        text = json.dumps(judgement.verdict)
        connection.execute(
            sql("insert_verdict"),
            (row.trace_id, corrections, judgement.at, judgement.state, text, judgement.spans),
        )
    return True
