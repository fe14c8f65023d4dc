"""The life of a call in a judge that keeps spans: what happens when, told by the times that are passed in.

    live ──root──► held ──grace──► out ──late span──► out, with a correction if the verdict changed
      └──idle──► told (partial) ──span──► live, ──root──► held

The cases of `spec/lifecycle/` say what must come out; the Collector's processor runs the same ones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIVE, HELD, OUT, TOLD = "live", "held", "out", "told"
HOLD, PASS, DROP = "hold", "pass", "drop"
JUDGED, PASSED, PARTIAL_CALL, CORRECTION, WARNING = "judged", "passed", "partial", "correction", "warning"

# Roots of one call that are held; more of them are no call's.
MOST_ROOTS = 16
# A correction waits twice as long as the one before, as a root far too early brings many of them; in the end
# half of the time for which the processor corrects by default.
LONGEST_WAIT = 300 * 10**9
# A call has few layers with media; a sender that makes up names must not make up warnings without end.
MOST_WARNINGS = 8

Root = tuple[str, str]
"""Trace and span id of a root, in hex: its trace may be another than its call's, by an alias."""


class Told(Protocol):
    """What is asked of a verdict."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Of the root."""

    @property
    def root(self) -> Any:
        """The call's root with `trace_id` and `span_id`, None if there is none."""


@dataclass(frozen=True)
class Times:
    """Times of a life, in ns.

    Attributes:
        grace: from the root's arrival to its release.
        idle: without a span, until a call without its root is told as partial.
        longest: from the first span, until a call without its root is told as partial however lively it is.
    """

    grace: int
    idle: int
    longest: int


@dataclass(slots=True)
class Episode:
    """A media episode that may be worth a warning."""

    trace_id: str
    span_id: str
    layer: str
    owner: str
    start: int
    end: int


@dataclass(slots=True)
class Telling:
    """Something to send.

    Attributes:
        kind: judged, passed, partial, correction or warning.
        verdict: None for what is only passed on.
        root: of `judged`, the root that gets the verdict.
        others: further roots that go out with it, without a verdict.
        number: of a correction, from 1.
        episode: of a warning.
    """

    kind: str
    verdict: Any = None
    root: Root | None = None
    others: list[Root] = field(default_factory=list)
    number: int = 0
    episode: Episode | None = None


