"""The contract between a session and a class of command methods (`poplin.CommandServer`).

Words only. Where a session has such an object, its methods are asked for every command, and may hand it back to the
session's own stage; where it has none (the usual case), nothing of this costs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from collections.abc import Set as AbstractSet
from typing import ClassVar, Protocol

from poplin.authentication.base import Credentials
from poplin.errors import AuthenticationFailed, PermanentFailure
from poplin.identity import ClientFacts, Identity, MaybeAwaitable
from poplin.maildrops.base import Ending, Maildrop, OpenRequest
from poplin.protocol.capabilities import Capability
from poplin.protocol.commands import Command
from poplin.protocol.replies import Reply, Status
from poplin.protocol.states import State

__all__ = ["CommandMethods", "MakeMethods", "MethodSession", "NoMaildrops", "NoUsers"]


class MethodSession(Protocol):
    """The session, as its command methods see it."""

    @property
    def client(self) -> ClientFacts:
        """Who is at the other end."""
        ...

    @property
    def state(self) -> State:
        """Where the session is."""
        ...

    @property
    def timestamp(self) -> str:
        """The APOP timestamp of the greeting; ``""`` if it has none."""
        ...

    @property
    def known(self) -> Container[str]:
        """The verbs that the present stage carries out."""
        ...

    async def by_stage(self, command: Command, /) -> Reply:
        """Carry out a command as the present stage does."""
        ...

    async def log_in(self, identity: Identity, /) -> Reply:
        """Open the maildrop of somebody whom a method let in."""
        ...

    def close(self) -> None:
        """Close the connection: behind the answer under way, or now if there is none."""
        ...


class CommandMethods(Protocol):
    """The methods of one session."""

    goodbye: ClassVar[str]
    """The words that answer QUIT; ``""`` takes the service's."""

    def method_for(self, state: State, verb: str, /) -> Callable[[str], MaybeAwaitable[Reply]] | None:
        """What carries out `verb` in `state`, given the rest of the command line; ``None``: it is not allowed there."""
        ...

    def respond(self, response: bytes | None, /) -> MaybeAwaitable[Reply]:
        """What answers a line of a SASL exchange, base64 removed; ``None``: the client gave up."""
        ...

    def capabilities(self, state: State, /) -> tuple[Capability, ...]:
        """What CAPA says beside the session's own lines."""
        ...

    def greet(self, text: str, /) -> str | None:
        """The greeting; ``None`` sends none."""
        ...

    def connect(self) -> MaybeAwaitable[Status | None]:
        """The connection begins; a negative status refuses it."""
        ...

    def commit(self) -> MaybeAwaitable[None]:
        """UPDATE, before the removal and the goodbye; what it raises is told to the client, and nothing is removed."""
        ...

    def disconnect(self, ending: Ending, /) -> MaybeAwaitable[None]:
        """The session is over; called once, on every ending."""
        ...


MakeMethods = Callable[[MethodSession], CommandMethods]
"""Makes the methods of a session."""


class NoMaildrops:
    """The maildrops of a server whose methods do everything themselves."""

    def open(self, request: OpenRequest, /) -> Maildrop:
        """There are none."""
        raise PermanentFailure("this server has no maildrops")


class NoUsers:
    """The user base of a server whose methods do everything themselves: it offers what they can serve."""

    def __init__(self, mechanisms: AbstractSet[str]) -> None:
        self._mechanisms = mechanisms

    def mechanisms(self) -> AbstractSet[str]:
        """What the methods serve."""
        return self._mechanisms

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> Identity:
        """Nobody is known here."""
        raise AuthenticationFailed("this server has no user base")
