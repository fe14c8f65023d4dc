"""`cxotel db`: look after what a desk keeps, while it runs or not."""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from cxotel.desk import erasing, outbox, traces, wire
from cxotel.desk._sql import sql
from cxotel.desk.checking import problems
from cxotel.desk.dbfile import File
from cxotel.desk.receiver import Receiver
from cxotel.desk.settings import LAST_NS, default_db
from cxotel.desk.store import Store, StoreBusyError, StoreError
from cxotel.ids import call_ids
from cxotel.otlp import BadDocumentError, documents, regroup, spans_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Self

    from cxotel.otlp.lines import Parsed

# Requests are put together up to this: what the desk sorts at a time, and one fsync each.
REQUEST_BYTES = 512 * 1024
AGES = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
HOW_OLD = "like 36h, 7d, 2w, or a date and time like 2026-11-20 or 2026-11-20T09:00+01:00"


@click.group(context_settings={"max_content_width": 100})
def db() -> None:
    """Look after what a desk keeps: check, copy, move, erase.

    All but `vacuum` work while the desk runs.
    """
    # What goes wrong is said by the commands.
    logging.getLogger("cxotel.desk").addHandler(logging.NullHandler())


def _db_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--db",
        "path",
        type=click.Path(dir_okay=False, path_type=Path),
        default=default_db,
        show_default="in your data directory",
        envvar="CXOTEL_DESK_DB",
        show_envvar=True,
        help="The desk's file.",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")


@contextmanager
def _opened(path: Path) -> Iterator[File]:
    """The file; what is wrong with it becomes one sentence."""
    try:
        with File(path) as file:
            yield file
    except (StoreError, StoreBusyError) as error:
        raise click.ClickException(str(error)) from None


class _Progress:
    """A bar on standard error where that is a terminal."""

    def __init__(self, label: str, length: int = 0) -> None:
        self._bar = click.progressbar(length=length or 1, label=label, file=sys.stderr)
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        if self._is_shown:
            self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            self._bar.__exit__(None, None, None)

    def at(self, done: int, length: int) -> None:
        """So much of so much is done."""
        if self._is_shown:
            self._bar.length = length
            self._bar.update(done - self._bar.pos)


def _say(text: str, found: dict[str, Any], *, as_json: bool) -> None:
    click.echo(json.dumps(found) if as_json else text)


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@db.command()
@_db_option
@json_option
def check(path: Path, *, as_json: bool) -> None:
    """Look for damage, and for anything that does not fit together; exit status 1 if there is."""
    try:
        with File(path) as file:
            found = list(problems(file))
    except (StoreError, StoreBusyError) as error:  # says itself what to do
        _say(str(error), {"db": str(path), "ok": False, "problems": [str(error)]}, as_json=as_json)
        sys.exit(1)
    if found:
        advice = (
            "put a backup in its place, or `cxotel db export` what can be read and import it into a new file"
        )
        text = "\n".join([f"{path}: {_number(len(found), 'problem')}; {advice}.", *found])
        _say(text, {"db": str(path), "ok": False, "problems": found}, as_json=as_json)
        sys.exit(1)
    _say(f"{path} is well.", {"db": str(path), "ok": True, "problems": []}, as_json=as_json)


def _trace_id(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_trace_id(_ctx, _param, one) for one in value)
    if value is None:
        return None
    if re.fullmatch(r"[0-9a-fA-F]{32}", value) is None:
        raise click.BadParameter(f"{value!r} is no trace id: that has 32 hex digits")
    return bytes.fromhex(value)


