"""The command `cxotel`. A subcommand is imported when it is asked for: none needs another's packages."""

from __future__ import annotations

import importlib
import os
from typing import NamedTuple

try:
    import click
except ModuleNotFoundError:
    raise SystemExit("cxotel: the command line needs click. Run: pip install 'cxotel[cli]'") from None

from cxotel._version import __version__

# gRPC's core writes to standard error on its own account, also between lines of JSON.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class Subcommand(NamedTuple):
    """Where a subcommand is and what it needs beside the core."""

    module: str
    name: str
    extras: str
    help: str


SUBCOMMANDS = {
    "db": Subcommand("cxotel.desk.dbcommand", "db", "desk", "Look after what a desk keeps."),
    "demo": Subcommand("cxotel.demo.command", "demo", "desk,webrtc", "Place real calls and judge them."),
    "doctor": Subcommand(
        "cxotel.desk.doctor", "doctor", "desk", "Find why calls do not come, and what to do."
    ),
    "judge": Subcommand("cxotel.judge", "judge", "cli", "Say what calls cost and which layer did it."),
    "serve": Subcommand("cxotel.desk.command", "serve", "desk", "Receive calls over OTLP, show verdicts."),
}

EPILOG = """\b
Examples:
  cxotel demo                          real calls, verdicts on a page, in a minute
  cxotel doctor --send                 a test call through your exporter, and what is wrong if none comes
  cxotel judge trace.json              the verdict on a call
  curl -s localhost:16686/api/v3/traces/ID | cxotel judge -
                                       the same, out of Jaeger
  cxotel db backup copy.sqlite         while the desk runs
  cxotel serve                         OTLP on 4317 and 4318, pages on 8317
"""


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is run or asked for help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """All subcommands, in alphabetical order."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        """The subcommand.

        Raises:
            click.ClickException: one of its packages is not installed; the text says what to run.
        """
        if cmd_name not in SUBCOMMANDS:
            return None
        where = SUBCOMMANDS[cmd_name]
        try:
            command: click.Command = getattr(importlib.import_module(where.module), where.name)
        except ModuleNotFoundError as missing:
            if (missing.name or "").split(".")[0] == "cxotel":
                raise  # not an extra: our own mistake
            message = f"`cxotel {cmd_name}` needs {missing.name}. Run: pip install 'cxotel[{where.extras}]'"
            raise click.ClickException(message) from None
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's signature)
        """The list in `--help`, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, where.help) for name, where in SUBCOMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cxotel")
def main() -> None:
    """One contact-centre call as one OpenTelemetry trace, with a verdict.

    What did a call cost its people, and which layer did it: carrier, platform, the agent's
    network, headset, voice AI, handoff or CRM?
    """
