"""A leg: one hop of the call's audio, with its figures window by window."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from cxotel import _clock, _guard, _runtime, _values
from cxotel import _semconv as names
from cxotel._feed import Feed
from cxotel._figures import BAD_R, LONGEST, TO_AGENT, TO_CUSTOMER, Columns, ie_attribute
from cxotel._handle import Handle
from cxotel._semconv import CxLayer
from cxotel.media.windows import NO_HINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from cxotel.media.windows import Figures, Hints, Window

NAMES: dict[str, str] = {
    CxLayer.CARRIER: "carrier leg",
    CxLayer.CCAAS: "platform leg",
    CxLayer.AGENT_NETWORK: "agent network",
    CxLayer.ENDPOINT: "webrtc session",
    CxLayer.VOICE_AI: "voice ai session",
}
"""Span name of a leg by its layer."""
_DEVICES = (CxLayer.ENDPOINT, CxLayer.VOICE_AI)  # layers charged with what came and was not played
EPISODE = "media episode"
_REPEAT = 10.0  # seconds of one episode span while bad windows last (design of the call trace)
_LIVE_WINDOWS = 2  # windows late that statistics of a call that runs may come
_FARTHEST = 24 * LONGEST  # windows that may be left out at once: a day of 5 s windows
WINDOW = 5.0  # seconds; finer windows would make longer series, wider ones blur an outage of 10 s
_SHORTEST, _WIDEST = 0.1, 3600.0  # seconds; outside of it a window is a mistake (say, one in milliseconds)


class Leg(Handle):
    """One hop of the call's audio: `call.start_leg("carrier")` until `stop()` or `fail()`.

    Figures are given window by window with `add_window`; window i covers the leg's start + i * `window`
    seconds. They go out as series on the leg's span. A leg of more than 720 windows, or one whose series
    the host's attribute length limit cuts, goes on in a new span of the same name.
    """

    def __init__(
        self,
        span: Span,
        context: Context,
        started: int,
        *,
        name: str,
        window: float,
        attributes: dict[str, AttributeValue],
        parent: Context,
        on_end: Callable[[Handle], None],
    ) -> None:
        super().__init__(span, context, started, on_end)
        self.window = window
        self._lock = threading.RLock()  # figures may come from another thread than the one that ends the leg
        self._name = name
        self._attributes = attributes
        self._parent = parent
        self._columns = Columns()
        self._feed = Feed(window, started)
        self._receives = TO_AGENT
        self._base = 0  # number of the first window of the current span
        self._ie: dict[str, float] = {}
        self._bad: list[int] = []  # windows of an episode that were not sent yet
        self._episode_sent = False
        self._last = -1
        self._until: int | None = None  # the leg's end, once that is known

    @property
    def started_at(self) -> int:
        """When the leg's window 0 begins: integer nanoseconds since the epoch."""
        return self._started

    def add_window(
        self, index: int, *, to_agent: Figures | None = None, to_customer: Figures | None = None
    ) -> None:
        """Give the figures of window `index` (0 is the first of the leg) for one or both directions.

        Figures are what THIS hop did: loss in percent (0 to 100), one-way delay in ms (0 to 60,000), each
        None where not measured. A window given twice keeps the later figures. Windows that are out of
        range, or of a part of the leg that was sent before, are counted and left out.
        """
        with _guard.swallow("leg window"):
            if self._copied():
                return
            with self._lock:
                if self._usable():
                    self._put(index, {TO_AGENT: to_agent, TO_CUSTOMER: to_customer})

    def feed(self, stats: Any, at: float, hints: Hints = NO_HINTS, *, receives: str = TO_AGENT) -> None:
        """Give one answer of W3C `getStats()`, by id or as a sequence of dictionaries, read at second `at`.

        `at` may be of any clock that only goes forward; feed every second or two. `receives` is the
        direction of the audio that the measuring party receives: `to_agent`, what the agent or voice AI
        hears, or `to_customer`. Carrier, ccaas and agent_network legs get what was lost on the way, and in
        the other direction what the far side reports; endpoint and voice_ai legs get what came and was not
        played. To have both from one series, use `start_media(role).feed`, which owns a leg for each; this
        is for a party whose other leg is measured elsewhere or by nobody.
        """
        with _guard.swallow("leg feed"):
            if self._copied():
                return
            with self._lock:
                if not self._usable():
                    return
                self._receives = _values.member(receives, (TO_AGENT, TO_CUSTOMER), "receives") or TO_AGENT
                for window in self._feed.take(stats, at, hints):
                    self._put_window(window)

    def _put_window(self, window: Window) -> None:
        """Take of a window what this leg's layer is charged with."""
        sends = TO_CUSTOMER if self._receives == TO_AGENT else TO_AGENT
        if self._attributes.get(names.CX_LAYER) in _DEVICES:
            self._put(window.index, {self._receives: window.device})
        else:
            self._put(window.index, {self._receives: window.network, sends: window.remote})

    def _put(self, index: int, figures: Mapping[str, Figures | None]) -> None:
        if not self._in_range(index):
            return
        while index - self._base >= LONGEST:
            self._go_on(LONGEST)
        place = index - self._base
        for direction, measured in figures.items():
            if measured is not None:
                self._columns.put(place, direction, measured)
        self._watch(index, self._columns.rating(place, self._ie))

    def _in_range(self, index: Any) -> bool:
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index <= self._last + _FARTHEST:
            hint = f"window index {_guard.shown(index)}: give the window's number from 0"
            _guard.count(_guard.BAD_VALUE, hint=hint)
            return False
        if index < self._base:
            _guard.count(_guard.LATE_WINDOW)
            return False
        return True

    def set_codec(
        self, codec: str, *, ie_to_agent: float | None = None, ie_to_customer: float | None = None
    ) -> None:
        """Name the codec, and its equipment impairment (ITU-T G.113, 0 to 95) where this leg decodes it."""
        with _guard.swallow("leg codec"):
            if self._copied():
                return
            with self._lock:
                if self._usable():
                    self._set_codec(codec, {TO_AGENT: ie_to_agent, TO_CUSTOMER: ie_to_customer})

    def _set_codec(self, codec: str, impairments: Mapping[str, float | None]) -> None:
        attributes: dict[str, Any] = {names.CX_MEDIA_CODEC: codec}
        for direction, ie in impairments.items():
            good = _values.number(ie, 0, 95)
            if good is not None:
                self._ie[direction] = float(good)
                attributes[ie_attribute(direction)] = float(good)
        self._set(_values.attributes(attributes))

    def _set(self, attributes: dict[str, AttributeValue]) -> None:
        self._attributes.update(attributes)
        super()._set(attributes)

    # Episodes

    def _watch(self, index: int, rating: float | None) -> None:
        """Send what is bad while it lasts: the first window at once, then 10 s at a time.

        Windows of a recording warn nobody: they wait until it is known whether the leg ended in one.
        """
        bad = rating is not None and rating < BAD_R
        if self._bad and (not bad or index != self._bad[-1] + 1):
            self._send_episode()
        if not bad or index != self._last + 1:
            self._episode_sent = False
        self._last = max(self._last, index)
        if bad:
            self._bad.append(index)
            if self._is_live(index) and (not self._episode_sent or len(self._bad) * self.window >= _REPEAT):
                self._send_episode()
                self._episode_sent = True

    def _is_live(self, index: int) -> bool:
        """Whether a window has just been over; one that is given before its end is taken for one."""
        return _clock.now() - self._time(index + 1) < _LIVE_WINDOWS * self.window * 1e9

    def _send_episode(self) -> None:
        first, last = self._bad[0], self._bad[-1] + 1
        self._bad = []
        # An episode repeats what the leg has, and of that nothing is heard after the leg's end. While the leg
        # lasts, a window that is given before its end is the one in which it ends, or is of a simulation.
        start, end, now = self._time(first), self._time(last), _clock.now()
        end = min(end, self._until) if self._until is not None else min(end, now) if now > start else end
        if end <= start:
            return
        attributes = self._without_activity()
        attributes.update(self._columns.texts(first - self._base, last - self._base))
        span = _runtime.start_span(EPISODE, attributes, self._context, start_time=start)
        _runtime.end_span(span, end)

    def _without_activity(self) -> dict[str, AttributeValue]:
        """What an episode says of its leg; it is no conversation of its own."""
        return {key: value for key, value in self._attributes.items() if key != names.CX_ACTIVITY}

    def _time(self, index: int) -> int:
        """When a window begins; in whole ns, rounded as the impact model does (half up)."""
        return self._started + index * int(self.window * 1e9 + 0.5)

    # The series, and going on in a new span

    def _before_end(self, error: BaseException | str | None, at: int) -> None:
        super()._before_end(error, at)
        with self._lock:
            self._until = at
            for window in self._feed.rest():
                self._put_window(window)
            if self._bad:
                self._send_episode()
            while (kept := self._write_series(self._columns.length)) < self._columns.length:
                self._renew(kept)

    def _end(self, at: int) -> None:
        # Windows may run ahead of the clock (figures of a recording): never end before the span's start.
        super()._end(max(at, self._time(self._base)))

    def _go_on(self, number: int) -> None:
        """End the current span after that many windows and go on in a new one."""
        if self._bad:
            self._send_episode()
        while number:
            kept = self._write_series(number)
            self._renew(kept)
            number -= kept

    def _renew(self, windows: int) -> None:
        at = self._time(self._base + windows)
        _runtime.end_span(self._span, at)
        self._columns.drop(min(windows, self._columns.length))
        self._base += windows
        self._span = _runtime.start_span(self._name, self._attributes, self._parent, start_time=at)
        self._context = trace.set_span_in_context(self._span, self._context)

    def _write_series(self, number: int) -> int:
        """Set the series of the first windows of the current span; returns how many the span kept whole."""
        texts = self._columns.texts(0, number)
        if not texts:
            return number
        self._span.set_attributes(texts)
        room = self._room(texts)
        if room is None:
            return number
        fitting = _most(number, lambda windows: self._fits(windows, room))
        if not fitting:
            _guard.count(
                _guard.SERIES_CUT,
                number,
                hint="attribute length limit: too short for a series of media figures",
            )
            self._span.set_attributes(dict.fromkeys(texts, "-"))
            return number
        self._span.set_attributes(dict.fromkeys(texts, "-") | self._columns.texts(0, fitting))
        return fitting

    def _room(self, texts: dict[str, str]) -> int | None:
        """The host's limit on the length of an attribute where it cut one of these, else None."""
        kept = getattr(self._span, "attributes", None) or {}
        cut = [len(kept[key]) for key, text in texts.items() if key in kept and kept[key] != text]
        return min(cut, default=None)

    def _fits(self, windows: int, room: int) -> bool:
        return all(len(text) <= room for text in self._columns.texts(0, windows).values())


def _most(number: int, fits: Callable[[int], bool]) -> int:
    """The largest count up to `number` that fits; a series never gets shorter by one more window."""
    low, high = 0, number
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def usable_window(window: Any) -> float:
    """The length of a window in seconds, 5 (counted) for one that is no number within 0.1 to 3,600."""
    good = _values.number(window, _SHORTEST, _WIDEST)
    return WINDOW if good is None else float(good)
