"""Which commands there are, in which state, for a class and for one session."""

from collections.abc import Callable

import pytest

from conversations.wires import CoreWire
from conversations.world import Setting
from poplin.command_server import CommandServer
from poplin.protocol.replies import Reply
from poplin.protocol.states import State
from support.talking import LOGIN, a_world, talk

BEFORE, AFTER = State.AUTHORIZATION, State.TRANSACTION
UNKNOWN = b"-ERR unknown command"


class Newsy(CommandServer):
    """A command of its own."""

    def do_XNEWS(self, argument: str) -> Reply:
        return self.ok(f"news {argument}".strip())


def subclass() -> type[Newsy]:
    return type("Sub", (Newsy,), {})


def answers(commands: type[CommandServer], command: bytes = b"XNEWS") -> tuple[bytes, bytes]:
    """What it is answered before and after login."""
    lines = talk(command + b"\r\n" + LOGIN + command + b"\r\n", commands=commands).split(b"\r\n")
    return lines[1], lines[4]


def test_a_method_alone_works_before_and_after_login() -> None:
    assert answers(Newsy) == (b"+OK news", b"+OK news")


@pytest.mark.parametrize("state", [BEFORE, AFTER])
def test_an_added_command_keeps_to_its_state(state: State) -> None:
    commands = subclass()
    commands.add_command(state, "XNEWS")
    wanted = {BEFORE: (b"+OK news", UNKNOWN), AFTER: (UNKNOWN, b"+OK news")}
    assert answers(commands) == wanted[state]
    assert answers(Newsy) == (b"+OK news", b"+OK news"), "its base is left alone"
    commands.add_command(BEFORE, "xnews")
    commands.add_command(AFTER, "XNEWS")
    assert answers(commands) == (b"+OK news", b"+OK news")
    commands.remove_command(state, "XNEWS")
    assert answers(commands)[0 if state is BEFORE else 1] == UNKNOWN


def test_removed_from_one_state_it_stays_in_the_other() -> None:
    commands = subclass()
    commands.remove_command(BEFORE, "XNEWS")
    assert answers(commands) == (UNKNOWN, b"+OK news")


def test_another_method_in_each_state() -> None:
    commands = subclass()
    commands.add_command(BEFORE, "XNEWS", lambda self, argument: self.err("log in for news"))
    commands.add_command(AFTER, "XNEWS")
    assert answers(commands) == (b"-ERR log in for news", b"+OK news")


def test_standard_commands() -> None:
    commands = subclass()
    commands.remove_command(AFTER, "TOP")
    assert answers(commands, b"TOP 1 0") == (b"-ERR log in first", b"-ERR not allowed after login")
    commands.add_command(BEFORE, "STAT", lambda self, argument: self.ok("0 0"))
    assert answers(commands, b"STAT") == (b"+OK 0 0", b"+OK 2 90"), "added before login, as ever after it"
    assert answers(commands, b"PASS x")[1] == b"-ERR not allowed after login"


def test_a_command_that_the_grammar_knows_and_no_state_has() -> None:
    """UTF8 and LANG (RFC 6856) are a class's own if it has methods for them."""

    class Polyglot(CommandServer):
        def do_UTF8(self, argument: str) -> Reply:
            return self.ok("ünïcode")

        def do_LANG(self, argument: str) -> Reply:
            return self.ok(argument or "i-default")

    assert answers(Polyglot, b"UTF8")[0] == "+OK ünïcode".encode()
    assert answers(Polyglot, b"LANG de") == (b"+OK de", b"+OK de")
    assert answers(CommandServer, b"LANG de") == (UNKNOWN, UNKNOWN)


def test_capa_has_the_lines_of_its_state() -> None:
    commands = subclass()
    commands.add_command(AFTER, "XNEWS", capability="XNEWS  daily")
    before, after = (
        talk(first + b"CAPA\r\n", commands=commands).count(b"\r\nXNEWS daily\r\n") for first in (b"", LOGIN)
    )
    assert (before, after) == (0, 1)
    commands.remove_command(AFTER, "XNEWS")
    assert b"XNEWS" not in talk(LOGIN + b"CAPA\r\n", commands=commands)


