"""Hands the outbox on to other backends, each with a thread, a place in the queue and a pace of its own.

A destination's place is the last row of the outbox that arrived there or was given up. It is written after
the answer: a crash in between sends rows again as they were, never with another content. What all have goes.
"""

from __future__ import annotations

import json
import logging
import random
import ssl
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import urllib3

from cxotel.desk import outbox, wire
from cxotel.desk._sql import sql
from cxotel.desk.destination import DestinationError
from cxotel.desk.receiver import count
from cxotel.desk.sending import LATER, REFUSED, TAKEN, Answer, GrpcSender, HttpSender, sender_of
from cxotel.desk.store import StoreBusyError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from cxotel.desk.destination import Destination
    from cxotel.desk.store import Store

# Rows sent together: well under the 4 MiB that gRPC servers take by default.
MOST_ROWS = 256
MOST_BYTES = 512 * 1024
MOST_ITEMS = 1000
# gRPC servers refuse what is over 4 MiB, nginx over 1 MiB (zipped): this is not refused for its size.
SMALL_BYTES = 128 * 1024
# How long what was judged may wait to be seen; what comes within it goes in one request.
IDLE_SECONDS = 0.2
# The queue may be over its limit for this long.
LIMIT_SECONDS = 5.0
# The file could not be read or written: SQLite has waited 5 s itself.
BUSY_SECONDS = 1.0
# What is under way when asked to stop; docker stop waits 10 s for the whole desk.
STOP_SECONDS = 3.0
# 1,000 agents make 45 spans/s of 520 bytes: 2 GiB is a day of that, or a quarter of an hour of 4,000 spans/s.
QUEUE_BYTES = 2 * 1024**3
DROPPED = "dropped.forward"
# Shorter words of a header's value could be anything.
LEAST_SECRET = 4

log = logging.getLogger("cxotel.desk")


@dataclass(frozen=True)
class Forwarding:
    """What is handed on to where.

    Attributes:
        destinations: the backends.
        certificate: file of authorities to trust beside the system's, PEM.
        queue_bytes: of the outbox; over it the oldest rows are dropped.
        first_delay, longest_delay: seconds between attempts, doubled from the one to the other (5 s and 30 s
            in the Collector's exporters; ours begins earlier, for a backend that restarts).
    """

    destinations: tuple[Destination, ...] = ()
    certificate: Path | None = None
    queue_bytes: int = QUEUE_BYTES
    first_delay: float = 0.5
    longest_delay: float = 30.0


@dataclass(frozen=True)
class State:
    """How it stands with a destination.

    Attributes:
        name: its address.
        rows, items, size: what waits: requests, spans and so on in them, bytes.
        oldest: when the first of them was made, ns; 0: nothing waits.
        sent, dropped: items since the file was made.
        last: when something arrived last, ns; 0: never.
        note, troubled: the latest trouble and when that was, ns; "" and 0: none.
    """

    name: str
    sent: int
    dropped: int
    last: int
    note: str
    troubled: int
    rows: int
    items: int
    size: int
    oldest: int

    @property
    def is_behind(self) -> bool:
        """Whether the latest trouble is still there."""
        return self.rows > 0 and self.troubled > self.last


def states(store: Store, names: tuple[str, ...]) -> list[State]:
    """How it stands with the destinations of these names."""
    return [State(*row) for name in names for row in store.rows("destination_state", name)]


class Forwarder:
    """Threads that hand on.

    Args:
        forwarding: what to where.
        clock: the time in ns since the epoch.

    Raises:
        DestinationError: the certificates cannot be used.
    """

    def __init__(self, forwarding: Forwarding, clock: Callable[[], int] = time.time_ns) -> None:
        self._forwarding, self._clock = forwarding, clock
        self.names = tuple(one.name for one in forwarding.destinations)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        authorities = _authorities(forwarding.certificate)
        self._senders = [_open(one, authorities) for one in forwarding.destinations]

    def start(self, store: Store) -> None:
        """Take up every destination's place, and begin."""
        if not self.names:
            return
        self._store = store
        active = json.dumps(self.names)

        def places(connection: sqlite3.Connection) -> None:
            connection.executemany(sql("new_destination"), [(name,) for name in self.names])
            connection.execute(sql("outbox_done"), (active,))

        store.write(places).result()
        for number, (one, sender) in enumerate(
            zip(self._forwarding.destinations, self._senders, strict=True)
        ):
            lane = _Lane(store, one, sender, self._forwarding, active, self._stopping, self._clock)
            self._thread(lane.run, f"cxotel-desk-forward-{number}")
        self._thread(self._watch, "cxotel-desk-forward-limit")

    def halt(self) -> None:
        """Begin nothing new."""
        self._stopping.set()

    def close(self) -> None:
        """Let what is under way finish within STOP_SECONDS, then cut it off; the rest stays in the file."""
        self.halt()
        end = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        for sender in self._senders:
            sender.close()

    def states(self) -> list[State]:
        """How it stands with each destination."""
        return states(self._store, self.names) if self.names else []

    def keep_limit(self) -> None:
        """Drop the oldest rows while the queue is over its limit, and count them."""
        limit = self._forwarding.queue_bytes
        over = self._store.rows("outbox_over", limit)
        if not over:
            return
        cut, now = over[0][0], self._clock()
        note = f"the queue was over {limit:,} bytes, the oldest was dropped"

        def drop(connection: sqlite3.Connection) -> None:
            for name in self.names:
                ((place,),) = connection.execute(sql("destination_place"), (name,)).fetchall()
                ((items,),) = connection.execute(sql("outbox_items"), (place, cut)).fetchall()
                if items:
                    connection.execute(sql("destination_moved"), (cut, 0, items, 0, name))
                    connection.execute(sql("destination_trouble"), (note, now, name))
                    count(connection, DROPPED, items, now, f"{name}: {note}")
            connection.execute(sql("outbox_drop"), (cut,))

        self._store.write(drop).result()
        log.warning("%s", note)

    def _watch(self) -> None:
        while not self._stopping.wait(LIMIT_SECONDS):
            try:
                self.keep_limit()
            except StoreBusyError:  # noqa: PERF203 - once in five seconds
                continue
            except Exception:
                log.exception("cannot look after the queue, trying again")

    def _thread(self, run: Callable[[], None], name: str) -> None:
        self._threads.append(threading.Thread(target=run, name=name, daemon=True))
        self._threads[-1].start()


