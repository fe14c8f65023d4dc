"""Tried by `make wheel` in an environment that has the built wheel and nothing of this repository.

`core`: the wheel alone (opentelemetry-api is all it needs). `all`: with every extra.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
TRACE = "5b8efff798038103d269b633813fc60c"


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
    """Judges a call, serves, and helps with every command."""
    for command in ([], ["judge"], ["serve"], ["demo"], ["doctor"]):
        done = run(*command, "--help")
        assert done.returncode == 0, done
    root = {
        "traceId": TRACE,
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
    desk(request)


def desk(request: str) -> None:
    """A desk out of the wheel takes a call over OTLP/HTTP and tells its verdict."""
    free = {f"CXOTEL_DESK_{one}_PORT": "0" for one in ("GRPC", "HTTP", "WEB")}
    with tempfile.TemporaryDirectory() as folder:
        serving = subprocess.Popen(
            [BIN / "cxotel", "serve", "--db", f"{folder}/desk.sqlite", "--grace", "0.1"],
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env=os.environ | free,
        )
        try:
            assert serving.stdout is not None
            lines = [serving.stdout.readline().rsplit(maxsplit=1) for _ in range(3)]
            pages, _, otlp = (line[-1] for line in lines)
            sent = urllib.request.Request(
                f"{otlp}/v1/traces", request.encode(), {"content-type": "application/json"}
            )
            assert fetched(sent) == (200, {})
            deadline = time.monotonic() + 30
            status, verdict = fetched(f"{pages}/call/{TRACE}.json")
            while verdict.get("state") != "final":
                assert time.monotonic() < deadline, (status, verdict)
                time.sleep(0.05)
                status, verdict = fetched(f"{pages}/call/{TRACE}.json")
            assert verdict["attributes"]["cx.impact.severity"] == "none", verdict
            assert fetched(f"{pages}/ready")[0] == 200
        finally:
            serving.terminate()
            assert serving.wait(30) == 0


def fetched(what: str | urllib.request.Request) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    try:
        with urllib.request.urlopen(what, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


if __name__ == "__main__":
    {"core": core, "all": everything}[sys.argv[1]]()
    sys.stdout.write(f"the wheel works ({sys.argv[1]})\n")
