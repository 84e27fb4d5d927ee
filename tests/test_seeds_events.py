"""What went wrong in POE::Component::Server::POP3, the ancestor of the events and plugins: each bug by its name.

And what its own test asserted, through this face: a server made of nothing but a plugin that answers.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

import poplin
from poplin.authentication.callbacks import CallbackAuthenticator
from poplin.identity import ClientFacts
from poplin.maildrops.memory import MemoryMaildrops
from poplin.plugins.base import CommandVerdict, Plugin, ReplyVerdict, Swallow
from poplin.plugins.events import CommandReceived, Connected, Disconnected, Event
from poplin.protocol.commands import Command, Other, Quit, Stat
from poplin.protocol.replies import Ok, Reply
from support.wire import Wire, logged_in, until


class Answering(Plugin):
    """Answers as the ancestor's sessions had to: some commands itself."""

    def on_command(self, client: ClientFacts, command: Command) -> CommandVerdict:
        if isinstance(command, Other) and command.verb == "XECHO":
            return Ok(command.argument)
        return command

    def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> ReplyVerdict:
        return Ok("POP3 server signing off") if isinstance(command, Quit) and isinstance(reply, Ok) else reply


def made(*plugins: Plugin, limits: poplin.Limits | None = None, host: str = "127.0.0.1") -> poplin.Server:
    maildrops = MemoryMaildrops()
    maildrops.deliver("ann", b"Subject: dots\r\n\r\n.\r\n\r\n..\r\nend", unique_id="one")
    authenticator = CallbackAuthenticator(authenticate=lambda user, password, client: password == "secret")
    return poplin.Server(
        maildrops=maildrops, authenticator=authenticator, plugins=plugins, limits=limits, host=host, port=0
    )


@pytest.fixture
def running() -> Iterator[poplin.BackgroundServer]:
    with poplin.BackgroundServer(made(Answering())) as background:
        yield background


def test_its_own_test() -> None:
    """Port 0, a banner, events, an unknown command, quit through a handler's line, the close, shutdown."""
    events: list[Event] = []
    server = made(Answering())
    server.register(events.append, Connected, CommandReceived, Disconnected)
    with poplin.BackgroundServer(server) as background:
        assert background.port > 0
        with Wire(background.port) as wire:
            assert wire.line().startswith(b"+OK")
            assert wire.ask("xyzzy").startswith(b"-ERR")
            assert wire.ask("quit") == b"+OK POP3 server signing off"
            assert wire.rest() == b""
        until(lambda: len(events) == 4, "all was told")
    assert [type(event).__name__ for event in events] == [
        "Connected", "CommandReceived", "CommandReceived", "Disconnected",
    ]  # fmt: skip
    assert server.sessions == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", background.port), timeout=5)


def test_replies_lost_on_a_pipelined_quit(running: poplin.BackgroundServer) -> None:
    """A batch that ended in QUIT and came before the banner was out lost all replies."""
    with Wire(running.port) as wire:
        wire.send(b"USER ann\r\nPASS secret\r\nSTAT\r\nQUIT\r\nNOOP\r\n")
        assert wire.rest().split(b"\r\n") == [
            b"+OK poplin ready", b"+OK send your password", b"+OK 1 messages (31 octets)", b"+OK 1 31",
            b"+OK POP3 server signing off", b"",
        ]  # fmt: skip


def test_what_comes_behind_quit_is_not_carried_out() -> None:
    """Commands pipelined behind quit were still dispatched."""
    seen: list[Event] = []
    server = made()
    server.register(seen.append, CommandReceived)
    with poplin.BackgroundServer(server) as background, logged_in(background.port) as wire:
        wire.send(b"QUIT\r\nDELE 1\r\nSTAT\r\n")
        assert wire.rest() == b"+OK goodbye\r\n"
    assert isinstance(seen[-1], CommandReceived)
    assert seen[-1].command == Quit()


def test_silent_idle_close() -> None:
    """It was undocumented, and 300 seconds. Silent it has to be (RFC 1939 section 3), and never below 600 by mistake."""
    with pytest.raises(ValueError, match="600 s of RFC 1939"):
        poplin.Limits(autologout=300)
    events: list[Event] = []
    server = made(limits=poplin.Limits(autologout=0.2, allow_short_autologout=True))
    server.register(events.append, Disconnected)
    with poplin.BackgroundServer(server) as background:
        with logged_in(background.port) as wire:
            assert wire.rest() == b""
        until(lambda: len(events) == 1, "the end was told")
    assert isinstance(events[0], Disconnected)
    assert events[0].ending is poplin.Ending.TIMEOUT


