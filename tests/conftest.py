"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# CI machines are slow and shared: no deadlines; the number of examples is each test's own choice.
settings.register_profile("cxotel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cxotel")

# Settings of the developer's shell must not reach the tests.
for name in [n for n in os.environ if n.startswith(("OTEL_", "CXOTEL_"))]:
    if name not in {
        "CXOTEL_JAEGER",
        "CXOTEL_TEMPO",
        "CXOTEL_PROMETHEUS",
        "CXOTEL_COLLECTOR",
        "CXOTEL_DIFFERENTIAL",
    }:
        del os.environ[name]


@pytest.fixture
def in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no test ran: errors of ours are swallowed."""
    monkeypatch.setattr("cxotel._guard.under_pytest", lambda: False)
