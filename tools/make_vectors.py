"""Writes `spec/vectors/` from the cases of `vector_cases.py`.

`python tools/make_vectors.py` writes, `--check` names what has drifted and exits with 1. A case is only
written if the engine, the tests' literal reference and what was worked out by hand all say the same. Expected
attributes are the reference's; the summary, which it does not have, is the engine's, and tests hold sentences
of every kind word by word.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "tools")]

from reference_model import Reference  # noqa: E402  # beside the tests
from vector_cases import ALL, Case  # noqa: E402

from cxotel.impact import DEFAULT, Span, judge  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

VECTORS = ROOT / "spec" / "vectors"
SUMMARY = "cx.impact.summary"


class CaseError(Exception):
    """Engine, reference and hand do not agree on a case."""


def value_of(value: object) -> dict[str, Any]:
    """An attribute value as OTLP/JSON."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if value == value and abs(value) != float("inf") else _word(value)}  # noqa: PLR0124
    if isinstance(value, list):
        return {"arrayValue": {"values": [value_of(one) for one in value]}}
    return {} if value is None else {"stringValue": str(value)}


def _word(value: float) -> str:
    """NaN and the infinities, as protobuf's JSON writes them."""
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]


def otlp(spans: list[Span]) -> dict[str, Any]:
    """A request with the spans in their order."""
    groups: list[tuple[str, list[dict[str, Any]]]] = []
    for one in spans:
        if not groups or groups[-1][0] != one.scope:
            groups.append((one.scope, []))
        groups[-1][1].append(_span(one))
    scopes = [{"scope": {"name": scope or "cxotel"}, "spans": members} for scope, members in groups]
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": scopes}]}


def _span(one: Span) -> dict[str, Any]:
    found: dict[str, Any] = {"traceId": one.trace_id}
    if one.span_id:
        found["spanId"] = one.span_id
    if one.parent_id:
        found["parentSpanId"] = one.parent_id
    found |= {
        "name": one.name,
        "kind": 1,
        "startTimeUnixNano": str(one.start),
        "endTimeUnixNano": str(one.end),
    }
    found["attributes"] = [{"key": key, "value": value_of(value)} for key, value in one.attributes.items()]
    return found | {"status": {"code": one.status} if one.status else {}}


def files_of(case: Case) -> Iterator[tuple[str, str]]:
    """Name and text of every file of a case.

    Raises:
        CaseError: the sources of the expected values disagree.
    """
    verdict = judge(case.spans, DEFAULT.override(case.parameters))
    expected = dict(verdict.attributes)
    if not case.parameters:  # the reference knows the default parameters alone
        expected = {**Reference(case.spans).attributes, SUMMARY: verdict.attributes[SUMMARY]}
    _agree(case, "engine and reference", expected, verdict.attributes)
    by_hand = {
        f"cx.media.mos.{which}" if name == "mos" else f"cx.impact.{name}": value
        for name, value in case.by_hand.items()
        for which in (("min", "mean") if name == "mos" else ("",))
    }
    _agree(case, "hand and reference", by_hand, {key: expected.get(key) for key in by_hand})
    yield "input.json", _json(otlp(case.spans))
    yield "why.txt", f"{case.why}\n"
    yield "expected.json", _json(dict(sorted(expected.items())))
    if case.parameters:
        yield "parameters.json", _json(case.parameters)
    if case.stretches:
        yield "evidence_spans.json", _json([shown(one) for one in verdict.evidence_spans()])


def shown(one: Span) -> dict[str, Any]:
    """An evidence span as a vector says it."""
    return {
        "traceId": one.trace_id,
        "spanId": one.span_id,
        "parentSpanId": one.parent_id,
        "name": one.name,
        "startTimeUnixNano": str(one.start),
        "endTimeUnixNano": str(one.end),
        "attributes": dict(one.attributes),
        "status": one.status,
        "statusMessage": one.status_message,
        "service": one.service,
    }


def _agree(case: Case, who: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    differing = {key: (one.get(key), other.get(key)) for key in one | other if one.get(key) != other.get(key)}
    if differing:
        raise CaseError(f"{case.name}: {who} differ: {differing}")


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def render() -> dict[Path, str]:
    """Text of every file of all vectors.

    Raises:
        CaseError: see `files_of`; or two cases have one name.
    """
    names = [case.name for case in ALL]
    if len(names) != len(set(names)):
        raise CaseError(f"names given twice: {sorted({name for name in names if names.count(name) > 1})}")
    return {VECTORS / case.name / name: text for case in ALL for name, text in files_of(case)}


def drifted(rendered: dict[Path, str]) -> list[Path]:
    """Files that are missing, differ, or belong to no case."""
    present = {path for path in VECTORS.glob("*/*") if path.is_file()}
    stale = [
        path for path, text in rendered.items() if path not in present or path.read_text("utf-8") != text
    ]
    return sorted([*stale, *(present - rendered.keys())])


def main(arguments: list[str]) -> int:
    """Writes the vectors, or with `--check` only says what drifted; returns the exit status."""
    rendered = render()
    stale = drifted(rendered)
    check = "--check" in arguments
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'differs from tools/vector_cases.py' if check else 'written'}")
        if check:
            continue
        if path in rendered:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rendered[path], "utf-8")
        else:
            path.unlink()
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
