"""The callback face: one object that is a maildrop opener and an authenticator."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from contract.maildrops import run, scanned
from poplin.abilities import implements
from poplin.authentication.base import Credentials, Offers, PasswordProof
from poplin.callbacks import Callbacks
from poplin.calling import WrongAnswer, blocking
from poplin.identity import CURRENT, ClientFacts, Identity, current_session, settle
from poplin.maildrops.base import Ending, Measures, OpenRequest
from poplin.terms import Terms

CLIENT = ClientFacts(address="192.0.2.7")


def test_the_readme_s_ten_lines_are_a_service() -> None:
    messages = {"hello-2026": b"Subject: hello\n\nworld\n"}
    service = Callbacks(
        authenticate=lambda user, password, client: password == "secret",
        list=lambda user: list(messages),
        retrieve=lambda user, message_id: messages[message_id],
        delete=lambda user, message_id: messages.pop(message_id),
    )

    async def conversation() -> None:
        credentials = Credentials("USER", "alice", PasswordProof("secret"))
        identity = await settle(service.authenticate(credentials, CLIENT))
        maildrop = await settle(service.open(OpenRequest(identity=identity, client=CLIENT)))
        scan = await scanned(maildrop)
        assert scan.list_body == b"1 25\r\n"
        assert scan.uidl_body == b"1 hello-2026\r\n"
        content = await settle(maildrop.retrieve(scan[0]))
        assert content.body == messages["hello-2026"]
        assert (await settle(maildrop.remove(list(scan)))).removed == 1
        await settle(maildrop.close(Ending.QUIT))
        assert implements(service, Offers)
        assert implements(maildrop, Measures)

    run(conversation)
    assert messages == {}
    assert service.mechanisms() == {"USER", "PLAIN", "LOGIN"}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("retreive", "retrieve"),
        ("athenticate", "authenticate"),
        ("sizes", "size"),
        ("deletes", "delete"),
        ("conect", "connect"),
        ("lst", "list"),
    ],
)
def test_a_misspelt_callback_is_answered_with_the_right_one(wrong: str, right: str) -> None:
    misspelt: dict[str, Any] = {wrong: lambda *_: None}
    with pytest.raises(TypeError, match=f"no callback '{wrong}'; did you mean '{right}'.*list, retrieve, authenticate"):
        Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"", **misspelt)


def test_a_missing_callback_is_named() -> None:
    with pytest.raises(TypeError, match="retrieve"):
        Callbacks(list=lambda user: [])  # type: ignore[call-arg]  # the mistake is the test


def test_no_class_attribute_hides_a_builtin() -> None:
    assert not {"list", "retrieve", "size", "delete", "connect", "apop"} & set(vars(Callbacks))
    assert list(inspect.signature(Callbacks).parameters)[:2] == ["list", "retrieve"]


def a_service(**callbacks: object) -> Callbacks:
    given: dict[str, Any] = callbacks  # right ones or wrong ones
    return Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"", **given)


def test_the_events_of_a_connection() -> None:
    seen: list[object] = []

    async def disconnect(client: ClientFacts, ending: Ending) -> None:
        seen.append(("disconnect", client, ending))

    @blocking
    def connect(client: ClientFacts) -> bool:
        seen.append(("connect", client, current_session()))
        return False

    service = a_service(connect=connect, disconnect=disconnect)

    async def life() -> None:
        CURRENT.set(CLIENT)
        await settle(service.arrived(CLIENT))
        await settle(service.departed(CLIENT, Ending.DROPPED))

    run(life)
    assert seen == [("connect", CLIENT, CLIENT), ("disconnect", CLIENT, Ending.DROPPED)]


def test_one_event_alone_of_one_parameter() -> None:
    seen: list[ClientFacts] = []
    service = a_service(disconnect=seen.append)

    async def life() -> None:
        await settle(service.arrived(CLIENT))
        await settle(service.departed(CLIENT, Ending.QUIT))

    run(life)
    assert seen == [CLIENT]


def test_an_event_of_the_wrong_shape_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"the callback disconnect is called with \(client, ending\)"):
        a_service(disconnect=lambda: None)
    with pytest.raises(TypeError, match=r"the callback connect is called with \(client\)"):
        a_service(connect=lambda client, ending: None)


@pytest.mark.parametrize(
    ("wish", "where"),
    [
        ("welcome", "poplin.Policy(greeting=…)"),
        ("linetimeout", "poplin.Limits(autologout=…)"),
        ("DEBUG", "setLevel(logging.DEBUG)"),
        ("logindelay", "called login_delay here"),
        ("expiretime", "called expire here"),
        ("port", "poplin.Server(…, port=…)"),
    ],
)
def test_a_wish_that_is_served_elsewhere_is_told_where(wish: str, where: str) -> None:
    with pytest.raises(TypeError, match=re.escape(where)):
        a_service(**{wish: 1})


def terms_of(service: Callbacks, user: str | None) -> Terms:
    async def ask() -> Terms:
        return await settle(service.terms(None if user is None else Identity(user)))

    return run(ask)


def test_terms_that_are_fixed() -> None:
    assert terms_of(a_service(), None) == Terms()
    assert terms_of(a_service(login_delay=60, expire=7), None) == Terms(login_delay=60, expire=7)
    assert terms_of(a_service(expire="NEVER"), "ann") == Terms(expire="NEVER")
    assert terms_of(a_service(expire=0), "ann") == Terms(expire=0)


def test_terms_for_each_user() -> None:
    async def expire(user: str | None) -> int:
        return 3 if user is None else 9

    @blocking
    def login_delay(user: str | None) -> int | None:
        return {None: 900, "ann": 30}.get(user)

    service = a_service(login_delay=login_delay, expire=expire)
    assert terms_of(service, None) == Terms(login_delay=900, expire=3, login_delay_varies=True, expire_varies=True)
    assert terms_of(service, "ann") == Terms(login_delay=30, expire=9, login_delay_varies=True, expire_varies=True)
    assert terms_of(service, "bob").login_delay == 0
    one = a_service(login_delay=5, expire=lambda user: None)
    assert terms_of(one, None) == Terms(login_delay=5, expire_varies=True)


@pytest.mark.parametrize("wrong", [-1, 1.5, "7", True, "never"])
def test_terms_that_cannot_be_meant(wrong: object) -> None:
    for name in ("login_delay", "expire"):
        with pytest.raises(ValueError, match=rf"{name} is .*; expected .*, or a function of \(user\)"):
            a_service(**{name: wrong})
        with pytest.raises(WrongAnswer, match=rf"the callback {name} \(.*\) returned .*; expected"):
            terms_of(a_service(**{name: lambda user: wrong}), None)


def test_nothing_secret_is_shown() -> None:
    service = Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"planted")
    assert "planted" not in repr(service)
