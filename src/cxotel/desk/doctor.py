"""`cxotel doctor`: finds the usual mistakes between a contact centre and its desk, and says what to do."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import sqlite3
import ssl
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import click
from opentelemetry import trace

import cxotel
from cxotel.desk import exporting, findings, logs
from cxotel.desk.findings import NOTE, OK, PROBLEM, SKEW_SECONDS, Finding
from cxotel.desk.store import SCHEMA, Reader, StoreBusyError
from cxotel.leg import WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cxotel.desk.store import Store

SECONDS = 10.0
# From the end of the test call to its verdict on the page: the batch goes out within 1 s, the desk judges at
# once what has a root. Ten times that.
VERDICT_SECONDS = 20.0
SERVICE = "cxotel doctor"
NAMESPACE = "cxotel-doctor"
DEFAULT_PORTS = {"GRPC": 4317, "HTTP": 4318, "WEB": 8317}
MOST_PORT = 65535
MARKS = {OK: "ok      ", PROBLEM: "PROBLEM ", NOTE: "note    "}


@click.command(context_settings={"show_default": True, "max_content_width": 100})
@click.option(
    "--url",
    default="http://127.0.0.1:8317",
    envvar="CXOTEL_DESK_URL",
    show_envvar=True,
    help="Pages of the desk to ask; CXOTEL_DESK_READ_TOKEN has a token if it demands one.",
)
@click.option(
    "--db",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Look at this file of a desk instead of asking a desk.",
)
@click.option("--send", is_flag=True, help="Send a test call as OTEL_* variables say, and see it judged.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with all findings.")
def doctor(url: str, db: Path | None, send: bool, as_json: bool) -> None:
    """Find out why calls do not come, or do not come out as they should.

    Looks at the exporter that OTEL_* variables describe, at the desk, and at what it has received in the
    last day. Exit status: 0 all is well, 1 something is not.
    """
    logs.hide_headers()
    found = list(_examine(url, db, send=send))
    problems = [one for one in found if one.state == PROBLEM]
    if as_json:
        click.echo(json.dumps({"ok": not problems, "findings": [one.to_json() for one in found]}, indent=2))
    else:
        for one in found:
            click.echo(f"{MARKS[one.state]}{one.check}: {one.says}")
            if one.fix:
                click.echo(f"        -> {one.fix}")
        click.echo(f"{len(problems)} of {len(found)} checks found a problem." if problems else "All is well.")
    sys.exit(1 if problems else 0)


def _examine(url: str, db: Path | None, *, send: bool) -> Iterator[Finding]:
    yield from exporting.check(os.environ)
    if db is not None:
        yield from _of_file(db)
        return
    desk = _Asked(url)
    try:
        os.environ.get("CXOTEL_DESK_READ_TOKEN", "").encode("latin-1")
    except UnicodeEncodeError:
        says = "CXOTEL_DESK_READ_TOKEN has characters that an HTTP header cannot carry"
        yield Finding("token", PROBLEM, says, "set it to a token of the desk's --read-token-file")
        return
    answer = desk.get("/ready")
    if answer is None or answer.status not in (200, 503) or "ready" not in answer.content:
        yield _no_desk(desk, answer)
        yield from _taken_ports(desk)
        return
    yield Finding("desk", OK, f"a desk answers at {desk.url}")
    for reason in answer.content["reasons"]:
        yield Finding("ready", PROBLEM, f"the desk is not ready: {reason}", "see its log")
    yield from answer.clock()
    if send:
        yield from _send(desk)
    told = desk.get("/api/findings")
    if told is not None and told.status == http.client.OK:
        yield from (Finding(**one) for one in told.content["findings"])
    else:
        status = told.status if told is not None else "no answer"
        yield Finding(
            "calls",
            PROBLEM,
            f"the desk does not tell what it received ({status})",
            "set CXOTEL_DESK_READ_TOKEN to a token of its --read-token-file, or give --db its file",
        )


@dataclass
class _Answer:
    """Status, JSON ({} where it is none) and how far the answerer's clock is ahead of ours, s."""

    status: int
    content: dict[str, Any]
    ahead: float | None

    def clock(self) -> Iterator[Finding]:
        """What the header Date says; it has whole seconds."""
        if self.ahead is not None and abs(self.ahead) > SKEW_SECONDS:
            way = "ahead of" if self.ahead > 0 else "behind"
            yield Finding(
                "clock",
                PROBLEM,
                f"the desk's clock is {abs(self.ahead):.0f} s {way} this machine's",
                "let NTP set both clocks",
            )


