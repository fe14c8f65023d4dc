"""Calls whose verdict tells which of their spans were seen, and what may not have happened to them.

Wait i of a call lasts 2**i seconds longer than waiting may, so the lost seconds of a verdict are the set of
waits that the judge knew, as a binary number.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from cxotel.ids import call_ids
from cxotel.impact import Engine, Span
from cxotel.otlp import to_request

if TYPE_CHECKING:
    import random

    from collector_rig import Arrival, Client

SECOND = 10**9
ALLOWED = 20  # s; spec/impact/parameters.yaml, allowance.queue
APART = 100  # s between the starts of two waits
WAITS = 6
LENGTH = WAITS * APART + 2**WAITS + ALLOWED
FEATURES_SECONDS = 1.0  # facts this old may not be lost
HEARD_SECONDS = 0.3  # after which an answer has been heard, this process being busy
STARTING_SECONDS = (
    1.0  # from a kill till the next process knows the time: a call that begins meanwhile may be partial
)
TOLD_SECONDS = 0.5  # from when a verdict is made till it has arrived
VERDICT = ("cx.impact.", "cx.media.mos.")


@dataclass
class Piece:
    """A span that is sent, when it was first sent and when it was acknowledged (monotonic, s)."""

    span: Span
    bit: int = 0
    began: float = inf
    acked: float = inf

    @property
    def key(self) -> tuple[str, str]:
        """Trace id and span id."""
        return self.span.trace_id, self.span.span_id


@dataclass
class Call:
    """A call: what is sent of it."""

    root: Piece
    start: Piece | None
    waits: list[Piece]
    late: list[Piece]
    other: Piece | None = None  # the root of its part with another key

    @property
    def pieces(self) -> list[Piece]:
        """All of it."""
        some = [self.root, self.start, *self.waits, *self.late, self.other]
        return [piece for piece in some if piece is not None]

    @property
    def began(self) -> float:
        """When the first of it was sent."""
        return min(piece.began for piece in self.pieces)


def make_call(key: str, rng: random.Random) -> Call:
    """A call with that key.

    Most are announced, some get a span after their root, some have a part with another key.
    """
    begin = time.time_ns()  # it ends in the future: a real one would have taken longer
    end = begin + LENGTH * SECOND
    ids = call_ids(key)
    trace, root_id = ids.trace_id_hex, ids.span_id_hex

    def child(number: int, name: str, start: float, seconds: float, **attributes: Any) -> Span:
        named = {f"cx.{name}": value for name, value in attributes.items()}
        at = begin + int(start * SECOND)
        return Span(
            trace,
            f"{number + 1:016x}",
            name,
            at,
            at + int(seconds * SECOND),
            named,
            parent_id=root_id,
            scope="cxotel",
            service="platform",
        )

    announced = rng.random() < 0.8
    attributes: dict[str, Any] = {"cx.layer": "call", "cx.call.outcome": "completed", "cx.call.id": key}
    if announced:
        attributes["cx.call.announced"] = True
    root = Span(trace, root_id, "call inbound", begin, end, attributes, scope="cxotel", service="ivr", kind=2)
    waits = [
        Piece(
            child(i, "queue", i * APART, ALLOWED + 2**i, layer="ccaas", activity="queue", owner="Acme"),
            bit=2**i,
        )
        for i in range(rng.randint(2, WAITS))
    ]
    start = Piece(child(90, "call started", 0, 0, layer="call")) if announced else None
    call = Call(Piece(root), start, waits, [])
    if rng.random() < 0.15:
        call.late.append(call.waits.pop())
    if rng.random() < 0.1:
        second = call_ids(f"{key}-b")
        call.other = Piece(
            Span(
                second.trace_id_hex,
                second.span_id_hex,
                "call inbound",
                begin + SECOND,
                end,
                {"cx.layer": "call", "cx.call.id": f"{key}-b"},
                scope="cxotel",
                service="sbc",
            )
        )
        waits[0].span.attributes = {**waits[0].span.attributes, "cx.call.alias": [f"{key}-b"]}
    return call


async def place(call: Call, rng: random.Random, client: Client, pause: float = 0.5) -> None:
    """Sends a call as its parties do, until all of it was acknowledged."""

    async def send(*pieces: Piece) -> None:
        request = to_request(piece.span for piece in pieces).SerializeToString()
        now = time.monotonic()
        for piece in pieces:
            piece.began = min(piece.began, now)
        at = await client.send(request)
        for piece in pieces:
            piece.acked = inf if at is None else min(piece.acked, at)

    async def platform() -> None:
        left = list(call.waits)
        while left:
            some = left[: rng.choice((1, 1, 2))]
            left = left[len(some) :]
            await asyncio.sleep(rng.uniform(0, pause))
            await send(*some)

    waiting = [asyncio.ensure_future(platform())]
    if call.start is not None:
        if rng.random() < 0.7:
            await send(call.start)
        else:
            waiting.append(asyncio.ensure_future(send(call.start)))
    await asyncio.gather(*waiting)
    if call.other is not None:
        await send(call.other)
        await asyncio.sleep(rng.uniform(0, pause))
    roots = [call.root, *(call.late if call.late and rng.random() < 0.3 else ())]  # some in one request
    await send(*roots)
    if rng.random() < 0.15:  # its exporter did not hear of it
        await asyncio.sleep(rng.uniform(0, 4 * pause))
        await send(call.root)
    if call.late and call.late[0].acked == inf:
        await asyncio.sleep(rng.uniform(0, 6 * pause))
        await send(*call.late)


@dataclass
class Outcome:
    """What became of calls: counts by what they count, and broken promises with their trace ids."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: dict[str, list[str]] = field(default_factory=dict)
    delays: list[float] = field(
        default_factory=list
    )  # s from root to its arrival, where no kill came between

    def breaks(self, promise: str, call: Call, detail: str = "") -> None:
        """Notes a broken promise."""
        self.broken.setdefault(promise, []).append(f"{call.root.span.trace_id} {detail}".rstrip())


