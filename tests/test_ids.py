"""Trace and root span ids are computed from the call key, and only our own tracer hands them out."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from cxotel.ids import CallIdGenerator, CallIds, call_ids, planned

# What UTF-8 can carry: anything but lone surrogates.
TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)


def test_ids_are_the_first_24_bytes_of_the_digest() -> None:
    """The recipe of the call trace, written out once more with the standard library."""
    digest = hashlib.sha256(b"cx\x00acme\x007a1c4f6e-0d52-4c1b-9a57-2f0f3b7a9e10").digest()

    ids = call_ids("7a1c4f6e-0d52-4c1b-9a57-2f0f3b7a9e10", "acme")

    assert digest[:16].hex() == ids.trace_id_hex
    assert digest[16:24].hex() == ids.span_id_hex


def test_known_answer() -> None:
    r"""What `printf 'cx\0default\0abc' | sha256sum` prints, so that other languages can compare."""
    ids = call_ids("abc")

    assert "0ad63ebbaefac49b85a886c5f6241d21" == ids.trace_id_hex
    assert "0e4c9a3c45dc39d9" == ids.span_id_hex


@given(TEXT, TEXT)
def test_a_key_is_used_verbatim(key: str, namespace: str) -> None:
    """No trimming and no case folding: what differs at all gets another trace."""
    ids = call_ids(key, namespace)

    assert ids == call_ids(key, namespace)
    assert call_ids(key + " ", namespace) != ids
    assert len(ids.trace_id_hex) == 32
    assert len(ids.span_id_hex) == 16


def test_case_and_namespace_make_another_call() -> None:
    """Tenants cannot land in each other's traces."""
    assert len({call_ids("a").trace_id, call_ids("A").trace_id, call_ids("a", "other").trace_id}) == 3


@pytest.mark.parametrize("key", [None, 7, b"abc", ["abc"], 1.5])
def test_a_key_that_is_no_string_is_refused(key: object) -> None:
    """The message names what was given."""
    with pytest.raises(TypeError, match="call_key is a"):
        call_ids(key)  # type: ignore[arg-type]


@pytest.mark.parametrize(("key", "namespace"), [("", "default"), ("abc", ""), ("\ud800", "default")])
def test_an_empty_or_broken_key_is_refused(key: str, namespace: str) -> None:
    """Empty strings and lone surrogates make no ids."""
    with pytest.raises(ValueError, match=r"empty|surrogates"):
        call_ids(key, namespace)


def test_a_span_with_planned_ids_gets_them_and_no_random_flag() -> None:
    """A computed trace id must not claim to be random."""
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("cxotel")
    tracer.id_generator = CallIdGenerator(RandomIdGenerator())  # type: ignore[attr-defined]

    with planned(CallIds(0xABC, 0xDEF)):
        ours = tracer.start_span("root").get_span_context()
    later = tracer.start_span("other").get_span_context()
    theirs = provider.get_tracer("host").start_span("host").get_span_context()

    assert (0xABC, 0xDEF, 1) == (ours.trace_id, ours.span_id, ours.trace_flags)
    assert later.trace_id not in (0, 0xABC)
    assert theirs.trace_flags in (1, 3)  # 3 from SDK 1.45 on, which marks random ids


def test_the_hosts_generator_still_makes_the_other_ids() -> None:
    """Whatever else the host's generator offers stays reachable."""
    inner = RandomIdGenerator()
    inner.seed = 7  # type: ignore[attr-defined]

    assert CallIdGenerator(inner).seed == 7
    assert CallIdGenerator(inner).generate_span_id() > 0
    assert not CallIdGenerator(inner).is_trace_id_random()
