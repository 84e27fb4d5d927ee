"""A server in a thread with a loop of its own: for tests, and for programs that know no asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import warnings
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar, overload

from poplin.identity import MaybeAwaitable, settle
from poplin.server.running import runner
from poplin.server.server import Server

__all__ = ["BackgroundServer"]

T = TypeVar("T")


class BackgroundServer:
    """Runs a server beside the caller: ``with poplin.BackgroundServer(server) as running: running.port``.

    Entering returns when the port answers; what keeps the server from starting is raised there. Leaving stops the
    server gracefully and waits for its thread.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._life = _Life(server)
        self._thread: threading.Thread | None = None

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

    @overload
    def call(self, function: Callable[[Server], Awaitable[T]]) -> T: ...
    @overload
    def call(self, function: Callable[[Server], T]) -> T: ...
    def call(self, function: Callable[[Server], MaybeAwaitable[T]]) -> T:
        """What `function` answers when it is called with the server, in the server's own loop; plain or ``async``.

        Raises:
            RuntimeError: the server does not run.
        """
        loop = self._life.loop
        if loop is None or self._thread is None or not self._thread.is_alive():
            raise RuntimeError("the background server does not run")
        return asyncio.run_coroutine_threadsafe(_called(function, self._server), loop).result()

    def start(self) -> None:
        """Start the thread and the server in it; returns when clients are answered.

        Raises:
            RuntimeError: it was started before.
            ListenErrors: an address cannot be listened on.
        """
        if self._thread is not None:
            raise RuntimeError("this background server was started before; make a new one")
        self._thread = threading.Thread(target=self._life.run, name="poplin-server", daemon=True)
        self._thread.start()
        self._life.started.wait()
        if self._life.failure is not None:
            self.stop()

    def restart(self) -> None:
        """End every session gracefully and begin anew, on ports that stay open; see `Server.restart`.

        Raises:
            RuntimeError: the server does not run.
        """
        self.call(lambda server: server.restart())

    def stop(self) -> None:
        """Stop the server gracefully and end the thread; does nothing when it is not running.

        What went wrong in the thread after the start is raised here, once.
        """
        if self._thread is None:
            return
        self._life.ask()
        self._thread.join()
        failure, self._life.failure = self._life.failure, None
        if failure is not None:
            raise failure

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
            self._life.ask()


class _Life:
    """The thread's side. It does not know the `BackgroundServer`, whose loss could not be noticed otherwise."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop: asyncio.Event | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.started = threading.Event()
        self.failure: BaseException | None = None

    def ask(self) -> None:
        """Ask for the end. Any thread may call."""
        if self.loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended already
                self.loop.call_soon_threadsafe(self._stop.set)

    def run(self) -> None:
        """The thread's whole life."""
        try:
            with runner() as loop_runner:
                loop_runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised to whoever starts or stops us
            self.failure = error
        finally:
            self.started.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self._server:
            self.started.set()
            await self._stop.wait()


async def _called(function: Callable[[Server], MaybeAwaitable[T]], server: Server) -> T:
    return await settle(function(server))
