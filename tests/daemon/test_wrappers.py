"""User bases in order, names in one spelling, maildrops by rule."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import pytest

from poplin.authentication.base import Authenticator, Credentials, PasswordProof
from poplin.daemon.settings import MaildropRule, MaildropSettings
from poplin.daemon.wrappers import InOrder, Normalised, Routed, RuledOpener
from poplin.errors import AuthenticationFailed, TemporaryFailure
from poplin.identity import ClientFacts, Identity, MaybeAwaitable
from poplin.maildrops.base import Ending, LockPolicy, Maildrop, OpenRequest
from poplin.maildrops.memory import MemoryMaildrops
from support.waiting import answer


@dataclass
class Users:
    """A user base that keeps what it was asked; `slow` answers later."""

    passwords: dict[str, str]
    offers: frozenset[str] = frozenset({"USER", "PLAIN", "LOGIN"})
    slow: bool = False
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    def mechanisms(self) -> AbstractSet[str]:
        return self.offers

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> MaybeAwaitable[Identity]:
        self.asked.append(credentials.user)
        if self.broken:
            raise TemporaryFailure("cannot be asked now")
        return self._later(credentials) if self.slow else self._now(credentials)

    async def _later(self, credentials: Credentials) -> Identity:
        await asyncio.sleep(0)
        return self._now(credentials)

    def _now(self, credentials: Credentials) -> Identity:
        assert isinstance(credentials.proof, PasswordProof)
        if self.passwords.get(credentials.user) != credentials.proof.password:
            raise AuthenticationFailed
        return Identity(credentials.user)


def log_in(authenticator: Authenticator, user: str, password: str) -> str:
    return answer(authenticator.authenticate(Credentials("PLAIN", user, PasswordProof(password)), ClientFacts())).user


@pytest.mark.parametrize("slow", [False, True])
def test_the_first_base_that_knows_the_proof_lets_in(slow: bool) -> None:
    first, second = Users({"a": "1", "c": "3"}, slow=slow), Users({"b": "2", "c": "4"}, slow=slow)
    both = InOrder([first, second])
    assert [log_in(both, *pair) for pair in (("a", "1"), ("b", "2"), ("c", "4"))] == ["a", "b", "c"]
    assert second.asked == ["b", "c"]
    with pytest.raises(AuthenticationFailed):
        log_in(both, "a", "2")


def test_a_base_that_cannot_be_asked_ends_the_search() -> None:
    second = Users({"a": "1"})
    with pytest.raises(TemporaryFailure):
        log_in(InOrder([Users({}, broken=True), second]), "a", "1")
    assert second.asked == []


def test_only_what_all_bases_serve_is_offered() -> None:
    some, more = Users({}, frozenset({"USER", "PLAIN"})), Users({}, frozenset({"USER", "PLAIN", "APOP"}))
    assert InOrder([some, more]).mechanisms() == {"USER", "PLAIN"}


@pytest.mark.parametrize("slow", [False, True])
def test_names_come_in_one_spelling(slow: bool) -> None:
    users = Users({"bob": "1"}, slow=slow)
    normalised = Normalised(users, str.lower)
    assert log_in(normalised, "BOB", "1") == "bob"
    assert users.asked == ["bob"]
    assert normalised.mechanisms() == users.offers


class Shouting(Users):
    def _now(self, credentials: Credentials) -> Identity:
        return Identity(super()._now(credentials).user.upper())


def test_a_base_that_answers_with_another_spelling_makes_no_second_user() -> None:
    assert log_in(Normalised(Shouting({"bob": "1"}), str.lower), "Bob", "1") == "bob"


class Remembering:
    """An opener that keeps the requests."""

    def __init__(self) -> None:
        self.inner = MemoryMaildrops()
        self.requests: list[OpenRequest] = []

    def open(self, request: OpenRequest, /) -> MaybeAwaitable[Maildrop]:
        self.requests.append(request)
        return self.inner.open(request)


def test_rules_choose_the_opener_and_the_lock() -> None:
    common, special = Remembering(), Remembering()
    settings = MaildropSettings("memory", "", "", "destroy", LockPolicy("snapshot"), "auto")
    rule = MaildropRule("*@example.org", settings)
    opener = RuledOpener([(rule, Routed(special, LockPolicy("snapshot")))], Routed(common, LockPolicy("refuse")))
    for user in ("a@example.org", "b@example.com"):
        request = OpenRequest(identity=Identity(user), client=ClientFacts(), lock=LockPolicy("refuse"))
        answer(answer(opener.open(request)).close(Ending.QUIT))
    assert [(one.identity.user, one.lock.policy) for one in special.requests] == [("a@example.org", "snapshot")]
    assert [(one.identity.user, one.lock.policy) for one in common.requests] == [("b@example.com", "refuse")]
