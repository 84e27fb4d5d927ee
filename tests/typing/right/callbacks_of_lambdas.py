"""The README's ten lines, and the ways to run them."""

import asyncio

import poplin

messages = {"hello-2026": b"Subject: hello\n\nworld\n"}

server = poplin.Server(
    poplin.Callbacks(
        authenticate=lambda user, password, client: password == "secret",
        list=lambda user: list(messages),
        retrieve=lambda user, message_id: messages[message_id],
        delete=lambda user, message_id: messages.pop(message_id),
    ),
    port=1110,
)


def in_front() -> None:
    server.run()


async def in_a_loop() -> int:
    async with server:
        await asyncio.sleep(1)
        return server.port


def beside() -> str:
    with poplin.BackgroundServer(server) as running:
        sessions: int = running.call(lambda server: server.sessions)
        return f"{running.port} {sessions}"
