"""The client's end of one connection, without I/O: the same six verbs, for upstream maildrops and for tests.

Replies come out as values: `Status`, `Continue`, and the pieces of a multi-line body.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import TypeAlias

from poplin.errors import LocalProtocolError, RemoteProtocolError
from poplin.protocol.connection import END_OF_INPUT, NEED_DATA, Need
from poplin.protocol.lines import TOO_LONG, LineBuffer
from poplin.protocol.multiline import Decoder

__all__ = ["Body", "BodyEnd", "ClientConnection", "Continue", "Event", "StatusLine"]


@dataclass(frozen=True, slots=True)
class StatusLine:
    """``+OK`` or ``-ERR``, its response code (``""``: none) and its text."""

    positive: bool
    text: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Continue:
    """``+ base64``: the server's step in a SASL exchange; ``None`` if what follows is no base64."""

    challenge: bytes | None


@dataclass(frozen=True, slots=True)
class Body:
    """A piece of a multi-line body, unstuffed, with its CRLFs."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class BodyEnd:
    """The terminator of a multi-line body."""


Event: TypeAlias = StatusLine | Continue | Body | BodyEnd


class ClientConnection:
    """The sans-IO core of the client's role. The greeting is the first `StatusLine`.

    Commands may be pipelined: each `send` says whether its positive answer has a body, and the answers are read
    in that order.
    """

    __slots__ = ("_awaited", "_buffer", "_decoder", "_eof", "_longest", "_output")

    def __init__(self, longest_line: int = 8192) -> None:
        self._awaited: list[bool] = [False]  # the greeting
        self._buffer = LineBuffer()
        self._decoder: Decoder | None = None
        self._eof = False
        self._longest = longest_line
        self._output: list[bytes] = []

    def receive_data(self, octets: bytes) -> None:
        """Take in what the server sent."""
        self._buffer.feed(octets)

    def receive_eof(self) -> None:
        """The server will send no more."""
        self._eof = True

    def send(self, line: bytes, *, body: bool = False, answered: bool = True) -> None:
        """Queue one line without its end. `body`: a positive answer is multi-line. `answered`: it has an answer of
        its own (all commands; not the lines of a SASL exchange, whose answer AUTH is still owed).

        Raises:
            LocalProtocolError: a line end inside the line.
        """
        if b"\r" in line or b"\n" in line:
            raise LocalProtocolError("a command is one line")
        if answered:
            self._awaited.append(body)
        self._output.append(line + b"\r\n")

    def data_to_send(self) -> bytes:
        """Everything queued; the queue is empty afterwards."""
        data = b"".join(self._output)
        self._output.clear()
        return data

    def start_tls(self) -> None:
        """STLS was answered ``+OK``: from here on the octets are TLS's.

        Raises:
            RemoteProtocolError: octets came behind the answer in clear.
        """
        if self._buffer.midline:
            self._buffer.clear()
            raise RemoteProtocolError("octets behind the answer to STLS")

    def next_event(self) -> Event | Need:
        """The next part of the answers.

        Raises:
            RemoteProtocolError: what came is no POP3 answer, or nobody asked for it.
        """
        if self._decoder is not None:
            return self._next_of_body(self._decoder)
        line = self._buffer.next_line(self._longest)
        if line is None:
            return END_OF_INPUT if self._eof else NEED_DATA
        if line is TOO_LONG or not isinstance(line, bytes):
            raise RemoteProtocolError("a status line is too long")
        if line == b"+" or line.startswith(b"+ "):
            return Continue(_base64(line[2:]))
        if not self._awaited:
            raise RemoteProtocolError("an answer that nobody asked for")
        status = _status(line)
        if self._awaited.pop(0) and status.positive:
            self._decoder = Decoder()
        return status

    def _next_of_body(self, decoder: Decoder) -> Event | Need:
        if decoder.complete:
            self._decoder = None
            return BodyEnd()
        data = self._buffer.take()
        if not data:
            return END_OF_INPUT if self._eof else NEED_DATA
        octets = decoder.feed(data)
        self._buffer.feed(decoder.trailing)  # at once: what comes next comes behind it
        return Body(octets) if octets else self._next_of_body(decoder)


def _status(line: bytes) -> StatusLine:
    word, _, rest = line.partition(b" ")
    positive = word.upper() == b"+OK"
    if not positive and word.upper() != b"-ERR":
        raise RemoteProtocolError("neither +OK nor -ERR")
    text = rest.decode("utf-8", "replace")
    code = ""
    if text.startswith("[") and "]" in text:
        code, _, text = text[1:].partition("]")
        text = text.lstrip(" ")
    return StatusLine(positive, text, code.upper())


def _base64(word: bytes) -> bytes | None:
    try:
        return binascii.a2b_base64(word, strict_mode=True) if word else b""
    except binascii.Error:
        return None
