"""HTTP connections that owe us something for too long are closed (slow-loris), or when there are too many.

uvicorn has a time limit between requests and none within one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from typing_extensions import Self

# Each takes a file descriptor, of which a process has 1,024 unless told otherwise: two ports, gRPC and files.
MOST_CONNECTIONS = 256
# A request's line and headers come in one packet or two; 10 s is what exporters give
# a whole request (OTEL_EXPORTER_OTLP_TIMEOUT); Apache gives 20 s, nginx 60 s.
HEAD_SECONDS = 10.0
# 20 MiB in 60 s is 2.8 Mbit/s; exporters have given up long before.
BODY_SECONDS = 60.0
# Until a reader has taken the next piece of an answer.
WRITE_SECONDS = 60.0


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with limits on what a client owes: a head, a body, and to take the answer."""

    head_seconds, body_seconds, write_seconds = HEAD_SECONDS, BODY_SECONDS, WRITE_SECONDS
    clock: asyncio.TimerHandle | None = None
    _write_clock: asyncio.TimerHandle | None = None
    _owes: Any = None

    # Of asyncio's transports uvicorn takes this kind alone, and says so in the same way.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head; of too many connections the one that owes longest makes room."""
        super().connection_made(transport)
        self._look()
        if len(self.connections) > MOST_CONNECTIONS:
            owing = [one for one in self.connections if isinstance(one, TimedProtocol) and one.clock]
            self._longest(owing).let_go()

    def let_go(self) -> None:
        """Close, and be no longer one of those that may be closed."""
        self._stop()
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is owed any more."""
        super().connection_lost(exc)
        self._stop()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Something came; perhaps all."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Answered: the next request may come, and uvicorn's own clock runs until it begins."""
        super().on_response_complete()
        self._stop()
        self._look()

    def pause_writing(self) -> None:
        """The client does not take what we write."""
        super().pause_writing()
        if self._write_clock is None:
            self._write_clock = self.loop.call_later(self.write_seconds, self._abort)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        if self._write_clock is not None:
            self._write_clock.cancel()
            self._write_clock = None

    def _look(self) -> None:
        """Start the clock for what is owed now, unless it runs for that."""
        owes = self.conn.their_state
        if owes is self._owes:
            return
        self._stop()
        seconds = {h11.IDLE: self.head_seconds, h11.SEND_BODY: self.body_seconds}.get(owes)
        if seconds is not None and not self.transport.is_closing():
            self._owes = owes
            self.clock = self.loop.call_later(seconds, self.let_go)

    def _stop(self) -> None:
        self._owes = None
        if self.clock is not None:
            self.clock.cancel()
            self.clock = None

    def _abort(self) -> None:
        self.transport.abort()

    def _longest(self, owing: list[Self]) -> Self:
        return min(owing, key=lambda one: one.clock.when() if one.clock else 0.0, default=self)
