"""One connection, from accept to close: it pumps octets between a transport, the protocol core and a session, and
keeps the time.

Everything that arrived in one flight is carried out in one go and answered in one write. A command whose data is
at hand costs no task and no turn of the loop; only what has to be waited for becomes a task, and the connection
takes no further command until that is done. What a client does not read stops us reading from it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from poplin.content import Content, FileRegion
from poplin.errors import RemoteProtocolError
from poplin.identity import CURRENT, ClientFacts
from poplin.maildrops.base import Ending
from poplin.protocol.commands import Command, Noop
from poplin.protocol.connection import Need, ServerConnection
from poplin.protocol.replies import After, Begin, End, Err, MultiLine, Ok, Part, Reply
from poplin.protocol.states import State
from poplin.protocol.texts import say
from poplin.server.tls import TlsLayer
from poplin.session.session import Session

if TYPE_CHECKING:
    from concurrent.futures import Future as ThreadFuture

    from poplin.server.hub import Hub, Listener

__all__ = ["Driver"]

logger = logging.getLogger("poplin.server")

_MOST_WAITING = 65_536  # octets of commands not carried out yet, above which we stop reading
_LINGER = 2.0  # seconds for a client to read our last words before the socket is gone
_TURN = 512  # commands carried out in one turn of the loop: some milliseconds of NOOP or LIST n
_GREETING = Noop()  # stands for the command that the greeting answers


class Driver(asyncio.Protocol):
    """Drives one connection. `deadline` is the loop's time at which it has waited long enough."""

    __slots__ = (
        "_address",
        "_busy",
        "_closing",
        "_command",
        "_connection",
        "_drained",
        "_ending",
        "_eof",
        "_finished",
        "_hub",
        "_listener",
        "_lost",
        "_paused",
        "_pushed",
        "_reading_paused",
        "_started",
        "_stopping",
        "_stuck",
        "_task",
        "_tls",
        "_transport",
        "deadline",
        "session",
    )

    def __init__(self, hub: Hub, listener: Listener) -> None:
        self._hub = hub
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._connection = ServerConnection(hub.service.limits)
        self._tls: TlsLayer | None = None
        self._task: asyncio.Task[Any] | None = None
        self._command: Command = _GREETING
        self._drained: asyncio.Future[None] | None = None
        self._ending: Ending | None = None
        self._address = ""
        self._busy = self._closing = self._eof = self._finished = self._lost = False
        self._paused = self._reading_paused = self._stopping = False
        self._pushed: tuple[bytes, ...] = ()
        self._stuck = -1
        self._started = 0.0
        self.deadline = 0.0
        self.session: Session | None = None

    def __repr__(self) -> str:
        return f"<Driver {self.session!r} {'busy' if self._busy else 'idle'}>"

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there: admit it, and greet it."""
        self._transport = cast("asyncio.Transport", transport)
        hub = self._hub
        client = _facts(transport, hub.next_session_id())
        self._address = client.address
        self._started = hub.now()
        self.deadline = self._started + hub.service.limits.login_timeout
        if not hub.enter(self, client.address):
            self._refuse(client)
            return
        starttls = self._listener.tls == "starttls"
        self.session = Session(hub.service, client, starttls=starttls)
        self.session.on_lost = self._lease_lost
        if self._listener.tls == "implicit":
            self._begin_tls()
        else:
            self._greet()

    def data_received(self, data: bytes) -> None:
        """Octets: carry out every whole command in them, and answer all in one write."""
        if self._closing:
            return
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
            if not data:
                return
        self._connection.receive_data(data)
        if self._busy or self._paused:
            self._hold_reading()
        else:
            CURRENT.set(cast("Session", self.session).client)
            self._run()

    def eof_received(self) -> bool:
        """The client will send no more. What it asked before is still answered."""
        self._eof = True
        self._connection.receive_eof()
        if self._closing or self.session is None:
            return False
        if not (self._busy or self._paused):
            self._run()
        return not self._closing

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._paused = True
        self._watch_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._paused = False
        self._stuck = -1
        self._rearm()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if not (self._busy or self._closing):
            self._run()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self._lost = True
        self._closing = True
        if self._drained is not None and not self._drained.done():
            self._drained.cancel()
        if self.session is not None:
            self._hub.leave(self, self._address)
            self._end(Ending.DROPPED)

    # The pump

    def _greet(self) -> None:
        session = cast("Session", self.session)
        CURRENT.set(session.client)
        self._carry_out(_GREETING, session.greet())
        self._run()

    def _run(self) -> None:
        """Carry out the commands at hand, as long as nothing has to be waited for; then write the replies."""
        connection = self._connection
        session = cast("Session", self.session)
        served = 0
        while not (self._busy or self._closing or self._paused):
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
            if connection.queued > self._hub.service.limits.output_octets:
                self._flush()
        if served and session.state is State.TRANSACTION:
            self._rearm()
        self._flush()
        if self._reading_paused and not (self._busy or self._paused or self._closing):
            self._reading_paused = False
            cast("asyncio.Transport", self._transport).resume_reading()
        if self._stopping and not (self._busy or self._closing):
            self._farewell()

    def _yield_turn(self, command: Command) -> None:
        """A client that pipelines without end shares the loop with the others."""
        self._busy = True
        self._hub.loop.call_soon(self._take_turn, command)

    def _take_turn(self, command: Command) -> None:
        self._busy = False
        if not self._closing:
            session = cast("Session", self.session)
            CURRENT.set(session.client)
            self._carry_out(command, session.handle(command))
            self._run()

    def _carry_out(self, command: Command, coroutine: Coroutine[Any, Any, Reply | None]) -> None:
        """Step a command's coroutine; if it does not come to its end at once, a task goes on with it."""
        try:
            coroutine.send(None)
        except StopIteration as stop:
            self._answer(command, stop.value)
            return
        self._busy = True
        self._command = command
        self._task = self._hub.spawn(coroutine)
        self._task.add_done_callback(self._carried_out)
        self._flush()

    def _carried_out(self, task: asyncio.Task[Reply | None]) -> None:
        self._task = None
        self._busy = False
        if task.cancelled() or self._closing:
            reply = None if task.cancelled() else task.result()
            if isinstance(reply, MultiLine):
                reply.content.close()
            self._end(self._ending or Ending.DROPPED)
            return
        CURRENT.set(cast("Session", self.session).client)
        self._answer(self._command, task.result())
        self._run()

    def _answer(self, command: Command, reply: Reply | None) -> None:
        """Queue a reply, and do what follows it."""
        if reply is None:  # a greeting that shall not be
            return
        if isinstance(reply, MultiLine):
            self._answer_body(command, reply)
            return
        if isinstance(reply, Err) and reply.delay:
            self._busy = True
            self._flush()
            self._hub.later(reply.delay, self._answer_late, replace(reply, delay=0))
            return
        self._connection.send(reply)
        if isinstance(reply, Ok | Err) and reply.after is not After.GO_ON:
            if reply.after is After.START_TLS:
                self._start_tls()
            else:
                quits = isinstance(reply, Ok) or command.verb == "QUIT"
                self._close(Ending.QUIT if quits else Ending.REFUSED, linger=isinstance(reply, Err))

    def _answer_late(self, reply: Err) -> None:
        self._busy = False
        if not self._closing:
            self._answer(self._command, reply)
            self._run()

    def _answer_body(self, command: Command, reply: MultiLine) -> None:
        if isinstance(reply.content.body, bytes):
            self._connection.send(reply)
            if command.verb in {"RETR", "TOP"}:
                cast("Session", self.session).body_sent(command, self._connection.body_octets)
            return
        self._busy = True
        self._command = command
        self._task = self._hub.spawn(self._stream(reply))
        self._task.add_done_callback(self._streamed)

    async def _stream(self, reply: MultiLine) -> None:
        """Send a body piece by piece, each when the client has taken the last."""
        connection = self._connection
        connection.send(Begin(reply))
        if isinstance(reply.content.body, FileRegion):
            await self._stream_region(reply.content, reply.content.body)
        elif not isinstance(reply.content.body, bytes):
            async for piece in reply.content.body:
                connection.send(Part(piece))
                await self._give_out()
                if connection.body_satisfied:
                    break
        connection.send(End())

    async def _stream_region(self, content: Content, region: FileRegion) -> None:
        reading: ThreadFuture[bytes] | None = None
        try:
            while not self._connection.body_satisfied:
                # A disk may be slow: its reads hold no other session up.
                reading = self._hub.threads.submit(region.read, self._hub.service.limits.inline_octets)
                piece = await asyncio.wrap_future(reading)
                if not piece:
                    break
                self._connection.send(Part(piece))
                await self._give_out()
        finally:
            # A thread may still be reading: the descriptor is closed behind it, never under it.
            if reading is None:
                content.close()
            else:
                reading.add_done_callback(lambda _: content.close())

    async def _give_out(self) -> None:
        self._flush()
        if self._paused:
            self._drained = self._hub.loop.create_future()
            try:
                await self._drained
            finally:
                self._drained = None
        else:
            self._rearm()

    def _streamed(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._busy = False
        if task.cancelled() or self._closing:
            if not task.cancelled():
                task.exception()  # seen, and of no more interest
            self._end(self._ending or Ending.DROPPED)
            return
        session = cast("Session", self.session)
        error = task.exception()
        if error is not None:
            # Half a message must not pass for a whole: no terminator, the connection is cut.
            logger.error("%s: a message broke off: %s", session.client.session_id, error, extra=session.extra)
            self._abort(Ending.FAILED)
            return
        session.body_sent(self._command, self._connection.body_octets)
        CURRENT.set(session.client)
        self._run()

    # Octets out

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if self._pushed and not self._busy:
            data += b"".join(self._pushed)
            self._pushed = ()
        if data and self._transport is not None and not self._lost:
            if self._tls is not None:
                data = self._tls.encrypt(data)
            self._transport.write(data)

    def _hold_reading(self) -> None:
        if not self._reading_paused and self._connection.waiting > _MOST_WAITING and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    # TLS

    def _start_tls(self) -> None:
        """The reply to STLS is queued: whatever came behind the command was not meant for us (or is an attack)."""
        try:
            self._connection.start_tls()
        except RemoteProtocolError as error:
            logger.warning("%s: %s", cast("Session", self.session).client.session_id, error)
            self._connection.data_to_send()
            self._close(Ending.REFUSED)
            return
        self._flush()
        self._begin_tls()

    def _begin_tls(self) -> None:
        if self._listener.context is None:
            raise TypeError("a listener with TLS needs a context")
        self._tls = TlsLayer(self._listener.context)

    def _decrypt(self, tls: TlsLayer, data: bytes) -> bytes:
        established = tls.established
        transport = cast("asyncio.Transport", self._transport)
        try:
            plain = tls.receive(data)
        except ssl.SSLError as error:
            session = cast("Session", self.session)
            logger.info("%s: TLS failed: %s", session.client.session_id, error.reason or error, extra=session.extra)
            transport.write(tls.pending())
            self._tls = None
            self._close(Ending.REFUSED)
            return b""
        if pending := tls.pending():
            transport.write(pending)
        if tls.established and not established:
            self._tls_established(tls)
        if tls.closed and not self._eof:
            self._eof = True
            self._connection.receive_data(plain)
            self._connection.receive_eof()
            if not (self._busy or self._paused or self._closing):
                self._run()
            return b""
        return plain

    def _tls_established(self, tls: TlsLayer) -> None:
        session = cast("Session", self.session)
        client = replace(session.client, tls=tls.facts())
        if session.state is State.CONNECT:  # implicit TLS: the greeting is still owed
            session.client = client
            self._greet()
        else:
            session.tls_started(client)

    # Time

    def _rearm(self) -> None:
        session = self.session
        if session is not None and session.state is State.TRANSACTION:
            self.deadline = self._hub.now() + self._hub.service.limits.autologout

    def _watch_writing(self) -> None:
        transport = cast("asyncio.Transport", self._transport)
        self._stuck = transport.get_write_buffer_size()
        self.deadline = self._hub.now() + self._hub.service.limits.write_timeout

    def expire(self) -> None:
        """The deadline has passed. Silent, and nothing is removed (RFC 1939 section 3)."""
        transport = cast("asyncio.Transport", self._transport)
        session = self.session
        if session is not None and session.state is State.UPDATE and self._busy:
            self.deadline = self._hub.now() + self._hub.service.limits.write_timeout
        elif 0 < transport.get_write_buffer_size() < self._stuck:
            self._watch_writing()  # it reads, if slowly
        else:
            if session is not None and not self._closing:
                why = "does not read" if self._paused else "is silent"
                logger.info("%s: client %s, closed", session.client.session_id, why, extra=session.extra)
            self._abort(Ending.TIMEOUT)

    # Ends

    @property
    def busy(self) -> bool:
        """Whether something is under way that a graceful stop waits for."""
        return self._busy or self._paused

    def stop(self) -> None:
        """Say farewell as soon as the reply under way is out."""
        self._stopping = True
        if not (self._busy or self._paused or self._closing):
            self._farewell()

    def kick(self) -> None:
        """End this session for the administrator: marks are dropped, an UPDATE under way is finished."""
        self._spoken_end("kicked", Ending.KICKED)

    def push(self, text: str) -> None:
        """Send a line that answers nothing, behind the reply under way (`Policy.push`)."""
        if not self._closing and self._transport is not None:
            line = " ".join(text.splitlines()).encode("utf-8", "replace") + b"\r\n"
            self._pushed += (line,)
            if not self._busy:
                self._flush()

    def abort(self) -> None:
        """End it now, without a word; an UPDATE under way is still finished."""
        self._abort(Ending.STOPPED)

    def _farewell(self) -> None:
        self._spoken_end("stopping", Ending.STOPPED)

    def _spoken_end(self, text_id: str, ending: Ending) -> None:
        if self._closing:
            return
        if self._busy or self._paused:
            self._abort(ending)
        elif self.session is None or (self._tls is not None and not self._tls.established):
            self._close(ending)
        else:
            self._connection.send(Err(say(text_id), "SYS/TEMP"))
            self._close(ending, linger=True)

    def _lease_lost(self, reason: str) -> None:
        """From any thread: the maildrop was taken from this session."""
        self._hub.loop.call_soon_threadsafe(self._lease_is_lost, reason)

    def _lease_is_lost(self, reason: str) -> None:
        if self._closing or self._busy or self._paused:
            self._abort(Ending.KICKED)
            return
        self._connection.send(Err(say("lease-taken", {"reason": reason}), "SYS/TEMP"))
        self._close(Ending.KICKED, linger=True)

    def _refuse(self, client: ClientFacts) -> None:
        logger.warning("%s: refused %s: too many connections", client.session_id, client.address or "a local client")
        self._closing = True
        transport = cast("asyncio.Transport", self._transport)
        if self._listener.tls != "implicit":  # there it would have to be said inside TLS: costs more than it helps
            transport.write(Err(say("too-many-connections"), "SYS/TEMP").line())
        transport.close()

    def _close(self, ending: Ending, *, linger: bool = False) -> None:
        """Send what is queued, then close. With `linger` our last words survive what the client is still sending."""
        if self._closing:
            return
        self._closing = True
        self._flush()
        transport = cast("asyncio.Transport", self._transport)
        if self._tls is not None and self._tls.established:
            transport.write(self._tls.close())
        if self._reading_paused:
            self._reading_paused = False
            transport.resume_reading()
        if linger and not self._eof and self._tls is None and transport.can_write_eof():
            # Closing a socket with unread input resets it, and a reset may overtake our last reply.
            transport.write_eof()
        else:
            linger = False
            transport.close()
        self._watch_writing()
        if linger:
            self.deadline = self._hub.now() + _LINGER
        self._end(ending)

    def _abort(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
        if self.session is not None and self.session.state is State.UPDATE and self._busy:
            self._stopping = True
            return
        self._closing = True
        cast("asyncio.Transport", self._transport).abort()
        self._end(ending)

    def _end(self, ending: Ending) -> None:
        """End the session, once nothing of it is under way any more."""
        session = self.session
        if self._ending is None:
            self._ending = ending
        if session is None or self._finished:
            return
        if self._task is not None:
            if session.state is not State.UPDATE:
                self._task.cancel()
            return  # its end comes back here
        self._finished = True
        self._hub.finish(session, self._ending, self._hub.now() - self._started)


def _facts(transport: asyncio.BaseTransport, session_id: str) -> ClientFacts:
    peer = transport.get_extra_info("peername")
    local = transport.get_extra_info("sockname")
    if isinstance(peer, tuple) and isinstance(local, tuple):
        return ClientFacts(peer[0], peer[1], (local[0], local[1]), None, session_id)
    return ClientFacts(session_id=session_id)
