"""What the daemon puts between the server and its implementations: several user bases in order, names in one
spelling, and other maildrop settings for some users.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from poplin.authentication.base import PASSWORD_MECHANISMS, Authenticator, Credentials, Offers
from poplin.daemon.settings import MaildropRule
from poplin.errors import AuthenticationFailed
from poplin.identity import ClientFacts, Identity, MaybeAwaitable, settle
from poplin.maildrops.base import LockPolicy, Maildrop, Opener, OpenRequest

__all__ = ["InOrder", "Normalised", "Routed", "RuledOpener", "served"]


def served(authenticator: Authenticator) -> AbstractSet[str]:
    """The mechanisms that every record of a user base can serve."""
    return authenticator.mechanisms() if isinstance(authenticator, Offers) else PASSWORD_MECHANISMS


class InOrder:
    """Several user bases, asked one after the other until one knows the user and the proof.

    A base that cannot be asked now ends the search: the next one must not answer in its place.
    """

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    def mechanisms(self) -> AbstractSet[str]:
        """What all of them can serve: the banner comes before the name."""
        return frozenset.intersection(*(frozenset(served(one)) for one in self._authenticators))

    async def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> Identity:
        """See `poplin.authentication.base.Authenticator`.

        Raises:
            AuthenticationFailed: none of them knows the user and the proof.
        """
        for one in self._authenticators[:-1]:
            try:
                return await settle(one.authenticate(credentials, client))
            except AuthenticationFailed:
                continue
        return await settle(self._authenticators[-1].authenticate(credentials, client))


class Normalised:
    """A user base of the operator's own, which need not know how names are compared here."""

    def __init__(self, inner: Authenticator, rule: Callable[[str], str]) -> None:
        self._inner = inner
        self._rule = rule

    def mechanisms(self) -> AbstractSet[str]:
        """Those of the user base."""
        return served(self._inner)

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> MaybeAwaitable[Identity]:
        """Ask with the name in its one spelling; the identity's name is brought into it too.

        Raises:
            AuthenticationFailed: as the user base has it.
        """
        act_as = credentials.authorization and self._rule(credentials.authorization)
        spelled = replace(credentials, user=self._rule(credentials.user), authorization=act_as)
        answer = self._inner.authenticate(spelled, client)
        if isinstance(answer, Identity):
            return self._same(answer)
        return self._later(answer)

    async def _later(self, answer: Awaitable[Identity]) -> Identity:
        return self._same(await settle(answer))

    def _same(self, identity: Identity) -> Identity:
        user = self._rule(identity.user)
        return identity if user == identity.user else replace(identity, user=user)


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a rule sends its users, and the lock policy there."""

    opener: Opener
    lock: LockPolicy


class RuledOpener:
    """Maildrops of several kinds: the first rule that fits a user's name says which."""

    def __init__(self, rules: Sequence[tuple[MaildropRule, Routed]], common: Routed) -> None:
        self._rules = tuple(rules)
        self._common = common

    def open(self, request: OpenRequest, /) -> MaybeAwaitable[Maildrop]:
        """Open the maildrop of ``request.identity`` where its rule says.

        Raises:
            InUse, TemporaryFailure, PermanentFailure: as the maildrops there have it.
        """
        user = request.identity.user
        routed = next((routed for rule, routed in self._rules if rule.fits(user)), self._common)
        return routed.opener.open(replace(request, lock=routed.lock))
