"""The desk's worker: sorts the inbox into spans and judges calls, in one thread, one after the other.

Every judgement reads the call's spans from the file and feeds the model anew, so that a restart in between
changes nothing. When it is told, what is handed on of it is written in the same transaction.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cxotel._semconv import CX_CALL_ANNOUNCED, CX_LAYER
from cxotel.desk import outbox, stamps, traces
from cxotel.desk._sql import sql
from cxotel.desk.facts import facets_of, figures_of, stamp_on, summary_of, unjudged_summary
from cxotel.desk.indexing import Index
from cxotel.desk.lives import FINAL, PARTIAL, PROVISIONAL, RUNNING, UNJUDGED, from_text, state_of, to_text
from cxotel.desk.settings import LAST_NS
from cxotel.desk.store import StoreBusyError
from cxotel.desk.work import work_of
from cxotel.impact import Engine, judge
from cxotel.impact.lifecycle import (
    CORRECTION,
    HELD,
    JUDGED,
    OUT,
    PARTIAL_CALL,
    WARNING,
    Episode,
    Life,
    digest_of,
)
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from cxotel.desk.lives import Rules
    from cxotel.desk.store import Store
    from cxotel.impact import Span, Verdict
    from cxotel.impact.lifecycle import Root, Telling

__all__ = ["FINAL", "PARTIAL", "PROVISIONAL", "RUNNING", "UNJUDGED", "Worker", "verdict_json"]

SECOND = 1_000_000_000
# Asked again at least this often, should the clock have been set.
LONGEST_SLEEP = 5.0
# Tellings that say what the verdict is.
TOLD_OF = (JUDGED, PARTIAL_CALL, CORRECTION)
# What is under way when asked to stop: a judgement rarely takes longer (work.MOST_WORK has the worst). The
# thread is a daemon, and what it did not write is judged after the next start.
STOP_SECONDS = 3.0

STARTED = "call started"

log = logging.getLogger("cxotel.desk")


@dataclass(slots=True)
class _Due:
    """A row of `due_calls`."""

    trace_id: bytes
    state: str
    life: Life
    first_received: int
    corrections: int
    summary: dict[str, Any]


class Worker:
    """A thread that sorts what was received and judges what is due.

    Args:
        store: the desk's file.
        rules: of the life of calls.
        changed: called with the trace id after a verdict was written.
        clock: the time in ns since the epoch.
        told: called with each telling that was written and seconds since the root's arrival.
    """

    def __init__(
        self,
        store: Store,
        rules: Rules,
        changed: Callable[[bytes], None],
        clock: Callable[[], int] = time.time_ns,
        told: Callable[[Telling, float], None] = lambda _telling, _delay: None,
    ) -> None:
        self._told = told
        self._store, self._rules, self._changed, self._clock = store, rules, changed, clock
        self._index = Index(store, rules)
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="cxotel-desk-worker", daemon=True)

    def start(self) -> None:
        """Take up the calls as they are, and begin."""
        self.restart()
        self._thread.start()

    def wake(self) -> None:
        """Something was received."""
        self._woken.set()

    @property
    def is_alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finish what is under way, if that takes no longer than STOP_SECONDS, and stop."""
        self._stopping = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def restart(self) -> None:
        """What a desk does with the calls of the one before it."""
        now = self._clock()

        def job(connection: sqlite3.Connection) -> None:
            for trace_id, text in connection.execute(sql("held_calls")).fetchall():
                life = from_text(text)
                if life is not None:
                    life.restart(now, self._rules.times)
                    connection.execute(sql("set_life"), (to_text(life), life.due or None, trace_id))

        self._store.write(job).result()

    def round(self) -> float:
        """Do what there is to do; returns seconds until there is more, 0 for at once."""
        worked = self._index.work()
        oldest = self._index.oldest()
        # A call is judged by all that came before it was due: what waits in the inbox counts for that time.
        now = self._clock() if oldest is None else min(oldest, self._clock())
        rows = self._store.rows("due_calls", now)
        self._judge(rows, now)
        if worked or rows or oldest is not None:
            return 0.0
        (due,) = self._store.rows("next_due")[0]
        return LONGEST_SLEEP if due is None else min(LONGEST_SLEEP, max(0.0, (due - now) / SECOND))

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            try:
                wait = self.round()
            except (StoreBusyError, sqlite3.DatabaseError):  # the store has logged it and shows it
                wait = 1.0
            except Exception:
                log.exception("judging failed, trying again")
                wait = 1.0
            if wait:
                self._woken.wait(wait)

    def _judge(self, rows: list[tuple[Any, ...]], now: int) -> None:
        """Judge calls and write it all in one transaction, or, if one cannot be written, each by itself."""
        judgements = []
        for columns in rows:
            if self._stopping:
                return
            try:
                judgements.append(_Judgement(self._store, self._rules, _due(*columns), now))
            except StoreBusyError:
                raise  # they stay due
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this call's
                self._give_up(columns[0], error)
        try:
            self._store.write(lambda to: _save_all(to, judgements)).result()
        except StoreBusyError:
            raise  # they stay due
        except Exception:  # noqa: BLE001 - whose it is shows when each is written by itself
            judgements = [one for one in judgements if self._save(one)]
        for one in judgements:
            for telling, delay in one.told(self._clock()):
                self._told(telling, delay)
            self._changed(one.trace_id)

    def _save(self, judgement: _Judgement) -> bool:
        try:
            self._store.write(judgement.save).result()
        except StoreBusyError:
            raise
        except Exception as error:  # noqa: BLE001 - it is this call's alone
            self._give_up(judgement.trace_id, error)
            return False
        return True

    def _give_up(self, trace_id: bytes, error: Exception) -> None:
        """A fault of ours in one call must not keep the others waiting: it is left until a span comes."""
        log.error("cannot judge %s", trace_id.hex(), exc_info=error)
        self._store.write(lambda to: to.execute(sql("give_up_call"), (trace_id,))).result()


