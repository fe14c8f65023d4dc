"""`cxotel demo`: real calls over real media, each with a planted cause, and whether the verdict finds it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from cxotel import _semconv as names
from cxotel.demo.run import CallRecord, Rig
from cxotel.demo.scenario import Scenario, demo_calls
from cxotel.demo.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cxotel.desk.app import Desk

AT_ONCE = 5
"""Calls at a time: five take about half of two cores with everything (measured: 0.14 of a core a call)."""

_WIDE = 120
"""Columns of a terminal in which sentences have room beside the table."""

STAGGER = 2.0
"""Seconds between two calls: handshakes and certificates take most of the CPU a call needs at once."""

AGREE, DISAGREE, INCONCLUSIVE = 0, 1, 2
"""Exit statuses: all verdicts as planted; one was not, or spans were lost; a late proxy or sender makes a
call prove nothing."""

_GRPC_PORT = 443
"""Where gRPC connects to if an address names no port."""

_REACHED_WITHIN = 5.0
"""Seconds for a connection to the receiver: what is lost is sent again after 1 s and 3 s (RFC 6298)."""

STOPPED = 128 + signal.SIGINT
"""Exit status after Ctrl-C in the middle of a run, as shells have it."""


@dataclass
class Row:
    """What is known of one call so far; `recorded` is the proxy's account of each second of each hop."""

    scenario: Scenario
    state: str = "waiting"
    trace_id: str = ""
    verdict: dict[str, Any] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    recorded: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def judged(self) -> bool:
        """Whether a verdict has come."""
        return bool(self.verdict)

    @property
    def agrees(self) -> bool:
        """Whether the verdict blames what was planted, and nothing if nothing was."""
        if not self.verdict:
            return False
        planted, layers = self.scenario.planted, self.verdict[names.CX_IMPACT_LAYERS]
        if not planted:
            return bool(self.verdict[names.CX_IMPACT_SEVERITY] == "none")
        return set(planted) == set(layers[: len(planted)])

    @property
    def blamed(self) -> list[str]:
        """Layers charged with a second or more, most first: what a person would name."""
        layers: list[str] = self.verdict[names.CX_IMPACT_LAYERS]
        return [layer for layer in layers if self.verdict[f"{names.CX_IMPACT_CHARGE}.{layer}"] >= 1.0]

    @property
    def outcome(self) -> int:
        """One of AGREE, DISAGREE, INCONCLUSIVE."""
        if self.error:
            return DISAGREE
        if self.late:
            return INCONCLUSIVE
        return AGREE if self.agrees else DISAGREE

    def to_json(self) -> dict[str, Any]:
        """The row for `--json`."""
        return {
            "call": self.scenario.name,
            "planted": list(self.scenario.planted),
            "trace_id": self.trace_id,
            "attributes": self.verdict,
            "recorded": self.recorded,
            "late": self.late,
            "error": self.error,
            "agrees": self.agrees if self.judged and not self.late else None,
        }


