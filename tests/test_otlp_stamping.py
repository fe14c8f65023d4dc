"""A judged trace is the trace as it came, the verdict on its root, evidence spans under the right legs."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from judge_samples import spans, text
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_samples import ANSWERS, request

from cxotel.impact import Engine, Verdict
from cxotel.otlp import Received, from_request, read_json, spans_of, stamped


def judged(document: Any) -> tuple[dict[str, Any], Verdict]:
    """The document with its verdict stamped on, and the verdict."""
    received: list[Received] = list(spans_of(document, str))
    engine = Engine()
    for one in received:
        engine.add(one.span)
    verdict = engine.verdict()
    return stamped(received, verdict), verdict


def all_spans(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Raw spans of a document."""
    return [s for g in document["resourceSpans"] for c in g["scopeSpans"] for s in c["spans"]]


def keys(span: dict[str, Any]) -> list[str]:
    """Attribute keys of a raw span."""
    return [item["key"] for item in span["attributes"]]


def call(**options: Any) -> dict[str, Any]:
    """A call as a document."""
    document: dict[str, Any] = json.loads(text(spans(**options)))
    return document


def message_of(document: dict[str, Any]) -> ExportTraceServiceRequest:
    """The document as protobuf's own reader has it: OTLP/JSON without a mistake."""

    def based(node: Any) -> Any:
        if isinstance(node, list):
            return [based(item) for item in node]
        if not isinstance(node, dict):
            return node
        ids = {"traceId", "spanId", "parentSpanId"}
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode() if key in ids else based(value)
            for key, value in node.items()
        }

    return json_format.ParseDict(based(document), ExportTraceServiceRequest())


def test_the_root_carries_the_verdict_and_evidence_stands_under_the_leg() -> None:
    """The engine's attributes on the root, its evidence spans in a group of their own."""
    document, verdict = judged(call())
    root, *_ = found = list(read_json(json.dumps(document), pytest.fail))
    assert verdict.attributes.items() <= root.attributes.items()
    evidence = [one for one in found if one.scope == "cxotel.impact"]
    assert verdict.evidence_spans() == evidence
    assert [("carrier loss", f"{2:016x}", "carrier: Acme Telecom")] == [
        (one.name, one.parent_id, one.service) for one in evidence
    ]


def test_everything_else_is_as_it_was_received() -> None:
    """Resource, scope, schema URLs, events, links, flags, dropped counts and fields that we do not know."""
    before = json.loads((ANSWERS / "jaeger_api_v3_traces.json").read_bytes())["result"]
    group = before["resourceSpans"][0]
    group["new"] = group["scopeSpans"][0]["new"] = {"deep": [1, None, "x"]}
    all_spans(before)[1]["new"] = 7
    expected = copy.deepcopy(before)
    document, verdict = judged(before)
    assert before == expected  # what was given was not changed
    root = all_spans(expected)[0]
    added = all_spans(document)[0]["attributes"][len(root["attributes"]) :]
    assert list(verdict.attributes) == [item["key"] for item in added]
    root["attributes"] = root["attributes"] + added
    assert expected["resourceSpans"] == document["resourceSpans"]


@pytest.mark.parametrize("name", ["tempo_api_traces.json", "tempo_api_v2_traces.json"])
def test_what_tempo_writes_its_own_way_comes_out_as_otlp_demands(name: str) -> None:
    """Ids in hex and enums as numbers; nothing but the stamp differs from what was sent."""
    document, verdict = judged(json.loads((ANSWERS / name).read_bytes()))
    message = message_of(document)
    root = message.resource_spans[0].scope_spans[0].spans[0]
    for _ in verdict.attributes:
        root.attributes.pop()
    # Tempo keeps no schema URLs in this version.
    sent = request()
    sent.resource_spans[0].schema_url = message.resource_spans[0].schema_url
    sent.resource_spans[0].scope_spans[0].schema_url = message.resource_spans[0].scope_spans[0].schema_url
    assert sent == message