def _save_all(connection: sqlite3.Connection, judgements: list[_Judgement]) -> None:
    for judgement in judgements:
        judgement.save(connection)


def _due(
    trace_id: bytes, state: str, text: str, first_received: int, corrections: int, summary: str | None
) -> _Due:
    life = from_text(text)
    if life is None:
        raise ValueError("a call without a life")
    return _Due(trace_id, state, life, first_received, corrections, json.loads(summary or "{}"))


class _Judgement:
    """One call, looked at once."""

    def __init__(self, store: Store, rules: Rules, row: _Due, now: int) -> None:
        self._rules, self._row, self._now = rules, row, now
        self.trace_id = row.trace_id
        aliases = store.rows("aliases_of_call", row.trace_id)
        self._links: list[Root] = [(t.hex(), r.hex()) for t, r, seen in aliases if not seen]
        self._kept = traces.spans_of(store, row.trace_id, *(t for t, _, _ in aliases))
        self._spans = traces.models(self._kept)
        self._verdicts: dict[bool, Verdict] = {}
        self._engine: Engine | None = None
        life, work = row.life, work_of(self._kept)
        self._root_came = life.due - rules.times.grace if life.phase == HELD else now
        self._tellings: list[Telling] = []
        if work.too_much:
            self.state, self._shown = UNJUDGED, None
            text = (
                f"Not judged: {work.figures:,} media figures, of up to {work.legs:,} legs at the same time, "
                "are more than the desk compares."
            )
            self._summary = unjudged_summary(self._spans, text)
            life.passing, life.held, life.episodes = life.passing + life.held, [], []
            life.trusted, life.phase, life.due = True, OUT, 0
            self._tellings = life.look(now, rules.times, self._verdict)
            return
        if life.phase == OUT and not life.told and not life.trusted:  # of a file of schema 1
            life.told = digest_of(self._verdict(False))
        self._tellings += life.warn(self._verdict, self._hurts)
        self._tellings += life.look(now, rules.times, self._verdict)
        self.state = state_of(life)
        told = [one for one in self._tellings if one.kind in TOLD_OF]
        self._shown = told[-1].verdict if told else None
        if self._shown is None and (self.state in (RUNNING, PROVISIONAL) or self.state != row.state):
            self._shown = self._verdict(True)
        if self._shown is None and (life.trusted or not row.summary):
            self._shown = self._verdict(False)
        self._summary = summary_of(self._spans, self._shown) if self._shown is not None else row.summary
        # Found and listed is a call by the verdict that is believed.
        stamp = stamp_on(self._spans) if life.trusted else None
        self._summary = self._summary | (figures_of(stamp) if stamp is not None else {})

    def told(self, now: int) -> list[tuple[Telling, float]]:
        """What was told, and seconds from the root's arrival until `now`."""
        return [(one, max(0, now - self._root_came) / SECOND) for one in self._tellings]

    def save(self, connection: sqlite3.Connection) -> None:
        """Write it; what is told and what is handed on of that go together."""
        row, life, now = self._row, self._row.life, self._now
        due = life.due or None
        summary = self._summary
        # The list is in order of time: a call whose clock runs ahead, or that has no time, is as old as here.
        started = min(summary.get("start") or row.first_received, row.first_received)
        length = min(summary.get("end", 0) - summary.get("start", 0), LAST_NS)  # OTLP's times go to 2^64 - 1
        summary["warned"] = life.warned
        corrections = row.corrections + sum(one.kind == CORRECTION for one in self._tellings)
        text = json.dumps(summary)
        values = (self.state, to_text(life), due, corrections, started, length, text, row.trace_id)
        if not connection.execute(sql("update_call"), values).rowcount:
            return  # erased meanwhile
        self._save_facets(connection, started)
        if self.state == UNJUDGED != row.state:
            note = f"trace {row.trace_id.hex()}: {summary['summary']}"
            connection.execute(sql("count"), ("odd.unjudged", 1, now, note))
        told = b""
        for telling in self._tellings:
            told = self._save_telling(connection, telling) or told
        if self._shown is not None:
            self._save_verdict(connection, self._shown, told)

    def _save_verdict(self, connection: sqlite3.Connection, shown: Verdict, told: bytes) -> None:
        """The verdict shown last is replaced until it has been told."""
        last = connection.execute(sql("last_verdict"), (self._row.trace_id,)).fetchone()
        is_told = last is not None and last[1] in (FINAL, PARTIAL) and not self._row.life.trusted
        number = 0 if last is None else last[0] + is_told
        kinds = [t.kind for t in self._tellings if t.kind in TOLD_OF and t.verdict is shown]
        content = json.dumps(verdict_json(shown) | {"kind": kinds[-1] if kinds else ""})
        spans = to_request(shown.evidence_spans()).SerializeToString()
        connection.execute(
            sql("insert_verdict"), (self._row.trace_id, number, self._now, self.state, content, spans, told)
        )

    def _save_telling(self, connection: sqlite3.Connection, telling: Telling) -> bytes:
        """Write what is told; gives it if it is a span of ours that stands for the verdict."""
        evidence = telling.verdict.evidence_spans() if telling.kind == JUDGED else []
        trace_id = self._row.trace_id.hex()
        copied = stamps.copied_of(self._spans)
        request = stamps.request_of(telling, trace_id, self._kept, self._links, evidence, copied)
        data = request.SerializeToString()
        if telling.kind == WARNING:
            message = request.resource_spans[0].scope_spans[0].spans[0].status.message
            layer = telling.episode.layer if telling.episode else ""
            connection.execute(sql("insert_warning"), (self._row.trace_id, layer, self._now, message, data))
        if self._rules.forwards and data:
            items = sum(len(s.spans) for g in request.resource_spans for s in g.scope_spans)
            outbox.put(connection, "traces", items, data, self._now)
        return data if telling.kind in (PARTIAL_CALL, CORRECTION) else b""

    def _save_facets(self, connection: sqlite3.Connection, started: int) -> None:
        wanted = {
            (connection.execute(sql("insert_word"), pair).fetchone()[0], started)
            for pair in facets_of(self._summary, self.state)
        }
        known = set(connection.execute(sql("facets_of_call"), (self._row.trace_id,)).fetchall())
        if wanted == known:
            return
        connection.execute(sql("forget_facets"), (self._row.trace_id,))
        connection.executemany(sql("insert_facet"), [(*one, self._row.trace_id) for one in sorted(wanted)])

    def _verdict(self, partial: bool) -> Verdict:
        partial = partial or bool(self._links) or _is_unannounced(self._spans)
        if partial not in self._verdicts:
            if self._engine is None:
                self._engine = Engine()
                for span in self._spans:
                    self._engine.add(span)
            self._verdicts[partial] = self._engine.verdict(partial=partial)
        return self._verdicts[partial]

    def _hurts(self, episode: Episode) -> bool:
        """Whether an episode's own figures cost its layer anything."""
        own = [span for span in self._spans if span.span_id == episode.span_id]
        return judge(own).charges.get(episode.layer, 0.0) > 0


def _is_unannounced(spans: list[Span]) -> bool:
    """Whether a root says that `call started` was sent, and that did not come: spans went elsewhere."""
    if any(span.name == STARTED and span.attributes.get(CX_LAYER) == "call" for span in spans):
        return False
    return any(span.attributes.get(CX_CALL_ANNOUNCED) is True for span in spans)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """What is kept of a verdict: root attributes, evidence, stretches."""
    return {
        "attributes": dict(verdict.attributes),
        "evidence": [asdict(item) for item in verdict.evidence],
        "stretches": [asdict(item) for item in verdict.stretches],
    }
