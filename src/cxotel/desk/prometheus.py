"""OpenTelemetry's metrics in Prometheus' text format, version 0.0.4.

Names and labels as the specification's "Prometheus and OpenMetrics Compatibility" makes them. The exporter of
OpenTelemetry is a beta that ties the SDK to one release, and would bring a second registry of metrics along.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint, NumberDataPoint, Sum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.metrics.export import Metric, MetricsData

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Unified Code for Units of Measure to Prometheus' words; those in use here.
UNITS = {"s": "seconds", "By": "bytes", "1": "ratio", "ms": "milliseconds"}


def text(data: MetricsData | None) -> str:
    """What `/metrics` answers."""
    lines: list[str] = []
    for resource in data.resource_metrics if data is not None else ():
        labels = _labels(resource.resource.attributes)
        lines += ["# HELP target_info Target metadata", "# TYPE target_info gauge", f"target_info{labels} 1"]
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                lines += _metric(metric)
    return "\n".join(lines) + "\n"


def _metric(metric: Metric) -> Iterator[str]:
    name, kind = _name(metric.name), "gauge"
    unit = UNITS.get(metric.unit or "", "")
    if unit and not name.endswith(f"_{unit}"):
        name += f"_{unit}"
    if isinstance(metric.data, Histogram):
        kind = "histogram"
    elif isinstance(metric.data, Sum) and metric.data.is_monotonic:
        kind = "counter"
        name += "_total"
    yield f"# HELP {name} {_escaped(metric.description or '')}"
    yield f"# TYPE {name} {kind}"
    for point in metric.data.data_points:
        attributes = dict(point.attributes or {})
        if isinstance(point, HistogramDataPoint):
            below = 0
            for bound, count in zip((*point.explicit_bounds, "+Inf"), point.bucket_counts, strict=True):
                below += count
                yield f"{name}_bucket{_labels(attributes | {'le': str(bound)})} {below}"
            yield f"{name}_sum{_labels(attributes)} {point.sum}"
            yield f"{name}_count{_labels(attributes)} {point.count}"
        elif isinstance(point, NumberDataPoint):
            yield f"{name}{_labels(attributes)} {point.value}"


def _name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_:]", "_", name)


def _labels(attributes: Mapping[str, Any]) -> str:
    pairs = [f'{_name(key)}="{_escaped(str(value), quote=True)}"' for key, value in attributes.items()]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _escaped(value: str, *, quote: bool = False) -> str:
    value = value.replace("\\", "\\\\").replace("\n", "\\n")
    return value.replace('"', '\\"') if quote else value
