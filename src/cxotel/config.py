"""Where calls go, decided once: `configure()`."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, metrics, trace

from cxotel import _guard, _runtime
from cxotel.stamping import CallContextProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.trace import TracerProvider


def _yes(value: str) -> bool:
    return value.strip().lower() not in ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its argument of `configure`, its environment variable, and how its text is read."""

    name: str
    env: str
    meaning: str
    read: Callable[[str], Any] = str


SETTINGS: tuple[Setting, ...] = (
    Setting("service_name", "OTEL_SERVICE_NAME", "name of this program on its spans (`service.name`)"),
    Setting(
        "namespace", "CXOTEL_NAMESPACE", "tenant or instance that call keys belong to; default `default`"
    ),
    Setting("endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", "where spans and log records are sent, as OTLP"),
    Setting("headers", "OTEL_EXPORTER_OTLP_HEADERS", "headers sent along, such as a token"),
    Setting(
        "customer_key", "CXOTEL_CUSTOMER_KEY", "secret that customer references are hashed with", str.encode
    ),
    Setting(
        "sample_every_call",
        "CXOTEL_SAMPLE_EVERY_CALL",
        "keep every call (default); where OTEL_TRACES_SAMPLER is set, that decides",
        _yes,
    ),
    Setting("announce", "CXOTEL_ANNOUNCE", "send `call started` when a call begins (default)", _yes),
)
"""Every setting of our own. OTEL_* variables of the SDK and its exporters hold as everywhere."""

_STATE = ("namespace", "customer_key", "sample_every_call", "announce")
_lock = threading.Lock()
_stamped: weakref.WeakSet[Any] = weakref.WeakSet()
_owned: list[Any] = []


def configure(
    *,
    service_name: str | None = None,
    namespace: str | None = None,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    customer_key: str | bytes | None = None,
    sample_every_call: bool | None = None,
    announce: bool | None = None,
    tracer_provider: TracerProvider | None = None,
    logger_provider: LoggerProvider | None = None,
) -> None:
    """Decide where calls go; call it once at start-up, after the host set up OpenTelemetry if it does.

    A host's tracer provider (the one given, else OpenTelemetry's global one) is used as it is: its
    exporters, ids and sampling of the host's own spans stay, and it gets a `CallContextProcessor`. Where
    there is none and the SDK is installed, one is made that exports as OTEL_* variables say (by default
    OTLP to localhost) and becomes the global one. With the API alone everything works and nothing is
    recorded. Calling again changes only what is given. Settings are in `cxotel.config.SETTINGS`; an
    argument wins over its environment variable.

    Raises:
        TypeError: an argument of the wrong type; that is for the programmer to see before the first call.

    What OpenTelemetry's SDK cannot use of its variables is counted and logged; nothing is recorded then.
    """
    key = customer_key.encode() if isinstance(customer_key, str) else customer_key
    if key is not None and not isinstance(key, bytes):
        raise TypeError(f"customer_key is a {type(key).__name__}, give text or bytes")
    for name, value in (("service_name", service_name), ("namespace", namespace), ("endpoint", endpoint)):
        if value is not None and (not isinstance(value, str) or not value):
            raise TypeError(f"{name} is {_guard.shown(value)}, give a string that is not empty")
    if headers is not None and not isinstance(headers, Mapping):
        raise TypeError(f"headers is a {type(headers).__name__}, give a mapping of names to values")
    given = {
        "namespace": namespace,
        "customer_key": key,
        "sample_every_call": sample_every_call,
        "announce": announce,
    }
    with _lock:
        _runtime.state.configured = True
        for name in _STATE:
            value = _setting(name, given[name])
            if value is not None:
                setattr(_runtime.state, name, value)
        if _disabled():
            return
        made = _providers(tracer_provider, logger_provider, service_name, endpoint, headers)
        if made:
            _owned.extend(made)
        _runtime.forget_tracer()
        _guard.publish(metrics.get_meter_provider())


def _setting(name: str, given: Any) -> Any:
    if given is not None:
        return given
    setting = next(one for one in SETTINGS if one.name == name)
    value = os.environ.get(setting.env)
    return setting.read(value) if value else None


