"""Plugins on the pipe: whatever they do, a client gets one well-formed answer to each command, and no other body."""

import logging
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from conversations.wires import CoreWire, step
from conversations.world import Box, Setting, World, sized
from poplin.content import Content
from poplin.identity import ClientFacts, MaybeAwaitable
from poplin.maildrops.base import Ending
from poplin.plugins.base import CommandVerdict, Continue, Deliver, EventVerdict, Plugin, ReplyVerdict, Swallow
from poplin.plugins.events import (
    Authenticated,
    AuthenticationRefused,
    CommandReceived,
    Connected,
    Disconnected,
    Event,
    PluginAdded,
    PluginFailed,
    PluginRemoved,
    Removed,
    ReplySent,
    Retrieved,
    SessionEvent,
)
from poplin.plugins.pipeline import Pipeline
from poplin.protocol.commands import Command, Dele, Noop, Other, Quit, Retr, Stat
from poplin.protocol.parsing import parse_command
from poplin.protocol.replies import After, Begin, Continuation, Err, MultiLine, Ok, Reply
from poplin.session.session import Session

CLIENT = ClientFacts("127.0.0.1", session_id="t-1")
LOGIN = b"USER mrose\r\nPASS secret\r\n"
MESSAGES = {"uid-1": sized(40), "uid-2": sized(50)}


class Commanding(Plugin):
    """A plugin whose command hook is a function."""

    def __init__(self, verdict: Callable[[Command], CommandVerdict], *, later: bool = False) -> None:
        self.verdict = verdict
        self.later = later
        self.seen: list[str] = []

    def on_command(self, client: ClientFacts, command: Command) -> MaybeAwaitable[CommandVerdict]:
        self.seen.append(command.verb)
        return self._later(command) if self.later else self.verdict(command)

    async def _later(self, command: Command) -> CommandVerdict:
        return self.verdict(command)


class Replying(Plugin):
    """A plugin whose reply hook is a function."""

    def __init__(self, verdict: Callable[[Command, Reply], ReplyVerdict]) -> None:
        self.verdict = verdict
        self.seen: list[str] = []

    def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> ReplyVerdict:
        self.seen.append(command.verb)
        return self.verdict(command, reply)


class Raising(Plugin):
    """Fails everywhere."""

    def on_add(self) -> None:
        raise RuntimeError("add")

    def on_remove(self) -> None:
        raise RuntimeError("remove")

    def on_connect(self, client: ClientFacts) -> None:
        raise RuntimeError("connect")

    def on_command(self, client: ClientFacts, command: Command) -> CommandVerdict:
        raise RuntimeError("command")

    async def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> ReplyVerdict:
        raise RuntimeError("reply")

    def on_event(self, event: Event) -> EventVerdict:
        raise RuntimeError("event")

    async def on_disconnect(self, client: ClientFacts, ending: Ending) -> None:
        raise RuntimeError("disconnect")


class Watching(Plugin):
    """Writes down every hook."""

    def __init__(self, diary: list[str], name: str) -> None:
        self.diary = diary
        self.name = name

    def write(self, what: str) -> None:
        self.diary.append(f"{self.name} {what}")

    def on_connect(self, client: ClientFacts) -> None:
        self.write("connect")

    def on_command(self, client: ClientFacts, command: Command) -> CommandVerdict:
        self.write(f"> {command.verb}")
        return command

    def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> ReplyVerdict:
        self.write(f"< {command.verb}")
        return reply

    def on_disconnect(self, client: ClientFacts, ending: Ending) -> None:
        self.write(ending.value)


def talk(octets: bytes, *plugins: Plugin, world: World | None = None) -> bytes:
    """What a client hears behind greeting and login."""
    pipeline = Pipeline()
    for number, plugin in enumerate(plugins):
        pipeline.push(plugin, f"{type(plugin).__name__}-{number}")
    setting = Setting(world or World({"mrose": Box("secret", dict(MESSAGES))}), pipeline=pipeline)
    wire = CoreWire(setting)
    wire.send(LOGIN)
    before = wire.hear_line() + wire.hear_line() + wire.hear_line()
    assert before.startswith(b"+OK"), "greeting"
    wire.send(octets)
    return wire.finish()


def passes(command: Command) -> CommandVerdict:
    return command


