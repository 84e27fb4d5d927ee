"""Long bodies: they come in pieces, whole or visibly cut, and what they hold is freed on every ending."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

import poplin
from poplin.content import Content, FileRegion, Form
from poplin.maildrops.base import Ending
from support.gated import Gate, GatedDoor, Streaming
from support.processes import big_message
from support.serving import Running, Serve
from support.wire import Wire, logged_in, until

HEADER = b"Subject: streamed\r\n\r\n"


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


def gone(served: Running) -> bool:
    return served.server.call(lambda server: server.sessions) == 0


@pytest.mark.parametrize(
    ("pieces", "wire"),
    [
        ((HEADER, b"a\r\n", b".b\r\n"), HEADER + b"a\r\n.b\r\n"),
        ((HEADER, b"a\r", b"\n", b".", b"\n.", b"\n"), HEADER + b"a\r\n.\r\n.\r\n"),
        ((HEADER, b"", b"no end"), HEADER + b"no end\r\n"),
        ((), b""),
        ((b"",), b""),
    ],
)
def test_pieces_make_one_message(serve: Serve, pieces: Sequence[bytes], wire: bytes) -> None:
    served = serve(Streaming(lambda: Content(pieces_of(*pieces), prefix=b"X: 1\r\n")), GatedDoor())
    with logged_in(served.ports["none"]) as client:
        assert client.retrieve(1) == b"X: 1\r\n" + wire
        assert client.ask("NOOP") == b"+OK"


def test_a_source_that_fails_in_the_middle_cuts_without_the_terminator(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Rule of part 3: no client takes half a message for a whole."""

    async def failing() -> AsyncIterator[bytes]:
        yield HEADER
        yield b"the first half\r\n"
        raise OSError("password=hunter2 at db.internal")

    store = Streaming(lambda: Content(failing()), lambda: Content(pieces_of(HEADER)))
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire, logged_in(served.ports["none"], "bob") as other:
        wire.send(b"RETR 1\r\nNOOP\r\nQUIT\r\n")
        answer = wire.remains()
        assert HEADER in b"+OK\r\n" + answer or answer == b""
        assert b"\r\n.\r\n" not in answer
        assert b"hunter2" not in answer
        assert other.retrieve(2) == HEADER
    until(lambda: Ending.FAILED in store.endings, "the session ended")
    assert any("a message broke off" in record.getMessage() for record in caplog.records)


def test_what_a_source_holds_is_freed_at_once(serve: Serve) -> None:
    """When TOP has enough, and when the client is gone: the generator's own ``finally`` has run."""
    freed: list[str] = []

    def source(name: str) -> Callable[[], Content]:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield HEADER
                for _ in range(100_000):
                    yield b"a line\r\n" * 1000
            finally:
                await asyncio.sleep(0)
                freed.append(name)

        return lambda: Content(pieces())

    served = serve(Streaming(source("top"), source("drop")), GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        assert wire.ask("TOP 1 2").startswith(b"+OK")
        assert wire.body() == HEADER + b"a line\r\n" * 2
        assert freed == ["top"]
        wire.send(b"RETR 2\r\n")
        wire.line()
        wire.reset()
    until(lambda: freed == ["top", "drop"], "the second source is freed")
    until(lambda: gone(served), "the connection is gone")


class Watched(FileRegion):
    """A region that says how much was read, and waits in its thread where it is told to."""

    def __init__(self, path: Path, gate: threading.Event | None = None) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)
        super().__init__(self.descriptor, 0, os.fstat(self.descriptor).st_size)
        self.gate = gate
        self.reads = 0
        self.reading = threading.Event()
        self.closed = threading.Event()

    def read(self, most: int) -> bytes:
        self.reads += 1
        self.reading.set()
        if self.gate is not None:
            assert self.gate.wait(30)
        assert not self.closed.is_set(), "closed under its reader"
        return super().read(most)

    def close(self) -> None:
        super().close()
        self.closed.set()


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(big_message(6_000_000))
    return path


def test_a_region_arrives_whole_and_is_closed(serve: Serve, big_file: Path) -> None:
    regions: list[Watched] = []

    def content() -> Content:
        regions.append(Watched(big_file))
        return Content(regions[-1], Form.CRLF | Form.UNDOTTED, regions[-1].octets)

    served = serve(Streaming(content), GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        assert wire.retrieve(1) == big_file.read_bytes()
        assert wire.ask("TOP 1 3").startswith(b"+OK")
        assert wire.body() == b"".join(big_file.read_bytes().splitlines(keepends=True)[:5])
        assert wire.ask("NOOP") == b"+OK"
    until(lambda: all(region.closed.is_set() for region in regions), "both are closed")
    assert regions[0].reads > 20
    assert regions[1].reads == 1  # TOP reads no more than it needs


def test_a_descriptor_is_never_closed_under_its_reader(serve: Serve, big_file: Path) -> None:
    gate = threading.Event()
    region = Watched(big_file, gate)
    served = serve(Streaming(lambda: Content(region)), GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"RETR 1\r\n")
        assert region.reading.wait(30)
        wire.reset()
    until(lambda: gone(served), "the connection is gone")
    assert not region.closed.is_set()
    os.fstat(region.descriptor)
    gate.set()
    assert region.closed.wait(30)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(region.descriptor)


def test_a_body_that_never_began_is_closed_too(serve: Serve, big_file: Path) -> None:
    """The kick comes between the answer of the maildrop and the first turn of the task that sends it."""
    region = Watched(big_file)

    def content() -> Content:
        session_id = poplin.current_session().session_id
        asyncio.get_running_loop().call_soon(served.server.server.kick, session_id)
        return Content(region)

    served = serve(Streaming(content), GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"RETR 1\r\n")
        wire.remains()
    assert region.closed.wait(30)
    assert region.reads == 0


def test_a_file_that_shrinks_meanwhile_is_cut(serve: Serve, big_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poplin")

    def content() -> Content:
        region = Watched(big_file)
        os.truncate(big_file, 1_000_000)
        return Content(region, Form.CRLF | Form.UNDOTTED, 6_000_000)

    store = Streaming(content)
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"RETR 1\r\n")
        assert b"\r\n.\r\n" not in wire.remains()
    until(lambda: store.endings == [Ending.FAILED], "the session ended")


def test_a_kick_in_the_middle_of_a_region_frees_it(serve: Serve, big_file: Path) -> None:
    big_file.write_bytes(big_message(40_000_000))
    region = Watched(big_file)
    store = Streaming(lambda: Content(region))
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"RETR 1\r\n")
        wire.line()
        served.server.call(lambda server: server.kick(server.clients[0].session_id))
        assert not wire.remains().endswith(b".\r\n")
    assert region.closed.wait(30)
    until(lambda: store.endings == [Ending.KICKED], "the session ended")


def test_slow_sources_hold_nobody_up(serve: Serve) -> None:
    gate = Gate()

    async def slow() -> AsyncIterator[bytes]:
        yield HEADER
        await gate.wait()
        yield b"late\r\n"

    served = serve(Streaming(lambda: Content(slow()), lambda: Content(pieces_of(HEADER))), GatedDoor())
    with logged_in(served.ports["none"]) as wire, Wire(served.ports["none"]) as other:
        wire.send(b"RETR 1\r\nNOOP\r\n")
        gate.await_arrival()
        other.log_in("bob")
        assert other.retrieve(2) == HEADER
        gate.open()
        assert wire.line().startswith(b"+OK")
        assert wire.body() == HEADER + b"late\r\n"
        assert wire.line() == b"+OK"
