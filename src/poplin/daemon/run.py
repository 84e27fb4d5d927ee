"""A server's life in the foreground: start, say where it listens, stop in peace on a signal, say what it did.

`Reporter` is told what happens; how that is printed is the command's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from poplin.daemon.files import write_whole
from poplin.server.hub import Totals
from poplin.server.running import first_of, runner
from poplin.server.server import Progress, Server

__all__ = ["Reporter", "Run", "raise_descriptor_limit"]

_SPARE = 64
"""Descriptors beside those of connections: listeners, logs, messages on their way."""


class Reporter(Protocol):
    """What the operator is told."""

    def listening(self, addresses: Sequence[str]) -> None:
        """Every address answers now."""
        ...

    def stopping(self, progress: Progress) -> None:
        """A stop was asked for; what it waits for."""
        ...

    def stopped(self, totals: Totals, seconds: float) -> None:
        """It is over; what was done, and in which time."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """One run of `server`. `ready_file`, if given, lists the addresses, one a line, as long as they answer."""

    server: Server
    reporter: Reporter
    ready_file: Path | None = None

    def __call__(self) -> None:
        """Serve until SIGINT, SIGTERM or SIGHUP; a second one ends at once what is under way.

        Raises:
            ListenErrors: addresses that cannot be listened on; then none was opened.
            OSError: the ready file cannot be written; then nothing is served.
        """
        with runner() as loop_runner:
            loop_runner.run(self._serve())

    async def _serve(self) -> None:
        asked, hurry = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            (hurry if asked.is_set() else asked).set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, on_signal)
        began = time.monotonic()
        server = self.server
        await server.start()
        try:
            with self._ready():
                self.reporter.listening(server.addresses)
                await asked.wait()
            await first_of(server.stop(self.reporter.stopping), hurry.wait())
        finally:
            await server.abort()
        self.reporter.stopped(server.totals, time.monotonic() - began)

    @contextlib.contextmanager
    def _ready(self) -> Iterator[None]:
        """The ready file stands there, whole from the first moment on, while the server answers."""
        path = self.ready_file
        if path is None:
            yield
            return
        write_whole(path, "".join(f"{address}\n" for address in self.server.addresses).encode())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def raise_descriptor_limit(connections: int) -> str | None:
    """Allow as many open files as `connections` may need; a warning if the system does not let us."""
    wanted = 2 * connections + _SPARE  # a connection, and the session lock of its maildrop
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most >= connections + _SPARE:
        return None
    return (
        f"only {hard} open files are allowed here, for up to {connections} connections; "
        "raise the limit (ulimit -n, LimitNOFILE=) or lower limits.connections"
    )
