"""The callback face: one object that is a maildrop opener and an authenticator."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from contract.maildrops import run, scanned
from poplin.abilities import implements
from poplin.authentication.base import Credentials, Offers, PasswordProof
from poplin.callbacks import Callbacks
from poplin.calling import blocking
from poplin.identity import ClientFacts, settle
from poplin.maildrops.base import Ending, Measures, OpenRequest
from poplin.plugins.pipeline import Pipeline

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
    assert service.plugins == ()


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


def test_the_events_of_a_connection() -> None:
    seen: list[object] = []

    async def disconnect(client: ClientFacts) -> None:
        seen.append(("disconnect", client))

    @blocking
    def connect(client: ClientFacts) -> bool:
        seen.append(("connect", client))
        return False

    service = Callbacks(
        list=lambda user: [], retrieve=lambda user, message_id: b"", connect=connect, disconnect=disconnect
    )

    async def life() -> None:
        pipeline = Pipeline(service.plugins)
        await pipeline.connect(CLIENT)
        await pipeline.disconnect(CLIENT, Ending.DROPPED)

    run(life)
    assert seen == [("connect", CLIENT), ("disconnect", CLIENT)]


def test_one_event_alone_and_one_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    def connect(client: ClientFacts) -> None:
        raise ZeroDivisionError

    service = Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"", connect=connect)

    async def life() -> None:
        pipeline = Pipeline(service.plugins)
        await pipeline.connect(CLIENT)
        await pipeline.disconnect(CLIENT, Ending.QUIT)

    run(life)
    assert "ZeroDivisionError" in caplog.text


def test_an_event_of_the_wrong_shape_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"the callback disconnect is called with \(client\)"):
        Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"", disconnect=lambda: None)  # type: ignore[arg-type, misc]  # the mistake is the test


def test_nothing_secret_is_shown() -> None:
    service = Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"planted")
    assert "planted" not in repr(service)
