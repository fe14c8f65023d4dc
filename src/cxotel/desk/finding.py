"""Finding calls: what an address asks for, and the calls that have it, newest first.

Every kind of word (severity, queue, carrier, ...) may be asked for with several values: one of them has to
hold, and all kinds together. `q` is one exact thing: a call key, a trace id, or a customer's hash.
"""

from __future__ import annotations

import heapq
import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from cxotel.desk import report
from cxotel.desk.settings import LAST_NS
from cxotel.ids import call_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cxotel.desk.report import CallRow
    from cxotel.desk.store import Store

# Everything in `facts.facets_of`, in the order shown; `layer` is the most charged one, `charged` any.
KINDS = (
    "severity",
    "layer",
    "charged",
    "owner",
    "queue",
    "carrier",
    "headset",
    "partner",
    "site",
    "outcome",
    "state",
    "customer",
)
# A facet row is looked up in the others in 2 to 4 us: a page that finds nothing says so after some 200 ms.
MOST_LOOKED = 50_000
# Traces that one call key may stand for in a search.
MOST_OF_KEY = 1000
# Offered of a kind; the rest is typed.
MOST_OFFERED = 200
MOST_VALUES = 50
MOST_TEXT = 500
AGO = re.compile(r"([1-9][0-9]{0,4})(min|h|d)")
AGO_UNITS = {"min": "minutes", "h": "hours", "d": "days"}
BAD_TIME = "is a time like 2026-11-20T09:00 (UTC), 2026-11-20T09:00+01:00, or 30min, 24h or 7d ago"
BAD_BEFORE = "before must be what an earlier page gave: a time in ns, -, and a trace id."
TRACE_ID = re.compile(r"[0-9a-f]{32}")
STARTED = re.compile(r"[0-9]{1,19}")


