"""The desk's log: one line an event, as text or JSON, without what may be personal.

Messages of exceptions can quote what was received, so only those of the system and of the file are written;
of others the type and the places in the code.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import sys
import threading
import traceback
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cxotel.desk.store import StoreBusyError, StoreError

TEXT, JSON = "text", "json"
LEVELS = ("debug", "info", "warning", "error")
# They say at INFO what the desk says itself.
NOISY = ("uvicorn", "uvicorn.error", "grpc", "httpx", "httpcore", "opentelemetry")
# Their messages name files, addresses and numbers of the system, never a value of a span.
PLAIN_ERRORS = (OSError, sqlite3.Error, StoreError, StoreBusyError)

log = logging.getLogger("cxotel.desk")


def set_up(form: str = TEXT, level: str = "info") -> None:
    """Write the process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == JSON else TextLines())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    hide_headers()
    threading.excepthook = _thread_ended


def hide_headers() -> None:
    """Keep OpenTelemetry from logging headers that it cannot read, with the tokens in them."""
    logging.getLogger("opentelemetry.util.re").disabled = True


class TextLines(logging.Formatter):
    """`2026-11-20T09:00:00.000Z WARNING message`; line breaks and control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        said = record.getMessage()
        if record.exc_info:
            said += f" [{_error(record.exc_info)}]"
        return f"{_time(record)} {record.levelname} {_one_line(said)}"


class JsonLines(logging.Formatter):
    """An object a line: time, level, logger, message, and error where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        said: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["error"] = _error(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _error(info: tuple[Any, ...]) -> str:
    kind, error, trace = info
    if kind is None:
        return ""
    said = f"{kind.__name__}: {error}" if isinstance(error, PLAIN_ERRORS) else kind.__name__
    places = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(trace)]
    return " < ".join([said, *reversed(places)])


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "?"
    log.critical("thread %s ended: restart the desk and report this", name, exc_info=ended.exc_value)
