"""Real calls through all processes of the demo, from speech to verdict."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from cxotel.demo.accuracy import SETTLE
from cxotel.demo.impair import TO_AGENT, Impairment
from cxotel.demo.playout import Device
from cxotel.demo.run import CallRecord, Rig
from cxotel.demo.scenario import CARRIER, Scenario
from cxotel.demo.sink import Sink
from cxotel.demo.truth import truth_spans
from cxotel.impact import Verdict, judge

if TYPE_CHECKING:
    from pathlib import Path

    from cxotel.impact.span import Span

pytestmark = pytest.mark.media

CALLS = {
    "outage": Scenario(
        "outage",
        "outage",
        impairments=(Impairment(CARRIER, TO_AGENT, start=2, end=8, loss=1.0),),
        ivr=False,
        queue_seconds=0.0,
        talk_seconds=11.0,
    ),
    "overrun": Scenario(
        "overrun",
        "overrun",
        device=Device(period=2, capacity=1, start=1),
        ivr=False,
        queue_seconds=0.0,
        talk_seconds=11.0,
        join="key",
        codec="opus",
    ),
}


async def test_real_calls_are_judged_as_what_was_done_to_them(tmp_path: Path) -> None:
    """An outage of the carrier and a broken sound device, joined by headers and by key, PCMU and Opus."""
    with Sink() as sink:
        async with Rig(sink.endpoint, tmp_path, seed=1, protocol="http/protobuf") as rig:
            records = await asyncio.gather(*(rig.place(call) for call in CALLS.values()))
            assert [] == await rig.lost()
            await asyncio.sleep(SETTLE)
            found = [(record, sink.spans(record.trace_id)) for record in records]
    for (record, spans), layer in zip(found, ("carrier", "endpoint"), strict=True):
        truth, verdict = judge(truth_spans(record, spans)), judge(spans)
        assert (layer, layer) == (_layer(truth), _layer(verdict)), verdict.attributes
        assert _lost(verdict) == pytest.approx(_lost(truth), rel=0.2)
        _is_whole(record, spans)


async def test_spans_that_nobody_took_are_told_by_party(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that went away after the calls had begun; a party that is gone is told too."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    short = Scenario("short", "short", ivr=False, queue_seconds=0.0, talk_seconds=2.0)
    with Sink() as sink:
        endpoint = sink.endpoint
    async with Rig(endpoint, tmp_path, seed=1, protocol="http/protobuf") as rig:
        await rig.place(short)
        said = [re.sub("[0-9]+", "N", sentence) for sentence in await rig.lost()]
    assert {f"N span(s) of {party} were lost (export_failed N)" for party in ("agent", "platform")} <= {*said}
    gone = await rig.lost()
    assert all(sentence.startswith("spans of ") for sentence in gone)
    assert len(gone) == 5


def _layer(verdict: Verdict) -> object:
    return verdict.attributes["cx.impact.layer"]


def _lost(verdict: Verdict) -> float:
    lost = verdict.attributes["cx.impact.lost_seconds"]
    assert isinstance(lost, float)
    return lost


def _is_whole(record: CallRecord, spans: list[Span]) -> None:
    """All parties are in one trace, and the proxy saw the audio of both hops in both directions."""
    assert {span.service for span in spans} == {"demo-platform", "demo-agent", "demo-crm"}
    assert {span.trace_id for span in spans} == {record.trace_id}
    counts = [len(packets) for hop in record.hops.values() for packets in hop["packets"].values()]
    assert len(counts) == 4
    assert min(counts) > 500
