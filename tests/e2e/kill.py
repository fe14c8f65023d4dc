"""Kills otelcol-cx or a desk again and again under load, and looks for all that was acknowledged.

    python tests/e2e/kill.py [--what both] [--kills 200] [--seed 1] [--queue both] [--grace 0.5]
    python tests/e2e/kill.py --what desk --outage 600

Behind `make kill` and `make outage`. Calls are sent over OTLP/gRPC by a client that tries again, as exporters
do. The Collector, with a storage, or the desk, which hands on to a backend, is killed (SIGKILL) at seeded
random moments, now and then stopped in order (SIGTERM), and started again at once. With `--outage` the
backend is away for so many seconds and the process killed once meanwhile. A desk loses nothing by a kill, so
that of its verdicts none may be partial. Exit status 1 if a promise was broken; trace ids are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from collector_rig import NO_QUEUE, QUEUE, Backend, Client, Collector, collector_binary
from desk_rig import DeskProcess
from durable_calls import Call, Outcome, check, make_call, place, timeline

CALLERS = 24  # calls live at a time
SHORT, LONG = (0.02, 1.5), (1.5, 4.0)  # s from a start to the next kill; long ones let calls end in one life
LONG_SHARE, STOP_SHARE = 0.25, 0.08
READY_SHARE = 0.8  # of a desk's lives are counted from when it listens: Python takes its time to start
STEADY_SECONDS = 5.0  # before and after an outage
CAUGHT_UP_SECONDS = 180.0  # in which a backend that is back must have got everything


def say(text: str) -> None:
    """A line of the program's own output."""
    print(text, flush=True)  # noqa: T201 - it is a program


