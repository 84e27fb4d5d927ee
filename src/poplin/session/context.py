"""What a stage may ask of the session around it: a few words, so that stages and session import no circle."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Protocol

from poplin.authentication.base import Credentials
from poplin.errors import SessionError
from poplin.identity import ClientFacts, Identity
from poplin.protocol.capabilities import Capability
from poplin.protocol.replies import Reply
from poplin.protocol.states import State
from poplin.session.service import Service
from poplin.terms import Terms

__all__ = ["SessionContext"]


class SessionContext(Protocol):
    """The session, as its stages see it."""

    @property
    def service(self) -> Service:
        """What is served, and the rules."""
        ...

    @property
    def client(self) -> ClientFacts:
        """Who is at the other end."""
        ...

    @property
    def state(self) -> State:
        """Where the session is."""
        ...

    @property
    def mechanisms(self) -> AbstractSet[str]:
        """What is on offer in this session, USER and APOP among it."""
        ...

    @property
    def starttls(self) -> bool:
        """Whether STLS would succeed on this listener."""
        ...

    @property
    def custom(self) -> tuple[Capability, ...]:
        """Capabilities beside the session's own."""
        ...

    async def terms(self) -> Terms:
        """How often a user may log in, and how long messages stay: of all users, after login of this one."""
        ...

    @property
    def goodbye(self) -> str:
        """The words that answer QUIT."""
        ...

    def serves(self, verb: str) -> bool:
        """Whether an optional command works."""
        ...

    async def login_failed(self, credentials: Credentials, error: SessionError) -> Reply:
        """Count and log a refused login; the reply to it."""
        ...

    async def enter_transaction(self, identity: Identity, mechanism: str) -> Reply:
        """Open the maildrop of a user who was let in; the reply to the login."""
        ...

    async def enter_update(self) -> Reply:
        """Carry out the removal and close the maildrop; the reply to QUIT."""
        ...
