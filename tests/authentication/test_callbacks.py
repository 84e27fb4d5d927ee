from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from contract.authenticators import CLIENT, TIMESTAMP, AuthenticatorContract, apop
from poplin.authentication.apop import apop_matches
from poplin.authentication.base import PASSWORD_MECHANISMS, Authenticator, Credentials, PasswordProof
from poplin.authentication.callbacks import Answer, CallbackAuthenticator
from poplin.calling import WrongAnswer, blocking
from poplin.errors import AuthenticationFailed, InUse, Refused, TemporaryFailure
from poplin.identity import ClientFacts, Identity
from support.waiting import answer

PASSWORD = AuthenticatorContract.PASSWORD


def plain(user: str, password: str, client: ClientFacts) -> bool:
    return (user, password) == ("alice", PASSWORD)


async def later(user: str, password: str, client: ClientFacts) -> Identity | None:
    await asyncio.sleep(0)
    return Identity(user) if plain(user, password, client) else None


@blocking
def blocked(user: str, password: str, client: ClientFacts) -> str:
    assert threading.current_thread() is not threading.main_thread()
    return user if plain(user, password, client) else ""


def digests(user: str, digest: str, timestamp: str, client: ClientFacts) -> bool:
    return apop_matches(digest, timestamp, PASSWORD if user == "alice" else None)


@pytest.mark.parametrize("function", [plain, later, blocked])
class TestContract(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self, function: Callable[[str, str, ClientFacts], Answer]) -> Authenticator:
        return CallbackAuthenticator(authenticate=function, apop=digests)


def login(authenticator: Authenticator, user: str = "alice", password: str = "x") -> Identity:
    return answer(authenticator.authenticate(Credentials("USER", user, PasswordProof(password)), CLIENT))


@pytest.mark.parametrize("given", [True, 1, 7])
def test_true_lets_in_under_the_name_that_was_given(given: Answer) -> None:
    assert login(CallbackAuthenticator(authenticate=lambda *_: given), "Alice") == Identity("Alice")


def test_a_name_is_the_normalised_one() -> None:
    assert login(CallbackAuthenticator(authenticate=lambda user, *_: user.lower()), "ALICE") == Identity("alice")


def test_an_identity_is_passed_on() -> None:
    identity = Identity("alice", {"home": "/home/alice"}, grant=object())
    assert login(CallbackAuthenticator(authenticate=lambda *_: identity)) is identity


@pytest.mark.parametrize("given", [False, None, 0, ""])
def test_what_refuses(given: Answer) -> None:
    with pytest.raises(AuthenticationFailed):
        login(CallbackAuthenticator(authenticate=lambda *_: given))


@pytest.mark.parametrize("given", [["planted"], {"planted": 1}, b"planted", 1.0, object()])
def test_an_answer_that_is_none_names_the_callback_and_not_what_it_gave(given: object) -> None:
    authenticator = CallbackAuthenticator(authenticate=lambda *_: given)  # type: ignore[arg-type]  # the mistake is the test
    with pytest.raises(WrongAnswer) as failure:
        login(authenticator)
    text = str(failure.value)
    assert text.startswith("the callback authenticate (")
    assert f") returned {type(given).__name__} for user 'alice'; expected True" in text
    assert "planted" not in text


def test_apop_may_not_answer_with_a_text_that_could_be_the_secret() -> None:
    authenticator = CallbackAuthenticator(apop=lambda *_: "planted")  # type: ignore[arg-type]  # the mistake is the test
    with pytest.raises(WrongAnswer, match=r"the callback apop \(.*\) returned str") as failure:
        answer(authenticator.authenticate(Credentials("APOP", "alice", apop("x")), CLIENT))
    assert "planted" not in str(failure.value)


def test_what_apop_is_called_with() -> None:
    seen: list[object] = []

    def record(user: str, digest: str, timestamp: str, client: ClientFacts) -> Identity:
        seen.extend([user, digest, timestamp, client])
        return Identity("alice")

    proof = apop("tanstaaf")
    assert answer(
        CallbackAuthenticator(apop=record).authenticate(Credentials("APOP", "alice", proof), CLIENT)
    ) == Identity("alice")
    assert seen == ["alice", proof.digest, TIMESTAMP, CLIENT]


def test_apop_of_three_parameters_does_without_the_client() -> None:
    seen: list[str] = []

    def record(user: str, digest: str, banner: str) -> bool:
        seen.extend([user, digest, banner])
        return True

    proof = apop("tanstaaf")
    authenticator = CallbackAuthenticator(apop=record)
    assert answer(authenticator.authenticate(Credentials("APOP", "alice", proof), CLIENT)) == Identity("alice")
    assert seen == ["alice", proof.digest, TIMESTAMP]


def test_only_what_has_a_callback_is_offered() -> None:
    assert CallbackAuthenticator(authenticate=plain).mechanisms() == PASSWORD_MECHANISMS
    assert CallbackAuthenticator(apop=digests).mechanisms() == {"APOP"}
    assert CallbackAuthenticator(authenticate=plain, apop=digests).mechanisms() == PASSWORD_MECHANISMS | {"APOP"}
    assert CallbackAuthenticator().mechanisms() == PASSWORD_MECHANISMS


def test_without_a_callback_everybody_is_refused() -> None:
    with pytest.raises(AuthenticationFailed):
        login(CallbackAuthenticator())
    with pytest.raises(AuthenticationFailed):
        login(CallbackAuthenticator(apop=digests))
    with pytest.raises(AuthenticationFailed):
        answer(CallbackAuthenticator(authenticate=plain).authenticate(Credentials("APOP", "alice", apop("x")), CLIENT))


@pytest.mark.parametrize(
    "error", [Refused("no"), InUse(), TemporaryFailure("db"), KeyError("alice"), ZeroDivisionError()]
)
def test_what_a_callback_raises_passes_through(error: Exception) -> None:
    def raising(user: str, password: str, client: ClientFacts) -> bool:
        raise error

    async def raising_later(user: str, password: str, client: ClientFacts) -> bool:
        raise error

    for function in (raising, raising_later, blocking(raising)):
        with pytest.raises(type(error)) as raised:
            login(CallbackAuthenticator(authenticate=function))
        assert raised.value is error


@pytest.mark.parametrize("user", ["", "a\nb", "a\0b", "a\tb", "\udcff", "a\x1b[31m"])
def test_a_name_that_cannot_be_shown_never_reaches_a_callback(user: str) -> None:
    asked: list[str] = []

    def function(name: str, password: str, client: ClientFacts) -> bool:
        asked.append(name)
        return True

    with pytest.raises(AuthenticationFailed):
        login(CallbackAuthenticator(authenticate=function), user)
    assert asked == []


@pytest.mark.parametrize("user", ["perl+python@jobs", "a:b", "two words", "jürgen", "../x"])
def test_other_names_do(user: str) -> None:
    assert login(CallbackAuthenticator(authenticate=lambda *_: True), user).user == user


def test_a_plain_callback_is_answered_at_once() -> None:
    authenticator = CallbackAuthenticator(authenticate=plain)
    given = authenticator.authenticate(Credentials("USER", "alice", PasswordProof(PASSWORD)), CLIENT)
    assert isinstance(given, Identity)


def test_a_callback_of_the_wrong_shape_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"authenticate is called with \(user, password, client\); .* takes \(user"):
        CallbackAuthenticator(authenticate=lambda user, password: True)  # type: ignore[arg-type, misc]  # the mistake is the test
    with pytest.raises(TypeError, match="the callback apop is str, not a function"):
        CallbackAuthenticator(apop="secret")  # type: ignore[arg-type]  # the mistake is the test
