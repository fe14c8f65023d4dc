"""What both HTTP servers ask of every request before anything else sees it.

- `LoopbackGuard`: on a loopback address, a Host that is this machine. A page of another site can have its
  name resolve to 127.0.0.1 and then read what we answer (DNS rebinding); its requests still name
  that site in Host.
- `OriginGuard`: of browsers, that the page which asks may. Only browsers send Origin and Sec-Fetch-Site, and
  no page can change them; other programs send neither.
- `PageGuard`: of readers, who they are; and of forms, that they were ours.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from cxotel.desk.access import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cxotel.desk.access import Access, Logins

# What the Collector's confighttp lets browsers send, and what instrumented pages add.
CORS_HEADERS = re.compile(
    r"accept|content-type|content-encoding|authorization|traceparent|tracestate|x-[a-z0-9-]+"
)
# Two hours, the longest that Chromium keeps a preflight's answer.
PREFLIGHT_SECONDS = "7200"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# A password, a note; no page posts a file.
MAX_FORM = 64 * 1024
# What tells no more than that a desk runs, and what the login page is made of.
OPEN_PATHS = re.compile(r"/health|/ready|/login|/static/.*")
LOGIN = "/login"
# __Host-: browsers take and give it only over TLS, for this host alone (RFC 6265bis, 4.1.3.2).
COOKIE, TLS_COOKIE = "cxotel_desk", "__Host-cxotel_desk"

# Of the request that is answered: what its forms must carry, and whether it can log out.
form_token: ContextVar[str] = ContextVar("form_token", default="")
logged_in: ContextVar[bool] = ContextVar("logged_in", default=False)


# A name or address and a port (RFC 9110, 7.2); with a path behind it, URLs made of it would have that path.
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/?#@\\\s]*)(?::[0-9]*)?")


def host_of(header: str) -> str:
    """The host part of a Host header: `[::1]:80`, `localhost:80` or `localhost`; "" for what is none."""
    found = HOST.fullmatch(header)
    return found[1] if found else ""


class LoopbackGuard:
    """ASGI middleware: 421 for a foreign Host when bound to a loopback address, 400 for one that is none."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._active = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 421 Misdirected Request (RFC 9110, 15.5.20)."""
        if scope["type"] == "http":
            header = Headers(scope=scope).get("host", "")
            host = host_of(header)
            if header and not host:
                await PlainTextResponse("The header Host names no host.\n", 400)(scope, receive, send)
                return
            if self._active and not is_loopback(host):
                answer = PlainTextResponse(
                    f"This desk serves this machine only, not {header[:80]!r}. Use 127.0.0.1 or localhost.\n",
                    421,
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


class OriginGuard:
    """ASGI middleware: 403 for what a page of another origin sends, unless that is listed (CORS, Fetch 3.2).

    Args:
        app: what is guarded.
        origins: listed ones; "*" is all but `null`.
        own: pages that we served ourselves may post.
        refused: called with a text for each that is refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: tuple[str, ...] = (),
        *,
        own: bool = False,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._app, self._origins, self._own, self._refused = app, origins, own, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, answer a preflight, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        listed = origin is not None and self._is_listed(origin)
        if scope["method"] == "OPTIONS" and origin is not None and "access-control-request-method" in headers:
            await self._preflight(headers, listed=listed)(scope, receive, send)
        elif listed:
            await self._app(scope, receive, _naming(send, origin or ""))
        elif scope["method"] in SAFE_METHODS or self._may_post(headers):
            await self._app(scope, receive, send)
        else:
            text = f"a page of {(origin or 'another site')[:80]} may not post here"
            self._refused(text)
            await PlainTextResponse(f"{text}: list it with --cors-origin if it should.\n", 403)(
                scope, receive, send
            )

    def _is_listed(self, origin: str) -> bool:
        return origin in self._origins or ("*" in self._origins and origin != "null")

    def _may_post(self, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if site in ("cross-site", "same-site"):
            return False
        if origin is None or (self._own and site == "same-origin"):
            return True
        # Only over TLS and on localhost do browsers send Sec-Fetch-Site; elsewhere Origin must name our Host.
        return self._own and origin != "null" and origin.partition("://")[2] == headers.get("host")

    @staticmethod
    def _preflight(headers: Headers, *, listed: bool) -> Response:
        asked = headers.get("access-control-request-headers", "").lower().replace(" ", "").split(",")
        foreign = [name for name in asked if name and not CORS_HEADERS.fullmatch(name)]
        if not listed or foreign or headers["access-control-request-method"] != "POST":
            return PlainTextResponse("This page may not send that here: see --cors-origin.\n", 403)
        allowed = {
            "access-control-allow-origin": headers["origin"],
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": ", ".join(filter(None, asked)),
            "access-control-max-age": PREFLIGHT_SECONDS,
            "vary": "origin",
        }
        if headers.get("access-control-request-private-network") == "true":
            allowed["access-control-allow-private-network"] = "true"
        return Response(None, 204, allowed)


class PageGuard:
    """ASGI middleware: readers are known where that is demanded, and a form posted was ours and theirs."""

    def __init__(self, app: ASGIApp, access: Access, logins: Logins) -> None:
        self._app, self._access, self._logins = app, access, logins
        self._closed = access.demands_login or bool(access.read_tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, send to the login, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        bears = self._access.may_read(request.headers.get("authorization", ""))
        proxy, session = self._access.proxy, session_of(request)
        in_session = self._logins.is_open(session)
        named = request.headers.get(proxy.header, "") if proxy else ""
        if proxy and named and not proxy.is_from(request.client.host if request.client else ""):
            text = f"The header {proxy.header} is only taken from --trusted-proxy."
            await _refuse(request, 403, text)(scope, receive, send)
            return
        if self._closed and not (bears or named or in_session or OPEN_PATHS.fullmatch(scope["path"])):
            await self._ask(request)(scope, receive, send)
            return
        who = named or (session if in_session else "")
        form_token.set(self._logins.form_token(who))
        logged_in.set(in_session)
        if request.method not in SAFE_METHODS and not bears:
            try:
                receive, carried = await _form(request)
            except ClientDisconnect:
                return
            if not self._logins.is_form_token(carried, who):
                text = "This form is too old or not ours: go back, reload the page and try again."
                await _refuse(request, 403, text)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _ask(self, request: Request) -> Response:
        """What to answer somebody unknown."""
        if _is_for_programs(request) or request.method not in SAFE_METHODS:
            text = "Who asks? Send a read token: `authorization: Bearer ...`."
            return JSONResponse({"error": text}, 401, {"www-authenticate": "Bearer"})
        if self._access.password is None:
            text = "Come through the proxy before this desk: it says who you are."
            return _refuse(request, 401, text if self._access.proxy else "This desk is for read tokens only.")
        query = request.scope["query_string"].decode("latin-1")
        path = request.scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"{LOGIN}?next={quote(path, safe='')}", 303, {"cache-control": "no-store"})


def cookie_name(request: Request) -> str:
    """Of the cookie that holds the session."""
    return TLS_COOKIE if request.url.scheme == "https" else COOKIE


def session_of(request: Request) -> str:
    """The session's id that a request comes with; "" if none."""
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(cookie_name(request))
    except CookieError:
        return ""
    return found.value if found else ""


def fields_of(body: bytes) -> dict[str, str]:
    """A posted form's fields (application/x-www-form-urlencoded), of repeated ones the last."""
    text = body.decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(text, max_num_fields=100).items()}


async def _form(request: Request) -> tuple[Receive, str]:
    """The body once more, for who comes next, and the token that it or the header `x-form-token` carries."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            return request.receive, ""
    whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]
    later = request.receive

    async def again() -> Message:
        return whole.pop() if whole else await later()

    try:
        carried = fields_of(bytes(body)).get("form_token", "")
    except ValueError:  # too many fields
        carried = ""
    return again, request.headers.get("x-form-token", "") or carried


def _is_for_programs(request: Request) -> bool:
    return "text/html" not in request.headers.get("accept", "") or request.scope["path"].startswith("/api/")


def _refuse(request: Request, status: int, text: str) -> Response:
    if _is_for_programs(request):
        return JSONResponse({"error": text}, status)
    return PlainTextResponse(text + "\n", status)


def _naming(send: Send, origin: str) -> Send:
    """Answers that a page of this origin may read."""

    async def with_origin(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["access-control-allow-origin"] = origin
            headers.add_vary_header("origin")
            headers["access-control-expose-headers"] = "retry-after"
        await send(message)

    return with_origin
