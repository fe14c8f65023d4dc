"""Windows of a leg: for each few seconds what went wrong on the way, and what went wrong in the device.

A reader of statistics adds intervals as they are polled, however unevenly, and gets back the windows that are
complete. Counts are spread over an interval evenly, so a poll need not fall on a window's edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

HOLD = 1.0
"""Seconds that a window stays open after its end: loss is often counted only when the next packets come."""
MAX_WINDOWS = 1000
"""Windows given out at once at most, if the clock of the feeds jumps (an hour is 720)."""
_TRACE = 0.01
_SHORTEST, _LONGEST = 0.1, 1e6  # seconds: five packets; what the impact model reads
_LATEST = 1e12  # seconds; 31,000 years

ABSENT = "absent"
"""No stream to measure, or no statistics at all, during the whole window."""
OUTAGE = "outage"
"""Packets that were due did not come for at least a second."""
SILENT = "silent"
"""Nothing came and nothing was due: hold, a stopped sender, discontinuous transmission."""
INACTIVE = "inactive"
"""The direction was not negotiated or the transport was not connected: not measured."""
RESET = "reset"
"""A counter went back or the stream changed: a new count began."""
UNPOLLED = "unpolled"
"""Polls were further apart than can be spread over windows: not measured."""
JITTER = "jitter"
"""Audio that came was not played, and the jitter measured explains it: the network's."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one part of the way did to the audio of a window.

    Attributes:
        loss_pct: share of the audio lost there, percent, 0 to 100; None if not measured.
        delay_ms: one-way delay added there, ms; None if not measured.
    """

    loss_pct: float | None = None
    delay_ms: float | None = None


NOT_MEASURED = Figures()


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a stream of audio as one party received it.

    Attributes:
        index: number of the window, from 0; window i covers `start + i * w` to `start + (i + 1) * w`.
        start: seconds, on the clock of the feeds.
        end: seconds; before the next window's start only for the last one.
        network: packets that did not come or came too late, and the delay of the way to here.
        device: audio that came and was not played, and buffering beyond what jitter explains.
        remote: what the far side reports of the audio sent to it; None if it reports nothing.
        flags: what else is known, of the constants of this module.
    """

    index: int
    start: float
    end: float
    network: Figures = NOT_MEASURED
    device: Figures = NOT_MEASURED
    remote: Figures | None = None
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hints:
    """What the host knows of a stream and its statistics do not say; None where the host does not know.

    Attributes:
        connected: whether the transport (ICE and DTLS) is up.
        receiving: whether the direction to here is negotiated (`sendrecv` or `recvonly`) and not on hold.
        dtx: whether the sender stops sending in silence (Opus `usedtx=1`, comfort noise).
    """

    connected: bool | None = None
    receiving: bool = True
    dtx: bool | None = None


NO_HINTS = Hints()


@dataclass(slots=True)
class Part:
    """What an interval adds to its windows. Amounts are in packets and spread evenly; delays are means.

    Attributes:
        due: packets that should have come, without those of an outage.
        missing: of them, packets that did not come or came too late.
        outage: packets that should have come in an outage, all of them missing.
        judged: packets that came in time and of which is known whether they were played.
        unplayed: of them, packets that were not played.
        remote_due: packets sent to the far side.
        remote_missing: of them, packets that the far side missed.
        network_delay: seconds; None if not measured. So are the other two.
        device_delay: seconds.
        remote_delay: seconds.
        flags: flags of the window.
    """

    due: float = 0.0
    missing: float = 0.0
    outage: float = 0.0
    judged: float = 0.0
    unplayed: float = 0.0
    remote_due: float = 0.0
    remote_missing: float = 0.0
    network_delay: float | None = None
    device_delay: float | None = None
    remote_delay: float | None = None
    flags: tuple[str, ...] = ()


_CORRECTABLE = 12
"""Windows back that a late report may correct: a minute of them. Who hears nothing for longer hangs up."""

_AMOUNTS = ("due", "missing", "outage", "judged", "unplayed", "remote_due", "remote_missing")
_DELAYS = ("network_delay", "device_delay", "remote_delay")


class _Tally:
    """The sums of one open window."""

    def __init__(self) -> None:
        self.amounts = dict.fromkeys(_AMOUNTS, 0.0)
        self.delays = dict.fromkeys(_DELAYS, (0.0, 0.0))
        self.flags: set[str] = set()

    def add(self, part: Part, share: float, seconds: float) -> None:
        for name in _AMOUNTS:
            self.amounts[name] += share * getattr(part, name)
        for name in _DELAYS:
            delay = getattr(part, name)
            if delay is not None:
                total, weight = self.delays[name]
                self.delays[name] = (total + delay * seconds, weight + seconds)
        self.flags.update(part.flags)

    def window(self, index: int, start: float, end: float) -> Window:
        amount = self.amounts
        outage = max(0.0, amount["outage"])
        network = _percent(amount["missing"] + outage, amount["due"] + outage)
        remote = Figures(
            _percent(amount["remote_missing"], amount["remote_due"]), self._delay("remote_delay")
        )
        return Window(
            index,
            start,
            end,
            Figures(network, self._delay("network_delay")),
            Figures(_percent(amount["unplayed"], amount["judged"]), self._delay("device_delay")),
            None if remote == NOT_MEASURED else remote,
            frozenset(self.flags),
        )

    def _delay(self, name: str) -> float | None:
        total, weight = self.delays[name]
        return 1000.0 * total / weight if weight > 0.0 else None