# Commands


def test_commands_fall_and_replies_rise() -> None:
    diary: list[str] = []
    talk(b"NOOP\r\n", Watching(diary, "a"), Watching(diary, "b"))
    assert diary[:2] == ["a connect", "b connect"]
    assert diary[diary.index("a > NOOP") :] == [
        "a > NOOP", "b > NOOP", "b < NOOP", "a < NOOP", "b dropped", "a dropped",
    ]  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda c: c, Continue, Deliver], ids=["itself", "Continue", "Deliver"])
def test_a_command_may_be_changed(wrap: Callable[[Command], CommandVerdict]) -> None:
    plugin = Commanding(lambda command: wrap(Stat()) if command == Noop() else command)
    behind = Commanding(passes)
    assert talk(b"NOOP\r\n", plugin, behind) == b"+OK 2 90\r\n"
    assert ("STAT" in behind.seen) is (wrap is not Deliver), "Deliver passes by the remaining plugins"


@pytest.mark.parametrize("later", [True, False])
def test_a_command_may_be_answered(later: bool) -> None:
    world = World({"mrose": Box("secret", dict(MESSAGES))})
    plugin = Commanding(lambda c: Err("not today", "X") if isinstance(c, Dele) else c, later=later)
    behind = Commanding(passes)
    assert talk(b"DELE 1\r\nQUIT\r\n", plugin, behind, world=world) == b"-ERR [X] not today\r\n+OK goodbye\r\n"
    assert world.boxes["mrose"].messages == MESSAGES
    assert "DELE" not in behind.seen


def test_an_own_command_may_be_answered_with_a_body() -> None:
    def verdict(command: Command) -> CommandVerdict:
        if command == Other("XHELP", "me"):
            return MultiLine(Ok("help follows"), Content(b"no\n.help\n"))
        return command

    assert talk(b"xhelp me\r\nNOOP\r\n", Commanding(verdict)) == b"+OK help follows\r\nno\r\n..help\r\n.\r\n+OK\r\n"


@pytest.mark.parametrize("others", [True, False])
def test_a_swallowed_command_is_answered_and_logged(others: bool, caplog: pytest.LogCaptureFixture) -> None:
    world = World({"mrose": Box("secret", dict(MESSAGES))})
    plugin = Commanding(lambda c: Swallow(others=others) if isinstance(c, Dele) else c)
    behind = Commanding(passes)
    assert talk(b"DELE 1\r\nSTAT\r\nQUIT\r\n", plugin, behind, world=world) == (
        b"-ERR not done\r\n+OK 2 90\r\n+OK goodbye\r\n"
    )
    assert ("DELE" in behind.seen) is others
    assert world.boxes["mrose"].removals == []
    assert "swallowed DELE" in caplog.text


def test_nonsense_from_a_command_hook_is_ignored(caplog: pytest.LogCaptureFixture) -> None:
    for nonsense in (None, "NOOP", 5, Begin, Continue(None), Deliver("STAT")):
        plugin = Commanding(lambda command, verdict=nonsense: verdict)  # type: ignore[misc]  # the mistake is the test
        assert talk(b"STAT\r\n", plugin) == b"+OK 2 90\r\n"
    assert "VerdictError: returned NoneType" in caplog.text


def test_a_changed_number_corrects_the_size_of_the_message_that_was_sent() -> None:
    world = World({"mrose": Box("secret", dict(MESSAGES), lies={"uid-2": 7})})
    plugin = Commanding(lambda c: Retr(2) if c == Retr(1) else c)
    heard = talk(b"RETR 1\r\nLIST 1\r\nLIST 2\r\n", plugin, world=world)
    assert heard.endswith(b".\r\n+OK 1 40\r\n+OK 2 50\r\n")


def test_a_body_of_a_plugins_own_corrects_nothing() -> None:
    plugin = Commanding(lambda c: MultiLine(Ok(), Content(b"x")) if isinstance(c, Retr) else c)
    heard = talk(b"RETR 1\r\nRETR 99\r\nLIST 1\r\nLIST 2\r\n", plugin)
    assert heard == b"+OK\r\nx\r\n.\r\n" * 2 + b"+OK 1 40\r\n+OK 2 50\r\n"


# Replies


