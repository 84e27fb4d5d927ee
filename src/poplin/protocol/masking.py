"""Commands and replies as text for logs and transcripts: all that helps, and nothing that is secret.

What is shown is chosen by what is known to be harmless: a password typed in the wrong place is an unknown command.
"""

from __future__ import annotations

from typing import Final

from poplin.protocol.commands import Apop, Auth, AuthCancel, AuthResponse, Command, Malformed, Other, User, argument_of
from poplin.protocol.parsing import GRAMMAR
from poplin.protocol.replies import Continuation, MultiLine, Reply

__all__ = ["shown_command", "shown_reply"]

_HIDDEN: Final = "******"
_HARMLESS: Final = frozenset(
    {"CAPA", "DELE", "LIST", "NOOP", "QUIT", "RETR", "RSET", "STAT", "STLS", "TOP", "UIDL", "UTF8"}
)
_MECHANISMS: Final = frozenset(
    {
        "ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "EXTERNAL", "GSSAPI", "LOGIN", "NTLM", "OAUTHBEARER", "PLAIN",
        "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "XOAUTH2",
    }
)  # fmt: skip
"""Names of SASL mechanisms: any other word behind AUTH may be half a secret."""


def shown_command(command: Command) -> str:
    """A command line fit for everybody's eyes."""
    words = [command.verb]
    if isinstance(command, User | Apop):
        words.append(repr(command.name))
    if isinstance(command, Auth) and command.mechanism in _MECHANISMS:
        words.append(command.mechanism)
    if isinstance(command, AuthResponse | AuthCancel):
        words = [_HIDDEN if isinstance(command, AuthResponse) else "*"]
    elif isinstance(command, Other | Malformed) and command.verb.encode(errors="replace") not in GRAMMAR:
        words = [_HIDDEN]
    elif command.verb in _HARMLESS and not isinstance(command, Malformed):
        words.append(argument_of(command))
    elif not isinstance(command, User) and argument_of(command) not in {"", words[-1]}:
        words.append(_HIDDEN)
    return " ".join(filter(None, words))


def shown_reply(reply: Reply) -> str:
    """A reply's first line, and how long its body is."""
    if isinstance(reply, Continuation):
        return f"+ {_HIDDEN}" if reply.challenge else "+"
    if isinstance(reply, MultiLine):
        octets = reply.content.octets
        return f"{shown_reply(reply.ok)} (body: {'streamed' if octets is None else f'{octets} octets'})"
    line = reply.line().decode(errors="replace").rstrip()
    return "".join(letter if letter.isprintable() else "?" for letter in line)
