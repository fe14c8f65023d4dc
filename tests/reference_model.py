"""A second, slow and literal reading of spec/impact/model.md, to disagree where one of the two is wrong.

It shares nothing with `cxotel.impact` but the span class and the media package's E-model. It works instant by
instant: at each it asks every span again. Nothing is cached, merged or skipped.
"""

# ruff: noqa: D102  # the methods are named as the model names things

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise, permutations, product
from math import erf, floor, isfinite, prod, sqrt
from typing import TYPE_CHECKING, Any

from cxotel.media.emodel import mos, r_factor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cxotel.impact import Span

PATH = ["carrier", "ccaas", "agent_network", "endpoint", "voice_ai", "handoff", "crm", "agent", "unobserved"]
NAMED = PATH[:-1]
WITH_SERIES = ["carrier", "ccaas", "agent_network", "endpoint", "voice_ai"]
ALLOWANCE = {
    "setup": 4.0,
    "queue": 20.0,
    "connect": 2.0,
    "respond": 1.5,
    "lookup": 2.0,
    "handoff": 3.0,
    "hold": 30.0,
}
WHOSE = {
    "setup": "carrier",
    "queue": "ccaas",
    "connect": "endpoint",
    "respond": "voice_ai",
    "lookup": "crm",
    "handoff": "handoff",
    "hold": "agent",
}
FELT = [
    "choppy_audio",
    "talk_over",
    "one_way_audio",
    "no_audio",
    "long_wait",
    "slow_connect",
    "dead_air",
    "slow_ai",
    "repeated_itself",
    "dropped",
    "abandoned",
    "failed",
]
SYMPTOM = {
    "queue": "long_wait",
    "hold": "long_wait",
    "setup": "slow_connect",
    "connect": "slow_connect",
    "lookup": "dead_air",
    "handoff": "dead_air",
    "respond": "slow_ai",
}
NS = 1_000_000_000


def half_up(value: float, decimals: int) -> float:
    """Rounding as everywhere in the model."""
    return floor(value * 10**decimals + 0.5) / 10**decimals


