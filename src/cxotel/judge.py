"""`cxotel judge`: verdicts on calls out of files, from OTLP/JSON or what Jaeger and Tempo answer."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click
import yaml
from rich.console import Console
from rich.progress import Progress

from cxotel._judge_text import print_sums, print_verdict
from cxotel.impact import DEFAULT, Engine, Parameters, Verdict
from cxotel.otlp import BadDocumentError, Received, documents, spans_of, stamped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cxotel.otlp.lines import Stream

UNWRITTEN = 74  # exit status: EX_IOERR of sysexits.h
NAMED = 20  # further sentences about lines that are already named, for all files; the rest is counted

HELP = """Say what calls cost their people, and which layer did it.

FILE is OTLP/JSON (one request, or one a line with traces mixed) or what Jaeger (/api/traces,
/api/v3/traces) or Tempo (/api/traces/ID, /api/v2/traces/ID) answered; plain or gzip; - is standard
input. Spans are grouped by trace id over all FILEs.
"""
EPILOG = """\b
Examples:
  cxotel judge trace.json
  curl -s localhost:16686/api/v3/traces/ID | cxotel judge -
  curl -s localhost:3200/api/v2/traces/ID | cxotel judge --explain -
  cxotel judge --json calls.jsonl.gz | jq .attributes
  cxotel judge --otlp calls.jsonl > judged.jsonl

\b
Exit status: 0 judged, 1 nothing could be judged, 2 wrong usage, 74 standard output
could not be written. What could not be read is named on standard error, and the rest
is judged.
"""


@dataclass
class Notes:
    """Sentences about input that could not be read: every line's first one is said, all are counted."""

    say: Callable[[str], None] = lambda text: click.echo(text, err=True)
    count: int = 0
    further: int = 0
    _last: tuple[str, int] = ("", 0)

    def add(self, source: str, line: int, text: str) -> None:
        """One more."""
        self.count += 1
        if (source, line) == self._last:
            self.further += 1
            if self.further > NAMED:
                return
        self._last = (source, line)
        self.say(f"{source}, line {line}: {text}")

    def end(self, *, judged: bool) -> None:
        """What is to be said after all of them, and whether there was anything else."""
        if self.further > NAMED:
            self.say(f"({self.further - NAMED} more in lines named above)")
        if self.count:
            rest = "; the rest was judged" if judged else ""
            self.say(f"{self.count} thing(s) could not be read{rest}.")


@dataclass
class Trace:
    """One trace: the engine that saw its spans, and the spans where they are needed."""

    engine: Engine
    received: list[Received] = field(default_factory=list)


@dataclass
class Judging:
    """Spans of many traces, mixed. Of each span only the engine's compact facts stay, unless `keep`."""

    parameters: Parameters
    keep: bool
    traces: dict[str, Trace] = field(default_factory=dict)

    def read(self, stream: Stream, source: str, notes: Notes) -> None:
        """Everything in a stream. What cannot be read goes to the notes."""
        for document in documents(stream, lambda line, text: notes.add(source, line, text)):
            line = document.line

            def tell(text: str, line: int = line) -> None:
                notes.add(source, line, text)

            try:
                for received in spans_of(document.value, tell):
                    self._add(received, tell)
            except BadDocumentError as error:
                tell(f"{error}; left out")

    def _add(self, received: Received, tell: Callable[[str], None]) -> None:
        trace_id = received.span.trace_id
        for text in received.bad:
            tell(f"{received.where}: {text}")
        if not trace_id:
            tell(f"{received.where}: the span is left out, it belongs to no trace")
            return
        trace = self.traces.get(trace_id)
        if trace is None:
            trace = self.traces[trace_id] = Trace(Engine(self.parameters))
        trace.engine.add(received.span)
        if self.keep:
            trace.received.append(received)

    def verdicts(self) -> Iterator[tuple[str, Trace, Verdict]]:
        """Every trace with its verdict, in the order of their first spans."""
        for trace_id, trace in self.traces.items():
            yield trace_id, trace, trace.engine.verdict()


