"""What costs a minute to set up is set up once: the demo's calls, and the backends that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from demo_recording import Recording, record
from hub import Hub, running_hub

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def demo() -> Recording:
    """The demo's nine calls, placed now."""
    return record()


@pytest.fixture(scope="session")
def hub(demo: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """Jaeger, Tempo and Prometheus with those calls, through otelcol-cx."""
    with running_hub(demo, tmp_path_factory.mktemp) as running:
        yield running
