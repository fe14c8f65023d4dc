"""The desk's pages: all calls, one call, what was received; the same as JSON; and changes as events.

They have a port of their own, apart from OTLP/HTTP's: a firewall or proxy can then tell who may send spans
from who may read calls, and a page left open takes no connection from the senders.
"""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections import Counter
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cxotel._version import __version__
from cxotel.desk import finding, forward, login, now, onecall, report, traces, wire, words
from cxotel.desk.access import Logins
from cxotel.desk.axis import Axis
from cxotel.desk.facts import MAX_WORD
from cxotel.desk.guard import LoopbackGuard, OriginGuard, PageGuard, form_token, logged_in
from cxotel.desk.lives import UNJUDGED
from cxotel.desk.store import StoreBusyError
from cxotel.ids import call_ids
from cxotel.otlp.stamping import ERROR_FROM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cxotel.desk.access import Access
    from cxotel.desk.app import Changes
    from cxotel.desk.links import Link
    from cxotel.desk.report import CallRow
    from cxotel.desk.settings import Timing
    from cxotel.desk.store import Store

PAGE = 50
MOST_API = 500
# Nothing from elsewhere, no inline script or style: a hostile name that slipped through could do nothing.
SECURITY = {
    b"content-security-policy": b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    b"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    # With no-referrer browsers send `Origin: null` with our own forms.
    b"referrer-policy": b"same-origin",
    b"permissions-policy": b"camera=(), display-capture=(), geolocation=(), microphone=(), usb=()",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
# Proxies close connections that are silent for 30 to 60 s.
HEARTBEAT_SECONDS = 15.0
# An open page asks again at most this often, however many verdicts come.
CHANGE_SECONDS = 0.5
# Whether there is one to tell of costs nothing to look.
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Addresses:
    """Where spans are sent, and handed on to, for the pages that tell."""

    grpc: str
    http: str
    forwards: tuple[str, ...] = ()


class Pages:
    """The endpoints, over one store."""

    def __init__(
        self,
        store: Store,
        changes: Changes,
        timing: Timing,
        addresses: Addresses,
        links: tuple[Link, ...] = (),
    ) -> None:
        self._store, self._changes, self._timing, self._addresses = store, changes, timing, addresses
        self._links = links
        self.templates = Environment(
            loader=PackageLoader("cxotel.desk"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters["select_prefix"] = _select_prefix
        self.templates.globals.update(
            words=words,
            version=__version__,
            shares=onecall.shares,
            addresses=addresses,
            trouble=lambda: store.trouble,
            calls_with=_calls_with,
            form_token=form_token.get,
            logged_in=logged_in.get,
        )

    def calls(self, request: Request) -> Response:
        """GET /: calls, newest first; the filter is the address, and `before` goes on where a page ended."""
        asked, place = _asked(request, "before")
        before = request.query_params.get("before", "")
        canonical = asked.query(before=before)
        if request.scope["query_string"].decode("latin-1") != canonical:  # a form sends its empty fields too
            return RedirectResponse(asked.address(before=before), 303)
        if asked == finding.Filter(q=asked.q) and asked.q and not before:
            only = finding.traces_of(self._store, asked.q)
            if len(only) == 1 and not self._store.rows("word_of", "customer", asked.q):
                return RedirectResponse(f"/call/{only[0].hex()}", 303)
        found = finding.find(self._store, asked, place, PAGE, time_ns())
        charges: Counter[str] = Counter()
        for row in found.rows:
            charges.update(row.summary.get("charges", {}))
        ((calls, others),) = self._store.rows("calls_count")
        kinds = [kind for kind in finding.KINDS if kind != "customer"]
        return self._page(
            "calls.html",
            asked=asked,
            offers=[(kind, finding.offered(self._store, asked, kind)) for kind in kinds],
            rows=found.rows,
            older=asked.address(before=str(found.next)) if found.next else "",
            looked_to=found.looked_to,
            first=not before,
            total=found.total if asked else calls,
            any_calls=calls,
            others=others,
            all_shares=onecall.shares(dict(charges)),
            lost=sum(charges.values()),
            spoken=sum((row.length or 0) for row in found.rows) / 1e9,
            hurt=sum(row.summary.get("severity") in ERROR_FROM for row in found.rows),
            counts=self._odd_counts(),
        )

    def now(self, _request: Request) -> Response:
        """GET /now: running calls, the last hour against the usual, its verdicts."""
        found = now.load(self._store, time_ns())
        return self._page("now.html", now=found, idle=self._timing.idle, counts=self._odd_counts())

    def now_json(self, _request: Request) -> Response:
        """GET /now.json: the same."""
        return JSONResponse(now.as_json(now.load(self._store, time_ns())))

    def call_of_key(self, request: Request) -> Response:
        """GET /call?key=[&namespace=]: to the page of the call with that key; .json to its verdict."""
        key, namespace = (request.query_params.get(name, "").strip() for name in ("key", "namespace"))
        if not key:
            raise HTTPException(
                400, "Give the call key: /call?key=... and, if it is not the only one, &namespace=..."
            )
        if namespace:
            ids = [bytes.fromhex(call_ids(key, namespace).trace_id_hex)]
        else:
            ids = finding.traces_of(self._store, key)
        rows = [row for one in ids if (row := report.call_row(self._store, one)) is not None]
        if len(rows) > 1:
            path = "/calls.json" if request.scope["path"].endswith(".json") else "/"
            return RedirectResponse(finding.Filter(q=key).address(path), 303)
        if not rows:
            where = f" in namespace {namespace!r}" if namespace else ""
            raise HTTPException(404, f"No call with the key {key!r}{where} was received here.")
        ending = ".json" if request.scope["path"].endswith(".json") else ""
        return RedirectResponse(f"/call/{rows[0].trace_id}{ending}", 303)

    def call(self, request: Request) -> Response:
        """GET /call/{trace_id}: one call; 303 from another of its trace ids."""
        row = self._row(request)
        if _trace_id(request).hex() != row.trace_id:
            return RedirectResponse(f"/call/{row.trace_id}", 303)
        if row.state == UNJUDGED:
            return self._page(
                "unjudged.html", counts=self._odd_counts(), **onecall.unjudged(self._store, row)
            )
        call = onecall.load(self._store, bytes.fromhex(row.trace_id))
        if call is None:
            raise HTTPException(404, "No call with this trace id was received here.")
        return self._page(
            "call.html",
            call=call,
            summary=call.row.summary,
            state=onecall.state_text(call.row, self._timing.grace),
            links=[(link.name, link.address(row)) for link in self._links],
            counts=self._odd_counts(),
        )

    def part(self, request: Request) -> Response:
        """GET /call/{trace_id}/spans and /logs: a part; `?part=` by number, `?span=` with that span."""
        row = self._row(request)
        text, span_id = request.query_params.get("part", "1"), request.query_params.get("span", "")
        if _number(text) < 1 or (span_id and not _is_hex(span_id, 16)):
            raise HTTPException(400, "part must be a number from 1, span an id of 16 hex digits.")
        if request.scope["path"].endswith("/logs"):
            part = onecall.logs_part(self._store, row, _number(text))
        else:
            part = onecall.spans_part(self._store, row, _number(text), span_id)
        if not part.items:
            raise HTTPException(404, f"This call has no part {text} of its {part.what}.")
        axis = Axis(row.summary["start"], row.summary["end"])
        return self._page(
            "part.html", row=row, summary=row.summary, part=part, axis=axis, counts=self._odd_counts()
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
        trusted = (
            row is not None and report.stamp_of(self._store, row, lambda: traces.settled(kept)) is not None
        )
        stamped = report.stamped(kept, report.verdicts_of(self._store, trace_id), warnings, trusted=trusted)
        return Response(json.dumps(wire.to_json(stamped)), media_type="application/json")

    def api_calls(self, request: Request) -> Response:
        """GET /api/calls, /calls.json: the list, same filters; `next` is the next page's `before`."""
        asked, place = _asked(request, "before", "limit")
        text = request.query_params.get("limit", str(PAGE))
        if not 1 <= _number(text) <= MOST_API:
            raise HTTPException(400, f"limit must be a number from 1 to {MOST_API}.")
        found = finding.find(self._store, asked, place, _number(text), time_ns())
        return JSONResponse(
            {
                "calls": [report.summary_report(row) for row in found.rows],
                "next": str(found.next) if found.next else None,
                "looked_to": found.looked_to,
            }
        )

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

    def received_json(self, _request: Request) -> Response:
        """GET /received.json: the counts, their last times (ns) and latest reasons."""
        return JSONResponse(
            {
                name: {"value": value, "last": last, "note": note}
                for name, value, last, note in self._store.rows("counters")
            }
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
        silent, trouble = CHANGE_SECONDS, self._store.trouble
        yield "retry: 2000\n\n"
        while not self._changes.closed:
            await asyncio.sleep(LOOK_SECONDS)
            silent += LOOK_SECONDS
            number = self._changes.number
            if number != seen and silent >= CHANGE_SECONDS:
                seen, before = number, revision
                revision = await self._revision(trace_id)
                if not trace_id or revision != before:
                    silent = 0.0
                    yield f"event: change\ndata: {number}\n\n"
            if trouble is not self._store.trouble:  # each page has its banner
                trouble = self._store.trouble
                yield f"event: change\ndata: {number}\n\n"
            if silent >= HEARTBEAT_SECONDS:
                silent = CHANGE_SECONDS
                yield ": still here\n\n"

    async def _revision(self, trace_id: bytes) -> int:
        if not trace_id:
            return 0
        row = await run_in_threadpool(report.call_row, self._store, trace_id)
        return row.revision if row is not None else 0

    def error(self, request: Request, error: Exception) -> Response:
        """A page for what was not found or not understood."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = error.detail if isinstance(error, HTTPException) else "Something went wrong on our side."
        if request.scope["path"].startswith("/api/") or request.scope["path"].endswith(".json"):
            return JSONResponse({"error": text}, status)
        return self._page("error.html", status, text=text, status=status, counts=None)

    def unreadable(self, request: Request, _error: Exception) -> Response:
        """A page for a file that cannot be read just now: 503."""
        trouble = self._store.trouble
        text = trouble.text if trouble else "The desk cannot read its file just now."
        return self.error(request, HTTPException(503, text, {"retry-after": "2"}))

    def _row(self, request: Request) -> CallRow:
        row = report.call_row(self._store, _trace_id(request))
        if row is None or not row.summary:
            raise HTTPException(404, "No call with this trace id was received here.")
        return row

    def _odd_counts(self) -> dict[str, int]:
        return {name: value for name, value, _, _ in self._store.rows("counters")}

    def _page(self, template: str, code: int = 200, **values: Any) -> HTMLResponse:
        text = self.templates.get_template(template).render(**values)
        return HTMLResponse(text, code, {"cache-control": "no-store"})


def app(
    store: Store,
    changes: Changes,
    host: str,
    timing: Timing,
    addresses: Addresses,
    access: Access,
    links: tuple[Link, ...] = (),
    more: Sequence[BaseRoute] = (),
) -> Starlette:
    """The ASGI application; `more` are routes beside the pages."""
    pages = Pages(store, changes, timing, addresses, links)
    logins = Logins(access.password)
    application = Starlette(
        routes=[
            *more,
            *login.routes(access, logins, pages.templates),
            Route("/", pages.calls),
            Route("/now", pages.now),
            Route("/now.json", pages.now_json),
            Route("/received", pages.received),
            Route("/received.json", pages.received_json),
            Route("/events", pages.events),
            Route("/api/calls", pages.api_calls),
            Route("/calls.json", pages.api_calls),
            Route("/call", pages.call_of_key),
            Route("/call.json", pages.call_of_key),
            Route("/call/{trace_id}.json", pages.call_json),
            Route("/call/{trace_id}/otlp.json", pages.call_otlp),
            Route("/call/{trace_id}/spans", pages.part),
            Route("/call/{trace_id}/logs", pages.part),
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
    # The last one is asked first.
    application.add_middleware(PageGuard, access, logins)
    application.add_middleware(OriginGuard, own=True)
    application.add_middleware(LoopbackGuard, host=host)
    application.add_middleware(_SecurityHeaders)
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


def _calls_with(kind: str, value: str) -> str:
    return finding.Filter(words={kind: (value[:MAX_WORD],)}).address()


def _number(text: str) -> int:
    """A whole number of few digits, -1 for what is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and all(digit in "0123456789abcdef" for digit in text)


def _is_trace_id(text: str) -> bool:
    return _is_hex(text, 32)


def _trace_id(request: Request) -> bytes:
    text = request.path_params["trace_id"].lower()
    if not _is_trace_id(text):
        raise HTTPException(404, "A trace id has 32 hex digits.")
    return bytes.fromhex(text)


def _asked(request: Request, *others: str) -> tuple[finding.Filter, finding.Place]:
    try:
        asked = finding.filter_of(request.query_params.multi_items(), others)
        return asked, finding.place_of(request.query_params.get("before", ""))
    except finding.FilterError as error:
        raise HTTPException(400, str(error)) from None
