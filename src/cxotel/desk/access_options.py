"""The options of `cxotel serve` that say who may send and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

Command = TypeVar("Command", bound="Callable[..., Any]")


def _file(option: str, text: str) -> Callable[[Command], Command]:
    return click.option(option, type=click.Path(dir_okay=False), show_envvar=True, help=text)


OPTIONS: list[Callable[..., Any]] = [
    _file(
        "--ingest-token-file",
        "Tokens of which senders must bear one, one a line; CXOTEL_DESK_INGEST_TOKEN has them as well.",
    ),
    _file(
        "--read-token-file", "Tokens with which programs may read; CXOTEL_DESK_READ_TOKEN has them as well."
    ),
    _file("--password-file", "The password of the pages; CXOTEL_DESK_PASSWORD has it as well."),
    click.option(
        "--trusted-proxy-header",
        show_envvar=True,
        metavar="NAME",
        help="Header in which a proxy names who reads, as in X-Forwarded-User.",
    ),
    click.option(
        "--trusted-proxy",
        multiple=True,
        show_envvar=True,
        metavar="ADDRESS[/BITS]",
        help="Where that proxy is; can be given more than once.",
    ),
    _file("--tls-cert", "Certificate (PEM, with its chain) for all three ports."),
    _file("--tls-key", "Its key (PEM)."),
    _file("--tls-client-ca", "Senders must have a certificate signed by one of these (PEM)."),
    click.option(
        "--cors-origin",
        multiple=True,
        show_envvar=True,
        metavar="ORIGIN",
        help="Pages in browsers that may send over OTLP/HTTP, as in https://app.example.org; more than once.",
    ),
    click.option(
        "--insecure-open",
        is_flag=True,
        show_envvar=True,
        help="Demand nothing on an address that other machines reach.",
    ),
]


def access_options(command: Command) -> Command:
    """Add them to a command, in this order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
