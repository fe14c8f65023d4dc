"""Seeing the frames that a host reads from a remote track, without standing between the two.

The track stays the very object that aiortc made: hosts compare tracks by identity, keep them in dictionaries,
hand them to `MediaRelay`, `MediaRecorder` or another connection. Only its public method `recv` is wrapped, on
that one object. A frame that the host never reads is never seen, and so never counted.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from aiortc.mediastreams import MediaStreamError

from ._shim import Shim

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiortc import MediaStreamTrack


class WatchedTrack:
    """One remote track whose frames are shown to `on_frame` as the host reads them.

    `ended_far` becomes true when the far side ended the stream (RTCP BYE), not when the host stopped it.
    """

    def __init__(self, track: MediaStreamTrack, on_frame: Callable[[Any], None]) -> None:
        self.ended_far = False
        self._track = weakref.ref(track)
        self._on_frame: Callable[[Any], None] | None = on_frame
        self._shim = Shim(track, "recv", self._watching)

    def _watching(self, recv: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(recv)
        async def watched() -> Any:
            track = self._track()
            live = track is not None and track.readyState == "live"
            try:
                frame = await recv()
            except MediaStreamError:
                self.ended_far = self.ended_far or live
                raise
            if self._on_frame is not None:
                self._on_frame(frame)
            return frame

        return watched

    def release(self) -> None:
        """Leave the track as it was; a read that is under way still gets its frame."""
        self._on_frame = None
        self._shim.release()
