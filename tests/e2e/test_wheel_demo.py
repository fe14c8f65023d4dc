"""A newcomer's path: the wheel in an empty environment, and `cxotel demo`, without the repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent


def test_the_demo_runs_out_of_the_wheel(tmp_path: Path) -> None:
    """Two real calls, one of them with a planted cause, judged as planted."""
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    assert uv, "make setup installs uv"
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["UV_SYSTEM_CERTS"] = "true"

    def run(*command: str | Path, may: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode in may, done
        return done

    run(uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", ROOT)
    run(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "env")
    [wheel] = (tmp_path / "dist").glob("*.whl")
    run(uv, "pip", "install", "--quiet", "--python", tmp_path / "env", f"{wheel}[all]")
    # 2: this machine was too busy to send packets in time, which proves nothing of a verdict
    told = run(
        tmp_path / "env" / "bin" / "cxotel", "demo", "--json", "--calls", "healthy,dropped", may=(0, 2)
    )
    rows = [json.loads(line) for line in told.stdout.splitlines()]
    assert ["healthy", "dropped"] == [row["call"] for row in rows]
    for row in rows:
        assert row["attributes"]["cx.impact.summary"]
        assert row["agrees"] in ((True,) if told.returncode == 0 else (True, None))
