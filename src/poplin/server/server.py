"""The server: listeners, serving, stopping. The face of this storey for the library and the daemon alike."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Protocol, Self, TypeVar

from poplin.abilities import implements
from poplin.authentication.base import Authenticator
from poplin.errors import Error
from poplin.identity import ClientFacts
from poplin.limits import Limits
from poplin.maildrops.base import Opener
from poplin.plugins.base import Plugin
from poplin.plugins.events import Event, ListenerFailed
from poplin.plugins.pipeline import EventHandler, Pipeline
from poplin.server.addresses import BACKLOG, ListenErrors, bind_all, discard, local_name, written
from poplin.server.admission import Admission
from poplin.server.driver import Driver
from poplin.server.hub import Hub, Listener, Totals
from poplin.server.login_times import LoginMemory
from poplin.server.pair import PairTransport
from poplin.server.running import first_of, runner
from poplin.session.attendants import Attends
from poplin.session.methods import CommandMethods, MethodSession, NoMaildrops, NoUsers
from poplin.session.service import Policy, Service
from poplin.spelling import spelled
from poplin.terms import HasTerms

__all__ = ["Progress", "Server", "ServiceObject"]

E = TypeVar("E", bound=Event)

logger: logging.Logger = logging.getLogger("poplin.server")

_LOOPBACK = ("127.0.0.1", "::1")
_PORT_TRIES = 20
_NO_LISTENER = Listener(address="unix:")  # how a session came in that nobody listened for


class CommandFace(CommandMethods, Protocol):
    """A class of command methods, as `poplin.CommandServer` is: made once for each session."""

    def __init__(self, session: MethodSession, /) -> None: ...

    @classmethod
    def mechanisms(cls) -> AbstractSet[str]:
        """The ways to log in that its own methods serve: USER, APOP."""
        ...


class ServiceObject(Opener, Authenticator, Protocol):
    """One object that is both maildrop opener and authenticator, as `poplin.Callbacks` is."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a graceful stop is: sessions there were, idle ones ended at once, those still busy, seconds at most."""

    sessions: int
    ended: int
    busy: int
    seconds: float


def _timestamp(hostname: str) -> str:
    # RFC 1939 section 7, in the one form that every client takes: digits, a dot, digits, @, a host.
    first, second = divmod(secrets.randbits(96), 1 << 48)
    return f"<{first}.{second}@{hostname}>"


