"""Two tiers: a gateway in front of several judges gives the verdicts of one, and says where it cannot."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from collector_rig import Backend, Client, Collector, collector_binary
from durable_calls import Call, make_call
from otelcol import Otelcol, Receiver, eventually, otelcol, send

from cxotel.impact import Engine
from cxotel.otlp import to_request

sys.path.insert(0, str(Path(__file__).parent.parent))
from desk_calls import CallMaker, S, whole_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from hub import Hub

    from cxotel.impact import Span

pytestmark = pytest.mark.e2e
CALLS = 24
ROOTS = {"call inbound", "call outbound"}
STAMP = "cx.impact.severity"
VERDICT = ("cx.impact.", "cx.media.mos.")
GRACE_SECONDS = 1
# Longer than it takes to change the membership, and more than grace.
IDLE_SECONDS = 12


class Tiers:
    """Judges, a gateway that can be told of others, and a receiver behind all of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.receiver = stack.enter_context(Receiver())
        self.judges: dict[str, Otelcol] = {}
        self._gateways = ExitStack()
        stack.push(self._gateways)

    def add(self, name: str, **settings: str) -> None:
        """Starts a judge, as configs/jaeger.yaml has it."""
        timing = {"grace": f"{GRACE_SECONDS}s", "idle_timeout": f"{IDLE_SECONDS}s", **settings}
        running = otelcol(
            self.folder / name,
            "jaeger.yaml",
            over={"processors": {"cx_impact": timing}},
            JAEGER_OTLP_ENDPOINT=self.receiver.endpoint,
        )
        self.judges[name] = self.stack.enter_context(running)

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """A gateway that knows the judges of now; ending it is how it is told of others."""
        names = ", ".join(judge.otlp for judge in self.judges.values())
        place = self.folder / f"gateway {time.time_ns()}"
        with otelcol(place, "gateway.yaml", CX_JUDGES=f"[{names}]") as running:
            yield running.otlp

    def roots(self, count: int) -> dict[str, Span]:
        """Stamped roots by trace id, once there are so many; each came once."""

        def ask() -> list[Span]:
            return [span for span in self.receiver.spans() if STAMP in span.attributes and span.name in ROOTS]

        found = eventually(ask, 30, lambda spans: len(spans) >= count)
        assert count == len(found) == len({span.trace_id for span in found})
        return {span.trace_id: span for span in found}

    def counted(self, metric: str) -> dict[str, float]:
        """A metric of each judge."""
        return {name: judge.metric(f"processor_cx_impact_{metric}") for name, judge in self.judges.items()}


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[Tiers]:
    """Two judges."""
    with ExitStack() as stack:
        found = Tiers(tmp_path, stack)
        found.add("a")
        found.add("b")
        yield found


def verdict(span: Span) -> dict[str, Any]:
    """What a judge wrote on it."""
    return {key: value for key, value in span.attributes.items() if key.startswith(VERDICT)}


def some_calls(*, announced: bool) -> list[CallMaker]:
    """Calls that end now; before their middle they lost time in the queue, after it in the CRM."""
    begin = time.time_ns() - 300 * S
    calls = [whole_call(f"tiers-{begin}-{number}", begin, queue=31, lookup=11) for number in range(CALLS)]
    for call in calls:
        if announced:
            root = call.spans[-1]
            root.attributes = {**root.attributes, "cx.call.announced": True}
        else:
            call.spans[:] = [span for span in call.spans if span.name != "call started"]
    return calls


def halves(call: CallMaker) -> tuple[list[Span], list[Span]]:
    """What ended before the agent took the call, and the rest."""
    middle = call.start + 90 * S
    return [s for s in call.spans if s.end < middle], [s for s in call.spans if s.end >= middle]


def lost(spans: Iterable[Span]) -> float:
    """What the Python engine says that they cost."""
    engine = Engine()
    for span in spans:
        engine.add(span)
    return float(engine.verdict().attributes["cx.impact.lost_seconds"])


def sent(calls: Iterable[list[Span]]) -> list[bytes]:
    """A request for each."""
    return [to_request(spans).SerializeToString() for spans in calls]


def test_two_judges_behind_a_gateway_give_the_verdicts_of_one(hub: Hub, tiers: Tiers) -> None:
    """The demo's calls, to the last digit; both judges had some of them."""
    with tiers.gateway() as gateway:
        send(gateway, hub.recording.requests)
        roots = tiers.roots(len(hub.verdicts))
        by_judge = tiers.counted("stamped")
    assert hub.verdicts == {trace_id: verdict(root) for trace_id, root in roots.items()}
    assert len(roots) == sum(by_judge.values())
    assert all(by_judge.values())


