"""One session on any pair of binary files: pipes, objects in memory, files that break."""

import asyncio
import io
import os
import threading
from collections.abc import Awaitable, Callable
from typing import BinaryIO, cast

import poplin
from poplin.maildrops.base import Ending
from poplin.maildrops.memory import MemoryMaildrops
from support.gated import Gate, GatedDoor, GatedMaildrops
from support.processes import big_message
from support.serving import OnePassword
from support.wire import until

Run = Callable[[Awaitable[None]], None]


def a_server(store: MemoryMaildrops | GatedMaildrops, **limits: float) -> poplin.Server:
    return poplin.Server(
        maildrops=store,
        authenticator=OnePassword("secret"),
        limits=poplin.Limits(allow_short_autologout=True, **limits),  # type: ignore[arg-type]
    )


def test_a_conversation_in_memory(run_async: Run) -> None:
    store = MemoryMaildrops()
    store.deliver("ann", big_message(200_000))
    source = io.BytesIO(b"USER ann\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nQUIT\r\nNOOP\r\n")
    sink = io.BytesIO()
    run_async(a_server(store).serve_streams(source, sink))
    answer = sink.getvalue()
    assert answer.endswith(big_message(200_000) + b".\r\n+OK message 1 marked for removal\r\n+OK goodbye\r\n")
    assert not sink.closed
    assert store.messages("ann") == {}


def test_an_end_without_quit_removes_nothing(run_async: Run) -> None:
    store = GatedMaildrops()
    sink = io.BytesIO()
    run_async(a_server(store).serve_streams(io.BytesIO(b"USER ann\r\nPASS secret\r\nDELE 1\r\nQUI"), sink))
    assert sink.getvalue().endswith(b"+OK message 1 marked for removal\r\n")
    assert store.endings == [Ending.DROPPED]
    assert len(store.messages) == 1


def pipes() -> tuple[BinaryIO, BinaryIO, BinaryIO, BinaryIO]:
    """The server's source and sink, the client's sink and source."""
    their_read, our_write = os.pipe()
    our_read, their_write = os.pipe()
    return (
        os.fdopen(their_read, "rb"),
        os.fdopen(their_write, "wb"),
        os.fdopen(our_write, "wb", 0),
        os.fdopen(our_read, "rb"),
    )


def test_a_conversation_through_pipes(run_async: Run) -> None:
    source, sink, write, read = pipes()
    message = big_message(3_000_000)
    store = MemoryMaildrops()
    store.deliver("ann", message)
    received: list[bytes] = []

    def client() -> None:
        read.readline()
        write.write(b"USER ann\r\nPASS secret\r\nRETR 1\r\nQUIT\r\n")
        for _ in range(3):
            read.readline()
        received.append(read.read(len(message)))
        received.append(read.readline() + read.readline())

    thread = threading.Thread(target=client)
    thread.start()
    with source, sink, write, read:
        run_async(a_server(store).serve_streams(source, sink))
        thread.join()
    assert received == [message, b".\r\n+OK goodbye\r\n"]


def test_a_client_that_never_reads_its_pipe_is_dropped(run_async: Run) -> None:
    their_read, our_write = os.pipe()
    our_read, their_write = os.pipe()
    store = GatedMaildrops([big_message(5_000_000)])
    with open(their_read, "rb") as source, open(their_write, "wb", 0) as sink:
        os.write(our_write, b"USER ann\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
        run_async(a_server(store, write_timeout=0.2).serve_streams(source, sink))
        assert store.endings == [Ending.TIMEOUT]
        assert len(store.messages) == 1
        os.close(our_read)
        os.close(our_write)
        until(lambda: not {"poplin-pair-reader", "poplin-pair-writer"} & names(), "both threads are gone")


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


class Broken(io.RawIOBase):
    """A file that takes so many octets and then fails."""

    def __init__(self, octets: int) -> None:
        self.left = octets

    def writable(self) -> bool:
        return True

    def write(self, octets: object) -> int:
        size = len(cast("bytes", octets))
        self.left -= size
        if self.left < 0:
            raise OSError("no space left on this pipe")
        return size


def test_a_sink_that_breaks_drops_the_session(run_async: Run) -> None:
    source, sink, write, read = pipes()
    store = GatedMaildrops([big_message(100_000)])
    with source, sink, write, read:
        write.write(b"USER ann\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
        run_async(a_server(store).serve_streams(source, cast("BinaryIO", Broken(2000))))
    assert store.endings == [Ending.DROPPED]
    assert len(store.messages) == 1
    until(lambda: "poplin-pair-writer" not in names(), "the writer's thread is gone")


def test_a_source_that_breaks_is_an_end(run_async: Run) -> None:
    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            raise OSError("the terminal is gone")

    sink = io.BytesIO()
    run_async(a_server(MemoryMaildrops()).serve_streams(cast("BinaryIO", Failing()), sink))
    assert sink.getvalue() == b"+OK poplin ready\r\n"


def test_commands_wait_for_callbacks_here_too(run_async: Run) -> None:
    gate = Gate()
    store = GatedMaildrops(retrieve=gate)
    sink = io.BytesIO()

    async def scenario() -> None:
        server = poplin.Server(maildrops=store, authenticator=GatedDoor())
        source = io.BytesIO(b"USER ann\r\nPASS secret\r\nRETR 1\r\n" + b"NOOP\r\n" * 30_000 + b"QUIT\r\n")
        serving = asyncio.ensure_future(server.serve_streams(source, sink))
        await asyncio.to_thread(gate.await_arrival)
        gate.open()
        await asyncio.wait_for(serving, 30)

    run_async(scenario())
    assert sink.getvalue().endswith(b"one\r\n.\r\n" + b"+OK\r\n" * 30_000 + b"+OK goodbye\r\n")
    assert store.endings == [Ending.QUIT]
