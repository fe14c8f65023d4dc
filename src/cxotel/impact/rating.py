"""From loss, delay and codec to R, and from R to the share of an instant that is lost."""

from __future__ import annotations

from functools import lru_cache
from math import erf, sqrt

from cxotel.media.emodel import r_factor

_GOB_CENTRE, _GOB_SPREAD = 60.0, 16.0 * sqrt(2.0)  # G.107 Annex B: Phi((R - 60) / 16)
WORST_IE = 95.0  # G.107: Ie is at most 95


@lru_cache(maxsize=16384)
def by_delay(delay: float) -> float:
    """R of a one-way delay in ms alone: T = Ta = delay, Tr = 2 T. Remembered: delays recur."""
    return r_factor(t=delay)


R_BEST = by_delay(0.0)
"""R of a call without loss, delay or codec impairment: 93.2062077233."""


def rating(survival: float, delay: float, ie: float, bpl: float) -> float:
    """R of G.107 for what a direction suffers, random loss.

    Args:
        survival: share of the audio that arrives, 0 to 1.
        delay: one-way delay, ms.
        ie: sum of the equipment impairments; over 95 is 95.
        bpl: packet-loss robustness, percent.
    """
    if ie > WORST_IE:  # noqa: PLR1730  # the hottest line of the model: no call of min
        ie = WORST_IE
    if survival >= 1.0:
        return by_delay(delay) - ie
    ppl = 100.0 * (1.0 - survival)
    return by_delay(delay) - ie - (WORST_IE - ie) * ppl / (ppl + bpl)


def good_or_better(r: float) -> float:
    """Share 0 to 1 of listeners who call R good or better (G.107 Annex B)."""
    return 0.5 * (1.0 + erf((r - _GOB_CENTRE) / _GOB_SPREAD))