@pytest.mark.parametrize("change", ["added", "replaced"])
def test_calls_that_change_their_judge_are_partial_if_they_were_announced(tiers: Tiers, change: str) -> None:
    """A judge comes in, or in another's place, while calls run: those it got are partial, others are whole.

    What their former judge knows is told as `call (partial)`, after `idle_timeout`.
    """
    calls = some_calls(announced=True)
    with tiers.gateway() as gateway:
        send(gateway, sent(halves(call)[0] for call in calls))
    eventually(lambda: sum(tiers.counted("calls").values()), 10, lambda count: count == CALLS)
    before = tiers.counted("calls")
    assert CALLS == sum(before.values())
    tiers.add("c")
    if change == "replaced":
        tiers.judges.pop("b").stop()
    with tiers.gateway() as gateway:
        send(gateway, sent(halves(call)[1] for call in calls))
        roots = tiers.roots(CALLS)
    losses = Counter(
        (bool(root.attributes["cx.impact.partial"]), root.attributes["cx.impact.lost_seconds"])
        for root in roots.values()
    )
    moved = sum(count for (is_partial, _), count in losses.items() if is_partial)
    assert {(False, lost(calls[0].spans)), (True, lost(halves(calls[0])[1]))} == set(losses)
    assert 0 < moved < CALLS
    assert moved == sum(tiers.counted("partial").values())
    if change == "replaced":
        assert moved >= before["b"]
    left = moved if change == "added" else moved - int(before["b"])
    rests = eventually(
        lambda: [span for span in tiers.receiver.spans() if span.name == "call (partial)"],
        2 * IDLE_SECONDS,
        lambda spans: len(spans) >= left,
    )
    partial = {trace_id for trace_id, root in roots.items() if root.attributes["cx.impact.partial"]}
    assert left == len(rests)
    assert {span.trace_id for span in rests} <= partial


def test_calls_that_nobody_announced_look_whole_to_their_new_judge(tiers: Tiers) -> None:
    """The limit: without `call started` a judge cannot know that it missed the beginning. The docs say so."""
    calls = some_calls(announced=False)
    with tiers.gateway() as gateway:
        send(gateway, sent(halves(call)[0] for call in calls))
    tiers.add("c")
    with tiers.gateway() as gateway:
        send(gateway, sent(halves(call)[1] for call in calls))
        roots = tiers.roots(CALLS)
    losses = Counter(root.attributes["cx.impact.lost_seconds"] for root in roots.values())
    assert {lost(calls[0].spans), lost(halves(calls[0])[1])} == set(losses)
    assert not any(root.attributes["cx.impact.partial"] for root in roots.values())


class Held:
    """A gateway as it ships, two judges that come and go, and a client that knows what was acknowledged.

    Judges have the default grace, as the gateway's tries are as far apart as that allows.
    """

    def __init__(self, folder: Path) -> None:
        self.backend = Backend()
        self.gateway = Collector(folder / "gateway", 0, shipped="gateway")
        self.judges = [Collector(folder / name, self.backend.port, grace=6, window=600) for name in "ab"]
        self.client = Client(self.gateway.port)
        self.calls: list[Call] = []
        self.knows(*self.judges)

    def knows(self, *judges: Collector) -> None:
        """The gateway's list, from its next start on."""
        self.gateway.environment["CX_JUDGES"] = str([judge.addresses.otlp for judge in judges]).replace(
            "'", ""
        )

    async def start(self, *processes: Collector) -> None:
        """Until they take spans."""
        for one in processes:
            one.start()
        await asyncio.gather(*(one.ready() for one in processes))

    async def send_calls(self) -> None:
        """Places eight calls, four in a request, their roots last; all are acknowledged."""
        found: list[Call] = []
        while len(found) < 8:
            call = make_call(
                f"held {len(self.calls) + len(found)} {time.time_ns()}", random.Random(len(found))
            )
            call.other, call.late[:] = None, []
            found.append(call)
        for part in (found[:4], found[4:]):
            for pieces in ([p for c in part for p in c.pieces if p is not c.root], [c.root for c in part]):
                request = to_request(piece.span for piece in pieces).SerializeToString()
                assert await self.client.send(request, 20)
        self.calls += found

    async def arrived(self, seconds: float = 60.0) -> None:
        """Waits until every acknowledged span is behind the judges, and holds them to what is promised."""
        expected = {piece.key for call in self.calls for piece in call.pieces}
        until = time.monotonic() + seconds
        while missing := expected - {one.key for one in self.backend.arrivals()}:
            assert time.monotonic() < until, f"{len(missing)} of {len(expected)} did not arrive"
            await asyncio.sleep(0.2)
        for call in self.calls:
            found = [one for one in self.backend.arrivals() if one.key == call.root.key]
            assert 1 == len({one.content for one in found})
            lost = found[0].attributes["cx.impact.lost_seconds"]
            assert float(sum(piece.bit for piece in call.waits)) == lost


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    """Nothing of it runs yet, but what is behind the judges."""
    if collector_binary() is None:
        pytest.skip("no otelcol-cx: run `make collector`")
    async with AsyncExitStack() as stack:
        found = Held(tmp_path)
        await found.backend.up()
        stack.push_async_callback(found.backend.down)
        stack.push_async_callback(found.client.close)
        for one in (found.gateway, *found.judges):
            stack.callback(one.close)
        yield found


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_what_a_gateway_acknowledged_outlives_it_while_a_judge_is_away(held: Held, end: str) -> None:
    """It is in its queue on disk: all spans come once the judge is back, and each root with one verdict."""
    away = held.judges[1]
    await held.start(held.gateway, *held.judges)
    await held.send_calls()
    away.stop()  # in order, as a kill may cost facts of its last second
    await held.send_calls()
    getattr(held.gateway, end)()
    await held.start(held.gateway)
    await held.send_calls()
    getattr(held.gateway, end)()
    await held.start(away)
    await held.start(held.gateway)
    await held.arrived()


async def test_what_waits_for_a_judge_goes_to_another_when_it_is_off_the_list(held: Held) -> None:
    """No judge was there at all; of two, one comes."""
    await held.start(held.gateway)
    await held.send_calls()
    held.gateway.stop()
    held.knows(held.judges[0])
    await held.start(held.gateway, held.judges[0])
    await held.arrived()
