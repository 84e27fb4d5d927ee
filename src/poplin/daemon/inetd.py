"""One session on the descriptors that somebody handed over: a socket from inetd, or two pipes.

The engine speaks to a socket; pipes get a pair of sockets between them and the engine, and two threads that
carry octets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import stat
import threading

from poplin.server.admission import Admission
from poplin.server.driver import Driver
from poplin.server.hub import Hub, Listener, TlsMode
from poplin.server.running import runner
from poplin.server.server import Server

__all__ = ["serve"]

_PIECE = 65_536
_LOOK = 3600.0
"""Seconds between two looks whether the session is over, should its end be missed."""


def serve(server: Server, tls: TlsMode, context: ssl.SSLContext | None, *, source: int = 0, sink: int = 1) -> None:
    """Serve one session, reading from the descriptor `source` and writing to `sink`, until it ends.

    `server` says what is served; it is not started.
    """
    listener = Listener(address="inetd", tls=tls, context=context)
    if stat.S_ISSOCK(os.fstat(source).st_mode):
        connection, writer = socket.socket(fileno=os.dup(source)), None
    else:
        connection, writer = _between(source, sink)
    connection.setblocking(False)
    with runner() as loop_runner:
        loop_runner.run(_serve(server, listener, connection))
    if writer:
        writer.join()


async def _serve(server: Server, listener: Listener, connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    hub = Hub(server.service, Admission(server.service.limits), loop)
    await loop.connect_accepted_socket(lambda: Driver(hub, listener), connection)
    while hub.drivers:
        await hub.emptied(_LOOK)
    await hub.settled()
    hub.close()


def _between(source: int, sink: int) -> tuple[socket.socket, threading.Thread]:
    """A socket that stands for the two descriptors; the thread to wait for is the one that writes to `sink`."""
    ours, theirs = socket.socketpair()

    def read() -> None:
        with contextlib.suppress(OSError):
            while piece := os.read(source, _PIECE):
                theirs.sendall(piece)
            theirs.shutdown(socket.SHUT_WR)

    def write() -> None:
        with contextlib.suppress(OSError):
            while piece := theirs.recv(_PIECE):
                view = memoryview(piece)
                while view:
                    view = view[os.write(sink, view) :]
        theirs.close()

    threading.Thread(target=read, name="poplin-stdin", daemon=True).start()
    writer = threading.Thread(target=write, name="poplin-stdout")
    writer.start()
    return ours, writer