@dataclass
class _Seen:
    """A verdict that came."""

    arrival: Arrival
    attributes: dict[str, Any]

    @property
    def partial(self) -> bool:
        return bool(self.attributes.get("cx.impact.partial"))

    @property
    def bits(self) -> int:
        return round(float(self.attributes.get("cx.impact.lost_seconds", 0.0)))


def check(calls: list[Call], arrivals: list[Arrival], kills: list[float]) -> Outcome:
    """Holds what arrived against what was acknowledged and when the Collector was killed.

    Args:
        calls: what was sent.
        arrivals: what the backend got.
        kills: times of all SIGKILLs, in order.
    """
    outcome = Outcome()
    by_key: dict[tuple[str, str], list[Arrival]] = {}
    corrections: dict[str, list[Arrival]] = {}
    for one in arrivals:
        by_key.setdefault(one.key, []).append(one)
        if one.span.name == "impact correction":
            corrections.setdefault(one.key[0], []).append(one)
    owners = {piece.key: call for call in calls for piece in call.pieces}
    traces = {call.root.span.trace_id: call for call in calls}
    for key, found in by_key.items():
        contents = {one.content for one in found}
        call = owners.get(key) or traces.get(key[0])
        outcome.counts["span ids"] += 1
        outcome.counts["copies"] += len(found) - len(contents)
        if len(contents) > 1 and call is not None:
            outcome.breaks("no span id with two contents", call, f"{found[0].span.name} {key[1]}")
    for call in calls:
        _check_call(call, by_key, corrections.get(call.root.span.trace_id, []), kills, outcome)
    return outcome


