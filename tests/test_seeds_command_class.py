"""What went wrong in Net::Server::POP3::Skeleton, the ancestor of the command classes: each bug by its name.

And what its page promises, done right: five states with hooks, commands by state, framing, the store of a session.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

import poplin
from poplin.protocol.replies import Reply
from support.talking import LOGIN, a_world, talk
from support.wire import Wire, logged_in, until

AFTER = poplin.State.TRANSACTION


class Shop(poplin.CommandServer):
    """All its own, as the ancestor's subclasses were."""

    diary: list[str]

    def connect(self) -> None:
        self.diary.append(f"connect {self.state.value}")

    def do_USER(self, argument: str) -> Reply:
        self.user = argument
        return self.ok()

    def do_PASS(self, argument: str) -> Reply:
        return self.ok("welcome") if argument == "secret" else self.err("no")

    def do_STAT(self, argument: str) -> Reply:
        return self.ok("0 0")

    def do_RETR(self, argument: str) -> Reply:
        return self.data("coming", [".hidden", "", "..", "end"])

    def do_XWHO(self, argument: str) -> Reply:
        return self.ok(getattr(self, "user", "nobody"))

    def commit(self) -> None:
        self.diary.append(f"commit {self.state.value}")

    def disconnect(self, ending: poplin.Ending) -> None:
        self.diary.append(f"disconnect {self.state.value} {ending.value}")


def shop(**attributes: object) -> type[Shop]:
    return type("Shop", (Shop,), {"diary": [], **attributes})


@pytest.fixture
def port() -> Iterator[int]:
    with poplin.BackgroundServer(poplin.Server(commands=shop(), host="127.0.0.1", port=0)) as running:
        yield running.port


def test_no_pipelining(port: int) -> None:
    """A batch got one answer and then waited for the timeout."""
    with Wire(port) as wire:
        wire.send(b"USER ann\r\nPASS secret\r\nSTAT\r\nXWHO\r\nNOOP\r\nQUIT\r\n")
        assert wire.rest() == b"+OK poplin ready\r\n+OK\r\n+OK welcome\r\n+OK 0 0\r\n+OK ann\r\n+OK\r\n+OK goodbye\r\n"


def test_no_stuffing(port: int) -> None:
    """A subclass had to double dots itself."""
    with logged_in(port) as wire:
        wire.send(b"RETR 1\r\nQUIT\r\n")
        assert wire.rest() == b"+OK coming\r\n..hidden\r\n\r\n...\r\nend\r\n.\r\n+OK goodbye\r\n"


def test_eof_told_as_timeout() -> None:
    """The end of input was answered ``-ERR Connection timed out``."""
    commands = shop()
    assert talk(b"USER ann\r\nPASS secret\r\n", commands=commands) == b"+OK poplin ready\r\n+OK\r\n+OK welcome\r\n"
    assert commands.diary[-1] == "disconnect DISCONNECT dropped"


def test_a_timeout_is_silent_and_commits_nothing() -> None:
    commands = shop()
    limits = poplin.Limits(autologout=0.2, allow_short_autologout=True)
    server = poplin.Server(commands=commands, host="127.0.0.1", port=0, limits=limits)
    with poplin.BackgroundServer(server) as running, logged_in(running.port) as wire:
        assert wire.rest() == b"", "RFC 1939 section 3: closed without a word"
        until(lambda: len(commands.diary) == 2, "disconnect was called")
    assert commands.diary == ["connect CONNECT", "disconnect DISCONNECT timeout"]


def test_commit_errors_lost() -> None:
    """What commit raised was swallowed and never reported."""

    def failing(self: Shop) -> None:
        raise OSError("disk full")

    said = talk(LOGIN + b"QUIT\r\n", commands=shop(commit=failing))
    assert said.endswith(b"+OK welcome\r\n-ERR [SYS/TEMP] temporary failure, try again later\r\n")
    assert b"goodbye" not in said


def test_goodbye_before_commit() -> None:
    """The client was told that all is well, and then it was tried."""
    reached, gate = threading.Event(), asyncio.Event()

    async def slow(self: Shop) -> None:
        reached.set()
        await gate.wait()

    server = poplin.Server(commands=shop(commit=slow), host="127.0.0.1", port=0)
    with poplin.BackgroundServer(server) as running, logged_in(running.port) as wire:
        wire.send(b"QUIT\r\n")
        assert reached.wait(30)
        assert wire.silent()
        running.call(lambda server: gate.set())
        assert wire.rest() == b"+OK goodbye\r\n"


def test_shared_defaults() -> None:
    """Options of one object leaked into the next, and what a session stored outlived it."""
    one, other = shop(greeting="one"), shop()
    one.add_command(AFTER, "XMORE", lambda self, argument: self.ok("more"), capability="XMORE")
    one.remove_command(AFTER, "STAT")
    assert talk(LOGIN + b"XMORE\r\nSTAT\r\n", commands=one).split(b"\r\n")[3:-1] == [
        b"+OK more", b"-ERR not allowed after login",
    ]  # fmt: skip
    assert talk(LOGIN + b"XMORE\r\nSTAT\r\nXWHO\r\n", commands=other).split(b"\r\n")[3:-1] == [
        b"-ERR unknown command", b"+OK 0 0", b"+OK mrose",
    ]  # fmt: skip
    assert talk(b"XWHO\r\n", commands=other) == b"+OK poplin ready\r\n+OK nobody\r\n"
    assert talk(b"XWHO\r\n", commands=one) == b"+OK one\r\n+OK nobody\r\n"


def test_empty_line(caplog: pytest.LogCaptureFixture) -> None:
    """It warned of an undefined value."""
    said = talk(b"\r\n \r\n NOOP\r\nXWHO\r\n", commands=shop()).split(b"\r\n")[1:-1]
    assert [line[:4] for line in said] == [b"-ERR", b"-ERR", b"-ERR", b"+OK "]
    assert caplog.messages == []


def test_the_states_and_hooks_of_its_page() -> None:
    commands = shop()
    talk(b"QUIT\r\n", commands=commands)
    assert commands.diary == ["connect CONNECT", "disconnect DISCONNECT quit"], "nothing to commit before login"


def test_a_command_that_is_not_listed_in_this_state() -> None:
    said = talk(b"STAT\r\nXYZZY\r\n" + LOGIN + b"USER x\r\nLIST\r\n", commands=shop()).split(b"\r\n")
    assert said[1:3] == [b"-ERR log in first", b"-ERR unknown command"]
    assert said[5:-1] == [b"-ERR not allowed after login", b"-ERR command unimplemented"]


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_line_ends(end: bytes) -> None:
    assert talk(b"user ann" + end + b"Pass secret" + end + b"xwho" + end, commands=shop()).endswith(b"+OK ann\r\n")


def test_exceptions_were_shown_hidden_or_fatal() -> None:
    """``transerr`` and ``caperr``: hidden is the rule here, and no other session notices."""

    def failing(self: Shop, argument: str) -> Reply:
        raise RuntimeError("secret detail")

    commands = shop(do_STAT=failing)
    said = talk(LOGIN + b"STAT\r\nXWHO\r\n", commands=commands)
    assert said.endswith(b"-ERR [SYS/TEMP] temporary failure, try again later\r\n+OK mrose\r\n")


def test_apop_and_capa_need_no_adding() -> None:
    said = talk(b"CAPA\r\nAPOP mrose 00000000000000000000000000000000\r\n", world=a_world(), commands=shop())
    assert b"+OK capabilities follow\r\n" in said
    assert said.endswith(b".\r\n-ERR this mechanism is not offered here\r\n")
