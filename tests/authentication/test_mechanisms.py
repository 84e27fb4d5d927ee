from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.authentication.base import Credentials, PasswordProof
from poplin.authentication.mechanisms import MECHANISMS, Challenge, Login, MalformedResponse, Outcome, Plain

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def run(name: str, *responses: bytes | None) -> Outcome:
    mechanism = MECHANISMS[name]()
    outcome: Outcome = Challenge(b"nothing yet")
    for response in responses:
        assert isinstance(outcome, Challenge)
        outcome = mechanism.step(response)
    return outcome


def test_the_registry_has_each_mechanism_under_its_own_name() -> None:
    assert {name: maker().name for name, maker in MECHANISMS.items()} == {"PLAIN": "PLAIN", "LOGIN": "LOGIN"}


def test_every_exchange_gets_a_mechanism_of_its_own() -> None:
    first, second = MECHANISMS["LOGIN"](), MECHANISMS["LOGIN"]()
    first.step(b"alice")
    assert second.step(b"bob") == Challenge(b"Password:")
    outcome = second.step(b"secret")
    assert isinstance(outcome, Credentials)
    assert outcome.user == "bob"


@pytest.mark.parametrize(
    ("message", "user", "password", "authorization"),
    [
        # RFC 4616 section 4, both of its examples.
        (b"\0tim\0tanstaaftanstaaf", "tim", "tanstaaftanstaaf", ""),
        (b"Ursel\0Kurt\0xipj3plmq", "Kurt", "xipj3plmq", "Ursel"),
        # RFC 5034 section 6: AHRlc3QAdGVzdA== and dGVzdAB0ZXN0AHRlc3Q=
        (b"\0test\0test", "test", "test", ""),
        (b"test\0test\0test", "test", "test", "test"),
        ("\0jürgen\0pä ss:w".encode(), "jürgen", "pä ss:w", ""),
        (b"\0" + b"n" * 5000 + b"\0p", "n" * 5000, "p", ""),
        (b"\0old client\0p\xe4ss", "old client", "p\udce4ss", ""),
    ],
)
def test_plain(message: bytes, user: str, password: str, authorization: str) -> None:
    expected = Credentials("PLAIN", user, PasswordProof(password), authorization)
    assert run("PLAIN", message) == expected
    assert run("PLAIN", None, message) == expected


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"\0\0",
        b"alice",
        b"\0alice",
        b"\0alice\0",
        b"\0\0secret",
        b"alice\0\0secret",
        b"\0alice\0secret\0",
        b"\0alice\0secret\0x",
        b"\0alice\0\0secret",
        b"\0\xff\0secret",
        b"\xff\0alice\0secret",
    ],
)
def test_plain_refuses(message: bytes) -> None:
    with pytest.raises(MalformedResponse):
        run("PLAIN", message)


def test_plain_begins_with_an_empty_challenge() -> None:
    assert run("PLAIN", None) == Challenge(b"")


@given(names, names, names | st.just(""))
def test_plain_carries_every_text(user: str, password: str, authorization: str) -> None:
    message = f"{authorization}\0{user}\0{password}".encode()
    assert run("PLAIN", message) == Credentials("PLAIN", user, PasswordProof(password), authorization)


@given(st.binary())
def test_plain_takes_any_octets_without_another_error(message: bytes) -> None:
    try:
        outcome = Plain().step(message)
    except MalformedResponse:
        return
    assert isinstance(outcome, Credentials)
    assert message.count(b"\0") == 2


def test_login_asks_by_the_prompts_that_clients_know() -> None:
    assert run("LOGIN", None) == Challenge(b"Username:")
    assert run("LOGIN", None, b"alice") == Challenge(b"Password:")
    assert run("LOGIN", None, b"alice", b"se cret") == Credentials("LOGIN", "alice", PasswordProof("se cret"))


def test_login_takes_the_initial_response_for_the_name() -> None:
    assert run("LOGIN", b"alice") == Challenge(b"Password:")
    assert run("LOGIN", b"alice", b"secret") == Credentials("LOGIN", "alice", PasswordProof("secret"))


@pytest.mark.parametrize(
    "responses", [(b"",), (None, b""), (b"a\0b",), (b"\xff",), (b"alice", b""), (b"alice", b"a\0"), (None, b"a", b"\0")]
)
def test_login_refuses(responses: tuple[bytes | None, ...]) -> None:
    with pytest.raises(MalformedResponse):
        run("LOGIN", *responses)


@given(st.lists(st.binary(), max_size=3))
def test_login_takes_any_octets_without_another_error(responses: list[bytes]) -> None:
    mechanism = Login()
    try:
        outcomes = [mechanism.step(response) for response in responses]
    except MalformedResponse:
        return
    assert all(isinstance(outcome, Challenge | Credentials) for outcome in outcomes)


@pytest.mark.parametrize("message", [b"planted\0\0", b"\0user\0planted\0", b"\0planted\xff\0password", b"planted"])
def test_a_refusal_quotes_nothing(message: bytes) -> None:
    with pytest.raises(MalformedResponse) as refusal:
        run("PLAIN", message)
    assert "planted" not in repr(refusal.value)
    # A UnicodeDecodeError holds the octets: it must not be printed along with ours.
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
    assert refusal.value.text_id == "sasl-malformed"
    assert refusal.value.code == ""


def test_challenges_and_credentials_show_no_secret() -> None:
    assert "planted" not in repr(Challenge(b"planted"))
    assert "planted" not in repr(run("PLAIN", b"\0alice\0planted"))
