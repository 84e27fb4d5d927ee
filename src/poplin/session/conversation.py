"""The conversation in the log, at DEBUG, by the logger ``poplin.conversation``. Secrets never get there.

What is shown is chosen by what is known to be harmless: a password typed in the wrong place is an unknown command.
"""

from __future__ import annotations

import logging

from poplin.authentication.mechanisms import MECHANISMS
from poplin.protocol.commands import (
    Apop,
    Auth,
    AuthCancel,
    AuthResponse,
    Command,
    Malformed,
    Other,
    User,
    argument_of,
)
from poplin.protocol.parsing import GRAMMAR
from poplin.protocol.replies import Continuation, MultiLine, Reply

__all__ = ["is_wanted", "shown_command", "shown_reply", "tell_command", "tell_reply"]

logger: logging.Logger = logging.getLogger("poplin.conversation")

_HIDDEN = "******"
_HARMLESS = frozenset({"CAPA", "DELE", "LIST", "NOOP", "QUIT", "RETR", "RSET", "STAT", "STLS", "TOP", "UIDL"})


def is_wanted() -> bool:
    """Whether anybody reads it: asked once a session."""
    return logger.isEnabledFor(logging.DEBUG)


def shown_command(command: Command) -> str:
    """A command line fit for everybody's eyes."""
    words = [command.verb]
    if isinstance(command, User | Apop):
        words.append(repr(command.name))
    if isinstance(command, Auth) and command.mechanism is not None and command.mechanism in MECHANISMS:
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
    return reply.line().decode(errors="replace").rstrip()


def tell_command(session_id: str, command: Command) -> None:
    """What the client said."""
    logger.debug("%s C: %s", session_id, shown_command(command))


def tell_reply(session_id: str, reply: Reply) -> None:
    """What it is answered, as the plugins left it."""
    logger.debug("%s S: %s", session_id, shown_reply(reply))
