"""Many impaired calls, each verdict against the same model fed with what really happened: `make accuracy`.

Every call runs through all of it: speech, aiortc, the proxy, the SDK, OTLP, the impact model. The verdict of
what was measured is compared with that of the recorded truth (`truth.py`).
Interrupted, it goes on where it was, unless the code has changed since.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import cxotel
from cxotel import _semconv as names
from cxotel.demo.impair import DIRECTIONS, TO_AGENT, Impairment
from cxotel.demo.playout import Device
from cxotel.demo.run import Rig
from cxotel.demo.scenario import AGENT_NETWORK, CARRIER, ENDPOINT, Scenario, both
from cxotel.demo.sink import Sink
from cxotel.demo.truth import truth_spans
from cxotel.demo.wire import WireError
from cxotel.impact import DEFAULT, Span, judge
from cxotel.impact.facts import read_facts

TALK = 25.0
"""Seconds of each call: five windows."""

SETTLE = 2.5
"""Seconds after a call's end until all its spans are here: the rig's parties send every second."""

ATTEMPTS = 3
"""Times that a call is placed before it is left for the next run, where the machine is late for it."""

ENOUGH = 3.0
"""Seconds a fault must cost by the recorded truth to count: below, the model itself calls it no impact."""

RATIO = 1.5
"""How much more the greater of two faults must cost by the recorded truth to be the one to blame."""

LEAST = {"single": 60, "double": 30, "healthy": 30, "blind": 6}
"""Calls of each kind that must count before a full run proves anything."""

PROCESSES = ("single", "double", "healthy", "blind")
_RINGS = ((5, 4), (4, 3), (3, 2), (5, 3), (2, 1), (5, 2))


@dataclass(frozen=True)
class Result:
    """One call's comparison, or why there is none.

    Attributes:
        kind: `single`, `double`, `healthy` or `blind`.
        name: of the call.
        planted: what was done, in words.
        true: seconds charged by layer by the recorded truth.
        found: likewise by the verdict.
        severity: of the verdict.
        late: why the run proves nothing; empty if it does.
        seen: layers that were measured.
    """

    kind: str
    name: str
    planted: str
    true: dict[str, float]
    found: dict[str, float]
    severity: str
    late: list[str]
    seen: list[str]

    @property
    def counts(self) -> bool:
        """Whether truth makes it a case of its kind."""
        if self.late:
            return False
        if self.kind in {"healthy", "blind"}:
            return True
        top = [*sorted(self.true.values(), reverse=True), 0.0, 0.0]
        if sum(top) < ENOUGH:
            return False
        return self.kind == "single" or (top[0] >= RATIO * top[1] > 0)

    @property
    def agrees(self) -> bool:
        """Whether verdict and truth charge the same layer most."""
        return _top(self.true) == _top(self.found)

    @property
    def error(self) -> float:
        """Relative error of the lost seconds."""
        true = sum(self.true.values())
        return abs(sum(self.found.values()) - true) / true

    @property
    def blamed_unseen(self) -> list[str]:
        """Layers that were charged though nobody measured them."""
        return [layer for layer in self.found if layer not in {*self.seen, "unobserved"}]


def _top(charges: dict[str, float]) -> str:
    return max(charges, key=lambda layer: charges[layer], default="")


def plan(seed: int, singles: int, doubles: int, healthy: int, blind: int) -> list[tuple[str, str, Scenario]]:
    """The calls of a run: kind, what is done in words, and the call."""
    calls = []
    for kind, count in zip(PROCESSES, (singles, doubles, healthy, blind), strict=True):
        for number in range(count):
            rng = random.Random(f"accuracy/{seed}/{kind}/{number}")  # noqa: S311 - repeatable, no secret
            words, impairments, device = _MAKERS[kind](rng, number)
            name = f"{kind}-{seed}-{number}"
            calls.append((kind, words, _call(name, impairments, device, kind)))
    # Kinds mixed, so that a part of a run says something of all of them.
    random.Random(seed).shuffle(calls)  # noqa: S311
    return calls


def _call(name: str, impairments: tuple[Impairment, ...], device: Device, kind: str) -> Scenario:
    return Scenario(
        name,
        name,
        impairments=impairments,
        device=device,
        ivr=False,
        queue_seconds=0.0,
        talk_seconds=TALK,
        join="key",
        blind=("softphone",) if kind == "blind" else (),
    )


Made = tuple[str, tuple[Impairment, ...], Device]


def _single(rng: random.Random, number: int) -> Made:
    layer = (CARRIER, AGENT_NETWORK, ENDPOINT)[number % 3]
    return _fault(rng, layer, strong=True)


def _double(rng: random.Random, _number: int) -> Made:
    first, second = rng.sample([CARRIER, AGENT_NETWORK, ENDPOINT], 2)
    words, impairments, device = _fault(rng, first, strong=True)
    more_words, more, other = _fault(rng, second, strong=False)
    return f"{words}; {more_words}", impairments + more, device if first == ENDPOINT else other


def _healthy(rng: random.Random, _number: int) -> Made:
    """No network is perfect: up to 1 % of loss, 40 ms and 4 ms of jitter on each hop."""
    impairments = tuple(
        Impairment(
            hop,
            direction,
            loss=rng.uniform(0, 0.01),
            delay_ms=rng.uniform(0, 40),
            jitter_ms=rng.uniform(0, 4),
        )
        for hop in (CARRIER, AGENT_NETWORK)
        for direction in DIRECTIONS
    )
    return "imperfect but good", impairments, Device()


def _blind(rng: random.Random, _number: int) -> Made:
    """The softphone throws audio away and says nothing: nobody may be blamed for it."""
    return _fault(rng, ENDPOINT, strong=True)


def _fault(rng: random.Random, layer: str, *, strong: bool) -> Made:
    """One fault of one layer; a strong one costs at least half of what it touches, a weak one less."""
    start = rng.uniform(1, 6)
    end = start + (rng.uniform(13, 18) if strong else rng.uniform(5, 8))
    if layer == ENDPOINT:
        # Only what the agent hears: nothing measures what a microphone failed to pick up.
        period, capacity = rng.choice(_RINGS if strong else _RINGS[:2])
        words = f"endpoint to_agent: {(period - capacity) / period:.0%} overrun, {start:.0f}..{end:.0f} s"
        return words, (), Device(period=period, capacity=capacity, start=start, end=end)
    direction = rng.choice(DIRECTIONS)
    kind = rng.choice(("loss", "bursts", "outage", "delay", "jitter"))
    fault = Impairment(layer, direction, start=start, end=end)
    if kind == "delay":
        # Both ways: a round trip does not say which of the two took how long.
        delay = rng.uniform(350, 450) if strong else rng.uniform(260, 300)
        words = f"{layer} both ways: {delay:.0f} ms"
        return words, both(Impairment(layer, TO_AGENT, delay_ms=delay)), Device()
    changes: dict[str, float] = {
        "loss": {"loss": rng.uniform(0.15, 0.4) if strong else rng.uniform(0.08, 0.12)},
        "bursts": {
            "loss": rng.uniform(0.15, 0.4) if strong else rng.uniform(0.08, 0.12),
            "burst": rng.uniform(2, 5),
        },
        "outage": {"loss": 1.0, "end": start + (rng.uniform(5, 10) if strong else rng.uniform(1.5, 2.5))},
        "jitter": {"loss": rng.uniform(0.15, 0.3) if strong else 0.1, "jitter_ms": rng.uniform(15, 30)},
    }[kind]
    fault = Impairment(**{**fault.__dict__, **changes})
    words = f"{layer} {direction}: {kind} {fault.loss:.0%}, {fault.start:.0f}..{fault.end:.0f} s"
    return words, (fault,), Device()


_MAKERS = {"single": _single, "double": _double, "healthy": _healthy, "blind": _blind}


class Book:
    """Results on disk, one JSON line each, so that an interrupted run goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.results: dict[str, Result] = {}
        if path.exists():
            whole, _, cut = path.read_text().rpartition("\n")
            if cut:  # the run was stopped while it wrote: the next result would be written behind it
                path.write_text(whole and whole + "\n")
            for line in whole.splitlines():
                entry = json.loads(line)
                self.results[entry["id"]] = Result(**entry["result"])

    def write(self, identity: str, result: Result) -> None:
        """Keep one result."""
        self.results[identity] = result
        with self._path.open("a") as file:
            file.write(json.dumps({"id": identity, "result": result.__dict__}) + "\n")


