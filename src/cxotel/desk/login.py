"""Logging in to the pages with the desk's password, and out again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from cxotel.desk.access import SESSION_SECONDS
from cxotel.desk.guard import cookie_name, fields_of, session_of

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request

    from cxotel.desk.access import Access, Logins


def routes(access: Access, logins: Logins, templates: Environment) -> list[Route]:
    """Of the login; none if there is no password."""
    if access.password is None:
        return []

    def page(path: str, wrong: str = "", status: int = 200, wait: float = 0.0) -> Response:
        text = templates.get_template("login.html").render(next=path, wrong=wrong)
        headers = {"cache-control": "no-store"}
        if wait:
            headers["retry-after"] = str(math.ceil(wait))
        return HTMLResponse(text, status, headers)

    async def login(request: Request) -> Response:
        """GET and POST /login: the form, and a session for the right password."""
        if request.method != "POST":
            return page(_local(request.query_params.get("next", "")))
        given = fields_of(await request.body())
        path = _local(given.get("next", ""))
        address = request.client.host if request.client else ""
        if wait := logins.wait(address):
            text = f"Too many wrong passwords from your address: try again in {math.ceil(wait)} s."
            return page(path, text, 429, wait)
        session = logins.open(given.get("password", ""), address)
        if session is None:
            return page(path, "That is not the password of this desk.", 403)
        answer = RedirectResponse(path, 303, {"cache-control": "no-store"})
        answer.set_cookie(
            cookie_name(request),
            session,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def logout(request: Request) -> Response:
        """POST /logout: end the session."""
        logins.close(session_of(request))
        answer = RedirectResponse("/login", 303, {"cache-control": "no-store"})
        secure = request.url.scheme == "https"
        answer.delete_cookie(cookie_name(request), httponly=True, samesite="strict", secure=secure)
        return answer

    return [
        Route("/login", login, methods=["GET", "POST"]),
        Route("/logout", logout, methods=["POST"]),
    ]


def _local(path: str) -> str:
    """A path of this desk to go on to; two slashes of either kind would be another site."""
    return path if path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable() else "/"
