"""Every command as a value: RFC 1939, 2449 (CAPA), 2595 (STLS), 5034 (AUTH), 6856 (UTF8, LANG).

Values only. How a line becomes one is in `parsing`; what one does is in ``session``. A message-number in
a command is 1 or more: `parsing` makes no other.
"""

from __future__ import annotations

import binascii
from dataclasses import field, fields
from typing import ClassVar

from poplin.values import value

__all__ = [
    "Apop",
    "Auth",
    "AuthCancel",
    "AuthResponse",
    "Capa",
    "Command",
    "Dele",
    "Lang",
    "List",
    "Malformed",
    "Noop",
    "Other",
    "Pass",
    "Quit",
    "Retr",
    "Rset",
    "Stat",
    "Stls",
    "Top",
    "Uidl",
    "User",
    "Utf8",
    "argument_of",
]


@value
class Command:
    """What the client asks. `verb` is its upper-case keyword: the key of every table."""

    verb: ClassVar[str]


@value
class User(Command):
    """USER name (RFC 1939 section 7): the rest of the line, blanks at its ends removed."""

    verb = "USER"
    name: str


@value
class Pass(Command):
    """PASS string (RFC 1939 section 7): everything after the first blank, blanks included."""

    verb = "PASS"
    password: str = field(repr=False)


@value
class Apop(Command):
    """APOP name digest (RFC 1939 section 7); the digest is the last word, in lower case."""

    verb = "APOP"
    name: str
    digest: str = field(repr=False)


@value
class Auth(Command):
    """AUTH mechanism [initial-response] (RFC 5034 section 4). `mechanism` is upper-case, or ``None`` for the
    bare AUTH that asks for the list; `initial` is ``None`` when absent and ``b""`` for ``=``."""

    verb = "AUTH"
    mechanism: str | None = None
    initial: bytes | None = field(default=None, repr=False)


@value
class AuthResponse(Command):
    """A line of a SASL exchange, base64 removed; ``None`` if it was no base64."""

    verb = "*response*"
    octets: bytes | None = field(repr=False)


@value
class AuthCancel(Command):
    """The line ``*``: the client gives the SASL exchange up (RFC 5034 section 4)."""

    verb = "*cancel*"


@value
class Stls(Command):
    """STLS (RFC 2595 section 4)."""

    verb = "STLS"


@value
class Capa(Command):
    """CAPA (RFC 2449 section 5)."""

    verb = "CAPA"


@value
class Stat(Command):
    """STAT (RFC 1939 section 5)."""

    verb = "STAT"


@value
class List(Command):
    """LIST [msg] (RFC 1939 section 5)."""

    verb = "LIST"
    number: int | None = None


@value
class Uidl(Command):
    """UIDL [msg] (RFC 1939 section 7)."""

    verb = "UIDL"
    number: int | None = None


@value
class Retr(Command):
    """RETR msg (RFC 1939 section 5)."""

    verb = "RETR"
    number: int


@value
class Top(Command):
    """TOP msg n (RFC 1939 section 7): the header and `lines` lines of the body."""

    verb = "TOP"
    number: int
    lines: int


@value
class Dele(Command):
    """DELE msg (RFC 1939 section 5)."""

    verb = "DELE"
    number: int


@value
class Noop(Command):
    """NOOP (RFC 1939 section 5)."""

    verb = "NOOP"


@value
class Rset(Command):
    """RSET (RFC 1939 section 5)."""

    verb = "RSET"


@value
class Quit(Command):
    """QUIT (RFC 1939 sections 4 and 6)."""

    verb = "QUIT"


@value
class Utf8(Command):
    """UTF8 (RFC 6856 section 2.1)."""

    verb = "UTF8"


@value
class Lang(Command):
    """LANG [tag] (RFC 6856 section 3)."""

    verb = "LANG"
    tag: str | None = None


@value
class Other(Command):
    """A keyword that the grammar does not know: a custom command, or none. `argument` is the rest of the line."""

    verb: str  # type: ignore[misc]  # the one command whose verb is the client's
    argument: str = ""


@value
class Malformed(Command):
    """A known keyword with arguments that cannot be read, or a line that is no command at all (`verb` ``""``).

    `text_id` names the client's text, so that each mistake has one answer everywhere.
    """

    verb: str  # type: ignore[misc]  # as in Other
    text_id: str
    argument: str = field(default="", repr=False)


def argument_of(command: Command) -> str:
    """What follows the keyword on the command line, in its plainest form (``RETR 01`` gives ``1``)."""
    if isinstance(command, Other | Malformed):
        return command.argument
    if isinstance(command, Auth):
        words = [command.mechanism or ""]
        if command.initial is not None:
            words.append(binascii.b2a_base64(command.initial, newline=False).decode() or "=")
        return " ".join(words)
    values = [getattr(command, found.name) for found in fields(command)]
    return " ".join(str(value) for value in values if value is not None)
