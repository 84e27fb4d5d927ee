"""Replies as values: status, response code, text, and what follows them on the connection.

Values only; the octets of a whole exchange are made in `connection`. A reply's text never holds a line
end, and its line keeps to RFC 2449 section 4 (512 octets with CRLF).
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from poplin.content import Content
from poplin.values import value

__all__ = ["After", "Begin", "Continuation", "End", "Err", "MultiLine", "Ok", "Part", "Reply", "Status"]

_LONGEST = 510  # RFC 2449 section 4: 512 octets, CRLF included


class After(Enum):
    """What becomes of the connection once the reply is sent."""

    GO_ON = 0
    CLOSE = 1
    START_TLS = 2


@value
class Ok:
    """``+OK [code] text``."""

    text: str = ""
    code: str = ""
    after: After = After.GO_ON

    def line(self) -> bytes:
        """The octets of the reply, line end included."""
        return _line("+OK", self.code, self.text)


@value
class Err:
    """``-ERR [code] text``; `bad` if the client's command was at fault (it counts against its budget).

    `delay`: so many seconds have to pass before it is sent (a refused login)."""

    text: str = ""
    code: str = ""
    after: After = After.GO_ON
    bad: bool = False
    delay: float = 0

    def line(self) -> bytes:
        """The octets of the reply, line end included."""
        return _line("-ERR", self.code, self.text)


@value
class Continuation:
    """``+ base64``: the server's next step in a SASL exchange (RFC 5034 section 4). `challenge` is not encoded yet."""

    challenge: bytes = b""


@value
class MultiLine:
    """A positive reply with a body, which ends in a line with one dot (RFC 1939 section 3).

    `lines` cuts the body as TOP wants it: header, blank line and so many lines; ``None`` sends it whole.
    """

    ok: Ok
    content: Content
    lines: int | None = None


@value
class Begin:
    """The first line of a multi-line reply whose body follows in parts (`Part`, then `End`)."""

    reply: MultiLine


@value
class Part:
    """Some octets of the body begun, in any pieces, neither stuffed nor converted."""

    octets: bytes


@value
class End:
    """The body begun is complete."""


Status: TypeAlias = Ok | Err
"""A reply of one line."""
Reply: TypeAlias = Ok | Err | Continuation | MultiLine
"""What a stage answers with."""


def _line(status: str, code: str, text: str) -> bytes:
    line = f"{status} [{code}] {text}" if code else f"{status} {text}" if text else status
    if "\n" in line or "\r" in line:  # a plugin's text, say: a line end in it would begin a second reply
        line = " ".join(line.split())
    octets = line.encode("utf-8", "replace")
    if len(octets) > _LONGEST:
        octets = octets[:_LONGEST].decode("utf-8", "ignore").encode()
    return octets + b"\r\n"