@dataclass(slots=True)
class Life:
    """What is known of one call beside its spans. Times in ns.

    Attributes:
        first: arrival of the first span, or of the first after it was told.
        last: arrival of the last span; after the verdict, when that went out.
        due: when to look again.
        correct_at: when the verdict is looked at again, 0 for never.
        number: corrections told.
        told: digest of what the verdict told last said; "" for none.
        held, sent: roots.
        passing: roots that are to go out without a verdict.
        episodes: media episodes not looked at yet.
        warned: layers that were warned of.
        layered: a span that can be read names a layer: there is something to tell.
        trusted: its root came judged, and that is believed.
    """

    first: int
    last: int
    due: int
    phase: str = LIVE
    correct_at: int = 0
    number: int = 0
    told: str = ""
    held: list[Root] = field(default_factory=list)
    sent: list[Root] = field(default_factory=list)
    passing: list[Root] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    layered: bool = False
    trusted: bool = False

    def arrive(self, now: int, times: Times) -> None:
        """A span came, root or not; roots are then shown to `root`."""
        now = max(now, self.last)
        self.last = now
        if self.phase == TOLD:  # told again when it is idle again
            self.phase, self.first = LIVE, now
            self.due = now + times.idle
        elif self.phase == OUT and not self.trusted and not self.correct_at:
            self.correct_at = self.due = now + min(times.grace << min(self.number, 16), LONGEST_WAIT)
        elif self.phase == LIVE and now - self.first > times.longest:
            self.due = now

    def root(self, root: Root, now: int, times: Times, *, trust: bool = False) -> str:
        """A root came: whether to hold it, pass it on as it is, or drop it as one that has gone out."""
        now = max(now, self.last)
        if trust:
            self.trusted = True
            self._end(OUT, now)
            return PASS
        if root in self.sent:
            return DROP
        if self.phase == OUT:
            return PASS  # a second root, when the call's has gone
        if root in self.held:
            return HOLD
        if len(self.held) >= MOST_ROOTS:
            return PASS
        self.held.append(root)
        if self.phase != HELD:
            self._hold(now, times)
        return HOLD

    def episode(self, episode: Episode) -> bool:
        """A media episode came: whether to look at it."""
        new = (
            self.phase in (LIVE, HELD)
            and episode.layer not in self.warned
            and len(self.warned) + len(self.episodes) < MOST_WARNINGS
        )
        if new:
            self.episodes.append(episode)
        return new

    def merge(self, part: Life, now: int, times: Times) -> None:
        """Another part of the call, known by an alias, was judged apart so far."""
        now = max(now, self.last)
        self.first = min(self.first, part.first)
        self.layered |= part.layered
        self.warned += [layer for layer in part.warned if layer not in self.warned]
        self.episodes += part.episodes
        self.sent += part.sent
        self.held += [root for root in part.held if root not in self.held]
        if self.phase in (OUT, TOLD):
            self.arrive(now, times)
        self.passing += part.passing
        if self.held and self.phase == OUT:  # the call's root has gone: this one has nothing to wait for
            self.passing += self.held
            self.held = []
        elif self.held and self.phase == LIVE:
            self._hold(now, times)

    def warn(self, verdict_of: Callable[[bool], Told], hurts: Callable[[Episode], bool]) -> list[Telling]:
        """Warn of episodes that came: once a layer, if the episode's own figures cost that layer anything."""
        told = []
        for episode in self.episodes:
            if episode.layer not in self.warned and hurts(episode):
                self.warned.append(episode.layer)
                told.append(Telling(WARNING, verdict_of(True), episode=episode))
        self.episodes = []
        return told

    def restart(self, now: int, times: Times) -> None:
        """The judge began anew: what is held waits a whole grace again, as senders may try again."""
        if self.phase == HELD:
            self._hold(now, times)

    def look(self, now: int, times: Times, verdict_of: Callable[[bool], Told]) -> list[Telling]:
        """Do what is due; `verdict_of(partial)` judges the call by what has come.

        Afterwards `due` is when to look again; 0 for when a span comes.
        """
        told: list[Telling] = []
        if self.passing:
            told = [Telling(PASSED, others=self.passing)]
            self.sent += self.passing
            self.passing = []
        if self.phase == HELD:
            return told + (self._release(now, verdict_of) if self.due <= now else [])
        if self.phase == LIVE:
            if self.last + times.idle <= now or now - self.first > times.longest:
                return told + self._tell(now, times, verdict_of)
            self.due = self.last + times.idle
        elif self.correct_at <= now:
            told += self._correct(verdict_of) if self.correct_at else []
            self.due = 0
        return told

    def _hold(self, now: int, times: Times) -> None:
        self.phase = HELD
        self.due = now + times.grace

    def _end(self, phase: str, now: int) -> None:
        self.phase, self.last, self.correct_at = phase, now, 0
        self.due = 0

    def _release(self, now: int, verdict_of: Callable[[bool], Told]) -> list[Telling]:
        verdict = verdict_of(False)
        chosen = verdict.root and (verdict.root.trace_id, verdict.root.span_id)
        own = [root for root in self.held if root == chosen]
        others = [root for root in self.held if root != chosen]
        self.sent += self.held
        self.held = []
        self._end(OUT, now)
        if not own:  # it is no root of this call: what was told of the call may have changed
            told = [Telling(PASSED, others=others)]
            return told + (self._correct(verdict_of) if self.told else [])
        self.told = digest_of(verdict)
        return [Telling(JUDGED, verdict, own[0], others)]

    def _tell(self, now: int, times: Times, verdict_of: Callable[[bool], Told]) -> list[Telling]:
        told: list[Telling] = []
        if not self.layered:
            pass  # no span of it can be read: there is nothing to tell
        elif self.told:
            told = self._correct(verdict_of)
        else:
            verdict = verdict_of(True)
            self.told = digest_of(verdict)
            told = [Telling(PARTIAL_CALL, verdict)]
        first = now if now - self.first > times.longest else self.first
        self._end(TOLD, now)
        self.first = first
        return told

    def _correct(self, verdict_of: Callable[[bool], Told]) -> list[Telling]:
        self.correct_at = 0
        if self.trusted:
            return []
        verdict = verdict_of(False)
        digest = digest_of(verdict)
        if digest == self.told:
            return []
        self.told = digest
        self.number += 1
        return [Telling(CORRECTION, verdict, number=self.number)]


def digest_of(verdict: Told) -> str:
    """Text that two verdicts share only if they say the same; short, as it is kept with every call."""
    said = "\0".join(f"{name}={value!r}" for name, value in sorted(verdict.attributes.items()))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]
