"""A media series as text: one figure per window, `0*20 12.4 15.1 - 0*36` (trace model, "Media series").

Items are separated by spaces: a decimal number (no sign, no exponent), `-` for a window not measured, `v*n`
for n windows running with the same figure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import floor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_WINDOWS = 1000
"""A series over more windows is unreadable as a whole (an hour of 5 s windows is 720)."""
LOSS_RANGE = (0.0, 100.0)
"""Percent."""
DELAY_RANGE = (0.0, 60000.0)
"""Milliseconds."""
_MAX_COUNT = 9999  # "1 to 4 digits"
_LARGEST = 1e9  # beyond any figure that a series may hold
_CACHED_CHARACTERS = 16  # items recur in thousands of calls; a longer one is no writer's

# \d would match digits of every script; whitespace other than the space separates nothing.
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_COUNT = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a series says.

    Attributes:
        runs: (number of windows, figure or None where not measured), in order.
        bad: items that could not be read; their windows are in `runs` as not measured.
        windows: windows covered, the sum of the runs' counts.
    """

    runs: tuple[tuple[int, float | None], ...] = ()
    bad: int = 0
    windows: int = 0


def encode(values: Iterable[float | None], decimals: int = 0) -> str:
    """The series of these figures, one per window, as short as it gets.

    Args:
        values: figure of each window; None, and what is no number from 0 to 1e9, becomes `-`.
        decimals: digits after the point, 0 to 6; figures are rounded by floor(x * 10^d + 0.5) / 10^d.

    Returns:
        The text; "" for no windows. `decode` gives the rounded figures back.
    """
    items: list[str] = []
    last, count = "", 0
    for value in values:
        text = _number(value, decimals)
        if text == last and count < _MAX_COUNT:
            count += 1
            continue
        _put(items, last, count)
        last, count = text, 1
    _put(items, last, count)
    return " ".join(items)


def _put(items: list[str], text: str, count: int) -> None:
    run = f"{text}*{count}"
    # "0 0" is as long as "0*2": the run only where it is shorter.
    items.extend([run] if len(run) < (len(text) + 1) * count - 1 else [text] * count)


def _number(value: float | None, decimals: int) -> str:
    if value is None or not 0.0 <= value <= _LARGEST:
        return "-"
    factor = 10**decimals
    text = f"{floor(value * factor + 0.5) / factor:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def decode(text: Any, *, low: float = 0.0, high: float = _LARGEST, most: int = MAX_WINDOWS) -> Decoded | None:
    """Read a series; never raises.

    Args:
        text: the attribute's value, of any type.
        low: smallest figure that may be (see `LOSS_RANGE`, `DELAY_RANGE`).
        high: largest figure that may be.
        most: windows that a series may cover.

    Returns:
        What it says. None if the whole series is unreadable: no string, a count that is not 1 to 4 digits
        above 0, or more windows than may be.
    """
    if not isinstance(text, str):
        return None
    runs: list[tuple[int, float | None]] = []
    bad = windows = 0
    for item in text.split(" "):
        if not item:
            continue
        count, value, readable = _item(item) if len(item) <= _CACHED_CHARACTERS else _read(item)
        windows += count
        if count == 0 or windows > most:
            return None
        if not readable or (value is not None and not low <= value <= high):
            bad += 1
            value = None
        runs.append((count, value))
    return Decoded(tuple(runs), bad, windows)


def _read(item: str) -> tuple[int, float | None, bool]:
    """Windows (0: a bad count), figure, and whether it could be read."""
    figure, star, times = item.partition("*")
    count = 1
    if star:
        count = int(times) if _COUNT.fullmatch(times) else 0
    if figure == "-":
        return count, None, True
    if _NUMBER.fullmatch(figure):
        return count, float(figure), True
    return count, None, False


_item = lru_cache(maxsize=4096)(_read)
