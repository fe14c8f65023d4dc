"""What both HTTP servers ask of every request on a loopback address: a Host that is this machine.

A page of another site can have its name resolve to 127.0.0.1 and then read what we answer (DNS rebinding);
its requests still name that site in Host.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


def is_loopback(host: str) -> bool:
    """Whether a name or address can only mean this machine."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_of(header: str) -> str:
    """The host part of a Host header: `[::1]:80`, `localhost:80` or `localhost`."""
    if header.startswith("["):
        return header[: header.find("]") + 1]
    return header.rpartition(":")[0] if ":" in header else header


class LoopbackGuard:
    """ASGI middleware: 421 for a foreign Host when bound to a loopback address."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._active = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 421 Misdirected Request (RFC 9110, 15.5.20)."""
        if self._active and scope["type"] == "http":
            header = next((v for k, v in scope["headers"] if k == b"host"), b"").decode("latin-1")
            if not is_loopback(host_of(header)):
                answer = PlainTextResponse(
                    f"This desk serves this machine only, not {header[:80]!r}. Use 127.0.0.1 or localhost.\n",
                    421,
                )
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)
