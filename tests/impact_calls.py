"""Calls for tests of the impact model: spans written shortly, and hypothesis strategies."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from cxotel.impact import Span

T0 = 1_760_000_000_000_000_000
TRACE = "5b8efff798038103d269b633813fc60c"
LAYERS = ("carrier", "ccaas", "agent_network", "endpoint", "voice_ai", "handoff", "crm", "agent")
MEDIA_LAYERS = LAYERS[:5]
SERIES = tuple(f"to_{who}.{what}" for who in ("agent", "customer") for what in ("loss_pct", "delay_ms"))


def ns(seconds: float) -> int:
    """Nanoseconds since the epoch, of seconds since the tests' own zero."""
    return T0 + round(seconds * 1_000_000) * 1000


def span(number: int, name: str, start: float, end: float, **more: Any) -> Span:
    """A span from `start` to `end` seconds; fields of the span by their names, all else is attributes.

    Attribute names are written with `__` for the dot and without the leading `cx.`.
    """
    fields = {key: more.pop(key) for key in ("status", "scope", "parent_id", "trace_id") if key in more}
    attributes = {f"cx.{key.replace('__', '.')}": value for key, value in more.items()}
    trace_id = fields.pop("trace_id", TRACE)
    return Span(trace_id, f"{number:016x}", name, ns(start), ns(end), attributes, **fields)


def root(end: float = 120.0, *, start: float = 0.0, number: int = 1, **more: Any) -> Span:
    """A root; `call__outcome` is completed unless said."""
    more.setdefault("call__outcome", "completed")
    return span(number, "call inbound", start, end, layer="call", **more)


def leg(number: int, layer: str, start: float, end: float, **more: Any) -> Span:
    """A leg with media series, written `to_agent__loss_pct="0*12"`."""
    media = {
        f"media__{key}" if key.startswith(("to_", "window", "scope")) else key: value
        for key, value in more.items()
    }
    media.setdefault("activity", "converse")
    return span(number, f"{layer} leg", start, end, layer=layer, **media)


_times = st.integers(-80, 320).map(lambda half: half / 2)
_lengths = st.integers(0, 160).map(lambda half: half / 2)
_END = 100.0  # of most roots, so that spans may end near it


@st.composite
def intervals(draw: st.DrawFn) -> tuple[float, float]:
    """Start and end of a span, often near the end of the call."""
    length = draw(_lengths)
    if draw(st.integers(0, 2)) == 0:
        end = _END + draw(st.sampled_from((-10.5, -10.0, -4.0, 0.0, 0.0, 2.0, 10.0, 10.5)))
        return end - length, end
    start = draw(_times)
    return start, start + length


_loss = st.one_of(
    st.sampled_from(("0", "0", "0.5", "3", "10", "42.5", "90", "100", "-")),
    st.integers(0, 1000).map(lambda v: f"{v / 10}"),
)
_delay = st.one_of(st.sampled_from(("0", "20", "150", "300", "60000", "-")), st.integers(0, 2000).map(str))
_junk = st.sampled_from(
    ("nan", "-1", "1e1", "101000", "x", "5.", ".5", "x*3", "1*0", "7*12345", "5*", "", "0*999")
)
_counts = st.sampled_from(("", "", "*1", "*2", "*7", "*20"))


@st.composite
def series(draw: st.DrawFn, *, is_loss: bool, clean: bool) -> Any:
    """A series, mostly good."""
    if not clean and draw(st.integers(0, 14)) == 0:
        return draw(st.sampled_from((0.5, True, None, 7, ["1"])))
    items = draw(
        st.lists(st.tuples(_loss if is_loss else _delay, _counts).map("".join), min_size=1, max_size=6)
    )
    if not clean and draw(st.integers(0, 7)) == 0:
        items.insert(draw(st.integers(0, len(items))), draw(_junk))
    return " ".join(items)


@st.composite
def legs(draw: st.DrawFn, number: int, *, clean: bool) -> Span:
    """A span with series."""
    start, end = draw(intervals())
    attributes: dict[str, Any] = {
        f"cx.media.{key}": draw(series(is_loss=key.endswith("pct"), clean=clean))
        for key in draw(st.lists(st.sampled_from(SERIES), min_size=1, unique=True))
    }
    attributes["cx.layer"] = draw(
        st.sampled_from(MEDIA_LAYERS if clean else (*MEDIA_LAYERS, *MEDIA_LAYERS, "crm", "x", 3))
    )
    if draw(st.booleans()):
        attributes["cx.activity"] = draw(st.sampled_from(("converse", "talk")))
    if draw(st.integers(0, 2)) == 0:
        good = (2.5, 5, 7.0, 1)
        attributes["cx.media.window"] = draw(
            st.sampled_from(good if clean else (*good, 0, -5.0, "5", float("nan")))
        )
    if draw(st.integers(0, 2)) == 0:
        good_ie = (0.0, 7, 19.0, 60.0)
        key = draw(st.sampled_from(("cx.media.to_agent.ie", "cx.media.to_customer.ie")))
        attributes[key] = draw(st.sampled_from(good_ie if clean else (*good_ie, 96.0, True)))
    if draw(st.integers(0, 3)) == 0:
        attributes["cx.media.scope"] = draw(
            st.sampled_from(("path",) if clean else ("path", "path", "hop", "y", 1))
        )
    if draw(st.integers(0, 3)) == 0:
        attributes["cx.owner"] = draw(st.sampled_from(("Acme Telecom", "BPO North")))
    name = draw(st.sampled_from(("carrier leg", "media episode")))
    return Span(
        TRACE, f"{number:016x}", name, ns(start), ns(end), attributes, status=draw(st.sampled_from((0, 0, 2)))
    )


