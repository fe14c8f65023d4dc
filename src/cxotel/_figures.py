"""The windows of a leg as columns, and the text that they are exported as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxotel import _semconv as names
from cxotel import _values
from cxotel.media import emodel, series

if TYPE_CHECKING:
    from cxotel.media.windows import Figures

TO_AGENT, TO_CUSTOMER = "to_agent", "to_customer"
LONGEST = 720  # windows in one span: an hour of 5 s windows (design of the call trace)
BAD_R = 60.0  # an episode: "nearly all users dissatisfied" begins below it (ITU-T G.109, table 1)
_LOSS, _DELAY = "loss_pct", "delay_ms"
_COLUMNS = {
    (TO_AGENT, _LOSS): names.CX_MEDIA_TO_AGENT_LOSS_PCT,
    (TO_CUSTOMER, _LOSS): names.CX_MEDIA_TO_CUSTOMER_LOSS_PCT,
    (TO_AGENT, _DELAY): names.CX_MEDIA_TO_AGENT_DELAY_MS,
    (TO_CUSTOMER, _DELAY): names.CX_MEDIA_TO_CUSTOMER_DELAY_MS,
}
_IE = {TO_AGENT: names.CX_MEDIA_TO_AGENT_IE, TO_CUSTOMER: names.CX_MEDIA_TO_CUSTOMER_IE}
_DECIMALS = {_LOSS: 1, _DELAY: 0}  # what people can tell apart, and what keeps a series short
_HIGHEST = {_LOSS: 100.0, _DELAY: 60_000.0}  # as the impact model reads them


class Columns:
    """Figures of consecutive windows by direction and metric; None where a window was not measured."""

    def __init__(self) -> None:
        self.length = 0
        self._values: dict[tuple[str, str], list[float | None]] = {}

    def put(self, index: int, direction: str, figures: Figures) -> None:
        """Set a window's figures of one direction; those out of range are counted and left out."""
        for metric, value in ((_LOSS, figures.loss_pct), (_DELAY, figures.delay_ms)):
            good = _values.number(value, 0, _HIGHEST[metric])
            if good is not None:
                column = self._values.setdefault((direction, metric), [])
                column.extend([None] * (index + 1 - len(column)))
                column[index] = float(good)
        self.length = max(self.length, index + 1)

    def texts(self, first: int = 0, last: int | None = None) -> dict[str, str]:
        """Each column's series from window `first` up to before `last`, by its attribute's name."""
        end = self.length if last is None else last
        return {
            _COLUMNS[key]: series.encode(_cut(column, first, end), _DECIMALS[key[1]])
            for key, column in self._values.items()
            if any(value is not None for value in column[first:end])
        }

    def drop(self, number: int) -> None:
        """Forget the first windows: they were exported."""
        for column in self._values.values():
            del column[:number]
        self.length -= number

    def rating(self, index: int, ie: dict[str, float]) -> float | None:
        """R of the worse direction in a window (ITU-T G.107, all defaults, G.711 with concealment).

        `ie` is by direction. None if nothing was measured.
        """
        ratings = [
            self._rating(index, direction, ie.get(direction, 0.0)) for direction in (TO_AGENT, TO_CUSTOMER)
        ]
        return min((r for r in ratings if r is not None), default=None)

    def _rating(self, index: int, direction: str, ie: float) -> float | None:
        loss, delay = (self._at(index, direction, metric) for metric in (_LOSS, _DELAY))
        if loss is None and delay is None:
            return None
        ta = delay or 0.0
        return emodel.r_factor(t=ta, ta=ta, tr=2 * ta, ie=ie, ppl=loss or 0.0, bpl=25.1)

    def _at(self, index: int, direction: str, metric: str) -> float | None:
        column = self._values.get((direction, metric), ())
        return column[index] if index < len(column) else None


def _cut(column: list[float | None], first: int, last: int) -> list[float | None]:
    part = column[first:last]
    return part + [None] * (last - first - len(part))


def ie_attribute(direction: str) -> str:
    """Name of the attribute that holds a direction's equipment impairment."""
    return _IE[direction]