class _Row(NamedTuple):
    """A row of the outbox without its data, or of its items those from `start` to before `end`."""

    id: int
    signal: str
    items: int
    size: int
    start: int = 0
    end: int = 0

    def halves(self) -> tuple[_Row, _Row]:
        """The first and the second half of the items."""
        first = self.items // 2
        middle, end = self.start + first, self.start + self.items
        return (
            self._replace(items=first, start=self.start, end=middle),
            self._replace(items=self.items - first, start=middle, end=end),
        )


@dataclass
class _Tally:
    """What became of the rows of a window."""

    sent: list[_Row] = field(default_factory=list)
    refused: list[_Row] = field(default_factory=list)
    rejected: int = 0
    note: str = ""


class _StoppedError(Exception):
    """It is to stop; what was begun is begun again after the next start."""


class _Lane:
    """What one destination's thread does."""

    def __init__(
        self,
        store: Store,
        destination: Destination,
        sender: GrpcSender | HttpSender,
        forwarding: Forwarding,
        active: str,
        stopping: threading.Event,
        clock: Callable[[], int],
    ) -> None:
        self._store, self._sender, self._active, self._clock = store, sender, active, clock
        self._name = destination.name
        self._first, self._longest = forwarding.first_delay, forwarding.longest_delay
        self._stopping, self._logged = stopping, ""
        self._secrets = [
            word for _, value in destination.headers for word in value.split() if len(word) >= LEAST_SECRET
        ]

    def run(self) -> None:
        """Until it is to stop."""
        while not self._stopping.is_set():
            try:
                wait = self._round()
            except _StoppedError:
                return
            except StoreBusyError:
                wait = BUSY_SECONDS
            except Exception:
                log.exception("forwarding to %s failed, trying again", self._name)
                wait = self._longest
            self._stopping.wait(wait)

    def _round(self) -> float:
        """Send what comes next; returns seconds until there may be more."""
        window = self._window()
        if not window:
            return IDLE_SECONDS
        groups: dict[str, list[_Row]] = defaultdict(list)
        for row in window:
            groups[row.signal].append(row)
        tally = _Tally()
        for signal, rows in groups.items():
            self._deliver(wire.BY_NAME[signal], rows, tally)
        self._write(lambda connection: self._moved(connection, window[-1].id, tally))
        return 0.0

    def _window(self) -> list[_Row]:
        """The rows after this destination's place that go together."""
        found: list[_Row] = []
        size = items = 0
        with self._store.reading() as connection:
            rows = connection.execute(sql("outbox_head"), (self._name, MOST_ROWS))
            for columns in rows:
                row = _Row(*columns)
                size, items = size + row.size, items + row.items
                if found and (size > MOST_BYTES or items > MOST_ITEMS):
                    break
                found.append(row)
        return found

    def _deliver(self, signal: wire.Signal, rows: list[_Row], tally: _Tally) -> None:
        """Send rows as one request; where that is refused, one by one, so that a bad one goes alone.

        A row that is too large is sent in halves of halves.
        """
        answer, rows, size = self._insist(signal, rows)
        if answer.kind == REFUSED and len(rows) > 1 and not answer.of_all:
            for row in rows:
                self._deliver(signal, [row], tally)
            return
        if answer.too_large and size > SMALL_BYTES and rows[0].items > 1:
            for half in rows[0].halves():
                self._deliver(signal, [half], tally)
            return
        if answer.kind == REFUSED:
            tally.refused += rows
        else:
            tally.sent += rows
            tally.rejected += min(answer.rejected, sum(row.items for row in rows))
        if answer.note:
            tally.note = f"{signal.name}: {self._without_secrets(answer.note)}"

    def _insist(self, signal: wire.Signal, rows: list[_Row]) -> tuple[Answer, list[_Row], int]:
        """Send rows until the answer is not to come back later; which there still were, and their bytes."""
        attempt = 0
        while True:
            if self._stopping.is_set():
                raise _StoppedError
            # Anew each time: what waited for hours may be dropped or erased by now.
            there = self._data(rows)
            rows = [row for row in rows if row.id in there]
            if not rows:
                return Answer(TAKEN), rows, 0
            # Messages of protobuf, one after the other, are one with the lists of all.
            data = b"".join(there.values())
            answer = self._sender.send(signal, data)
            if answer.kind != LATER:
                if attempt:
                    log.info("forwarding to %s goes on", self._name)
                return answer, rows, len(data)
            note = f"{signal.name}: {self._without_secrets(answer.note)}"
            if not attempt:
                log.warning("forwarding to %s waits, %s", self._name, note)
            with suppress(StoreBusyError):
                self._store.write(partial(self._troubled, note=note))
            # As long again each time, and half of it by chance: senders that failed together come back apart.
            delay = min(self._longest, self._first * 2 ** min(attempt, 16)) * random.uniform(0.5, 1)  # noqa: S311 - no secret
            attempt += 1
            self._stopping.wait(max(delay, answer.after))

    def _data(self, rows: list[_Row]) -> dict[int, bytes]:
        found = {}
        with self._store.reading() as connection:
            for row in rows:
                for (data,) in connection.execute(sql("outbox_data"), (row.id,)):
                    whole = not row.end
                    found[row.id] = data if whole else outbox.part_of(row.signal, data, row.start, row.end)
        return found

    def _write(self, job: Callable[[sqlite3.Connection], None]) -> None:
        """Write what was answered; not to be left, for then it would all be sent again."""
        while True:
            try:
                self._store.write(job).result()
            except StoreBusyError:  # noqa: PERF203 - waiting is what it is for
                if self._stopping.wait(BUSY_SECONDS):
                    raise _StoppedError from None
            else:
                return

    def _moved(self, connection: sqlite3.Connection, last: int, tally: _Tally) -> None:
        now = self._clock()
        ((place,),) = connection.execute(sql("destination_place"), (self._name,)).fetchall()
        sent = sum(row.items for row in tally.sent)
        refused = sum(row.items for row in tally.refused if row.id > place) + tally.rejected
        # Counted as dropped for the queue's limit while they were on their way.
        arrived_after_all = sum(row.items for row in tally.sent if row.id <= place)
        arrived = now if tally.sent else 0
        dropped = refused - arrived_after_all
        connection.execute(
            sql("destination_moved"), (last, sent - tally.rejected, dropped, arrived, self._name)
        )
        count(connection, DROPPED, dropped, now, f"{self._name}: {tally.note}")
        if tally.note:
            self._troubled(connection, tally.note)
            if refused and tally.note != self._logged:  # once a reason, not once a request
                # What the backend says of it may repeat what was sent, which is no log's business.
                log.warning("forwarding to %s: %d given up; the page Received says why", self._name, refused)
                self._logged = tally.note
        connection.execute(sql("outbox_done"), (self._active,))

    def _troubled(self, connection: sqlite3.Connection, note: str) -> None:
        connection.execute(sql("destination_trouble"), (note, self._clock(), self._name))

    def _without_secrets(self, note: str) -> str:
        """A note of a backend that repeats what it was sent."""
        for secret in self._secrets:
            note = note.replace(secret, "***")
        return note


def _authorities(certificate: Path | None) -> bytes | None:
    if certificate is None:
        return None
    try:
        found = certificate.read_bytes()
        ssl.create_default_context(cadata=found.decode("ascii", "replace"))
    except (
        ssl.SSLError,
        ValueError,
    ) as error:  # the first is an OSError as well, the second of an empty file
        raise DestinationError(
            f"CXOTEL_FORWARD_CERTIFICATE has no certificates to read ({error}): give a PEM file"
        ) from None
    except OSError as error:
        raise DestinationError(f"CXOTEL_FORWARD_CERTIFICATE {certificate}: {error.strerror}") from None
    return found


def _open(destination: Destination, authorities: bytes | None) -> GrpcSender | HttpSender:
    try:
        return sender_of(destination, authorities)
    except (urllib3.exceptions.HTTPError, ValueError):  # its text may hold the proxy's password
        name = f"{destination.scheme.upper()}_PROXY"
        raise DestinationError(
            f"{name} is no proxy to go to {destination.name} through: say http://host:port, or unset it"
        ) from None
    except OSError as error:
        raise DestinationError(f"{destination.name} cannot be sent to: {error}") from None
