"""The desk's pages: all calls, one call, what was received; the same as JSON; and changes as events.

They have a port of their own, apart from OTLP/HTTP's: a firewall or proxy can then tell who may send spans
from who may read calls, and a page left open takes no connection from the senders.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cxotel._version import __version__
from cxotel.desk import forward, onecall, report, traces, wire, words
from cxotel.desk.guard import LoopbackGuard
from cxotel.desk.lives import UNJUDGED
from cxotel.desk.store import StoreBusyError
from cxotel.otlp.stamping import ERROR_FROM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cxotel.desk.app import Changes
    from cxotel.desk.settings import Timing
    from cxotel.desk.store import Store

PAGE = 50
MOST_API = 500
LAST = 2**63 - 1
# Nothing from elsewhere, no inline script or style: a hostile name that slipped through could do nothing.
SECURITY = {
    b"content-security-policy": b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
# Proxies close connections that are silent for 30 to 60 s.
HEARTBEAT_SECONDS = 15.0
# An open page asks again at most this often, however many verdicts come.
CHANGE_SECONDS = 0.5


@dataclass(frozen=True)
class Addresses:
    """Where spans are sent, and handed on to, for the pages that tell."""

    grpc: str
    http: str
    forwards: tuple[str, ...] = ()


class Pages:
    """The endpoints, over one store."""

    def __init__(self, store: Store, changes: Changes, timing: Timing, addresses: Addresses) -> None:
        self._store, self._changes, self._timing, self._addresses = store, changes, timing, addresses
        self._templates = Environment(
            loader=PackageLoader("cxotel.desk"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["select_prefix"] = _select_prefix
        self._templates.globals.update(
            words=words,
            version=__version__,
            shares=onecall.shares,
            addresses=addresses,
            trouble=lambda: store.trouble,
        )

    def calls(self, request: Request) -> Response:
        """GET /: all calls, newest first; `?before=<ns>-<trace id>` goes on where a page ended."""
        started, trace_id = _cursor(request.query_params.get("before", ""))
        rows = report.calls_before(self._store, started, trace_id, PAGE + 1)
        older = f"{rows[PAGE - 1].started}-{rows[PAGE - 1].trace_id}" if len(rows) > PAGE else ""
        rows = rows[:PAGE]
        charges: Counter[str] = Counter()
        for row in rows:
            charges.update(row.summary.get("charges", {}))
        ((calls, others),) = self._store.rows("calls_count")
        return self._page(
            "calls.html",
            rows=rows,
            older=older,
            first=started == LAST,
            total=calls,
            others=others,
            all_shares=onecall.shares(dict(charges)),
            lost=sum(charges.values()),
            spoken=sum((row.length or 0) for row in rows) / 1e9,
            hurt=sum(row.summary.get("severity") in ERROR_FROM for row in rows),
            counts=self._odd_counts(),
        )

    def call(self, request: Request) -> Response:
        """GET /call/{trace_id}: one call."""
        trace_id = _trace_id(request)
        row = report.call_row(self._store, trace_id)
        if row is not None and row.state == UNJUDGED:
            return self._page(
                "unjudged.html", counts=self._odd_counts(), **onecall.unjudged(self._store, row)
            )
        call = onecall.load(self._store, trace_id)
        if call is None:
            raise HTTPException(404, "No call with this trace id was received here.")
        return self._page(
            "call.html",
            call=call,
            summary=call.row.summary,
            state=onecall.state_text(call.row, self._timing.grace),
            counts=self._odd_counts(),
        )

    def call_json(self, request: Request) -> Response:
        """GET /call/{trace_id}.json: the verdict."""
        found = report.verdict_report(self._store, _trace_id(request))
        if found is None:
            raise HTTPException(404, "No call with this trace id was received here.")
        return JSONResponse(found)

    def call_otlp(self, request: Request) -> Response:
        """GET /call/{trace_id}/otlp.json: the whole trace, root stamped, evidence spans added."""
        trace_id = _trace_id(request)
        row = report.call_row(self._store, trace_id)
        if row is not None:
            trace_id = bytes.fromhex(row.trace_id)
        kept = traces.spans_of(self._store, *traces.ids_of(self._store, trace_id))
        if not kept:
            raise HTTPException(404, "No span with this trace id was received here.")
        warnings = [one.spans for one in report.warnings_of(self._store, trace_id)]
        stamped = report.stamped(kept, report.verdicts_of(self._store, trace_id), warnings)
        return Response(json.dumps(wire.to_json(stamped)), media_type="application/json")

    def api_calls(self, request: Request) -> Response:
        """GET /api/calls?limit=&before=: the list; `next` is the next page's `before`."""
        started, trace_id = _cursor(request.query_params.get("before", ""))
        text = request.query_params.get("limit", str(PAGE))
        if not text.isdecimal() or not 1 <= int(text[:6]) <= MOST_API:
            raise HTTPException(400, f"limit must be a number from 1 to {MOST_API}.")
        rows = report.calls_before(self._store, started, trace_id, int(text))
        following = f"{rows[-1].started}-{rows[-1].trace_id}" if len(rows) == int(text) else None
        return JSONResponse({"calls": [report.summary_report(row) for row in rows], "next": following})

    def received(self, _request: Request) -> Response:
        """GET /received: what came in, what was refused, what was odd."""
        counters = self._store.rows("counters")
        order = list(words.COUNTERS)
        known = sorted(
            (row for row in counters if row[0] in words.COUNTERS), key=lambda row: order.index(row[0])
        )
        return self._page(
            "received.html",
            counters=known,
            path=self._store.path,
            counts=self._odd_counts(),
            destinations=forward.states(self._store, self._addresses.forwards),
        )

    async def events(self, request: Request) -> Response:
        """GET /events[?call=<trace id>]: server-sent events, one for each new verdict (of that call)."""
        text = request.query_params.get("call", "")
        if text and not _is_trace_id(text):
            raise HTTPException(400, "call must be a trace id of 32 hex digits.")
        stream = self._events(bytes.fromhex(text))
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _events(self, trace_id: bytes) -> AsyncIterator[str]:
        seen, revision = self._changes.number, await self._revision(trace_id)
        silent = 0.0
        yield "retry: 2000\n\n"
        while not self._changes.closed:
            await asyncio.sleep(CHANGE_SECONDS)
            silent += CHANGE_SECONDS
            number = self._changes.number
            if number != seen:
                seen, before = number, revision
                revision = await self._revision(trace_id)
                if not trace_id or revision != before:
                    silent = 0.0
                    yield f"event: change\ndata: {number}\n\n"
            if silent >= HEARTBEAT_SECONDS:
                silent = 0.0
                yield ": still here\n\n"

    async def _revision(self, trace_id: bytes) -> int:
        if not trace_id:
            return 0
        row = await run_in_threadpool(report.call_row, self._store, trace_id)
        return row.revision if row is not None else 0

    def error(self, _request: Request, error: Exception) -> Response:
        """A page for what was not found or not understood."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = error.detail if isinstance(error, HTTPException) else "Something went wrong on our side."
        if _request.url.path.startswith("/api/") or _request.url.path.endswith(".json"):
            return JSONResponse({"error": text}, status)
        return self._page("error.html", status, text=text, status=status, counts={})

    def unreadable(self, request: Request, _error: Exception) -> Response:
        """A page for a file that cannot be read just now: 503."""
        trouble = self._store.trouble
        text = trouble.text if trouble else "The desk cannot read its file just now."
        return self.error(request, HTTPException(503, text, {"retry-after": "2"}))

    def _odd_counts(self) -> dict[str, int]:
        return {name: value for name, value, _, _ in self._store.rows("counters")}

    def _page(self, template: str, code: int = 200, **values: Any) -> HTMLResponse:
        text = self._templates.get_template(template).render(**values)
        return HTMLResponse(text, code, {"cache-control": "no-store"})


def app(
    store: Store,
    changes: Changes,
    host: str,
    timing: Timing,
    addresses: Addresses,
    more: Sequence[BaseRoute] = (),
) -> Starlette:
    """The ASGI application; `more` are routes beside the pages."""
    pages = Pages(store, changes, timing, addresses)
    application = Starlette(
        routes=[
            *more,
            Route("/", pages.calls),
            Route("/received", pages.received),
            Route("/events", pages.events),
            Route("/api/calls", pages.api_calls),
            Route("/call/{trace_id}.json", pages.call_json),
            Route("/call/{trace_id}/otlp.json", pages.call_otlp),
            Route("/call/{trace_id}", pages.call),
            Mount("/static", StaticFiles(packages=[("cxotel.desk", "static")])),
        ],
        exception_handlers={
            HTTPException: pages.error,
            500: pages.error,
            StoreBusyError: pages.unreadable,
            sqlite3.DatabaseError: pages.unreadable,
        },
    )
    application.add_middleware(_SecurityHeaders)
    application.add_middleware(LoopbackGuard, host=host)
    return application


class _SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SECURITY.items()]
            await send(message)

        await self._app(scope, receive, with_headers)


def _select_prefix(counts: dict[str, int], prefix: str) -> int:
    return sum(value for name, value in counts.items() if name.startswith(prefix))


def _is_trace_id(text: str) -> bool:
    return len(text) == 32 and all(digit in "0123456789abcdef" for digit in text)


def _trace_id(request: Request) -> bytes:
    text = request.path_params["trace_id"].lower()
    if not _is_trace_id(text):
        raise HTTPException(404, "A trace id has 32 hex digits.")
    return bytes.fromhex(text)


def _cursor(text: str) -> tuple[int, bytes]:
    if not text:
        return LAST, b"\xff" * 16
    started, _, trace_id = text.partition("-")
    if not started.isdecimal() or int(started[:20]) > LAST or not _is_trace_id(trace_id):
        raise HTTPException(400, "before must be what an earlier page gave: a time in ns, -, and a trace id.")
    return int(started), bytes.fromhex(trace_id)
