"""Time: every deadline closes in silence and removes nothing, and only what counts as life puts it off.

No test looks at a clock: each waits for what has to happen, or goes on for longer than the limit allows.
"""

import logging
import time

import pytest

import poplin
from poplin.maildrops.base import Ending
from poplin.maildrops.memory import MemoryMaildrops
from support.gated import Gate, GatedDoor, GatedMaildrops
from support.processes import big_message
from support.serving import OnePassword, Running, Serve
from support.wire import Wire, logged_in, until

TWO = (b"Subject: one\r\n\r\none\r\n", b"Subject: two\r\n\r\ntwo\r\n")


def limits(autologout: float = 300, login: float = 300, write: float = 300) -> poplin.Limits:
    return poplin.Limits(
        autologout=autologout, allow_short_autologout=True, login_timeout=login, write_timeout=write, drain_timeout=5
    )


def gone(served: Running) -> bool:
    return served.server.call(lambda server: server.sessions) == 0


def test_autologout_is_silent_and_removes_nothing(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Rule 16; RFC 1939 section 3."""
    caplog.set_level(logging.INFO, "poplin")
    store = GatedMaildrops(TWO)
    served = serve(store, GatedDoor(), limits=limits(autologout=0.2))
    with logged_in(served.ports["none"]) as wire:
        wire.ask("DELE 1")
        assert wire.remains() == b""
    until(lambda: gone(served), "the connection is gone")
    assert store.endings == [Ending.TIMEOUT]
    assert len(store.messages) == 2
    assert not store.held()
    lines = [record.getMessage() for record in caplog.records]
    assert any("ended by timeout" in line and "marks-dropped=1" in line for line in lines)


def drip(wire: Wire) -> None:
    while True:
        wire.send(b"N")
        time.sleep(0.01)


def test_half_a_command_puts_nothing_off(serve: Serve) -> None:
    """A slow-loris drips octets, never a command."""
    store = GatedMaildrops(TWO)
    served = serve(store, GatedDoor(), limits=limits(autologout=0.3))
    with logged_in(served.ports["none"]) as wire, pytest.raises(OSError, match=r"reset|pipe"):
        drip(wire)
    until(lambda: store.endings == [Ending.TIMEOUT], "the session timed out")


def test_every_command_puts_autologout_off(serve: Serve) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"), limits=limits(autologout=1.2, login=0.8))
    with logged_in(served.ports["none"]) as wire:
        for _ in range(8):
            time.sleep(0.25)
            assert wire.ask("NOOP") == b"+OK"


@pytest.mark.parametrize("what", [b"", b"N", b"NOOP\r\n", b"USER ann\r\n", b"CAPA\r\n"])
def test_nothing_but_a_login_puts_the_login_timeout_off(serve: Serve, what: bytes) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"), limits=limits(login=0.25))
    with Wire(served.ports["none"]) as wire:
        assert wire.line().startswith(b"+OK")
        try:
            for _ in range(3000):
                wire.send(what)
                time.sleep(0.01)
                if gone(served):
                    break
        except (BrokenPipeError, ConnectionResetError):
            """It was cut: that is what it should be."""
        until(lambda: gone(served), "the connection is gone")
        assert b"idle" not in wire.remains()


def test_who_never_reads_cannot_put_the_login_timeout_off(serve: Serve) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"), limits=limits(login=0.4, write=300))
    with Wire(served.ports["none"], receive_buffer=4096) as wire:
        wire.socket.setblocking(False)
        while not gone(served):
            try:
                wire.socket.send(b"CAPA\r\n" * 1000)
            except BlockingIOError:
                time.sleep(0.01)
            except (BrokenPipeError, ConnectionResetError):
                break
        until(lambda: gone(served), "the connection is gone")


@pytest.mark.parametrize("mode", ["implicit", "starttls"])
def test_a_handshake_that_never_comes_is_part_of_the_login(serve: Serve, mode: str) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"), limits=limits(login=0.2))
    with Wire(served.ports[mode]) as wire:
        if mode == "starttls":
            wire.line()
            wire.ask("STLS")
        assert wire.remains() == b""


def test_a_login_that_hangs_is_part_of_the_login(serve: Serve) -> None:
    gate = Gate()
    served = serve(MemoryMaildrops(), GatedDoor(gate), limits=limits(login=0.3))
    with Wire(served.ports["none"]) as wire:
        wire.send(b"USER ann\r\nPASS secret\r\n")
        gate.await_cancel()
        wire.remains()
    until(lambda: gone(served), "the connection is gone")


def test_who_never_reads_a_message_is_dropped(serve: Serve) -> None:
    """And the DELE and QUIT behind it are not carried out: that message was not received."""
    store = GatedMaildrops([big_message(30_000_000)])
    served = serve(store, GatedDoor(), limits=limits(write=0.3))
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
        until(lambda: gone(served), "the connection is gone")
        assert not wire.remains().endswith(b".\r\n")
    assert store.endings == [Ending.TIMEOUT]
    assert len(store.messages) == 1


def test_who_never_reads_a_message_at_hand_is_dropped(serve: Serve) -> None:
    store = MemoryMaildrops()
    store.deliver("ann", big_message(30_000_000))
    served = serve(store, OnePassword("secret"), limits=limits(write=0.3))
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"NOOP\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
        until(lambda: gone(served), "the connection is gone")
    assert len(store.messages("ann")) == 1


def test_who_reads_slowly_gets_it_all(serve: Serve) -> None:
    message = big_message(24_000_000)
    store = GatedMaildrops([message])
    served = serve(store, GatedDoor(), limits=limits(autologout=0.6, write=0.6))
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"RETR 1\r\n")
        received = bytearray()
        while not received.endswith(b"\r\n.\r\n"):
            piece = wire.socket.recv(262_144)
            assert piece, f"dropped after {len(received)} octets"
            received += piece
            time.sleep(0.02)
        assert received.partition(b"\r\n")[2] == message + b".\r\n"
        assert wire.ask("NOOP") == b"+OK"


def test_update_is_not_timed_out(serve: Serve) -> None:
    gate = Gate()
    store = GatedMaildrops(TWO, remove=gate)
    served = serve(store, GatedDoor(), limits=limits(autologout=0.1, login=0.5, write=0.1))
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"DELE 1\r\nQUIT\r\n")
        gate.await_arrival()
        time.sleep(0.6)
        assert not gate.cancelled.is_set()
        gate.open()
        wire.line()
        assert wire.line() == b"+OK goodbye"
    assert list(store.messages) == ["id2"]


def test_who_lingers_behind_our_last_words_is_dropped(serve: Serve) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"), limits=poplin.Limits(bad_commands=1))
    with Wire(served.ports["none"]) as wire:
        wire.line()
        assert wire.ask("XYZZY").startswith(b"-ERR")
        assert wire.line() == b""
        until(lambda: gone(served), "the server waits no longer for the client's end")