def half_up_seconds(seconds: float, decimals: int) -> float:
    """Rounding of sums of charges: by whole nanoseconds."""
    unit = 10 ** (9 - decimals)
    return (floor(seconds * 1e9 + 0.5) + unit // 2) // unit / 10**decimals


def is_number(value: object, low: float, high: float) -> bool:
    """Whether a value is a number in the range; bools are none."""
    return type(value) in (int, float) and isfinite(value) and low <= value <= high  # type: ignore[arg-type]


@dataclass
class Window:
    """One measured window of one leg."""

    span: Span
    layer: str
    is_path: bool
    start: int
    end: int
    loss: list[float | None]
    delay: list[float | None]
    ie: list[float]


@dataclass
class Waiting:
    """One wait."""

    span: Span
    what: str
    layer: str
    start: int
    end: int


class Reference:
    """Judges a call; see `attributes`, `charges` and `lost`."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.skipped = 0
        self.spans = self.settle(spans)
        for span in self.spans:
            self.check(span)
        roots = [
            s for s in self.spans if self.layer(s) == "call" and s.name in ("call inbound", "call outbound")
        ]
        self.root = min(roots, key=lambda s: (s.start, s.span_id)) if roots else None
        if self.root:
            for key in ("cx.call.outcome", "cx.call.medium"):
                self.skipped += key in self.root.attributes and type(self.root.attributes[key]) is not str
        self.outcome = self.text(self.root, "cx.call.outcome") if self.root else ""
        self.start, self.end = self.interval()
        self.windows = [window for span in self.spans for window in self.read_windows(span)]
        self.waits = self.read_waits()
        self.gone = self.gone_through()
        self.charges: dict[str, float] = {}
        self.items: dict[tuple[str, str], list[Any]] = {}
        self.felt: dict[str, float] = {}
        self.mos_parts: list[tuple[float, float]] = []
        self.talked = self.dead = self.lost = 0.0
        self.walk()
        self.attributes = self.report()

    # --- reading ---

    def settle(self, spans: Iterable[Span]) -> list[Span]:
        kept: dict[tuple[str, str], Span] = {}
        bad = set()
        for span in spans:
            if span.scope == "cxotel.impact":
                continue
            if not span.span_id.strip("0"):
                bad.add(("", span.trace_id, span.parent_id, span.name, span.start, span.end))
            elif span.start <= 0 or span.end <= 0 or span.end < span.start:
                bad.add((span.trace_id, span.span_id))
            else:
                key = (span.trace_id, span.span_id)
                if key not in kept or kept[key].end <= span.end:
                    kept[key] = span
        self.skipped += len(bad)
        return list(kept.values())

    def text(self, span: Span, key: str) -> str:
        value = span.attributes.get(key)
        return value if type(value) is str else ""

    def layer(self, span: Span) -> str:
        return self.text(span, "cx.layer") or (
            "voice_ai" if span.name in ("agent_session", "conversation") else ""
        )

    def activity(self, span: Span) -> str:
        own = self.text(span, "cx.activity")
        if not own and not self.text(span, "cx.layer") and span.name in ("agent_session", "conversation"):
            return "converse"
        return own

    def check(self, span: Span) -> None:
        """Counts what is not readable, series and latencies aside."""
        given = span.attributes
        for key in ("cx.layer", "cx.activity"):
            self.skipped += key in given and type(given[key]) is not str
        for key, high in (("cx.wait.seconds", 1e7), ("cx.handoff.fidelity", 1.0)):
            self.skipped += key in given and not is_number(given[key], 0.0, high)

    def interval(self) -> tuple[int, int]:
        if self.root is None:
            layered = [s for s in self.spans if self.layer(s)]
            return (min(s.start for s in layered), max(s.end for s in layered)) if layered else (0, 0)
        setups = [
            s.start
            for s in self.spans
            if self.activity(s) == "setup" and self.root.start - 60 * NS <= s.start < self.root.start
        ]
        return min([self.root.start, *setups]), self.root.end

    def read_windows(self, span: Span) -> list[Window]:
        keys = [
            f"cx.media.{way}.{what}"
            for way in ("to_agent", "to_customer")
            for what in ("loss_pct", "delay_ms")
        ]
        given = span.attributes
        if not any(key in given for key in keys):
            return []
        width = given.get("cx.media.window", 5)
        if self.layer(span) not in WITH_SERIES or not is_number(width, 1e-9, 1e6):
            self.skipped += 1
            return []
        self.skipped += "cx.media.scope" in given and type(given["cx.media.scope"]) is not str
        ie = []
        for way in ("to_agent", "to_customer"):
            key = f"cx.media.{way}.ie"
            good = is_number(given.get(key), 0.0, 95.0)
            self.skipped += key in given and not good
            ie.append(float(given[key]) if good else 0.0)
        series = {key: self.read_series(given[key], key) if key in given else [] for key in keys}
        step = floor(width * 1e9 + 0.5)
        windows = []
        for index in range(max(len(one) for one in series.values())):
            figures = [series[key][index] if index < len(series[key]) else None for key in keys]
            start = span.start + index * step
            end = min(start + step, span.end, self.end)
            if max(start, self.start) < end:
                windows.append(
                    Window(
                        span,
                        self.layer(span),
                        self.text(span, "cx.media.scope") == "path",
                        max(start, self.start),
                        end,
                        [figures[0], figures[2]],
                        [figures[1], figures[3]],
                        ie,
                    )
                )
        return windows

    def read_series(self, value: object, key: str) -> list[float | None]:
        high = 100.0 if key.endswith("loss_pct") else 60_000.0
        if type(value) is not str:
            self.skipped += 1
            return []
        found: list[float | None] = []
        bad = 0
        for item in re.findall("[^ ]+", value):
            figure, star, count = item.partition("*")
            if star and not re.fullmatch("[0-9]{1,4}", count):
                self.skipped += 1
                return []
            times = int(count) if star else 1
            if times == 0:
                self.skipped += 1
                return []
            number = None
            if figure != "-":
                if re.fullmatch(r"[0-9]+(\.[0-9]+)?", figure) and float(figure) <= high:
                    number = float(figure)
                else:
                    bad += 1
            found += [number] * times
        if len(found) > 1000:
            self.skipped += 1
            return []
        self.skipped += bad
        return found

    def read_waits(self) -> list[Waiting]:
        waits = []
        for span in self.spans:
            what = self.activity(span)
            if what not in ALLOWANCE:
                continue
            if what == "lookup" and span.attributes.get("cx.crm.waiting") is False:
                continue
            seconds = span.attributes.get("cx.wait.seconds")
            length = floor(seconds * 1e9 + 0.5) if is_number(seconds, 0.0, 1e7) else span.end - span.start
            waits.append(Waiting(span, what, self.charged(span, what), span.start, span.start + length))
        if not any(self.activity(span) == "respond" for span in self.spans):
            for span in self.spans:
                for key in ("lk.e2e_latency", "turn.user_bot_latency_seconds"):
                    if key not in span.attributes:
                        continue
                    seconds = span.attributes[key]
                    if is_number(seconds, 0.0, 1e7):
                        end = span.start + floor(seconds * 1e9 + 0.5)
                        waits.append(Waiting(span, "respond", self.charged(span, "respond"), span.start, end))
                    else:
                        self.skipped += 1
        return waits

    def charged(self, span: Span, what: str) -> str:
        if what == "hold" or self.layer(span) not in NAMED:
            return WHOSE[what]
        return self.layer(span)

    # --- questions about an instant ---

    def during(self, at: int, *activities: str, layer: str | None = None) -> bool:
        return any(
            s.start <= at < s.end and self.activity(s) in activities and layer in (None, self.layer(s))
            for s in self.spans
        )

    def exists(self, *activities: str) -> bool:
        return any(
            self.activity(s) in activities and max(s.start, self.start) < min(s.end, self.end)
            for s in self.spans
        )

    def talking(self, at: int) -> bool:
        if self.during(at, "hold"):
            return False
        if self.during(at, "talk") or self.during(at, "converse", layer="voice_ai"):
            return True
        converse = self.during(at, "converse") or not self.exists("talk", "converse")
        return converse and not self.during(at, "setup", "ivr", "queue", "connect")

    def lost_waits(self, at: int) -> list[Waiting]:
        hit = []
        for wait in self.waits:
            if not wait.start + floor(ALLOWANCE[wait.what] * 1e9 + 0.5) <= at < wait.end:
                continue
            if wait.what == "handoff" and self.during(at, "queue", "connect"):
                continue
            says = type(wait.span.attributes.get("cx.crm.waiting")) is bool
            if wait.what == "lookup" and not says and self.during(at, "talk") and not self.during(at, "hold"):
                continue
            hit.append(wait)
        return [wait for wait in hit if wait.what != "hold"] or hit

    def to_repeat(self, at: int) -> list[tuple[Span, float]]:
        handoffs = sorted(
            (s for s in self.spans if self.activity(s) == "handoff"), key=lambda s: (s.start, s.span_id)
        )
        found = []
        for one in handoffs:
            since = max([self.start, *(s.end for s in handoffs if s.start < one.start)])
            if since <= at < one.start and self.talking(at):
                found.append((one, self.fidelity(one)))
        return found

    def fidelity(self, span: Span) -> float:
        given = span.attributes
        if is_number(given.get("cx.handoff.fidelity"), 0.0, 1.0):
            return float(given["cx.handoff.fidelity"])
        sets = [given.get(f"cx.handoff.keys.{which}") for which in ("expected", "delivered")]
        if any(type(one) not in (list, tuple) for one in sets):
            return 1.0
        expected, delivered = ({key for key in one if type(key) is str} for one in sets)  # type: ignore[union-attr]
        return len(expected & delivered) / len(expected) if expected else 1.0

    def ended_with(self, at: int) -> tuple[str, Span | None] | None:
        """(layer, span) that an instant is charged to because of the outcome."""
        if self.outcome == "abandoned":
            wait = self.last_wait()
            if wait and wait.end - wait.start >= 5 * NS and wait.start <= at < wait.end:
                return wait.layer, wait.span
        elif self.outcome == "failed" or (self.outcome == "dropped" and self.talking(at)):
            guilty = []
            for s in self.spans:
                what = self.activity(s)
                layer = self.layer(s) if self.layer(s) in NAMED else WHOSE.get(what)
                near = abs(s.end - self.end) <= 10 * NS
                if what in ("converse", "setup", "connect") and s.status == 2 and near and layer:
                    guilty.append((-s.end, PATH.index(layer), s.start, s.span_id, layer, s))
            return min(guilty)[4:] if guilty else ("unobserved", self.root)
        return None

    def last_wait(self) -> Waiting | None:
        waits = [w for w in self.waits if w.what in ("queue", "hold") and abs(w.end - self.end) <= 10 * NS]
        return min(waits, key=lambda w: (-w.end, PATH.index(w.layer), w.start, w.span.span_id), default=None)

    # --- quality ---

    def layers_at(self, at: int) -> list[dict[str, list[Any]]]:
        """Per direction: layer -> [loss 0..1, delay ms, ie, worst sources]."""
        here = [w for w in self.windows if w.start <= at < w.end]
        line = ["carrier", "ccaas", "agent_network", "endpoint"]
        if self.during(at, "converse", layer="voice_ai"):
            line = ["carrier", "ccaas", "voice_ai"]
        found = []
        for way, order in ((0, line), (1, line[::-1])):
            suffered: dict[str, list[Any]] = {}

            def suffer(layer: str, what: str, value: float, span: Span, table: dict[str, list[Any]]) -> None:
                entry = table.setdefault(layer, [0.0, 0.0, 0.0, []])
                if what == "loss":
                    entry[0] = 1 - (1 - entry[0]) * (1 - value / 100)
                elif what == "delay":
                    entry[1] += value
                else:
                    entry[2] = value
                entry[3].append((what, value, span))

            for what in ("loss", "delay"):
                hop: dict[str, tuple[float, Any]] = {}
                path: dict[str, tuple[float, Any]] = {}
                for w in here:
                    value = (w.loss if what == "loss" else w.delay)[way]
                    if value is None:
                        continue
                    table = path if w.is_path and w.layer in order else hop
                    best = table.get(w.layer)
                    key = (value, -w.span.start, [-ord(c) for c in w.span.span_id])
                    if best is None or key > best[1][0]:
                        table[w.layer] = (value, (key, w.span))
                for layer, (value, (_, span)) in hop.items():
                    suffer(layer, what, value, span, suffered)
                residuals: dict[str, float] = {}
                for place, layer in enumerate(order):
                    if layer not in path:
                        continue
                    value, (_, span) = path[layer]
                    before = [hop[one][0] for one in order[: place + 1] if one in hop]
                    before += [residuals[one] for one in order[:place] if one in residuals]
                    if what == "loss":
                        through = prod(1 - one / 100 for one in before)
                        rest = max(0.0, 1 - (1 - value / 100) / through) * 100 if through else 0.0
                    else:
                        rest = max(0.0, value - sum(before))
                    residuals[layer] = rest
                    previous = max([i for i in range(place) if order[i] in path], default=-1)
                    between = order[previous + 1 : place]
                    blind = any(one in self.gone and one not in hop for one in between)
                    suffer("unobserved" if blind else layer, what, rest, span, suffered)
            for layer in WITH_SERIES:
                own = [w for w in here if w.layer == layer and (w.loss[way], w.delay[way]) != (None, None)]
                if any(w.ie[way] for w in own):
                    top = min(own, key=lambda w: (-w.ie[way], w.span.start, w.span.span_id))
                    suffer(layer, "ie", top.ie[way], top.span, suffered)
            found.append(suffered)
        return found

    @staticmethod
    def rating(suffered: dict[str, list[Any]], layers: Iterable[str]) -> float:
        mine = [suffered[one] for one in layers if one in suffered]
        ppl = 100 * (1 - prod(1 - one[0] for one in mine))
        return r_factor(t=sum(one[1] for one in mine), ie=min(95.0, sum(one[2] for one in mine)), ppl=ppl)

    @staticmethod
    def lost_by(r: float) -> float:
        good = [0.5 * (1 + erf((one - 60) / 16 / sqrt(2))) for one in (80.0, r)]
        return max(0.0, (good[0] - good[1]) / good[0])

    def cost(self, both: list[dict[str, list[Any]]], layers: Iterable[str]) -> float:
        layers = list(layers)
        return 1 - prod(1 - self.lost_by(self.rating(one, layers)) for one in both)

    def shapley(self, both: list[dict[str, list[Any]]]) -> dict[str, float]:
        """Mean over all orders of joining of what a layer adds."""
        players = [
            layer
            for layer in PATH
            if any(
                one[layer][0] > 0 or one[layer][1] > 0 or one[layer][2] > 0 for one in both if layer in one
            )
        ]
        shares = dict.fromkeys(players, 0.0)
        orders = list(permutations(players))
        worth = {
            frozenset(chosen): self.cost(both, chosen)
            for bits in product((0, 1), repeat=len(players))
            for chosen in [[p for p, bit in zip(players, bits, strict=True) if bit]]
        }
        for order in orders:
            joined: frozenset[str] = frozenset()
            for player in order:
                shares[player] += (worth[joined | {player}] - worth[joined]) / len(orders)
                joined |= {player}
        return shares

    def named(self, both: list[dict[str, list[Any]]], layer: str) -> tuple[str, float, Any]:
        """(what, worst value, span) of a layer's quality charge."""
        own = [one[layer] for one in both if layer in one]
        loss, delay, ie = (max(one[i] for one in own) for i in range(3))
        alone = []
        if loss:
            alone.append((r_factor(ppl=100 * loss), 0, "loss"))
        if delay:
            alone.append((r_factor(t=delay), 1, "delay"))
        if ie:
            alone.append((r_factor(ie=ie), 2, "ie"))
        what = min(alone)[2]
        sources = [source for one in own for source in one[3] if source[0] == what]
        top = min(sources, key=lambda s: (-s[1], s[2].start, s[2].span_id))
        return what, top[1], top[2]

    def symptom(self, both: list[dict[str, list[Any]]]) -> str:
        dead = [1 - prod(1 - one[0] for one in side.values()) >= 0.9 - 1e-12 for side in both]
        if all(dead):
            return "no_audio"
        if any(dead):
            return "one_way_audio"
        r = [self.rating(side, PATH) for side in both]
        side = both[0] if r[0] <= r[1] else both[1]
        ppl = 100 * (1 - prod(1 - one[0] for one in side.values()))
        by_loss = r_factor(ppl=ppl, ie=min(95.0, sum(one[2] for one in side.values())))
        by_delay = r_factor(t=sum(one[1] for one in side.values()))
        return "choppy_audio" if by_loss <= by_delay else "talk_over"

    # --- adding up ---

    def edges(self) -> list[int]:
        cuts = {self.start, self.end}
        for s in self.spans:
            cuts |= {s.start, s.end}
        for wait in self.waits:
            cuts |= {wait.start, wait.end, wait.start + floor(ALLOWANCE[wait.what] * 1e9 + 0.5)}
        for w in self.windows:
            cuts |= {w.start, w.end}
        return sorted(cut for cut in cuts if self.start <= cut <= self.end)

    def book(self, layer: str, what: str, seconds: float, value: float | None, span: Any) -> None:
        self.charges[layer] = self.charges.get(layer, 0.0) + seconds
        item = self.items.setdefault((layer, what), [0.0, []])
        item[0] += seconds
        if seconds > 1e-12:
            item[1].append((-(value or 0.0), span.start if span else 0, span.span_id if span else "", span))
        self.lost += seconds

    def walk(self) -> None:
        cuts = self.edges()
        for at, until in pairwise(cuts):
            seconds = (until - at) / 1e9
            talking = self.talking(at)
            self.talked += seconds * talking
            waits = self.lost_waits(at)
            if waits:
                layers = {w.layer for w in waits}
                for wait in waits:
                    share = seconds / len(layers) / sum(w.layer == wait.layer for w in waits)
                    self.book(wait.layer, wait.what, share, (wait.end - wait.start) / 1e9, wait.span)
                    self.felt[SYMPTOM[wait.what]] = self.felt.get(SYMPTOM[wait.what], 0.0) + share
                continue
            left = seconds
            if talking:
                left -= self.quality(at, seconds)
                for handoff, fidelity in self.to_repeat(at):
                    self.book("handoff", "fidelity", left * (1 - fidelity), 100 * (1 - fidelity), handoff)
                    self.felt["repeated_itself"] = self.felt.get("repeated_itself", 0.0) + left * (
                        1 - fidelity
                    )
                    left *= fidelity
            ended = self.ended_with(at)
            if ended:
                self.book(ended[0], self.outcome, left, None, ended[1])

    def quality(self, at: int, seconds: float) -> float:
        both = self.layers_at(at)
        measured = [
            w for w in self.windows if w.start <= at < w.end and any(v is not None for v in w.loss + w.delay)
        ]
        if measured:
            self.mos_parts.append((seconds, min(mos(self.rating(side, PATH)) for side in both)))
        if any(1 - prod(1 - one[0] for one in side.values()) >= 0.9 - 1e-12 for side in both):
            self.dead += seconds
        lost = self.cost(both, PATH)
        if lost <= 0:
            return 0.0
        for layer, share in self.shapley(both).items():
            if share > 1e-12:
                what, value, span = self.named(both, layer)
                self.book(layer, what, share * seconds, value, span)
        symptom = self.symptom(both)
        self.felt[symptom] = self.felt.get(symptom, 0.0) + lost * seconds
        return lost * seconds

    # --- the verdict ---

    def inside(self, start: int, end: int) -> bool:
        return start < self.end and end >= self.start

    def gone_through(self) -> set[str]:
        gone = {self.layer(s) for s in self.spans if self.inside(s.start, s.end)}
        gone |= {w.layer for w in self.waits if self.inside(w.start, w.end)}
        gone = gone & set(NAMED) - {"agent"}
        if any(self.activity(s) == "talk" and self.inside(s.start, s.end) for s in self.spans):
            gone.add("endpoint")
        if gone & {"agent_network", "endpoint"}:
            gone |= {"agent_network", "endpoint"}
        if not (self.root and self.text(self.root, "cx.call.medium") == "web"):
            gone.add("carrier")
        return gone

    def severity(self, lost: float) -> str:
        last = self.last_wait()
        short = self.outcome == "abandoned" and last is not None and last.end - last.start < 5 * NS
        if self.outcome in ("dropped", "failed", "abandoned") and not short:
            return "critical"
        if self.talked > 0 and self.dead >= self.talked / 2 - 1e-12:
            return "critical"
        return "none" if lost < 3 else "minor" if lost < 15 else "moderate" if lost < 60 else "severe"

    def report(self) -> dict[str, Any]:
        charged = {layer: half_up_seconds(self.charges.get(layer, 0.0), 3) for layer in PATH}
        layers = sorted(
            (one for one in PATH if charged[one]), key=lambda one: (-charged[one], PATH.index(one))
        )
        lost = sum(floor(charged[one] * 1000 + 0.5) for one in layers) / 1000
        units = {"loss": " %", "fidelity": " %", "delay": " ms", "ie": ""}
        items = []
        for (layer, what), (seconds, sources) in self.items.items():
            if sources:
                value, _, span_id, span = min(sources, key=lambda one: one[:3])
                shown = "" if what == self.outcome else f" {half_up(-value, 1):.1f}{units.get(what, ' s')}"
                where = f" (span {span_id})" if span else ""
                text = f"{layer}: {what}{shown}, {half_up_seconds(seconds, 1):.1f} s{where}"
                items.append((-half_up_seconds(seconds, 3), PATH.index(layer), what, text, span))
        every = sorted(items, key=lambda one: one[:3])
        items = [one for one in every if one[0] < 0][:8]
        found: dict[str, Any] = {f"cx.impact.charge.{one}": charged[one] for one in layers}
        if layers:
            found["cx.impact.layer"] = layers[0]
            found["cx.impact.share"] = half_up(charged[layers[0]] / lost, 3)
            first = next((one[4] for one in every if PATH[one[1]] == layers[0]), None)
            owner = self.text(first, "cx.owner") if first else ""
            if owner and layers[0] != "unobserved":
                found["cx.impact.owner"] = owner
        seen = {w.layer for w in self.windows if any(v is not None for v in w.loss + w.delay)}
        if any(w.what == "respond" and self.inside(w.start, w.end) for w in self.waits):
            seen.add("voice_ai")
        blind = [
            one
            for one in PATH
            if one in self.gone
            and one in ("carrier", "agent_network", "endpoint", "voice_ai")
            and one not in seen
        ]
        felt = {one for one, seconds in self.felt.items() if half_up_seconds(seconds, 9) >= 1}
        if self.outcome in ("dropped", "abandoned", "failed"):
            felt.add(self.outcome)
        placed = ["setup", "ivr", "queue", "connect", "talk", "converse", "respond", "hold", "handoff"]
        length = (self.end - self.start) / 1e9
        found |= {
            "cx.impact.lost_seconds": lost,
            "cx.impact.layers": layers,
            "cx.impact.severity": self.severity(lost),
            "cx.impact.score": max(0.0, half_up(100 * (1 - lost / length), 1)) if length else 100.0,
            "cx.impact.felt": [one for one in FELT if one in felt],
            "cx.impact.evidence": [one[3] for one in items],
            "cx.impact.coverage": half_up((len(self.gone) - len(blind)) / len(self.gone), 3)
            if self.gone
            else 0.0,
            "cx.impact.unobserved": blind,
            "cx.impact.outside": sum(
                self.layer(s) in NAMED
                and self.activity(s) in placed
                and (s.end < self.start - 5 * NS or s.start > self.end + 5 * NS)
                for s in self.spans
            ),
            "cx.impact.partial": self.root is None,
            "cx.impact.model": "1",
            "cx.impact.skipped": self.skipped,
        }
        if self.mos_parts:
            time = sum(seconds for seconds, _ in self.mos_parts)
            found["cx.media.mos.min"] = half_up(min(score for _, score in self.mos_parts), 2)
            found["cx.media.mos.mean"] = half_up(sum(s * score for s, score in self.mos_parts) / time, 2)
        return found
