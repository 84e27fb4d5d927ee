"""The server's end of one connection, without I/O: octets in, commands out; replies in, octets out.

Six verbs: `receive_data`, `receive_eof`, `next_command`, `send`, `data_to_send`, `start_tls`. Any loop, or none,
pumps them. No socket, no clock, no maildrop here; the buffers are ours, so that nothing said before TLS is ever
obeyed after it.
"""

from __future__ import annotations

import binascii
from enum import Enum
from typing import Final

from poplin.content import Form
from poplin.errors import LocalProtocolError, RemoteProtocolError
from poplin.limits import Limits
from poplin.protocol.commands import Command, Malformed
from poplin.protocol.lines import LineBuffer
from poplin.protocol.multiline import Encoder
from poplin.protocol.parsing import parse_command, parse_sasl_response
from poplin.protocol.replies import Begin, Continuation, End, Err, MultiLine, Ok, Part, Reply

__all__ = ["END_OF_INPUT", "NEED_DATA", "Need", "ServerConnection"]


class Need(Enum):
    """What `next_command` answers when there is no command."""

    DATA = "data"
    END = "end"


NEED_DATA = Need.DATA
END_OF_INPUT = Need.END

_DEFAULT_LIMITS = Limits()
_STATUS: Final = (Ok, Err)  # a union would be made anew at each test of it


class ServerConnection:
    """The sans-IO core of the server's role.

    One command is in work at a time: every command taken is answered by `send` before the next is taken. The
    order of replies is therefore that of commands, however they were batched (RFC 2449 section 6.6).
    """

    __slots__ = ("_buffer", "_encoder", "_eof", "_exchange", "_limits", "_output", "body_octets", "queued")

    def __init__(self, limits: Limits = _DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = LineBuffer()
        self._output: list[bytes] = []
        self._encoder: Encoder | None = None
        self._exchange = False
        self._eof = False
        self.queued: int = 0
        """About how many octets wait for `data_to_send`."""
        self.body_octets: int = 0
        """The octets of the last multi-line body sent whole, as LIST counts them."""

    def receive_data(self, octets: bytes) -> None:
        """Take in what the client sent."""
        self._buffer.feed(octets)

    def receive_eof(self) -> None:
        """The client will send no more; what it has sent is still served."""
        self._eof = True

    @property
    def waiting(self) -> int:
        """The octets received that no command was made of yet: the driver's measure for back-pressure."""
        return self._buffer.waiting

    def next_command(self) -> Command | Need:
        """The next whole command, or what is needed to make one."""
        limits = self._limits
        # AUTH may carry an initial response as long as a bearer token is (RFC 5034 section 4).
        bound = limits.sasl_octets
        if bound < limits.command_octets and not self._exchange:
            bound = limits.command_octets
        line = self._buffer.next_line(bound)
        if line is None:
            return END_OF_INPUT if self._eof else NEED_DATA
        if not isinstance(line, bytes):  # TOO_LONG
            self._exchange = False
            return Malformed("", "line-too-long")
        if self._exchange:
            self._exchange = False
            return parse_sasl_response(line)
        if len(line) > limits.command_octets and line[:5].upper() != b"AUTH ":
            return Malformed("", "line-too-long")
        return parse_command(line)

    def send(self, reply: Reply | Begin | Part | End) -> None:
        """Queue a reply. A `MultiLine` with its body at hand is one; any other comes as `Begin`, `Part` …, `End`.

        Raises:
            LocalProtocolError: a part without a beginning, or a reply in the middle of a body.
        """
        if self._encoder is not None:
            self._send_rest(self._encoder, reply)
        elif isinstance(reply, _STATUS):
            self._output.append(reply.line())
            self.queued += 64
        elif isinstance(reply, MultiLine):
            self._send_whole(reply)
        elif isinstance(reply, Continuation):
            self._exchange = True
            self._output.append(b"+ " + binascii.b2a_base64(reply.challenge, newline=False) + b"\r\n")
        elif isinstance(reply, Begin):
            content = reply.reply.content
            self._encoder = Encoder(content.form, reply.reply.lines)
            self._output.append(reply.reply.ok.line() + self._encoder.feed(content.prefix, Form.CRLF))
        else:
            raise LocalProtocolError(f"{type(reply).__name__} outside a multi-line reply")

    def _send_whole(self, reply: MultiLine) -> None:
        content = reply.content
        if not isinstance(content.body, bytes):
            raise LocalProtocolError("a body that is not at hand is sent by Begin, Part and End")
        encoder = Encoder(content.form, reply.lines)
        output = self._output
        output.append(reply.ok.line())
        if content.prefix:  # ours: whole lines with CRLF
            output.append(encoder.feed(content.prefix, Form.CRLF))
        output.append(encoder.feed(content.body))
        output.append(encoder.finish())
        self.body_octets = encoder.octets
        self.queued += encoder.octets

    def _send_rest(self, encoder: Encoder, reply: Reply | Begin | Part | End) -> None:
        if isinstance(reply, Part):
            self._output.append(encoder.feed(reply.octets))
        elif isinstance(reply, End):
            self._output.append(encoder.finish())
            self._encoder = None
            self.body_octets = encoder.octets
        else:
            raise LocalProtocolError(f"{type(reply).__name__} in the middle of a multi-line reply")

    @property
    def body_satisfied(self) -> bool:
        """In the middle of a TOP: whether it has all its lines already."""
        return self._encoder is not None and self._encoder.satisfied

    def data_to_send(self) -> bytes:
        """Everything queued, in one piece, for one write; the queue is empty afterwards."""
        output = self._output
        if len(output) == 1:
            data = output[0]
        else:
            data = b"".join(output)
        output.clear()
        self.queued = 0
        return data

    def start_tls(self) -> None:
        """The reply to STLS is on its way: from here on the octets are TLS's.

        Raises:
            RemoteProtocolError: octets came behind STLS in clear, perhaps not the client's own (RFC 2595
                section 4; CVE-2011-0411 and its kin). The connection has to be closed.
        """
        if self._buffer.midline:
            self._buffer.clear()
            raise RemoteProtocolError("octets behind STLS in the same flight")
