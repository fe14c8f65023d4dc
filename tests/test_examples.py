"""Each example runs as its README says, and a desk judges what it sends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A desk of its own for each test, that does not wait long for late spans."""
    with Desk(timing=Timing(grace=1.0)) as running:
        yield running


def run(script: str, desk: Desk) -> dict[str, object]:
    """The verdict's attributes of the call that an example places."""
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": desk.grpc_endpoint}
    done = subprocess.run(
        [sys.executable, EXAMPLES / script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trace_id = done.stdout.split()[-1]
    attributes: dict[str, object] = desk.wait_for_verdict(trace_id)["attributes"]
    return attributes


def test_ivr_charges_the_queue(desk: Desk) -> None:
    """The caller waited 32 s, 12 s more than is due; nobody measured the audio, and the verdict says so."""
    verdict = run("ivr/ivr.py", desk)
    assert verdict["cx.impact.charge.ccaas"] == 12.0
    assert verdict["cx.impact.owner"] == "Workforce management"
    assert verdict["cx.impact.unobserved"] == ["carrier", "agent_network", "endpoint"]


def test_slow_crm_is_charged(desk: Desk) -> None:
    """A lookup of 3.5 s costs the waiting customer 1.5 s beyond the allowance."""
    verdict = run("crm/crm.py", desk)
    assert verdict["cx.impact.layer"] == "crm"
    assert verdict["cx.impact.owner"] == "CRM team"
    assert verdict["cx.impact.lost_seconds"] == pytest.approx(1.5, abs=0.3)