def test_a_judged_trace_judged_again_is_the_same() -> None:
    """Stamps and evidence spans are taken off and put on anew, never doubled."""
    once, _ = judged(call(loss="60*24"))
    twice, _ = judged(once)
    assert once == twice


def test_a_forged_verdict_is_taken_off() -> None:
    """Anyone can write attributes; also those that this verdict does not have."""
    document, verdict = judged(call(loss="0*24", **{"cx.impact.charge.crm": 99.0, "cx.impact.cost": 5.0}))
    root = all_spans(document)[0]
    assert ["cx.layer", "cx.call.outcome", *verdict.attributes] == keys(root)


@pytest.mark.parametrize(
    ("loss", "status", "expected"),
    [("60*24", 0, 2), ("60*24", 1, 1), ("60*24", 2, 2), ("5*24", 0, 0)],
)
def test_the_root_gets_status_error_from_severe_unless_its_owner_set_one(
    loss: str, status: int, expected: int
) -> None:
    """The summary is the message; an owner's status stays as it is."""
    document, verdict = judged(call(loss=loss, status=status))
    root = next(read_json(json.dumps(document)))
    message = verdict.attributes["cx.impact.summary"] if (expected, status) == (2, 0) else ""
    assert (expected, message) == (root.status, root.status_message)


def test_the_status_of_an_earlier_verdict_goes_with_it() -> None:
    """Else a call once judged severe would stay an error with milder parameters."""
    document, _ = judged(call(loss="60*24"))
    for span in all_spans(document):
        for item in span["attributes"]:
            if item["key"] == "cx.media.to_agent.loss_pct":
                item["value"] = {"stringValue": "0*24"}
    root = all_spans(judged(document)[0])[0]
    assert {} == root["status"]


def test_of_copies_of_the_root_one_is_stamped() -> None:
    """The one that counts: the latest end, then the one received last; all copies stay."""
    document = call()
    group = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    longer = {**group[0], "endTimeUnixNano": str(int(group[0]["endTimeUnixNano"]) + 1)}
    group += [longer, group[0], longer]
    result, _ = judged(document)
    assert [5] == [i for i, span in enumerate(all_spans(result)) if "cx.impact.severity" in keys(span)]


def test_without_a_root_nothing_is_stamped_and_none_invented() -> None:
    """The verdict on the rest is partial; evidence spans name the legs."""
    document = call()
    del document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    result, verdict = judged(document)
    assert verdict.attributes["cx.impact.partial"] is True
    assert ["talk", "carrier leg", "carrier loss"] == [span["name"] for span in all_spans(result)]
    assert not any("cx.impact.severity" in keys(span) for span in all_spans(result))


@given(st.data())
def test_any_trace_that_could_be_read_can_be_written(data: st.DataObject) -> None:
    """Garbled fields stay as they came; what is written is JSON without bare NaN and gives the same spans."""
    document = json.loads((ANSWERS / "jaeger_api_v3_traces.json").read_bytes())["result"]
    span = data.draw(st.sampled_from(all_spans(document)))
    field = data.draw(st.sampled_from([*span, "new", "trace_id"]))
    span[field] = data.draw(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=6,
        )
    )
    before = [one.span for one in spans_of(document, str)]
    result = json.dumps(judged(document)[0], allow_nan=False)
    after = [one for one in read_json(result) if one.scope != "cxotel.impact"]
    strip = [{k: v for k, v in one.attributes.items() if not k.startswith("cx.impact.")} for one in after]
    assert [repr((b.trace_id, b.span_id, b.start, b.end, dict(b.attributes))) for b in before] == [
        repr((a.trace_id, a.span_id, a.start, a.end, s)) for a, s in zip(after, strip, strict=True)
    ]


def test_protobuf_and_json_agree_on_a_judged_trace() -> None:
    """Protobuf's own reader takes what is written."""
    document, _ = judged(call())
    assert list(read_json(json.dumps(document))) == from_request(message_of(document))
