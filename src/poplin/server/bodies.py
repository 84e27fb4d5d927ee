"""Long bodies, sent piece by piece, each when the client has taken the last: memory stays bounded, and a slow disk or
source holds no other session up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future as ThreadFuture

from poplin.content import FileRegion
from poplin.protocol.connection import ServerConnection
from poplin.protocol.replies import Begin, End, MultiLine, Part
from poplin.server.hub import Hub

__all__ = ["send_body"]

GiveOut = Callable[[], Awaitable[None]]


async def send_body(reply: MultiLine, connection: ServerConnection, hub: Hub, give_out: GiveOut) -> None:
    """Send a multi-line reply whose body is a file region or comes by and by.

    `give_out` writes what the core has queued and waits until there is room for more. Whoever starts this steps it
    once by hand before a task goes on with it: from then on the content is freed whatever happens.

    Raises:
        OSError: the file cannot be read; and whatever the body's own iterator raises.
    """
    body = reply.content.body
    connection.send(Begin(reply))
    if isinstance(body, FileRegion):
        await _send_region(body, connection, hub, give_out)
    elif not isinstance(body, bytes):
        await _send_pieces(body, connection, give_out)
    connection.send(End())


async def _send_pieces(body: AsyncIterator[bytes], connection: ServerConnection, give_out: GiveOut) -> None:
    try:
        await asyncio.sleep(0)
        async for piece in body:
            connection.send(Part(piece))
            await give_out()
            if connection.body_satisfied:
                break
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:  # a generator frees what it holds now, not when it is collected
            await close()


async def _send_region(region: FileRegion, connection: ServerConnection, hub: Hub, give_out: GiveOut) -> None:
    reading: ThreadFuture[bytes] | None = None
    try:
        await asyncio.sleep(0)
        while not connection.body_satisfied:
            reading = hub.threads.submit(region.read, hub.service.limits.inline_octets)
            piece = await asyncio.wrap_future(reading)
            if not piece:
                break
            connection.send(Part(piece))
            await give_out()
    finally:
        # A thread may still be reading: the descriptor is closed behind it, never under it.
        if reading is None:
            region.close()
        else:
            reading.add_done_callback(lambda _: region.close())