def _since(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Ns since the epoch."""
    if value is None:
        return None
    age = re.fullmatch(r"(\d{1,6})([mhdw])", value)
    if age is not None:
        ago = round(timedelta(**{AGES[age[2]]: int(age[1])}).total_seconds()) * 10**9
        return max(0, time.time_ns() - ago)
    try:
        at = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no age or time: write it {HOW_OLD}") from None
    nanos = round((at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()) * 10**9
    return min(max(0, nanos), LAST_NS)


calls_option = click.option(
    "--call", "calls", multiple=True, callback=_trace_id, metavar="TRACE_ID", help="A call, by a trace id."
)


def _keys(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    one = ""
    try:
        for one in value:
            call_ids(one)
    except ValueError as error:
        raise click.BadParameter(f"{one!r} is no call key: {error}") from None
    return value


keys_option = click.option("--key", "keys", multiple=True, callback=_keys, help="The calls of a call key.")
namespace_option = click.option(
    "--namespace", help="Of the keys; calls of any namespace that give the key if left out."
)


@db.command()
@_db_option
@calls_option
@keys_option
@namespace_option
@click.option("--since", callback=_since, help=f"Calls that started since then: {HOW_OLD} (UTC if not said).")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file; else standard output.")
def export(
    path: Path,
    calls: tuple[bytes, ...],
    keys: tuple[str, ...],
    namespace: str | None,
    since: int | None,
    out: Path | None,
) -> None:
    """Write calls as OTLP/JSON as they were received, one a line, and their log records on a line behind.

    All calls, or those that are asked for. `cxotel judge` and `cxotel db import` read it.
    """
    with _opened(path) as file:
        wanted = {one for call in calls for one in erasing.of_trace(file, call)}
        wanted |= {one for key in keys for one in erasing.of_key(file, key, namespace)}
        rows = [row[0] for row in file.rows("traces_since", since or 0)]
        if calls or keys:
            known = [one for one in rows if one in wanted]
            # A trace of no call can be asked for as well.
            others = [one for one in calls if one not in known and not file.rows("alias_of", one)]
            rows = known if since else known + others
        written, spoiled = 0, []
        with _output(out, path) as stream, _Progress("exporting") as progress:
            for number, trace_id in enumerate(rows):
                try:
                    written += _export_call(file, trace_id, stream)
                except sqlite3.DatabaseError as error:  # a damaged page; the others may be whole
                    spoiled.append(f"call {trace_id.hex()} cannot be read: {error}")
                progress.at(number + 1, len(rows))
        for text in spoiled:
            click.echo(text, err=True)
        click.echo(f"{_number(written, 'call')} exported{f' to {out}' if out else ''}.", err=True)
        if spoiled:
            raise click.ClickException(f"{_number(len(spoiled), 'call')} of {path} could not be read")
        if (calls or keys) and not written:
            raise click.ClickException(f"{path} has no such call")


@contextmanager
def _output(out: Path | None, path: Path) -> Iterator[IO[str]]:
    if out is None:
        yield sys.stdout
        return
    _refuse_own(out, path)
    try:
        # Calls are nobody else's business.
        with os.fdopen(
            os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            yield file
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from None


def _export_call(file: File, trace_id: bytes, stream: IO[str]) -> bool:
    ids = traces.ids_of(file, trace_id)
    kept = traces.spans_of(file, *ids)
    for request in (traces.to_request(kept), traces.to_logs(traces.logs_of(file, *ids))):
        tree = wire.to_json(request)
        if tree:
            stream.write(json.dumps(tree, separators=(",", ":")) + "\n")
    return bool(kept)


@db.command("import")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@_db_option
@json_option
def import_(files: Sequence[str], path: Path, *, as_json: bool) -> None:
    """Read calls from OTLP/JSON, one request a line, or from what Jaeger or Tempo answered; plain or gzip.

    They go in as if they were received now: the desk judges them, or will when it is started. What is there
    already counts once. What cannot be read is named, and the rest is loaded; exit status 1 if nothing was.
    """
    try:
        if not path.exists():
            Store(path).close()
    except (OSError, StoreError) as error:
        raise click.ClickException(str(error)) from None
    with _opened(path) as file:
        loading = _Loading(Receiver(cast("Store", file), lambda: None))
        for name in files:
            with click.open_file(name, "rb") as stream:
                loading.read(stream, name)
        loading.flush()
        is_running = file.is_in_use
        erased = sum(bool(file.rows("is_erased", one)) for one in loading.traces)
    found = {
        "read": loading.items,
        "refused": loading.refused,
        "problems": loading.problems,
        "erased": erased,
    }
    when = "the desk judges them now" if is_running else "the desk judges them when it is started"
    refused = f" {loading.refused:,} of them were refused: {loading.message}." if loading.refused else ""
    text = f"{_number(loading.items, 'span or log record')} read, {when}.{refused}"
    if erased:
        text += f" What is of {_number(erased, 'erased trace')} among them is not kept."
    _say(text, found, as_json=as_json)
    if loading.problems:
        click.echo(f"{_number(loading.problems, 'thing')} could not be read.", err=True)
    if loading.items <= loading.refused:
        sys.exit(1)


class _Loading:
    """Documents on their way into the inbox."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._requests: dict[str, Any] = {}
        self.items = self.refused = self.problems = 0
        self.message = ""
        self.traces: set[bytes] = set()

    def read(self, stream: Any, name: str) -> None:
        """All of a stream."""

        def tell(line: int, text: str) -> None:
            self.problems += 1
            click.echo(f"{name}, line {line}: {text}", err=True)

        for document in documents(stream, tell):
            try:
                self._add(document, tell)
            except (BadDocumentError, wire.BadBodyError) as error:  # noqa: PERF203 - the rest is loaded
                tell(document.line, f"{error}; left out")

    def flush(self) -> None:
        """Write what is held."""
        for name, request in self._requests.items():
            answer: Any = self._receiver.accept(wire.BY_NAME[name], request)
            partial = answer.partial_success
            self.refused += getattr(partial, wire.BY_NAME[name].rejected)
            self.message = partial.error_message or self.message
        self._requests = {}

    def _add(self, document: Parsed, tell: Callable[[int, str], None]) -> None:
        tree, line = document.value, document.line
        signals = [signal for signal in wire.SIGNALS if isinstance(tree, dict) and _field(signal) in tree]
        if not signals:
            received = spans_of(tree, lambda text: tell(line, text))
            tree, signals = {"resourceSpans": regroup(received)}, [wire.TRACES]
        for signal in signals:
            body = json.dumps({_field(signal): tree[_field(signal)]}).encode()
            request, spoiled = wire.decode_json(signal, body)
            for one in spoiled:
                tell(line, f"{one.note}; left out")
            items = list(outbox.items_in(signal.name, request))
            self.items += len(items)
            if signal is not wire.METRICS:
                self.traces |= {one.trace_id for one in items}
            held = self._requests.setdefault(signal.name, signal.request())
            held.MergeFrom(request)
            if held.ByteSize() > REQUEST_BYTES:
                self.flush()


def _field(signal: wire.Signal) -> str:
    return {"traces": "resourceSpans", "logs": "resourceLogs", "metrics": "resourceMetrics"}[signal.name]


@db.command()
@_db_option
def vacuum(path: Path) -> None:
    """Write the file anew without gaps, with the desk stopped; its disk needs room for a second copy."""
    with _opened(path) as file:
        before, after = file.vacuum()
    click.echo(f"{path}: {before:,} bytes before, {after:,} now.")


@db.command()
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@_db_option
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
def backup(target: Path, path: Path, *, force: bool, as_json: bool) -> None:
    """Copy the desk's file to FILE as it is at this instant, while the desk runs; the copy is checked."""
    _refuse_own(target, path)
    if target.exists() and not (force and target.is_file()):
        raise click.ClickException(f"{target} is there already: name another, or replace it with --force")
    part = target.with_name(target.name + ".part")
    with _opened(path) as file, _Progress("copying") as progress:
        part.unlink(missing_ok=True)
        try:
            size = file.backup(part, progress.at)
            _to_disk(part)
            part.replace(target)
            _to_disk(target.absolute().parent)
        except OSError as error:
            raise click.ClickException(f"cannot write {target}: {error.strerror}") from None
        finally:
            part.unlink(missing_ok=True)
    found = {"db": str(path), "backup": str(target), "bytes": size}
    _say(f"{path} copied to {target}: {size:,} bytes, checked.", found, as_json=as_json)


def _refuse_own(target: Path, path: Path) -> None:
    """Refuse to write over the desk's file and those beside it."""
    own = [path, *(path.resolve().with_name(path.resolve().name + end) for end in ("-wal", "-shm", ".lock"))]
    for one in own:
        if target.absolute() == one.absolute() or (target.exists() and one.exists() and target.samefile(one)):
            raise click.ClickException(f"{target} is the desk's own file: name another")


def _to_disk(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@db.command()
@_db_option
@calls_option
@keys_option
@namespace_option
@click.option(
    "--customer", "customers", multiple=True, metavar="REF", help="All calls of a customer (cx.customer.ref)."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def erase(
    path: Path,
    calls: tuple[bytes, ...],
    keys: tuple[str, ...],
    namespace: str | None,
    customers: tuple[str, ...],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase calls for good, frozen ones too: spans, logs, verdicts, and what waits to be sorted or handed on.

    What still comes of them is refused. Backups, and backends that calls were handed on to, are yours to see
    to.
    """
    if not (calls or keys or customers):
        raise click.UsageError("say what to erase: --call, --key or --customer")
    with _opened(path) as file:
        found = {one for call in calls for one in erasing.of_trace(file, call)}
        found |= {one for key in keys for one in erasing.of_key(file, key, namespace)}
        records: list[int] = []
        with _Progress("looking through all spans") as progress:
            for customer in customers:
                more, numbers = erasing.of_customer(file, customer, progress.at)
                found |= more
                records += numbers
        found = {one for one in found if erasing.is_known(file, one)}
        if not found and not records:
            raise click.ClickException(f"{path} has nothing of that")
        if not yes:
            click.echo("\n".join(_described(file, found)), err=True)
            click.confirm("Erase for good?", abort=True, err=True)
        gone = erasing.erase(file, found, records)
        is_gone = erasing.wipe(file)
    waiting = f"; {_number(gone['requests'], 'waiting request')} changed" if gone["requests"] else ""
    done = [_number(gone[noun + "s"], noun) for noun in ("call", "span", "log record")]
    done[2] = _number(gone["logs"], "log record")
    text = f"Erased: {', '.join(done)}{waiting}. What still comes of them is refused."
    if not is_gone:
        text += (
            "\nThe file's free pages may still hold bytes of them: stop the desk and run `cxotel db vacuum`."
        )
    result = {noun: gone[noun] for noun in ("calls", "spans", "logs", "requests")} | {"wiped": is_gone}
    _say(text, result | {"traces": sorted(one.hex() for one in found)}, as_json=as_json)


def _described(file: File, found: set[bytes]) -> Iterator[str]:
    for trace_id in sorted(found)[:20]:
        rows = file.rows("call_row", trace_id)
        summary = json.loads(rows[0][-1] or "{}") if rows else {}
        started = rows[0][10] if rows else None
        at = (
            datetime.fromtimestamp(started / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
            if started
            else ""
        )
        parts = (trace_id.hex(), at, summary.get("call_id", ""), "frozen" if rows and rows[0][9] else "")
        yield "  ".join(part for part in parts if part)
    if len(found) > 20:
        yield f"... and {len(found) - 20:,} more"


def _freezing(name: str, *, frozen: bool, help_: str) -> None:
    @db.command(name, help=help_)
    @_db_option
    @calls_option
    @keys_option
    @namespace_option
    def command(path: Path, calls: tuple[bytes, ...], keys: tuple[str, ...], namespace: str | None) -> None:
        if not (calls or keys):
            raise click.UsageError("say which: --call or --key")
        with _opened(path) as file:
            found = {one for call in calls for one in erasing.of_trace(file, call)}
            found |= {one for key in keys for one in erasing.of_key(file, key, namespace)}
            number = file.transaction(
                lambda to: sum(to.execute(sql("set_frozen"), (frozen, one)).rowcount for one in found)
            )
        if not number:
            raise click.ClickException(f"{path} has no such call")
        click.echo(
            f"{_number(number, 'call')} {'frozen: kept whatever their age' if frozen else 'unfrozen'}."
        )


_freezing("freeze", frozen=True, help_="Keep calls whatever retention says.")
_freezing("unfreeze", frozen=False, help_="Let retention have calls again.")
