"""Nothing of ours hurts the host, and what is dropped is counted."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from cxotel import _guard, _values

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    _guard.reset()
    yield
    _guard.reset()


def broken() -> None:
    """Work of ours that fails."""
    with _guard.swallow("a window"):
        raise RuntimeError("ours")


@pytest.mark.usefixtures("in_production")
def test_an_internal_error_is_swallowed_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The host goes on; the log does not flood."""
    with caplog.at_level(logging.WARNING, "cxotel"):
        broken()
        broken()

    assert {"internal_error": 2} == _guard.counters()
    assert ["cxotel: a window failed; the call goes on unmeasured there"] == caplog.messages
    assert caplog.records[0].exc_info is not None


def test_an_internal_error_is_raised_under_pytest() -> None:
    """Tests, ours and users', see it."""
    with pytest.raises(RuntimeError, match="ours"):
        broken()


@pytest.mark.usefixtures("in_production")
def test_exits_are_never_swallowed() -> None:
    """KeyboardInterrupt and SystemExit are not ours to stop."""
    with pytest.raises(KeyboardInterrupt), _guard.swallow("a window"):
        raise KeyboardInterrupt


def test_a_hint_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """It names field and fix; the count grows each time."""
    for _ in range(3):
        _values.member("finished", ("completed", "dropped"), "outcome")

    assert {"bad_value": 3} == _guard.counters()
    assert ["outcome: 'finished' is none of completed, dropped"] == caplog.messages


class Unshowable:
    """Its `repr` raises, as that of a half-made object does."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x", "'x'"),
        ("x" * 100, "'" + "x" * 79),
        pytest.param(10**5000, "a int that cannot be shown", id="long"),
        (Unshowable(), "a Unshowable that cannot be shown"),
    ],
)
def test_any_value_can_be_shown_in_a_hint(value: Any, shown: str) -> None:
    """Short, and without an error: an int of over 4,300 digits has no text in Python."""
    assert shown == _guard.shown(value)


def test_counters_are_a_metric() -> None:
    """`cx.sdk.dropped` has one point for each reason, and is published once for a provider."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    _guard.publish(provider)
    _guard.publish(provider)
    _guard.count("late_window", 2)
    _guard.count("bad_value")

    data: Any = reader.get_metrics_data()
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    points = {point.attributes["cx.sdk.reason"]: point.value for point in metric.data.data_points}

    assert ("cx.sdk.dropped", {"late_window": 2, "bad_value": 1}) == (metric.name, points)
    provider.shutdown()


def test_a_forked_child_counts_anew_even_if_the_lock_was_held() -> None:
    """A lock that another thread held while the process forked would never open in the child."""
    _guard.count("bad_value")
    generation = _guard.generation
    with _guard._lock:
        child = os.fork()
        if child == 0:
            _guard.count("late_window")
            good = _guard.counters() == {"late_window": 1} and _guard.generation == generation + 1
            os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert {"bad_value": 1} == _guard.counters()


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("text", "text"),
        ("na\u00efve", "na\u00efve"),
        (True, True),
        (-(2**63), -(2**63)),
        (1.5, 1.5),
        (["a", "b"], ["a", "b"]),
        ((1, 2), [1, 2]),
        ((), []),
    ],
)
def test_what_otlp_can_hold_is_kept(value: Any, kept: Any) -> None:
    """Scalars, and lists of one kind."""
    assert {"k": kept} == _values.attributes({"k": value})
    assert {} == _guard.counters()


@pytest.mark.parametrize("value", [2**63, object(), {"a": 1}, ["a", 1], [None], [["a"]], b"bytes", 1j])
def test_what_would_cost_a_batch_is_left_out(value: Any) -> None:
    """An int beyond 64 bits makes the encoder raise, and with it a whole batch is lost."""
    assert {"good": 1} == _values.attributes({"good": 1, "bad": value})
    assert {"bad_value": 1} == _guard.counters()


def test_a_lone_surrogate_is_mended() -> None:
    """UTF-8 cannot carry it, and the encoder would raise."""
    assert {"k": "a?b"} == _values.attributes({"k": "a\ud800b"})
    assert {"bad_value": 1} == _guard.counters()


class Unreadable(list[Any]):
    """A list that raises when it is read, as a view of what is gone does."""

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("gone")


@pytest.mark.parametrize("attributes", [{"k": Unreadable([1])}, {Unshowable(): 1}])
def test_an_attribute_that_raises_is_left_out(attributes: Any) -> None:
    """The other attributes stay."""
    assert {"good": 1} == _values.attributes(attributes | {"good": 1})
    assert {"bad_value": 1} == _guard.counters()


@pytest.mark.parametrize("given", [None, {}, {"k": None}])
def test_nothing_is_nothing_to_count(given: Any) -> None:
    """An optional value that is not there is no mistake."""
    assert ({}, {}) == (_values.attributes(given), _guard.counters())


@pytest.mark.parametrize("key", ["", 7, None])
def test_a_key_that_is_no_name_is_counted(key: Any) -> None:
    """The SDK would log and drop it."""
    assert {} == _values.attributes({key: "v"})
    assert {"bad_value": 1} == _guard.counters()


@pytest.mark.parametrize("given", [[("a", 1)], np.array([1, 2]), 0])
def test_attributes_that_are_no_mapping_are_counted(given: Any) -> None:
    """Whatever the host hands over; an array has no truth value."""
    assert {} == _values.attributes(given)
    assert {"bad_value": 1} == _guard.counters()


@pytest.mark.parametrize("at", [0, -1, 2**63, 1.5, "now", True])
def test_a_time_that_is_no_nanoseconds_is_counted(at: Any) -> None:
    """A float of seconds is the usual mistake."""
    assert _values.time_ns(at, "start_time") is None
    assert {"bad_value": 1} == _guard.counters()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -0.1, 100.1, "5", True])
def test_a_figure_out_of_range_is_counted(number: Any) -> None:
    """NaN compares with nothing, and so is out of every range."""
    assert _values.number(number, 0, 100) is None
    assert {"bad_value": 1} == _guard.counters()
