"""The E-model of ITU-T G.107: from delay, loss and codec to the rating R and a mean opinion score.

Narrowband is the whole model (G.107, 06/2015, every parameter); wideband (G.107.1) and fullband (G.107.2) are
the forms with delay, codec and loss. The scales are never mixed: R 93 of narrowband is not R 93 of wideband.
Every function is pure and takes milliseconds, percent and decibels as the standard does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import atan2, cos, erf, exp, log2, log10, pi, pow, sqrt  # noqa: A004 - the built-in is typed Any

WIDEBAND_R0 = 129.0
"""R of an unimpaired wideband call (G.107.1 clause 7.1)."""
FULLBAND_R0 = 148.0
"""R of an unimpaired fullband call (G.107.2 clause 7.1)."""
_WIDEBAND_SCALE, _FULLBAND_SCALE = 1.29, 1.48  # R / scale gives the R that Annex B of G.107 turns into a MOS


@dataclass(frozen=True, eq=False)
class Line:
    """What a telephone connection is besides delay, codec and loss: table 3 of G.107 with its defaults.

    Attributes:
        slr: send loudness rating, dB.
        rlr: receive loudness rating, dB.
        stmr: sidetone masking rating, dB.
        ds: D-value of the telephone, send side.
        dr: D-value of the telephone, receive side.
        lstr: listener sidetone rating, dB; None for `stmr + dr`.
        telr: talker echo loudness rating, dB.
        wepl: weighted echo path loss, dB.
        qdu: number of quantization distortion units.
        nc: circuit noise referred to the 0 dBr point, dBm0p.
        nfor: noise floor at the receive side, dBmp.
        ps: room noise at the send side, dB(A).
        pr: room noise at the receive side, dB(A).
    """

    slr: float = 8.0
    rlr: float = 2.0
    stmr: float = 15.0
    ds: float = 3.0
    dr: float = 3.0
    lstr: float | None = None
    telr: float = 65.0
    wepl: float = 110.0
    qdu: float = 1.0
    nc: float = -70.0
    nfor: float = -64.0
    ps: float = 35.0
    pr: float = 35.0


DEFAULT_LINE = Line()


def r_factor(
    *,
    t: float = 0.0,
    ta: float | None = None,
    tr: float | None = None,
    ie: float = 0.0,
    ppl: float = 0.0,
    bpl: float = 25.1,
    burst_r: float = 1.0,
    advantage: float = 0.0,
    line: Line = DEFAULT_LINE,
) -> float:
    """The rating R of G.107: `Ro - Is - Id - Ie_eff + A`; 93.2062077233 with all defaults.

    `Idte` is taken as 0 where its formula falls below 0, else R would rise by 0.1 at a delay of 1 ms.

    Args:
        t: mean one-way delay of the echo path, ms.
        ta: absolute one-way delay, ms; `t` if None.
        tr: round-trip delay of the four-wire loop, ms; `2 * t` if None.
        ie: equipment impairment factor of the codec (G.113), 0 to 95.
        ppl: packet loss, percent, 0 to 100.
        bpl: packet-loss robustness of the codec (G.113); 25.1 is G.711 with concealment.
        burst_r: burst ratio, 1 for random loss (see `cxotel.media.burst`).
        advantage: advantage factor A.
        line: the rest of the connection.

    Returns:
        R; it may be negative for a hopeless connection and has no lower bound.
    """
    by_delay = _rating_before_codec(t, t if ta is None else ta, 2.0 * t if tr is None else tr, line)
    return by_delay - effective_equipment_impairment(ie, ppl, bpl, burst_r) + advantage


def effective_equipment_impairment(ie: float, ppl: float, bpl: float, burst_r: float = 1.0) -> float:
    """`Ie,eff` of G.107 clause 7.5 (equation 7-29): codec and packet loss (percent) together."""
    if ppl <= 0.0:
        return ie
    return ie + (95.0 - ie) * ppl / (ppl / burst_r + bpl)


@lru_cache(maxsize=16384)
def _rating_before_codec(t: float, ta: float, tr: float, line: Line) -> float:
    """`Ro - Is - Id`: what depends on delay alone. Cached: delays are whole milliseconds nearly always."""
    no = _noise(line)
    ro = 15.0 - 1.5 * (line.slr + no)
    ist = _sidetone(t, line)
    simultaneous = _loudness(no, line) + ist + _quantization(ro, line)
    delayed = _talker_echo(t, no, ist, line) + _listener_echo(tr, ro, line) + delay_impairment(ta)
    return ro - simultaneous - delayed


def _noise(line: Line) -> float:
    """`No`: power sum of circuit noise, both rooms' noise and the noise floor, dBm0p (clause 7.2)."""
    olr = line.slr + line.rlr
    lstr = line.stmr + line.dr if line.lstr is None else line.lstr
    send = line.ps - line.slr - line.ds - 100.0 + 0.004 * (line.ps - olr - line.ds - 14.0) ** 2
    pre = line.pr + 10.0 * log10(1.0 + 10.0 ** ((10.0 - lstr) / 10.0))
    receive = line.rlr - 121.0 + pre + 0.008 * (pre - 35.0) ** 2
    return 10.0 * log10(sum(10.0 ** (n / 10.0) for n in (line.nc, send, receive, line.nfor + line.rlr)))


def _loudness(no: float, line: Line) -> float:
    """`Iolr`: too low a loudness (clause 7.3)."""
    x = (line.slr + line.rlr + 0.2 * (64.0 + no - line.rlr)) / 8.0
    return 20.0 * (pow(1.0 + x**8, 1 / 8) - x)