def test_one_session_alone() -> None:
    class Changing(Newsy):
        def do_XCHANGE(self, argument: str) -> Reply:
            self.grant(BEFORE, "XMORE", lambda more: self.ok(f"more {more}"), capability="XMORE")
            self.grant(AFTER, "XNEWS", capability="XNEWS")
            self.revoke(AFTER, "TOP")
            return self.ok()

    setting = Setting(a_world(), commands=Changing)
    first, second = CoreWire(setting), CoreWire(setting)
    first.send(b"XCHANGE\r\nXMORE x\r\nCAPA\r\n" + LOGIN + b"TOP 1 0\r\nXMORE\r\nCAPA\r\n")
    changed = first.finish()
    assert b"+OK\r\n+OK more x\r\n+OK capabilities follow\r\n" in changed
    assert changed.count(b"\r\nXMORE\r\n") == 1
    assert changed.count(b"\r\nXNEWS\r\n") == 1
    assert changed.count(b"\r\nTOP\r\n") == 0
    assert b"-ERR not allowed after login\r\n-ERR unknown command\r\n" in changed
    second.send(b"XMORE x\r\nCAPA\r\n" + LOGIN + b"TOP 1 0\r\n")
    untouched = second.finish()
    assert b"XNEWS" not in untouched
    assert b"\r\nTOP\r\n" in untouched
    assert b"+OK top of message follows" in untouched
    assert untouched.startswith(b"+OK poplin ready\r\n-ERR unknown command\r\n")


WRONG: list[tuple[Callable[[type[Newsy]], object], type[Exception], str]] = [
    (lambda c: c.add_command(State.UPDATE, "XNEWS"), ValueError, "no command is taken in UPDATE"),
    (lambda c: c.remove_command(State.CONNECT, "XNEWS"), ValueError, "no command is taken in CONNECT"),
    (lambda c: c.add_command(AFTER, "two words"), ValueError, "no keyword"),
    (lambda c: c.add_command(AFTER, ""), ValueError, "no keyword"),
    (lambda c: c.add_command(AFTER, "straße"), ValueError, "no keyword"),
    (lambda c: c.add_command(AFTER, "X\r\nY"), ValueError, "no keyword"),
    (lambda c: c.add_command(AFTER, "XNONE"), TypeError, "has no method do_XNONE"),
    (lambda c: c.add_command(AFTER, "XONE", lambda self: self.ok()), TypeError, r"XONE: expected a function of \(self, argument\)"),
    (lambda c: c.add_command(AFTER, "XNEWS", capability="A\r\nB"), ValueError, "is no capability"),
    (lambda c: c.add_command(AFTER, "XNEWS", capability=" "), ValueError, "is no capability"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "kind", "says"), WRONG)
def test_what_cannot_be_meant_is_refused(
    wrong: Callable[[type[Newsy]], object], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        wrong(subclass())


def test_what_cannot_be_meant_is_refused_for_one_session_too() -> None:
    class Wrong(CommandServer):
        def do_XNONE(self, argument: str) -> Reply:
            with pytest.raises(TypeError, match="has no method do_XMISSING"):
                self.grant(BEFORE, "XMISSING")
            with pytest.raises(TypeError, match=r"XODD: expected a function of \(argument\)"):
                self.grant(BEFORE, "XODD", lambda: self.ok())  # type: ignore[arg-type, misc]  # the mistake is the test
            with pytest.raises(ValueError, match="no command is taken in UPDATE"):
                self.revoke(State.UPDATE, "QUIT")
            return self.ok("all refused")

    assert talk(b"XNONE\r\n", commands=Wrong).endswith(b"+OK all refused\r\n")


def test_what_is_no_method_is_no_command() -> None:
    class Odd(CommandServer):
        do_COUNT = 5

    assert answers(Odd, b"COUNT") == (UNKNOWN, UNKNOWN)
    assert answers(Odd, b"__init__") == (UNKNOWN, UNKNOWN)
    assert answers(Odd, "\u017ftat".encode()) == (UNKNOWN, UNKNOWN)
