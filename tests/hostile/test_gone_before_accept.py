"""A network client that reset its connection before the server looked has no address, and is nobody of this machine.

Rules for local clients (cleartext passwords, ``allow_nets=local``, no limit by address) must not let it in.
"""

import logging
import threading
from dataclasses import dataclass, field

import pytest

import poplin
from poplin.authentication.base import Credentials
from poplin.identity import ClientFacts
from poplin.maildrops.memory import MemoryMaildrops
from support.serving import Serve
from support.wire import Wire


@dataclass(slots=True)
class Slow:
    """An authenticator that holds the server's loop for `ann`, so that others come and go unseen; it lets all in."""

    entered: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[str, str]] = field(default_factory=list)

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> poplin.Identity:
        self.seen.append((credentials.user, client.address))
        if credentials.user == "ann":
            self.entered.set()
            self.go_on.wait(30)
        return poplin.Identity(credentials.user)


def test_who_is_gone_at_once_is_nobody_local(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow()
    running = serve(MemoryMaildrops(), slow)
    port = running.ports["none"]
    with caplog.at_level(logging.INFO, "poplin"), Wire(port) as ann:
        ann.line()
        ann.send(b"USER ann\r\nPASS secret\r\n")
        assert slow.entered.wait(30)
        for _ in range(10):
            eve = Wire(port)
            eve.send(b"USER eve\r\nPASS secret\r\nQUIT\r\n")
            eve.reset()
        slow.go_on.set()
        with Wire(port) as bob:
            assert bob.log_in("bob").startswith(b"+OK")
            assert bob.ask("QUIT").startswith(b"+OK")
            assert bob.rest() == b""
        assert running.server.server.sessions == 1
    assert {address for _, address in slow.seen} == {"127.0.0.1"}
    assert [line for line in caplog.messages if "address=local" in line] == []
