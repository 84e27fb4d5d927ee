"""The contract between a session and whoever decides who may come in.

Words only: no mechanism, no storage, no protocol. A session makes `Credentials` out of what the client
said; an `Authenticator` answers with an `Identity` or raises an error that knows its reply.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from poplin.identity import ClientFacts, Identity, MaybeAwaitable
from poplin.values import value

__all__ = [
    "ApopProof",
    "Authenticator",
    "Credentials",
    "Offers",
    "PasswordProof",
    "Proof",
    "PASSWORD_MECHANISMS",
]

PASSWORD_MECHANISMS = frozenset({"USER", "PLAIN", "LOGIN"})
"""What any authenticator can serve that is able to check a password."""


@value
class PasswordProof:
    """A password in clear: USER/PASS, SASL PLAIN (RFC 4616) and LOGIN. Octets that are no UTF-8 arrive
    as surrogate escapes. Never shown by ``repr``."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApopProof:
    """APOP (RFC 1939 section 7): `digest` is the MD5 of `timestamp` (with its angle brackets) and the
    shared secret, 32 lower-case hexadecimal digits. Never shown by ``repr``."""

    timestamp: str = field(repr=False)
    digest: str = field(repr=False)


Proof: TypeAlias = PasswordProof | ApopProof
"""What shows that the client is who it says."""


@value
class Credentials:
    """What the client said of itself: the `mechanism` ("USER", "APOP", "PLAIN" …), the `user` it
    authenticates as, its `proof`, and the name it wants to act as (`authorization`, "" = the same)."""

    mechanism: str
    user: str
    proof: Proof
    authorization: str = ""


class Authenticator(Protocol):
    """Decides who may come in."""

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> MaybeAwaitable[Identity]:
        """The identity behind `credentials`.

        An unknown user must cost the same work as a wrong password, and must not be told apart from it.

        Raises:
            AuthenticationFailed: unknown user or wrong proof (``[AUTH]``).
            Refused: right, but not allowed to come in (told as ``[AUTH]`` too).
            TemporaryFailure: the user base cannot be asked now (``[SYS/TEMP]``); never told as ``[AUTH]``.
        """
        ...


@runtime_checkable
class Offers(Protocol):
    """An ability: an authenticator that says what it can serve.

    Greeting and CAPA come before the name, so only a mechanism that *every* record can serve may be
    named. An authenticator without this ability serves `PASSWORD_MECHANISMS`.
    """

    def mechanisms(self) -> AbstractSet[str]:
        """Upper-case names among USER, APOP, PLAIN, LOGIN … Asked at each greeting and CAPA: answer at once."""
        ...
