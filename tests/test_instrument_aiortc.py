"""Real aiortc calls become traces: legs, figures, outcomes; on one connection or on all of a process."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING, Any

import aioice.ice
import aioice.stun
import aiortc
import pytest
from aiortc.mediastreams import AudioStreamTrack
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from webrtc_pair import Relay, call, connected, listen, negotiate, peer, talk

import cxotel
from cxotel import _runtime
from cxotel.instrument import _ending
from cxotel.instrument._recording import WINDOW
from cxotel.instrument.aiortc import AiortcInstrumentor, instrument_peer_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

pytestmark = pytest.mark.media

SECONDS = 11  # two whole windows and a part of the third
MUTED = 12  # two whole windows at least


class Recorded:
    """A provider of the host's own, and what came out of it."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))

    def spans(self, namespace: str | None = None) -> list[ReadableSpan]:
        """All spans, or those of the calls of one namespace, in the order of their ends."""
        found = self.memory.get_finished_spans()
        return [each for each in found if namespace in {None, each.attributes.get("cx.call.namespace")}]

    def one(self, name: str, namespace: str | None = None) -> ReadableSpan:
        """The one span of that name."""
        (found,) = [each for each in self.spans(namespace) if each.name == name]
        return found

    def beside(self, root: str, name: str) -> ReadableSpan:
        """The one span of that name in the trace of the root of the other name."""
        trace_id = self.one(root).context.trace_id
        (found,) = [each for each in self.spans() if (each.context.trace_id, each.name) == (trace_id, name)]
        return found

    def names(self, namespace: str | None = None) -> list[str]:
        """Names of the spans, sorted."""
        return sorted(each.name for each in self.spans(namespace))


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Calls are recorded with a provider of the test's own; afterwards nothing is open."""
    host = Recorded()
    before = _runtime.state.tracer_provider
    _runtime.state.tracer_provider = host.provider
    _runtime.forget_tracer()
    yield host
    _runtime.state.tracer_provider = before
    _runtime.forget_tracer()
    assert {} == _ending._open


@pytest.fixture
def instrumentor(recorded: Recorded) -> Iterator[AiortcInstrumentor]:
    """Every connection is followed."""
    switch = AiortcInstrumentor()
    switch.instrument(tracer_provider=recorded.provider)
    yield switch
    if switch.is_instrumented_by_opentelemetry:
        switch.uninstrument()


def figures(span: ReadableSpan, direction: str, metric: str) -> list[float | None]:
    """A series of a leg."""
    text = span.attributes.get(f"cx.media.{direction}.{metric}")
    return [] if text is None else expanded(text)


def expanded(text: str) -> list[float | None]:
    """A series, window by window, as trace-model writes it: `v`, `-`, `v*n`."""
    values: list[float | None] = []
    for item in text.split():
        value, _, times = item.partition("*")
        values += [None if value == "-" else float(value)] * int(times or 1)
    return values


def measured(values: list[float | None]) -> list[float]:
    """Those that were measured."""
    return [each for each in values if each is not None]


@dataclass
class Scene:
    """A call of the shared run: what the relay loses, and what happens meanwhile."""

    loss_from_b: float = 0.0
    hold_at: float | None = None
    mute_at: float | None = None
    relays: list[Relay] = field(default_factory=list)


SCENES = {
    "clean": Scene(),
    "lossy": Scene(loss_from_b=0.05),
    "hold": Scene(hold_at=0.5),
    "mute": Scene(mute_at=3.0),
}


async def play(name: str, scene: Scene) -> None:
    """One call; its sides are calls of the namespaces `<name> a` and `<name> b`."""
    seeded = random.Random(name)
    relay = await Relay.start(from_b=lambda _: seeded.random() < scene.loss_from_b)
    scene.relays.append(relay)
    a, b = peer(), peer()
    for pc, side in ((a, "a"), (b, "b")):
        instrument_peer_connection(pc, namespace=f"{name} {side}")
        talk(pc)
        listen(pc)
    await negotiate(a, b, relay)
    await connected(a, b)
    if scene.hold_at is not None:
        await asyncio.sleep(scene.hold_at)
        for pc in (a, b):
            pc.getTransceivers()[0].direction = "inactive"
        await negotiate(a, b, relay)
    if scene.mute_at is not None:
        await asyncio.sleep(scene.mute_at)
        b.getSenders()[0].replaceTrack(None)
        await asyncio.sleep(MUTED)
        b.getSenders()[0].replaceTrack(AudioStreamTrack())
    await asyncio.sleep(SECONDS)
    await a.close()
    await asyncio.sleep(0.5)
    await b.close()
    relay.close()