@pytest.mark.parametrize("wrap", [lambda r: r, Continue, Deliver], ids=["itself", "Continue", "Deliver"])
def test_a_replys_text_and_code_may_be_changed(wrap: Callable[[Reply], ReplyVerdict]) -> None:
    def verdict(command: Command, reply: Reply) -> ReplyVerdict:
        return wrap(Ok("two, as ever", "X-OURS")) if isinstance(command, Stat) else reply

    above = Replying(lambda command, reply: reply)
    assert talk(b"STAT\r\n", above, Replying(verdict)) == b"+OK [X-OURS] two, as ever\r\n"
    assert ("STAT" in above.seen) is (wrap is not Deliver)


@pytest.mark.parametrize("other", [Err("no"), Ok("yes"), MultiLine(Ok(), Content(b"")), None, "text"])
def test_a_reply_is_never_made_another_kind(other: Reply, caplog: pytest.LogCaptureFixture) -> None:
    world = World({"mrose": Box("secret", dict(MESSAGES))})
    wanted = talk(b"STAT\r\nRETR 9\r\nRETR 1\r\nDELE 1\r\n")
    plugin = Replying(lambda command, reply: reply if type(other) is type(reply) else other)
    assert talk(b"STAT\r\nRETR 9\r\nRETR 1\r\nDELE 1\r\n", plugin, world=world) == wanted
    assert "VerdictError: made" in caplog.text


def test_bodies_are_untouched() -> None:
    def verdict(command: Command, reply: Reply) -> ReplyVerdict:
        if isinstance(reply, MultiLine):
            return MultiLine(Ok("changed"), Content(b"forged\r\n"), 0)
        return reply

    heard = talk(b"RETR 1\r\nTOP 1 1\r\nLIST\r\n", Replying(verdict))
    assert b"forged" not in heard
    plain = talk(b"RETR 1\r\nTOP 1 1\r\nLIST\r\n")
    for text in (b"40 octets", b"top of message follows", b"2 messages (90 octets)"):
        plain = plain.replace(b"+OK " + text, b"+OK changed")
    assert heard == plain


@pytest.mark.parametrize("others", [True, False])
def test_a_swallowed_reply_loses_its_text_alone(others: bool) -> None:
    plugin = Replying(lambda command, reply: Swallow(others=others) if command.verb in {"STAT", "RETR"} else reply)
    above = Replying(lambda command, reply: reply)
    heard = talk(b"STAT\r\nRETR 9\r\nRETR 1\r\nQUIT\r\n", above, plugin)
    assert heard.startswith(b"+OK\r\n-ERR\r\n+OK\r\nSubject: sized\r\n")
    assert heard.endswith(b"\r\n.\r\n+OK goodbye\r\n")
    assert ("STAT" in above.seen) is others


def test_a_challenge_passes_by_a_plugin_unchanged() -> None:
    """Its octets are the mechanism's business: a plugin that changes or swallows them changes nothing."""
    octets = b"AUTH LOGIN\r\nbXJvc2U=\r\nc2VjcmV0\r\n"

    def replies(plugin: Plugin | None) -> bytes:
        pipeline = Pipeline([plugin] if plugin is not None else [])
        wire = CoreWire(Setting(World({"mrose": Box("secret", dict(MESSAGES))}), pipeline=pipeline))
        wire.send(octets)
        return wire.finish()

    def is_challenge(reply: Reply) -> bool:
        return isinstance(reply, Continuation)

    forging = Replying(lambda command, reply: Continuation(b"forged") if is_challenge(reply) else reply)
    swallowing = Replying(lambda command, reply: Swallow() if is_challenge(reply) else reply)
    assert replies(forging) == replies(swallowing) == replies(None)
    assert replies(None).endswith(b"+OK 2 messages (90 octets)\r\n")


def test_what_follows_a_reply_is_not_a_plugins_business() -> None:
    """QUIT closes, whatever a plugin makes of its reply; nothing else closes."""
    plugin = Replying(lambda command, reply: Ok("stay", after=After.GO_ON) if isinstance(command, Quit) else reply)
    assert talk(b"QUIT\r\nNOOP\r\n", plugin) == b"+OK stay\r\n"
    plugin = Replying(lambda command, reply: Ok("go", after=After.CLOSE) if isinstance(command, Noop) else reply)
    assert talk(b"NOOP\r\nSTAT\r\n", plugin) == b"+OK go\r\n+OK 2 90\r\n"


