"""otelcol-cx from the outside: killed, cut off, out of space; what it acknowledged comes, and once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import kill
import pytest
from backends import free_ports
from collector_rig import NO_QUEUE, ROOT, Arrival, Backend, Client, Collector, collector_binary
from durable_calls import Call, make_call

from cxotel.otlp import to_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cxotel.impact import Span

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(collector_binary() is None, reason="no otelcol-cx: run `make collector`"),
]
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounting needs root"
)

KILLS = 12
OUTAGE_SECONDS = 15.0
MANY = 45_000  # more verdicts than may wait (mostWaiting in processor.go) and the small queue takes
MEMORY = 400 << 20  # bytes, resident
BUILDER = ROOT / "collector" / ".tools" / "builder"
# What somebody else's build says: our parts as any others. The last line stands in for a published module.
MANIFEST = """
dist: {{module: example.com/their-collector, name: their-collector, output_path: {folder}/build}}
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v0.161.0
processors:
  - gomod: github.com/cxotel/cxotel/collector v0.1.0
    import: github.com/cxotel/cxotel/collector/cximpactprocessor
connectors:
  - gomod: github.com/cxotel/cxotel/collector v0.1.0
    import: github.com/cxotel/cxotel/collector/cximpactconnector
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/debugexporter v0.161.0
providers:
  - gomod: go.opentelemetry.io/collector/confmap/provider/envprovider v1.67.0
  - gomod: go.opentelemetry.io/collector/confmap/provider/fileprovider v1.67.0
replaces:
  - github.com/cxotel/cxotel/collector => {tree}
"""
THEIR_CONFIG = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
processors: {{cx_impact: {{grace: 100ms}}}}
connectors: {{cx_impact: {{flush_interval: 1s}}}}
exporters: {{debug: {{verbosity: detailed}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [cx_impact], exporters: [debug, cx_impact]}}
    metrics: {{receivers: [cx_impact], exporters: [debug]}}
    logs: {{receivers: [cx_impact], exporters: [debug]}}
  telemetry: {{metrics: {{level: none}}}}
"""
# A file system of 1 MiB, or a folder that can only be read; then the Collector in place of the shell.
SMALL = 'mkdir -p "$0" && mount -t tmpfs -o size=1m none "$0" && exec "$@"'
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@asynccontextmanager
async def running(folder: Path, **more: Any) -> AsyncIterator[tuple[Collector, Backend, Client]]:
    """A Collector that takes spans, what is behind it and in front of it."""
    backend = Backend()
    await backend.up()
    collector = Collector(folder, backend.port, **more)
    client = Client(collector.port)
    try:
        collector.start()
        await collector.ready()
        yield collector, backend, client
    finally:
        collector.close()
        await client.close()
        await backend.down()


def a_call(key: str) -> Call:
    """An announced call of several waits, without a span after its root and without another key."""
    for seed in range(100):
        call = make_call(key, random.Random(seed))
        if call.start and not call.late and not call.other:
            return call
    raise AssertionError


async def send(client: Client, *spans: Any, seconds: float = 60.0) -> None:
    """Sends spans until they are acknowledged."""
    await client.send(to_request(spans).SerializeToString(), seconds)


async def send_children(client: Client, call: Call) -> None:
    """Everything of a call but its root."""
    await send(client, *(piece.span for piece in call.pieces if piece is not call.root))


def arrived(backend: Backend, call: Call) -> list[Arrival]:
    """Every copy of a call's root that came."""
    return [one for one in backend.arrivals() if one.key == call.root.key]


