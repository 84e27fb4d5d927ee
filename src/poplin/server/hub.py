"""What the connections of one server share: the service, the loop, the clock, the counts, the watch over deadlines.

No listener and no socket in this file (`server` has them); no protocol either.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import ssl
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from poplin.identity import CURRENT
from poplin.maildrops.base import Ending
from poplin.plugins.events import Event
from poplin.server.admission import Admission
from poplin.server.announcements import Announcements
from poplin.session.service import Service
from poplin.session.session import Session
from poplin.spelling import spelled_class

__all__ = ["Driven", "Hub", "Listener", "TlsMode", "Totals"]

logger: logging.Logger = logging.getLogger("poplin.session")

T = TypeVar("T")
A = TypeVar("A")

TlsMode: TypeAlias = Literal["none", "starttls", "implicit"]

_READERS = 8  # threads that read large messages and wait for slow disks
_PATIENCE = 60.0  # seconds for an UPDATE at the end of a server: one that takes longer hangs
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


@spelled_class
@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where and how clients come in.

    `address` is ``host:port``, ``[v6]:port`` or ``unix:path``; port 0 takes any free one. `context` is needed unless
    `tls` is ``"none"``. `optional`: an address that this machine does not have (::1) is passed over in silence.
    """

    address: str
    tls: TlsMode = "none"
    context: ssl.SSLContext | None = None
    optional: bool = False
    unix_mode: int = 0o600

    def __post_init__(self) -> None:
        """Refuse TLS without a context.

        Raises:
            ValueError: it lacks one.
        """
        if self.tls != "none" and self.context is None:
            raise ValueError(f"listener {self.address}: tls = {self.tls!r} needs a TLS context")


@dataclass(slots=True)
class Totals:
    """What a server did since it was started."""

    sessions: int = 0
    refused_connections: int = 0
    refused_logins: int = 0
    messages: int = 0
    octets: int = 0
    removed: int = 0


class Driven(Protocol):
    """A connection, as the others see it."""

    deadline: float
    """The loop's time at which it has been waited for long enough."""
    session: Session

    @property
    def busy(self) -> bool:
        """Whether something is under way that a graceful stop waits for."""
        ...

    def expire(self) -> None:
        """The deadline has passed."""
        ...

    def stop(self) -> None:
        """Say farewell as soon as the reply under way is out."""
        ...

    def stop_now(self) -> None:
        """End without a word; an UPDATE under way is still finished."""
        ...

    def kick(self) -> None:
        """End for the administrator."""
        ...

    def push(self, text: str, /) -> bool:
        """Send a line that answers nothing; False: it cannot be sent."""
        ...


class Hub:
    """The common ground of a server's connections."""

    def __init__(self, service: Service, admission: Admission, loop: asyncio.AbstractEventLoop) -> None:
        self.service = service
        self.loop = loop
        self.now: Callable[[], float] = loop.time
        self.totals: Totals = Totals()
        self.threads: ThreadPoolExecutor = ThreadPoolExecutor(_READERS, thread_name_prefix="poplin-reader")
        self.drivers: set[Driven] = set()
        self.failures: list[BaseException] = []
        """What `Policy.raise_errors` keeps until the server is stopped."""
        self.closing = False
        """Whether the server stops: the loop may still bring connections that it had accepted before."""
        self._admission = admission
        self._tasks: set[asyncio.Task[Any]] = set()
        self._prefix = "".join(secrets.choice(_LETTERS) for _ in range(4))
        self._numbers = itertools.count(1)
        self.announce: Callable[[Event], None] = Announcements(service.pipeline, loop, self.spawn).announce
        """Tells plugins and handlers of an event, from any thread, as soon as the loop comes to it."""
        service.pipeline.announce = self.announce
        self._watch: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        limits = service.limits
        # Deadlines are looked at together: one timer for all connections, as often as the shortest limit needs.
        self._tick = min(1.0, min(limits.autologout, limits.login_timeout, limits.write_timeout) / 8)

    def next_session_id(self) -> str:
        """A name for a session, unique within this server."""
        return f"{self._prefix}-{next(self._numbers):x}"

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """The only place where tasks are made: nothing runs that nobody holds."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def later(self, seconds: float, call: Callable[[A], None], argument: A) -> None:
        """Call back after so many seconds."""
        self.loop.call_later(seconds, call, argument)

    def driver_of(self, session_id: str) -> Driven | None:
        """The connection of that session."""
        for driver in self.drivers:
            if driver.session.client.session_id == session_id:
                return driver
        return None

    def enter(self, driver: Driven, address: str) -> bool:
        """A connection was accepted; False: there are too many."""
        if not self._admission.connect(address):
            self.totals.refused_connections += 1
            return False
        self.drivers.add(driver)
        if self._watch is None:
            self._watch = self.loop.call_later(self._tick, self._look)
        return True

    def leave(self, driver: Driven, address: str) -> None:
        """A connection that was let in is gone."""
        self.drivers.discard(driver)
        self._admission.disconnect(address)
        if not self.drivers and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def emptied(self, seconds: float | None = None) -> None:
        """Wait until the last connection is gone, or so long at most."""
        if self.drivers:
            if self._emptied is None or self._emptied.done():  # a stop may join a restart in its waiting
                self._emptied = self.loop.create_future()
            await asyncio.wait([self._emptied], timeout=seconds)

    def finish(self, session: Session, ending: Ending, seconds: float) -> None:
        """Free what a session holds, and write its summary line."""
        # Whoever ends a session may be another one's callback: that one is current again afterwards.
        before = CURRENT.set(session.client)
        coroutine = session.end(ending)
        try:
            coroutine.send(None)
        except StopIteration:
            self._sum_up(session, ending, seconds)
        else:
            self.spawn(coroutine).add_done_callback(lambda _: self._sum_up(session, ending, seconds))
        finally:
            CURRENT.reset(before)

    def _sum_up(self, session: Session, ending: Ending, seconds: float) -> None:
        summary = session.summary
        totals = self.totals
        totals.sessions += 1
        totals.refused_logins += summary.failures
        totals.messages += summary.retrieved
        totals.octets += summary.retrieved_octets
        totals.removed += summary.removed
        if logger.isEnabledFor(logging.INFO):
            client = session.client
            dropped = summary.marked - summary.removed
            logger.info(
                "%s: ended by %s: address=%s tls=%s %s%s seconds=%.3f",
                client.session_id,
                ending.value,
                client.address or "local",
                client.tls.version if client.tls else "-",
                summary.line(),
                f" marks-dropped={dropped}" if dropped and ending is not Ending.QUIT else "",
                seconds,
                extra=session.extra,
            )

    def _look(self) -> None:
        """Find the connections whose deadline has passed."""
        if not self.drivers:
            self._watch = None
            return
        now = self.now()
        for driver in [driver for driver in self.drivers if driver.deadline <= now]:
            driver.expire()
        self._watch = self.loop.call_later(self._tick, self._look)

    async def settled(self) -> None:
        """Wait for everything that was spawned; give up what hangs, since nobody could end the server otherwise."""
        end = self.now() + _PATIENCE
        while self._tasks and self.now() < end:
            await asyncio.wait(set(self._tasks), timeout=end - self.now())
        for task in self._tasks:
            logger.error("given up after %g s at the end of the server: %r", _PATIENCE, task)
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=1)

    async def end(self) -> None:
        """Cut what connections are left, let every UPDATE under way finish, and free all."""
        for driver in list(self.drivers):
            driver.stop_now()
        await asyncio.sleep(0)
        await self.settled()
        self.close()

    def close(self) -> None:
        """Give the threads and the timer back."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.threads.shutdown(wait=False)