def test_a_line_end_in_a_text_begins_no_second_reply() -> None:
    plugin = Replying(lambda command, reply: Ok("a\r\n+OK b") if isinstance(command, Stat) else reply)
    assert talk(b"STAT\r\nNOOP\r\n", plugin) == b"+OK a +OK b\r\n+OK\r\n"


# Failures


def test_a_plugin_that_raises_hurts_nobody_but_itself(caplog: pytest.LogCaptureFixture) -> None:
    octets = b"STAT\r\nRETR 1\r\nDELE 2\r\nXYZZY\r\nQUIT\r\n"
    world = World({"mrose": Box("secret", dict(MESSAGES))})
    diary: list[str] = []
    assert talk(octets, Raising(), Watching(diary, "a"), Raising(), world=world) == talk(octets)
    assert list(world.boxes["mrose"].messages) == ["uid-1"]
    assert world.boxes["mrose"].endings == [Ending.QUIT]
    assert diary[0] == "a connect"
    assert diary[-1] == "a quit"
    for hook in ("on_add", "on_connect", "on_command", "on_reply", "on_event", "on_disconnect"):
        assert f"Raising-0 failed in {hook} and was skipped" in caplog.text


# Events and handlers


def told(octets: bytes, world: World, *kinds: type[Event]) -> list[Event]:
    heard: list[Event] = []
    pipeline = Pipeline()
    pipeline.register(heard.append, *kinds)
    wire = CoreWire(Setting(world, pipeline=pipeline))
    wire.send(octets)
    wire.finish()
    return heard


def test_the_events_of_a_session() -> None:
    world = World({"mrose": Box("secret", dict(MESSAGES), stuck={"uid-2"})})
    octets = b"USER mrose\r\nPASS wrong\r\n" + LOGIN + b"RETR 1\r\nTOP 1 0\r\nDELE 1\r\nDELE 2\r\nQUIT\r\n"
    heard = told(octets, world, SessionEvent)
    kinds = [type(event) for event in heard if not isinstance(event, CommandReceived | ReplySent)]
    assert kinds == [Connected, AuthenticationRefused, Authenticated, Retrieved, Removed, Disconnected]
    client = heard[0].client if isinstance(heard[0], Connected) else CLIENT
    for event in (
        AuthenticationRefused(client, "mrose", "USER"),
        Authenticated(client, "mrose", "USER"),
        Retrieved(client, "mrose", "uid-1", 40),
        Removed(client, "mrose", 2, 1),
        Disconnected(client, Ending.QUIT),
    ):
        assert event in heard
    commands = [event.command.verb for event in heard if isinstance(event, CommandReceived)]
    replies = [event.command.verb for event in heard if isinstance(event, ReplySent)]
    assert commands == replies == ["USER", "PASS", "USER", "PASS", "RETR", "TOP", "DELE", "DELE", "QUIT"]


def test_a_handler_hears_of_the_kinds_it_asked_for() -> None:
    world = World({"mrose": Box("secret", dict(MESSAGES))})
    heard = told(LOGIN + b"RETR 2\r\nQUIT\r\n", world, Retrieved, Disconnected)
    assert [type(event) for event in heard] == [Retrieved, Disconnected]


def test_handlers_come_and_go() -> None:
    heard: list[Event] = []
    pipeline = Pipeline()
    active = [pipeline.active]
    pipeline.register(heard.append, Connected, Disconnected)
    pipeline.register(heard.append, Connected)
    step(pipeline.connect(CLIENT))
    assert heard == [Connected(CLIENT)], "registered twice, called once"
    pipeline.unregister(heard.append, Connected)
    step(pipeline.connect(CLIENT))
    assert len(heard) == 1
    active.append(pipeline.active)
    pipeline.unregister(heard.append)
    active.append(pipeline.active)
    pipeline.unregister(heard.append)
    assert active == [False, True, False]


def test_a_handler_that_raises_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []

    def broken(event: Event) -> None:
        raise RuntimeError("handler")

    async def later(event: Event) -> None:
        heard.append(event)

    pipeline = Pipeline()
    pipeline.register(broken)
    pipeline.register(later)
    step(pipeline.connect(CLIENT))
    assert heard == [Connected(CLIENT)]
    assert "failed in handler" in caplog.text


