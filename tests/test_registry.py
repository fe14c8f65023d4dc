"""The registry of names keeps OpenTelemetry's rules and its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cxotel import _semconv

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
    assert [event["name"] for event in registry.events] == ["cx.call.started", "cx.call.ended"]


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
