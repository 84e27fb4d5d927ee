"""Plugins, events, pushed text and kicks on a real server: who misbehaves hurts the own session at most."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading

import pytest

import poplin
from poplin.errors import Error
from poplin.identity import ClientFacts, MaybeAwaitable
from poplin.maildrops.base import Ending
from poplin.maildrops.memory import MemoryMaildrops
from poplin.plugins.base import EventVerdict, Plugin
from poplin.plugins.events import (
    Connected,
    Disconnected,
    Event,
    ListenerFailed,
    PluginAdded,
    PluginFailed,
    PluginRemoved,
)
from poplin.protocol.commands import Command, Noop, Quit
from poplin.protocol.replies import Ok, Reply
from support.serving import Certificate, OnePassword, Running, Serve
from support.wire import Wire, logged_in, until

FAREWELL = b"-ERR [SYS/TEMP]"


def a_maildrop() -> MemoryMaildrops:
    maildrops = MemoryMaildrops()
    maildrops.deliver("ann", b"Subject: one\r\n\r\nbody\r\n", unique_id="one")
    maildrops.deliver("bob", b"Subject: two\r\n\r\nbody\r\n", unique_id="two")
    return maildrops


def start(serve: Serve, *plugins: Plugin, push: bool = False, limits: poplin.Limits | None = None) -> Running:
    policy = poplin.Policy(push=push, failure_delay=0)
    return serve(a_maildrop(), OnePassword("secret"), plugins=plugins, policy=policy, limits=limits)


class Heard:
    """A handler that keeps what it hears, whichever thread looks at it."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


# Hanging


class Hanging(Plugin):
    """Waits for ever in one hook, in the session of one user or all; the others pass."""

    def __init__(self, hook: str, kind: str = "") -> None:
        self.hook = hook
        self.kind = kind
        self.hung = threading.Event()
        self.left = 1

    async def _for_ever(self) -> None:
        self.hung.set()
        await asyncio.Event().wait()

    def _hangs(self, hook: str) -> bool:
        if hook != self.hook or not self.left:
            return False
        self.left -= 1
        return True

    async def on_connect(self, client: ClientFacts) -> None:
        if self._hangs("on_connect"):
            await self._for_ever()

    async def on_command(self, client: ClientFacts, command: Command) -> Command:
        if isinstance(command, Noop) and self._hangs("on_command"):
            await self._for_ever()
        return command

    async def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> Reply:
        if isinstance(command, Noop | Quit) and self._hangs(f"on_reply {command.verb}"):
            await self._for_ever()
        return reply

    async def on_event(self, event: Event) -> None:
        if type(event).__name__ == self.kind and self._hangs("on_event"):
            await self._for_ever()

    async def on_disconnect(self, client: ClientFacts, ending: Ending) -> None:
        if self._hangs("on_disconnect"):
            await self._for_ever()


