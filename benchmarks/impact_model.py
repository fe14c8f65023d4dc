"""Calls a second of the impact model on one core, pure Python, beside a straightforward version.

`python benchmarks/impact_model.py [seconds]`. The straightforward version is the tests' reference: it reads
the model literally, instant by instant. Spans are made beforehand; the time is `add` of every span and one
`verdict`.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from reference_model import Reference

from cxotel.impact import Span, judge

if TYPE_CHECKING:
    from collections.abc import Callable

T0 = 1_760_000_000_000_000_000
NS = 1_000_000_000
WINDOWS, WINDOW = 60, 5
GOALS = {"3 two-way legs, 80 % healthy": 500, "20 spans without series": 2000}  # calls/s, the project's own


def span(number: int, name: str, start: float, end: float, **attributes: object) -> Span:
    """A span from start to end seconds; `cx__` in a name stands for `cx.`."""
    named = {f"cx.{key.replace('__', '.')}": value for key, value in attributes.items()}
    return Span("5b" * 16, f"{number:016x}", name, T0 + int(start * NS), T0 + int(end * NS), named)


def items(values: list[str]) -> str:
    """A series as writers write it: equal neighbours joined."""
    found: list[list[object]] = []
    for value in values:
        if found and found[-1][0] == value:
            found[-1][1] += 1  # type: ignore[operator]
        else:
            found.append([value, 1])
    return " ".join(f"{value}*{count}" if count != 1 else str(value) for value, count in found)


def media_call(rng: random.Random) -> list[Span]:
    """A call of five minutes with three legs, loss and delay in both directions; every fifth is bad.

    Healthy loss is what a rig's 5 s windows show: mostly 0, now and then a packet or two of 250
    (0.4 %), delays that wander by some ms; so no two windows in a row are equal.
    """
    bad = rng.random() < 0.2
    spans = [
        span(1, "call inbound", 0, 320, layer="call", call__outcome="completed"),
        span(2, "queue", 0, 18, layer="ccaas", activity="queue"),
        span(3, "talk", 20, 320, layer="ccaas", activity="talk"),
    ]
    for number, layer in enumerate(("carrier", "agent_network", "endpoint"), 4):
        hurt = bad and rng.random() < 0.5
        series = {}
        for way in ("to_agent", "to_customer"):
            begin, length = rng.randrange(WINDOWS), rng.randrange(5, WINDOWS)
            loss = [rng.choice(("0", "0", "0", "0.4", "0.8")) for _ in range(WINDOWS)]
            if hurt:
                for index in range(begin, min(WINDOWS, begin + length)):
                    loss[index] = f"{rng.uniform(2, 25):.1f}"
            series[f"media__{way}__loss_pct"] = items(loss)
            series[f"media__{way}__delay_ms"] = items([str(rng.randrange(20, 32)) for _ in range(WINDOWS)])
        start = 20 + number * 0.13  # legs of different parties do not begin at one instant
        spans.append(span(number, f"{layer} leg", start, 320, layer=layer, activity="converse", **series))
    return spans


def plain_call(rng: random.Random) -> list[Span]:
    """A call of 20 spans without series: an AI that answers ten times, a handoff, queue, hold, lookup."""
    spans = [
        span(1, "call inbound", 0, 300, layer="call", call__outcome="completed"),
        span(2, "carrier setup", 0, 1.5, layer="carrier", activity="setup"),
        span(3, "ivr", 2, 10, layer="ccaas", activity="ivr"),
        span(4, "voice ai session", 10, 90, layer="voice_ai", activity="converse"),
        span(5, "handoff", 90, 92 + rng.random(), layer="handoff", activity="handoff", handoff__fidelity=0.9),
        span(6, "queue", 92, 92 + rng.randrange(5, 40), layer="ccaas", activity="queue"),
        span(7, "agent connect", 132, 133, layer="endpoint", activity="connect"),
        span(8, "talk", 133, 300, layer="ccaas", activity="talk"),
        span(9, "hold", 200, 200 + rng.randrange(10, 50), layer="ccaas", activity="hold"),
        span(
            10, "crm lookup", 140, 141 + 3 * rng.random(), layer="crm", activity="lookup", crm__waiting=True
        ),
    ]
    for number in range(11, 21):
        start = 10 + 7 * (number - 11)
        end = start + 0.6 + 1.2 * rng.random()
        spans.append(span(number, "voice ai response", start, end, layer="voice_ai", activity="respond"))
    return spans


def rate(judged: Callable[[list[Span]], object], calls: list[list[Span]], seconds: float) -> float:
    """Calls a second of processor time; the best of three, for the machine may be shared."""
    best = 0.0
    for _ in range(3):
        gc.collect()
        done, begun = 0, time.process_time()
        while time.process_time() - begun < seconds / 3:
            judged(calls[done % len(calls)])
            done += 1
        best = max(best, done / (time.process_time() - begun))
    return best


def main() -> None:
    """Prints a line for each kind of call."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 6.0
    rng = random.Random(7)
    kinds = {
        "3 two-way legs, 80 % healthy": [media_call(rng) for _ in range(400)],
        "20 spans without series": [plain_call(rng) for _ in range(200)],
    }
    for name, calls in kinds.items():
        ours = rate(judge, calls, seconds)
        theirs = rate(Reference, calls, min(seconds, 3.0))
        goal = GOALS[name]
        print(
            f"{name:30} {ours:7.0f} calls/s   straightforward {theirs:6.1f}   ratio {ours / theirs:6.1f}   "
            f"goal {goal} {'met' if ours >= goal else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
