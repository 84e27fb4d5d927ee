"""The core and the sessions under a loop that is not asyncio's: trio. (Plain blocking sockets: ``examples/blocking.py``.)

What it takes is a coroutine that hands on whatever the loop's own awaitables ask for, and swallows the one bare step
by which a session says that it has to wait (`poplin.identity.settle`).
"""

from __future__ import annotations

import functools
import poplib
import types
from collections.abc import AsyncIterator, Coroutine, Generator
from typing import Any, TypeVar

import pytest

import poplin
from poplin.identity import CURRENT, ClientFacts
from poplin.maildrops.base import Ending
from poplin.protocol.connection import NEED_DATA, Need, ServerConnection
from poplin.protocol.replies import After, Begin, End, Err, MultiLine, Ok, Part, Reply
from poplin.session.service import Service
from poplin.session.session import Session
from support.programs import missing

try:
    import trio
except ImportError:
    trio = None  # type: ignore[assignment]  # a dependency of tests alone

T = TypeVar("T")
MESSAGE = b"Subject: one\n\n.dot\n" + b"x" * 70 + b"\n"


@pytest.fixture(autouse=True)
def _with_trio() -> None:
    if trio is None:
        missing("the package trio")


@types.coroutine
def handed_on(coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """A session's coroutine as any loop can run it."""
    step = functools.partial(coroutine.send, None)
    while True:
        try:
            asked = step()
        except StopIteration as stop:
            result: T = stop.value
            return result
        if asked is None:
            step = functools.partial(coroutine.send, None)
            continue
        try:
            step = functools.partial(coroutine.send, (yield asked))
        except BaseException as error:  # the loop cancels: that is for who waits to hear
            step = functools.partial(coroutine.throw, error)


async def authenticate(user: str, password: str, client: ClientFacts) -> bool:
    await trio.sleep(0)
    client.state.seen = poplin.current_session() is client
    return password == "secret" and client.state.seen


async def retrieve(user: str, message_id: str) -> AsyncIterator[bytes]:
    for start in range(0, len(MESSAGE), 7):
        await trio.sleep(0)
        yield MESSAGE[start : start + 7]


class Shop:
    """A maildrop whose callbacks wait for trio."""

    def __init__(self) -> None:
        self.left = ["one", "two"]
        self.service = poplin.Callbacks(
            authenticate=authenticate,
            list=self.list,
            retrieve=retrieve,
            delete=self.delete,
        )

    async def list(self, user: str) -> list[str]:
        await trio.sleep(0)
        return list(self.left)

    async def delete(self, user: str, message_id: str) -> None:
        await trio.sleep(0)
        self.left.remove(message_id)


class Served:
    """A server under trio, on a free port."""

    def __init__(self, shop: Shop) -> None:
        self.endings: list[Ending] = []
        self.service = Service(
            maildrops=shop.service,
            authenticator=shop.service,
            timestamp=lambda host: "",
            enter=lambda user: None,
            leave=lambda user: None,
        )

    async def talk(self, stream: trio.SocketStream) -> None:
        session = Session(self.service, ClientFacts("127.0.0.1", session_id="t-1"))
        connection = ServerConnection()
        CURRENT.set(session.client)
        ending = Ending.DROPPED
        async with stream:
            reply = await handed_on(session.greet())
            after = After.GO_ON if reply is None else await self.send(connection, stream, reply)
            while after is After.GO_ON:
                command = connection.next_command()
                if command is NEED_DATA:
                    await stream.send_all(connection.data_to_send())
                    octets = await stream.receive_some()
                    connection.receive_data(octets) if octets else connection.receive_eof()
                elif isinstance(command, Need):
                    break
                else:
                    after = await self.send(connection, stream, await handed_on(session.handle(command)))
            await stream.send_all(connection.data_to_send())
            ending = Ending.QUIT if after is After.CLOSE else ending
        await handed_on(session.end(ending))
        self.endings.append(ending)

    async def send(self, connection: ServerConnection, stream: trio.SocketStream, reply: Reply) -> After:
        if isinstance(reply, MultiLine) and isinstance(reply.content.body, AsyncIterator):
            connection.send(Begin(reply))
            async for piece in reply.content.body:
                connection.send(Part(piece))
                await stream.send_all(connection.data_to_send())
            connection.send(End())
        else:
            connection.send(reply)
        return reply.after if isinstance(reply, Ok | Err) else After.GO_ON


def test_a_session_under_trio() -> None:
    shop = Shop()
    served = Served(shop)

    def converse(port: int) -> bytes:
        box = poplib.POP3("127.0.0.1", port, timeout=20)
        box.user("ann")
        box.pass_("secret")
        assert len(box.uidl()[1]) == 2
        message = b"\n".join(box.retr(1)[1]) + b"\n"
        assert box.top(2, 0)[1] == [b"Subject: one", b""]
        box.dele(1)
        box.quit()
        return message

    async def main() -> bytes:
        listener, *_ = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, served.talk, [listener])
            message = await trio.to_thread.run_sync(converse, port)
            while not served.endings:
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
        return message

    assert trio.run(main) == MESSAGE
    assert shop.left == ["two"]
    assert served.endings == [Ending.QUIT]
