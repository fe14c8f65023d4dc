"""`cxotel serve`: the desk from the command line."""

from __future__ import annotations

import logging
import math
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import click

from cxotel.desk import logs, options
from cxotel.desk.access import AccessError, access_from, is_loopback
from cxotel.desk.access_options import access_options
from cxotel.desk.app import Desk
from cxotel.desk.destination import DestinationError, read_destinations
from cxotel.desk.forward import QUEUE_BYTES, Forwarding
from cxotel.desk.links import LinkError, parse
from cxotel.desk.settings import KEEP_DAYS, READY_BEHIND, Keep, Timing, default_db
from cxotel.desk.store import StoreError


class Amount(click.FloatRange):
    """A number in a range; what is no number compares with none, and so would lie in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail("nan is no amount: give a number", param, ctx)
        return number


def _file(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """A file's name; an empty one would be the directory that the desk was started in."""
    if not value:
        raise click.BadParameter("it names no file: give one, or :memory:")
    return value


PORT = click.IntRange(0, 65535)
SECONDS = Amount(0, 86_400)
# Connections of all ports (grpc_server.py, connections.py) and files, more than twice over.
FILES = 4096


log = logging.getLogger("cxotel.desk")


@click.command(
    cls=options.Command,
    context_settings={"auto_envvar_prefix": "CXOTEL_DESK", "show_default": True, "max_content_width": 100},
)
@options.config_option
@click.option("--host", default="127.0.0.1", show_envvar=True, help="Address to listen on.")
@click.option(
    "--grpc-port", default=4317, type=PORT, show_envvar=True, help="OTLP/gRPC; 0 takes a free port."
)
@click.option(
    "--http-port", default=4318, type=PORT, show_envvar=True, help="OTLP/HTTP; 0 takes a free port."
)
@click.option("--web-port", default=8317, type=PORT, show_envvar=True, help="The pages; 0 takes a free port.")
@click.option(
    "--db",
    type=click.Path(dir_okay=False),
    default=lambda: str(default_db()),
    callback=_file,
    show_default="in your data directory",
    show_envvar=True,
    help="File to keep everything in; :memory: keeps it only while the desk runs.",
)
@click.option(
    "--keep-days",
    default=KEEP_DAYS,
    type=Amount(0, 36_500),
    show_envvar=True,
    help="Days that calls are kept after their last span; 0 for ever. Frozen calls stay.",
)
@click.option(
    "--keep-size",
    default="10GB",
    callback=options.size,
    show_envvar=True,
    help="Size of the file from which the oldest calls go, such as 500MB or 2GiB; 0 for no limit.",
)
@click.option(
    "--grace",
    default=6.0,
    type=SECONDS,
    show_envvar=True,
    help="Seconds from a call's end to its final verdict: senders flush every 5 s.",
)
@click.option(
    "--idle",
    default=3900.0,
    type=SECONDS,
    show_envvar=True,
    help="Seconds without a span until a call without its root is partial.",
)
@click.option(
    "--log-format",
    default=logs.TEXT,
    type=click.Choice((logs.TEXT, logs.JSON)),
    show_envvar=True,
    help="One line an event, on standard error.",
)
@click.option(
    "--log-level",
    default="info",
    type=click.Choice(logs.LEVELS),
    show_envvar=True,
    help="What is logged, from this level on.",
)
@click.option(
    "--ready-behind",
    default=READY_BEHIND,
    type=SECONDS,
    show_envvar=True,
    help="Seconds that sorting or judging may be late before /ready says no.",
)
@click.option(
    "--forward",
    multiple=True,
    metavar="URL",
    envvar="CXOTEL_FORWARD",
    show_envvar=True,
    show_default=False,
    help="Hand on all that is received, and verdicts, to this OTLP backend: grpc://host:4317, grpcs://, "
    "http://host:4318 or https://. May be given more than once.",
)
@click.option(
    "--forward-headers-file",
    type=click.Path(exists=True, dir_okay=False),
    envvar="CXOTEL_FORWARD_HEADERS_FILE",
    show_envvar=True,
    help="Headers for backends, a line each: URL name=value,name=value. CXOTEL_FORWARD_HEADERS has the same "
    "as text; without a URL they are for the only backend.",
)
@click.option(
    "--forward-certificate",
    type=click.Path(exists=True, dir_okay=False),
    envvar="CXOTEL_FORWARD_CERTIFICATE",
    show_envvar=True,
    help="Authorities to trust beside the system's, for grpcs:// and https://; a PEM file.",
)
@click.option(
    "--forward-queue",
    default=QUEUE_BYTES,
    type=click.IntRange(1),
    envvar="CXOTEL_FORWARD_QUEUE",
    show_envvar=True,
    help="Bytes that may wait on disk for backends that are down; over it the oldest is dropped and counted.",
)
@click.option(
    "--trust-stamped",
    is_flag=True,
    show_envvar=True,
    help="Keep the verdict that a root came with, as behind a Collector that judges; "
    "the desk's own stands beside it.",
)
@click.option(
    "--link",
    "links",
    multiple=True,
    metavar="NAME=URL",
    show_envvar=True,
    help="Link from each call's page to another tool, like Jaeger=http://localhost:16686/trace/{trace_id}; "
    "places: {trace_id}, {call_key}, {namespace}, {start_ms}, {end_ms}. More than once, or with blanks "
    "between in the variable.",
)
@access_options
def serve(
    host: str,
    grpc_port: int,
    http_port: int,
    web_port: int,
    db: str,
    keep_days: float,
    keep_size: int,
    grace: float,
    idle: float,
    log_format: str,
    log_level: str,
    ready_behind: float,
    forward: tuple[str, ...],
    forward_headers_file: str | None,
    forward_certificate: str | None,
    forward_queue: int,
    trust_stamped: bool,
    links: tuple[str, ...],
    **access: Any,
) -> None:
    """Receive calls over OTLP, judge them, and show them on a page.

    Point any OpenTelemetry exporter at the gRPC or HTTP address that is printed. Everything is kept in one
    file. Ctrl-C stops the desk; what was acknowledged is on disk.
    """
    logs.set_up(log_format, log_level)
    try:
        allowed = access_from(**access)
        destinations = read_destinations(forward, _headers(forward_headers_file))
    except (AccessError, DestinationError, OSError) as error:
        raise click.ClickException(str(error)) from None
    certificate = Path(forward_certificate) if forward_certificate else None
    try:
        linked = parse(links)
    except LinkError as error:
        raise click.ClickException(f"--link: {error}") from None
    desk = Desk(
        db if db == ":memory:" else Path(db),
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        web_port=web_port,
        timing=Timing(grace=grace, idle=idle),
        keep=Keep(keep_days, keep_size),
        ready_behind=ready_behind,
        environment=os.environ,
        forwarding=Forwarding(destinations, certificate, forward_queue),
        links=linked,
        trust_stamped=trust_stamped,
        access=allowed,
    )
    # Blocked in all threads and waited for: a handler might run while the lock that it needs is taken, or the
    # signal might reach a thread that wakes nobody.
    asked = {signal.SIGTERM, signal.SIGINT}
    _allow_files()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, asked)
    try:
        desk.start()
    except (AccessError, DestinationError, OSError, StoreError) as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise click.ClickException(str(error)) from None
    said = {
        "Pages": desk.web_url,
        "OTLP/gRPC": desk.grpc_endpoint,
        "OTLP/HTTP": desk.http_endpoint,
        "Kept in": str(desk.store.path),
    }
    if destinations:
        said["Handed on"] = ", ".join(one.name for one in destinations)
    if log_format == logs.JSON:  # whoever collects both streams gets one kind of line
        log.info("started: %s", ", ".join(f"{name} {value}" for name, value in said.items()))
    else:
        for name, value in said.items():
            click.echo(f"{name:<11}{value}")
    for one in destinations:
        if one.headers and not one.is_tls and not is_loopback(one.host):
            log.warning("headers go to %s as plain text: use grpcs:// or https://", one.name)
    if not is_loopback(host) and allowed.insecure_open:
        click.echo(
            "Open (--insecure-open): anyone who reaches this address can read and send calls.", err=True
        )
    elif not is_loopback(host) and not allowed.tls:
        click.echo(
            "Not encrypted: tokens, passwords and calls can be read on the way. Set --tls-cert and "
            "--tls-key, or put a proxy with TLS before it.",
            err=True,
        )
    sys.stdout.flush()
    signal.sigwait(asked)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)  # asked once more, it ends at once
    if log_format == logs.JSON:
        log.info("stopping")
    else:
        click.echo("Stopping.")
    desk.stop()
    log.debug("stopped")


def _headers(file: str | None) -> str:
    """Headers for backends from the file or the environment: secrets have no place on a command line."""
    text = os.environ.get("CXOTEL_FORWARD_HEADERS", "")
    if file is None:
        return text
    if text:
        raise DestinationError("CXOTEL_FORWARD_HEADERS and --forward-headers-file are both given: give one")
    try:
        return Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DestinationError(f"--forward-headers-file {file} is no text in UTF-8") from None


def _allow_files() -> None:
    """Every connection takes a file descriptor, and 1,024, the usual limit, are fewer than there may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