@dataclass
class Run:
    """What was done and what came of it."""

    outcome: Outcome = field(default_factory=Outcome)
    kills: list[float] = field(default_factory=list)
    stops: int = 0
    tries: int = 0
    seconds: float = 0.0

    @property
    def report(self) -> str:
        """A table of counts, and the broken promises."""
        rows = {"SIGKILLs": len(self.kills), "SIGTERMs": self.stops, "requests tried": self.tries}
        rows |= dict(sorted(self.outcome.counts.items()))
        lines = [f"  {value:>8}  {name}" for name, value in rows.items()]
        if delays := sorted(self.outcome.delays):
            half, most = delays[len(delays) // 2], delays[-1]
            lines.append(f"  roots of calls without a kill took {half:.3f} s (median), {most:.3f} s (most)")
        for promise, which in self.outcome.broken.items():
            lines.append(f"BROKEN: {promise}: {len(which)}")
            lines += [f"    {one}" for one in which[:10]]
        if not self.outcome.broken:
            lines.append(f"  every promise kept, {self.seconds:.0f} s")
        return "\n".join(lines)


class Load:
    """Calls placed one after the other by many callers."""

    def __init__(self, client: Client, seed: int, callers: int = CALLERS) -> None:
        self.client, self.seed = client, seed
        self.calls: list[Call] = []
        self._ends = False
        self._tasks = [asyncio.ensure_future(self._caller()) for _ in range(callers)]

    async def _caller(self) -> None:
        while not self._ends:
            number = len(self.calls)
            rng = random.Random(f"{self.seed} {number}")
            call = make_call(f"kill-{self.seed}-{number}", rng)
            self.calls.append(call)
            await place(call, rng, self.client)

    async def end(self) -> None:
        """Lets every call end."""
        self._ends = True
        await asyncio.gather(*self._tasks)


async def kill_again_and_again(
    folder: Path,
    *,
    kills: int,
    seed: int,
    queued: bool = True,
    grace: float = 0.5,
    rough: bool = False,
    flush: bool = False,
    tell: bool = False,
    desk: bool = False,
) -> Run:
    """The whole of it: load, kills, the end of every call, and what came of it.

    Raises:
        RuntimeError: the process ended by itself.
    """
    rng = random.Random(seed)
    began = time.monotonic()
    cuts: list[float] = []
    run, backend = Run(), Backend()
    backend.rough = random.Random(seed) if rough else None
    await backend.up()
    if desk:
        collector: Collector | DeskProcess = DeskProcess(folder, backend.port, grace=grace)
    else:
        more = {"queue": QUEUE if queued else NO_QUEUE, "on_shutdown": "flush" if flush else "persist"}
        collector = Collector(folder, backend.port, grace=grace, **more)
    collector.start()
    client = Client(collector.port)
    try:
        load = Load(client, seed)
        while len(run.kills) < kills:
            if desk and rng.random() < READY_SHARE:
                await collector.ready()
            await asyncio.sleep(rng.uniform(*(LONG if rng.random() < LONG_SHARE else SHORT)))
            if rng.random() < STOP_SHARE:
                at = await asyncio.to_thread(collector.stop)
                run.stops += 1
                cuts += [at] if flush else []  # what is held is sent as partial
            else:
                run.kills.append(await asyncio.to_thread(collector.kill))
                if tell and len(run.kills) % 20 == 0:
                    say(f"  {len(run.kills)} kills, {len(load.calls)} calls")
            collector.start()
        await collector.ready()
        await load.end()
        await backend.settled(max(3.0, 4 * grace))
        await asyncio.to_thread(collector.stop)
    finally:
        collector.close()
        await client.close()
        await backend.down()
    run.tries = client.tries
    _judge(run, load, backend, collector, cuts)
    run.outcome.counts["requests refused for good"] = len(client.refused)
    run.seconds = time.monotonic() - began
    return run


def _judge(
    run: Run, load: Load, backend: Backend, process: Collector | DeskProcess, cuts: list[float]
) -> None:
    """Checks every promise, and writes down what happened to the calls for which one was broken."""
    arrivals, folder = list(backend.arrivals()), process.folder
    if isinstance(process, DeskProcess):
        run.outcome = check(load.calls, arrivals, [])  # a kill costs it nothing
        process.check(load.calls, run.outcome)
    else:
        run.outcome = check(load.calls, arrivals, sorted(run.kills + cuts))
    broken = {text.split()[0] for which in run.outcome.broken.values() for text in which}
    told = [timeline(call, arrivals, run.kills) for call in load.calls if call.root.span.trace_id in broken]
    (folder / "broken.txt").write_text("\n".join(told))


async def outage(
    folder: Path, *, seconds: float, seed: int, callers: int = CALLERS, desk: bool = False
) -> Run:
    """The backend goes away for a while, the process is killed in the middle, and both come back.

    A Collector has the configuration that is shipped for Jaeger, all its settings as they are.

    Raises:
        RuntimeError: the process ended by itself.
    """
    began = time.monotonic()
    run, backend = Run(), Backend()
    await backend.up()
    collector = (
        DeskProcess(folder, backend.port) if desk else Collector(folder, backend.port, shipped="jaeger")
    )
    collector.start()
    await collector.ready()
    client = Client(collector.port)
    try:
        load = Load(client, seed, callers)
        await asyncio.sleep(STEADY_SECONDS)
        await backend.down()
        before, down = len(backend.requests), time.monotonic()
        await asyncio.sleep(seconds / 2)
        run.kills.append(await asyncio.to_thread(collector.kill))
        collector.start()
        await asyncio.sleep(seconds / 2)
        await backend.up()
        up = time.monotonic()
        await asyncio.sleep(STEADY_SECONDS)
        await load.end()
        await _caught_up(load, backend)
        await asyncio.to_thread(collector.stop)
    finally:
        collector.close()
        await client.close()
        await backend.down()
    run.tries = client.tries
    _judge(run, load, backend, collector, cuts=[])
    run.outcome.counts["requests refused for good"] = len(client.refused)
    pieces = [piece for call in load.calls for piece in call.pieces]
    run.outcome.counts["spans acknowledged in the outage"] = sum(down < piece.acked < up for piece in pieces)
    run.outcome.counts["requests that came after the outage"] = len(backend.requests) - before
    run.seconds = time.monotonic() - began
    return run


async def _caught_up(load: Load, backend: Backend) -> None:
    """Waits until everything has arrived, or for so long that it will not."""
    until = time.monotonic() + CAUGHT_UP_SECONDS
    expected = {piece.key for call in load.calls for piece in call.pieces}
    while not expected <= {one.key for one in backend.arrivals()}:
        if time.monotonic() > until:
            break
        await asyncio.sleep(2)
    await backend.settled(STEADY_SECONDS)


def main() -> int:
    """Reads the command line and runs what it says; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--what", choices=["both", "collector", "desk"], default="both")
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs in each variant; the desk has half")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--queue", choices=["both", "yes", "no"], default="both", help="the exporter's queue")
    parser.add_argument("--grace", type=float, default=0.5, help="s that a root is held")
    parser.add_argument("--rough", action="store_true", help="the backend answers late or unheard at times")
    parser.add_argument("--flush", action="store_true", help="a stop in order sends what is held")
    parser.add_argument("--outage", type=float, metavar="S", help="s without a backend, instead of kills")
    options = parser.parse_args()
    binary = collector_binary() if options.what != "desk" else None
    if binary is None and options.what != "desk":
        parser.error("no otelcol-cx: run `make collector`, set CXOTEL_COLLECTOR to one, or say --what desk")
    variants = {"both": ["with", "without"], "yes": ["with"], "no": ["without"]}[options.queue]
    if options.outage:
        variants = variants[:1]
    runs = [f"otelcol-cx {one} the exporter's queue" for one in variants if options.what != "desk"]
    runs += ["desk"] if options.what != "collector" else []
    with tempfile.TemporaryDirectory() as folder:  # a build meanwhile is not what is tried
        if binary is not None:
            os.environ["CXOTEL_COLLECTOR"] = shutil.copy2(binary, folder)
        broken = [run_one(one, options) for one in runs]
        return int(any(broken))


def run_one(what: str, options: argparse.Namespace) -> bool:
    """Runs a variant; True if a promise was broken."""
    folder = Path(tempfile.mkdtemp(prefix="cxotel-kill-"))
    desk = what == "desk"
    if options.outage:
        say(f"{what}: backend away for {options.outage:.0f} s, seed {options.seed}")
        run = asyncio.run(outage(folder, seconds=options.outage, seed=options.seed, desk=desk))
    else:
        kills = options.kills // 2 if desk else options.kills
        say(f"{what}: {kills} kills, seed {options.seed}")
        run = asyncio.run(
            kill_again_and_again(
                folder,
                kills=kills,
                seed=options.seed,
                queued="without" not in what,
                grace=options.grace,
                rough=options.rough,
                flush=options.flush,
                tell=True,
                desk=desk,
            )
        )
    say(run.report)
    if run.outcome.broken:
        say(f"  storage, log and what happened to these calls: {folder}")
        return True
    shutil.rmtree(folder)
    return False


if __name__ == "__main__":
    sys.exit(main())
