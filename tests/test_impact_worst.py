"""Legs that overlap: of a layer's the worst one counts, and many at once cost little."""

from __future__ import annotations

import random

import pytest
from impact_calls import leg, root, span
from work import lines_run

from cxotel.impact import Span, judge


def test_the_worst_leg_of_each_moment_counts() -> None:
    """When it ends or gets better the next one does; at equal figures the one that began first."""
    spans = [
        root(100),
        span(2, "talk", 0, 100, layer="ccaas", activity="talk"),
        leg(5, "carrier", 0, 100, to_agent__loss_pct="10*20"),
        leg(4, "carrier", 20, 100, to_agent__loss_pct="10*16"),
        leg(3, "carrier", 40, 80, to_agent__loss_pct="40*4 0*4"),
    ]
    assert [(0, 40, 10.0), (40, 60, 40.0), (60, 100, 10.0)] == _losses(spans)
    charged = {one.span_id for one in judge(spans[:4]).stretches}
    assert {"0000000000000005"} == charged


def _losses(spans: list[Span]) -> list[tuple[float, float, float]]:
    """Stretches of equal loss at the carrier: seconds and percent."""
    verdict = judge(spans)
    joined: list[tuple[float, float, float]] = []
    for cell in verdict.cells:
        begin, end = ((at - verdict.start) / 1e9 for at in (cell.start, cell.end))
        loss = round(cell.suffered["to_agent"][0].loss_pct, 6)
        if joined and joined[-1][2] == loss:
            joined[-1] = (joined[-1][0], end, loss)
        else:
            joined.append((begin, end, loss))
    return joined


@pytest.mark.parametrize("scope", ["hop", "path"])
def test_many_legs_at_once_take_work_in_proportion(scope: str) -> None:
    """Four times the legs, and with them the edges, take about four times the work."""

    def work(count: int) -> int:
        rng = random.Random(count)
        spans = [root(300), span(2, "talk", 0, 300, layer="ccaas", activity="talk")]
        for number in range(10, 10 + count):
            loss = " ".join(f"{rng.uniform(0, 25):.1f}" for _ in range(30))
            begin = rng.randrange(5000) / 1000
            spans.append(leg(number, "carrier", begin, 300, to_agent__loss_pct=loss, scope=scope))
        return lines_run(lambda: judge(spans))

    assert work(200) < 6 * work(50)  # 4 if linear, 16 if quadratic
