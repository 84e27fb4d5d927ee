"""The command-class face on a real server: how it is given, how it ends connections, what its failures do."""

from __future__ import annotations

import asyncio
import poplib
from collections.abc import AsyncIterator

import pytest

import poplin
from poplin.protocol.replies import Reply
from support.wire import Wire, logged_in, until


class Shop(poplin.CommandServer):
    """Does everything itself."""

    open: list[Shop] = []  # noqa: RUF012 - emptied by each test that looks at it

    def connect(self) -> None:
        self.open.append(self)

    def disconnect(self, ending: poplin.Ending) -> None:
        self.open.remove(self)

    def do_USER(self, argument: str) -> Reply:
        return self.ok()

    def do_PASS(self, argument: str) -> Reply:
        return self.ok() if argument == "secret" else self.err("no")

    def do_STAT(self, argument: str) -> Reply:
        return self.ok("1 7")

    def do_XBODY(self, argument: str) -> Reply:
        self.close()

        async def pieces() -> AsyncIterator[bytes]:
            for number in range(3):
                await asyncio.sleep(0)
                yield b"%d\n.\n" % number

        return self.data("pieces follow", pieces())

    def do_XFAIL(self, argument: str) -> Reply:
        raise ZeroDivisionError("by nobody")


def background(commands: type[poplin.CommandServer], *, raises: bool = False) -> poplin.BackgroundServer:
    policy = poplin.Policy(failure_delay=0, raise_errors=raises)
    return poplin.BackgroundServer(poplin.Server(commands=commands, host="127.0.0.1", port=0, policy=policy))


def test_it_needs_nothing_but_the_class() -> None:
    with background(Shop) as running:
        box = poplib.POP3("127.0.0.1", running.port, timeout=10)
        box.user("ann")
        with pytest.raises(poplib.error_proto, match="no"):
            box.pass_("wrong")
        box.pass_("secret")
        assert box.stat() == (1, 7)
        assert "USER" in box.capa()
        box.quit()


def test_the_connection_is_closed_behind_a_body_that_came_in_pieces() -> None:
    with background(Shop) as running, logged_in(running.port) as wire:
        wire.send(b"XBODY\r\nSTAT\r\n")
        assert wire.rest() == b"+OK pieces follow\r\n0\r\n..\r\n1\r\n..\r\n2\r\n..\r\n.\r\n"


def test_close_between_two_commands_says_farewell() -> None:
    with background(Shop) as running, logged_in(running.port) as wire:
        until(lambda: bool(Shop.open), "the session is there")
        (one,) = Shop.open
        running.call(lambda server: one.close())
        assert wire.rest().startswith(b"-ERR [SYS/TEMP]")
    until(lambda: not Shop.open, "disconnect was called")


def test_a_session_that_cannot_be_made_leaves_nothing_behind() -> None:
    class Broken(poplin.CommandServer):
        def __init__(self, session: object) -> None:
            raise RuntimeError("no database")

    with background(Broken) as running:
        for _ in range(3):
            with Wire(running.port) as wire:
                assert wire.rest() == b"-ERR [SYS/TEMP] temporary failure, try again later\r\n"
        until(lambda: running.server.sessions == 0, "no session is counted")
        assert running.call(lambda server: server.clients) == []


def test_exceptions_are_raised_again_where_the_server_is_stopped() -> None:
    running = background(Shop, raises=True)
    running.start()
    with Wire(running.port) as wire:
        wire.line()
        wire.send(b"XFAIL\r\n")
        assert wire.remains() == b"", "the session is over, and the text is not the client's"
    with logged_in(running.port) as other:
        assert other.ask("STAT") == b"+OK 1 7", "the others live on"
    with pytest.raises(ZeroDivisionError, match="by nobody"):
        running.stop()


def test_several_are_raised_together() -> None:
    running = background(Shop, raises=True)
    running.start()
    for _ in range(2):
        with Wire(running.port) as wire:
            wire.send(b"XFAIL\r\n")
            wire.remains()
    with pytest.raises(ExceptionGroup) as raised:
        running.stop()
    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError] * 2


def test_without_that_the_server_stops_in_peace() -> None:
    with background(Shop) as running, Wire(running.port) as wire:
        wire.line()
        assert wire.ask("XFAIL") == b"-ERR [SYS/TEMP] temporary failure, try again later"


def test_a_class_where_an_object_belongs_is_told_how() -> None:
    with pytest.raises(TypeError, match="not the class Shop: write commands=Shop"):
        poplin.Server(Shop)  # type: ignore[arg-type]  # the mistake is the test
    with pytest.raises(TypeError, match=r"not the class Callbacks: write Callbacks\(…\)"):
        poplin.Server(poplin.Callbacks)  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("greeting", "two\r\nlines", "printable text in one line"),
        ("goodbye", "g" * 401, "up to 400 octets"),
        ("greeting", "<1.2@host>", "APOP timestamp"),
    ],
)
def test_a_text_that_would_break_the_line_is_refused(name: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        type("Wrong", (poplin.CommandServer,), {name: text})