@pytest.fixture(scope="module")
def played() -> Recorded:
    """All scenes, at once."""
    host = Recorded()
    before = _runtime.state.tracer_provider
    _runtime.state.tracer_provider = host.provider
    _runtime.forget_tracer()

    async def everything() -> None:
        await asyncio.gather(*(play(name, scene) for name, scene in SCENES.items()))

    try:
        asyncio.run(everything())
    finally:
        _runtime.state.tracer_provider = before
        _runtime.forget_tracer()
    return host


def test_a_call_is_a_root_with_connect_and_two_legs_below(played: Recorded) -> None:
    """Outbound where the offer was made, inbound where it was answered; both legs of the softphone."""
    below = ["agent connect", "agent network", "call started", "webrtc session"]
    assert sorted(["call outbound", *below]) == played.names("clean a")
    assert sorted(["call inbound", *below]) == played.names("clean b")
    root = played.one("call outbound", "clean a")
    assert (None, 1) == (root.parent, len({each.context.trace_id for each in played.spans("clean a")}))
    assert {root.context.span_id} == {
        each.parent.span_id for each in played.spans("clean a") if each is not root
    }


def test_hanging_up_completes_the_call_without_an_error(played: Recorded) -> None:
    """The side that closes is the agent here and the customer there."""
    ends = {
        side: (root.attributes["cx.call.outcome"], root.attributes["cx.call.ended_by"])
        for side, name in (("a", "call outbound"), ("b", "call inbound"))
        for root in [played.one(name, f"clean {side}")]
    }
    assert {"a": ("completed", "agent"), "b": ("completed", "customer")} == ends
    assert {"UNSET"} == {each.status.status_code.name for each in played.spans()}


def test_legs_begin_with_the_connection_and_end_with_it(played: Recorded) -> None:
    """Connecting stands before them: from the answer until media can flow."""
    connect = played.one("agent connect", "clean a")
    for name in ("agent network", "webrtc session"):
        leg = played.one(name, "clean a")
        assert connect.end_time == leg.start_time
        assert SECONDS == pytest.approx((leg.end_time - leg.start_time) / 1e9, abs=1.0)


def test_legs_name_layer_role_codec_and_times_of_ice(played: Recorded) -> None:
    """What an engineer looks for first."""
    network, device = played.one("agent network", "clean a"), played.one("webrtc session", "clean a")
    assert ("agent_network", "softphone", "opus") == tuple(
        network.attributes[key] for key in ("cx.layer", "cx.media.role", "cx.media.codec")
    )
    assert ("endpoint", "opus") == (device.attributes["cx.layer"], device.attributes["cx.media.codec"])
    assert 0 < device.attributes["cx.ice.connect_ms"] < 5000
    assert 0 <= network.attributes["cx.network.rtt_ms"] < 500


def test_clean_call_loses_nothing_in_either_direction(played: Recorded) -> None:
    """Network and device, what is heard here and what the far side reports."""
    for side in ("a", "b"):
        network, device = (played.one(name, f"clean {side}") for name in ("agent network", "webrtc session"))
        assert [0, 0] == figures(network, "to_agent", "loss_pct")[:2]
        assert [0, 0] == figures(network, "to_customer", "loss_pct")[:2]
        assert max(measured(figures(device, "to_agent", "loss_pct"))) < 2
        assert [] == figures(device, "to_customer", "loss_pct")


