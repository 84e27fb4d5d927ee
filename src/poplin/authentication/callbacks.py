"""A function as an authenticator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from poplin.authentication.base import PASSWORD_MECHANISMS, ApopProof, Credentials
from poplin.calling import Callback, WrongAnswer, then
from poplin.errors import AuthenticationFailed, Refused
from poplin.identity import ClientFacts, Identity, MaybeAwaitable

__all__ = ["Answer", "ApopAnswer", "ApopCallback", "AuthenticateCallback", "CallbackAuthenticator"]

Answer: TypeAlias = Identity | str | int | None
"""``True`` or ``False``; the user's normalised name; or an `Identity`. ``None``, ``0`` and ``""`` refuse."""
ApopAnswer: TypeAlias = Identity | int | None
"""As `Answer`, but no ``str``: a secret given back by mistake would pass for a name."""

AuthenticateCallback: TypeAlias = Callable[[str, str, ClientFacts], Answer | Awaitable[Answer]]
"""Called with user, password, client."""
ApopCallback: TypeAlias = (
    Callable[[str, str, str, ClientFacts], ApopAnswer | Awaitable[ApopAnswer]]
    | Callable[[str, str, str], ApopAnswer | Awaitable[ApopAnswer]]
)
"""Called with user, digest, timestamp and, if it takes four, client; the timestamp is the banner's, with its angle
brackets, and `poplin.authentication.apop.apop_matches` does the sum."""


class CallbackAuthenticator:
    """An authenticator that asks `authenticate` about passwords and `apop` about APOP.

    Either may be plain, ``async``, or marked by `poplin.blocking`, and may raise `Refused`, `InUse`,
    `TemporaryFailure` … itself. Any other exception is the session's to report. Without any callback
    everybody is refused. A name with control characters or octets that are no UTF-8 is refused before a
    callback sees it.
    """

    def __init__(self, *, authenticate: AuthenticateCallback | None = None, apop: ApopCallback | None = None) -> None:
        self._authenticate: Callback | None = None
        self._apop: Callback | None = None
        if authenticate is not None:
            self._authenticate = Callback("authenticate", authenticate, "user", "password", "client")
        if apop is not None:
            self._apop = Callback("apop", apop, "user", "digest", "timestamp", "client", fewest=3)
        offered = PASSWORD_MECHANISMS if authenticate or not apop else frozenset[str]()
        self._mechanisms = offered | {"APOP"} if apop else offered

    def mechanisms(self) -> frozenset[str]:
        """APOP if there is a callback for it; USER, PLAIN and LOGIN if there is one for passwords."""
        return self._mechanisms

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> MaybeAwaitable[Identity]:
        """See `poplin.authentication.base.Authenticator`.

        Raises:
            AuthenticationFailed: the callback refused, or there is none.
            Refused: the client wants to act as somebody else.
            WrongAnswer: the callback gave something that is no answer.
        """
        user, proof = credentials.user, credentials.proof
        if not user or not user.isprintable():
            raise AuthenticationFailed("a user name that is empty or cannot be shown")
        callback = self._apop if isinstance(proof, ApopProof) else self._authenticate
        if callback is None:
            raise AuthenticationFailed(f"there is no callback for {credentials.mechanism}")
        if isinstance(proof, ApopProof):
            answer = callback(user, proof.digest, proof.timestamp, client)
        else:
            answer = callback(user, proof.password, client)
        return then(answer, lambda settled: _identity(settled, credentials, callback))


def _identity(answer: object, credentials: Credentials, callback: Callback) -> Identity:
    """What a callback's answer means.

    Raises:
        AuthenticationFailed, Refused, WrongAnswer: as `CallbackAuthenticator.authenticate` says.
    """
    apop = isinstance(credentials.proof, ApopProof)
    if not isinstance(answer, Identity | int | None) and (apop or not isinstance(answer, str)):
        expected = "True, False or an Identity" if apop else "True, False, the user's name or an Identity"
        raise WrongAnswer(answer, callback, expected, user=credentials.user)
    if not answer:
        raise AuthenticationFailed("the callback refused")
    if credentials.authorization not in {"", credentials.user}:
        raise Refused("nobody may act as somebody else")
    if isinstance(answer, Identity):
        return answer
    return Identity(answer if isinstance(answer, str) else credentials.user)