def _percent(part: float, whole: float) -> float | None:
    # Under a hundredth of a packet is the rest of a subtraction, not a measurement.
    return min(100.0, max(0.0, 100.0 * part / whole)) if whole > _TRACE else None


def checked_window(window: float) -> float:
    """A length of windows in seconds, as given.

    Raises:
        ValueError: it is not 0.1 to 1e6.
    """
    if not _SHORTEST <= window <= _LONGEST:
        raise ValueError(f"window of {window} s: must be {_SHORTEST} to {_LONGEST:.0f}")
    return window


def is_time(at: float) -> bool:
    """Whether `at` is a time in seconds that windows can be cut at."""
    return -_LATEST <= at <= _LATEST


class Windows:
    """The open windows of one stream: parts go in by time, complete windows come out in order."""

    def __init__(self, window: float, start: float) -> None:
        """Windows of `window` seconds from `start` on."""
        self.window = window
        self._start = start
        self._next = 0
        self._open: dict[int, _Tally] = {}
        self._out: dict[int, _Tally] = {}
        self._corrected: set[int] = set()

    def add(self, begin: float, end: float, part: Part) -> None:
        """Spread a part over `begin` to `end` seconds; what falls into windows already out is dropped."""
        length = end - begin
        if length <= 0.0:
            return
        lowest = max(self._next, self._index(begin))
        highest = min(self._index(end), lowest + MAX_WINDOWS)
        for index in range(lowest, highest + 1):
            left = max(begin, self._edge(index))
            seconds = min(end, self._edge(index + 1)) - left
            if seconds > 0.0:
                self._tally(index).add(part, seconds / length, seconds)

    def correct(self, begin: float, end: float, part: Part) -> None:
        """As `add`, but windows already out take their share too, and come out once more."""
        length = end - begin
        if length <= 0.0:
            return
        self.add(begin, end, part)
        for index, tally in self._out.items():
            left, right = max(begin, self._edge(index)), min(end, self._edge(index + 1))
            if right > left:
                tally.add(part, (right - left) / length, right - left)
                self._corrected.add(index)

    def add_at(self, at: float, part: Part, seconds: float = 0.0) -> None:
        """Add a part to the window that `at` falls in; `seconds` weigh its delays."""
        index = self._index(at)
        if index >= self._next:
            self._tally(index).add(part, 1.0, seconds)

    def retract_outage(self, since: float, *, silent: bool = True) -> None:
        """Take back the outage counted in open windows: nothing had been sent, or numbers tell better."""
        for index, tally in self._open.items():
            if self._edge(index + 1) > since and tally.amounts["outage"] > 0.0:
                tally.amounts["outage"] = 0.0
                if silent:
                    tally.flags.discard(OUTAGE)
                    tally.flags.add(SILENT)

    def take_back(self, begin: float, end: float, outage: float) -> None:
        """Undo an outage of so many packets added with `correct`: the sender was silent."""
        self.correct(begin, end, Part(outage=-outage))
        for index, tally in (*self._open.items(), *self._out.items()):
            touched = self._edge(index + 1) > begin and self._edge(index) < end
            if touched and tally.amounts["outage"] <= _TRACE:
                tally.flags.discard(OUTAGE)
                tally.flags.add(SILENT)

    def close(self, at: float) -> list[Window]:
        """The windows that ended `HOLD` seconds before `at`, or earlier, after those corrected since."""
        return self._again() + self._close_below(self._index(at - HOLD))

    def finish(self, at: float) -> list[Window]:
        """All windows that began before `at`, the last one cut there."""
        windows = self._again() + self._close_below(self._index(at))
        if at - self._edge(self._next) > 1e-9:
            windows.append(
                self._open.pop(self._next, _Tally()).window(self._next, self._edge(self._next), at)
            )
            self._next += 1
        self._open.clear()
        return windows

    def _again(self) -> list[Window]:
        numbers, self._corrected = sorted(self._corrected), set()
        return [self._out[i].window(i, self._edge(i), self._edge(i + 1)) for i in numbers]

    def _close_below(self, index: int) -> list[Window]:
        # After a jump of the clock only the newest of the windows without any figure are given out.
        first = max(self._next, index - MAX_WINDOWS)
        numbers = [*sorted(i for i in self._open if i < min(first, index)), *range(first, index)]
        self._next = max(self._next, index)
        closed = {i: self._open.pop(i, _Tally()) for i in numbers}
        self._out.update(closed)
        for i in [i for i in self._out if i < self._next - _CORRECTABLE]:
            del self._out[i]
        return [tally.window(i, self._edge(i), self._edge(i + 1)) for i, tally in closed.items()]

    def _tally(self, index: int) -> _Tally:
        tally = self._open.get(index)
        if tally is None:
            tally = self._open[index] = _Tally()
        return tally

    def _index(self, at: float) -> int:
        return floor((at - self._start) / self.window + 1e-9)

    def _edge(self, index: int) -> float:
        return self._start + index * self.window