@pytest.mark.parametrize("others", [True, False])
def test_a_swallowed_event_reaches_no_handler(others: bool) -> None:
    seen: list[str] = []

    class Quiet(Plugin):
        def on_event(self, event: Event) -> EventVerdict:
            seen.append("quiet")
            return Swallow(others=others)

    class Behind(Plugin):
        def on_event(self, event: Event) -> None:
            seen.append("behind")

    pipeline = Pipeline([Quiet(), Behind()])
    pipeline.register(lambda event: seen.append("handler"))
    step(pipeline.event(Connected(CLIENT)))
    assert seen == (["quiet", "behind"] if others else ["quiet"])


def test_a_delivered_event_goes_straight_to_the_handlers() -> None:
    seen: list[str] = []

    class First(Plugin):
        def on_event(self, event: Event) -> EventVerdict:
            return Deliver(event)

    class Behind(Plugin):
        def on_event(self, event: Event) -> None:
            seen.append("behind")

    pipeline = Pipeline([First(), Behind()])
    pipeline.register(lambda event: seen.append("handler"))
    step(pipeline.event(Connected(CLIENT)))
    assert seen == ["handler"]


def test_comings_goings_and_failures_are_announced() -> None:
    announced: list[Event] = []
    pipeline = Pipeline()
    pipeline.announce = announced.append
    plugin = Raising()
    pipeline.push(plugin, "loud")
    active = [pipeline.active]
    pipeline.remove(plugin)
    assert [*active, pipeline.active] == [True, False]
    assert [type(event) for event in announced] == [PluginFailed, PluginAdded, PluginFailed, PluginRemoved]
    assert [event.name for event in announced if isinstance(event, PluginFailed)] == ["loud", "Raising"]
    assert [event.hook for event in announced if isinstance(event, PluginFailed)] == ["on_add", "on_remove"]


def test_a_failure_to_hear_of_a_failure_is_not_announced_again() -> None:
    announced: list[Event] = []
    pipeline = Pipeline([Raising()])
    pipeline.announce = announced.append
    step(pipeline.event(PluginFailed("x", "on_command", RuntimeError("x"))))
    assert announced == []
    step(pipeline.event(Connected(CLIENT)))
    assert len(announced) == 1


# The cost of none


def calls_of(session: Session, command: Command) -> list[str]:
    """The Python functions that one command calls, in order."""
    called: list[str] = []

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and "poplin" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            called.append(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")

    sys.setprofile(profile)
    try:
        step(session.handle(command))
    finally:
        sys.setprofile(None)
    return called


def test_an_empty_pipeline_adds_no_call() -> None:
    """It costs one look at an attribute: no call, no coroutine, nothing measurable."""
    session = Session(Setting(World({"mrose": Box("secret", dict(MESSAGES))})).service(), CLIENT)
    step(session.greet())
    for line in (b"USER mrose", b"PASS secret"):
        step(session.handle(parse_command(line)))
    without = calls_of(session, Noop())
    assert [name for name in without if ".plugins." in name] == []
    assert without == [
        "poplin.session.session.Session.handle",
        "poplin.session.session.Session._carry_out",
        "poplin.session.transaction.Transaction.noop",
    ]
    for command in (Stat(), Retr(1), Dele(1), Quit()):
        assert [name for name in calls_of(session, command) if ".plugins." in name] == []


def test_plugins_are_seen_at_the_next_command() -> None:
    setting = Setting(World({"mrose": Box("secret", dict(MESSAGES))}))
    wire = CoreWire(setting)
    wire.send(LOGIN + b"NOOP\r\n")
    plugin = Commanding(passes)
    wire.session.service.pipeline.push(plugin)
    wire.send(b"STAT\r\n")
    wire.session.service.pipeline.remove(plugin)
    wire.send(b"NOOP\r\n")
    assert plugin.seen == ["STAT"]
    assert wire.finish().endswith(b"+OK\r\n+OK 2 90\r\n+OK\r\n")


def test_a_plugin_never_sees_a_password_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    talk(b"NOOP\r\n", Raising(), Commanding(lambda command: Swallow()))
    assert "secret" not in caplog.text