class FilterError(ValueError):
    """An address that asks for what cannot be; the message names the parameter."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the list of all calls, newest first: behind the call of that start (ns) and trace id."""

    started: int = LAST_NS
    trace_id: bytes = b""

    def __str__(self) -> str:
        """As an address has it."""
        return f"{self.started}-{self.trace_id.hex()}"


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for.

    Attributes:
        q: a call key, trace id or customer's hash, "" for any.
        words: values by kind.
        since, until: texts of the first time and the first one behind, "" for any.
    """

    q: str = ""
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    since: str = ""
    until: str = ""

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        return bool(self.q or self.words or self.since or self.until)

    def query(self, **more: str) -> str:
        """As the query part of an address, always the same for the same; `more` is added."""
        pairs = [("q", self.q)]
        pairs += [(kind, value) for kind in KINDS for value in self.words.get(kind, ())]
        pairs += [("from", self.since), ("to", self.until), *more.items()]
        return urlencode([pair for pair in pairs if pair[1]])

    def address(self, path: str = "/", **more: str) -> str:
        """The whole address."""
        query = self.query(**more)
        return f"{path}?{query}" if query else path

    def without(self, kind: str, value: str = "") -> Filter:
        """The same without one of its parts."""
        if kind in ("q", "since", "until"):
            parts = {name: "" if name == kind else getattr(self, name) for name in ("q", "since", "until")}
            return Filter(words=self.words, **parts)
        left = tuple(one for one in self.words.get(kind, ()) if one != value)
        words = {k: v for k, v in self.words.items() if k != kind} | ({kind: left} if left else {})
        return replace(self, words=words)

    def between(self, since: str, until: str = "") -> Filter:
        """The same of another time."""
        return replace(self, since=since, until=until)

    def chips(self) -> list[tuple[str, str, str]]:
        """Kind, value and the address without it, of each part."""
        parts = [("q", self.q), ("since", self.since), ("until", self.until)]
        parts += [(kind, value) for kind in KINDS for value in self.words.get(kind, ())]
        return [(kind, value, self.without(kind, value).address()) for kind, value in parts if value]


@dataclass(slots=True)
class Found:
    """Calls, newest first.

    Attributes:
        next: the place to go on from, None where there are no more.
        looked_to: the time (ns) down to which was looked, where that was not far enough for a whole page.
        total: how many there are in all, None where that is not known.
    """

    rows: list[CallRow]
    next: Place | None = None
    looked_to: int | None = None
    total: int | None = None


@dataclass(slots=True)
class _Group:
    """Words and traces of which a call has to have one."""

    words: dict[int, int]  # id -> calls
    ids: list[bytes] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(self.words.values()) + len(self.ids)


def filter_of(parameters: Iterable[tuple[str, str]], others: tuple[str, ...] = ()) -> Filter:
    """The filter of an address's parameters; empty ones ask for nothing. `others` are left to the caller.

    Raises:
        FilterError: a parameter that there is not, a value too long, or no time.
    """
    single = {"q": "", "from": "", "to": ""}
    words: dict[str, list[str]] = {}
    for name, text in parameters:
        value = text.strip()
        if name in others or not value:
            continue
        if len(value) > MOST_TEXT:
            raise FilterError(f"{name} has more than {MOST_TEXT} characters.")
        if name in single:
            single[name] = value
        elif name in KINDS:
            if value not in words.setdefault(name, []):
                words[name].append(value)
        else:
            raise FilterError(f"There is no filter {name[:40]!r}; there are q, from, to, {', '.join(KINDS)}.")
    for name, values in words.items():
        if len(values) > MOST_VALUES:
            raise FilterError(f"{name} has more than {MOST_VALUES} values.")
    found = Filter(
        single["q"],
        {name: tuple(sorted(values)) for name, values in words.items()},
        single["from"],
        single["to"],
    )
    span_of(found, 0)
    return found


def span_of(asked: Filter, now: int) -> tuple[int, int]:
    """The times (ns) between which a call has to have started, the second one not included.

    Raises:
        FilterError: one of them is no time.
    """
    since = time_of("from", asked.since, now) if asked.since else 0
    until = time_of("to", asked.until, now) if asked.until else LAST_NS
    return since, until


def time_of(name: str, text: str, now: int) -> int:
    """A time in ns: ISO 8601, in UTC if it does not say, or so long ago.

    Raises:
        FilterError: it is neither.
    """
    ago = AGO.fullmatch(text)
    if ago:
        return max(0, now - int(timedelta(**{AGO_UNITS[ago[2]]: int(ago[1])}).total_seconds()) * 10**9)
    try:
        # Python reads a Z at the end from 3.11 on.
        at = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)
        nanos = round(at.timestamp() * 1e6) * 1000
    except (ValueError, OverflowError):
        raise FilterError(f"{name} {BAD_TIME}.") from None
    return min(max(0, nanos), LAST_NS)


def place_of(text: str) -> Place:
    """A place from an address; the newest for "".

    Raises:
        FilterError: it is none.
    """
    if not text:
        return Place()
    started, _, trace_id = text.partition("-")
    if not STARTED.fullmatch(started) or int(started) > LAST_NS or not TRACE_ID.fullmatch(trace_id):
        raise FilterError(BAD_BEFORE)
    return Place(int(started), bytes.fromhex(trace_id))


def find(store: Store, asked: Filter, place: Place, limit: int, now: int) -> Found:
    """Up to `limit` calls behind a place that have what is asked for.

    Starts from the kind with the fewest calls and looks the others up by key, so that it never reads what it
    does not show, and stops after MOST_LOOKED.
    """
    since, until = span_of(asked, now)
    if until <= place.started:
        place = Place(until, b"\xff" * 16)
    groups = _groups(store, asked)
    if not groups:
        rows = report.calls_before(store, place.started, place.trace_id, since, limit + 1)
        return _page(rows, limit)
    groups.sort(key=lambda group: (not group.ids, group.size))
    first, rest = groups[0], groups[1:]
    if not all(group.size for group in groups):
        return Found([], total=0)
    floor = _floor(store, first, place) if rest else None
    streams: list[Iterable[CallRow]] = [
        _of_word(store, word, place, max(since, floor or 0), rest, limit + 1) for word in sorted(first.words)
    ]
    streams.append(_of_ids(store, first.ids, place, since, rest))
    merged = heapq.merge(*streams, key=_order)
    found = _page(list(islice(_once(merged), limit + 1)), limit)
    if found.next is None and floor is not None and floor > since:
        found.next, found.looked_to = Place(floor, b"\xff" * 16), floor
    if len(groups) == 1 and len(first.words) == 1 and not first.ids and not asked.since and not asked.until:
        found.total = first.size
    return found


def traces_of(store: Store, text: str) -> list[bytes]:
    """Traces of the calls that a call key (its id is computed too) or a trace id means."""
    ids = [bytes.fromhex(text.lower())] if TRACE_ID.fullmatch(text.lower()) else []
    ids += [row[0] for row in store.rows("calls_of_key", text, MOST_OF_KEY)]
    try:
        ids.append(bytes.fromhex(call_ids(text).trace_id_hex))
    except ValueError:  # a lone surrogate
        return []
    rows = [row for one in dict.fromkeys(ids) if (row := report.call_row(store, one)) is not None]
    return list(dict.fromkeys(bytes.fromhex(row.trace_id) for row in rows))


def offered(store: Store, asked: Filter, kind: str) -> list[tuple[str, int, bool]]:
    """Values of a kind that calls have, used most first: text, calls, and whether it is asked for."""
    wanted = asked.words.get(kind, ())
    # A customer's hash is searched for, not picked from a list.
    rows = [] if kind == "customer" else store.rows("words_of_kind", kind, MOST_OFFERED)
    known = {text for text, _ in rows}
    return [
        *((text, calls, text in wanted) for text, calls in rows),
        *((text, 0, True) for text in wanted if text not in known),
    ]


def _groups(store: Store, asked: Filter) -> list[_Group]:
    found = []
    for kind, values in asked.words.items():
        found.append(_Group(dict(row for value in values for row in store.rows("word_of", kind, value))))
    if asked.q:
        found.append(_Group(dict(store.rows("word_of", "customer", asked.q)), traces_of(store, asked.q)))
    return found


def _floor(store: Store, group: _Group, place: Place) -> int | None:
    """The start of the last call that may be looked at, None where all may be."""
    if sum(group.words.values()) <= MOST_LOOKED:
        return None
    each = MOST_LOOKED // len(group.words)
    ends = [
        rows[0][0] for word in group.words if (rows := store.rows("facet_after", word, place.started, each))
    ]
    return max(ends, default=None)


def _of_word(
    store: Store, word: int, place: Place, since: int, rest: list[_Group], limit: int
) -> Iterator[CallRow]:
    alike = [sorted(group.words) for group in rest]
    rows = store.rows("calls_by_word", place.started, place.trace_id, since, json.dumps(alike), word, limit)
    return (report.row_from(row) for row in rows)


def _of_ids(store: Store, ids: list[bytes], place: Place, since: int, rest: list[_Group]) -> list[CallRow]:
    found = []
    for trace_id in ids:
        row = report.call_row(store, trace_id)
        if row is None or row.started is None or row.started < since or _order(row) <= _order_of(place):
            continue
        has = {word for word, _ in store.rows("facets_of_call", trace_id)}
        if all(has & group.words.keys() or trace_id in group.ids for group in rest):
            found.append(row)
    return sorted(found, key=_order)


def _order(row: CallRow) -> tuple[int, str]:
    return (-(row.started or 0), row.trace_id)


def _order_of(place: Place) -> tuple[int, str]:
    return (-place.started, place.trace_id.hex())


def _once(rows: Iterable[CallRow]) -> Iterator[CallRow]:
    """Each call once; the same ones follow each other."""
    last = ""
    for row in rows:
        if row.trace_id != last:
            yield row
        last = row.trace_id


def _page(rows: list[CallRow], limit: int) -> Found:
    shown = rows[:limit]
    if len(rows) <= limit:
        return Found(shown)
    return Found(shown, Place(shown[-1].started or 0, bytes.fromhex(shown[-1].trace_id)))
