"""Every attribute finds its place: OTLP's fields are on the call's page, registry names have plain words."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from desk_calls import NOON, CallMaker
from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cxotel._semconv import CX_LAYER
from cxotel.desk import finding, lives, words
from cxotel.desk.app import Desk
from cxotel.desk.facts import facets_of
from cxotel.desk.settings import Timing
from cxotel.otlp.proto import to_request

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL = CallMaker("every field")
# Fields whose value has to be one of OTLP's or the call's own.
GIVEN: dict[str, Any] = {
    "Span.trace_id": bytes.fromhex(CALL.trace_id),
    "LogRecord.trace_id": bytes.fromhex(CALL.trace_id),
    "Span.start_time_unix_nano": NOON + 1_000_001_000,
    "Span.end_time_unix_nano": NOON + 2_000_002_000,
    "Span.kind": 4,
    "Status.code": 2,
    "LogRecord.severity_number": 18,
}
# What is shown of these is words; a trace id is that of the page.
SHOWN = {4: "producer", 2: "error"}


class Filling:
    """Fills every field of a message with a value that is nowhere else, and knows how it is to be shown."""

    def __init__(self) -> None:
        self.number = 100_000
        self.wanted: dict[str, str] = {}

    def fill(self, message: Any, path: str) -> None:
        """All fields, messages within and one of each repeated."""
        for field in message.DESCRIPTOR.fields:
            if field.containing_oneof is not None:
                continue  # AnyValue: its kinds are in test_desk_timeline
            name = f"{message.DESCRIPTOR.name}.{field.name}"
            where = f"{path}/{field.name}"
            target = getattr(message, field.name)
            is_repeated = hasattr(target, "append")
            if field.type == FieldDescriptor.TYPE_MESSAGE and is_repeated:
                self.one(target.add(), where)
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                self.one(target, where)
            else:
                value = GIVEN.get(name, self.value(field, name))
                if is_repeated:
                    target.append(value)
                else:
                    setattr(message, field.name, value)
                self.wanted[where] = self.shown(name, field, value)

    def one(self, message: Any, where: str) -> None:
        """A message within; of an attribute and of a body, a text."""
        kind = message.DESCRIPTOR.name
        if kind == "KeyValue":
            message.key = self.text("key")
            message.value.string_value = self.text("value")
            self.wanted[where] = message.key
            self.wanted[where + " "] = message.value.string_value
        elif kind == "AnyValue":
            message.string_value = self.wanted[where] = self.text("body")
        else:
            self.fill(message, where)

    def text(self, name: str) -> str:
        """A text that is nowhere else."""
        self.number += 1
        return f"{name}-{self.number}"

    def value(self, field: FieldDescriptor, name: str) -> Any:
        """A value of the field's type that is nowhere else."""
        self.number += 1
        if field.type == FieldDescriptor.TYPE_STRING:
            return self.text(name.replace(".", "-"))
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self.number.to_bytes(16 if field.name == "trace_id" else 8, "big")
        return self.number

    @staticmethod
    def shown(name: str, field: FieldDescriptor, value: Any) -> str:
        """How the page has it."""
        if name in ("Span.kind", "Status.code"):
            return SHOWN[value]
        if isinstance(value, bytes):
            return value.hex()
        return f"0x{value:x}" if field.name == "flags" else str(value)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """A desk."""
    with Desk(timing=Timing(grace=0.05, settle=0.02)) as running:
        yield running


def post(desk: Desk, path: str, request: Any) -> None:
    """Send it as it is."""
    body = request.SerializeToString()
    answer = httpx.post(
        desk.http_endpoint + path, content=body, headers={"content-type": "application/x-protobuf"}
    )
    assert answer.content == b"", answer.text


def test_every_field_of_otlp_is_on_the_page_of_its_call(desk: Desk) -> None:
    """By OTLP's own description: a field that a newer version adds fails here until it is shown."""
    filling = Filling()
    traces, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    filling.fill(traces, "traces")
    filling.fill(logs, "logs")
    span = traces.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key=CX_LAYER).value.string_value = "crm"
    post(desk, "/v1/logs", logs)
    post(desk, "/v1/traces", traces)
    CALL.root(10)
    post(desk, "/v1/traces", to_request(CALL.spans))
    desk.wait_for_verdict(CALL.trace_id)
    answer = httpx.get(desk.call_url(CALL.trace_id))
    shown = html.unescape(re.sub(r"<[^>]*>", " ", answer.text))
    missing = {path: value for path, value in filling.wanted.items() if value not in shown}
    assert missing == {}
    assert len(filling.wanted) > 50


def test_every_registry_name_has_plain_words(desk: Desk) -> None:
    """Out of the registry, and by hand for OpenTelemetry's own names; they stand on the page."""
    known = registry.load()
    for key, attribute in known.attributes.items():
        label = words.label(key + ".any" if attribute.is_template else key)
        assert label, key
        assert label != key
    assert {key for key in known.reused if not words.label(key)} == set()
    assert words.label("customer.own") == ""
    call = CallMaker("labels")
    call.root(10, cx_pii_number="+44 20 7946 0958", service_name="x")
    for span in call.spans:
        span.attributes["custom"] = 1
    post(desk, "/v1/traces", to_request(call.spans))
    desk.wait_for_verdict(call.trace_id)
    answer = httpx.get(desk.call_url(call.trace_id)).text
    for label, key in (
        ("Queue that the call waited in", "cx.queue.name"),
        ("Anything personal stands under this prefix", "cx.pii.number"),
        ("Seconds charged to the layer", "cx.impact.charge"),
        ("Service that sent it", "service.name"),
    ):
        if key in answer:
            assert re.search(rf'<span class="label">{label}[^<]*</span> <span class="key-name">{key}', answer)
    assert '<th scope="row"><span class="key-name">custom</span></th>' in answer


def test_every_kind_of_filter_and_state_has_plain_words() -> None:
    """Nothing is shown by its name in the code."""
    assert set(finding.KINDS) <= words.KINDS.keys()
    summary = dict.fromkeys(finding.KINDS, "x") | {"charges": {"crm": 1}}
    assert {kind for kind, _ in facets_of(summary, "x")} == set(finding.KINDS)
    for state in (lives.RUNNING, lives.PROVISIONAL, lives.FINAL, lives.PARTIAL, lives.UNJUDGED):
        assert words.value("state", state) == words.STATES[state]