async def eventually(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What is asked for, once there is something; fails if there never is."""
    until = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < until, "did not happen"
        await asyncio.sleep(0.05)
    return found


async def verdict(backend: Backend, call: Call) -> dict[str, Any]:
    """The attributes of a call's root, of which one content only came."""
    found = await eventually(lambda: arrived(backend, call))
    assert 1 == len({one.content for one in found})
    attributes: dict[str, Any] = found[0].attributes
    return attributes


def lost_by(call: Call) -> float:
    """The lost seconds of a call all of whose spans were seen."""
    return float(sum(piece.bit for piece in call.waits))


@pytest.mark.parametrize("queued", [True, False], ids=["queue", "no queue"])
async def test_sigkills_under_load_break_no_promise(tmp_path: Path, queued: bool) -> None:
    """A short `make kill`."""
    run = await kill.kill_again_and_again(tmp_path, kills=KILLS, seed=7, queued=queued)
    assert {} == run.outcome.broken, run.report
    assert 100 < run.outcome.counts["roots acknowledged"]
    assert 0 < run.outcome.counts["verdicts partial"] < run.outcome.counts["calls"]


async def test_a_backend_that_is_away_misses_nothing(tmp_path: Path) -> None:
    """A short `make outage`, with the configuration that is shipped for Jaeger."""
    run = await kill.outage(tmp_path, seconds=OUTAGE_SECONDS, seed=7)
    assert {} == run.outcome.broken, run.report
    assert 0 < run.outcome.counts["requests that came after the outage"]


async def test_a_root_of_another_key_is_not_sent_at_every_restart(tmp_path: Path) -> None:
    """It is stored by its own trace id and released with the call that it turned out to be part of."""
    async with running(tmp_path, queue=NO_QUEUE) as (collector, backend, client):
        call = a_call("alias")
        other = a_call("alias-b")
        await send(client, other.root.span)
        call.waits[0].span.attributes = {**call.waits[0].span.attributes, "cx.call.alias": ["alias-b"]}
        await send_children(client, call)
        await verdict(backend, other)
        await asyncio.sleep(0.6)
        for _ in range(2):
            await asyncio.to_thread(collector.kill)
            collector.start()
            await collector.ready()
            await asyncio.sleep(1)
        assert 1 == len({one.content for one in arrived(backend, other)})


async def test_a_late_span_is_told_of_after_a_crash(tmp_path: Path) -> None:
    """Its facts are stored within a second, and the correction is due when the Collector is dead."""
    async with running(tmp_path, grace=2) as (collector, backend, client):
        call = a_call("late")
        late = call.waits.pop()
        await send_children(client, call)
        await send(client, call.root.span)
        assert lost_by(call) == (await verdict(backend, call))["cx.impact.lost_seconds"]
        await send(client, late.span)
        await asyncio.sleep(1.1)
        await asyncio.to_thread(collector.kill)
        collector.start()
        corrections = await eventually(
            lambda: [one for one in backend.arrivals() if "impact correction" == one.span.name]
        )
        assert lost_by(call) + late.bit == corrections[0].attributes["cx.impact.lost_seconds"]


@pytest.mark.parametrize("announced", [True, False])
async def test_facts_lost_by_a_crash_are_said_to_be_missing(tmp_path: Path, announced: bool) -> None:
    """Killed at once after a span was acknowledged; also if nothing else says that the call had begun."""
    async with running(tmp_path) as (collector, backend, client):
        call = a_call("lost")
        await send(client, call.waits[0].span)
        await asyncio.to_thread(collector.kill)
        collector.start()
        if not announced:
            call.root.span.attributes = {
                name: value
                for name, value in call.root.span.attributes.items()
                if name != "cx.call.announced"
            }
        else:  # it comes after the crash
            await send(client, call.start.span)  # type: ignore[union-attr]
        await send(client, call.root.span)
        assert (await verdict(backend, call))["cx.impact.partial"]


async def test_a_crash_is_remembered_over_a_stop_in_order(tmp_path: Path) -> None:
    """The call may have missed spans before the crash, whatever came after."""
    async with running(tmp_path) as (collector, backend, client):
        call = a_call("twice")
        await send_children(client, call)
        await asyncio.sleep(1.1)
        await asyncio.to_thread(collector.kill)
        collector.start()
        await collector.ready()
        await asyncio.to_thread(collector.stop)
        collector.start()
        await send(client, call.root.span)
        attributes = await verdict(backend, call)
        assert attributes["cx.impact.partial"]
        assert lost_by(call) == attributes["cx.impact.lost_seconds"]


async def test_a_stop_in_order_costs_nothing(tmp_path: Path) -> None:
    """A rolling update with the storage kept: held roots and facts go on as if nothing had been."""
    async with running(tmp_path, grace=3) as (collector, backend, client):
        held, live = a_call("held"), a_call("live")
        await send_children(client, held)
        await send_children(client, live)
        await send(client, held.root.span)
        await asyncio.to_thread(collector.stop)
        assert not arrived(backend, held)
        collector.start()
        await send(client, live.root.span)
        for call in (held, live):
            attributes = await verdict(backend, call)
            assert not attributes["cx.impact.partial"]
            assert lost_by(call) == attributes["cx.impact.lost_seconds"]


async def test_it_starts_while_the_backend_is_away(tmp_path: Path) -> None:
    """Without a queue verdicts wait in the storage, and do not keep spans from being taken."""
    async with running(tmp_path, queue=NO_QUEUE) as (collector, backend, client):
        calls = [a_call(f"waiting-{number}") for number in range(12)]
        await backend.down()
        for call in calls:
            await send(client, call.root.span)
            await asyncio.sleep(0.06)
        await asyncio.sleep(1.5)
        await asyncio.to_thread(collector.kill)
        collector.start()
        await collector.ready(5)
        more = a_call("more")
        await send(client, more.root.span)
        await backend.up()
        for call in [*calls, more]:
            await verdict(backend, call)


async def test_more_than_can_wait_is_refused_and_the_rest_comes(tmp_path: Path) -> None:
    """A backend that refuses for long: memory is bounded, and every root that was acknowledged comes."""
    more = {"queue": "{storage: file_storage, queue_size: 20}"}
    async with running(tmp_path, **more) as (collector, backend, client):
        backend.refuses = grpc.StatusCode.UNAVAILABLE
        roots = [a_call(f"many-{number}").root.span for number in range(MANY)]
        parts = [roots[start : start + 500] for start in range(0, MANY, 500)]
        first = 0
        while not await is_too_many(client, parts[first]):
            first += 1
            await asyncio.sleep(0.03)  # they wait once their grace is over
        assert first > 30
        assert memory(collector) < MEMORY
        backend.refuses = None
        for part in parts[first:]:
            await send(client, *part)
        expected = {(span.trace_id, span.span_id) for span in roots}
        await eventually(lambda: expected <= {one.key for one in backend.arrivals()}, 90)


async def is_too_many(client: Client, spans: list[Span]) -> bool:
    """Whether they are refused because too much waits already; else they are acknowledged."""
    try:
        await send(client, *spans, seconds=1)
    except TimeoutError as error:
        return "too many verdicts wait" in str(error)
    return False


def memory(collector: Collector) -> int:
    """Resident bytes."""
    assert collector.process is not None
    pages = Path(f"/proc/{collector.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def test_what_is_refused_for_good_is_counted_and_the_rest_flows(tmp_path: Path) -> None:
    """Nobody will ever take it: it is lost, and says so."""
    async with running(tmp_path, queue=NO_QUEUE) as (collector, backend, client):
        bad, good = a_call("bad"), a_call("good")
        await send(client, bad.root.span)
        backend.refuses = grpc.StatusCode.INVALID_ARGUMENT
        await eventually(lambda: collector.metric("discarded_roots") == 1)
        backend.refuses = None
        await send(client, good.root.span)
        await verdict(backend, good)
        assert not arrived(backend, bad)


async def without_storage(collector: Collector, backend: Backend, client: Client) -> None:
    """A storage that takes nothing: roots go out at once, partial, counted, acknowledged when taken.

    Pages that a database has freed can still be written, so some roots may be held as ever before one is not.
    """
    held = []
    for number in range(300):
        call = a_call(f"no space {number}")
        await send_children(client, call)
        await send(client, call.root.span)
        if arrived(backend, call):  # acknowledged when it had been taken
            break
        held.append(call)
    attributes = await verdict(backend, call)
    assert attributes["cx.impact.partial"]
    assert lost_by(call) == attributes["cx.impact.lost_seconds"]
    assert collector.metric("storage_failures") > 0

    for number in range(300):
        backend.refuses = grpc.StatusCode.UNAVAILABLE
        call = a_call(f"no space and refused {number}")
        sending = asyncio.ensure_future(send(client, call.root.span))
        done, _ = await asyncio.wait([sending], timeout=1)
        backend.refuses = None
        await sending
        if not done:
            break
        held.append(call)
    assert not done, "it was never refused"
    for one in [call, *held]:
        await verdict(backend, one)


async def with_storage(backend: Backend, client: Client, key: str) -> None:
    """A storage that works: a root is held for its grace and not partial."""
    call = a_call(key)
    await send_children(client, call)
    began = time.monotonic()
    await send(client, call.root.span)
    attributes = await verdict(backend, call)
    assert time.monotonic() - began > 2
    assert not attributes["cx.impact.partial"]


@needs_root
async def test_a_full_file_system(tmp_path: Path) -> None:
    """A real one; when there is space again everything is as before."""
    storage = tmp_path / "storage"
    before = ["unshare", "-m", "sh", "-c", SMALL, str(storage)]
    async with running(tmp_path, queue=NO_QUEUE, grace=3, before=before) as (collector, backend, client):
        await with_storage(backend, client, "space")
        assert collector.process is not None
        filler = Path(f"/proc/{collector.process.pid}/root{storage}/filler")
        fill(filler)
        await without_storage(collector, backend, client)
        await asyncio.to_thread(filler.unlink)
        await with_storage(backend, client, "space again")


def fill(path: Path) -> None:
    """Writes a file until there is no space."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


async def test_a_storage_at_its_max_size(tmp_path: Path) -> None:
    """`max_size` of file_storage: what does not fit goes out at once, and nothing is lost or sent twice."""
    more = "timeout: 1s, max_size: 131072"
    async with running(tmp_path, queue=NO_QUEUE, grace=3, storage_more=more) as (collector, backend, client):
        calls = [a_call(f"size-{number}") for number in range(400)]
        for call in calls:
            await send_children(client, call)
            await send(client, call.root.span)
        verdicts = [await verdict(backend, call) for call in calls]
        assert {True, False} == {one["cx.impact.partial"] for one in verdicts}
        assert collector.metric("storage_failures") > 0


def set_immutable(path: Path, how: str) -> bool:
    """Makes a file one that nobody can write, or lets it be written again; False where that cannot be."""
    return 0 == subprocess.run(["chattr", how, str(path)], check=False, capture_output=True).returncode


@needs_root
async def test_a_storage_that_becomes_read_only(tmp_path: Path) -> None:
    """Writes fail while it runs, as after an error of the disk (an immutable file, on ext4 and others)."""
    async with running(tmp_path, queue=NO_QUEUE, grace=3) as (collector, backend, client):
        database = collector.storage / "processor_cx_impact_"
        if not set_immutable(database, "+i"):
            pytest.skip("this file system has no immutable files")
        try:
            await without_storage(collector, backend, client)
        finally:
            set_immutable(database, "-i")
        await with_storage(backend, client, "writable again")


@needs_root
async def test_a_storage_that_is_read_only_from_the_start_is_refused(tmp_path: Path) -> None:
    """Nothing could be promised: the Collector does not start, and says why."""
    storage = tmp_path / "storage"
    storage.mkdir()
    before = ["unshare", "-m", "sh", "-c", READ_ONLY, str(storage)]
    collector = Collector(tmp_path, free_ports(1)[0], before=before)
    collector.start()
    try:
        await eventually(lambda: collector.exit_status() is not None)
        assert 0 != collector.exit_status()
        assert "read-only file system" in collector.log.read_text()
    finally:
        collector.close()


async def test_records_of_another_version_make_their_calls_partial(tmp_path: Path) -> None:
    """They are counted, their roots are judged by what comes, other calls are as ever."""
    async with running(tmp_path) as (collector, backend, client):
        call, other = a_call("version"), a_call("version-other")
        await send_children(client, call)
        await send_children(client, other)
        await asyncio.sleep(1.1)
        await asyncio.to_thread(collector.stop)
        database = collector.storage / "processor_cx_impact_"
        name = f"call/{call.root.span.trace_id}/".encode()
        data = database.read_bytes()
        assert name + b"\x01" in data
        database.write_bytes(data.replace(name + b"\x01", name + b"\x63"))
        collector.start()
        await collector.ready()
        assert 1 == collector.metric("storage_failures")
        await send(client, call.root.span)
        await send(client, other.root.span)
        assert (await verdict(backend, call))["cx.impact.partial"]
        attributes = await verdict(backend, other)
        assert not attributes["cx.impact.partial"]
        assert lost_by(other) == attributes["cx.impact.lost_seconds"]


async def test_a_database_of_garbage_is_refused_by_its_name(tmp_path: Path) -> None:
    """A file that is no database is left alone: the Collector does not start, and says so."""
    collector = Collector(tmp_path, free_ports(1)[0])
    collector.storage.mkdir()
    database = collector.storage / "processor_cx_impact_"
    garbage = random.Random(1).randbytes(1 << 16)
    database.write_bytes(garbage)
    collector.start()
    try:
        await eventually(lambda: collector.exit_status() is not None)
        assert 0 != collector.exit_status()
        assert "invalid database" in collector.log.read_text()
        assert garbage == database.read_bytes()
    finally:
        collector.close()


async def test_a_damaged_database_stops_the_start_until_it_is_put_aside(tmp_path: Path) -> None:
    """Nothing is read from it or written; file_storage's `recreate` does not help where bbolt panics."""
    async with running(tmp_path, queue=NO_QUEUE) as (collector, backend, client):
        await send_children(client, a_call("damaged"))
        await asyncio.sleep(1.1)
        await asyncio.to_thread(collector.kill)
        database = collector.storage / "processor_cx_impact_"
        data = database.read_bytes()
        database.write_bytes(data[:8192] + random.Random(1).randbytes(len(data) - 8192))
        collector.start()
        await eventually(lambda: collector.exit_status() is not None)
        assert 0 != collector.exit_status()
        database.rename(database.with_suffix(".damaged"))
        collector.start()
        call = a_call("after")
        await send_children(client, call)
        await send(client, call.root.span)
        assert lost_by(call) == (await verdict(backend, call))["cx.impact.lost_seconds"]


@pytest.mark.skipif(not BUILDER.exists(), reason="no Collector Builder: run `make collector`")
async def test_the_parts_fit_into_a_build_of_others(tmp_path: Path) -> None:
    """One entry of their manifest each, a build with ocb, and a call that is judged, counted and told of."""
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(MANIFEST.format(folder=tmp_path, tree=ROOT / "collector"))
    command = ["nice", str(BUILDER), "--config", str(manifest)]
    built = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert 0 == built.returncode, built.stderr[-3000:]
    collector = Collector(tmp_path, 0)
    collector.binary = str(tmp_path / "build" / "their-collector")
    collector.config.write_text(THEIR_CONFIG.format(port=collector.port))
    collector.start()
    client = Client(collector.port)
    try:
        await collector.ready()
        call = a_call("theirs")
        await send_children(client, call)
        await send(client, call.root.span)
        for text in (
            f"-> cx.impact.lost_seconds: Double({lost_by(call):.0f})",
            "-> Name: cx.calls",
            "EventName: cx.impact.verdict",
        ):
            await eventually(lambda text=text: text in collector.log.read_text(), 10)  # type: ignore[misc]
    finally:
        collector.close()
        await client.close()


async def test_it_stops_while_the_backend_is_away(tmp_path: Path) -> None:
    """Without a queue, too: what is stored need not be waited for, and comes after the next start."""
    async with running(tmp_path, queue=NO_QUEUE) as (collector, backend, client):
        calls = [a_call(f"stopping-{number}") for number in range(6)]
        for call in calls:
            await send_children(client, call)
        await backend.down()
        for call in calls:
            await send(client, call.root.span)
            await asyncio.sleep(0.06)
        await asyncio.sleep(1)
        began = time.monotonic()
        await asyncio.to_thread(collector.stop)
        assert time.monotonic() - began < 10
        collector.start()
        await backend.up()
        for call in calls:
            attributes = await verdict(backend, call)
            assert lost_by(call) == attributes["cx.impact.lost_seconds"]
            assert not attributes["cx.impact.partial"]
