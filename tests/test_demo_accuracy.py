"""The accuracy run: what it plants, what counts, and what it says of the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cxotel.demo import accuracy
from cxotel.demo.accuracy import Book, Result, code_of, identity, main, measured, page, plan, summary
from cxotel.impact import Span

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


def test_a_line_over_no_calls_is_not_reached() -> None:
    """Nothing was shown then."""
    assert not any(line.reached for line in summary([]))


def test_a_full_run_needs_its_numbers_of_calls() -> None:
    """One short of each kind is not enough."""

    def reached(*counts: int) -> list[bool]:
        kinds = zip(("single", "double", "healthy", "blind"), counts, strict=True)
        true = {"carrier": 9.0, "endpoint": 3.0}
        found: list[Result] = []
        for kind, count in kinds:
            charges = true if kind in {"single", "double"} else {}
            found += [result(kind, true=charges, found=charges)] * count
        return [line.reached for line in summary(found, full=True)]

    assert [True] * 6 == reached(60, 30, 30, 6)
    assert [False, False, True, False, True, False] == reached(59, 29, 29, 5)


def test_a_layer_is_measured_by_a_figure_a_wait_or_a_failure() -> None:
    """Not by a span that only bears its name."""

    def span(layer: str, activity: str, **more: Any) -> Span:
        attributes = {"cx.layer": layer, "cx.activity": activity, **more}
        return Span("a" * 32, "b" * 16, activity, 10**18, 10**18 + 10**10, attributes)

    loss = "cx.media.to_agent.loss_pct"
    spans = [
        span("carrier", "converse", **{loss: "1*2"}),
        span("endpoint", "converse"),
        span("agent_network", "converse", **{loss: "-*2"}),
        span("ccaas", "talk"),
        span("crm", "lookup"),
    ]
    assert ["carrier", "crm"] == measured(spans)


def test_an_incomplete_run_fails_and_writes_no_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the calls say that are there."""

    async def none(*_: Any) -> None:
        pass

    monkeypatch.setattr(accuracy, "place_all", none)
    monkeypatch.setattr(accuracy, "summary", lambda *_, **__: [])
    file = tmp_path / "page.md"
    ran = CliRunner().invoke(main, ["--results", str(tmp_path / "results"), "--page", str(file)])
    assert (1, False) == (ran.exit_code, file.exists())
    assert "run again" in ran.output


def test_the_cut_last_line_of_a_stopped_run_is_passed_over(tmp_path: Path) -> None:
    """And nothing is written behind it."""
    path = tmp_path / "results.jsonl"
    Book(path).write("one", result())
    path.write_text(path.read_text() + path.read_text()[:30])
    Book(path).write("two", result())
    assert Book(path).results == {"one": result(), "two": result()}


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
