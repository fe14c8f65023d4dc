"""What goes on in a call: waits and talks, handoffs, lookups, an AI's responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cxotel import _guard, _values
from cxotel import _semconv as names
from cxotel._handle import Handle
from cxotel._semconv import CxActivity, CxHandoffOutcome, CxLayer

if TYPE_CHECKING:
    from collections.abc import Iterable


class Kind(NamedTuple):
    """Layer and span name of an activity where the caller gives none."""

    layer: str
    name: str


KINDS: dict[str, Kind] = {
    CxActivity.SETUP: Kind(CxLayer.CARRIER, "carrier setup"),
    CxActivity.IVR: Kind(CxLayer.CCAAS, "ivr"),
    CxActivity.QUEUE: Kind(CxLayer.CCAAS, "queue"),
    CxActivity.CONNECT: Kind(CxLayer.ENDPOINT, "agent connect"),
    CxActivity.TALK: Kind(CxLayer.CCAAS, "talk"),
    CxActivity.CONVERSE: Kind(CxLayer.CCAAS, "platform leg"),
    CxActivity.RESPOND: Kind(CxLayer.VOICE_AI, "voice ai response"),
    CxActivity.HOLD: Kind(CxLayer.CCAAS, "hold"),
    CxActivity.TRANSFER: Kind(CxLayer.CCAAS, "transfer"),
    CxActivity.HANDOFF: Kind(CxLayer.HANDOFF, "handoff"),
    CxActivity.LOOKUP: Kind(CxLayer.CRM, "crm lookup"),
    CxActivity.WRAP_UP: Kind(CxLayer.CCAAS, "wrap up"),
    CxActivity.SURVEY: Kind(CxLayer.CALL, "survey"),
}
"""What `start_activity` takes for granted."""


class Activity(Handle):
    """A wait, a talk, a hold, ...: `call.start_activity("queue")` until `stop()` or `fail()`."""

    def waited(self, seconds: float) -> None:
        """Say how long the wait was, in seconds (0 to 1e7), where it is not the span's duration."""
        with _guard.swallow("waited"):
            good = _values.number(seconds, 0, 1e7)
            if good is not None and self._usable():
                self._set({names.CX_WAIT_SECONDS: float(good)})


class Lookup(Activity):
    """A look into customer records; HTTP and database spans made in its block stand below it."""

    def found(self, found: bool) -> None:
        """Say whether the record was found."""
        with _guard.swallow("lookup found"):
            self.set({names.CX_CRM_FOUND: bool(found)})


class Handoff(Activity):
    """A change of party: `call.start_handoff("voice_ai", "agent", expected=("intent",))`.

    `keys` are names of the facts that the next party should get (never their values). The share of them that
    arrived is the handoff's fidelity.
    """

    _expected: frozenset[str] = frozenset()
    _delivered: frozenset[str] | None = None
    _fidelity: float | None = None
    _outcome: str = CxHandoffOutcome.COMPLETED

    def expect(self, keys: Iterable[str]) -> None:
        """Name the facts that the next party should get."""
        with _guard.swallow("handoff expect"):
            self._expected |= _key_names(keys)

    def deliver(self, keys: Iterable[str]) -> None:
        """Name facts that arrived; `deliver(())` says that none did."""
        with _guard.swallow("handoff deliver"):
            self._delivered = (self._delivered or frozenset()) | _key_names(keys)

    def rate(self, fidelity: float) -> None:
        """Say which share of the context arrived, 0 to 1, where you know it better than by names of facts."""
        with _guard.swallow("handoff rate"):
            self._fidelity = _values.number(fidelity, 0, 1)

    def end_as(self, outcome: str) -> None:
        """Say how it ended, before `stop()`: `completed` (default), `failed` or `abandoned`."""
        with _guard.swallow("handoff outcome"):
            good = _values.member(outcome, CxHandoffOutcome.VALUES, "handoff outcome")
            self._outcome = good or self._outcome

    def _before_end(self, error: BaseException | str | None, at: int) -> None:
        super()._before_end(error, at)
        attributes: dict[str, Any] = {
            names.CX_HANDOFF_OUTCOME: self._outcome if error is None else CxHandoffOutcome.FAILED
        }
        if self._expected:
            attributes[names.CX_HANDOFF_KEYS_EXPECTED] = sorted(self._expected)
        if self._delivered is not None:
            attributes[names.CX_HANDOFF_KEYS_DELIVERED] = sorted(self._delivered)
        fidelity = self._fidelity
        if fidelity is None and self._expected and self._delivered is not None:
            fidelity = len(self._expected & self._delivered) / len(self._expected)
        if fidelity is not None:
            attributes[names.CX_HANDOFF_FIDELITY] = float(fidelity)
        self._set(attributes)


def _key_names(keys: Any) -> frozenset[str]:
    """Names of facts: strings; what is none is counted."""
    given = _values.listed(keys)
    if given is None:
        given = [None]
    good = [name for name in map(_values.text, given) if name]
    if bad := len(given) - len(good):
        _guard.count(_guard.BAD_VALUE, bad, hint="handoff keys: give names of facts, as strings")
    return frozenset(good)
