"""What one party measures of the audio it receives and sends, as the legs that its role is charged by."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from cxotel import _guard
from cxotel._feed import Feed
from cxotel.media import codecs
from cxotel.media.roles import ROLES
from cxotel.media.windows import NO_HINTS, Figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from cxotel.leg import Leg
    from cxotel.media.windows import Hints, Window


class MediaSession:
    """A party's audio: `call.start_media("softphone")` until `stop()` or `fail()`.

    It owns two legs: `network`, charged with what did not arrive, and `device`, charged with what arrived
    and was not played (one and the same for the role `customer`). Feed it with statistics (`feed`) or with
    windows (`add`).

    Attributes:
        role: one of `cxotel.media.roles.ROLES`.
        network: the leg of the way to and from the party.
        device: the leg of what the party's own device or media server did.
        remaining: asked once, before the legs end, for windows that a reader of the caller's still holds.
    """

    def __init__(self, role: str, network: Leg, device: Leg) -> None:
        self.role = role
        self.network = network
        self.device = device
        self.remaining: Callable[[], Iterable[Window]] = tuple
        self._feed = Feed(network.window, network.started_at)
        self._lock = threading.RLock()

    @property
    def started_at(self) -> int:
        """When window 0 begins: integer nanoseconds since the epoch."""
        return self.network.started_at

    def feed(self, stats: Any, at: float, hints: Hints = NO_HINTS) -> None:
        """Give one answer of W3C `getStats()`, by id or as a sequence of dictionaries, read at second `at`.

        `at` may be of any clock that only goes forward; feed every second or two. Complete windows go to
        the legs.
        """
        with _guard.swallow("media feed"):
            if self.network._copied():  # noqa: SLF001 (a handle's part)
                return
            with self._lock:
                if self.ended:
                    _guard.count(_guard.AFTER_END)
                    return
                for window in self._feed.take(stats, at, hints):
                    self.add(window)

    def add(self, window: Window) -> None:
        """Give one window of a reader of `cxotel.media`, its index counted from the session's start."""
        with _guard.swallow("media window"):
            role = ROLES[self.role]
            network = {role.receives: window.network}
            if window.remote is not None:
                network[role.sends] = window.remote
            if self.device is self.network:
                network[role.receives] = _both(window.network, window.device)
            else:
                self.device.add_window(window.index, **{role.receives: window.device})
            self.network.add_window(window.index, **network)

    def set_codec(self, codec: str, *, ie: float | None = None) -> None:
        """Name the codec that the party decodes.

        `ie` is its equipment impairment (ITU-T G.113, 0 to 95), by default that of the table in
        `cxotel.media.codecs`, if the standard has one for it.
        """
        with _guard.swallow("media codec"):
            known = codecs.narrowband_ie(codec) if ie is None else ie
            self.device.set_codec(codec, **{f"ie_{ROLES[self.role].receives}": known})
            if self.device is not self.network:
                self.network.set_codec(codec)

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes on both legs; use `network.set` or `device.set` for one."""
        for leg in self._legs():
            leg.set(attributes)

    @property
    def ended(self) -> bool:
        """Whether both legs have ended."""
        return self.network.ended and self.device.ended

    def stop(self, *, end_time: int | None = None) -> None:
        """End both legs, now or at `end_time` (integer nanoseconds since the epoch)."""
        self._finish(None, end_time, "network")

    def fail(self, error: BaseException | str, *, part: str = "network", end_time: int | None = None) -> None:
        """End both legs, the one that broke (`network` or `device`) with status Error."""
        self._finish(error, end_time, part)

    def _finish(self, error: BaseException | str | None, end_time: int | None, part: str) -> None:
        self.flush()
        broken = self.device if isinstance(part, str) and part == "device" else self.network
        for leg in self._legs():
            if leg is broken and error is not None:
                leg.fail(error, end_time=end_time)
            else:
                leg.stop(end_time=end_time)

    def flush(self) -> None:
        """Add the windows that were not complete yet; nothing can be fed after it."""
        with _guard.swallow("media end"):
            if self.ended or self.network._generation != _guard.generation:  # noqa: SLF001 (a fork's copy)
                return
            with self._lock:
                remaining, self.remaining = self.remaining, tuple
                for window in (*self._feed.rest(), *remaining()):
                    self.add(window)

    def _legs(self) -> tuple[Leg, ...]:
        return (self.network,) if self.device is self.network else (self.device, self.network)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if not self.ended:
            self._finish(error if isinstance(error, Exception) else None, None, "network")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)


def _both(network: Figures, device: Figures) -> Figures:
    """Figures of way and device together: losses one after the other, delays added."""
    return Figures(
        _added(network.loss_pct, device.loss_pct, lambda a, b: 100 - (100 - a) * (100 - b) / 100),
        _added(network.delay_ms, device.delay_ms, lambda a, b: a + b),
    )


def _added(one: float | None, other: float | None, both: Any) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return float(both(one, other))
