"""Reads `spec/registry/` and holds it to its rules: the one place that knows the format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REGISTRY = Path(__file__).resolve().parent.parent / "spec" / "registry"
FILE_FORMAT = "definition/2"
PRIMITIVES = ("string", "int", "double", "boolean")
TYPES = frozenset((*PRIMITIVES, *(f"{one}[]" for one in PRIMITIVES)))
STABILITIES = frozenset(("development", "alpha", "beta", "release_candidate", "stable"))
# OpenTelemetry's naming rules: lower case, dots between namespaces, snake_case within.
NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
# What a definition/2 file and its parts may hold (the weaver tool's JSON schema), and which of it they must.
KEYS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    kind: (frozenset(must.split()), frozenset((must + " " + may).split()))
    for kind, (must, may) in {
        "file": ("file_format", "attributes attribute_groups spans events metrics entities imports"),
        "attributes": ("key type stability brief", "note examples deprecated annotations"),
        "member": ("id value stability", "brief note deprecated annotations"),
        "attribute_groups": ("id visibility", "attributes brief note stability deprecated annotations"),
        "spans": (
            "type kind stability name brief",
            "note attributes deprecated entity_associations annotations",
        ),
        "events": ("name stability brief", "note attributes deprecated entity_associations annotations"),
        "metrics": (
            "name stability brief instrument unit",
            "note attributes deprecated entity_associations annotations",
        ),
        "entities": ("type stability brief identity", "note description deprecated annotations"),
        "ref": ("ref", "requirement_level brief note examples stability deprecated annotations"),
        "ref_group": ("ref_group", ""),
        "manifest": ("name schema_url", "description dependencies stability"),
    }.items()
}


class RegistryError(ValueError):
    """A rule that the registry breaks; the message names file, item and rule."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; `type` is a primitive, array, `template[...]` or `enum`, members (id, value, brief)."""

    key: str
    type: str
    brief: str
    stability: str
    examples: tuple[Any, ...] = ()
    members: tuple[tuple[str, str, str], ...] = ()
    source: str = ""

    @property
    def is_template(self) -> bool:
        """Whether the key is a prefix of real names."""
        return self.type.startswith("template[")


@dataclass(slots=True)
class Registry:
    """All files of one registry directory."""

    attributes: dict[str, Attribute] = field(default_factory=dict)
    reused: tuple[str, ...] = ()
    groups: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    spans: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    entities: list[dict[str, Any]] = field(default_factory=list)

    def refs(self, items: list[dict[str, Any]]) -> list[str]:
        """Attribute keys that a list of refs stands for, groups resolved."""
        keys: list[str] = []
        for item in items:
            keys += self.refs(self.groups[item["ref_group"]]) if "ref_group" in item else [item["ref"]]
        return keys


def _check_keys(kind: str, item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise RegistryError(f"{where}: a {kind} is a mapping, not {type(item).__name__}")
    must, allowed = KEYS[kind]
    if missing := must - item.keys():
        raise RegistryError(f"{where}: {kind} lacks {', '.join(sorted(missing))}")
    if unknown := item.keys() - allowed:
        raise RegistryError(f"{where}: {kind} has unknown {', '.join(sorted(unknown))}")
    if item.get("stability", "development") not in STABILITIES:
        raise RegistryError(f"{where}: unknown stability {item['stability']!r}")


def _members(item: dict[str, Any], where: str) -> tuple[tuple[str, str, str], ...]:
    if not isinstance(item["type"], dict):
        listed = item.get("annotations", {}).get("code_generation", {}).get("members", [])
        return tuple((one, one, "") for one in listed)
    members = item["type"].get("members", [])
    for member in members:
        _check_keys("member", member, where)
    return tuple((one["id"], one["value"], one.get("brief", "")) for one in members)


def _attribute(item: dict[str, Any], source: str) -> Attribute:
    where = f"{source}: {item.get('key', '?')}"
    _check_keys("attributes", item, where)
    if not NAME.fullmatch(item["key"]):
        raise RegistryError(f"{where}: not a lower-case dotted name")
    members = _members(item, where)
    kind = "enum" if isinstance(item["type"], dict) else item["type"]
    plain = kind.removeprefix("template[").removesuffix("]") if kind.startswith("template[") else kind
    if kind != "enum" and plain not in TYPES:
        raise RegistryError(f"{where}: unknown type {kind!r}")
    examples = tuple(item.get("examples", ()))
    if kind != "enum" and not examples:
        raise RegistryError(f"{where}: needs examples")
    return Attribute(item["key"], kind, item["brief"].strip(), item["stability"], examples, members, source)


def check_names(keys: list[str]) -> None:
    """Raises RegistryError if one name is the beginning of another (`a.b` beside `a.b.c`)."""
    known = set(keys)
    for key in keys:
        parts = key.split(".")
        for length in range(1, len(parts)):
            if ".".join(parts[:length]) in known:
                raise RegistryError(f"{'.'.join(parts[:length])} is the beginning of {key}")


def _read_file(path: Path, registry: Registry) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    _check_keys("file", content, path.name)
    if content["file_format"] != FILE_FORMAT:
        raise RegistryError(f"{path.name}: file_format is not {FILE_FORMAT}")
    for item in content.get("attributes", ()):
        attribute = _attribute(item, path.name)
        if attribute.key in registry.attributes:
            raise RegistryError(f"{path.name}: {attribute.key} is defined twice")
        registry.attributes[attribute.key] = attribute
    for kind in ("attribute_groups", "spans", "events", "metrics", "entities"):
        for item in content.get(kind, ()):
            _check_keys(kind, item, f"{path.name}: {kind}")
            for listed in ("attributes", "identity", "description"):
                for ref in item.get(listed, ()):
                    _check_keys("ref_group" if "ref_group" in ref else "ref", ref, path.name)
    for group in content.get("attribute_groups", ()):
        registry.groups[group["id"]] = group["attributes"]
    for kind in ("spans", "events", "metrics", "entities"):
        getattr(registry, kind).extend(content.get(kind, ()))


def load(directory: Path = REGISTRY) -> Registry:
    """All of the registry, checked.

    Raises:
        RegistryError: a rule is broken (format, types, examples, names, references).
    """
    registry = Registry()
    for path in sorted(directory.glob("*.yaml")):
        if path.name == "manifest.yaml":
            _check_keys("manifest", yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
        else:
            _read_file(path, registry)
    registry.reused = tuple(one["ref"] for one in registry.groups.get("reused.otel", ()))
    known = registry.attributes.keys() | set(registry.reused)
    for kind in ("spans", "events", "metrics", "entities"):
        for item in getattr(registry, kind):
            refs = [*item.get("attributes", ()), *item.get("identity", ()), *item.get("description", ())]
            if unknown := set(registry.refs(refs)) - known:
                raise RegistryError(
                    f"{item.get('type', item.get('name'))}: refers to unknown {sorted(unknown)}"
                )
    check_names([*registry.attributes, *registry.reused])
    return registry
