"""A server in a thread with a loop of its own: for tests, and for programs that know no asyncio."""

from __future__ import annotations

import asyncio
import threading
import warnings
from types import TracebackType
from typing import Self

from poplin.server.server import Server, runner

__all__ = ["BackgroundServer"]


class BackgroundServer:
    """Runs a server beside the caller: ``with poplin.BackgroundServer(server) as running: running.port``.

    Entering returns when the port answers; what keeps the server from starting is raised there. Leaving stops the
    server gracefully and waits for its thread.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None

    def __repr__(self) -> str:
        return f"<BackgroundServer {self._server!r}>"

    @property
    def server(self) -> Server:
        """The server itself. Its methods belong to the loop of the thread; `call` reaches it."""
        return self._server

    @property
    def port(self) -> int:
        """The port of the first listener that has one."""
        return self._server.port

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens."""
        return self._server.addresses

    def start(self) -> None:
        """Start the thread and the server in it; returns when clients are answered.

        Raises:
            RuntimeError: it was started before.
            ListenErrors: an address cannot be listened on.
        """
        if self._thread is not None:
            raise RuntimeError("this background server was started before; make a new one")
        self._thread = threading.Thread(target=self._run, name="poplin-server", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Stop the server gracefully and end the thread; does nothing when it is not running."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join()

    def _run(self) -> None:
        try:
            with runner() as loop_runner:
                loop_runner.run(self._serve())
        except BaseException as error:
            # Whatever it is, it belongs to whoever started us, or it has no reader left.
            if self._started.is_set():
                raise
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self._server:
            self._started.set()
            await self._stop.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __del__(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            warnings.warn(f"{self!r} was never stopped", ResourceWarning, source=self, stacklevel=2)
