"""Attribute values of OTLP/JSON as Python values, and back.

Lenient where the protobuf JSON mapping is lenient (64-bit integers as strings or numbers, NaN and Infinity as
strings, lowerCamelCase and snake_case), so that what any exporter writes can be read.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What a value that is not of its kind is read as. It is no string and no bool, and as a number out of every
# range, so that the model counts it as skipped wherever it wanted to read it.
UNREADABLE = float("nan")  # an object of its own, told from a sent NaN by identity
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
MAX_DEPTH = 32  # nesting of lists and maps in one value; protobuf's own readers stop at 100 messages
NAMED_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def first(node: dict[str, Any], *names: str) -> Any:
    """The value under the first of the names that is there and not null, else None."""
    for name in names:
        value = node.get(name)
        if value is not None:
            return value
    return None


def whole(value: Any) -> int | None:
    """An integer written as number or string, None if it is none (a bool is none)."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _string(value: Any, _depth: int, _bad: Bad) -> Any:
    return value if isinstance(value, str) else UNREADABLE


def _bool(value: Any, _depth: int, _bad: Bad) -> Any:
    return value if isinstance(value, bool) else UNREADABLE


def _int(value: Any, _depth: int, _bad: Bad) -> Any:
    number = whole(value)
    return number if number is not None and INT64_MIN <= number <= INT64_MAX else UNREADABLE


def _double(value: Any, _depth: int, _bad: Bad) -> Any:
    if isinstance(value, float):
        return value
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str):
            # float() alone would take "inf", "1_000" and blanks, which are no JSON numbers.
            return NAMED_FLOATS[value] if value in NAMED_FLOATS else _decimal(value)
    except (ValueError, OverflowError):
        pass
    return UNREADABLE


def _decimal(text: str) -> float:
    if not text.isascii() or text.strip("0123456789+-.eE"):
        raise ValueError(text)
    return float(text)


def _bytes(value: Any, _depth: int, _bad: Bad) -> Any:
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    return UNREADABLE


def _list(value: Any, depth: int, bad: Bad) -> Any:
    items = value.get("values", []) if isinstance(value, dict) else None
    if not isinstance(items, list):
        return UNREADABLE
    return [read_value(item, bad, depth + 1) for item in items]


def _map(value: Any, depth: int, bad: Bad) -> Any:
    items = value.get("values", []) if isinstance(value, dict) else None
    return read_attributes(items, bad, depth + 1) if isinstance(items, list) else UNREADABLE


KINDS: dict[str, Callable[[Any, int, Bad], Any]] = {
    "stringValue": _string,
    "boolValue": _bool,
    "intValue": _int,
    "doubleValue": _double,
    "bytesValue": _bytes,
    "arrayValue": _list,
    "kvlistValue": _map,
    "string_value": _string,
    "bool_value": _bool,
    "int_value": _int,
    "double_value": _double,
    "bytes_value": _bytes,
    "array_value": _list,
    "kvlist_value": _map,
}


class Bad(list[str]):
    """What could not be read in one span: a phrase each."""


def read_value(node: Any, bad: Bad, depth: int = 0) -> Any:
    """An AnyValue: str, bool, int, float, bytes, list, dict; None where it is empty; else `UNREADABLE`.

    What was wrong is added to `bad`.
    """
    if node is None:
        return None
    if not isinstance(node, dict) or depth > MAX_DEPTH:
        bad.append(
            "a value that is no object" if depth <= MAX_DEPTH else f"a value nested over {MAX_DEPTH} deep"
        )
        return UNREADABLE
    for kind, value in node.items():
        if kind in KINDS and value is not None:
            read = KINDS[kind](value, depth, bad)
            if read is UNREADABLE:
                bad.append(f"{kind} {_short(value)}")
            return read
    if node and not (KINDS.keys() & node.keys()):
        bad.append(f"a value of an unknown kind: {_short(next(iter(node)))}")
    return None


def read_attributes(items: Any, bad: Bad, depth: int = 0) -> dict[str, Any]:
    """Attributes by key; of a key given twice the last counts. An item without a key is added to `bad`."""
    if not isinstance(items, list):
        if items is not None:
            bad.append("attributes that are no list")
        return {}
    out = {}
    for item in items:
        key = item.get("key") if isinstance(item, dict) else None
        if not isinstance(key, str):
            bad.append("an attribute without a key")
            continue
        count = len(bad)
        out[key] = read_value(item.get("value"), bad, depth)
        bad[count:] = [f"attribute {_short(key)} has {text}" if depth == 0 else text for text in bad[count:]]
    return out


def write_value(value: Any) -> dict[str, Any]:
    """The AnyValue of a Python value in OTLP/JSON; what OTLP has no kind for goes as its text."""
    if value is None:
        return {}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and INT64_MIN <= value <= INT64_MAX:
        return {"intValue": str(value)}
    if isinstance(value, float):
        if math.isfinite(value):
            return {"doubleValue": value}
        return {"doubleValue": next(name for name, named in NAMED_FLOATS.items() if str(named) == str(value))}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [write_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": write_attributes(value)}}
    return {"stringValue": str(value)}


def write_attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP/JSON's list of pairs, in their order."""
    return [{"key": key, "value": write_value(value)} for key, value in attributes.items()]


def _short(value: Any) -> str:
    text = ascii(value) if not isinstance(value, (dict, list)) else f"that is a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
