"""Tried by `make wheel` in an environment that has the built wheel and nothing of this repository.

`core`: the wheel alone (opentelemetry-api is all it needs). `all`: with every extra.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

BIN = Path(sys.executable).parent


def run(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the installed command, away from the repository."""
    return subprocess.run(
        [BIN / "cxotel", *args], input=stdin, text=True, capture_output=True, cwd="/", check=False
    )


def core() -> None:
    """Records calls without an SDK, and says what the command line lacks."""
    import cxotel

    installed = {d.metadata["Name"] for d in distributions()}
    assert "opentelemetry-sdk" not in installed, installed
    assert str(BIN.parent) in cxotel.__file__, cxotel.__file__
    with cxotel.start_call("smoke") as call, call.start_leg("carrier"):
        pass
    asked = run("judge", "--help")
    assert asked.returncode != 0, asked
    assert "pip install" in asked.stderr, asked


def everything() -> None:
    """Judges a call and helps with every command."""
    for command in ([], ["judge"], ["serve"], ["demo"]):
        done = run(*command, "--help")
        assert done.returncode == 0, done
    root = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "00000000000000e1",
        "name": "call inbound",
        "startTimeUnixNano": "1000000000",
        "endTimeUnixNano": "31000000000",
        "attributes": [{"key": "cx.layer", "value": {"stringValue": "call"}}],
    }
    request = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [root]}]}]})
    done = run("judge", "--json", "-", stdin=request)
    assert done.returncode == 0, done
    assert '"cx.impact.lost_seconds": 0' in done.stdout, done


if __name__ == "__main__":
    {"core": core, "all": everything}[sys.argv[1]]()
    sys.stdout.write(f"the wheel works ({sys.argv[1]})\n")
