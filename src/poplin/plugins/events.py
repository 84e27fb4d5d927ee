"""What happens on a server, as typed values: for plugins (`Plugin.on_event`) and for registered handlers.

Values only. An event tells; it changes nothing. What may change a command or a reply is a plugin's ``on_command``
and ``on_reply``. Subclass `Event` for events of your own and send them with ``server.send_event``.
"""

from __future__ import annotations

from dataclasses import dataclass

from poplin.identity import ClientFacts
from poplin.maildrops.base import Ending
from poplin.protocol.commands import Command
from poplin.protocol.replies import Reply

__all__ = [
    "Authenticated",
    "AuthenticationRefused",
    "CommandReceived",
    "Connected",
    "Disconnected",
    "Event",
    "ListenerFailed",
    "PluginAdded",
    "PluginFailed",
    "PluginRemoved",
    "Removed",
    "ReplySent",
    "Retrieved",
    "SessionEvent",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Anything that happens."""


@dataclass(frozen=True, slots=True)
class SessionEvent(Event):
    """Anything that happens in one session."""

    client: ClientFacts


@dataclass(frozen=True, slots=True)
class Connected(SessionEvent):
    """A client was let in to connect; it was not greeted yet."""


@dataclass(frozen=True, slots=True)
class Disconnected(SessionEvent):
    """The session is over, and everything it held is free."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class CommandReceived(SessionEvent):
    """A command is about to be carried out, as the plugins left it."""

    command: Command


@dataclass(frozen=True, slots=True)
class ReplySent(SessionEvent):
    """The reply to `command` is on its way, as the plugins left it."""

    command: Command
    reply: Reply


@dataclass(frozen=True, slots=True)
class Authenticated(SessionEvent):
    """`user` was let in, by `mechanism`; the maildrop is not open yet."""

    user: str
    mechanism: str


@dataclass(frozen=True, slots=True)
class AuthenticationRefused(SessionEvent):
    """The credentials for `user` were refused; `user` is what the client said, of any form."""

    user: str
    mechanism: str


@dataclass(frozen=True, slots=True)
class Retrieved(SessionEvent):
    """RETR of a message is answered; `octets` is ``None`` where only the sending tells."""

    user: str
    unique_id: str
    octets: int | None


@dataclass(frozen=True, slots=True)
class Removed(SessionEvent):
    """UPDATE was carried out: so many messages were marked, and so many of them are gone."""

    user: str
    marked: int
    removed: int


@dataclass(frozen=True, slots=True)
class ListenerFailed(Event):
    """`address` cannot be listened on."""

    address: str
    reason: OSError


@dataclass(frozen=True, slots=True)
class PluginAdded(Event):
    """The plugin `name` joined the pipeline."""

    name: str


@dataclass(frozen=True, slots=True)
class PluginRemoved(Event):
    """The plugin `name` left the pipeline."""

    name: str


@dataclass(frozen=True, slots=True)
class PluginFailed(Event):
    """A plugin or handler raised `error` in `hook`, or answered what is not allowed there; it was skipped."""

    name: str
    hook: str
    error: Exception