def test_loss_on_the_way_is_the_networks_in_the_direction_it_happened(played: Recorded) -> None:
    """Measured by who receives, and reported to who sends, within the noise of a few hundred packets."""
    side = SCENES["lossy"].relays[-1].from_b
    truth = 100 * side.dropped / side.seen
    here, there = (played.one("agent network", f"lossy {side}") for side in ("a", "b"))
    assert truth == pytest.approx(mean(measured(figures(here, "to_agent", "loss_pct"))), abs=1.5)
    assert truth == pytest.approx(mean(measured(figures(there, "to_customer", "loss_pct"))), abs=2.5)
    assert 0 == max(measured(figures(here, "to_customer", "loss_pct")))
    assert 0 == max(measured(figures(there, "to_agent", "loss_pct")))


def test_what_aiortcs_own_buffer_throws_away_is_the_devices(played: Recorded) -> None:
    """Its 16 packets make some four times the loss of the network of it (5 % to 24 % of the audio)."""
    network, device = (played.one(name, "lossy a") for name in ("agent network", "webrtc session"))
    lost = mean(measured(figures(network, "to_agent", "loss_pct")))
    thrown_away = mean(measured(figures(device, "to_agent", "loss_pct")))
    assert thrown_away > 2 * lost


def test_delay_of_a_loopback_is_small(played: Recorded) -> None:
    """Half of the round trip, and the network's part only."""
    for direction in ("to_agent", "to_customer"):
        values = measured(figures(played.one("agent network", "clean a"), direction, "delay_ms"))
        assert values
        assert max(values) < 80


def test_hold_is_not_measured(played: Recorded) -> None:
    """Silence that was agreed on is no loss: from the second window on there is nothing either way."""
    for name in ("agent network", "webrtc session"):
        leg = played.one(name, "hold a")
        for direction in ("to_agent", "to_customer"):
            assert [] == measured(figures(leg, direction, "loss_pct")[1:])


def test_a_far_side_that_mutes_loses_nothing(played: Recorded) -> None:
    """While it sends nothing there is no loss, no delay and nothing to play; then it is as before."""
    network, device = (played.one(name, "mute a") for name in ("agent network", "webrtc session"))
    losses = figures(network, "to_agent", "loss_pct")
    assert None in losses
    assert sum(measured(losses)) / 100 * WINDOW < 1.0
    assert max(measured(figures(device, "to_agent", "loss_pct"))) < 2
    for leg in (network, device):  # 144 to 289 ms and 276 to 1175 ms before, of which a busy machine made few
        beside = played.one(leg.name, "clean a")
        usual = max(measured(figures(beside, "to_agent", "delay_ms")))
        assert max(measured(figures(leg, "to_agent", "delay_ms"))) < usual + 100
    assert "media episode" not in played.names("mute a")


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("softphone", {"agent connect", "agent network", "webrtc session"}),
        ("platform_agent", {"agent network", "platform leg"}),
        ("platform_customer", {"carrier leg", "platform leg"}),
        ("voice_ai", {"platform leg", "voice ai session"}),
        ("customer", {"carrier leg"}),
    ],
)
async def test_legs_are_those_of_the_role(recorded: Recorded, role: str, names: set[str]) -> None:
    """As the table of the trace model has them."""
    with cxotel.start_call("a call of ours") as ours:
        async with call() as (a, _b, _):
            instrument_peer_connection(a, role=role, call=ours)
            await asyncio.sleep(0.1)
        assert not ours.ended
    assert names == {each.name for each in recorded.spans()} - {"call started", "call inbound"}
    assert {ours.trace_id} == {f"{each.context.trace_id:032x}" for each in recorded.spans()}


async def test_legs_name_who_can_fix_them(recorded: Recorded) -> None:
    """The way and the device have owners of their own."""
    with cxotel.start_call("a call of ours") as ours:
        async with call() as (a, _b, _):
            instrument_peer_connection(a, call=ours, owner="BPO North IT", device_owner="Desktop team")
            await asyncio.sleep(0.1)
    assert "BPO North IT" == recorded.one("agent network").attributes["cx.owner"]
    assert "Desktop team" == recorded.one("webrtc session").attributes["cx.owner"]