class Demo:
    """One run: its rows, the table of them, and a sentence on each party that lost spans."""

    def __init__(self, calls: list[Scenario], seed: int, desk: Desk | None, show: Live | None) -> None:
        self.rows = [Row(call) for call in calls]
        self.lost: list[str] = []
        self._seed = seed
        self._desk = desk
        self._show = show
        self._began = time.monotonic()

    async def place_all(self, endpoint: str, directory: Path) -> None:
        """Place all calls, some at a time, and wait for their verdicts.

        Raises:
            WireError: a process of the demo did not start.
        """
        places = asyncio.Semaphore(AT_ONCE)
        async with Rig(endpoint, directory, seed=self._seed) as rig:
            self._began = time.monotonic()
            await asyncio.gather(
                *(self._one(rig, row, places, i * STAGGER) for i, row in enumerate(self.rows))
            )
            self.lost = await rig.lost()

    async def _one(self, rig: Rig, row: Row, places: asyncio.Semaphore, delay: float) -> None:
        await asyncio.sleep(delay)
        try:
            async with places:
                self._changed(row, "talking")
                record = await rig.place(row.scenario)
            await self._judge(row, record)
        except (WireError, TimeoutError) as exc:
            row.error = str(exc)
            self._changed(row, "failed")

    async def _judge(self, row: Row, record: CallRecord) -> None:
        row.trace_id, row.late = record.trace_id, record.late
        row.recorded = {hop: report["seconds"] for hop, report in record.hops.items()}
        if self._desk is None:
            self._changed(row, "placed")
            return
        self._changed(row, "judging")
        report = await asyncio.to_thread(self._desk.wait_for_verdict, record.trace_id, 60.0)
        row.verdict = report["attributes"]
        self._changed(row, "judged")

    def _changed(self, row: Row, state: str) -> None:
        row.state = state
        if self._show is None:
            return
        if self._show.console.is_terminal:
            self._show.update(self.table(self._show.console.width), refresh=True)
        seconds = time.monotonic() - self._began
        self._show.console.print(
            f"{seconds:4.0f} s  {row.scenario.name}: {_said(row)}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def table(self, width: int = 80) -> Table:
        """Planted cause beside verdict; with what was done where there is room for it."""
        wide = width >= _WIDE
        table = Table(title=f"cxotel demo --seed {self._seed}", title_justify="left", box=box.SIMPLE_HEAD)
        for heading in ("call", *(["what was done"] if wide else []), "planted", "verdict", "lost", "agrees"):
            table.add_column(heading, justify="right" if heading == "lost" else "left")
        for row in self.rows:
            table.add_row(
                row.scenario.name,
                *([row.scenario.title] if wide else []),
                _layers(row.scenario.planted),
                _layers(row.blamed) if row.judged else f"({row.state})",
                f"{row.verdict[names.CX_IMPACT_LOST_SECONDS]:.1f} s" if row.judged else "",
                _mark(row),
            )
        return table

    @property
    def status(self) -> int:
        """The exit status: disagreement or loss before inconclusive before agreement."""
        if self.lost:
            return DISAGREE
        outcomes = {row.outcome for row in self.rows}
        if self._desk is None:
            return DISAGREE if any(row.error for row in self.rows) else AGREE
        return next((status for status in (DISAGREE, INCONCLUSIVE) if status in outcomes), AGREE)


def _layers(layers: Sequence[str]) -> str:
    return ", ".join(layers) or "nothing"


def _said(row: Row) -> str:
    if row.error:
        return row.error
    if row.judged:
        return f"{row.verdict[names.CX_IMPACT_SUMMARY]} ({_mark(row)})"
    return row.state


def _mark(row: Row) -> str:
    if row.error:
        return "failed"
    if not row.judged:
        return ""
    return {AGREE: "yes", DISAGREE: "NO", INCONCLUSIVE: "inconclusive"}[row.outcome]


def _chosen(seed: int, wanted: str | None) -> list[Scenario]:
    calls = demo_calls(seed)
    if not wanted:
        return calls
    known = {call.name: call for call in calls}
    chosen = [name.strip() for name in wanted.split(",")]
    if unknown := [name for name in chosen if name not in known]:
        raise click.BadParameter(
            f"no call {', '.join(unknown)}; there are {', '.join(known)}", param_hint="--calls"
        )
    return [known[name] for name in chosen]


def _run(calls: list[Scenario], seed: int, desk: Desk | None, endpoint: str, console: Console | None) -> Demo:
    with tempfile.TemporaryDirectory(prefix="cxotel-demo-") as directory:
        if console is None:
            demo = Demo(calls, seed, desk, None)
            asyncio.run(demo.place_all(endpoint, Path(directory)))
            return demo
        with Live(console=console, auto_refresh=False, transient=not console.is_terminal) as live:
            demo = Demo(calls, seed, desk, live)
            asyncio.run(demo.place_all(endpoint, Path(directory)))
        return demo


def _tell(demo: Demo, console: Console | None) -> None:
    for sentence in demo.lost:
        click.echo(sentence, err=True)
    if console is None:
        for row in demo.rows:
            click.echo(json.dumps(row.to_json()))
        return
    if not console.is_terminal:
        console.print(demo.table(console.width))
    for row in demo.rows:
        if row.error:
            console.print(f"{row.scenario.name}: {row.error}", markup=False, soft_wrap=True)
        elif row.late:
            console.print(
                f"{row.scenario.name} proves nothing, this machine was too busy: {row.late[0]}",
                soft_wrap=True,
            )


def _stays(keep: bool | None) -> bool:
    if keep is not None:
        return keep
    return sys.stdout.isatty() and os.environ.get("CI", "").lower() not in {"1", "true"}


@click.command(context_settings={"show_default": True})
@click.option(
    "--seed", type=int, help="Repeats a run: strengths, lost packets. [default: a random one, shown]"
)
@click.option("--calls", help="Only these, separated by commas.")
@click.option(
    "--export",
    "export_url",
    metavar="URL",
    help="Send the spans, unjudged, to this OTLP/gRPC address; no desk.",
)
@click.option(
    "--keep/--no-keep",
    default=None,
    help="Whether the page stays until Ctrl-C. [default: on a terminal, unless CI=true]",
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a call on standard output, nothing else there."
)
def demo(
    seed: int | None, calls: str | None, export_url: str | None, keep: bool | None, as_json: bool
) -> None:
    """Place real calls through real media, each with a planted cause, and compare it with the verdict.

    A customer, a contact-centre platform, an AI agent, a CRM and an agent's softphone run as processes on
    loopback; their audio runs through a proxy that loses and delays packets by plan. Exit status: 0 all
    verdicts as planted, 1 not all or spans were lost, 2 inconclusive (this machine was too busy to send
    packets in time), 130 stopped by Ctrl-C before the end.
    """
    seed = random.randrange(1, 10_000) if seed is None else seed  # noqa: S311 - no secret
    chosen = _chosen(seed, calls)
    console = None if as_json else Console()
    try:
        if export_url is not None:
            status = _export(chosen, seed, export_url, console)
        else:
            status = _judge(chosen, seed, console, stays=_stays(keep))
    except (WireError, OSError) as exc:
        raise click.ClickException(str(exc)) from exc
    except KeyboardInterrupt:
        click.echo("Stopped before all calls were judged.", err=True)
        status = STOPPED
    sys.exit(status)


def _export(chosen: list[Scenario], seed: int, url: str, console: Console | None) -> int:
    _reach(url)
    run = _run(chosen, seed, None, url, console)
    _tell(run, console)
    if console is not None and run.status == AGREE:
        console.print(f"sent to {url}")
    return run.status


def _reach(url: str) -> None:
    """See that somebody listens there, before calls are placed for nobody."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _GRPC_PORT
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme not in ("http", "https"):
        text = f"{url!r} is no address, give one such as http://127.0.0.1:4317"
        raise click.BadParameter(text, param_hint="--export")
    try:
        socket.create_connection((host, port), timeout=_REACHED_WITHIN).close()
    except OSError as exc:
        text = (
            f"no connection to {host} port {port} ({exc}): no call was placed; is the receiver running there?"
        )
        raise click.ClickException(text) from None


def _judge(chosen: list[Scenario], seed: int, console: Console | None, *, stays: bool) -> int:
    from cxotel.desk.app import Desk  # noqa: PLC0415 - not needed to export

    with Desk() as desk:
        if console is not None:
            console.print(f"calls: {len(chosen)}, seed: {seed}; watch them at {desk.web_url}")
        run = _run(chosen, seed, desk, desk.grpc_endpoint, console)
        _tell(run, console)
        if console is not None and stays:
            console.print(f"The calls: {desk.web_url}  (stays until Ctrl-C)")
        with contextlib.suppress(KeyboardInterrupt):
            while stays:
                time.sleep(1)
    return run.status
