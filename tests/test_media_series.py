"""A media series as text says the figures of a leg's windows, and bad text costs only what is bad."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxotel.media.series import DELAY_RANGE, LOSS_RANGE, Decoded, decode, encode

FIGURE = st.one_of(st.none(), st.floats(0.0, 60000.0), st.sampled_from([0.0, 0.04, 100.0]))


def test_the_example_of_the_trace_model() -> None:
    """`0*20 12.4 15.1 - 0*36` is 59 windows."""
    assert Decoded(((20, 0.0), (1, 12.4), (1, 15.1), (1, None), (36, 0.0)), 0, 59) == decode(
        "0*20 12.4 15.1 - 0*36"
    )


@pytest.mark.parametrize(
    ("values", "decimals", "expected"),
    [
        ([], 1, ""),
        ([0.0] * 20 + [12.4, 15.1, None] + [0.0] * 36, 1, "0*20 12.4 15.1 - 0*36"),
        ([0.0, 0.0], 1, "0 0"),
        ([0.0, 0.0, 0.0], 1, "0*3"),
        ([12.0, 12.0], 0, "12*2"),
        ([None] * 12, 0, "-*12"),
        ([0.05, 0.04999, 99.96], 1, "0.1 0 100"),
        ([10.0, 100.0, 0.5], 0, "10 100 1"),
        ([math.nan, math.inf, -1.0, 1e300], 1, "-*4"),
        ([-0.0], 1, "0"),
        ([1.0] * 10001, 0, "1*9999 1 1"),
    ],
)
def test_writing(values: list[float | None], decimals: int, expected: str) -> None:
    """Runs only where they are shorter; halves round up; what is no figure is not measured."""
    assert expected == encode(values, decimals)


@pytest.mark.parametrize(
    "item", ["nan", "inf", "1e1", "+3", ".5", "5.", "-1", "0x5", "1,5", "x*3", "*3", "--", "٣", "1\t2"]
)
def test_an_item_that_is_no_number_is_not_measured(item: str) -> None:
    """One item costs its own windows and nothing else, and counts once however many windows it covers."""
    count = 3 if "*" in item else 1
    assert Decoded(((5, 20.0), (count, None), (1, 7.0)), 1, 6 + count) == decode(f"20*5 {item} 7")


@pytest.mark.parametrize(
    ("text", "limits", "expected"),
    [
        ("101 100 0", LOSS_RANGE, ((1, None), (1, 100.0), (1, 0.0))),
        ("60001*2 60000", DELAY_RANGE, ((2, None), (1, 60000.0))),
        ("9" * 400 + " 1", LOSS_RANGE, ((1, None), (1, 1.0))),
    ],
)
def test_figures_outside_their_range(text: str, limits: tuple[float, float], expected: Any) -> None:
    """Loss is 0 to 100 %, delay 0 to 60,000 ms."""
    decoded = decode(text, low=limits[0], high=limits[1])
    assert decoded is not None
    assert (expected, 1) == (decoded.runs, decoded.bad)


@pytest.mark.parametrize(
    "whole",
    [
        None,
        5,
        0.5,
        True,
        ["0"],
        b"0*5",
        "0*0",
        "0*0000",
        "0*",
        "0*12345",
        "0*-1",
        "0*1*2",
        "0*٣",
        "0*x 1",
        "0*1001",
        "0*600 1*401",
    ],
)
def test_a_whole_series_that_is_unreadable(whole: Any) -> None:
    """No string, a count that is not 1 to 4 digits above 0, over 1,000 windows."""
    assert decode(whole) is None


@pytest.mark.parametrize(
    ("text", "windows"), [("", 0), ("   ", 0), ("0*1000", 1000), ("0*0600  1*400", 1000), ("0 " * 1000, 1000)]
)
def test_still_readable(text: str, windows: int) -> None:
    """Spaces too many do no harm, and exactly 1,000 windows are allowed."""
    decoded = decode(text)
    assert decoded is not None
    assert (windows, 0) == (decoded.windows, decoded.bad)


@given(st.lists(FIGURE, max_size=200), st.integers(0, 3))
def test_what_was_written_is_read_back(values: list[float | None], decimals: int) -> None:
    """Decoding an encoded series gives the rounded figures, window by window."""
    factor = 10**decimals
    rounded = [None if v is None else math.floor(v * factor + 0.5) / factor for v in values]
    decoded = decode(encode(values, decimals), high=DELAY_RANGE[1] + 1)
    assert decoded is not None
    read = [value for count, value in decoded.runs for _ in range(count)]
    assert (len(rounded), 0) == (decoded.windows, decoded.bad)
    assert [None if v is None else pytest.approx(v, abs=1e-9) for v in rounded] == read


@given(st.lists(FIGURE, max_size=100))
def test_a_series_is_never_longer_than_item_by_item(values: list[float | None]) -> None:
    """A run is taken only where it saves characters."""
    assert len(" ".join(encode([v], 1) for v in values)) >= len(encode(values, 1))


@given(st.text(alphabet="0123456789.*- xe", max_size=60) | st.text() | st.none() | st.integers())
def test_reading_never_raises(text: Any) -> None:
    """Any value gives a series within its bounds, or None."""
    decoded = decode(text, low=LOSS_RANGE[0], high=LOSS_RANGE[1])
    if decoded is not None:
        assert sum(count for count, _ in decoded.runs) == decoded.windows <= 1000
        assert all(value is None or 0.0 <= value <= 100.0 for _, value in decoded.runs)
        json.dumps(decoded.runs, allow_nan=False)
