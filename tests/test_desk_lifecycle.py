"""The cases of `spec/lifecycle/`, through the desk's inbox, worker and outbox, at the times they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cxotel.desk import wire
from cxotel.desk.judging import Worker
from cxotel.desk.lives import Rules
from cxotel.desk.receiver import Receiver
from cxotel.desk.store import Store
from cxotel.ids import call_ids
from cxotel.impact.evidence import SCOPE
from cxotel.impact.lifecycle import Times
from cxotel.impact.span import Span
from cxotel.otlp.proto import attributes_of, to_request

S = 1_000_000_000
EPOCH = 1_700_000_000 * S
END = 700.0  # past every timeout of the cases
# Settings of judges that keep facts in memory; the desk keeps spans on disk (README of the cases).
IN_MEMORY = {"max_calls", "max_bytes_per_call"}
CASES = {
    path.stem: case
    for path in sorted(Path(__file__).parent.parent.joinpath("spec", "lifecycle").glob("*.yaml"))
    if not IN_MEMORY & set((case := yaml.safe_load(path.read_text(encoding="utf-8"))).get("settings", {}))
}
KEYS = {call_ids(letter).trace_id_hex: letter for letter in "ABC"}


class Play:
    """A desk without threads, ports and a clock of its own."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.at, self.path = 0.0, path
        seconds = {"grace": 6, "idle_timeout": 60, "max_call_duration": 600} | settings
        times = [round(seconds[name] * S) for name in ("grace", "idle_timeout", "max_call_duration")]
        trust = bool(settings.get("trust_stamped"))
        self.rules = Rules(Times(*times), S, trust_stamped=trust, forwards=True)
        self.sent: list[dict[str, Any]] = []
        self.start()

    def start(self) -> None:
        """Open the file, or open it anew."""
        self.store = Store(self.path)
        self.worker = Worker(self.store, self.rules, lambda _: None, lambda: EPOCH + round(self.at * S))
        self.receiver = Receiver(self.store, lambda: None, lambda: EPOCH + round(self.at * S))
        self.worker.restart()

    def until(self, seconds: float) -> None:
        """Let time pass, looking when the worker wants to."""
        while True:
            wait = self.look()
            if self.at + wait > seconds:
                break
            self.at += wait
        self.at = max(self.at, seconds)

    def look(self) -> float:
        """What the worker does, and what is in the outbox after it; gives seconds until it looks again."""
        while not (wait := self.worker.round()):
            pass

        def take(connection: Any) -> list[bytes]:
            rows = connection.execute("SELECT data FROM outbox ORDER BY id").fetchall()
            connection.execute("DELETE FROM outbox")
            return [data for (data,) in rows]

        for data in self.store.write(take).result():
            self.sent += self.emissions(data)
        return wait

    def emissions(self, data: bytes) -> list[dict[str, Any]]:
        """What a case says of one request's spans: not those that are only passed on, and no evidence."""
        found = []
        for group in wire.decode(wire.TRACES, data).resource_spans:  # type: ignore[attr-defined]
            for scoped in group.scope_spans:
                for span in scoped.spans:
                    attributes = attributes_of(span.attributes)
                    own = scoped.scope.name == SCOPE and "cx.evidence.layer" not in attributes
                    if own or span.name.startswith("call in") or span.name.startswith("call out"):
                        found.append(
                            {
                                "at": self.at,
                                "name": span.name,
                                "call": KEYS[span.trace_id.hex()],
                                "lost": attributes.get("cx.impact.lost_seconds"),
                                "layer": attributes.get("cx.impact.layer"),
                                "partial": attributes.get("cx.impact.partial"),
                                "stamped": "cx.impact.model" in attributes,
                                "links": [KEYS[link.trace_id.hex()] for link in span.links],
                                "below": int.from_bytes(span.parent_span_id, "big"),
                                "error": span.status.code == 2,
                            }
                        )
        return found


def span_of(one: dict[str, Any]) -> Span:
    """A span as a case writes it."""
    key = one.get("call", "A")
    attributes = {
        "cx.layer": one.get("layer"),
        "cx.activity": one.get("activity"),
        "cx.call.alias": one.get("alias"),
    }
    return Span(
        trace_id=call_ids(key).trace_id_hex,
        span_id=f"{one['id']:016x}",
        name=one["name"],
        start=EPOCH + round(one["from"] * S),
        end=EPOCH + round(one["to"] * S),
        attributes={k: v for k, v in attributes.items() if v is not None} | one.get("attributes", {}),
        scope=one.get("scope", "cxotel"),
        status=2 if one.get("error") else 0,
        service="test",
    )


def play(path: Path, case: dict[str, Any]) -> list[dict[str, Any]]:
    """What the desk sends."""
    desk = Play(path, case.get("settings", {}))
    latest = 0.0
    for event in case["events"]:
        latest = max(latest, event["at"])
        desk.until(latest - 0.5)
        desk.at = event["at"]
        if "restart" in event:
            desk.store.close()
            desk.start()
            continue
        desk.receiver.accept(wire.TRACES, to_request([span_of(one) for one in event["spans"]]))
        desk.look()
        desk.at = latest
    desk.until(END)
    desk.store.close()
    return desk.sent


@pytest.mark.parametrize("name", CASES)
def test_a_life_is_told_as_the_case_says(name: str, tmp_path: Path) -> None:
    """Each emission of the case, in all that it says of it, and no other."""
    case = CASES[name]
    expected = [dict(one) for one in case.get("emissions_kept", case["emissions"])]
    sent = play(tmp_path / "desk.sqlite", case)
    for one in expected:
        one.setdefault("call", "A")
        one.setdefault("links", [])
        if one["name"] != "impact warning":
            one.setdefault("stamped", True)
    order = lambda one: (one["at"], one["call"], one["name"])  # noqa: E731 - of what is sent at one time there is none
    sent.sort(key=order)
    expected.sort(key=order)
    assert len(sent) == len(expected), (case["why"], sent)
    known = [{key: one[key] for key in like} for one, like in zip(sent, expected, strict=True)]
    assert known == expected, case["why"]
