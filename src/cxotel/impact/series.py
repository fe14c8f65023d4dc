"""Series of a leg as text (`0*20 12.4 - 0*36`), read into windows."""

from __future__ import annotations

import re
from functools import lru_cache

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,4}", re.ASCII)
# Longer items are never what a writer writes; they are read, but not remembered.
_REMEMBERED_LENGTH = 16

Item = tuple[float | None, int, bool]


def read_series(text: object, high: float, most_windows: int) -> tuple[list[float | None], int]:
    """Windows of a series, None where not measured, and the number of things that were not readable.

    Args:
        text: the attribute's value.
        high: largest value allowed (100 percent, 60,000 ms).
        most_windows: a series that covers more windows is not read at all.

    A bad item makes its own windows unmeasured. What is no string, has a bad count or covers too many
    windows is skipped whole and counts 1.
    """
    if not isinstance(text, str):
        return [], 1
    windows: list[float | None] = []
    bad = 0
    for token in text.split(" "):
        if not token:
            continue
        item = _item(token) if len(token) <= _REMEMBERED_LENGTH else _read_item(token)
        if item is None:
            return [], 1
        value, count, readable = item
        if not readable or (value is not None and value > high):
            bad += 1
            value = None
        if count == 1:
            windows.append(value)
        else:
            windows.extend([value] * count)
        if len(windows) > most_windows:
            return [], 1
    return windows, bad


def _read_item(token: str) -> Item | None:
    """(value, windows, readable) of one item; None if its count is bad."""
    value, star, count = token.partition("*")
    windows = 1
    if star:
        if not _COUNT.fullmatch(count) or not int(count):
            return None
        windows = int(count)
    if value == "-":
        return None, windows, True
    if _NUMBER.fullmatch(value):
        return float(value), windows, True
    return None, windows, False


_item = lru_cache(maxsize=4096)(_read_item)
