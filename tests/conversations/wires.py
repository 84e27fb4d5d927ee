"""Three ways to talk to poplin, all alike to the one who talks: a session alone, session + core, a real server.

A wire sends octets and hears lines. The session alone is stepped by hand and its replies are spelt out here, by
routines of our own that are slow and plain; the core is pumped without any loop; the server is reached by a socket.
"""

import base64
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Protocol, TypeVar

from conversations.world import Setting
from poplin.errors import RemoteProtocolError
from poplin.identity import CURRENT, ClientFacts, TlsFacts
from poplin.maildrops.base import Ending
from poplin.protocol.connection import Need, ServerConnection
from poplin.protocol.parsing import parse_command, parse_sasl_response
from poplin.protocol.replies import After, Begin, Continuation, End, Err, MultiLine, Ok, Part, Reply
from poplin.server.background import BackgroundServer
from poplin.server.hub import Listener, TlsMode
from poplin.server.server import Server
from poplin.session.session import Session

__all__ = ["CoreWire", "ServerWire", "SessionWire", "Wire", "plain_body", "plain_top", "step"]

T = TypeVar("T")

TLS = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384")
PATIENCE = 20  # seconds until a test is told to have hung; no test waits for it to pass


class Wire(Protocol):
    """One connection, seen from the client."""

    def send(self, octets: bytes) -> None:
        """Say something."""

    def hear_line(self) -> bytes:
        """The next line, CRLF included; what came before the end if there is none; ``b""`` at the end."""

    def start_tls(self) -> None:
        """The handshake behind STLS."""

    def drop(self) -> None:
        """Be gone."""

    def finish(self) -> bytes:
        """Stop talking; whatever the server still had to say."""


