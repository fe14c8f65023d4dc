"""The options of `cxotel serve`: grouped in its help, and out of a file beside command line and environment.

click itself decides between them: the file is its `default_map`, so that every option has its key there.
"""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# In this order in `--help`; an option that is in none of them comes last, under "More".
GROUPS: dict[str, tuple[str, ...]] = {
    "Addresses": ("host", "grpc_port", "http_port", "web_port"),
    "Who may send and read": (
        "ingest_token_file",
        "read_token_file",
        "password_file",
        "trusted_proxy_header",
        "trusted_proxy",
        "tls_cert",
        "tls_key",
        "tls_client_ca",
        "cors_origin",
        "insecure_open",
    ),
    "What is kept": ("db", "keep_days", "keep_size"),
    "When calls are judged": ("grace", "idle", "trust_stamped"),
    "Handing on": ("forward", "forward_headers_file", "forward_certificate", "forward_queue"),
    "The pages": ("links",),
    "Operation": ("config", "log_format", "log_level", "ready_behind"),
}
MORE = "More"
FILE = "cxotel.desk.config"


class Command(click.Command):
    """A command whose options may come from the file of its option `--config`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it; what is wrong in the file is said with file and key.

        Raises:
            click.UsageError: a value cannot be used.
        """
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            option = error.param
            name = option.name if option is not None else None
            if not name or ctx.get_parameter_source(name) != ParameterSource.DEFAULT_MAP:
                raise
            raise click.UsageError(f"{ctx.meta[FILE]}: {key_of(option)}: {error.message}", ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options under the heads of GROUPS."""
        titles = {name: title for title, names in GROUPS.items() for name in names}
        records: dict[str, list[tuple[str, str]]] = {title: [] for title in (*GROUPS, MORE)}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                records[titles.get(param.name or "", MORE)].append(record)
        for title, rows in records.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def size(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    """Bytes: a number with kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of 1024), B or nothing.

    Raises:
        click.BadParameter: says how to write it.
    """
    found = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*(?:([KMGT])(I?))?B?\s*", str(value).upper())
    if found is None:
        raise click.BadParameter(f"{value!r} is no size: write it like 500MB or 10GB, or 0")
    number, unit, binary = found.groups()
    return round(float(number) * (1024.0 if binary else 1000.0) ** (" KMGT".index(unit) if unit else 0))


def config_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--config FILE`."""
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        show_envvar=True,
        callback=_load,
        help="TOML file with any of these options by their long names; the command line and the "
        "environment win over it.",
    )(command)


def _load(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    if path is not None:
        ctx.meta[FILE] = path
        ctx.default_map = {**(ctx.default_map or {}), **read(path, ctx.command)}


def read(path: Path, command: click.Command) -> dict[str, Any]:
    """The values that a file has for a command's options, by parameter name.

    A table is the beginning of a name: `cert` in `[tls]` is `tls-cert`.

    Raises:
        click.UsageError: not TOML, a key that is no option, or a value of the wrong type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.UsageError(f"{path}: cannot be read as TOML: {error}") from None
    options = {
        key_of(param): param
        for param in command.params
        if isinstance(param, click.Option) and param.name and param.name != "config"
    }
    found: dict[str, Any] = {}
    for key, value in _flat(content, ""):
        option = options.get(key.replace("_", "-"))
        if option is None or option.name is None:
            close = difflib.get_close_matches(key.replace("_", "-"), list(options), 1)
            fix = f"did you mean {close[0]}?" if close else f"`{command.name} --help` lists them"
            raise click.UsageError(f"{path}: {key}: no such option; {fix}")
        if option.name in found:
            raise click.UsageError(f"{path}: {key}: given twice, as a key and by a table; leave one out")
        wanted = _wanted(option, value)
        if wanted:
            raise click.UsageError(f"{path}: {key}: must be {wanted}, not {value!r:.80}")
        found[option.name] = value if not option.multiple or isinstance(value, list) else [value]
    return found


def key_of(option: click.Parameter | None) -> str:
    """An option's long name without the dashes before it, which is its key in the file."""
    return max(option.opts, key=len).lstrip("-") if option is not None else ""


def _flat(table: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}-")
        else:
            yield prefix + key, value


def _wanted(option: click.Option, value: Any) -> str:
    """What a value must be, "" if it is that; the range of a number is click's to check."""
    if option.multiple and isinstance(value, list):
        return next((f"a list, and each item {said}" for one in value if (said := _type(option, one))), "")
    return _type(option, value)


def _type(option: click.Option, value: Any) -> str:
    if option.is_flag:
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(option.type, click.types.IntParamType):
        return "" if isinstance(value, int) and not isinstance(value, bool) else "a whole number"
    if isinstance(option.type, click.types.FloatParamType):
        return "" if isinstance(value, (int, float)) and not isinstance(value, bool) else "a number"
    return "" if isinstance(value, str) else "a text in quotes"