def _check_call(
    call: Call,
    by_key: dict[tuple[str, str], list[Arrival]],
    corrections: list[Arrival],
    kills: list[float],
    outcome: Outcome,
) -> None:
    counts = outcome.counts
    counts["calls"] += 1
    for piece in call.pieces:
        if piece.acked == inf:
            counts["spans not acknowledged"] += 1
            continue
        is_root = piece in (call.root, call.other)
        counts["roots acknowledged" if is_root else "children acknowledged"] += 1
        if piece.key not in by_key:
            what = "every acknowledged root arrives" if is_root else "every acknowledged child arrives"
            outcome.breaks(what, call, piece.span.name)
    found = by_key.get(call.root.key)
    if not found or call.root.acked == inf:
        return
    root = _Seen(found[0], found[0].attributes)
    killed = _falls(kills, call.began, root.arrival.at)
    if not killed and call.root.began != inf:
        outcome.delays.append(root.arrival.at - call.root.began)
    if "cx.impact.model" not in root.attributes:
        if call.other is None:  # else the other root may have gone out as the call's
            outcome.breaks("every root is stamped", call)
        return
    counts["verdicts partial"] += root.partial
    counts["calls killed"] += killed
    starting = _falls(kills, call.began - STARTING_SECONDS, call.began)
    if root.partial and not killed and not starting and call.other is None:
        outcome.breaks("partial only where a kill fell into the call", call)
    before = [piece for piece in call.waits if piece.acked < call.root.began]
    _check_verdict(call, root, before, kills, outcome)
    if not corrections and root.bits == sum(piece.bit for piece in call.waits + call.late):
        return
    last = root
    for one in sorted(corrections, key=lambda one: one.at):
        last = _Seen(one, one.attributes)
    counts["corrections"] += len(corrections)
    known = [piece for piece in call.waits + call.late if piece.acked < last.arrival.at - TOLD_SECONDS]
    if last is not root and not last.partial and any(not last.bits & piece.bit for piece in known):
        outcome.breaks("no correction is wrong and not marked partial", call, f"{last.bits}")
    late = [piece for piece in call.late if not last.bits & piece.bit and not _excused(piece, kills)]
    if late:
        outcome.breaks(
            "facts older than 1 s are kept (late spans)", call, f"bit {late[0].bit} of {last.bits}"
        )


def _check_verdict(
    call: Call, seen: _Seen, before: list[Piece], kills: list[float], outcome: Outcome
) -> None:
    missing = [piece for piece in before if not seen.bits & piece.bit]
    counts = outcome.counts
    if missing:
        counts["verdicts without some wait"] += 1
    old = [piece for piece in missing if not _excused(piece, kills)]
    if old:
        detail = f"bit {old[0].bit} of {seen.bits}, partial {seen.partial}"
        outcome.breaks("facts older than 1 s are kept", call, detail)
    if missing and not seen.partial:
        which = "announced" if call.start else "not announced"
        detail = f"bit {missing[0].bit} of {seen.bits}"
        outcome.breaks(f"no verdict is wrong and not marked partial ({which} call)", call, detail)
    if call.other is not None:
        return
    known = [piece.span for piece in call.waits + call.late if seen.bits & piece.bit]
    engine = Engine()
    for span in [call.root.span, *known]:
        engine.add(span)
    expected = engine.verdict(partial=seen.partial).attributes
    got = {name: value for name, value in seen.attributes.items() if name.startswith(VERDICT)}
    if got != expected:
        differ = sorted(name for name in {*got, *expected} if got.get(name) != expected.get(name))
        outcome.breaks("verdicts are those of the spans they knew", call, f"{differ}")


def _falls(kills: list[float], begin: float, end: float) -> bool:
    at = bisect_left(kills, begin)
    return at < len(kills) and kills[at] <= end


def _excused(piece: Piece, kills: list[float]) -> bool:
    """Whether the Collector was killed within a second after it acknowledged this.

    An answer may be heard some time after the process that gave it was killed.
    """
    return _falls(kills, piece.acked - HEARD_SECONDS, piece.acked + FEATURES_SECONDS)


def timeline(call: Call, arrivals: list[Arrival], kills: list[float]) -> str:
    """What happened to a call and when, in seconds from its first request."""
    zero = call.began
    keys = {piece.key for piece in call.pieces}
    traces = {trace for trace, _ in keys}
    events = [(piece.began, f"sent {piece.span.name} {piece.bit or ''}") for piece in call.pieces]
    events += [(piece.acked, f"acknowledged {piece.span.name} {piece.bit or ''}") for piece in call.pieces]
    end = zero
    for one in arrivals:
        if one.key[0] in traces:
            verdict = {name: one.attributes.get(f"cx.impact.{name}") for name in ("lost_seconds", "partial")}
            events.append((one.at, f"arrived {one.span.name} {one.key[1]} {verdict} {hash(one.content):x}"))
            end = max(end, one.at)
    events += [(at, "SIGKILL") for at in kills if zero - 2 < at < end + 2]
    lines = [f"{at - zero:8.3f} {text}" for at, text in sorted(events)]
    return "\n".join([call.root.span.trace_id, *lines, ""])