def identity(scenario: Scenario, code: str) -> str:
    """What a call is, for finding its result again: changes with all that is planted, and with the code."""
    told = json.dumps(scenario.to_json(), sort_keys=True) + code
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def code_of(package: Path) -> str:
    """A digest of all Python files in a folder: what measured and judged a call."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


async def place_all(calls: dict[str, tuple[str, str, Scenario]], book: Book, seed: int, at_once: int) -> None:
    """Place all calls (by identity) that have no result yet, `at_once` at a time."""
    todo = {key: call for key, call in calls.items() if key not in book.results}
    done = len(calls) - len(todo)
    if done:
        click.echo(f"{done} of {len(calls)} calls were placed by a run before, of the same code", err=True)
    if not todo:
        return
    with tempfile.TemporaryDirectory(prefix="cxotel-accuracy-") as directory, Sink() as sink:
        async with Rig(sink.endpoint, Path(directory), seed=seed, protocol="http/protobuf") as rig:
            places = asyncio.Semaphore(at_once)

            async def one(number: int, key: str, kind: str, words: str, scenario: Scenario) -> None:
                nonlocal done
                # Handshakes cost the most CPU: the first calls begin a second apart.
                await asyncio.sleep(min(number, at_once))
                async with places:
                    for _ in range(ATTEMPTS):
                        try:
                            result = await _place(rig, sink, kind, words, scenario)
                        except WireError as exc:
                            click.echo(f"{scenario.name}: {exc}", err=True)
                            continue
                        if not result.late:
                            done += 1
                            book.write(key, result)
                        click.echo(
                            f"{done}/{len(calls)} {scenario.name}, {words}: {_compared(result)}", err=True
                        )
                        if not result.late:
                            return

            await asyncio.gather(
                *(one(number, key, *call) for number, (key, call) in enumerate(todo.items()))
            )


async def _place(rig: Rig, sink: Sink, kind: str, words: str, scenario: Scenario) -> Result:
    record = await rig.place(scenario)
    await asyncio.sleep(SETTLE)
    spans = sink.spans(record.trace_id)
    verdict = judge(spans)
    true = judge(truth_spans(record, spans))
    return Result(
        kind,
        scenario.name,
        words,
        _charges(true.attributes),
        _charges(verdict.attributes),
        str(verdict.attributes[names.CX_IMPACT_SEVERITY]),
        record.late,
        measured(spans),
    )


def measured(spans: list[Span]) -> list[str]:
    """Layers of which a span has a figure of its media, or tells of a wait or a failure."""
    seen = set()
    for span in spans:
        facts = read_facts(span, DEFAULT)
        told = facts.is_error or facts.activity not in {"", names.CxActivity.TALK, names.CxActivity.CONVERSE}
        if told or (facts.leg and any(value is not None for run in facts.leg.runs for value in run[2])):
            seen.add(facts.layer)
    return sorted(seen - {""})


def _charges(attributes: dict[str, Any]) -> dict[str, float]:
    start = f"{names.CX_IMPACT_CHARGE}."
    return {key.removeprefix(start): value for key, value in attributes.items() if key.startswith(start)}


def _compared(result: Result) -> str:
    if result.late:
        return f"proves nothing, {result.late[0]}"
    said = [
        ", ".join(
            f"{layer} {seconds:.1f} s" for layer, seconds in sorted(charges.items(), key=lambda c: -c[1])
        )
        or "nothing"
        for charges in (result.true, result.found)
    ]
    return f"truth {said[0]} | verdict {said[1]}"


@dataclass(frozen=True)
class Line:
    """One line of the table: what is measured, the result, the goal, and whether it is reached."""

    what: str
    got: str
    goal: str
    reached: bool


def summary(results: list[Result], *, full: bool = False) -> list[Line]:
    """The table. A line over no calls is not reached; of a full run neither is one over too few."""
    lines = []
    counted = {kind: [r for r in results if r.kind == kind and r.counts] for kind in PROCESSES}
    enough = {kind: len(cases) >= (LEAST[kind] if full else 1) for kind, cases in counted.items()}
    for kind, least in (("single", 0.95), ("double", 0.85)):
        cases = counted[kind]
        share = sum(r.agrees for r in cases) / len(cases) if cases else 0.0
        what = f"{kind} faults ({len(cases)} calls): layer as in truth"
        lines.append(
            Line(what, f"{100 * share:.1f} %", f">= {100 * least:.0f} %", enough[kind] and share >= least)
        )
    faulty = counted["single"] + counted["double"]
    median = statistics.median(r.error for r in faulty) if faulty else 1.0
    lines.append(
        Line("lost seconds, median relative error", f"{100 * median:.1f} %", "<= 15 %", median <= 0.15)
    )
    worse = sum(r.severity not in {"none", "minor"} for r in counted["healthy"])
    lines.append(
        Line(
            f"healthy calls ({len(counted['healthy'])}) above minor",
            str(worse),
            "0",
            enough["healthy"] and worse == 0,
        )
    )
    unseen = sum(bool(r.blamed_unseen) for r in results)
    lines.append(
        Line(
            f"calls ({len(results)}) that blame a layer not measured",
            str(unseen),
            "0",
            bool(results) and unseen == 0,
        )
    )
    lost = sum(sum(r.found.values()) >= ENOUGH for r in counted["blind"])
    what = f"faults of an unobserved softphone ({len(counted['blind'])}) charged to another layer"
    lines.append(Line(what, str(lost), "0", enough["blind"] and lost == 0))
    return lines


def page(lines: list[Line], results: list[Result], seed: int) -> str:
    """The page for the documentation."""
    rows = "\n".join(f"| {x.what} | {x.got} | {x.goal} | {'yes' if x.reached else 'no'} |" for x in lines)
    wrong = [r for r in results if r.kind in {"single", "double"} and r.counts and not r.agrees]
    missed = "\n".join(f"- {r.planted}: {_compared(r)}" for r in wrong) or "None."
    weak = sum(r.kind in {"single", "double"} and not r.counts for r in results)
    return _PAGE.format(
        rows=rows, missed=missed, weak=weak, seed=seed, calls=len(results), enough=ENOUGH, ratio=RATIO
    )


_PAGE = """# How accurate the verdicts are