@click.command(help=HELP, epilog=EPILOG)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@click.option("--json", "as_json", is_flag=True, help="One line per trace: its id and the root's attributes.")
@click.option("--otlp", "as_otlp", is_flag=True, help="The traces as OTLP/JSON, one a line, verdict and all.")
@click.option("--explain", is_flag=True, help="Show the call cell by cell too.")
@click.option(
    "--parameters",
    "parameters_file",
    metavar="YAML",
    type=click.Path(exists=True, dir_okay=False),
    help="Other values for the model's parameters, by name (allowance.queue: 30).",
)
def judge(
    files: Sequence[str], *, as_json: bool, as_otlp: bool, explain: bool, parameters_file: str | None
) -> None:
    """Read, judge, print."""
    if as_json + as_otlp + explain > 1:
        raise click.UsageError("give only one of --json, --otlp and --explain")
    if "-" in files and sys.stdin is None:
        raise click.UsageError("standard input is closed, nothing can be read from it")
    judging = Judging(_parameters(parameters_file), keep=as_otlp)
    notes = Notes()
    with _streams(files, notes) as streams:
        for name, stream in streams:
            judging.read(stream, name, notes)
    try:
        calls = _print_all(judging, as_json=as_json, as_otlp=as_otlp, explain=explain)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # nobody reads on, as with `| head`: click ends without a word
        _end_unwritten(error)
    notes.end(judged=calls > 0)
    if not calls:
        click.echo("Nothing could be judged.", err=True)
        sys.exit(1)


def _print_all(judging: Judging, *, as_json: bool, as_otlp: bool, explain: bool) -> int:
    """Every trace in the form that is asked for; returns how many of them are calls."""
    calls = 0
    console = None if as_json or as_otlp else Console(highlight=False, soft_wrap=True)
    told: list[Verdict] = []
    for trace_id, trace, verdict in judging.verdicts():
        is_call = verdict.end > verdict.start
        calls += is_call
        if as_json:
            _print_line({"trace_id": trace_id, "attributes": verdict.attributes})
        elif as_otlp:
            _print_line(stamped(trace.received, verdict))
        elif console and is_call:
            if told:
                console.print()
            print_verdict(console, trace_id, verdict, explain=explain)
            told.append(verdict)
        if not is_call:
            click.echo(f"trace {trace_id}: no call in it (no span has cx.layer and a time)", err=True)
    if console and len(told) > 1:
        print_sums(console, told)
    return calls


def _end_unwritten(error: OSError) -> NoReturn:
    # What it still holds would fail once more, and be told once more, at Python's end.
    with suppress(OSError):
        sys.stdout.close()
    click.echo(f"Error: standard output could not be written: {error.strerror}", err=True)
    sys.exit(UNWRITTEN)


def _parameters(path: str | None) -> Parameters:
    """The model's parameters, with those of a YAML file over them."""
    if path is None:
        return DEFAULT
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # click gives a string
            values = yaml.safe_load(file)
        if values is None or isinstance(values, dict):
            return DEFAULT.override(values or {})
    except (ValueError, OSError, yaml.YAMLError, RecursionError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--parameters") from None
    text = f"{path}: a mapping of names to values is needed, such as `allowance.queue: 30`"
    raise click.BadParameter(text, param_hint="--parameters")


@contextmanager
def _streams(files: Sequence[str], notes: Notes) -> Iterator[Iterator[tuple[str, Stream]]]:
    """The files, opened one after the other, with a progress bar on a terminal's standard error."""
    if not sys.stderr.isatty():
        yield ((name, stream) for name in files for stream in _opened(name))
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        notes.say = lambda text: progress.console.print(text, markup=False, highlight=False)

        def shown() -> Iterator[tuple[str, Stream]]:
            for name in files:
                for stream in _opened(name):
                    size = os.fstat(stream.fileno()).st_size if name != "-" else 0
                    task = progress.add_task(f"reading {name}", total=size or None)
                    yield name, _Watched(stream, partial(progress.advance, task))

        yield shown()
    notes.say = Notes().say


class _Watched(io.RawIOBase):
    """A stream that tells how much of it was read."""

    def __init__(self, stream: io.BufferedIOBase, advance: Callable[[float], None]) -> None:
        self._stream = stream
        self._advance = advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._advance(len(data))
        return len(data)


def _opened(name: str) -> Iterator[io.BufferedReader]:
    if name == "-":
        yield cast("io.BufferedReader", sys.stdin.buffer)
        return
    with open(name, "rb") as stream:  # noqa: PTH123
        yield stream


def _print_line(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, separators=(", ", ": ")))
