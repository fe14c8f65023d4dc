"""What the proxy does to packets: telling them apart, and a seeded course of loss and delay."""

from __future__ import annotations

import random

import pytest

from cxotel.demo.impair import Course, Impairment, LossProcess, classify


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("stun", b"\x00\x01"),
        ("stun", b"\x03\x00"),
        ("other", b"\x04\x00"),
        ("other", b"\x13\x00"),
        ("dtls", b"\x14\xfe"),
        ("dtls", b"\x3f\xfe"),
        ("other", b"\x40\x00"),
        ("other", b"\x7f\x00"),
        ("rtp", b"\x80\x00"),
        ("rtp", b"\x80\x80"),
        ("rtp", b"\xbf\xbf"),
        ("rtcp", b"\x80\xc0"),
        ("rtcp", b"\x81\xc8"),
        ("rtcp", b"\x80\xdf"),
        ("rtp", b"\x80\xe0"),
        ("other", b"\xc0\x00"),
    ],
)
def test_a_datagram_is_told_by_its_first_two_bytes(kind: str, head: bytes) -> None:
    """The ranges of RFC 7983 section 7 and RFC 5761 section 4, at their edges."""
    assert kind == classify(head + bytes(10))


@pytest.mark.parametrize("datagram", [b"", b"\x80", b"\x80\x00" + bytes(9)])
def test_a_datagram_too_short_for_its_kind_is_other(datagram: bytes) -> None:
    """An RTP header has 12 bytes; less is not taken apart."""
    assert classify(datagram) == "other"


@pytest.mark.parametrize(("loss", "burst"), [(0.01, 1), (0.15, 1), (0.05, 5), (0.3, 3), (0.6, 8)])
def test_the_share_lost_and_the_length_of_runs_are_as_asked(loss: float, burst: float) -> None:
    """Over 200,000 packets the share is within a tenth, the mean run within a tenth of its expectation."""
    process = LossProcess(loss, burst, random.Random(1))
    lost = [process.lost() for _ in range(200_000)]
    runs = sum(now and not before for before, now in zip([False, *lost], lost, strict=False))
    mean_run = burst if burst > 1 else 1 / (1 - loss)
    assert sum(lost) / len(lost) == pytest.approx(loss, rel=0.1)
    assert sum(lost) / runs == pytest.approx(mean_run, rel=0.1)


def test_an_outage_loses_everything() -> None:
    """Loss 1 lets nothing through, whatever the burst length."""
    process = LossProcess(1.0, 4, random.Random(1))
    assert all(process.lost() for _ in range(1000))


def test_the_same_seed_gives_the_same_course() -> None:
    """Loss and delay of each packet repeat with the seed and differ with another."""
    plan = [Impairment("carrier", "to_agent", loss=0.2, burst=3, delay_ms=20, jitter_ms=15)]

    def course(seed: str) -> list[float | None]:
        one = Course(plan, seed)
        return [one.rtp(i * 0.02) for i in range(500)]

    assert course("a") == course("a")
    assert course("a") != course("b")


def test_asking_for_rtcp_does_not_change_what_rtp_gets() -> None:
    """RTCP comes at random times; it must not use up the draws of the RTP packets."""
    plan = [Impairment("carrier", "to_agent", loss=0.2, jitter_ms=15)]
    alone, mixed = Course(plan, "s"), Course(plan, "s")
    expected = [alone.rtp(i * 0.02) for i in range(200)]
    actual = []
    for i in range(200):
        mixed.rtcp(i * 0.02)
        actual.append(mixed.rtp(i * 0.02))
    assert expected == actual


def test_an_impairment_holds_between_its_seconds_only() -> None:
    """From `start` on, and not at `end` any more."""
    course = Course([Impairment("carrier", "to_agent", start=2, end=4, loss=1.0, delay_ms=30)], "s")
    assert [course.rtp(at) for at in (1.999, 2.0, 3.999, 4.0)] == [0.0, None, None, 0.0]
    assert [course.rtcp(at) for at in (1.0, 3.0, 4.0)] == [0.0, 30.0, 0.0]


def test_jitter_lies_between_nothing_and_twice_its_mean() -> None:
    """Uniform over 0 to 2 * jitter_ms on top of the delay."""
    course = Course([Impairment("carrier", "to_agent", delay_ms=50, jitter_ms=20)], "s")
    waits = [wait for wait in (course.rtp(i * 0.02) for i in range(5000)) if wait is not None]
    assert 50 <= min(waits) < 51
    assert 89 < max(waits) <= 90
    assert sum(waits) / len(waits) == pytest.approx(70, abs=1)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("direction", {"direction": "up"}),
        ("loss", {"loss": 1.2}),
        ("burst", {"burst": 0.5}),
        ("delay_ms", {"delay_ms": -1}),
        ("start", {"start": 5, "end": 5}),
    ],
)
def test_an_impairment_without_meaning_is_refused_by_name(field: str, values: dict[str, object]) -> None:
    """The message names the field."""
    with pytest.raises(ValueError, match=field):
        Impairment(**{"hop": "carrier", "direction": "to_agent", **values})  # type: ignore[arg-type]
