"""The command `cxotel`: what it lists, what it needs, how it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest
from judge_samples import spans, text

from cxotel import __version__
from cxotel.cli import SUBCOMMANDS

# Runs `cxotel` as if packages were not installed.
WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from cxotel.__main__ import main
main({args!r}, prog_name="cxotel")
"""


def run(*args: str, without: tuple[str, ...] = (), stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "cxotel", *args]
    if without:
        command = [sys.executable, "-c", WITHOUT.format(packages=without, args=args)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)


def test_version_is_the_packages() -> None:
    """One number in one place."""
    assert f"cxotel, version {__version__}\n" == run("--version").stdout


def test_help_lists_every_subcommand_with_an_example_of_each() -> None:
    """Without importing any of them: it works where no extra but the command line's is installed."""
    shown = run("--help", without=("rich", "yaml", "grpc", "starlette", "aiortc", "opentelemetry.sdk"))
    assert 0 == shown.returncode
    for name, where in SUBCOMMANDS.items():
        assert f"  {name}  " in shown.stdout
        assert where.help in shown.stdout
        assert f"cxotel {name} " in shown.stdout


def test_no_subcommand_shows_the_help() -> None:
    """Rather than a bare error; the status is click's own choice (2 from 8.2 on)."""
    shown = run()
    assert "Commands:" in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("args", "without", "said"),
    [
        ((), "click", "cxotel: the command line needs click. Run: pip install 'cxotel[cli]'"),
        (("judge", "-"), "rich", "Error: `cxotel judge` needs rich. Run: pip install 'cxotel[cli]'"),
        (("judge", "-"), "yaml", "Error: `cxotel judge` needs yaml. Run: pip install 'cxotel[cli]'"),
        (("serve",), "starlette", "Error: `cxotel serve` needs starlette. Run: pip install 'cxotel[desk]'"),
        (("demo",), "aiortc", "Error: `cxotel demo` needs aiortc. Run: pip install 'cxotel[desk,webrtc]'"),
    ],
)
def test_a_missing_extra_names_the_install(args: tuple[str, ...], without: str, said: str) -> None:
    """The exact command to run."""
    done = run(*args, without=(without,))
    assert (1, "", said) == (done.returncode, done.stdout, done.stderr.strip())


def test_judge_needs_neither_sdk_nor_protobuf_nor_server() -> None:
    """A file is judged with opentelemetry-api and the extra `cli` alone."""
    heavy = (
        "opentelemetry.sdk",
        "opentelemetry.proto",
        "google.protobuf",
        "grpc",
        "starlette",
        "aiortc",
        "numpy",
    )
    done = run("judge", "-", without=heavy, stdin=text(spans()))
    assert (0, "") == (done.returncode, done.stderr)
    assert "call 0" in done.stdout


def test_an_unknown_subcommand_is_wrong_usage() -> None:
    """Said, with status 2."""
    done = run("jugde")
    assert 2 == done.returncode
    assert "jugde" in done.stderr


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    """`cxotel judge ... | head -1`."""
    judge = subprocess.Popen(
        [sys.executable, "-m", "cxotel", "judge", "--json", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert judge.stdin
    assert judge.stdout
    assert judge.stderr
    judge.stdout.close()
    judge.stdin.write("\n".join(text(spans(n)) for n in range(1, 200)).encode())
    judge.stdin.close()
    said = judge.stderr.read()
    judge.stderr.close()
    judge.wait()
    assert b"Traceback" not in said
