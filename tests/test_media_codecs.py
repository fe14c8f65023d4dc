"""The codec table gives published figures, and says where each stands."""

from __future__ import annotations

import pytest

from cxotel.media import codecs
from cxotel.media.codecs import CODECS, encoding_name, find, narrowband_ie


@pytest.mark.parametrize(
    ("name", "mode", "ie", "bpl"),
    [
        ("PCMU", "", 0.0, 25.1),
        ("audio/PCMA", "no concealment", 0.0, 4.3),
        ("G729/8000", "", 10.0, 19.0),
        ("g729", "annexb", 11.0, 19.0),
        ("gsm-efr", "", 5.0, 10.0),
        ("g722", "56k", 18.0, None),
        ("amr-wb", "23.85k", 8.0, None),
        ("opus/48000/2", "SWB 40k", 10.7, 9.8),
    ],
)
def test_rows(name: str, mode: str, ie: float, bpl: float | None) -> None:
    """A row is found by RTP encoding name and mode."""
    codec = find(name, mode)
    assert codec is not None
    assert (ie, bpl) == (codec.ie, codec.bpl)


def test_every_row_has_provenance() -> None:
    """Each figure says how well it is grounded and where it stands, and no row is there twice."""
    assert {codec.grounding for codec in CODECS} == {codecs.PUBLISHED, codecs.VENDOR, codecs.FITTED}
    assert all(codec.source and 0.0 <= codec.ie <= 95.0 for codec in CODECS)
    assert len({(codec.name, codec.mode) for codec in CODECS}) == len(CODECS)


@pytest.mark.parametrize(
    ("name", "ie"),
    [
        ("PCMU", 0.0),
        ("g729", 10.0),
        ("g723", 15.0),
        ("opus", 0.0),
        ("audio/G722", 0.0),
        ("evs", None),
        ("", None),
    ],
)
def test_ie_on_the_narrowband_scale(name: str, ie: float | None) -> None:
    """A wideband codec hurts nobody on a telephone scale; an unknown one is not guessed."""
    assert ie == narrowband_ie(name)


@pytest.mark.parametrize("name", [None, 7, b"opus"])
def test_names_that_are_no_strings(name: object) -> None:
    """They are no codec's."""
    assert encoding_name(name) == ""  # type: ignore[arg-type]
    assert find(name) is None  # type: ignore[arg-type]
