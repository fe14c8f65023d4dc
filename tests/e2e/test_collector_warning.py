"""A real call turns bad, and the Collector says so while it runs."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import pytest
from collector_rig import NO_QUEUE, Backend, Collector, collector_binary

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(collector_binary() is None, reason="no otelcol-cx: run `make collector`"),
]

WITHIN = 10.0  # seconds after the audio turned bad, with the SDK's own settings


async def test_a_call_without_audio_is_warned_of_within_seconds(tmp_path: Path) -> None:
    """One-way audio from the first second: windows of 5 s, the SDK and the judge fit into 10 s."""
    backend = Backend()
    await backend.up()
    collector = Collector(tmp_path, backend.port, queue=NO_QUEUE)
    try:
        collector.start()
        await collector.ready()
        demo = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cxotel", "demo", "--calls", "one-way", "--seed", "5"),
            *("--export", f"http://127.0.0.1:{collector.port}"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert await asyncio.wait_for(demo.wait(), 120) == 0
        await backend.settled(2)
    finally:
        collector.close()
        await backend.down()
    arrivals = list(backend.arrivals())
    by_id = {arrival.key: arrival for arrival in arrivals}
    warning = next(one for one in arrivals if one.span.name == "impact warning")
    root = next(one for one in arrivals if one.span.name == "call inbound")
    episode = by_id[warning.key[0], warning.span.parent_span_id.hex()]
    assert episode.span.name == "media episode"
    assert warning.attributes["cx.warning.layer"] == "agent_network"
    assert warning.attributes["cx.warning.what"] == "loss"
    assert warning.at < root.at
    clocks = time.time() - time.monotonic()  # spans have the one, arrivals the other
    onset = episode.span.start_time_unix_nano / 1e9 - clocks
    assert 5 < warning.at - onset < WITHIN
    assert root.attributes["cx.impact.layer"] == "agent_network"