async def test_call_that_its_owner_ends_first_keeps_what_was_measured(recorded: Recorded) -> None:
    """Also the window that was not complete, though the connection lives on."""
    async with call() as (a, _b, _):
        with cxotel.start_call("a call of ours") as ours:
            instrument_peer_connection(a, call=ours)
            await asyncio.sleep(2.2)
    assert [0.0] == figures(recorded.one("agent network"), "to_agent", "loss_pct")


async def test_unknown_role_is_told_to_the_programmer(recorded: Recorded) -> None:
    """At once, with the choice."""
    pc = peer()
    with pytest.raises(ValueError, match="role 'phone': give one of softphone, platform_agent"):
        instrument_peer_connection(pc, role="phone")
    with pytest.raises(ValueError, match="role 'phone'"):
        AiortcInstrumentor().instrument(role="phone")
    await pc.close()


async def test_mistyped_role_of_the_environment_hurts_nobody(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted and named in the log; no layer is blamed by guess."""
    monkeypatch.setenv("CXOTEL_ROLE", "phone")
    pc = peer()
    counted = cxotel.counters().get("bad_value", 0)
    instrument_peer_connection(pc)()
    assert (counted + 1, False) == (cxotel.counters()["bad_value"], "emit" in pc.__dict__)
    await pc.close()


async def test_stopping_ends_the_legs_and_not_the_connection(recorded: Recorded) -> None:
    """A connection that outlives its calls can then be part of the next."""
    async with call() as (a, _b, _):
        for key in ("first", "second"):
            with cxotel.start_call(key) as ours:
                stop = instrument_peer_connection(a, call=ours)
                await asyncio.sleep(0.1)
                stop()
                stop()
        assert "connected" == a.connectionState
    assert 2 == len({each.context.trace_id for each in recorded.spans() if each.name == "agent network"})


async def test_connection_made_in_a_call_is_part_of_it(
    recorded: Recorded, instrumentor: AiortcInstrumentor
) -> None:
    """No root of its own; a connection made elsewhere at the same time has one."""
    with cxotel.start_call("ours") as ours:
        a = peer()
    b = peer()
    for pc in (a, b):
        talk(pc)
        listen(pc)
    await negotiate(a, b)
    await connected(a, b)
    await a.close()
    await b.close()
    by_trace: dict[str, set[str]] = defaultdict(set)
    for each in recorded.spans():
        by_trace[f"{each.context.trace_id:032x}"].add(each.name)
    assert {"call inbound", "call started", "agent connect", "agent network", "webrtc session"} == by_trace[
        ours.trace_id
    ]
    assert 2 == len(by_trace)


async def test_request_that_made_the_connection_is_linked(
    recorded: Recorded, instrumentor: AiortcInstrumentor
) -> None:
    """A host's own trace does not swallow the call, and the call says where it came from."""
    with recorded.provider.get_tracer("host").start_as_current_span("POST /offer") as request:
        a = peer()
    b = peer()
    talk(a)
    listen(b)
    await negotiate(a, b)
    await connected(a, b)
    await a.close()
    await b.close()
    root = recorded.one("call outbound")
    assert request.get_span_context().trace_id != root.context.trace_id
    assert [request.get_span_context()] == [link.context for link in root.links]


async def test_call_key_and_namespace_of_the_environment_name_the_call(
    recorded: Recorded, instrumentor: AiortcInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All connections are part of that call, whose root somebody else exports."""
    monkeypatch.setenv("CXOTEL_CALL_KEY", "room-17")
    monkeypatch.setenv("CXOTEL_ROLE", "voice_ai")
    async with call():
        await asyncio.sleep(0.1)
    ids = cxotel.call_ids("room-17")
    assert {(ids.trace_id, ids.span_id)} == {
        (each.context.trace_id, each.parent.span_id) for each in recorded.spans()
    }
    assert {"platform leg", "voice ai session"} == {each.name for each in recorded.spans()}


async def test_uninstrumenting_restores_everything(
    recorded: Recorded, instrumentor: AiortcInstrumentor
) -> None:
    """The class, connections that are open, and where calls go."""
    async with call() as (a, _b, _):
        track = a.getReceivers()[0].track
        assert "emit" in a.__dict__
        instrumentor.uninstrument()
        assert (False, False) == ("emit" in a.__dict__, "recv" in track.__dict__)
        assert "__wrapped__" not in dir(aiortc.RTCPeerConnection.__init__)
        ended = len(recorded.spans())
        await asyncio.sleep(1.2)
    assert (10, 10) == (ended, len(recorded.spans()))


async def test_suppressed_connections_are_not_followed(
    recorded: Recorded, instrumentor: AiortcInstrumentor
) -> None:
    """OpenTelemetry's own switch holds."""
    with suppress_instrumentation():
        pc = peer()
    assert "emit" not in pc.__dict__
    await pc.close()


async def test_instrumenting_again_adds_nothing_twice(recorded: Recorded) -> None:
    """One processor on the host's provider, one set of spans for a call."""
    switch = AiortcInstrumentor()
    for _ in range(2):
        switch.instrument(tracer_provider=recorded.provider)
        switch.uninstrument()
    switch.instrument(tracer_provider=recorded.provider)
    try:
        processors = recorded.provider._active_span_processor._span_processors
        assert 1 == sum(isinstance(each, cxotel.CallContextProcessor) for each in processors)
        async with call():
            await asyncio.sleep(0.1)
    finally:
        switch.uninstrument()
    assert 2 == recorded.names().count("webrtc session")


async def test_connection_without_audio_leaves_no_span(
    recorded: Recorded, instrumentor: AiortcInstrumentor
) -> None:
    """Data channels are no calls."""
    a, b = peer(), peer()
    a.createDataChannel("chat")
    await negotiate(a, b)
    await connected(a, b)
    await a.close()
    await b.close()
    assert [] == recorded.names()


@pytest.fixture
def hasty_ice(monkeypatch: pytest.MonkeyPatch) -> None:
    """ICE gives up within a second and not within half a minute."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    monkeypatch.setattr(aioice.stun, "RETRY_MAX", 0)
    monkeypatch.setattr(aioice.stun, "RETRY_RTO", 0.2)


async def lost(pc: Any) -> None:
    """Wait until the connection is over."""
    for _ in range(500):
        if pc.connectionState in {"failed", "closed"}:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


@pytest.mark.usefixtures("hasty_ice")
async def test_lost_path_drops_the_call_and_blames_the_network(
    recorded: Recorded, instrumentor: AiortcInstrumentor
) -> None:
    """Status Error and its type on the leg of the way, none on the device's."""
    async with call(relay=True) as (a, b, relay):
        relay.cut()
        await lost(a)
        await lost(b)
    for name in ("call outbound", "call inbound"):
        root, leg, device = (
            recorded.beside(name, each) for each in (name, "agent network", "webrtc session")
        )
        said = root.attributes
        assert ("dropped", "network") == (said["cx.call.outcome"], said["cx.call.ended_by"])
        assert ("ERROR", "ice_failed") == (leg.status.status_code.name, leg.attributes["error.type"])
        assert ("UNSET", 1) == (device.status.status_code.name, device.attributes["cx.ice.failures"])


@pytest.mark.usefixtures("hasty_ice")
async def test_call_that_never_connects_has_failed(
    recorded: Recorded, instrumentor: AiortcInstrumentor
) -> None:
    """The leg that never came to be says why."""
    relay = await Relay.start()
    relay.cut()
    a, b = peer(), peer()
    talk(a)
    await negotiate(a, b, relay)
    await lost(a)
    for pc in (a, b):
        await pc.close()
    relay.close()
    leg = recorded.beside("call outbound", "agent network")
    assert "failed" == recorded.one("call outbound").attributes["cx.call.outcome"]
    assert ("ERROR", "ice_failed") == (leg.status.status_code.name, leg.attributes["error.type"])


def test_no_provider_is_made_before_a_call_begins() -> None:
    """A host that sets up OpenTelemetry after its instrumentations finds the place free."""
    switch = AiortcInstrumentor()
    switch.instrument()
    try:
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    finally:
        switch.uninstrument()
