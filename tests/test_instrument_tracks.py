"""Reading statistics and frames of real aiortc connections without changing what the host has."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest
from aiortc.contrib.media import MediaRecorder, MediaRelay
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from webrtc_pair import call, peer

from cxotel.instrument import _stats
from cxotel.instrument._shim import Shim
from cxotel.instrument._tracks import WatchedTrack

if TYPE_CHECKING:
    from pathlib import Path

    from aiortc import MediaStreamTrack


ANSWER = (
    "v=0\r\nm=video 9 RTP/SAVPF 97\r\na=rtpmap:97 VP8/90000\r\nm=audio {port} RTP/SAVPF {formats}\r\n{lines}"
)


@pytest.mark.parametrize(
    ("formats", "lines", "codec"),
    [
        ("96 0", "a=rtpmap:96 opus/48000/2\r\n", _stats.Codec("opus", 48000)),
        ("0 96", "a=rtpmap:96 opus/48000/2\r\n", _stats.Codec("PCMU", 8000)),
        ("9", "", _stats.Codec("G722", 8000)),
        ("13", "", None),
        ("96", "a=rtpmap:96 opus/nonsense\r\n", None),
        ("96", "a=sendrecv\r\nm=audio 9 RTP/SAVPF 96\r\na=rtpmap:96 opus/48000\r\n", None),
    ],
)
def test_codec_is_the_first_format_of_the_first_audio_section(
    formats: str, lines: str, codec: _stats.Codec | None
) -> None:
    """Its rtpmap names it, or RFC 3551's table where it needs none; video sections are not looked at."""
    assert codec == _stats.first_codec(ANSWER.format(port=9, formats=formats, lines=lines))


def test_rejected_audio_section_has_no_codec() -> None:
    """Port 0 rejects a section (RFC 3264, 6)."""
    assert None is _stats.first_codec(ANSWER.format(port=0, formats="0", lines=""))


async def test_a_coroutine_that_has_to_wait_gives_nothing() -> None:
    """It is closed, not left un-awaited."""

    async def waits() -> int:
        await asyncio.sleep(1)
        return 1

    async def does_not() -> int:
        return 2

    assert (None, 2) == (_stats.now(waits()), _stats.now(does_not()))


async def test_connection_without_description_has_no_codec() -> None:
    """Nothing was negotiated yet."""
    pc = peer()
    assert None is _stats.negotiated_codec(pc)
    await pc.close()


async def test_reading_holds_what_the_connection_itself_reports() -> None:
    """The ids and the counted packets are those of `RTCPeerConnection.getStats()`."""
    async with call() as (a, _b, _):
        await asyncio.sleep(1.8)
        reading = _stats.read(a)
        whole = await a.getStats()
        assert set(whole) == set(reading.reports)
        assert {each.type for each in whole.values()} >= {"inbound-rtp", "outbound-rtp", "transport"}
        assert (True, True) == (reading.receiving, reading.sending)
        assert _stats.Codec("opus", 48000) == _stats.negotiated_codec(a)


async def drain(track: MediaStreamTrack) -> None:
    """Read a track to its end, which it raises."""
    while True:
        await asyncio.wait_for(track.recv(), 5)


async def test_a_watched_track_is_still_the_same_track() -> None:
    """Relay, recorder and black hole read it as before; identity and events stay."""
    async with call(read=False) as (a, b, _):
        track = a.getReceivers()[0].track
        frames: list[object] = []
        ended: list[bool] = []
        watched = WatchedTrack(track, frames.append)
        track.on("ended", lambda: ended.append(True))
        assert inspect.iscoroutinefunction(track.recv)
        relayed = MediaRelay().subscribe(track)
        frame = await asyncio.wait_for(relayed.recv(), 5)
        assert any(frame is each for each in frames)
        await b.close()
        with pytest.raises(MediaStreamError):
            await drain(relayed)
        assert (True, [True], "ended") == (watched.ended_far, ended, track.readyState)


async def test_a_recorder_records_a_watched_track(tmp_path: Path) -> None:
    """What it writes is what was heard."""
    async with call(read=False) as (a, _b, _):
        track = a.getReceivers()[0].track
        frames: list[object] = []
        WatchedTrack(track, frames.append)
        recorder = MediaRecorder(str(tmp_path / "heard.wav"))
        recorder.addTrack(track)
        await recorder.start()
        await asyncio.sleep(1)
        await recorder.stop()
        assert frames
        assert (tmp_path / "heard.wav").stat().st_size > 10_000


async def test_stopping_a_track_oneself_is_not_the_far_sides_end() -> None:
    """A host that stops listening says nothing about what the far side sends."""
    track = AudioStreamTrack()
    watched = WatchedTrack(track, lambda _: None)
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()
    assert False is watched.ended_far


async def test_releasing_leaves_the_track_as_it_was() -> None:
    """Nothing of ours stays on it, and frames are no longer shown."""
    track = AudioStreamTrack()
    frames: list[object] = []
    watched = WatchedTrack(track, frames.append)
    await track.recv()
    watched.release()
    await track.recv()
    assert (1, False) == (len(frames), "recv" in track.__dict__)


def test_shims_of_others_survive_ours() -> None:
    """One put on before comes back when ours goes; one put on after stays where it is."""

    class Phone:
        def ring(self) -> str:
            return "ring"

    phone = Phone()
    phone.ring = lambda: "before"  # type: ignore[method-assign]
    ours = Shim(phone, "ring", lambda ring: lambda: f"ours({ring()})")
    assert "ours(before)" == phone.ring()
    ours.release()
    assert "before" == phone.ring()

    ours = Shim(phone, "ring", lambda ring: lambda: f"ours({ring()})")
    later = Shim(phone, "ring", lambda ring: lambda: f"later({ring()})")
    ours.release()
    assert "later(ours(before))" == phone.ring()
    later.release()
    assert "ours(before)" == phone.ring()
