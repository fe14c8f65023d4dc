"""Runs every code block of README and docs as a test: Python in one namespace a page, bash in a shell.

They export to a real desk, as a reader would. Run by `make doctest`, in a process of its own: pages configure
OpenTelemetry for the whole process, as programs do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sybil.example import Example

ROOT = Path(__file__).parent


@pytest.fixture(scope="session")
def desk() -> Iterator[None]:
    """A desk that the pages' programs find by OpenTelemetry's own variable."""
    from cxotel.desk.app import Desk  # noqa: PLC0415 (other tests need no desk)

    with Desk() as running:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = running.grpc_endpoint
        os.environ["DESK_PAGES"] = running.web_url
        os.environ["CXOTEL_DESK_DB"] = str(running.store.path)
        with tempfile.TemporaryDirectory() as backups:
            os.environ["BACKUPS"] = backups
            yield


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
    patterns=["README.md", "docs/*.md", "docs/*/*.md", "examples/*/README.md"],
    fixtures=["desk"],
).pytest()