@pytest.mark.parametrize(
    ("hook", "kind"),
    [
        ("on_connect", ""),
        ("on_command", ""),
        ("on_reply NOOP", ""),
        ("on_reply QUIT", ""),
        ("on_event", "Connected"),
        ("on_event", "Authenticated"),
        ("on_event", "CommandReceived"),
        ("on_event", "Retrieved"),
        ("on_event", "Removed"),
        ("on_event", "Disconnected"),
        ("on_disconnect", ""),
    ],
)
def test_a_plugin_that_hangs_holds_up_its_own_session_alone(serve: Serve, hook: str, kind: str) -> None:
    plugin = Hanging(hook, kind)
    served = start(serve, plugin)
    port = served.ports["none"]
    with Wire(port) as hung:
        hung.send(b"USER ann\r\nPASS secret\r\nNOOP\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
        assert plugin.hung.wait(30), "it hangs"
        with logged_in(port, "bob") as other:
            assert other.retrieve(1) == b"Subject: two\r\n\r\nbody\r\n"
            assert other.ask("QUIT").startswith(b"+OK")
        # Where a removal was begun it is done and the maildrop is free, whoever still hears of it.
        if hook == "on_reply QUIT" or kind in {"Removed", "Disconnected"} or hook == "on_disconnect":
            with logged_in(port) as again:
                assert again.ask("STAT") == b"+OK 0 0"
        # The administrator ends it, and the maildrop is free again.
        served.server.call(lambda server: [server.kick(client.session_id) for client in server.clients])
        hung.remains()

    def let_in() -> bool:
        with Wire(port) as again:
            return again.log_in().startswith(b"+OK")

    until(let_in, "the maildrop is free")
    if hook == "on_disconnect" or kind == "Disconnected":
        end_tasks(served)


def end_tasks(served: Running) -> None:
    """A plugin that hangs at the end of a session hangs until the server gives it up; a test has no minute for that."""

    def cancel(server: poplin.Server) -> None:
        for task in asyncio.all_tasks():
            if "Session.end" in repr(task):
                task.cancel()

    served.server.call(cancel)


def test_a_plugin_that_hangs_is_ended_by_the_login_timeout(serve: Serve) -> None:
    plugin = Hanging("on_connect")
    served = start(serve, plugin, limits=poplin.Limits(login_timeout=0.2))
    with Wire(served.ports["none"]) as hung:
        assert hung.rest() == b""


# Coming and going


def test_plugins_come_and_go_while_sessions_run(serve: Serve) -> None:
    class Shouting(Plugin):
        def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> Reply:
            return Ok("LOUD") if isinstance(command, Noop) else reply

    heard = Heard()
    served = start(serve)
    with logged_in(served.ports["none"]) as wire:
        assert wire.ask("NOOP") == b"+OK"
        served.server.call(lambda server: server.register(heard, PluginAdded, PluginRemoved))
        served.server.call(lambda server: server.pipeline.push(Shouting(), "shouting"))
        assert wire.ask("NOOP") == b"+OK LOUD"
        served.server.call(lambda server: server.pipeline.remove("shouting"))
        assert wire.ask("NOOP") == b"+OK"
        until(lambda: heard.events == [PluginAdded("shouting"), PluginRemoved("shouting")], "both were announced")
        served.server.call(lambda server: server.unregister(heard))
        assert not served.server.server.pipeline.active


def test_a_plugin_may_remove_itself_in_the_middle(serve: Serve) -> None:
    class Once(Plugin):
        server: poplin.Server | None = None

        def on_command(self, client: ClientFacts, command: Command) -> Command:
            if isinstance(command, Noop) and self.server is not None:
                self.server.pipeline.remove(self)
                return Quit()
            return command

    plugin = Once()
    served = start(serve, plugin)
    plugin.server = served.server.server
    with logged_in(served.ports["none"]) as wire:
        assert wire.ask("DELE 1").startswith(b"+OK")
        assert wire.ask("NOOP") == b"+OK goodbye"
        assert wire.rest() == b""
    with logged_in(served.ports["none"]) as wire:
        assert wire.ask("NOOP") == b"+OK"
        assert wire.ask("STAT") == b"+OK 0 0"


# Events of one's own


class News(Event):
    """An event of somebody's own."""


def test_an_event_of_ones_own_from_any_thread(serve: Serve) -> None:
    heard, everything = Heard(), Heard()
    served = start(serve)
    server = served.server.server
    served.server.call(lambda server: server.register(heard, News))
    served.server.call(lambda server: server.register(everything))
    server.send_event(News())
    until(lambda: heard.kinds() == ["News"] == everything.kinds(), "it was told")
    with logged_in(served.ports["none"]) as wire:
        wire.ask("QUIT")
    until(lambda: "Disconnected" in everything.kinds(), "the session is over")
    assert heard.kinds() == ["News"]
    assert everything.kinds()[1:] == [
        "Connected",
        "CommandReceived", "ReplySent",
        "CommandReceived", "Authenticated", "ReplySent",
        "CommandReceived", "ReplySent",
        "Disconnected",
    ]  # fmt: skip


def test_an_event_that_sends_events_leaves_the_server_serving(serve: Serve) -> None:
    served = start(serve)
    server = served.server.server

    class Echo(Plugin):
        def on_event(self, event: Event) -> EventVerdict:
            for _ in range(2):
                server.send_event(News())
            return None

    served.server.call(lambda server: server.pipeline.push(Echo()))
    server.send_event(News())
    with logged_in(served.ports["none"]) as wire:
        assert wire.ask("STAT").startswith(b"+OK")
        served.server.call(lambda server: server.pipeline.remove("Echo"))
        assert wire.ask("STAT").startswith(b"+OK")


def test_no_event_for_a_server_that_does_not_run() -> None:
    server = poplin.Server(maildrops=a_maildrop(), authenticator=OnePassword("x"), host="127.0.0.1", port=0)
    with pytest.raises(RuntimeError, match="does not run"):
        server.send_event(News())
    with pytest.raises(RuntimeError, match="does not run"):
        server.kick("x")


def test_handlers_that_fail_are_told_of_and_skipped(serve: Serve) -> None:
    heard = Heard()
    served = start(serve)

    async def failing(event: Connected) -> None:
        raise RuntimeError("no")

    served.server.call(lambda server: server.register(failing, Connected))
    served.server.call(lambda server: server.register(heard, PluginFailed))
    with logged_in(served.ports["none"]) as wire:
        assert wire.ask("STAT").startswith(b"+OK")
    until(lambda: len(heard.events) == 1, "the failure was told of")
    (failed,) = heard.events
    assert isinstance(failed, PluginFailed)
    assert failed.name.endswith("failing")
    assert failed.hook == "handler"
    assert isinstance(failed.error, RuntimeError)


def test_a_listener_that_fails_is_an_event() -> None:
    heard = Heard()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = poplin.Server(maildrops=a_maildrop(), authenticator=OnePassword("x"), host="127.0.0.1", port=port)
        server.register(heard, ListenerFailed)
        background = poplin.BackgroundServer(server)
        with contextlib.suppress(Error):
            background.start()
            pytest.fail("the port is taken")
    (failed,) = heard.events
    assert isinstance(failed, ListenerFailed)
    assert failed.address == f"127.0.0.1:{port}"
    assert isinstance(failed.reason, OSError)


# Pushed text, and kicks


def ids(served: Running) -> list[str]:
    return served.server.call(lambda server: [client.session_id for client in server.clients])


def test_pushed_text_is_opt_in(serve: Serve) -> None:
    served = start(serve)
    with logged_in(served.ports["none"]):
        (name,) = ids(served)
        with pytest.raises(RuntimeError, match=r"Policy\(push=True\)"):
            served.server.call(lambda server: server.push(name, "hello"))


@pytest.mark.parametrize("mode", ["none", "implicit"])
def test_pushed_text_is_a_line_of_its_own(serve: Serve, mode: str, certificate: Certificate) -> None:
    served = start(serve, push=True)
    tls = ssl.create_default_context(cafile=str(certificate.authority)) if mode == "implicit" else None
    with Wire(served.ports[mode], tls) as wire:
        wire.log_in()
        (name,) = ids(served)
        assert served.server.call(lambda server: server.push(name, "* two\r\n+OK lines \u00fc"))
        assert wire.line() == "* two +OK lines \u00fc".encode()
        assert served.server.call(lambda server: server.push(name, ""))
        assert wire.line() == b"", "an empty line is one too"
        assert wire.ask("STAT").startswith(b"+OK")
        assert not served.server.call(lambda server: server.push("nobody-1", "hello"))


def test_pushed_text_waits_for_the_reply_under_way(serve: Serve) -> None:
    plugin = Gate()
    served = start(serve, plugin, push=True)
    with logged_in(served.ports["none"]) as wire:
        (name,) = ids(served)
        wire.send(b"NOOP\r\n")
        assert plugin.reached.wait(30)
        assert served.server.call(lambda server: server.push(name, "* news"))
        assert wire.silent()
        served.server.call(lambda server: plugin.gate.set())
        assert wire.line() == b"+OK"
        assert wire.line() == b"* news"


class Gate(Plugin):
    """Keeps the reply to NOOP until it may go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.gate = asyncio.Event()

    async def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> Reply:
        if isinstance(command, Noop):
            self.reached.set()
            await self.gate.wait()
        return reply


def test_no_text_is_pushed_into_a_handshake(serve: Serve) -> None:
    """In clear it would be taken for TLS, and kept back it would come before the greeting."""
    served = start(serve, push=True)
    with Wire(served.ports["implicit"]) as wire:
        until(lambda: len(ids(served)) == 1, "it is connected")
        (name,) = ids(served)
        assert not served.server.call(lambda server: server.push(name, "hello"))
        assert wire.silent()
    with Wire(served.ports["starttls"]) as wire:
        wire.line()
        assert wire.ask("STLS").startswith(b"+OK")
        (name,) = [one for one in ids(served) if one != name]
        assert not served.server.call(lambda server: server.push(name, "hello"))
        assert wire.silent()


def test_a_client_that_does_not_read_is_pushed_a_bounded_amount(serve: Serve) -> None:
    """An unbounded send buffer was one ancestor's bug."""
    served = start(serve, push=True)
    with Wire(served.ports["none"], receive_buffer=4096) as wire:
        wire.log_in()
        (name,) = ids(served)
        text = "x" * 1000

        def flood(server: poplin.Server) -> int:
            return sum(server.push(name, text) for _ in range(50_000))

        taken = served.server.call(flood)
        assert 0 < taken < 20_000
        assert wire.line() == text.encode(), "what was taken comes"


def test_one_of_many_is_kicked_by_its_id(serve: Serve) -> None:
    heard = Heard()
    served = start(serve)
    served.server.call(lambda server: server.register(heard, Disconnected))
    with logged_in(served.ports["none"], "ann") as ann:
        (name,) = ids(served)
        with logged_in(served.ports["none"], "bob") as bob:
            assert ann.ask("DELE 1").startswith(b"+OK")
            assert served.server.call(lambda server: server.kick(name))
            assert ann.rest().startswith(FAREWELL)
            assert bob.ask("STAT").startswith(b"+OK 1 ")
            until(lambda: not served.server.call(lambda server: server.kick(name)), "it is gone")
    until(lambda: len(heard.events) == 2, "both are over")
    kicked = heard.events[0]
    assert isinstance(kicked, Disconnected)
    assert (kicked.client.session_id, kicked.ending) == (name, Ending.KICKED)
    with logged_in(served.ports["none"], "ann") as again:
        assert again.ask("STAT").startswith(b"+OK 1 "), "its mark was dropped"


def test_a_session_kicked_from_its_own_hook(serve: Serve) -> None:
    class Kicking(Plugin):
        server: poplin.Server | None = None

        def on_command(self, client: ClientFacts, command: Command) -> MaybeAwaitable[Command]:
            if isinstance(command, Noop) and self.server is not None:
                self.server.kick(client.session_id)
            return command

    plugin = Kicking()
    served = start(serve, plugin)
    plugin.server = served.server.server
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"DELE 1\r\nNOOP\r\nQUIT\r\n")
        assert b"goodbye" not in wire.remains()
    with logged_in(served.ports["none"]) as again:
        assert again.ask("STAT").startswith(b"+OK 1 ")
