"""What is usually wrong where calls do not come out as they should, found in what a desk has received.

Each check says what it saw and what to do. Used by `cxotel doctor`, on a file or by asking a running desk.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cxotel._semconv import CX_CALL_ID, CX_LAYER
from cxotel.desk import traces, words
from cxotel.desk.facts import root_of
from cxotel.desk.lives import FINAL, PARTIAL
from cxotel.impact.evidence import SCOPE as IMPACT_SCOPE
from cxotel.impact.facts import SERIES_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.desk.store import Store
    from cxotel.impact import Span

OK, PROBLEM, NOTE = "ok", "problem", "note"

S = 1_000_000_000
# What is looked at: a day back from the last span, so that an old mistake is not told for ever.
WINDOW = 24 * 3600 * S
MOST_CALLS = 200
MOST_STRANGERS, SHOWN_STRANGERS = 10_000, 20
# Senders flush every 5 s; a call that was silent for longer than this without a root was not running.
SILENT = 600 * S
# Time servers keep clocks within 0.1 s; two seconds shift a wait in the verdict so that people notice.
SKEW_SECONDS = 2.0
# A batch is sent within 5 s and tried again for about a minute; what is always older was not sent live.
LATE_SECONDS = 300.0


@dataclass(frozen=True)
class Finding:
    """What one check says.

    Attributes:
        check: its name.
        state: ok, problem, or note for what could not be looked at.
        says: what was seen.
        fix: what to do, "" where nothing is.
    """

    check: str
    state: str
    says: str
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        """As `cxotel doctor --json` has it."""
        return asdict(self)


@dataclass(slots=True)
class _Seen:
    """A call as it is in the file."""

    trace_id: str
    state: str
    summary: dict[str, Any]
    spans: list[Span]
    last: int


def of_store(store: Store, now: int) -> list[Finding]:
    """All checks on what a desk has received; `now` is the time in ns since the epoch."""
    rows = store.rows("newest_calls", MOST_CALLS)
    others = store.rows("some_strangers", MOST_STRANGERS)
    newest = max((row[-1] for row in (*rows, *others)), default=None)
    if newest is None:
        return [
            Finding(
                "received",
                PROBLEM,
                "the desk has received no span yet",
                "point an exporter at it, or see `cxotel doctor --send`",
            )
        ]
    since = newest - WINDOW
    skews: dict[str, float] = {}
    calls = [_seen(store, row[:3], skews) for row in rows if row[-1] >= since]
    return [
        _strangers(store, [trace_id for trace_id, last in others if last >= since]),
        *(_of_calls(calls, now) if calls else _no_calls()),
        _keys(calls),
        _refused(store, since),
        *_clocks(skews),
    ]


def _seen(store: Store, row: tuple[bytes, str, str | None], skews: dict[str, float]) -> _Seen:
    trace_id, state, summary = row
    kept = traces.spans_of(store, *traces.ids_of(store, trace_id))
    kept = [one for one in kept if one.scope.name != IMPACT_SCOPE]
    spans = traces.models(kept)
    for one, span in zip(kept, spans, strict=True):
        if span.end:
            ago = (one.received - span.end) / S
            skews[span.service] = min(ago, skews.get(span.service, ago))
    last = max((one.received for one in kept), default=0)
    return _Seen(trace_id.hex(), state, json.loads(summary or "{}"), spans, last)


def _no_calls() -> list[Finding]:
    return [
        Finding("calls", PROBLEM, "no span that came is of a call", "start calls with cxotel.start_call()")
    ]


def _of_calls(calls: list[_Seen], now: int) -> Iterator[Finding]:
    done = [call for call in calls if call.state in (FINAL, PARTIAL) or now - call.last > SILENT]
    if not done:
        yield Finding("calls", NOTE, f"none of {len(calls)} calls is judged for good yet")
        return
    rootless = [call for call in done if root_of(call.spans) is None]
    yield _share(
        "root",
        rootless,
        len(done),
        "have no root span",
        "have a root span",
        "whoever starts a call ends it (call.stop()) and exports to this desk as well; spans came from "
        + _services(rootless),
    )
    alone = [c for c in done if root_of(c.spans) and not any(_takes_part(span) for span in c.spans)]
    yield _share(
        "children",
        alone,
        len(done),
        "are a root without a span of any party",
        "have spans of their parties",
        "the parties' spans have another trace id: hand them the header traceparent, or the same call key",
    )
    partial = [call for call in done if call not in rootless and call.summary.get("partial")]
    yield _share(
        "whole",
        partial,
        len(done),
        "are judged by a part of their spans",
        "are judged by all of their spans",
        "let all parties of a call export to one desk, without sampling",
    )
    unheard = [
        call for call in done if not any(key in span.attributes for span in call.spans for key in SERIES_KEYS)
    ]
    if len(unheard) == len(done):
        yield Finding(
            "media",
            PROBLEM,
            f"none of {len(done)} calls has a media series: nothing is known of what people heard",
            "record media where it ends: cxotel.instrument.aiortc, or leg.add_window() every 5 s",
        )
    else:
        yield Finding("media", OK, f"{len(done) - len(unheard)} of {len(done)} calls have media series")


def _share(check: str, found: list[_Seen], of: int, bad: str, good: str, fix: str) -> Finding:
    if not found:
        return Finding(check, OK, f"all of {of} calls {good}")
    examples = ", ".join(call.trace_id for call in found[:2])
    return Finding(check, PROBLEM, f"{len(found)} of {of} calls {bad}, as {examples}", fix)


def _takes_part(span: Span) -> bool:
    return bool(span.attributes.get(CX_LAYER, "call") != "call")


def _services(calls: list[_Seen]) -> str:
    counted = Counter(span.service or "a service without a name" for call in calls for span in call.spans)
    return _names(counted)


def _names(counted: Counter[str]) -> str:
    return ", ".join(name[:60] for name, _ in counted.most_common(5))


def _strangers(store: Store, found: list[bytes]) -> Finding:
    if not found:
        return Finding("strangers", OK, "every trace is of a call")
    spans = traces.models(traces.spans_of(store, *found[:SHOWN_STRANGERS]))
    services = Counter(span.service or "a service without a name" for span in spans)
    return Finding(
        "strangers",
        PROBLEM,
        f"{len(found)} traces are of no call, from {_names(services)}",
        "let these programs take up the call's context (cxotel.join_call()), or export elsewhere",
    )


def _keys(calls: list[_Seen]) -> Finding:
    """Keys that are written differently for what must be the same call, or alike for what is not."""
    spellings: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for call in calls:
        for key in {str(span.attributes[CX_CALL_ID]) for span in call.spans if CX_CALL_ID in span.attributes}:
            spellings[re.sub(r"[^a-z0-9]", "", key.lower()) or key][key].add(call.trace_id)
    for found in spellings.values():
        if len(set().union(*found.values())) < 2:
            continue
        if len(found) > 1:
            shown = " and ".join(repr(key[:80]) for key in sorted(found)[:2])
            return Finding(
                "keys",
                PROBLEM,
                f"call keys differ between parties, as {shown}",
                "every party gives the key verbatim as the platform does, without changing case or signs",
            )
        [key] = found
        return Finding(
            "keys",
            PROBLEM,
            f"the call key {key[:80]!r} stands in {len(found[key])} traces",
            "give all parties the same namespace (CXOTEL_NAMESPACE), and start the call at one of them only",
        )
    return Finding("keys", OK, "no call key is written in two ways")


def _refused(store: Store, since: int) -> Finding:
    rows = [row for row in store.rows("counters") if row[0].startswith("refused.") and row[2] >= since]
    if not rows:
        return Finding("refused", OK, "nothing was refused")
    said = [
        f"{words.COUNTERS.get(name, name)}: {value:,}" + (f" ({note})" if note else "")
        for name, value, _, note in rows
    ]
    return Finding("refused", PROBLEM, "; ".join(said), "the text says what the sender is to change")


def _clocks(skews: dict[str, float]) -> Iterator[Finding]:
    wrong = False
    for service, ago in sorted(skews.items()):
        name = service[:60] or "a service without a name"
        if ago < -SKEW_SECONDS:
            wrong = True
            yield Finding(
                "clock",
                PROBLEM,
                f"the clock of {name} is {-ago:.1f} s or more ahead: its spans end after they were received",
                "let NTP set the clock of its machine",
            )
        elif ago > LATE_SECONDS:
            wrong = True
            yield Finding(
                "clock",
                PROBLEM,
                f"spans of {name} come {ago:.0f} s and more after their end: a clock that is behind?",
                "let NTP set the clock of its machine; with records of the past this is as it should be",
            )
    if skews and not wrong:
        yield Finding("clock", OK, f"the clocks of {len(skews)} services go with the desk's")