def step(coroutine: Coroutine[object, object, T]) -> T:
    """Run a coroutine by hand to its end."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            result: T = stop.value
            return result


def plain_body(message: bytes) -> bytes:
    """A message as it goes over the wire, terminator included: the slow and plain way."""
    wire = bytearray()
    line_start = True
    before = 0
    for octet in message:
        if octet == 10 and before != 13:
            wire += b"\r"
        if line_start and octet == 46:
            wire += b"."
        wire.append(octet)
        line_start = octet == 10
        before = octet
    if not line_start:
        wire += b"\r\n"
    return bytes(wire) + b".\r\n"


def plain_top(message: bytes, lines: int) -> bytes:
    """The message that TOP shows of a message: header, blank line, so many lines of the body."""
    shown = []
    left = -1
    for line in message.split(b"\n"):
        if left == 0:
            break
        shown.append(line)
        if left > 0:
            left -= 1
        elif line in {b"", b"\r"}:
            left = lines
    else:
        return message
    return b"\n".join(shown) + b"\n"


class SessionWire:
    """A session without the core: lines are cut and replies spelt here."""

    def __init__(self, setting: Setting) -> None:
        client = ClientFacts("127.0.0.1", 40_000, ("127.0.0.1", 110), TLS if setting.tls == "implicit" else None, "t-1")
        self.session = Session(setting.service(), client, starttls=setting.tls == "starttls")
        CURRENT.set(client)
        self._input = b""
        self._output = b""
        self._exchange = False
        self._closed = False
        greeting = step(self.session.greet())
        assert greeting is not None
        self._spell(greeting)

    def send(self, octets: bytes) -> None:
        self._input += octets
        while b"\n" in self._input and not self._closed:
            line, _, self._input = self._input.partition(b"\n")
            line = line.removesuffix(b"\r")
            command = parse_sasl_response(line) if self._exchange else parse_command(line)
            reply = step(self.session.handle(command))
            self._spell(reply)
            if isinstance(reply, MultiLine) and isinstance(reply.content.body, bytes):
                self.session.body_sent(command, len(plain_body(reply.content.body).replace(b"\r\n..", b"\r\n.")) - 3)
            if isinstance(reply, Ok | Err) and reply.after is After.CLOSE:
                self._end(Ending.QUIT if isinstance(reply, Ok) or command.verb == "QUIT" else Ending.REFUSED)

    def _spell(self, reply: Reply) -> None:
        self._exchange = isinstance(reply, Continuation)
        match reply:
            case Ok() | Err():
                self._output += reply.line()
            case Continuation():
                self._output += b"+ " + base64.b64encode(reply.challenge) + b"\r\n"
            case MultiLine():
                assert isinstance(reply.content.body, bytes)
                body = reply.content.prefix + reply.content.body
                shown = body if reply.lines is None else plain_top(body, reply.lines)
                self._output += reply.ok.line() + plain_body(shown)

    def _end(self, ending: Ending) -> None:
        self._closed = True
        step(self.session.end(ending))
        step(self.session.end(Ending.FAILED))  # the second time does nothing

    def hear_line(self) -> bytes:
        line, self._output = _cut(self._output)
        return line

    def start_tls(self) -> None:
        self._input = b""
        self.session.tls_started(replace(self.session.client, tls=TLS))

    def drop(self) -> None:
        if not self._closed:
            self._end(Ending.DROPPED)

    def finish(self) -> bytes:
        self.drop()
        return self._output


class CoreWire:
    """Session and core, pumped by a blocking loop. `piece`: how many octets are fed at once (0: all)."""

    def __init__(self, setting: Setting, piece: int = 0) -> None:
        client = ClientFacts("127.0.0.1", 40_000, ("127.0.0.1", 110), TLS if setting.tls == "implicit" else None, "t-1")
        self.session = Session(setting.service(), client, starttls=setting.tls == "starttls")
        self.connection = ServerConnection(setting.make_limits())
        CURRENT.set(client)
        self._piece = piece
        self._output = b""
        self.closed = False
        greeting = step(self.session.greet())
        assert greeting is not None
        self._answer("greeting", greeting)

    def send(self, octets: bytes) -> None:
        size = self._piece or max(len(octets), 1)
        for start in range(0, len(octets), size):
            if self.closed:
                return
            self.connection.receive_data(octets[start : start + size])
            self._pump()

    def _pump(self) -> None:
        while not self.closed:
            command = self.connection.next_command()
            if isinstance(command, Need):
                if command is Need.END:
                    self._end(Ending.DROPPED)
                return
            reply = step(self.session.handle(command))
            self._answer(command.verb, reply)
            if isinstance(reply, MultiLine):
                self.session.body_sent(command, self.connection.body_octets)

    def _answer(self, verb: str, reply: Reply) -> None:
        if isinstance(reply, MultiLine) and isinstance(reply.content.body, AsyncIterator):
            step(self._stream(reply, reply.content.body))
        else:
            self.connection.send(reply)
        status = reply.ok if isinstance(reply, MultiLine) else reply
        after = status.after if isinstance(status, Ok | Err) else After.GO_ON
        if after is After.START_TLS:
            try:
                self.connection.start_tls()
            except RemoteProtocolError:
                self.connection.data_to_send()
                self._end(Ending.REFUSED)
        self._output += self.connection.data_to_send()
        if after is After.CLOSE:
            self._end(Ending.QUIT if isinstance(status, Ok) or verb == "QUIT" else Ending.REFUSED)

    async def _stream(self, reply: MultiLine, body: AsyncIterator[bytes]) -> None:
        self.connection.send(Begin(reply))
        async for piece in body:
            self.connection.send(Part(piece))
            if self.connection.body_satisfied:
                break
        self.connection.send(End())

    def _end(self, ending: Ending) -> None:
        self.closed = True
        step(self.session.end(ending))
        step(self.session.end(Ending.FAILED))

    def hear_line(self) -> bytes:
        line, self._output = _cut(self._output)
        return line

    def start_tls(self) -> None:
        self.session.tls_started(replace(self.session.client, tls=TLS))

    def drop(self) -> None:
        if not self.closed:
            self._end(Ending.DROPPED)

    def finish(self) -> bytes:
        if not self.closed:
            self.connection.receive_eof()
            self._pump()
        assert self.closed
        return self._output


class ServerWire:
    """A socket to a real server in a thread. `piece`: how many octets are sent at once (0: all)."""

    def __init__(self, setting: Setting, contexts: tuple[ssl.SSLContext, ssl.SSLContext], piece: int = 0) -> None:
        mode: TlsMode = "starttls" if setting.tls == "starttls" else "implicit" if setting.tls == "implicit" else "none"
        self.server = Server(
            maildrops=setting.source,
            authenticator=setting.source,
            commands=setting.commands,
            listeners=[Listener(address="127.0.0.1:0", tls=mode, context=None if mode == "none" else contexts[0])],
            policy=setting.make_policy(),
            limits=setting.make_limits(),
            plugins=setting.pipeline.plugins,
        )
        self._context = contexts[1]
        self._background = BackgroundServer(self.server)
        self._background.start()
        self._piece = piece
        self._input = b""
        self._socket = socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if mode == "implicit":
            self.start_tls()

    def send(self, octets: bytes) -> None:
        size = self._piece or max(len(octets), 1)
        # It may have closed already; what it said before is still to be heard.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for start in range(0, len(octets), size):
                self._socket.sendall(octets[start : start + size])

    def hear_line(self) -> bytes:
        while b"\r\n" not in self._input:
            octets = self._receive()
            if not octets:
                break
            self._input += octets
        line, self._input = _cut(self._input)
        return line

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65_536)
        except (ConnectionResetError, ssl.SSLEOFError):
            return b""

    def start_tls(self) -> None:
        assert not self._input, "octets before the handshake"
        self._socket = self._context.wrap_socket(self._socket, server_hostname="localhost")

    def drop(self) -> None:
        self._socket.close()
        # A stop that came before the server noticed would be another ending than the one to be seen.
        until = time.monotonic() + PATIENCE
        while self.server.sessions and time.monotonic() < until:
            time.sleep(0.001)
        self._background.stop()

    def finish(self) -> bytes:
        if self._socket.fileno() >= 0:
            if not isinstance(self._socket, ssl.SSLSocket):
                self._no_more()
            else:
                self._socket = self._unwrap(self._socket)
            while octets := self._receive():
                self._input += octets
            self._socket.close()
        self._background.stop()
        return self._input

    def _no_more(self) -> None:
        with contextlib.suppress(OSError):  # the server was quicker
            self._socket.shutdown(socket.SHUT_WR)

    def _unwrap(self, wrapped: ssl.SSLSocket) -> socket.socket:
        while True:
            try:
                return wrapped.unwrap()
            except ssl.SSLError as error:
                if error.reason != "APPLICATION_DATA_AFTER_CLOSE_NOTIFY":
                    return wrapped
                self._input += self._receive()
            except OSError:
                return wrapped


def _cut(octets: bytes) -> tuple[bytes, bytes]:
    end = octets.find(b"\r\n")
    return (octets, b"") if end < 0 else (octets[: end + 2], octets[end + 2 :])
