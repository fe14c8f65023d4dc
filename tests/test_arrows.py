"""Imports go one way, and the pure rooms stay pure."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import cxotel

ROOT = Path(cxotel.__file__).parent

# Rooms from the bottom up. A module may import from lower rooms and its own. The file or folder under
# src/cxotel says which room a module is in; what is not named here belongs to the SDK ("call").
ORDER = (
    "semconv",
    "media",
    "impact",
    "call",
    "otlp",
    "instrument",
    "sources",
    "evidence",
    "desk",
    "demo",
    "cli",
)
ROOMS = {
    "_semconv": "semconv",
    "_version": "semconv",
    "media": "media",
    "impact": "impact",
    "otlp": "otlp",
    "instrument": "instrument",
    "sources": "sources",
    "evidence": "evidence",
    "desk": "desk",
    "demo": "demo",
    "cli": "cli",
    "judge": "cli",
    "_judge_text": "cli",
    "__main__": "cli",
}
# Side by side: neither may import the other.
APART = {("otlp", "call")}

# What the pure rooms may not import, beside everything that is not in the standard library.
CLOCKS = {"time", "random", "secrets", "uuid"}
NOW = {"now", "utcnow", "today"}  # of datetime, whose types may be read
IO = {
    "asyncio",
    "http",
    "io",
    "os",
    "pathlib",
    "selectors",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "urllib",
}


def modules() -> list[Path]:
    """All modules of the package."""
    return sorted(ROOT.rglob("*.py"))


def room(name: str) -> str:
    """The room of a module by its dotted name."""
    parts = name.split(".")
    return ROOMS.get(parts[1], "call") if len(parts) > 1 else "call"


def dotted(path: Path) -> str:
    """The dotted name of a module's file."""
    parts = list(path.relative_to(ROOT.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Dotted names that a module imports, wherever in it, for type checking too; relative ones resolved."""
    found = set()
    package = dotted(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
            name = ".".join(base) if node.level else node.module or ""
            # `from cxotel import x` may name a module or what the package re-exports.
            found |= {f"{name}.{alias.name}" for alias in node.names} if name == "cxotel" else {name}
    return found


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_go_one_way(path: Path) -> None:
    """A room knows nothing of the rooms above it."""
    here = room(dotted(path))
    for name in imports(path):
        if name.split(".")[0] == "cxotel":
            there = room(name)
            assert ORDER.index(there) <= ORDER.index(here), f"{dotted(path)} imports {name}"
            assert (here, there) not in APART, f"{dotted(path)} imports {name}"


@pytest.mark.parametrize(
    "path", [path for path in modules() if room(dotted(path)) in {"media", "impact", "semconv"}], ids=dotted
)
def test_media_and_impact_are_pure(path: Path) -> None:
    """Nothing but the standard library, and of that no clock, no randomness, no I/O."""
    for name in imports(path):
        top = name.split(".")[0]
        assert top == "cxotel" or top in sys.stdlib_module_names, f"{dotted(path)} imports {name}"
        assert top not in CLOCKS | IO, f"{dotted(path)} imports {name}"
    called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not called & NOW


def test_the_json_side_of_otlp_needs_the_standard_library_only() -> None:
    """Protobuf is proto.py's alone."""
    for path in sorted((ROOT / "otlp").glob("*.py")):
        foreign = {n for n in imports(path) if n.split(".")[0] not in sys.stdlib_module_names | {"cxotel"}}
        assert (path.name == "proto.py") == bool(foreign), f"{path.name} imports {foreign}"


def test_the_scan_sees_what_it_should() -> None:
    """A scan that finds nothing would pass for ever."""
    assert "cxotel.impact.span" in imports(ROOT / "otlp" / "document.py")
    assert "opentelemetry.proto.common.v1.common_pb2" in imports(ROOT / "otlp" / "proto.py")
    assert {"media", "impact", "call", "otlp", "desk", "cli"} <= {room(dotted(path)) for path in modules()}
