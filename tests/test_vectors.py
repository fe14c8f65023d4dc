"""Every case of spec/vectors, and the shared worked examples where they stand beside the project."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cxotel.impact import DEFAULT, Verdict, judge
from cxotel.otlp import read_json

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import make_vectors  # noqa: E402  # tools/ is no package

CASES = sorted(path.parent for path in (ROOT / "spec" / "vectors").glob("*/input.json"))
EXAMPLES = sorted(path.parent for path in (ROOT.parent / "shared/data/impact-examples").glob("*/input.json"))
LEAST_CASES = 60  # the spec's own promise


def judged(case: Path) -> Verdict:
    """The verdict on a case, with its parameters where it has some."""
    overrides = case / "parameters.json"
    parameters = DEFAULT.override(json.loads(overrides.read_bytes())) if overrides.exists() else DEFAULT
    return judge(read_json((case / "input.json").read_bytes()), parameters)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vector_gives_the_expected_root_attributes(case: Path) -> None:
    """Every root attribute is as the vector says, summary and evidence included."""
    assert json.loads((case / "expected.json").read_bytes()) == judged(case).attributes


@pytest.mark.parametrize(
    "case", [case for case in CASES if (case / "evidence_spans.json").exists()], ids=lambda case: case.name
)
def test_vector_gives_the_expected_evidence_spans(case: Path) -> None:
    """Ids, names, parents, times, attributes and status of the evidence spans are as the vector says."""
    expected = json.loads((case / "evidence_spans.json").read_bytes())
    assert expected == [make_vectors.shown(span) for span in judged(case).evidence_spans()]


def test_vectors_are_what_their_cases_say() -> None:
    """No file was changed by hand; engine, reference and the numbers worked out by hand agree."""
    assert make_vectors.drifted(make_vectors.render()) == []


def test_there_are_as_many_vectors_as_promised() -> None:
    """The vectors are all there."""
    assert LEAST_CASES <= len(CASES)


@pytest.mark.parametrize("case", EXAMPLES, ids=lambda case: case.name)
def test_shared_example_agrees(case: Path) -> None:
    """The worked examples, made by others from the same design, agree to the last rounded digit."""
    verdict = judged(case)
    actual = {name: value for name, value in verdict.attributes.items() if name != "cx.impact.summary"}
    actual["cx.impact.evidence"] = [
        {
            "layer": item.layer,
            "what": item.what,
            "value": round(item.value or 0.0, 4),
            "seconds": round(item.seconds, 3),
            "span_id": item.span_id,
        }
        for item in verdict.evidence
    ]
    assert json.loads((case / "expected.json").read_bytes()) == actual