`make accuracy` places real calls (speech, aiortc, DTLS-SRTP) through a seeded proxy that drops and delays
packets and writes down what it did, packet by packet. Each call is judged twice by the same impact model:
once from what the SDK measured and sent, once from the recorded truth. This page is what it wrote
(seed {seed}, {calls} calls).

| | result | goal | reached |
|---|---|---|---|
{rows}

A single or double fault counts if it costs at least {enough:g} s by the recorded truth, a double one if its
greater fault costs {ratio:g} times the other or more; {weak} calls did not count. Healthy calls run over
imperfect but good networks: up to 1 % of loss, 40 ms of delay and 4 ms of jitter on each hop and direction.

Faults whose layer the verdict missed:

{missed}

What is compared, and what not:

- Truth and measurement use the same 5 s windows. Truth counts a packet as lost that the proxy dropped, or
  that came too late even for the reference playout buffer.
- Delay is planted in both directions alike: a round trip does not say which of the two took how long.
- Faults of the softphone are audio that came and was thrown away by its sound device, in exact numbers by
  the device's own record; faults of its microphone are not measured by anybody.
- A call during which this machine sent or forwarded more than 3 % of the packets of a stream over 40 ms late
  proves nothing, and is placed again in the next run.
"""


@click.command()
@click.option("--seed", default=1, show_default=True, help="Another seed plants other faults.")
@click.option("--quick", is_flag=True, help="A few calls of each kind, two minutes; writes no page.")
@click.option("--at-once", default=8, show_default=True, type=click.IntRange(1, 20), help="Calls at a time.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that keeps results, to go on from.  [default: a temporary one, until all are there]",
)
@click.option(
    "--page",
    "page_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("docs/reference/accuracy.md"),
    show_default=True,
    help="Where the table goes.",
)
def main(seed: int, quick: bool, at_once: int, results: Path | None, page_path: Path) -> None:
    """Compare verdicts with recorded truth over many real calls."""
    code = code_of(Path(cxotel.__file__).parent)
    planned = plan(seed, *((4, 2, 2, 1) if quick else (66, 42, 30, 6)))
    calls = {identity(call[2], code): call for call in planned}
    kept = results or Path(tempfile.gettempdir()) / f"cxotel-accuracy-{os.getuid()}-{seed}.jsonl"
    book = Book(kept)
    began = time.monotonic()
    try:
        asyncio.run(place_all(calls, book, seed, at_once))
    except WireError as exc:
        raise click.ClickException(str(exc)) from exc
    done = [book.results[key] for key in calls if key in book.results]
    lines = summary(done, full=not quick)
    complete = len(done) == len(calls)
    for line in lines:
        click.echo(f"{line.what}: {line.got} (goal {line.goal}) {'reached' if line.reached else 'MISSED'}")
    click.echo(f"{len(done)} of {len(calls)} calls, {time.monotonic() - began:.0f} s")
    if complete and not quick:
        page_path.parent.mkdir(parents=True, exist_ok=True)
        page_path.write_text(page(lines, done, seed))
        click.echo(f"written: {page_path}")
    if complete and results is None:
        kept.unlink(missing_ok=True)
    if not complete:
        click.echo(f"{len(calls) - len(done)} calls prove nothing (see above): run again to place them again")
    sys.exit(0 if complete and all(line.reached for line in lines) else 1)


if __name__ == "__main__":
    main()