def _disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _providers(
    tracer_provider: Any, logger_provider: Any, service_name: Any, endpoint: Any, headers: Any
) -> list[Any]:
    """Take the host's providers, make those that it has not; returns what was made."""
    if tracer_provider is not None:
        _runtime.state.tracer_provider = tracer_provider
    if logger_provider is not None:
        _runtime.state.logger_provider = logger_provider
    provider = _runtime.state.tracer_provider or trace.get_tracer_provider()
    made: list[Any] = []
    if isinstance(provider, trace.ProxyTracerProvider):
        made = _make(service_name, endpoint, headers)
        provider = trace.get_tracer_provider()
    elif not _owned and (endpoint or headers or service_name):
        hint = "configure: the host has a tracer provider; service_name, endpoint and headers are not used"
        _guard.count(_guard.BAD_VALUE, hint=hint)
    if hasattr(provider, "add_span_processor") and provider not in _stamped:
        provider.add_span_processor(CallContextProcessor())
        _stamped.add(provider)
    return made


def _make(service_name: str | None, endpoint: str | None, headers: Mapping[str, str] | None) -> list[Any]:
    # A provider that cannot flush is the API's own stand-in.
    needs_loggers = _runtime.state.logger_provider is None and not hasattr(
        _logs.get_logger_provider(), "force_flush"
    )
    made: list[Any] = []
    try:
        from cxotel import _export  # noqa: PLC0415 (the core needs no SDK)

        made.append(_export.tracer_provider(service_name, endpoint, headers))
        if needs_loggers:
            made.append(_export.logger_provider(service_name, endpoint, headers))
    except ImportError:
        hint = "opentelemetry-sdk is not installed, nothing is recorded: pip install 'cxotel[sdk]'"
        _guard.count(_guard.EXPORT_FAILED, 0, hint=hint)
        return []
    except Exception as error:  # noqa: BLE001 (the SDK's, over what it reads in OTEL_* variables)
        for one in made:
            one.shutdown()
        # Its text may hold what a header has.
        what = f"{type(error).__name__}: {error}" if type(error) is ValueError else type(error).__name__
        hint = (
            f"configure: OpenTelemetry cannot be set up ({what}), nothing is recorded: see OTEL_* variables"
        )
        _guard.count(_guard.BAD_VALUE, hint=hint)
        return []
    trace.set_tracer_provider(made[0])
    if needs_loggers:
        _logs.set_logger_provider(made[1])
    return made


def flush(timeout_millis: int = 10_000) -> bool:
    """Export what has ended so far, waiting at most that long; False if not all of it could be.

    What takes longer goes on by itself. With no provider that exports there is nothing to wait for: True.
    """
    with _guard.swallow("flush"):
        failed = _guard.counters().get(_guard.EXPORT_FAILED, 0)
        flushed: Future[bool] = Future()
        # The SDK's batch processors heed no timeout: with a backend that is away each batch takes 10 s.
        worker = threading.Thread(
            target=_flush, args=(flushed, timeout_millis), name="cxotel-flush", daemon=True
        )
        try:
            worker.start()
        except RuntimeError:  # the interpreter is shutting down
            _flush(flushed, timeout_millis)
        with suppress(FutureTimeoutError):
            done = flushed.result(timeout_millis / 1000)
            return done and _guard.counters().get(_guard.EXPORT_FAILED, 0) == failed
    return False


def _flush(flushed: Future[bool], timeout_millis: int) -> None:
    providers = (
        _runtime.state.tracer_provider or trace.get_tracer_provider(),
        _runtime.state.logger_provider or _logs.get_logger_provider(),
    )
    try:
        # All of them, whatever the first one says.
        done = [bool(one.force_flush(timeout_millis)) for one in providers if hasattr(one, "force_flush")]
    except Exception as error:  # noqa: BLE001 (it is raised where the result is waited for)
        flushed.set_exception(error)
    else:
        flushed.set_result(all(done))


def shutdown() -> None:
    """Export what is left and stop the providers that `configure()` made; a host's own are left alone."""
    with _lock:
        while _owned:
            with _guard.swallow("shutdown"):
                _owned.pop().shutdown()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 (see _guard._after_fork)
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
