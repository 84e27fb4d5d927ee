"""How often a user may log in and how long messages stay: LOGIN-DELAY and EXPIRE (RFC 2449 sections 6.5 and 6.7).

Ground floor: the values, and the words by which a store or a user base says them (`HasTerms`) and a server
remembers logins (`LoginTimes`). Imports nothing of ours but `identity`; who keeps the times is in ``server``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

from poplin.identity import Identity, MaybeAwaitable

__all__ = ["NEVER", "Expiry", "HasTerms", "LoginTimes", "Terms"]

NEVER: Final = "NEVER"
"""Messages are never deleted but by their reader."""

Expiry: TypeAlias = int | Literal["NEVER"]
"""Days for which a message is kept at least, 0 meaning that it goes at the end of the session; or ``"NEVER"``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What CAPA announces of a user, or before login of all users.

    `login_delay` are seconds between two logins of a user, 0 meaning none; before login the largest of all users.
    `expire` is how long messages are kept at least; before login the shortest of all users; ``None`` says nothing.
    What differs from user to user is marked so before login.
    """

    login_delay: int = 0
    expire: Expiry | None = None
    login_delay_varies: bool = False
    expire_varies: bool = False


@runtime_checkable
class HasTerms(Protocol):
    """An ability of whoever opens maildrops, or of an authenticator."""

    def terms(self, identity: Identity | None, /) -> MaybeAwaitable[Terms]:
        """The terms of a user who was let in; ``None``: those that hold for all."""
        ...


class LoginTimes(Protocol):
    """Who logged in when: in one process, or shared by many."""

    def check(self, user: str, seconds: float, /) -> MaybeAwaitable[None]:
        """Whether `user` may log in `seconds` after the last login. Asking counts for nothing.

        Raises:
            LoginTooSoon: with the seconds that are left.
        """
        ...

    def remember(self, user: str, seconds: float, /) -> MaybeAwaitable[None]:
        """`user` is logged in now; `seconds` is how long that is of interest."""
        ...