class Server:
    """Serves maildrops over POP3.

    Give it one object that is both (`poplin.Callbacks`, or your own), or `maildrops` and `authenticator` apart, or
    `commands`, a class of command methods (`poplin.CommandServer`), with or without them. It
    listens on `host` and `port` (default: this machine's loopback addresses and port 1110; port 0 takes any free
    one), with STLS on offer if `tls` is given; or on `listeners`, which say all that themselves.

    A server is started once, and may be restarted from then on until it is stopped: by ``run()``, by ``async with server:``, or by `poplin.BackgroundServer`.

    Raises:
        TypeError: neither or both ways of saying what to serve, or where.
    """

    @spelled
    def __init__(  # noqa: PLR0913 - keywords of the face, each with its own meaning; promised to users
        self,
        service: ServiceObject | None = None,
        /,
        *,
        maildrops: Opener | None = None,
        authenticator: Authenticator | None = None,
        commands: type[CommandFace] | None = None,
        host: str | None = None,
        port: int | None = None,
        tls: ssl.SSLContext | None = None,
        listeners: Sequence[Listener] = (),
        plugins: Iterable[Plugin] = (),
        limits: Limits | None = None,
        policy: Policy | None = None,
    ) -> None:
        _refuse_class(service)
        opener: Opener | None = maildrops if maildrops is not None else service
        judge: Authenticator | None = authenticator if authenticator is not None else service
        if commands is not None:
            opener = opener or NoMaildrops()
            judge = judge or NoUsers(commands.mechanisms())
        if opener is None or judge is None:
            raise TypeError("Server needs one object that serves both, or maildrops= and authenticator=")
        if service is not None and maildrops is not None and authenticator is not None:
            raise TypeError("Server takes one object that serves both, or maildrops= and authenticator=, not all three")
        if listeners and not (host is None and port is None and tls is None):
            raise TypeError("listeners= says where and how to listen: leave host=, port= and tls= out")
        if port is not None and not 0 <= port <= 65535:
            raise ValueError(f"port={port}: expected 0 to 65535")
        self._listeners = tuple(listeners) or _default_listeners(host, 1110 if port is None else port, tls)
        self._same_port = not listeners and host is None and port == 0
        self._admission = Admission(limits or Limits())
        self._service = Service(
            maildrops=opener,
            authenticator=judge,
            policy=policy or Policy(),
            limits=limits or Limits(),
            pipeline=Pipeline(plugins),
            timestamp=_timestamp,
            enter=self._admission.enter,
            leave=self._admission.leave,
            methods=commands,
            terms=next((one.terms for one in (opener, judge) if implements(one, HasTerms)), None),
            logins=LoginMemory(),
            attendants=_attendants(opener, judge),
        )
        self._hub: Hub | None = None
        self._hubs: list[Hub] = []  # the present life, and those that a restart is ending
        self._servers: list[asyncio.Server] = []
        self._addresses: tuple[str, ...] = ()
        self._paths: list[str] = []
        self._state = "new"

    def __repr__(self) -> str:
        where = " ".join(self._addresses) or " ".join(listener.address for listener in self._listeners)
        return f"<Server {where} {self._state}, {self.sessions} sessions>"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, as ``host:port``, ``[v6]:port`` or ``unix:path``, with the true ports.

        Raises:
            RuntimeError: it was not started yet.
        """
        if not self._addresses:
            raise RuntimeError("the server has no address yet: start it first")
        return self._addresses

    @property
    def port(self) -> int:
        """The port of the first listener that has one.

        Raises:
            RuntimeError: it was not started yet, or listens on UNIX sockets alone.
        """
        for address in self.addresses:
            if not address.startswith("unix:"):
                return int(address.rpartition(":")[2])
        raise RuntimeError("the server listens on UNIX sockets alone: there is no port")

    @property
    def sessions(self) -> int:
        """The connections held now."""
        return self._admission.connections

    @property
    def totals(self) -> Totals:
        """What it did since it was started."""
        return self._hub.totals if self._hub is not None else Totals()

    @property
    def service(self) -> Service:
        """What it serves, and by which rules."""
        return self._service

    @property
    def pipeline(self) -> Pipeline:
        """The plugins, in an order that may be changed while sessions run."""
        return self._service.pipeline

    @property
    def clients(self) -> list[ClientFacts]:
        """Who is connected now."""
        drivers = self._hub.drivers if self._hub is not None else ()
        return [driver.session.client for driver in drivers]

    def register(self, handler: EventHandler[E], *kinds: type[E]) -> None:
        """Have `handler`, plain or ``async``, called with every event of these kinds (`poplin.plugins.events`), with
        none of all. One that raises is logged and skipped."""
        self.pipeline.register(handler, *kinds)

    def unregister(self, handler: EventHandler[E], *kinds: type[E]) -> None:
        """No more of these kinds for `handler`; with none, no more at all."""
        self.pipeline.unregister(handler, *kinds)

    def send_event(self, event: Event) -> None:
        """Tell plugins and handlers of an event, of a kind of your own perhaps; from any thread.

        Raises:
            RuntimeError: the server does not run.
        """
        self._running().announce(event)

    def push(self, session_id: str, text: str) -> bool:
        """Send a client a line that answers nothing, behind the reply under way; False: there is no such session, or
        it cannot be sent now (the client does not read, or is in the middle of a TLS handshake). Call it in the
        server's loop.

        RFC 1939 knows no such line, and an ordinary client takes it for the answer to its next command:
        `Policy.push` has to allow it.

        Raises:
            RuntimeError: the policy does not allow it, or the server does not run.
        """
        if not self._service.policy.push:
            raise RuntimeError("text outside a reply breaks ordinary clients; Policy(push=True) allows it")
        driver = self._running().driver_of(session_id)
        return driver is not None and driver.push(text)

    def kick(self, session_id: str) -> bool:
        """End a session: its marks are dropped, an UPDATE under way is finished. False: there is no such session.
        Call it in the server's loop."""
        driver = self._running().driver_of(session_id)
        if driver is not None:
            driver.kick()
        return driver is not None

    def _running(self) -> Hub:
        if self._hub is None:
            raise RuntimeError("the server does not run")
        return self._hub

    async def start(self) -> None:
        """Bind every listener, then serve: when it returns, clients are answered.

        Raises:
            ListenErrors: some address cannot be listened on; none is open then.
            RuntimeError: it was started before.
        """
        if self._state != "new":
            raise RuntimeError(f"this server is {self._state}; make a new one to start again")
        loop = asyncio.get_running_loop()
        try:
            bound = self._bind()
        except ListenErrors as failed:
            for error in failed.errors:
                await self.pipeline.event(ListenerFailed(error.address, error.reason))
            raise
        self._hub = self._open_hub()
        self._addresses = tuple(written(socket_) for _, socket_ in bound)
        try:
            for listener, socket_ in bound:
                factory = functools.partial(self._accept, listener, local_name(socket_))
                if socket_.family == socket.AF_UNIX:
                    self._paths.append(os.fsdecode(socket_.getsockname()))
                    server = await loop.create_unix_server(factory, sock=socket_, backlog=BACKLOG, start_serving=False)
                else:
                    server = await loop.create_server(factory, sock=socket_, backlog=BACKLOG, start_serving=False)
                self._servers.append(server)
            for server in self._servers:
                await server.start_serving()
        except BaseException:  # cancelled in the middle: nothing stays open
            for _, socket_ in bound[len(self._servers) :]:
                discard(socket_)
            await self.abort()
            raise

    def _accept(self, listener: Listener, local: tuple[str, int] | None) -> Driver:
        """The connection that comes in now belongs to the server's present life."""
        return Driver(self._running(), listener, local)

    async def restart(self) -> None:
        """End every session, as `stop` does, and begin anew: a fresh count, fresh threads, the same ports.

        The ports stay open: whoever connects meanwhile is served at once, by the new life. Returns when the last
        session of the old one is over.

        Raises:
            RuntimeError: the server does not listen.
        """
        if self._state != "running" or not self._servers:
            raise RuntimeError(f"this server is {self._state} and does not listen: there is nothing to restart")
        old = self._running()
        self._hub = Hub(self._service, self._admission, old.loop)
        self._hub.failures = old.failures
        self._hubs.append(self._hub)
        await asyncio.sleep(0)  # who was accepted just before is opened in the old life, and told with the others
        for driver in list(old.drivers):
            driver.stop()
        await old.emptied(old.service.limits.drain_timeout)
        await old.end()
        if old in self._hubs:
            self._hubs.remove(old)

    async def serve_streams(self, source: BinaryIO, sink: BinaryIO) -> None:
        """One session on any pair of binary files, until it is over: inetd with pipes, a test, a terminal.

        Instead of `start`: nothing is listened on. The files are not closed. There is no address, so the other end
        counts as this machine.
        """
        hub = self._open_hub()
        PairTransport(hub.loop, Driver(hub, _NO_LISTENER), source, sink)
        await self._until_over(hub)

    async def serve_socket(self, connected: socket.socket, listener: Listener | None = None) -> None:
        """One session on a connected socket, until it is over: inetd, a socket pair. `listener` says how it came in
        (its `tls` and `context`; the address is not used). The socket is closed at the end."""
        hub = self._open_hub()
        connected.setblocking(False)
        await hub.loop.connect_accepted_socket(functools.partial(Driver, hub, listener or _NO_LISTENER), connected)
        await self._until_over(hub)

    def _open_hub(self) -> Hub:
        if self._state != "new":
            raise RuntimeError(f"this server is {self._state}; make a new one to start again")
        self._state = "running"
        self._hub = Hub(self._service, self._admission, asyncio.get_running_loop())
        self._hubs.append(self._hub)
        return self._hub

    async def _until_over(self, hub: Hub) -> None:
        try:
            await hub.emptied()
        finally:
            await self._end()

    def _bind(self) -> list[tuple[Listener, socket.socket]]:
        if not self._same_port:
            return bind_all(self._listeners)
        # Port 0 on two families: the second takes the port that the first was given, or both try again.
        first, second = self._listeners
        for _ in range(_PORT_TRIES):
            bound = bind_all([first])
            port = bound[0][1].getsockname()[1]
            try:
                return bound + bind_all(_default_listeners(_LOOPBACK[1], port, second.context))
            except Error:
                bound[0][1].close()
        return bind_all([first])

    async def stop(self, progress: Callable[[Progress], None] | None = None) -> None:
        """Take no more connections, end idle sessions with a spoken farewell, let messages on their way and UPDATE
        finish (up to ``limits.drain_timeout``), then close. `progress` hears once what is waited for. Stopping a
        stopped server does nothing."""
        if self._state != "running" or self._hub is None:
            return
        self._state = "stopping"
        self._close_listeners()
        seconds = self._service.limits.drain_timeout
        drivers = [driver for hub in self._hubs for driver in hub.drivers]
        busy = sum(driver.busy for driver in drivers)
        for driver in drivers:
            driver.stop()
        if progress is not None and drivers:
            progress(Progress(len(drivers), len(drivers) - busy, busy, seconds))
        await asyncio.gather(*[hub.emptied(seconds) for hub in self._hubs])
        await self._end()

    async def abort(self) -> None:
        """Stop at once: every connection is cut, an UPDATE under way is still finished."""
        if self._state in {"running", "stopping"}:
            self._state = "stopping"
            self._close_listeners()
            await self._end()

    async def _end(self) -> None:
        if self._state != "stopped":
            await asyncio.gather(*[hub.end() for hub in self._hubs])
        self._state = "stopped"

    def _close_listeners(self) -> None:
        if self._hub is not None:
            self._hub.closing = True
        for server in self._servers:
            server.close()
        for path in self._paths:
            with contextlib.suppress(OSError):
                os.unlink(path)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        failures = [failure for hub in self._hubs for failure in hub.failures]
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise BaseExceptionGroup("several sessions failed", failures)

    async def serve(self, *, quiet: bool = False) -> None:
        """Start, print ``listening on ADDRESS`` for each listener, serve until SIGINT or SIGTERM, stop in peace.

        A second signal stops at once. `quiet` prints nothing.
        """
        asked: asyncio.Event = asyncio.Event()
        hurry: asyncio.Event = asyncio.Event()

        def on_signal() -> None:
            (hurry if asked.is_set() else asked).set()

        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            for number in (signal.SIGINT, signal.SIGTERM):
                # Not on Windows, and not outside the main thread: there Ctrl-C cancels this task instead.
                with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                    loop.add_signal_handler(number, on_signal)
                    stack.callback(loop.remove_signal_handler, number)
            async with self:
                if not quiet:
                    for address in self.addresses:
                        sys.stdout.write(f"listening on {address}\n")
                    sys.stdout.flush()
                await asked.wait()
                await first_of(self.stop(), hurry.wait())
                await self.abort()

    def run(self, *, quiet: bool = False) -> None:
        """`serve` on a loop of its own (uvloop's where installed), until Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt), runner() as loop_runner:
            loop_runner.run(self.serve(quiet=quiet))


def _refuse_class(given: object) -> None:
    """Say what was meant where a class stands for an object.

    Raises:
        TypeError: it is a class.
    """
    if isinstance(given, type):
        wish = f"commands={given.__name__}" if hasattr(given, "method_for") else f"{given.__name__}(…)"
        raise TypeError(f"Server takes an object, not the class {given.__name__}: write {wish}")


def _attendants(*objects: object) -> tuple[Attends, ...]:
    """Those of `objects` that attend connections, each once."""
    found: list[Attends] = []
    for one in objects:
        if implements(one, Attends) and all(one is not other for other in found):
            found.append(one)
    return tuple(found)


def _default_listeners(host: str | None, port: int, tls: ssl.SSLContext | None) -> tuple[Listener, ...]:
    hosts = _LOOPBACK if host is None else (host,)
    return tuple(
        Listener(
            address=f"[{name}]:{port}" if ":" in name else f"{name}:{port}",
            tls="none" if tls is None else "starttls",
            context=tls,
            optional=name == "::1",
        )
        for name in hosts
    )
