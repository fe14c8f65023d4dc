"""What following a call costs an aiortc process: CPU beside a bare call, and time on the event loop per tick.

    python benchmarks/softphone.py [--pairs 6] [--seconds 8] [--calls 4]

A pair is two processes that run at the same time, one bare, one instrumented, so that whatever else the
machine does hits both. Each places some calls, waits until all are connected and then measures its own CPU
time. The ratio is the median over the pairs. Spans go through a BatchSpanProcessor to an exporter that throws
them away.
(Not named aiortc.py: as a script it would hide the package of that name.)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.contrib.media import MediaBlackhole
from aiortc.mediastreams import AudioStreamTrack
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from cxotel.instrument import _peer
from cxotel.instrument.aiortc import AiortcInstrumentor


class Nowhere(SpanExporter):
    """Throws spans away."""

    def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002 (it throws them away)
        """Take them."""
        return SpanExportResult.SUCCESS


def party() -> RTCPeerConnection:
    """One side of a call: sends silence, reads all that comes."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTrack(AudioStreamTrack())
    sink = MediaBlackhole()

    @pc.on("track")
    async def on_track(track: Any) -> None:
        sink.addTrack(track)
        await sink.start()

    return pc


async def place(calls: int) -> list[RTCPeerConnection]:
    """Place calls and wait until all are connected."""
    parties = []
    for _ in range(calls):
        a, b = party(), party()
        await a.setLocalDescription(await a.createOffer())
        await b.setRemoteDescription(a.localDescription)
        await b.setLocalDescription(await b.createAnswer())
        await a.setRemoteDescription(b.localDescription)
        parties += [a, b]
    while any(pc.connectionState != "connected" for pc in parties):  # noqa: ASYNC110 (aiortc has no event for it)
        await asyncio.sleep(0.05)
    return parties


async def cpu(calls: int, seconds: float) -> float:
    """CPU seconds of the process per second of one call."""
    parties = await place(calls)
    await asyncio.sleep(0.5)
    cpu_before, before = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    spent, lasted = time.process_time() - cpu_before, time.monotonic() - before
    for pc in parties:
        await pc.close()
    return spent / lasted / calls


def timed(cls: type, name: str, into: list[float]) -> None:
    """Note how long each run of a method takes, in ms."""
    method = getattr(cls, name)

    def run(*args: Any) -> None:
        before = time.perf_counter()
        method(*args)
        into.append((time.perf_counter() - before) * 1000)

    setattr(cls, name, run)


def instrument() -> None:
    """Follow every connection of this process."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    AiortcInstrumentor().instrument(tracer_provider=provider)


def run(kind: str, calls: int, seconds: float) -> None:
    """What one process of a pair does; prints one line of JSON."""
    ticks: list[float] = []
    frames: list[float] = []
    if kind != "bare":
        instrument()
    if kind == "timed":  # timing every tick and frame costs time itself, so it is a run of its own
        timed(_peer.Peer, "_tick", ticks)
        timed(_peer.Peer, "_on_frame", frames)
    spent = asyncio.run(cpu(calls, seconds))
    print(json.dumps({"cpu": spent, "ticks": sorted(ticks), "frames": sorted(frames)}))


def start(kind: str, args: argparse.Namespace) -> subprocess.Popen[str]:
    """A process of its own for one run."""
    command = [
        sys.executable,
        __file__,
        "--run",
        kind,
        "--calls",
        str(args.calls),
        "--seconds",
        str(args.seconds),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> Any:
    """What a process printed.

    Raises:
        RuntimeError: it failed.
    """
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a run ended with status {process.returncode}")
    return json.loads(output)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--calls", type=int, default=4, help="at once, in each process")
    parser.add_argument("--run", choices=("bare", "instrumented", "timed"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        run(args.run, args.calls, args.seconds)
        return

    ratios, bares = [], []
    for pair in range(args.pairs):
        order = ("bare", "instrumented") if pair % 2 else ("instrumented", "bare")
        processes = {kind: start(kind, args) for kind in order}
        spent = {kind: finish(process)["cpu"] for kind, process in processes.items()}
        ratios.append(spent["instrumented"] / spent["bare"])
        bares.append(spent["bare"])
        print(
            f"pair {pair + 1}: {100 * bares[-1]:.2f} % of a core bare, x {ratios[-1]:.3f} instrumented",
            flush=True,
        )

    alone = finish(start("timed", args))
    ticks, frames = alone["ticks"], alone["frames"]
    print(
        json.dumps(
            {
                "benchmark": "softphone",
                "cpu_ratio_median": round(statistics.median(ratios), 4),
                "cpu_ratio_allowed": 1.05,
                "cpu_bare_percent_of_core_per_call": round(100 * statistics.median(bares), 2),
                "tick_ms_median": round(statistics.median(ticks), 3),
                "tick_ms_p99": round(ticks[int(len(ticks) * 0.99) - 1], 3),
                "tick_ms_allowed": 1.0,
                "frame_us_median": round(1000 * statistics.median(frames), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
