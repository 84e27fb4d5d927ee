"""poplin without asyncio: its protocol core and its sessions, pumped by blocking sockets, a thread for each client.

Run it with ``python blocking.py --port 1110``; port 0 takes any free one. Log in as alice, password ``secret``.
"""

import argparse
import contextlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

import poplin
from poplin.authentication.callbacks import CallbackAuthenticator
from poplin.content import FileRegion
from poplin.identity import CURRENT
from poplin.maildrops.memory import MemoryMaildrops
from poplin.protocol.connection import NEED_DATA, Need, ServerConnection
from poplin.protocol.replies import After, Begin, End, Err, MultiLine, Ok, Part, Reply
from poplin.session.service import Service
from poplin.session.session import Session

T = TypeVar("T")

maildrops = MemoryMaildrops()
maildrops.deliver("alice", b"Subject: hello\n\nworld\n", unique_id="hello-2026")
service = Service(
    maildrops=maildrops,
    authenticator=CallbackAuthenticator(authenticate=lambda user, password, client: password == "secret"),
    timestamp=lambda host: "",  # no APOP
    enter=lambda user: None,  # called at each login: raise here what too many sessions of a user shall hear
    leave=lambda user: None,
)


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Step a coroutine to its end. Nothing here waits for a loop, so it never has to stop."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            answer: T = stop.value
            return answer


def talk(client: socket.socket, address: tuple[str, int]) -> None:
    """One session, from the greeting to the end."""
    session = Session(service, poplin.ClientFacts(*address))
    connection = ServerConnection()
    CURRENT.set(session.client)  # what poplin.current_session() gives to callbacks
    client.settimeout(600)
    ending = poplin.Ending.DROPPED
    try:
        with client, contextlib.suppress(ConnectionError):
            reply = run(session.greet())
            after = After.GO_ON if reply is None else send(connection, reply)
            while after is After.GO_ON:
                command = connection.next_command()
                if command is NEED_DATA:  # everything at hand is carried out: answer in one write, then listen
                    client.sendall(connection.data_to_send())
                    octets = client.recv(65_536)
                    connection.receive_data(octets) if octets else connection.receive_eof()
                elif isinstance(command, Need):
                    break
                else:
                    after = send(connection, run(session.handle(command)))
            client.sendall(connection.data_to_send())
            if after is After.CLOSE:
                ending = poplin.Ending.QUIT
    except TimeoutError:
        ending = poplin.Ending.TIMEOUT
    finally:
        run(session.end(ending))


def send(connection: ServerConnection, reply: Reply) -> After:
    """Queue a reply; what follows it."""
    if isinstance(reply, MultiLine) and not isinstance(reply.content.body, bytes):
        connection.send(Begin(reply))
        send_body(connection, reply.content.body)
        connection.send(End())
    else:
        connection.send(reply)
    return reply.after if isinstance(reply, Ok | Err) else After.GO_ON


def send_body(connection: ServerConnection, body: FileRegion | AsyncIterator[bytes]) -> None:
    """Queue a body that is read by and by: a file, or what a generator gives."""
    if isinstance(body, FileRegion):
        with contextlib.closing(body):
            while piece := body.read(65_536):
                connection.send(Part(piece))
        return
    with contextlib.suppress(StopAsyncIteration):
        while True:
            connection.send(Part(run(_next(body))))


async def _next(body: AsyncIterator[bytes]) -> bytes:
    return await anext(body)


def serve(port: int) -> None:
    """Accept clients until Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with socket.create_server(("127.0.0.1", port)) as listener, contextlib.suppress(KeyboardInterrupt):
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            threading.Thread(target=talk, args=listener.accept(), daemon=True).start()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=1110)
    serve(arguments.parse_args().port)
