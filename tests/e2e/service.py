"""A process that is started, killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

READY_SECONDS = 20.0
STOP_SECONDS = 30.0


class Service:
    """What a test does with a process that takes spans; its kinds say what is run.

    Attributes:
        name: for messages.
        folder: where it runs.
        log: all that it prints.
        port: OTLP/gRPC.
        environment: its environment variables.
    """

    name = "the service"
    folder: Path
    log: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = os.environ.copy()

    @property
    def command(self) -> list[str]:
        """What is run."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts it and does not wait."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=subprocess.STDOUT, cwd=self.folder, env=self.environment
            )

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Waits until it takes spans.

        Raises:
            RuntimeError: it ended, or took too long; the text has the end of its log.
        """
        until = time.monotonic() + seconds
        while not _listens(self.port):
            if self.exit_status() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.name} does not run: {self.log.read_text()[-3000:]}")
            await asyncio.sleep(0.02)

    def exit_status(self) -> int | None:
        """How it ended; None if it runs."""
        assert self.process is not None
        return self.process.poll()

    def kill(self) -> float:
        """SIGKILL; gives the time before it.

        Raises:
            RuntimeError: it had ended by itself.
        """
        return self._signal(signal.SIGKILL)

    def stop(self) -> float:
        """SIGTERM, as in a rolling update; gives the time before it.

        Raises:
            RuntimeError: it had ended by itself, or does not end.
        """
        return self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> float:
        assert self.process is not None
        if self.exit_status() is not None:
            raise RuntimeError(f"{self.name} ended by itself: {self.log.read_text()[-3000:]}")
        at = time.monotonic()
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"{self.name} did not stop") from None
        return at

    def close(self) -> None:
        """Ends it if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(0.5)
        return one.connect_ex(("127.0.0.1", port)) == 0