def test_capa_without_subclassing(running: poplin.BackgroundServer) -> None:
    """CAPA, AUTH and STLS got a bare ``-ERR`` and no event: they could not be added without subclassing."""
    with Wire(running.port) as wire:
        wire.line()
        assert wire.ask("CAPA").startswith(b"+OK")
        assert b"PIPELINING\r\n" in wire.body()


def test_one_argument_string(running: poplin.BackgroundServer) -> None:
    """Its page promised ARG1 to ARGn and handlers got one string; here a command is a value that says what it has."""
    with Wire(running.port) as wire:
        wire.line()
        assert wire.ask("XECHO one  two ") == b"+OK one  two "


def test_no_crlf_and_dot_handling(running: poplin.BackgroundServer) -> None:
    """Embedded line ends were not converted, dots not stuffed, and before 0.10 blank lines in messages were lost."""
    with logged_in(running.port) as wire:
        wire.send(b"RETR 1\r\nQUIT\r\n")
        assert wire.rest().startswith(b"+OK 31 octets\r\nSubject: dots\r\n\r\n..\r\n\r\n...\r\nend\r\n.\r\n+OK")


def test_bare_lf_never_answered(running: poplin.BackgroundServer) -> None:
    with Wire(running.port) as wire:
        wire.line()
        wire.send(b"user ann\nquit\n")
        assert wire.rest() == b"+OK send your password\r\n+OK POP3 server signing off\r\n"


def test_no_line_limit(running: poplin.BackgroundServer) -> None:
    """100 kB were accepted as one line."""
    with Wire(running.port) as wire:
        wire.line()
        wire.send(b"NOOP " + b"x" * 100_000 + b"\r\nQUIT\r\n")
        assert wire.line().startswith(b"-ERR command line too long")
        assert wire.line().startswith(b"+OK")


def test_no_cap_on_clients() -> None:
    background = poplin.BackgroundServer(made(limits=poplin.Limits(connections=2)))
    with background, Wire(background.port) as one, Wire(background.port) as two:
        assert one.line().startswith(b"+OK")
        assert two.line().startswith(b"+OK")
        with Wire(background.port) as three:
            assert three.rest().startswith(b"-ERR [SYS/TEMP]")


def test_ipv4_only() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("missing: IPv6 on loopback")
    with poplin.BackgroundServer(made(host="::1")) as background, Wire(("::1", background.port)) as wire:
        assert wire.line().startswith(b"+OK")


def test_an_empty_line_is_answered(running: poplin.BackgroundServer) -> None:
    """It was ignored without a reply, and clients that pipeline counted wrongly."""
    with Wire(running.port) as wire:
        wire.line()
        assert wire.ask("").startswith(b"-ERR")


def test_no_state_machine(running: poplin.BackgroundServer) -> None:
    """Every command was an event in any state; handlers had to refuse everything themselves."""
    with Wire(running.port) as wire:
        wire.line()
        assert wire.ask("RETR 1") == b"-ERR log in first"


def test_a_handler_that_does_not_answer() -> None:
    """The client waited until the idle time."""

    class Silent(Plugin):
        def on_command(self, client: ClientFacts, command: Command) -> CommandVerdict:
            return Swallow() if isinstance(command, Stat) else command

    with poplin.BackgroundServer(made(Silent())) as background, logged_in(background.port) as wire:
        assert wire.ask("STAT") == b"-ERR not done"
        assert wire.ask("NOOP") == b"+OK"


def test_plugins_that_fail_are_reported_and_passed_by() -> None:
    """As the ancestor did: a warning, an event, and on as if nothing was said."""

    class Dying(Plugin):
        def on_command(self, client: ClientFacts, command: Command) -> CommandVerdict:
            raise ZeroDivisionError

    events: list[Event] = []
    server = made(Dying(), Answering())
    server.register(events.append)
    with poplin.BackgroundServer(server) as background:
        with Wire(background.port) as wire:
            wire.line()
            assert wire.ask("XECHO still here") == b"+OK still here"
        until(lambda: any(type(event).__name__ == "PluginFailed" for event in events), "it was told")
