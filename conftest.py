"""Runs every code block of README and docs as a test: Python in one namespace a page, bash in a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

if TYPE_CHECKING:
    from sybil.example import Example

ROOT = Path(__file__).parent


def run_shell(example: Example) -> str | None:
    """Run a bash block in the repository, with this interpreter's commands first on PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(  # noqa: S603 (our own docs)
        ["/bin/bash", "-euo", "pipefail", "-c", example.parsed],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "CI": "true"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return None if done.returncode == 0 else f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser(language="bash", evaluator=run_shell), SkipParser()],
    patterns=["README.md", "docs/*.md", "examples/*/README.md"],
).pytest()
