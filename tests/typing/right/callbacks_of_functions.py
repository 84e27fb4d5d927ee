"""Every callback, plain and async, with every form of an answer."""

from collections.abc import AsyncIterator, Sequence
from email.message import EmailMessage
from pathlib import Path

import poplin


def connect(client: poplin.ClientFacts) -> None:
    client.state.asked = 0
    if client.address == "192.0.2.1":
        raise poplin.Refused("go away")


def disconnect(client: poplin.ClientFacts, ending: poplin.Ending) -> None:
    print(client.session_id, ending.value)


async def authenticate(user: str, password: str, client: poplin.ClientFacts) -> poplin.Identity | None:
    if client.tls is None:
        raise poplin.AuthenticationFailed
    return poplin.Identity(user.lower()) if password == "secret" else None


def apop(user: str, digest: str, timestamp: str) -> bool:
    return bool(digest and timestamp)


def listed(user: str) -> list[tuple[str, int]]:
    return [("one", 12), ("two", 40)]


def retrieve(user: str, message_id: str) -> bytes | str | EmailMessage | Path | None:
    if message_id == "gone":
        raise poplin.MessageGone
    return poplin.current_session().address if message_id == "one" else None


async def pieces(user: str, message_id: str) -> AsyncIterator[bytes]:
    async def read() -> AsyncIterator[bytes]:
        yield b"Subject: pieces\n\n"

    return read()


@poplin.blocking
def delete_all(user: str, message_ids: Sequence[str]) -> None:
    Path("gone").write_text("\n".join(message_ids), "utf-8")


plain = poplin.Callbacks(
    connect=connect,
    disconnect=disconnect,
    authenticate=authenticate,
    apop=apop,
    list=listed,
    retrieve=retrieve,
    size=lambda user, message_id: len(message_id),
    delete_all=delete_all,
    dry_run=lambda user: user == "demo",
    login_delay=lambda user: 60 if user is None else 5,
    expire="NEVER",
    exclusive=False,
)
streamed = poplin.Callbacks(list=lambda user: ["one"], retrieve=pieces)
