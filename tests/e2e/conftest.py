"""What is set up for many tests: the demo's calls, the backends that have them, a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from demo_recording import Recording, record
from hub import Hub, running_hub
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def demo() -> Recording:
    """The demo's nine calls, placed now."""
    return record()


@pytest.fixture(scope="session")
def hub(demo: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Jaeger, Tempo and Prometheus with those calls, through otelcol-cx."""
    with running_hub(demo, tmp_path_factory.mktemp) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()