def _sidetone(t: float, line: Line) -> float:
    """`Ist`: sidetone that is not optimal (clause 7.3)."""
    stmr = -10.0 * log10(10.0 ** (-line.stmr / 10.0) + exp(-t / 4.0) * 10.0 ** (-line.telr / 10.0))
    return (
        12.0 * pow(1.0 + ((stmr - 13.0) / 6.0) ** 8, 1 / 8)
        - 28.0 * pow(1.0 + ((stmr + 1.0) / 19.4) ** 35, 1 / 35)
        - 13.0 * pow(1.0 + ((stmr - 3.0) / 33.0) ** 13, 1 / 13)
        + 29.0
    )


def _quantization(ro: float, line: Line) -> float:
    """`Iq`: quantizing distortion (clause 7.3)."""
    q = 37.0 - 15.0 * log10(line.qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q * q
    y = (ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0
    z = 46.0 / 30.0 - g / 40.0
    return 15.0 * log10(1.0 + 10.0**y + 10.0**z)


def _talker_echo(t: float, no: float, ist: float, line: Line) -> float:
    """`Idte`: one's own voice coming back (clause 7.4); 0 below 1 ms, and never below 0."""
    if t < 1.0:
        return 0.0
    terv = line.telr - 40.0 * log10((1.0 + t / 10.0) / (1.0 + t / 150.0)) + 6.0 * exp(-0.3 * t * t)
    if line.stmr < 9.0:
        terv += ist / 2.0
    half = (-1.5 * (no - line.rlr) - (80.0 + 2.5 * (terv - 14.0))) / 2.0
    echo = max(0.0, (half + sqrt(half * half + 100.0) - 1.0) * (1.0 - exp(-t)))
    return sqrt(echo * echo + ist * ist) if line.stmr > 20.0 else echo


def _listener_echo(tr: float, ro: float, line: Line) -> float:
    """`Idle`: the other voice heard twice (clause 7.4)."""
    half = (ro - 10.5 * (line.wepl + 7.0) * pow(tr + 1.0, -0.25)) / 2.0
    return half + sqrt(half * half + 169.0)


def delay_impairment(ta: float) -> float:
    """`Idd`: absolute one-way delay of `ta` ms, however good the echo control (clause 7.4)."""
    if ta <= 100.0:
        return 0.0
    x = log2(ta / 100.0)
    return 25.0 * (pow(1.0 + x**6, 1 / 6) - 3.0 * pow(1.0 + (x / 3.0) ** 6, 1 / 6) + 2.0)


def mos(r: float) -> float:
    """Mean opinion score, conversational quality, 1 to 4.5 (G.107 Annex B, equation B-4).

    The cubic of the standard falls below 1 for R under 6.515 (0.989 at 3); there it is 1.
    """
    if r <= 0.0:
        return 1.0
    if r >= 100.0:
        return 4.5
    return max(1.0, 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6)


def r_from_mos(score: float) -> float:
    """R of a mean opinion score, the inverse of `mos` from 6.515 to 100 (G.107 Appendix I).

    Args:
        score: 1 to 4.5; what lies outside is taken as the nearer end.
    """
    m = min(4.5, max(1.0, score))
    root = sqrt(max(0.0, -903522.0 + 1113960.0 * m - 202500.0 * m * m))
    h = atan2(15.0 * root, 18566.0 - 6750.0 * m) / 3.0
    return 20.0 / 3.0 * (8.0 - sqrt(226.0) * cos(h + pi / 3.0))


def gob(r: float) -> float:
    """Good or Better: share 0 to 1 of listeners who call the connection good or excellent (equation B-2)."""
    return _normal((r - 60.0) / 16.0)


def pow_(r: float) -> float:
    """Poor or Worse: share 0 to 1 of listeners who call it poor or bad (equation B-3)."""
    return _normal((45.0 - r) / 16.0)


def _normal(x: float) -> float:
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))


def wideband_r(*, ta: float = 0.0, ie: float = 0.0, ppl: float = 0.0, bpl: float = 4.3) -> float:
    """R of G.107.1, 129 at best; echo is taken as cancelled, so delay counts as `Idd` alone.

    Args:
        ta: absolute one-way delay, ms.
        ie: wideband equipment impairment `Ie,WB` (G.113 Appendix IV).
        ppl: packet loss, percent.
        bpl: `Bpl,WB` (G.113 Appendix IV).
    """
    return WIDEBAND_R0 - delay_impairment(ta) - effective_equipment_impairment(ie, ppl, bpl)


def wideband_mos(r: float) -> float:
    """MOS on the wideband scale (MOS-CQEW) of a wideband R: the cubic of `mos` at R / 1.29."""
    return mos(r / _WIDEBAND_SCALE)


def fullband_r(*, ta: float = 0.0, ie: float = 0.0, ppl: float = 0.0, bpl: float = 4.3) -> float:
    """R of G.107.2, 148 at best: `Ie,eff = Ie + (132 - Ie) Ppl / (Ppl + Bpl)`, delay counts 1.48 times `Idd`.

    Args:
        ta: absolute one-way delay, ms.
        ie: fullband equipment impairment `Ie,FB` (G.113 Appendix V).
        ppl: packet loss, percent.
        bpl: `Bpl,FB`.
    """
    loss = (132.0 - ie) * ppl / (ppl + bpl) if ppl > 0.0 else 0.0
    return FULLBAND_R0 - _FULLBAND_SCALE * delay_impairment(ta) - ie - loss


def fullband_mos(r: float) -> float:
    """MOS on the fullband scale (MOS-CQEF) of a fullband R: the cubic of `mos` at R / 1.48."""
    return mos(r / _FULLBAND_SCALE)
