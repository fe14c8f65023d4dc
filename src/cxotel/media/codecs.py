"""What a codec costs by itself: equipment impairment and loss robustness (ITU-T G.113), each with its source.

A value is given only where one was published. `grounding` says how well: `published` in the standard,
`vendor` in a manufacturer's manual, `fitted` in a paper where the ITU has none. Ie of the narrowband, the
wideband and the fullband scale are never mixed.
"""

from __future__ import annotations

from dataclasses import dataclass

NARROWBAND, WIDEBAND, FULLBAND = "NB", "WB", "FB"
PUBLISHED, VENDOR, FITTED = "published", "vendor", "fitted"

_G113 = "ITU-T G.113 Appendix I"
_G113_WB = "ITU-T G.113 (09/2024) Appendix IV"
_OPUS = "Alahmadi 2021, fit to listening tests; the ITU has published none for Opus"


@dataclass(frozen=True, slots=True)
class Codec:
    """One row of the table.

    Attributes:
        name: the RTP encoding name (IANA), lower case.
        mode: bit rate or variant that the row is about; "" for the codec as such.
        scale: `NB`, `WB` or `FB`, the scale that `ie` is on.
        ie: equipment impairment factor at 0 % loss.
        bpl: packet-loss robustness under random loss; None where none was published.
        grounding: `published`, `vendor` or `fitted`.
        source: where the figures stand.
    """

    name: str
    mode: str
    scale: str
    ie: float
    bpl: float | None
    grounding: str
    source: str


CODECS: tuple[Codec, ...] = (
    Codec("pcmu", "", NARROWBAND, 0.0, 25.1, PUBLISHED, f"{_G113}: G.711 with packet-loss concealment"),
    Codec("pcma", "", NARROWBAND, 0.0, 25.1, PUBLISHED, f"{_G113}: G.711 with packet-loss concealment"),
    Codec("pcmu", "no concealment", NARROWBAND, 0.0, 4.3, PUBLISHED, f"{_G113}: G.711"),
    Codec("pcma", "no concealment", NARROWBAND, 0.0, 4.3, PUBLISHED, f"{_G113}: G.711"),
    Codec("g729", "", NARROWBAND, 10.0, 19.0, PUBLISHED, f"{_G113}: G.729"),
    Codec("g729", "annexb", NARROWBAND, 11.0, 19.0, PUBLISHED, f"{_G113}: G.729A with VAD"),
    Codec("g723", "6.3k", NARROWBAND, 15.0, 16.1, PUBLISHED, f"{_G113}: G.723.1 at 6.3 kbit/s with VAD"),
    Codec("g723", "5.3k", NARROWBAND, 19.0, None, VENDOR, "Nortel voice planning guide, after G.113"),
    Codec("gsm-efr", "", NARROWBAND, 5.0, 10.0, PUBLISHED, f"{_G113}: GSM 06.60 at 12.2 kbit/s"),
    Codec("g726-32", "", NARROWBAND, 7.0, None, VENDOR, "Mitel MX-ONE planning guide, after G.113"),
    Codec("g722", "64k", WIDEBAND, 14.0, None, VENDOR, "Mitel MX-ONE planning guide, after G.113"),
    Codec("g722", "56k", WIDEBAND, 18.0, None, VENDOR, "Mitel MX-ONE planning guide, after G.113"),
    Codec("g722", "48k", WIDEBAND, 24.0, None, VENDOR, "Mitel MX-ONE planning guide, after G.113"),
    *(
        Codec("amr-wb", mode, WIDEBAND, ie, None, PUBLISHED, f"{_G113_WB}, monotic listening")
        for mode, ie in (
            ("6.6k", 41.0),
            ("8.85k", 26.0),
            ("12.65k", 13.0),
            ("14.25k", 10.0),
            ("15.85k", 7.0),
            ("18.25k", 5.0),
            ("19.85k", 3.0),
            ("23.05k", 1.0),
            ("23.85k", 8.0),  # not monotone, as published
        )
    ),
    Codec("opus", "NB 9k", NARROWBAND, 11.7, 18.9, FITTED, _OPUS),
    Codec("opus", "WB 13k", WIDEBAND, 20.0, 19.5, FITTED, _OPUS),
    Codec("opus", "SWB 16k", FULLBAND, 30.2, 11.8, FITTED, _OPUS),
    Codec("opus", "SWB 25k", FULLBAND, 20.2, 11.3, FITTED, _OPUS),
    Codec("opus", "SWB 31k", FULLBAND, 16.8, 10.4, FITTED, _OPUS),
    Codec("opus", "SWB 40k", FULLBAND, 10.7, 9.8, FITTED, _OPUS),
)

_NARROWBAND_IE = {
    codec.name: codec.ie for codec in reversed(CODECS) if codec.scale == NARROWBAND and codec.name != "opus"
}


def find(name: str, mode: str = "") -> Codec | None:
    """The row of a codec, None if there is none.

    Args:
        name: RTP encoding name in any case; `audio/PCMU`, `PCMU/8000` and `opus/48000/2` are understood.
        mode: the row's mode; "" takes the codec's first row.
    """
    wanted = encoding_name(name)
    return next((c for c in CODECS if c.name == wanted and (not mode or c.mode == mode)), None)


def encoding_name(name: str) -> str:
    """`audio/opus`, `opus/48000/2` and `OPUS` are all `opus`; "" for what is no string."""
    if not isinstance(name, str):
        return ""
    return name.strip().lower().removeprefix("audio/").partition("/")[0]


def narrowband_ie(name: str) -> float | None:
    """Ie to write on a leg (`cx.media.to_agent.ie`), on the impact model's narrowband scale.

    A wideband or fullband codec hurts nobody beside a telephone (the model's best is a G.711 call): 0. None
    for a codec that is not in the table: what was not published is not guessed.
    """
    wanted = encoding_name(name)
    if wanted in _NARROWBAND_IE:
        return _NARROWBAND_IE[wanted]
    return 0.0 if any(c.name == wanted for c in CODECS) else None
