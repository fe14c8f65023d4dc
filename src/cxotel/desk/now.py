"""What the page "Now" shows: running calls, what the last hour cost against the usual, and its verdicts."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxotel.desk import finding, report, words

if TYPE_CHECKING:
    from cxotel.desk.report import CallRow, Warned
    from cxotel.desk.store import Store

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR, DAY = 60, 24 * 60  # minutes
DAYS = 7
# Running calls looked at, and of these shown: the ones warned of come first.
MOST_RUNNING, MOST_SHOWN = 1000, 100
RUNNING = finding.Filter(words={"state": ("running",)})


@dataclass(slots=True)
class Running:
    """A running call with its warnings; times in seconds."""

    row: CallRow
    warnings: list[Warned]
    lasts: float
    silent: float


@dataclass(slots=True)
class Cost:
    """Lost seconds of a layer in the last hour, and the median of days before, None without any."""

    layer: str
    calls: int
    seconds: float
    usual: float | None
    address: str


@dataclass(slots=True)
class Now:
    """The page's data.

    Attributes:
        at: the time, ns.
        since, until: the 60 whole minutes before, ns.
        running: how many calls run.
        calls: those shown, warned ones first, then the longest.
        warned: how many of them were warned of.
        started: calls that started in the hour, and how many usually do.
        severities: name, calls, and the address of these calls.
        days: days of the last DAYS with calls in that hour.
        address: of all calls of the hour.
    """

    at: int
    since: int
    until: int
    running: int
    calls: list[Running]
    warned: int
    started: int
    started_usual: float | None
    costs: list[Cost]
    severities: list[tuple[str, int, str]]
    days: int
    address: str

    @property
    def rest(self) -> int:
        """Running calls that are not shown."""
        return max(0, self.running - len(self.calls))


def load(store: Store, at: int) -> Now:
    """Read it all."""
    last = at // MINUTE
    hour = _lost(store, last - HOUR, last)
    before = [_lost(store, last - HOUR - day * DAY, last - day * DAY) for day in range(1, DAYS + 1)]
    days = [lost for lost in before if lost.get("", (0, 0.0))[0] > 0]
    since, until = (last - HOUR) * MINUTE, last * MINUTE
    running = finding.find(store, RUNNING, finding.Place(), MOST_RUNNING, at)
    calls = [_running(store, row, at) for row in running.rows]
    calls.sort(key=lambda one: (not one.warnings, -one.lasts))
    counted = dict(store.rows("severities_between", since, until))
    between = finding.Filter(since=iso(since), until=iso(until))
    return Now(
        at=at,
        since=since,
        until=until,
        running=len(calls) if running.next is None else running.total or len(calls),
        calls=calls[:MOST_SHOWN],
        warned=sum(bool(one.warnings) for one in calls),
        started=hour.get("", (0, 0.0))[0],
        started_usual=_median([lost[""][0] for lost in days]),
        costs=_costs(hour, days, between),
        severities=[
            (name, counted.get(name, 0), _with(between, "severity", name))
            for name in reversed(words.SEVERITIES)
        ],
        days=len(days),
        address=between.address(),
    )


def as_json(now: Now) -> dict[str, Any]:
    """The same for programs."""
    return {
        "at": now.at,
        "since": now.since,
        "until": now.until,
        "running": now.running,
        "calls": [
            {
                **report.summary_report(one.row),
                "lasts_seconds": one.lasts,
                "silent_seconds": one.silent,
                "warnings": [{"layer": w.layer, "at": w.at, "message": w.message} for w in one.warnings],
            }
            for one in now.calls
        ],
        "started": now.started,
        "started_usual": now.started_usual,
        "lost": [
            {"layer": c.layer, "calls": c.calls, "seconds": c.seconds, "usual": c.usual} for c in now.costs
        ],
        "severities": {name: number for name, number, _ in now.severities},
        "usual_from_days": now.days,
    }


def iso(at: int) -> str:
    """A time (ns) in UTC to the minute, as filters have it."""
    moment = words.moment(at)
    return moment.strftime("%Y-%m-%dT%H:%MZ") if moment else ""


def _running(store: Store, row: CallRow, at: int) -> Running:
    warnings = report.warnings_of(store, bytes.fromhex(row.trace_id)) if row.summary.get("warned") else []
    return Running(
        row,
        warnings,
        max(0.0, (at - (row.started or at)) / SECOND),
        max(0.0, (at - row.last_received) / SECOND),
    )


def _lost(store: Store, since: int, until: int) -> dict[str, tuple[int, float]]:
    return {layer: (calls, seconds) for layer, calls, seconds in store.rows("lost_between", since, until)}


def _costs(
    hour: dict[str, tuple[int, float]], days: list[dict[str, tuple[int, float]]], between: finding.Filter
) -> list[Cost]:
    found = []
    for layer in words.LAYERS:
        calls, seconds = hour.get(layer, (0, 0.0))
        usual = _median([lost.get(layer, (0, 0.0))[1] for lost in days])
        # What was added and taken off again leaves a trace of floating point.
        seconds = round(seconds, 3) + 0.0
        if seconds or usual:
            found.append(Cost(layer, calls, seconds, usual, _with(between, "charged", layer)))
    return sorted(found, key=lambda cost: -cost.seconds)


def _median(values: list[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None


def _with(between: finding.Filter, kind: str, value: str) -> str:
    return finding.Filter(words={kind: (value,)}, since=between.since, until=between.until).address()
