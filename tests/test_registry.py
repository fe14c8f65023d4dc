"""The registry of names keeps OpenTelemetry's rules and its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cxotel
from cxotel import _semconv, testing
from cxotel.activity import KINDS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import registry as registry_module  # noqa: E402  (tools/ is no package)

if TYPE_CHECKING:
    from registry import Registry

HEAD = "file_format: definition/2\n"
GOOD = HEAD + "attributes:\n  - {key: cx.a, type: string, stability: development, brief: A., examples: [x]}\n"


def load_text(tmp_path: Path, text: str) -> Registry:
    """A registry of one file with that text."""
    (tmp_path / "one.yaml").write_text(text)
    return registry_module.load(tmp_path)


def test_the_registry_is_valid() -> None:
    """All files load, every reference resolves, and no name is the beginning of another."""
    registry = registry_module.load()

    assert set(_semconv.NAMES) >= set(registry.reused)
    assert len(registry.attributes) > 80
    assert len(registry.spans) >= 15
    assert [event["name"] for event in registry.events] == [
        "cx.call.started",
        "cx.call.ended",
        "cx.impact.verdict",
        "cx.impact.correction",
        "cx.impact.warning",
    ]
    registry_module.check_names([metric["name"] for metric in registry.metrics])


def test_every_attribute_is_used_by_a_span_an_event_or_an_entity() -> None:
    """A name that nothing carries would be a dead promise."""
    registry = registry_module.load()
    signals = [*registry.spans, *registry.events, *registry.metrics, *registry.entities]
    used: set[str] = set()
    for item in signals:
        refs = [*item.get("attributes", ()), *item.get("identity", ()), *item.get("description", ())]
        used |= set(registry.refs(refs))

    assert set(registry.attributes) - used == {"cx.pii"}


def test_enum_members_are_what_the_model_reads() -> None:
    """Layers stand in path order and outcomes are the six of the design."""
    assert _semconv.CxLayer.VALUES[1:] == (
        "carrier",
        "ccaas",
        "agent_network",
        "endpoint",
        "voice_ai",
        "handoff",
        "crm",
        "agent",
        "unobserved",
    )
    assert _semconv.CxCallOutcome.VALUES == (
        "completed",
        "contained",
        "transferred",
        "abandoned",
        "dropped",
        "failed",
    )


def test_a_good_file_loads(tmp_path: Path) -> None:
    """The file that the broken ones below differ from is itself accepted."""
    assert list(load_text(tmp_path, GOOD).attributes) == ["cx.a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_format: definition/1\n", "file_format is not definition/2"),
        ("attributes: []\n", "file lacks file_format"),
        (HEAD + "groups: []\n", "unknown groups"),
        (GOOD.replace("type: string", "type: text"), "unknown type 'text'"),
        (GOOD.replace("development", "testing"), "unknown stability 'testing'"),
        (GOOD.replace("cx.a", "Cx.A"), "not a lower-case dotted name"),
        (GOOD.replace(", examples: [x]", ""), "needs examples"),
        (GOOD.replace("brief: A., ", ""), "lacks brief"),
        (GOOD + GOOD.splitlines()[-1] + "\n", "is defined twice"),
        (GOOD + GOOD.splitlines()[-1].replace("cx.a", "cx.a.b"), "cx.a is the beginning of cx.a.b"),
        (
            GOOD + "events:\n  - {name: e, brief: E., stability: development, attributes: [{ref: cx.b}]}\n",
            "refers to unknown",
        ),
        (HEAD + "spans:\n  - {type: s}\n", "spans lacks"),
    ],
)
def test_a_broken_rule_is_named(tmp_path: Path, text: str, message: str) -> None:
    """Each rule that a file breaks is refused with a message that names it."""
    with pytest.raises(registry_module.RegistryError, match=message):
        load_text(tmp_path, text)


# What may stand in code as a whole string and is no attribute: events, metrics, span types and templates.
LITERAL = re.compile(r"""["']((?:cx|sip)\.[a-z0-9_]+(?:\.[a-z0-9_]+)*)["']""")


def test_no_code_names_an_attribute_that_is_not_in_the_registry() -> None:
    """Every string of the package that looks like a name of ours is one."""
    registry = registry_module.load()
    others = {item["name"] for item in (*registry.events, *registry.metrics)}
    known = _semconv.NAMES | set(_semconv.TEMPLATES) | others
    unknown = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "src" / "cxotel").rglob("*.py"))
        for name in LITERAL.findall(path.read_text(encoding="utf-8"))
        if name not in known and not any(name.startswith(f"{one}.") for one in _semconv.TEMPLATES)
    }

    assert set() == unknown


def test_what_the_sdk_emits_is_in_the_registry_and_of_its_type() -> None:
    """A call with everything in it, captured: names, types and members of enums."""
    with testing.capture() as captured:
        everything()

    registry = registry_module.load()
    wrong = []
    seen: set[str] = set()
    for span in captured.spans:
        for key, value in span.attributes.items():
            if key in registry.reused or key.rpartition(".")[0] in _semconv.TEMPLATES:
                continue
            seen.add(key)
            attribute = registry.attributes[key]
            allowed = [member[1] for member in attribute.members]
            good = (
                value in allowed
                if attribute.type == "enum"
                else isinstance(value, PYTHON_TYPES[attribute.type])
            )
            wrong += [] if good else [(span.name, key, value)]
        assert span.name in SPAN_NAMES
    assert [] == wrong
    assert 35 <= len(seen)
    for record in captured.logs:
        assert {*record.attributes} <= _semconv.NAMES


PYTHON_TYPES = {"string": str, "boolean": bool, "double": float, "int": int, "string[]": tuple}
SPAN_NAMES = {
    name.strip().removeprefix("or ")
    for span in registry_module.load().spans
    for name in span["name"]["note"].split(",")
}


def everything() -> None:
    """One call that uses all of the SDK."""
    call = cxotel.start_call(
        "c-1", medium="phone", queue="q", site="s", partner="p", customer="+1", aliases=["b"]
    )
    for layer in ("carrier", "ccaas", "agent_network", "endpoint", "voice_ai"):
        leg = call.start_leg(layer, owner="Acme", scope="hop")
        leg.add_window(0, to_agent=cxotel.Figures(50, 30), to_customer=cxotel.Figures(0, 30))
        leg.set_codec("G729", ie_to_agent=10, ie_to_customer=10)
        leg.stop()
    for activity in KINDS:
        if activity not in ("converse", "handoff", "lookup", "respond"):
            waited = call.start_activity(activity)
            waited.waited(3)
            waited.fail("no_agent")
    handoff = call.start_handoff("voice_ai", "agent", expected=["intent"])
    handoff.deliver(["intent"])
    handoff.stop()
    lookup = call.start_lookup("billing", "find_customer", waiting=True)
    lookup.found(True)
    lookup.stop()
    call.start_response().stop()
    call.start_media("customer").stop()
    call.set(cxotel.pii(phone="+1"))
    call.stop(outcome="completed", ended_by="customer")
