"""A client that goes on talking behind its QUIT: what it was sent before arrives whole all the same.

Closing a socket at which input arrives later resets the connection, and what lies in the kernel unread is lost: here
a message that QUIT has just removed.
"""

import contextlib

import pytest

from poplin.maildrops.memory import MemoryMaildrops
from support.serving import OnePassword, Serve
from support.wire import Wire, until


@pytest.mark.parametrize("octets", [100_000, 1_000_000, 3_000_000])
def test_a_message_fetched_and_removed_in_one_flight_arrives_whole(octets: int, serve: Serve) -> None:
    store = MemoryMaildrops()
    message = b"Subject: big\r\n\r\n" + b"a line of fifty octets and not one octet more ..\r\n" * (octets // 50)
    store.deliver("ann", message)
    running = serve(store, OnePassword("secret"))
    with Wire(running.ports["none"], receive_buffer=4096) as wire:
        assert wire.log_in().startswith(b"+OK")
        wire.send(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
        if octets < 3_000_000:  # so much fits into the kernel: the session is over before anything is read
            until(lambda: running.server.server.totals.removed == 1, "the message is removed")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(20):
                wire.send(b"NOOP\r\n")
        assert wire.line().startswith(b"+OK")
        assert wire.body() == message
        assert wire.line().startswith(b"+OK")
        assert wire.line() == b"+OK goodbye"
        assert wire.rest() == b""