class _Asked:
    """A desk that is asked over HTTP."""

    def __init__(self, url: str) -> None:
        shown = exporting.masked(url)
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
        except ValueError:
            raise click.BadParameter(f"{shown!r}: give http://host:port", param_hint="--url") from None
        try:
            self.port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise click.BadParameter(f"{shown!r}: its port is no number", param_hint="--url") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or " " in parts.hostname:
            raise click.BadParameter(f"{shown!r}: give http://host:port", param_hint="--url")
        self.url, self.host, self.is_tls, self.error = shown, parts.hostname, parts.scheme == "https", ""

    def get(self, path: str) -> _Answer | None:
        """The answer, None if there is none."""
        kind = http.client.HTTPSConnection if self.is_tls else http.client.HTTPConnection
        more: dict[str, Any] = {"context": ssl.create_default_context()} if self.is_tls else {}
        connection = kind(self.host, self.port, timeout=SECONDS, **more)
        token = next(iter(os.environ.get("CXOTEL_DESK_READ_TOKEN", "").split()), "")  # of several any will do
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {token}"} if token else {})
            asked = time.time()
            answer = connection.getresponse()
            body = answer.read(4 * 1024 * 1024)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.error = getattr(error, "strerror", None) or type(error).__name__
            return None
        finally:
            connection.close()
        content, ahead = {}, None
        with suppress(ValueError):
            content = json.loads(body)
        with suppress(TypeError, ValueError):
            ahead = parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5 - asked
        return _Answer(answer.status, content if isinstance(content, dict) else {}, ahead)


def _no_desk(desk: _Asked, answer: _Answer | None) -> Finding:
    if answer is None:
        says, fix = (
            f"no desk answers at {desk.url} ({desk.error})",
            "start `cxotel serve`, or give --url where it is",
        )
    else:
        says, fix = (
            f"what answers at {desk.url} is no desk",
            "give --url the desk's pages, or --web-port another port",
        )
    return Finding("desk", PROBLEM, says, fix)


def _taken_ports(desk: _Asked) -> Iterator[Finding]:
    """Who has the ports that a desk would take here."""
    if not exporting.is_local(desk.host):
        return
    for name, default in DEFAULT_PORTS.items():
        text = os.environ.get(f"CXOTEL_DESK_{name}_PORT") or str(default)
        if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > MOST_PORT:
            says, fix = f"CXOTEL_DESK_{name}_PORT is {text[:40]!r}", f"say a number from 0 to {MOST_PORT}"
            yield Finding("port", PROBLEM, says, fix)
            continue
        port = int(text)
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                by = exporting.holder_of(port) or "a program of another user"
                option = f"--{name.lower()}-port"
                fix = f"stop that program, or start `cxotel serve {option}` with another port"
                yield Finding("port", PROBLEM, f"port {port} is taken by {by}", fix)


def _of_file(path: Path) -> Iterator[Finding]:
    reader = Reader(path)
    try:
        with reader.reading() as connection:
            row = connection.execute("SELECT value FROM setting WHERE name = 'schema'").fetchone()
        if row is None or row[0] != str(SCHEMA):
            yield Finding("file", PROBLEM, f"{path} has another schema", "start `cxotel serve` on it once")
            return
        yield from findings.of_store(cast("Store", reader), time.time_ns())
    except (sqlite3.Error, StoreBusyError) as error:
        yield Finding("file", PROBLEM, f"{path} cannot be read: {error}", "see `cxotel db check`")
    finally:
        reader.close_readers()


def _send(desk: _Asked) -> Iterator[Finding]:
    """A call through the configured exporter, to the desk, judged; it is marked as what it is."""
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_off or "otlp" not in os.environ.get("OTEL_TRACES_EXPORTER", "otlp"):
        yield Finding("send", PROBLEM, "no test call is sent: OTEL_* variables turn that off", "unset them")
        return
    key = f"test-{uuid.uuid4()}"
    trace_id = cxotel.call_ids(key, NAMESPACE).trace_id_hex
    cxotel.configure(service_name=SERVICE, namespace=NAMESPACE)
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        says = "OTEL_* variables cannot be used: no test call is sent"
        yield Finding("send", PROBLEM, says, "the log above says why; correct or unset them")
        return
    before = dict(cxotel.counters())
    ago = time.time_ns() - round(WINDOW * 1e9)  # as long as one window of media
    call = cxotel.start_call(key, namespace=NAMESPACE, queue=SERVICE, start_time=ago)
    with call.start_leg("carrier", owner=SERVICE, start_time=ago) as leg:
        leg.add_window(0, to_agent=cxotel.Figures(0, 20), to_customer=cxotel.Figures(0, 20))
    call.stop(outcome="completed", ended_by="agent")
    sent = cxotel.flush()
    cxotel.shutdown()
    lost = sum(cxotel.counters().values()) - sum(before.values())
    if not sent or lost > 0:
        yield Finding(
            "send",
            PROBLEM,
            "the test call could not be sent",
            "see what is said of the exporter, and the log above",
        )
        return
    deadline = time.monotonic() + VERDICT_SECONDS
    while time.monotonic() < deadline:
        answer = desk.get(f"/call/{trace_id}.json")
        if answer is not None and answer.content.get("state") in ("provisional", "final"):
            says = f"the test call {trace_id} came and was judged; it is of the service and queue {SERVICE!r}"
            yield Finding("send", OK, says, f"to be rid of it: `cxotel db erase --call {trace_id}`")
            return
        time.sleep(0.2)
    yield Finding(
        "send",
        PROBLEM,
        f"the test call {trace_id} was sent, and did not come to {desk.url} within {VERDICT_SECONDS:g} s",
        "the exporter points to another receiver: compare its address with the one that this desk printed",
    )
