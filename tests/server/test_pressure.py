"""Memory under pressure: idle connections cost what was promised, and no client makes the server keep more than a
bounded amount, however it sends and whatever it leaves unread. Each server is a process of its own, and measured."""

import importlib.util
import selectors
import ssl
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest

from support.processes import ServerProcess, big_message, running
from support.serving import Certificate
from support.wire import Wire, logged_in, until

LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc")


def quiet(server: ServerProcess) -> None:
    """Wait until the server does nothing any more."""
    used = -1.0
    while used != server.seconds():
        used = server.seconds()
        time.sleep(0.1)


def connect(server: ServerProcess, mode: str, context: ssl.SSLContext, number: int) -> Wire:
    wire = Wire(server.port, context if mode == "implicit" else None)
    wire.line()
    if mode == "starttls":
        wire.ask("STLS")
        wire.start_tls(context)
    assert wire.pass_in(f"user{number}").startswith(b"+OK")
    return wire


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("mode", "most"), [("none", 8_192), ("starttls", 30_720), ("implicit", 30_720)])
def test_an_idle_session_is_cheap(
    certificate: Certificate, trusting: ssl.SSLContext, loop: str, mode: str, most: int
) -> None:
    files = () if mode == "none" else (certificate.folder / "certificate.pem", certificate.folder / "key.pem", mode)
    with running("idle", *files, loop=loop) as server:
        wires = [connect(server, mode, trusting, number) for number in range(100)]
        quiet(server)
        before = server.memory()
        count = 400
        wires += [connect(server, mode, trusting, number) for number in range(100, 100 + count)]
        quiet(server)
        each = (server.memory() - before) / count
        for wire in wires:
            wire.close()
    print(f"{loop} {mode}: {each:.0f} octets for each idle connection")
    assert each <= most, f"{each:.0f} octets for each connection"


def test_500_messages_asked_for_and_not_read(tmp_path: Path) -> None:
    """Rule 10: output that the client does not read stops us reading its commands; then all of it arrives, in order."""
    count, size = 500, 100_000
    with running("many", str(count), str(size)) as server, logged_in(server.port) as wire:
        quiet(server)
        before = server.memory()
        wire.send(b"".join(b"RETR %d\r\n" % number for number in range(1, count + 1)))
        quiet(server)
        assert server.memory() - before < 8_000_000
        for number in range(count):
            assert wire.line().startswith(b"+OK")
            assert wire.body() == big_message(size, number)
        assert wire.ask("NOOP") == b"+OK"
        assert server.memory() - before < 8_000_000


def test_commands_without_end_and_nobody_reads_the_answers() -> None:
    with running("idle") as server, logged_in(server.port) as wire:
        before = server.memory()
        stop = threading.Event()
        sent = [0]

        def flood() -> None:
            wire.socket.settimeout(0.2)
            while not stop.is_set():
                try:
                    sent[0] += wire.socket.send(b"CAPA\r\n" * 10_000)
                except TimeoutError:
                    continue

        writer = threading.Thread(target=flood)
        writer.start()
        last = -1
        while last != sent[0]:  # until the server reads no more
            last = sent[0]
            time.sleep(0.5)
        stop.set()
        writer.join()
        assert sent[0] > 65_536
        assert server.memory() - before < 8_000_000


def test_100000_commands_in_one_go() -> None:
    count = 100_000
    with running("idle") as server, logged_in(server.port) as wire:
        before = server.memory()
        writer = threading.Thread(target=wire.send, args=(b"NOOP\r\n" * count + b"QUIT\r\n",))
        writer.start()
        answer = wire.rest()
        writer.join()
        assert answer == b"+OK\r\n" * count + b"+OK goodbye\r\n"
        assert server.memory() - before < 8_000_000


def test_lines_without_end_are_dropped_as_they_come() -> None:
    with running("idle") as server, logged_in(server.port) as wire:
        before = server.memory()
        for _ in range(40):
            wire.send(b"x" * 1_000_000)
        quiet(server)
        assert server.memory() - before < 8_000_000
        assert wire.ask("") == b"-ERR command line too long"
        assert wire.ask("NOOP") == b"+OK"


def test_20_clients_fetch_50_megabytes_at_once(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(big_message(50_000_000))
    expected = zlib.crc32(path.read_bytes() + b".\r\n")
    with running("files", path) as server:
        wires = []
        for number in range(20):
            wires.append(Wire(server.port))
            wires[-1].log_in(f"user{number}")
        quiet(server)
        before = server.memory()
        most = 0
        with selectors.DefaultSelector() as selector:
            sums: dict[Wire, int] = {}
            for wire in wires:
                wire.send(b"RETR 1\r\nQUIT\r\n")
                assert wire.line().startswith(b"+OK")
                farewell = b"+OK goodbye\r\n"
                sums[wire] = zlib.crc32(wire.taken())
                selector.register(wire.socket, selectors.EVENT_READ, wire)
            tails = dict.fromkeys(wires, b"")
            while selector.get_map():
                for key, _ in selector.select(30):
                    wire = key.data
                    piece = wire.socket.recv(1_000_000)
                    if not piece:
                        selector.unregister(key.fileobj)
                        continue
                    piece = tails[wire] + piece
                    tails[wire] = piece[-len(farewell) :]
                    sums[wire] = zlib.crc32(piece[: -len(farewell)], sums[wire])
                most = max(most, server.memory())
        for wire in wires:
            wire.close()
        assert set(tails.values()) == {farewell}
        assert set(sums.values()) == {expected}
        assert most - before < 64_000_000


def test_300_slow_lorises_and_everybody_else_is_served() -> None:
    with running("many", "3", "1000") as server:
        descriptors = server.descriptors()
        lorises = [Wire(server.port) for _ in range(300)]
        for loris in lorises:
            loris.send(b"USER a")
        server.wait_for_connections(300, descriptors)
        for _ in range(20):
            for loris in lorises:
                loris.send(b"n")
            with logged_in(server.port) as wire:
                assert wire.retrieve(3) == big_message(1000, 2)
                assert wire.ask("QUIT").startswith(b"+OK")
        for loris in lorises:
            loris.close()
        until(lambda: server.descriptors() == descriptors, "all connections are closed")
