"""One connection, from accept to close: it pumps commands and replies between a stream, the protocol core and a
session, and keeps the session's time.

Everything that arrived in one flight is carried out in one go and answered in one write. A command whose data is
at hand costs no task and no turn of the loop; only what has to be waited for becomes a task, and the connection
takes no further command until that is done. What a client does not read stops us reading from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import socket
import ssl
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final, cast

from poplin.errors import RemoteProtocolError
from poplin.identity import CURRENT, ClientFacts
from poplin.maildrops.base import Ending
from poplin.protocol.commands import Command, Noop
from poplin.protocol.connection import Need, ServerConnection
from poplin.protocol.replies import After, Err, MultiLine, Ok, Reply, Status
from poplin.protocol.states import State
from poplin.protocol.texts import say
from poplin.server.bodies import send_body
from poplin.server.hub import Hub, Listener
from poplin.server.stream import Stream
from poplin.server.tls import TlsLayer
from poplin.session.session import Session

__all__ = ["Driver"]

logger: logging.Logger = logging.getLogger("poplin.server")

_MOST_WAITING = 65_536  # octets of commands not carried out yet, above which we stop reading
_MUCH = 16_384  # octets given since the client last spoke, above which it cannot be thought to have read them
_TURN = 512  # commands carried out in one turn of the loop: some milliseconds of NOOP or LIST n
_STATUS: Final = (Ok, Err)  # a union would be made anew at each test of it
_NETWORK = frozenset({socket.AF_INET, socket.AF_INET6})
_GREETING = Noop()  # stands for the command that the greeting answers


class Driver(Stream):
    """Drives one session. Busy means: a command is under way, and no further one is taken until it is answered."""

    __slots__ = (
        "_address",
        "_busy",
        "_command",
        "_connection",
        "_ending",
        "_finished",
        "_given",
        "_hub",
        "_listener",
        "_local",
        "_pushed",
        "_started",
        "_stopping",
        "_task",
        "session",
    )

    def __init__(self, hub: Hub, listener: Listener, local: tuple[str, int] | None = None) -> None:
        super().__init__(hub.loop, hub.service.limits.write_timeout)
        self._hub = hub
        self._listener = listener
        self._local = local
        self._connection = ServerConnection(hub.service.limits)
        self._task: asyncio.Task[Any] | None = None
        self._command: Command = _GREETING
        self._ending: Ending | None = None
        self._address = ""
        self._busy = self._finished = self._stopping = False
        self._pushed: tuple[bytes, ...] = ()
        self._started = 0.0
        self._given = 0
        self.session: Session = cast("Session", None)  # there from `opened` on, unless the connection was refused

    def __repr__(self) -> str:
        return f"<Driver {self.session!r} {'busy' if self._busy else 'idle'}>"

    @property
    def busy(self) -> bool:
        """Whether something is under way that a graceful stop waits for."""
        return self._busy or self.paused

    # What the stream tells

    def opened(self) -> None:
        """A client is there: admit it, and greet it."""
        hub = self._hub
        client = _facts(self.transport, hub.next_session_id(), self._local)
        if client is None:
            self.abort()
            return
        self._address = client.address
        self._started = hub.now()
        self.deadline = self._started + hub.service.limits.login_timeout
        if hub.closing or not hub.enter(self, client.address):
            self._refuse(client, "stopping" if hub.closing else "too-many-connections")
            return
        self.session = Session(hub.service, client, starttls=self._listener.tls == "starttls")
        self.session.on_lost = self._lease_lost
        self.session.on_close = self.kick
        if self._listener.tls == "implicit":
            self._begin_listeners_tls()
        else:
            self._greet()

    def received(self, octets: bytes) -> None:
        """Carry out every whole command that is here now."""
        self._connection.receive_data(octets)
        self._given = 0
        if self._busy or self.paused:
            if self._connection.waiting > _MOST_WAITING:
                self.pause_reading()
        else:
            self._run()

    def received_end(self) -> None:
        """What the client asked before is still answered."""
        self._connection.receive_eof()
        if not (self._busy or self.paused):
            self._run()

    def secured(self, tls: TlsLayer) -> None:
        """TLS is up: the greeting is still owed (implicit TLS), or the session begins anew (STLS)."""
        client = replace(self.session.client, tls=tls.facts())
        if self.session.state is State.CONNECT:
            self.session.client = client
            self._greet()
        else:
            self.session.tls_started(client)

    def unsecured(self, error: ssl.SSLError) -> None:
        """No TLS, no session."""
        session = self.session
        logger.info("%s: TLS failed: %s", session.client.session_id, error.reason or error, extra=session.extra)
        self._close(Ending.REFUSED)

    def writable(self) -> None:
        """Go on where the client's slowness stopped us."""
        self._rearm()
        if not (self._busy or self.closing):
            self._run()

    def gone(self) -> None:
        """Free everything."""
        if self.session is not None:
            self._hub.leave(self, self._address)
            self._end(Ending.DROPPED)

    # The pump

    def _greet(self) -> None:
        CURRENT.set(self.session.client)
        self._carry_out(_GREETING, self.session.greet())
        self._run()

    def _run(self) -> None:
        """Carry out the commands at hand, as long as nothing has to be waited for; then write the replies."""
        connection = self._connection
        session = self.session
        CURRENT.set(session.client)
        served = 0
        while not (self._busy or self.closing or self.paused or self._stopping):
            if connection.queued > self._hub.service.limits.output_octets:
                self._flush()  # what the client does not read keeps the commands behind it from being carried out
                continue
            command = connection.next_command()
            if isinstance(command, Need):
                if command is Need.END:
                    self._close(Ending.DROPPED)
                break
            if served == _TURN:
                self._yield_turn(command)
                break
            served += 1
            self._carry_out(command, session.handle(command))
            if not connection.waiting and not self.eof:
                break  # the usual flight of one command: nothing more to ask for
        if served:
            self._rearm()
        self._flush()
        if not (self._busy or self.paused or self.closing):
            self.resume_reading()
            if self._stopping:
                self._spoken_end("stopping", Ending.STOPPED)

    def _yield_turn(self, command: Command) -> None:
        """A client that pipelines without end shares the loop with the others."""
        self._busy = True
        self.loop.call_soon(self._take_turn, command)

    def _take_turn(self, command: Command) -> None:
        self._busy = False
        if not self.closing:
            CURRENT.set(self.session.client)
            self._carry_out(command, self.session.handle(command))
            self._run()

    def _carry_out(self, command: Command, coroutine: Coroutine[Any, Any, Reply | None]) -> None:
        """Step a command's coroutine; if it does not come to its end at once, a task goes on with it."""
        try:
            coroutine.send(None)
        except StopIteration as stop:
            self._answer(command, stop.value)
            return
        except Exception as error:  # noqa: BLE001 - reported, and the end of this session alone
            self._fail(error)
            return
        self._wait_for(command, coroutine).add_done_callback(self._carried_out)
        self._flush()

    def _wait_for(self, command: Command, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        self._busy = True
        self._command = command
        self._task = self._hub.spawn(coroutine)
        return self._task

    def _is_over(self, task: asyncio.Task[Any]) -> bool:
        """A task is done; whether the connection is done with, too, so that its result matters no more."""
        self._task = None
        self._busy = False
        if not self.closing:
            if not task.cancelled():
                CURRENT.set(self.session.client)
                self._rearm()
                return False
            # Not by us: a callback waited for something that somebody else cancelled.
            logger.error("%s: %s was cancelled by its callback", self.session.client.session_id, self._command.verb)
            self._abort(Ending.FAILED)
            return True
        reply = None if task.cancelled() or task.exception() else task.result()
        if isinstance(reply, MultiLine):
            reply.content.close()
        self._end(Ending.DROPPED)
        return True

    def _carried_out(self, task: asyncio.Task[Reply | None]) -> None:
        if self._is_over(task):
            return
        error = task.exception()
        if error is not None:
            self._fail(error)
            return
        self._answer(self._command, task.result())
        self._run()

    def _fail(self, error: BaseException) -> None:
        """The session itself failed, which answers all that fails below it: nobody is left waiting."""
        session = self.session
        logger.error("%s: the session failed", session.client.session_id, exc_info=error, extra=session.extra)
        if self._hub.service.policy.raise_errors:
            self._hub.failures.append(error)
        self._abort(Ending.FAILED)

    def _answer(self, command: Command, reply: Reply | None) -> None:
        """Queue a reply, and do what follows it."""
        if reply is None:  # a greeting that shall not be
            return
        if isinstance(reply, MultiLine):
            self._answer_body(command, reply)
            return
        if isinstance(reply, Err) and reply.delay:
            self._busy = True
            self._command = command
            self._flush()
            self._hub.later(reply.delay, self._answer_late, replace(reply, delay=0))
            return
        self._connection.send(reply)
        if isinstance(reply, _STATUS) and reply.after is not After.GO_ON:
            self._follow(command, reply)

    def _follow(self, command: Command, reply: Status) -> None:
        """Do what comes behind a reply."""
        if reply.after is After.START_TLS:
            self._start_tls()
        elif reply.after is After.CLOSE:
            ending = Ending.KICKED if isinstance(reply, Ok) else Ending.REFUSED
            if command.verb == "QUIT" or (isinstance(reply, Ok) and self.session.state is State.DISCONNECT):
                ending = Ending.QUIT
            unread = self._connection.waiting > 0 or self.reading_paused
            # A message before the QUIT of the same flight is hardly read yet: a reset now would cut it, and lose it
            # if the flight removed it too.
            unread = unread or self._given + self._connection.queued > _MUCH
            self._close(ending, linger=unread or isinstance(reply, Err))

    def _answer_late(self, reply: Err) -> None:
        self._busy = False
        if not self.closing:
            CURRENT.set(self.session.client)
            self._answer(self._command, reply)
            self._run()

    def _answer_body(self, command: Command, reply: MultiLine) -> None:
        if isinstance(reply.content.body, bytes):
            self._connection.send(reply)
            if command.verb in {"RETR", "TOP"}:
                self.session.body_sent(command, self._connection.body_octets)
            self._follow(command, reply.ok)
            return
        body = send_body(reply, self._connection, self._hub, self._give_out)
        body.send(None)  # up to where it frees the content: a task that is cancelled before it began never gets there
        self._wait_for(command, body).add_done_callback(functools.partial(self._body_sent, reply.ok))

    async def _give_out(self) -> None:
        """Write what is queued; wait until the client has taken enough of it."""
        self._flush()
        if self.paused:
            await self.drained()
        else:
            self._rearm()
            await asyncio.sleep(0)  # neither a quick source nor a lost client keeps the loop from the others

    def _body_sent(self, status: Ok, task: asyncio.Task[None]) -> None:
        if self._is_over(task):
            return
        session = self.session
        error = task.exception()
        if error is not None:
            # Half a message must not pass for a whole: no terminator, the connection is cut.
            logger.error("%s: a message broke off: %s", session.client.session_id, error, extra=session.extra)
            self._abort(Ending.FAILED)
            return
        session.body_sent(self._command, self._connection.body_octets)
        self._follow(self._command, status)
        self._run()

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if self._pushed and not self._busy:
            data += b"".join(self._pushed)
            self._pushed = ()
        if data:
            self._given += len(data)
            self.write(data)

    # TLS

    def _start_tls(self) -> None:
        """The reply to STLS is queued: whatever came behind the command was not meant for us (or is an attack)."""
        try:
            self._connection.start_tls()
        except RemoteProtocolError as error:
            logger.warning("%s: %s", self.session.client.session_id, error, extra=self.session.extra)
            self._connection.data_to_send()
            self._close(Ending.REFUSED)
            return
        self._flush()
        self._begin_listeners_tls()

    def _begin_listeners_tls(self) -> None:
        if self._listener.context is None:
            raise TypeError("a listener with TLS needs a context")
        self.begin_tls(self._listener.context)

    # Time

    def _rearm(self) -> None:
        """The client did something: its silence is counted from here. Before login there is one deadline for all."""
        if self.session.state is State.TRANSACTION and not self.paused:
            self.deadline = self._hub.now() + self._hub.service.limits.autologout

    @property
    def _latest(self) -> float:
        """When the login has to be done: a client that does not read cannot put that off."""
        if self.session.state is State.CONNECT or self.session.state is State.AUTHORIZATION:
            return self._started + self._hub.service.limits.login_timeout
        return math.inf

    def watch_writing(self) -> None:
        """Give the client its time to read."""
        super().watch_writing()
        self.deadline = min(self.deadline, self._latest)

    def expire(self) -> None:
        """The deadline has passed. Silent, and nothing is removed (RFC 1939 section 3)."""
        session = self.session
        if session.state is State.UPDATE and self._busy:
            self.deadline: float = self._hub.now() + self._hub.service.limits.write_timeout
        elif self.reads_slowly and self._hub.now() < self._latest:
            self.watch_writing()
        else:
            if not self.closing:
                why = "does not read" if self.paused else "is silent"
                logger.info("%s: client %s, closed", session.client.session_id, why, extra=session.extra)
            self._abort(Ending.TIMEOUT)

    # Ends

    def stop(self) -> None:
        """Say farewell as soon as the reply under way is out."""
        self._stopping = True
        if not (self.busy or self.closing):
            self._spoken_end("stopping", Ending.STOPPED)

    def kick(self) -> None:
        """End this session for the administrator: marks are dropped, an UPDATE under way is finished."""
        self._spoken_end("kicked", Ending.KICKED)

    def push(self, text: str) -> bool:
        """Send a line that answers nothing, behind the reply under way (`Policy.push`); False: it cannot be sent."""
        handshake = self.tls is not None and not self.tls.established
        waiting = self.transport.get_write_buffer_size() + sum(map(len, self._pushed))
        if self.closing or handshake or waiting > self._hub.service.limits.output_octets:
            return False  # gone, in the middle of a handshake, or a client that does not read
        self._pushed += (" ".join(text.split()).encode("utf-8", "replace") + b"\r\n",)
        if not self._busy:
            self._flush()
        return True

    def stop_now(self) -> None:
        """End it without a word; an UPDATE under way is still finished."""
        self._abort(Ending.STOPPED)

    def _spoken_end(self, text_id: str, ending: Ending, **fields: object) -> None:
        if self.closing:
            return
        if self.busy:
            self._abort(ending)
        elif self.tls is not None and not self.tls.established:
            self._close(ending)
        else:
            self._connection.send(Err(say(text_id, fields), "SYS/TEMP"))
            self._close(ending, linger=True)

    def _lease_lost(self, reason: str) -> None:
        """From any thread: the maildrop was taken from this session."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self.loop.call_soon_threadsafe(self._lease_is_lost, reason)

    def _lease_is_lost(self, reason: str) -> None:
        self._spoken_end("lease-taken", Ending.KICKED, reason=reason)

    def _refuse(self, client: ClientFacts, text_id: str) -> None:
        level = logging.WARNING if text_id == "too-many-connections" else logging.INFO
        logger.log(level, "%s: refused %s: %s", client.session_id, client.address or "here", text_id.replace("-", " "))
        self.closing = True
        if self._listener.tls != "implicit":  # there it would have to be said inside TLS: costs more than it helps
            self.transport.write(Err(say(text_id), "SYS/TEMP").line())
        self.transport.close()

    def _close(self, ending: Ending, *, linger: bool = False) -> None:
        """Send what is queued, then close."""
        if not self.closing:
            self._flush()
            self.close(linger=linger)
            self._end(ending)

    def _abort(self, ending: Ending) -> None:
        """Cut the connection; an UPDATE under way is finished first."""
        if self._ending is None:
            self._ending = ending
        if self.session.state is State.UPDATE and self._busy:
            self._stopping = True
            return
        self.abort()
        self._end(ending)

    def _end(self, ending: Ending) -> None:
        """End the session, once nothing of it is under way any more."""
        if self._ending is None:
            self._ending = ending
        if self._finished:
            return
        if self._task is not None:
            # Once: a second cancellation would cut short what the first makes it tidy up.
            if self.session.state is not State.UPDATE and not self._task.cancelling():
                self._task.cancel()
            return  # its end comes back here
        self._finished = True
        self._hub.finish(self.session, self._ending, self._hub.now() - self._started)


def _facts(transport: asyncio.BaseTransport, session_id: str, local: tuple[str, int] | None) -> ClientFacts | None:
    """The facts of a connection; ``None`` if its client was gone before it could be asked who it is."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        # A network client without an address must not pass for one of this machine, whatever it had sent before.
        of_network = transport.get_extra_info("socket")
        if of_network is not None and of_network.family in _NETWORK:
            return None
        return ClientFacts(session_id=session_id)
    if local is None:  # listening on all addresses: only the socket knows which it was
        name = transport.get_extra_info("sockname")
        local = (name[0], name[1]) if isinstance(name, tuple) else ("", 0)
    return ClientFacts(peer[0], peer[1], local, None, session_id)
