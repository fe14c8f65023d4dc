"""What a host hands us, made fit for export: one value that no encoder can carry would cost a whole batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxotel import _guard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.util.types import AttributeValue

_INT64 = 2**63  # OTLP's intValue and fixed64 times
_SCALARS = (str, bool, int, float)


def text(value: Any) -> str | None:
    """A string that UTF-8 can carry; lone surrogates become `?`; None for anything else."""
    if not isinstance(value, str):
        return None
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        _guard.count(_guard.BAD_VALUE)
        return value.encode("utf-8", "replace").decode()
    return value


def _scalar(value: Any) -> str | bool | int | float | None:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return value
    return None


def listed(values: Any) -> list[Any] | None:
    """What an iterable holds, a string being one item; None for what cannot be iterated, or fails to be."""
    if isinstance(values, str):
        return [values]
    try:
        return list(values)
    except Exception:  # noqa: BLE001 (the host's iterable may raise anything)
        return None


def _sequence(values: Any) -> Sequence[Any] | None:
    items = listed(values)
    if items is None:
        return None
    scalars = [_scalar(value) for value in items]
    kinds = {type(value) for value in scalars}
    return scalars if len(kinds) <= 1 and type(None) not in kinds else None


def attribute(key: Any, value: Any) -> AttributeValue | None:
    """The value as OTLP and every backend can hold it (a scalar, a list of one kind), else None, counted."""
    if value is None:
        return None
    good: AttributeValue | None = None
    if isinstance(key, str) and key:
        if isinstance(value, _SCALARS):
            good = _scalar(value)
        elif isinstance(value, list | tuple | set | frozenset):
            good = _sequence(value)
    if good is None:
        kind = type(value).__name__
        hint = f"attribute {_guard.shown(key)}: a {kind} is no text, number or list of one kind"
        _guard.count(_guard.BAD_VALUE, hint=hint)
    return good


def attributes(given: Mapping[str, Any] | None) -> dict[str, AttributeValue]:
    """Those of the given attributes that can be exported; the others are counted, except None."""
    if given is None:
        return {}
    try:
        items = [(key, value) for key, value in given.items()]  # may be no pairs
    except Exception:  # noqa: BLE001 (the host's mapping may raise anything)
        _guard.count(_guard.BAD_VALUE, hint=f"attributes: give a mapping, not a {type(given).__name__}")
        return {}
    cleaned: dict[str, AttributeValue] = {}
    for key, value in items:
        # Most values are plain text or flags: they need no second look.
        plain = (type(value) is str and value.isascii()) or type(value) is bool
        good = value if plain and type(key) is str and key else attribute(key, value)
        if good is not None:
            cleaned[key] = good
    return cleaned


def time_ns(value: Any, name: str) -> int | None:
    """A time in integer nanoseconds since the epoch, else None (counted unless it was None)."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _INT64:
        return value
    hint = f"{name}: give integer nanoseconds since the epoch, not {_guard.shown(value)}"
    _guard.count(_guard.BAD_VALUE, hint=hint)
    return None


def member(value: Any, allowed: tuple[str, ...], name: str) -> str | None:
    """The value if it is one of `allowed`, else None (counted unless it was None)."""
    if value is None or (isinstance(value, str) and value in allowed):
        return value
    _guard.count(_guard.BAD_VALUE, hint=f"{name}: {_guard.shown(value)} is none of {', '.join(allowed)}")
    return None


def number(value: Any, low: float, high: float) -> float | None:
    """A finite number within low..high, else None (counted unless it was None)."""
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return value
    _guard.count(_guard.BAD_VALUE)
    return None
