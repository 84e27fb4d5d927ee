"""A blocking POP3 client that says exactly what it is told to: the other end in the tests of the server.

It knows lines and multi-line bodies and nothing of what they mean, and it waits at most `PATIENCE` seconds.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

PATIENCE = 30.0


class Wire:
    """One connection, greeting not yet read. `address` is a port on 127.0.0.1, (host, port), or a UNIX path."""

    def __init__(
        self,
        address: int | tuple[str, int] | str,
        tls: ssl.SSLContext | None = None,
        *,
        receive_buffer: int = 0,
    ) -> None:
        family, where = _where(address)
        self.socket: socket.socket = socket.socket(family, socket.SOCK_STREAM)
        self._input = b""
        try:
            self.socket.settimeout(PATIENCE)
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.connect(where)
            if tls is not None:
                self.start_tls(tls)
        except BaseException:
            self.socket.close()
            raise

    def start_tls(self, context: ssl.SSLContext) -> None:
        """The handshake; what was read in clear and not used yet is an error."""
        assert not self._input
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> bytes:
        """The next line without its CRLF; b"" when the server closed in order."""
        while b"\r\n" not in self._input:
            piece = self.socket.recv(65_536)
            if not piece:
                assert not self._input, f"the server closed in the middle of a line: {self._input!r}"
                return b""
            self._input += piece
        line, _, self._input = self._input.partition(b"\r\n")
        return line

    def ask(self, command: str) -> bytes:
        """Send one command; the first line of its answer."""
        self.send(command.encode() + b"\r\n")
        return self.line()

    def body(self) -> bytes:
        """The body of a multi-line response, unstuffed."""
        while not (self._input.startswith(b".\r\n") or b"\r\n.\r\n" in self._input):
            piece = self.socket.recv(262_144)
            assert piece, "the server closed in the middle of a body"
            self._input += piece
        if self._input.startswith(b".\r\n"):
            self._input = self._input[3:]
            return b""
        body, _, self._input = self._input.partition(b"\r\n.\r\n")
        return (b"\r\n" + body).replace(b"\r\n.", b"\r\n")[2:] + b"\r\n"

    def retrieve(self, number: int) -> bytes:
        """The whole message."""
        answer = self.ask(f"RETR {number}")
        assert answer.startswith(b"+OK"), answer
        return self.body()

    def log_in(self, user: str = "ann", password: str = "secret") -> bytes:
        """Read the greeting and log in; the answer to PASS."""
        assert self.line().startswith(b"+OK")
        return self.pass_in(user, password)

    def pass_in(self, user: str = "ann", password: str = "secret") -> bytes:
        """Log in behind the greeting; the answer to PASS."""
        assert self.ask(f"USER {user}").startswith(b"+OK")
        return self.ask(f"PASS {password}")

    def taken(self) -> bytes:
        """What was read from the socket already and not used yet; it counts as used now."""
        taken, self._input = self._input, b""
        return taken

    def rest(self) -> bytes:
        """Everything until the server closes; a reset is an error."""
        pieces = [self._input]
        self._input = b""
        while piece := self.socket.recv(65_536):
            pieces.append(piece)
        return b"".join(pieces)

    def remains(self) -> bytes:
        """Everything until the connection ends, in order or by a reset."""
        pieces = [self._input]
        self._input = b""
        with contextlib.suppress(ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            while piece := self.socket.recv(65_536):
                pieces.append(piece)
        return b"".join(pieces)

    def silent(self) -> bool:
        """Whether nothing of the server is there to read just now."""
        return not self._input and not select.select([self.socket], [], [], 0)[0]

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Be gone without a word: RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _where(address: int | tuple[str, int] | str) -> tuple[int, str | tuple[str, int]]:
    if isinstance(address, int):
        return socket.AF_INET, ("127.0.0.1", address)
    if isinstance(address, str):
        return socket.AF_UNIX, address
    return (socket.AF_INET6 if ":" in address[0] else socket.AF_INET), address


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that another thread or process brings about."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"never came true: {what}"
        time.sleep(0.005)


@contextlib.contextmanager
def logged_in(port: int, user: str = "ann") -> Iterator[Wire]:
    """A connection in TRANSACTION."""
    with Wire(port) as wire:
        answer = wire.log_in(user)
        assert answer.startswith(b"+OK"), answer
        yield wire
