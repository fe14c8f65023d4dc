"""What really happened to a call's audio, as spans for the impact model (records of proxy and device).

Nothing here comes from what the SDK measured but the times of the call: where its windows begin, and how long
people talked. A window of the model is 5 s, and a fault that begins inside one costs more or less depending
on where windows begin; so truth and measurement are compared on the same grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxotel import _semconv as names
from cxotel.demo.impair import DIRECTIONS, TO_AGENT
from cxotel.demo.scenario import AGENT_NETWORK, CARRIER, ENDPOINT
from cxotel.impact.span import Span
from cxotel.media import series
from cxotel.media.playout import LEAST_SECONDS, ReferencePlayout
from cxotel.media.rtp import Unwrapper

if TYPE_CHECKING:
    from cxotel.demo.run import CallRecord

WINDOW = 5.0
_NS = 1_000_000_000

Figures = tuple[float | None, float | None]
"""Loss in percent and delay in ms of one window, None where nothing was sent."""


def truth_spans(record: CallRecord, measured: list[Span]) -> list[Span]:
    """Root, talk and one leg a layer, each leg with the recorded truth of both directions."""
    frame = [
        span for span in measured if span.attributes.get(names.CX_LAYER) == "call" or span.name == "talk"
    ]
    legs: list[Span] = []
    for layer in (CARRIER, AGENT_NETWORK, ENDPOINT):
        # Where nobody measured a layer, the talk says when there was one.
        talks = [span for span in measured if span.name == "talk"]
        leg = _longest([s for s in measured if _is_leg(s, layer)]) or _longest(talks)
        if leg is None:
            continue
        attributes = {names.CX_LAYER: layer, names.CX_ACTIVITY: "converse", names.CX_MEDIA_WINDOW: WINDOW}
        figures = _device(record, leg) if layer == ENDPOINT else _hop(record, layer, leg)
        for direction, windows in figures.items():
            attributes |= _series(direction, windows)
        legs.append(
            Span(leg.trace_id, f"{len(legs) + 1:016x}", f"true {layer}", leg.start, leg.end, attributes)
        )
    return frame + legs


def _is_leg(span: Span, layer: str) -> bool:
    return span.attributes.get(names.CX_LAYER) == layer and names.CX_MEDIA_WINDOW in span.attributes


def _longest(spans: list[Span]) -> Span | None:
    return max(spans, key=lambda span: span.end - span.start, default=None)


def _series(direction: str, windows: list[Figures]) -> dict[str, Any]:
    return {
        f"cx.media.{direction}.loss_pct": series.encode([loss for loss, _ in windows], 1),
        f"cx.media.{direction}.delay_ms": series.encode([delay for _, delay in windows], 0),
    }


def _hop(record: CallRecord, hop: str, leg: Span) -> dict[str, list[Figures]]:
    report = record.hops.get(hop)
    if report is None or report["first_rtp_ns"] is None:
        return {}
    offset = (report["first_rtp_ns"] - leg.start) / _NS
    length = (leg.end - leg.start) / _NS
    rate = 48000 if record.scenario.codec == "opus" else 8000
    return {
        direction: hop_windows(report["packets"][direction], rate, offset, length) for direction in DIRECTIONS
    }


def hop_windows(packets: list[list[Any]], rate: int, offset: float, length: float) -> list[Figures]:
    """Loss and delay by window of one direction, of a proxy's record.

    Lost is what the proxy dropped and what the reference playout buffer would have had to throw away; a
    packet belongs to the window in which it came to the proxy. The delay is that of the proxy and what the
    buffer needs beyond what it waits on a perfect path too.

    Args:
        packets: rows of `proxy.Record`.
        rate: the RTP clock, Hz.
        offset: seconds from window 0's start to the hop's first RTP packet.
        length: seconds from window 0's start to the last window's end.
    """
    late, delays = _played(packets, rate)
    sent: dict[int, int] = {}
    lost: dict[int, int] = {}
    waits: dict[int, list[float]] = {}
    for number, (_, _, arrival, departure, _) in enumerate(packets):
        index = int((arrival / 1e6 + offset) // WINDOW)
        sent[index] = sent.get(index, 0) + 1
        if departure is None or number in late:
            lost[index] = lost.get(index, 0) + 1
        else:
            waits.setdefault(index, []).append(delays[number])
    return [
        (
            100 * lost.get(index, 0) / sent[index] if index in sent else None,
            sum(waits[index]) / len(waits[index]) if index in waits else None,
        )
        for index in range(-int(-length // WINDOW))
    ]


def _played(packets: list[list[Any]], rate: int) -> tuple[set[int], dict[int, float]]:
    """Numbers of the packets that came too late, and ms from sending to playing of the others."""
    unwrap, buffer = Unwrapper(32), ReferencePlayout(rate)
    stamps = [unwrap.add(row[1]) for row in packets]
    late: set[int] = set()
    delays: dict[int, float] = {}
    fastest = None
    arriving = sorted((row[3], number) for number, row in enumerate(packets) if row[3] is not None)
    for departure, number in arriving:
        transit = (departure - packets[number][2]) / 1000
        fastest = transit if fastest is None else min(fastest, transit)
        too_late, needed = buffer.add(stamps[number], departure / 1e6)
        if too_late:
            late.add(number)
        else:
            delays[number] = fastest + max(0.0, needed - LEAST_SECONDS) * 1000
    return late, delays


def _device(record: CallRecord, leg: Span) -> dict[str, list[Figures]]:
    came: dict[int, int] = {}
    thrown: dict[int, int] = {}
    for at, was_thrown in record.device:
        index = int((at - leg.start) / _NS // WINDOW)
        came[index] = came.get(index, 0) + 1
        thrown[index] = thrown.get(index, 0) + was_thrown
    length = (leg.end - leg.start) / _NS
    return {
        TO_AGENT: [
            (100 * thrown[index] / came[index], record.device_delay_ms) if index in came else (None, None)
            for index in range(-int(-length // WINDOW))
        ]
    }
