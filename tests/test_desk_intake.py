"""What is kept of a request: bad spans fall alone, everything odd is counted."""

from __future__ import annotations

import math

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cxotel.desk import intake
from cxotel.desk.settings import FUTURE_NS, MAX_ATTRIBUTES, MAX_VALUE
from cxotel.otlp.proto import to_value

NOW = 1_795_424_400 * 10**9
TRACE, SPAN = bytes(range(16)), bytes(range(8))


def request(*spans: Span, scope: str = "cxotel") -> ExportTraceServiceRequest:
    """One request of one origin."""
    message = ExportTraceServiceRequest()
    scoped = message.resource_spans.add().scope_spans.add()
    scoped.scope.name = scope
    scoped.spans.extend(spans)
    return message


def span(
    trace_id: bytes = TRACE,
    span_id: bytes = SPAN,
    name: str = "queue",
    start: int = NOW,
    **attributes: object,
) -> Span:
    """One span; `cx_layer` becomes `cx.layer`."""
    message = Span(
        trace_id=trace_id, span_id=span_id, name=name, start_time_unix_nano=start, end_time_unix_nano=start
    )
    for key, value in attributes.items():
        message.attributes.add(key=key.replace("_", ".")).value.CopyFrom(to_value(value))
    return message


@pytest.mark.parametrize("trace_id", [b"", b"short", bytes(16), bytes(range(17))])
def test_a_span_without_a_usable_trace_id_is_refused_alone(trace_id: bytes) -> None:
    """It is counted, the message says why, and its neighbour is kept."""
    batch = intake.spans(request(span(trace_id), span()), NOW)
    assert (len(batch.items), batch.refused) == (1, 1)
    assert "trace id of span 'queue'" in batch.message


def test_a_span_id_of_wrong_length_is_refused_and_charged_to_its_call() -> None:
    """The call's page can say that a span of it is missing."""
    batch = intake.spans(request(span(span_id=b"seven77"), span()), NOW)
    assert (len(batch.items), batch.refused, dict(batch.refused_of)) == (1, 1, {TRACE: 1})


@pytest.mark.parametrize("span_id", [b"", bytes(8)])
def test_a_span_without_an_id_is_kept_for_the_model_to_count(span_id: bytes) -> None:
    """The impact model counts it as skipped, as `cxotel judge` does; nothing is refused."""
    batch = intake.spans(request(span(span_id=span_id)), NOW)
    assert (len(batch.items), batch.refused, batch.counts["odd.no_span_id"]) == (1, 0, 1)


def test_a_span_from_the_future_is_kept_and_counted() -> None:
    """A wrong clock loses no span, and the sender is told."""
    batch = intake.spans(request(span(start=NOW + FUTURE_NS + 1), span(start=NOW + FUTURE_NS)), NOW)
    assert (len(batch.items), batch.refused, batch.counts["odd.future"]) == (2, 0, 1)
    assert "check the sender's clock" in batch.message


def test_times_beyond_signed_integers_are_kept_and_counted() -> None:
    """A time of 2^63 ns or more is no reason to fail, but nobody means it; it counts once."""
    endless = span()
    endless.end_time_unix_nano = 2**63
    last = span()
    last.end_time_unix_nano = 2**63 - 1
    batch = intake.spans(request(endless, span(start=2**64 - 1), last), NOW)
    assert (len(batch.items), batch.refused, dict(batch.counts)) == (3, 0, {"odd.time": 2})
    assert "after the year 2262" in batch.message


