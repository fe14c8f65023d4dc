"""The hot path's rating is the E-model, and Shapley shares are what they should be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxotel.impact.quality import shapley
from cxotel.impact.rating import R_BEST, good_or_better, rating
from cxotel.media.emodel import gob, r_factor


@given(st.floats(0, 100), st.floats(0, 5000), st.floats(0, 300), st.floats(1, 100))
def test_rating_is_the_full_model(ppl: float, delay: float, ie: float, bpl: float) -> None:
    """T = Ta = delay, Tr = 2 T, Ie capped at 95, random loss: equal to the full model within 1e-9."""
    full = r_factor(t=delay, ta=delay, tr=2.0 * delay, ie=min(95.0, ie), ppl=ppl, bpl=bpl)
    assert full == pytest.approx(rating(1.0 - ppl / 100.0, delay, ie, bpl), abs=1e-9)


def test_rating_of_nothing_is_the_known_constant() -> None:
    """R of the empty set is 93.2062077233."""
    assert pytest.approx(93.2062077233, abs=1e-9) == R_BEST
    assert rating(1.0, 0.0, 0.0, 25.1) == R_BEST


@given(st.floats(-100, 120))
def test_good_or_better_is_that_of_the_media_package(r: float) -> None:
    """One formula, two places that must not drift."""
    assert gob(r) == pytest.approx(good_or_better(r), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_shares_of_a_sum_are_its_parts(parts: list[float]) -> None:
    """Where the worth is a sum each player gets its own part."""
    worth = [
        sum(part for i, part in enumerate(parts) if subset >> i & 1) for subset in range(1 << len(parts))
    ]
    assert parts == pytest.approx(shapley(worth), abs=1e-9)


def test_players_who_hurt_only_together_share_evenly() -> None:
    """Three who alone and in pairs do nothing share what they do together."""
    assert [1 / 3] * 3 == pytest.approx(shapley([0, 0, 0, 0, 0, 0, 0, 1.0]))
