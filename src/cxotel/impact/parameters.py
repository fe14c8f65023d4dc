"""The model's parameters with their overrides (`spec/impact/parameters.yaml` says the reason for each)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from cxotel._semconv import CxActivity, CxImpactFelt
from cxotel.impact._parameters import MODEL, RANGES, UNITS, VALUES
from cxotel.impact.layers import CHARGEABLE

__all__ = ["DEFAULT", "MODEL", "Parameters"]

FIELD = re.compile(r"\{(\w+)\}")  # of a template

# Tables that may be given keys of one's own, with the values these may have.
_OPEN_TABLES = {"makers.sessions": CHARGEABLE, "makers.latencies": (CxActivity.RESPOND,)}


@dataclass(frozen=True, eq=False)
class Parameters:
    """Parameters by dotted name; `DEFAULT` holds the model's own.

    Attributes:
        values: value by name, units as in `spec/impact/parameters.yaml`.
    """

    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType(VALUES))

    def override(self, mapping: Mapping[str, Any]) -> Parameters:
        """These parameters with some replaced.

        Args:
            mapping: values by dotted name (`{"allowance.queue": 30}`), or nested mappings
                (`{"allowance": {"queue": 30}}`). Of a table (`summary.places`) only the
                keys given are replaced.

        Raises:
            ValueError: a name is unknown, or a value has a wrong type or lies outside its range; the
                message names the parameter and what it may be.
        """
        values = dict(self.values)
        for name, value in _flat(mapping):
            default = VALUES[name]
            if isinstance(default, dict):
                values[name] = {**values[name], **_table(name, value, default)}
            elif isinstance(default, str):
                values[name] = _text(name, value)
            else:
                values[name] = _number(name, value, whole=isinstance(default, int))
        if (values["cost.customer_hourly"] or values["cost.agent_hourly"]) and not values["cost.currency"]:
            raise ValueError('impact parameter cost.currency: missing; a rate needs it, for example "EUR"')
        return Parameters(MappingProxyType(values))

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def nanoseconds(self, name: str) -> int:
        """A parameter in seconds as whole nanoseconds, rounded half up."""
        seconds: float = self.values[name]
        return math.floor(seconds * 1e9 + 0.5)

    def milliseconds(self, name: str) -> int:
        """Likewise in milliseconds: for what is compared as it is shown."""
        seconds: float = self.values[name]
        return math.floor(seconds * 1000.0 + 0.5)

    @cached_property
    def allowances(self) -> Mapping[str, int]:
        """Allowance in nanoseconds by activity."""
        prefix = "allowance."
        return {name[len(prefix) :]: self.nanoseconds(name) for name in VALUES if name.startswith(prefix)}

    @cached_property
    def sessions(self) -> Mapping[str, str]:
        """Layer by the name of other makers' session spans."""
        sessions: Mapping[str, str] = self.values["makers.sessions"]
        return sessions

    @cached_property
    def latencies(self) -> Mapping[str, str]:
        """Activity by other makers' latency attributes, seconds."""
        latencies: Mapping[str, str] = self.values["makers.latencies"]
        return latencies

    @cached_property
    def priced(self) -> bool:
        """Whether a cost is to be computed."""
        return bool(self.values["cost.customer_hourly"] or self.values["cost.agent_hourly"])


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if name in VALUES:
            pairs.append((name, value))
        elif isinstance(value, Mapping) and any(known.startswith(f"{name}.") for known in VALUES):
            pairs += _flat(value, f"{name}.")
        else:
            group = name.partition(".")[0]
            near = sorted(known for known in VALUES if known.startswith(f"{group}."))
            hint = ", ".join(near or sorted(VALUES))
            raise ValueError(f"impact parameter {name}: unknown; there is {hint}")
    return pairs


def _refused(name: str, value: object, wanted: str) -> ValueError:
    return ValueError(f"impact parameter {name}: {value!r} given; must be {wanted}")


def _number(name: str, value: object, *, whole: bool) -> float | int:
    low, high = RANGES[name]
    wanted = f"{'a whole number' if whole else 'a number'} from {low:g} to {high:g} ({UNITS[name]})"
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _refused(name, value, wanted)
    if whole and value != int(value):
        raise _refused(name, value, wanted)
    return int(value) if whole else float(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _refused(name, value, f"a string ({UNITS[name]})")
    _check_fields(name, value, str(VALUES[name]))
    return value


def _table(name: str, value: object, default: dict[str, str]) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _refused(name, value, f"a mapping ({UNITS[name]})")
    for key, text in value.items():
        one = f"{name}.{key}"
        if not isinstance(text, str):
            raise _refused(one, text, f"a string ({UNITS[name]})")
        if name in _OPEN_TABLES:
            _check_member(one, text, _OPEN_TABLES[name])
        elif key not in default:
            raise ValueError(f"impact parameter {one}: unknown; there is {', '.join(default)}")
        elif name == "wait.default_layers":
            _check_member(one, text, CHARGEABLE)
        elif name == "felt.symptoms":
            _check_member(one, text, CxImpactFelt.VALUES)
        else:
            _check_fields(one, text, default[key])
    return dict(value)


def _check_member(name: str, text: str, allowed: tuple[str, ...]) -> None:
    if text not in allowed:
        raise _refused(name, text, f"one of {', '.join(allowed)}")


def _check_fields(name: str, text: str, default: str) -> None:
    """A template may use the fields of the default and no others."""
    fields = FIELD.findall(default)
    if not set(FIELD.findall(text)) <= set(fields):
        raise _refused(name, text, f"a text with {', '.join(f'{{{one}}}' for one in fields) or 'no fields'}")


DEFAULT = Parameters()