def test_a_hostile_value_is_cut_and_the_rest_kept() -> None:
    """A text over the limit keeps its beginning, at a character's edge; a map over it only its size."""
    batch = intake.spans(request(span(big="ä" * MAX_VALUE, map={"a": "x" * MAX_VALUE}, small=1)), NOW)
    kept = {pair.key: pair.value for pair in Span.FromString(batch.items[0].data).attributes}
    assert kept["big"].string_value == "ä" * (MAX_VALUE // 2)
    assert kept["map"].string_value.startswith("(not kept: kvlist of ")
    assert kept["small"].int_value == 1
    assert (batch.counts["odd.cut"], batch.refused) == (2, 0)


def test_a_hostile_number_of_attributes_is_cut_and_said_on_the_span() -> None:
    """The first ones stay, `dropped_attributes_count` grows as OTLP has it."""
    batch = intake.spans(request(span(**{f"a{i}": i for i in range(MAX_ATTRIBUTES + 5)})), NOW)
    kept = Span.FromString(batch.items[0].data)
    assert (len(kept.attributes), kept.dropped_attributes_count) == (MAX_ATTRIBUTES, 5)


def test_hostile_names_and_messages_are_cut() -> None:
    """Names, keys and status messages have the limit of values."""
    hostile = span(name="n" * (MAX_VALUE + 1), **{"k" * (MAX_VALUE + 1): 1})
    hostile.status.message = "m" * (MAX_VALUE + 1)
    kept = Span.FromString(intake.spans(request(hostile), NOW).items[0].data)
    assert (len(kept.name), len(kept.attributes[0].key), len(kept.status.message)) == (MAX_VALUE,) * 3


def test_what_is_in_limits_is_kept_to_the_byte() -> None:
    """Types, NaN and fields unknown to us go in and out unchanged."""
    sent = span(nan=math.nan, flag=True, whole=1, real=1.0, raw=b"\0", none=None, items=[1, "a"])
    sent.MergeFromString(b"\xf8\x7f\x01")  # field 2047, not in OTLP
    assert intake.spans(request(sent), NOW).items[0].data == sent.SerializeToString(deterministic=True)


def test_the_same_span_has_the_same_digest_and_another_origin_another() -> None:
    """That is how what was sent twice counts once."""
    first, again = (intake.spans(request(span(a=1)), NOW).items[0] for _ in range(2))
    other = intake.spans(request(span(a=1), scope="other"), NOW).items[0]
    assert first.digest == again.digest
    assert first.digest != other.digest


@pytest.mark.parametrize(
    ("name", "layer", "scope", "expected"),
    [
        ("call inbound", "call", "cxotel", (True, True)),
        ("call outbound", "call", "cxotel", (True, True)),
        ("call started", "call", "cxotel", (True, False)),
        ("queue", "ccaas", "cxotel", (True, False)),
        ("call inbound", "call", "cxotel.impact", (False, False)),
        ("agent_session", None, "livekit-agents", (True, False)),
        ("conversation", None, "pipecat.turn", (True, False)),
        ("conversation", None, "myapp", (False, False)),
        ("GET", None, "httpx", (False, False)),
    ],
)
def test_what_makes_a_call_and_what_is_its_root(
    name: str, layer: str | None, scope: str, expected: tuple[bool, bool]
) -> None:
    """Spans with a layer and sessions of voice AI frameworks are calls; other traces are only kept."""
    attributes = {} if layer is None else {"cx_layer": layer}
    item = intake.spans(request(span(name=name, **attributes), scope=scope), NOW).items[0]
    assert (item.is_call, item.part is not None and item.part.is_root) == expected


def test_a_log_with_an_unusable_trace_id_is_kept_without() -> None:
    """A log record is never refused."""
    message = ExportLogsServiceRequest()
    records = message.resource_logs.add().scope_logs.add().log_records
    records.add(trace_id=b"short")
    records.add(trace_id=TRACE).body.string_value = "x" * (MAX_VALUE + 100)
    batch = intake.logs(message)
    assert [item.trace_id for item in batch.items] == [b"", TRACE]
    assert (batch.refused, batch.counts["odd.log_trace_id"], batch.counts["odd.cut"]) == (0, 1, 1)


def test_metrics_are_kept_by_name() -> None:
    """One row a metric."""
    message = ExportMetricsServiceRequest()
    message.resource_metrics.add().scope_metrics.add().metrics.add(name="cx.calls")
    assert [item.name for item in intake.metrics(message).items] == ["cx.calls"]
