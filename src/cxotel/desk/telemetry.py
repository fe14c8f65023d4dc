"""What the desk says of itself: one set of OpenTelemetry instruments, read by `/metrics` and sent over OTLP.

Counters that the file keeps go on after a restart; the others begin at 0 with the process. The provider is
the desk's own, so that a program with a desk in it keeps its metrics apart.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource

from cxotel import _semconv as names
from cxotel._version import __version__
from cxotel.desk import addresses, exporting, prometheus
from cxotel.desk.store import StoreBusyError
from cxotel.desk.words import TROUBLES
from cxotel.impact.lifecycle import CORRECTION, JUDGED, PARTIAL_CALL, WARNING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from opentelemetry.metrics import CallbackOptions
    from opentelemetry.sdk.metrics.export import MetricReader

    from cxotel.desk.store import Store
    from cxotel.impact.lifecycle import Telling

SERVICE = "cxotel-desk"
# A commit takes 1 to 10 ms on a disk; senders give up after 10 s.
ACKNOWLEDGE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# The grace is 6 s by default.
DELAY_BOUNDS = (0.5, 1.0, 2.5, 5.0, 6.0, 6.5, 7.0, 8.0, 10.0, 15.0, 30.0, 60.0, 300.0)
# All instruments of one reading are to see one state; and anyone may ask.
AGAIN_SECONDS = 0.5
# A backend that is away must not keep the desk from stopping.
STOP_MILLIS = 2_000
# Reasons for which spans are refused by themselves, and so counted with their signal.
OF_SPANS = {"erased", "call_full"}

_SIGNALS = {"spans": "traces", "logs": "logs", "metrics": "metrics"}
# Counters of the file: metric, the counter's kind, attribute, and its values by the counter's rest.
COUNTED: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    (names.METRIC_CX_DESK_RECEIVED, "received", names.CX_DESK_SIGNAL, _SIGNALS),
    (names.METRIC_CX_DESK_REPEATED, "repeated", names.CX_DESK_SIGNAL, _SIGNALS),
    (names.METRIC_CX_DESK_WRITE_FAILURES, "trouble", names.CX_DESK_REASON, {one: one for one in TROUBLES}),
)

log = logging.getLogger("cxotel.desk")


class Telemetry:
    """The instruments of one desk.

    Args:
        store: the desk's file.
        host: what the desk listens on.
        ports: all of its ports, to which nothing is sent.
        environment: with the variables of OpenTelemetry that say whether and where to send.
    """

    def __init__(self, store: Store, host: str, ports: set[int], environment: Mapping[str, str]) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._seen: tuple[float, dict[str, list[Observation]]] = (0.0, {})
        self._reader = InMemoryMetricReader()
        given = environment.get("OTEL_SERVICE_NAME") or SERVICE
        self._provider = MeterProvider(
            [self._reader, *_sent(environment, host, ports)],
            Resource.create({SERVICE_NAME: given, SERVICE_VERSION: __version__}),
            shutdown_on_exit=False,
        )
        self._instruments()

    def _instruments(self) -> None:
        meter = self._provider.get_meter("cxotel.desk", __version__)
        observed = self._observed

        def count(name: str, unit: str, brief: str) -> None:
            meter.create_observable_counter(name, [observed(name)], unit, brief)

        def level(name: str, unit: str, brief: str) -> None:
            meter.create_observable_up_down_counter(name, [observed(name)], unit, brief)

        def gauge(name: str, unit: str, brief: str) -> None:
            meter.create_observable_gauge(name, [observed(name)], unit, brief)

        since = ", since the desk's file was made."
        items = "Spans, log records and metrics"
        count(names.METRIC_CX_DESK_RECEIVED, "{item}", f"{items} kept{since}")
        count(
            names.METRIC_CX_DESK_REPEATED,
            "{item}",
            f"{items} that came again alike, kept once{since}",
        )
        count(
            names.METRIC_CX_DESK_REFUSED,
            "{refusal}",
            "Spans refused by themselves, and requests refused as a whole.",
        )
        level(names.METRIC_CX_DESK_INBOX_REQUESTS, "{request}", "Requests acknowledged and not sorted yet.")
        level(names.METRIC_CX_DESK_INBOX_SIZE, "By", "Size of the requests acknowledged and not sorted yet.")
        gauge(
            names.METRIC_CX_DESK_INBOX_AGE,
            "s",
            "Age of the oldest request that is not sorted yet, 0 if there is none.",
        )
        level(names.METRIC_CX_DESK_CALLS, "{call}", "Calls in the desk's file.")
        level(
            names.METRIC_CX_DESK_JUDGED_CALLS,
            "{call}",
            "Calls in the desk's file, by the verdict that holds now.",
        )
        level(names.METRIC_CX_DESK_OUTBOX_REQUESTS, "{request}", "Requests that wait to be handed on.")
        level(names.METRIC_CX_DESK_OUTBOX_SIZE, "By", "Size of the requests that wait to be handed on.")
        gauge(
            names.METRIC_CX_DESK_OUTBOX_AGE,
            "s",
            "Age of the oldest request that waits to be handed on, 0 if there is none.",
        )
        count(names.METRIC_CX_DESK_FORWARDED, "{item}", f"{items} handed on{since}")
        count(
            names.METRIC_CX_DESK_DROPPED,
            "{item}",
            f"{items} that were not handed on, as they were refused for good or the queue was full{since}",
        )
        level(names.METRIC_CX_DESK_FILE_SIZE, "By", "Size of the desk's file and of its write-ahead log.")
        count(
            names.METRIC_CX_DESK_WRITE_FAILURES,
            "{failure}",
            "Writes to the desk's file that failed, as on a full disk; what they held was not acknowledged.",
        )
        level(names.METRIC_CX_DESK_WRITE_WAITING, "{write}", "Writes that wait for the one writer.")
        self._acknowledged = meter.create_histogram(
            names.METRIC_CX_DESK_ACKNOWLEDGE_DURATION,
            "s",
            "From a decoded request to its acknowledgement, with what it holds on disk.",
            explicit_bucket_boundaries_advisory=ACKNOWLEDGE_BOUNDS,
        )
        self._verdicts = meter.create_counter(names.METRIC_CX_DESK_VERDICTS, "{verdict}", "Verdicts told.")
        self._warnings = meter.create_counter(
            names.METRIC_CX_DESK_WARNINGS, "{warning}", "Warnings sent on running calls."
        )
        self._delay = meter.create_histogram(
            names.METRIC_CX_DESK_VERDICT_DELAY,
            "s",
            "From a root's arrival to its final verdict; the grace is part of it.",
            explicit_bucket_boundaries_advisory=DELAY_BOUNDS,
        )

    def acknowledged(self, signal: str, seconds: float) -> None:
        """A request was acknowledged, that long after it was decoded."""
        self._acknowledged.record(seconds, {names.CX_DESK_SIGNAL: signal})

    def refused(self, reason: str, number: int, signal: str = "") -> None:
        """Spans were refused, or a request, of an unknown signal where that is left out."""
        with self._lock:
            self._refused[reason, signal] += number

    def told(self, telling: Telling, delay: float) -> None:
        """A verdict or warning was told; `delay` is seconds since the root's arrival, for a final one."""
        if telling.kind == WARNING and telling.episode is not None:
            self._warnings.add(1, {names.CX_LAYER: telling.episode.layer})
        elif telling.kind in (JUDGED, PARTIAL_CALL, CORRECTION):
            severity = str(telling.verdict.attributes.get(names.CX_IMPACT_SEVERITY, ""))
            self._verdicts.add(1, {names.CX_DESK_VERDICT: telling.kind, names.CX_IMPACT_SEVERITY: severity})
            if telling.kind == JUDGED:
                self._delay.record(delay)

    def prometheus(self) -> str:
        """All of it in Prometheus' text format."""
        return prometheus.text(self._reader.get_metrics_data())

    def close(self) -> None:
        """Send what there is to send, and stop."""
        self._provider.shutdown(STOP_MILLIS)

    def _observed(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            with self._lock:
                at, seen = self._seen
                if not seen or time.monotonic() - at > AGAIN_SECONDS:
                    seen = self._look()
                    self._seen = (time.monotonic(), seen)
            return seen.get(name, [])

        return observe

    def _look(self) -> dict[str, list[Observation]]:
        """What the store has to say now; only what needs no file if that cannot be read."""
        found = {
            names.METRIC_CX_DESK_WRITE_WAITING: [Observation(self._store.waiting)],
            names.METRIC_CX_DESK_FILE_SIZE: [Observation(_size(self._store.path))],
        }
        refused = Counter(self._refused)
        try:
            found |= self._kept(refused) | self._backlogs()
        except (sqlite3.Error, StoreBusyError) as error:
            log.warning("the desk's metrics are incomplete: %s", error)
        found[names.METRIC_CX_DESK_REFUSED] = [
            Observation(
                n, {names.CX_DESK_REASON: reason} | ({names.CX_DESK_SIGNAL: signal} if signal else {})
            )
            for (reason, signal), n in refused.items()
        ]
        return found

    def _kept(self, refused: Counter[tuple[str, str]]) -> dict[str, list[Observation]]:
        counted = {name: value for name, value, _, _ in self._store.rows("counters")}
        for reason in OF_SPANS:  # counted where spans are sorted, not where they come
            if value := counted.get(f"refused.{reason}"):
                refused[reason, "traces"] += value
        # From 0 on: of a series that begins with its first count, Prometheus sees no increase.
        found = {
            name: [Observation(counted.get(f"{what}.{of}", 0), {key: shown}) for of, shown in members.items()]
            for name, what, key, members in COUNTED
        }
        for name, kind, key in (
            (names.METRIC_CX_DESK_CALLS, "state", names.CX_DESK_STATE),
            (names.METRIC_CX_DESK_JUDGED_CALLS, "severity", names.CX_IMPACT_SEVERITY),
        ):
            found[name] = [Observation(n, {key: word}) for word, n in self._store.rows("words_in_use", kind)]
        return found

    def _backlogs(self) -> dict[str, list[Observation]]:
        now = time.time_ns()
        ((requests, size, oldest),) = self._store.rows("inbox_backlog")
        found = {
            names.METRIC_CX_DESK_INBOX_REQUESTS: [Observation(requests)],
            names.METRIC_CX_DESK_INBOX_SIZE: [Observation(size)],
            names.METRIC_CX_DESK_INBOX_AGE: [Observation(_age(oldest, now))],
        }
        for destination, waiting, waiting_size, made, sent, dropped in self._store.rows("outbox_backlog"):
            at = {names.CX_DESK_DESTINATION: destination}
            for name, value in (
                (names.METRIC_CX_DESK_OUTBOX_REQUESTS, waiting),
                (names.METRIC_CX_DESK_OUTBOX_SIZE, waiting_size),
                (names.METRIC_CX_DESK_OUTBOX_AGE, _age(made, now)),
                (names.METRIC_CX_DESK_FORWARDED, sent),
                (names.METRIC_CX_DESK_DROPPED, dropped),
            ):
                found.setdefault(name, []).append(Observation(value, at))
        return found


def _size(path: Path) -> int:
    """Bytes of the file and of its write-ahead log."""
    size = 0
    for one in (path, path.with_name(path.name + "-wal")):
        with suppress(OSError):
            size += one.stat().st_size
    return size


def _age(at: int | None, now: int) -> float:
    return max(0.0, (now - at) / 1e9) if at is not None else 0.0


def _sent(environment: Mapping[str, str], host: str, ports: set[int]) -> list[MetricReader]:
    """Readers that send, as OpenTelemetry's variables say; none if nothing says so."""
    endpoint = environment.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") or environment.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT", ""
    )
    chosen = environment.get("OTEL_METRICS_EXPORTER", "otlp" if endpoint else "none")
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    if not any(one.strip().startswith("otlp") for one in chosen.split(",")):
        return []
    protocol = environment.get("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") or environment.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"
    )
    is_http = protocol.startswith("http")
    port = addresses.HTTP_PORT if is_http else addresses.GRPC_PORT
    if addresses.is_own(endpoint or f"localhost:{port}", host, ports, port):
        log.info("the desk's own metrics are not sent: OTEL_EXPORTER_OTLP_ENDPOINT is the desk itself")
        return []
    for name in exporting.misread_headers(environment, "METRICS"):
        log.warning("%s is not name=value,name=value: what cannot be read of it is not sent", name)
    try:
        return [_reader(is_http=is_http)]
    except Exception as error:  # noqa: BLE001 - whatever exporters make of variables; the desk works without
        said = str(error)
        why = type(error).__name__ if "@" in said or not said else " ".join(said.split())
        log.warning("the desk's own metrics are not sent, OTEL_* variables cannot be used: %s", why)
        return []


def _reader(*, is_http: bool) -> MetricReader:
    exporter: Any
    if is_http:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http  # noqa: PLC0415 (the one asked for)

        exporter = Http()
    else:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc  # noqa: PLC0415 (the one asked for)

        exporter = Grpc()
    return PeriodicExportingMetricReader(exporter)
