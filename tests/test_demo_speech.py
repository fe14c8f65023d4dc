"""The demo's speech and how it is packed and heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxotel.demo import speech
from cxotel.demo.tracks import LOUDNESS, Ear

NAMES = [path.stem for path in Path(speech.__file__).parent.glob("*.wav")]


@pytest.mark.parametrize("name", NAMES)
def test_each_sentence_is_speech_of_two_to_five_seconds(name: str) -> None:
    """Whole packets of 160 bytes, loud enough to be heard as speech."""
    payloads = speech.frames(name)
    assert 100 <= len(payloads) <= 250
    assert {160} == {len(payload) for payload in payloads}
    assert sum(LOUDNESS[byte] for byte in speech.load(name)) / len(speech.load(name)) > Ear.THRESHOLD


def test_all_speech_together_is_small() -> None:
    """It is in the wheel: at most 300 KiB."""
    folder = Path(speech.__file__).parent
    assert sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) <= 300 * 1024


def test_a_file_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear PCM sent as mu-law would be noise."""
    good = (Path(speech.__file__).parent / "ivr.wav").read_bytes()
    (tmp_path / "linear.wav").write_bytes(good[:20] + b"\x01\x00" + good[22:])
    (tmp_path / "text.wav").write_bytes(b"no wav at all")
    monkeypatch.setattr(speech, "__file__", str(tmp_path / "__init__.py"))
    for name in ("linear", "text"):
        with pytest.raises(ValueError, match=name):
            speech.load(name)


def test_mu_law_is_read_as_g711_says() -> None:
    """Known magnitudes of ITU-T G.711: 0xFF and 0x7F are 0, 0x80 and 0x00 the loudest."""
    assert [LOUDNESS[byte] for byte in (0xFF, 0x7F, 0x80, 0x00, 0xFE)] == [0, 0, 32124, 32124, 8]


def test_an_ear_hears_where_speech_starts_and_ends() -> None:
    """Start with the first loud packet; end half a second after the last."""
    ear = Ear()
    for _ in range(50):
        ear.listen(speech.SILENCE)
    assert not ear.heard.is_set()
    for payload in speech.frames("customer-1"):
        ear.listen(payload)
    assert ear.heard.is_set()
    assert not ear.ended.is_set()
    for _ in range(Ear.HANGOVER):
        ear.listen(speech.SILENCE)
    assert ear.ended.is_set()
    assert not ear.heard.is_set()
