"""A verdict as a person reads it on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from cxotel._semconv import (
    CX_IMPACT_COVERAGE,
    CX_IMPACT_EVIDENCE,
    CX_IMPACT_FELT,
    CX_IMPACT_OUTSIDE,
    CX_IMPACT_OWNER,
    CX_IMPACT_PARTIAL,
    CX_IMPACT_SCORE,
    CX_IMPACT_SKIPPED,
    CX_IMPACT_SUMMARY,
    CX_IMPACT_UNOBSERVED,
    CX_MEDIA_MOS_MEAN,
    CX_MEDIA_MOS_MIN,
)
from cxotel.impact.evidence import rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from cxotel.impact import Verdict

BAR = 32  # characters of the longest bar
STYLES = {"none": "green", "minor": "green", "moderate": "yellow", "severe": "red", "critical": "bold red"}


def print_verdict(console: Console, trace_id: str, verdict: Verdict, *, explain: bool = False) -> None:
    """The sentence, lost seconds by layer as bars, evidence, blind spots; the cells if asked for."""
    attributes: Mapping[str, Any] = verdict.attributes
    style = STYLES[verdict.severity]
    console.print(Text.assemble("call ", (trace_id, "bold")))
    console.print(Text(_clean(attributes[CX_IMPACT_SUMMARY]), style=style))
    console.print()
    score = f"   score {attributes[CX_IMPACT_SCORE]:.1f} of 100"
    mos = ""
    if CX_MEDIA_MOS_MEAN in attributes:
        mos = f"   MOS {attributes[CX_MEDIA_MOS_MEAN]:.2f}, at worst {attributes[CX_MEDIA_MOS_MIN]:.2f}"
    length = (
        f"   {rounded(verdict.lost_seconds, 1)} of {rounded((verdict.end - verdict.start) / 1e9, 1)} s lost"
    )
    console.print(Text.assemble("  severity ", (verdict.severity, style), length, score, mos))
    _bars(console, {layer: verdict.charges[layer] for layer in verdict.layers})
    if CX_IMPACT_OWNER in attributes:
        console.print(Text(f"  owner of the largest part: {_clean(attributes[CX_IMPACT_OWNER])}"))
    _listed(console, "felt", [one.replace("_", " ") for one in attributes[CX_IMPACT_FELT]])
    if attributes[CX_IMPACT_EVIDENCE]:
        console.print("\n  evidence")
        for text in attributes[CX_IMPACT_EVIDENCE]:
            console.print(Text(f"    {_clean(text)}"))
    _blind_spots(console, attributes)
    if explain:
        _cells(console, verdict)


def print_sums(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Lost seconds of all calls together, by layer."""
    sums: dict[str, float] = {}
    for verdict in verdicts:
        for layer in verdict.layers:
            sums[layer] = sums.get(layer, 0.0) + verdict.charges[layer]
    lost = sum(verdict.lost_seconds for verdict in verdicts)
    hurt = sum(1 for verdict in verdicts if verdict.layers)
    console.print()
    console.print(
        Text(f"{len(verdicts)} calls, {hurt} of them lost time, {rounded(lost, 1)} s in all", style="bold")
    )
    _bars(console, dict(sorted(sums.items(), key=lambda pair: -pair[1])))


def _bars(console: Console, seconds: Mapping[str, float]) -> None:
    """One line a layer, the longest bar for the largest."""
    if not seconds:
        return
    console.print()
    block = "█" if console.encoding.lower().startswith("utf") else "#"
    largest, total = max(seconds.values()), sum(seconds.values())
    for layer, lost in seconds.items():
        bar = block * max(1, round(BAR * lost / largest))
        console.print(Text(f"  {layer:<13} {rounded(lost, 1):9.1f} s  {100 * lost / total:3.0f} %  {bar}"))
    console.print()


def _listed(console: Console, what: str, items: Iterable[str]) -> None:
    text = ", ".join(items)
    if text:
        console.print(Text(f"  {what}: {text}"))


def _blind_spots(console: Console, attributes: Mapping[str, Any]) -> None:
    coverage = f"{100 * attributes[CX_IMPACT_COVERAGE]:.0f} %"
    blind = ", ".join(attributes[CX_IMPACT_UNOBSERVED])
    console.print()
    if blind:
        console.print(
            Text(f"  not measured: {blind} (so never blamed; {coverage} of the layers were measured)")
        )
    else:
        console.print(Text(f"  measured: {coverage} of the layers that the call went through"))
    if attributes[CX_IMPACT_PARTIAL]:
        console.print(Text("  partial: the call's root span is missing", style="yellow"))
    if attributes[CX_IMPACT_OUTSIDE]:
        text = (
            f"  {attributes[CX_IMPACT_OUTSIDE]} span(s) outside the call: a wrong clock, or a key used twice"
        )
        console.print(Text(text, style="yellow"))
    if attributes[CX_IMPACT_SKIPPED]:
        text = f"  {attributes[CX_IMPACT_SKIPPED]} span(s) or value(s) could not be read and were skipped"
        console.print(Text(text, style="yellow"))


def _cells(console: Console, verdict: Verdict) -> None:
    """Every cell: when, what people did, what each layer did to each direction, what was charged."""
    console.print("\n  cell by cell (seconds from the call's start)")
    for cell in verdict.cells:
        doing = ["conversation"] if cell.conversation else []
        doing += [f"lost waiting for {wait}" for wait in cell.waits]
        start, end = (cell.start - verdict.start) / 1e9, (cell.end - verdict.start) / 1e9
        console.print(Text(f"  {start:9.3f} - {end:9.3f}  {', '.join(doing) or '-'}"))
        for direction, suffered in cell.suffered.items() if cell.measured else ():
            figures = "; ".join(
                f"{one.layer} loss {one.loss_pct:.1f} %, delay {one.delay_ms:.0f} ms"
                + (f", ie {one.ie:g}" if one.ie else "")
                for one in suffered
                if one.loss_pct or one.delay_ms or one.ie
            )
            console.print(
                Text(
                    f"      {direction:<11}  R {cell.r[direction]:5.1f}  {figures or 'nothing known to hurt'}"
                )
            )
        if cell.charges:
            charged = ", ".join(
                f"{layer} {what} {seconds:.3f} s" for (layer, what), seconds in cell.charges.items()
            )
            share = f" ({100 * cell.quality:.1f} % of the time)" if cell.quality else ""
            console.print(Text(f"      charged: {charged}{share}"))


def _clean(text: str) -> str:
    """Text that cannot steer a terminal: anyone can write into a trace."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
