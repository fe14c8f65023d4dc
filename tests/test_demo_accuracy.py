"""The accuracy run: what it plants, what counts, and what it says of the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cxotel.demo.accuracy import Book, Result, code_of, identity, page, plan, summary

if TYPE_CHECKING:
    from pathlib import Path


def result(kind: str = "single", **changes: Any) -> Result:
    """A fault of the carrier, found."""
    values: dict[str, Any] = {
        "kind": kind,
        "name": "x",
        "planted": "loss",
        "true": {"carrier": 10.0},
        "found": {"carrier": 9.0},
        "severity": "minor",
        "late": [],
        "seen": ["carrier", "endpoint"],
    }
    return Result(**{**values, **changes})


def test_a_plan_repeats_with_its_seed_and_no_call_comes_twice() -> None:
    """So that an interrupted run finds its results again."""
    first, again = plan(1, 6, 4, 3, 2), plan(1, 6, 4, 3, 2)
    assert [identity(call, "a") for _, _, call in first] == [identity(call, "a") for _, _, call in again]
    assert len({identity(call, code) for _, _, call in first for code in "ab"}) == 30
    assert {kind for kind, _, _ in first} == {"single", "double", "healthy", "blind"}


@pytest.mark.parametrize(
    ("case", "counts"),
    [
        (result(), True),
        (result(true={"carrier": 2.9}), False),
        (result(late=["proxy"]), False),
        (result("double", true={"carrier": 9.0, "endpoint": 6.0}), True),
        (result("double", true={"carrier": 8.9, "endpoint": 6.0}), False),
        (result("healthy", true={}), True),
    ],
)
def test_only_what_truth_makes_a_case_counts(case: Result, counts: bool) -> None:
    """3 s for a fault, 1.5 times the other for a double one, and no late machine."""
    assert case.counts is counts


def test_the_summary_says_what_was_reached() -> None:
    """One of two singles missed, a healthy call judged too hard, an unseen layer blamed."""
    lines = summary(
        [
            result(),
            result(found={"endpoint": 10.0}),
            result("healthy", found={"crm": 20.0}, severity="moderate"),
            result("blind", found={}),
        ]
    )
    assert [line.got for line in lines] == ["50.0 %", "0.0 %", "5.0 %", "1", "1", "0"]
    assert [line.reached for line in lines] == [False, False, True, False, False, True]


def test_the_page_names_every_fault_that_was_missed() -> None:
    """With truth and verdict side by side."""
    results = [result(), result(planted="a strange fault", found={"endpoint": 4.0})]
    text = page(summary(results), results, 7)
    assert "- a strange fault: truth carrier 10.0 s | verdict endpoint 4.0 s" in text
    assert "(seed 7, 2 calls)" in text.replace("\n", " ")


def test_other_code_finds_no_results_of_before(tmp_path: Path) -> None:
    """Whatever changes in a file, and whichever file it is."""
    found = set()
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("notes.txt", "3")):
        (tmp_path / name).write_text(text)
        found.add(code_of(tmp_path))
    assert 3 == len(found)


def test_results_are_found_again(tmp_path: Path) -> None:
    """One line each; a second run reads them back."""
    path = tmp_path / "results.jsonl"
    Book(path).write("one", result())
    assert Book(path).results == {"one": result()}