@st.composite
def activities(draw: st.DrawFn, number: int, *, clean: bool) -> Span:
    """A span with an activity, or of another maker."""
    start, end = draw(intervals())
    names = (
        "setup",
        "ivr",
        "queue",
        "connect",
        "talk",
        "converse",
        "respond",
        "hold",
        "handoff",
        "lookup",
        "wrap_up",
    )
    attributes: dict[str, Any] = {"cx.activity": draw(st.sampled_from(names if clean else (*names, "zz", 5)))}
    layers = (*LAYERS, None)
    layer = draw(st.sampled_from(layers if clean else (*layers, "call", "unobserved", "q", False)))
    if layer is not None:
        attributes["cx.layer"] = layer
    if draw(st.integers(0, 4)) == 0:
        good = (0.0, 3, 12.5, 45.0)
        attributes["cx.wait.seconds"] = draw(
            st.sampled_from(good if clean else (*good, -1.0, float("inf"), "9", 1e9))
        )
    if attributes["cx.activity"] == "lookup":
        attributes["cx.crm.waiting"] = draw(st.sampled_from((True, False, "yes", None)))
    if attributes["cx.activity"] == "handoff" and draw(st.booleans()):
        good_f = (0.0, 0.25, 0.8, 1, 1.0)
        attributes["cx.handoff.fidelity"] = draw(st.sampled_from(good_f if clean else (*good_f, 1.5, False)))
    if attributes["cx.activity"] == "handoff" and draw(st.booleans()):
        attributes["cx.handoff.keys.expected"] = draw(
            st.sampled_from((["name", "order"], [], "name", ["name"]))
        )
        attributes["cx.handoff.keys.delivered"] = draw(
            st.sampled_from((["name"], [], ["x", "name", "order"], None))
        )
    name = "step"
    if draw(st.integers(0, 5)) == 0:
        name = draw(st.sampled_from(("agent_session", "conversation", "agent_turn")))
        attributes.pop("cx.activity")
        if draw(st.booleans()):
            attributes.pop("cx.layer", None)
        if draw(st.booleans()):
            key = draw(st.sampled_from(("lk.e2e_latency", "turn.user_bot_latency_seconds")))
            attributes[key] = draw(st.sampled_from((0.4, 1.5, 4, 9.5) if clean else (4, 9.5, -1, "3", None)))
    if draw(st.integers(0, 3)) == 0:
        attributes["cx.owner"] = draw(st.sampled_from(("CRM team", "Acme Telecom", 3)))
    return Span(
        TRACE, f"{number:016x}", name, ns(start), ns(end), attributes, status=draw(st.sampled_from((0, 0, 2)))
    )


@st.composite
def roots(draw: st.DrawFn, number: int, *, clean: bool, outcomes: tuple[Any, ...]) -> Span:
    """A root of up to two minutes."""
    attributes: dict[str, Any] = {"cx.layer": "call"}
    outcome = draw(st.sampled_from(outcomes if clean else (*outcomes, 3)))
    if outcome is not None:
        attributes["cx.call.outcome"] = outcome
    if draw(st.integers(0, 4)) == 0:
        attributes["cx.call.medium"] = draw(st.sampled_from(("web",) if clean else ("web", "phone", False)))
    start, end = draw(st.integers(0, 30)), draw(st.one_of(st.just(_END), st.integers(30, 120)))
    name = draw(st.sampled_from(("call inbound", "call outbound")))
    return Span(TRACE, f"{number:016x}", name, ns(start), ns(end), attributes)


OUTCOMES = (None, "completed", "contained", "transferred", "abandoned", "dropped", "failed")


@st.composite
def calls(draw: st.DrawFn, *, clean: bool = False, outcomes: tuple[Any, ...] = OUTCOMES) -> list[Span]:
    """All spans of a call in some order; unless `clean` with bad spans, bad values and several roots."""
    found: list[Span] = []
    for _ in range(draw(st.integers(1 if clean else 0, 1 if clean else 2))):
        found.append(draw(roots(len(found) + 1, clean=clean, outcomes=outcomes)))
    for _ in range(draw(st.integers(0, 4))):
        found.append(draw(legs(len(found) + 1, clean=clean)))
    for _ in range(draw(st.integers(0, 7))):
        found.append(draw(activities(len(found) + 1, clean=clean)))
    if not clean and found:
        for _ in range(draw(st.integers(0, 2))):
            found.append(spoiled(draw(st.sampled_from(found)), draw(st.integers(0, 4))))
    return draw(st.permutations(found))


def spoiled(one: Span, how: int) -> Span:
    """A copy of a span that is bad as a whole, or of the judge's own scope."""
    copy = Span(one.trace_id, one.span_id, one.name, one.start, one.end, one.attributes, status=one.status)
    if how == 0:
        copy.span_id = ""
    elif how == 1:
        copy.start = 0
    elif how == 2:
        copy.end = 0
    elif how == 3:
        copy.start = copy.end + 1
    else:
        copy.scope = "cxotel.impact"
    return copy
