"""What a plugin or handler may not do: refused when it is given, or without effect, and reported."""

import gc
from collections.abc import Callable

import pytest

from conversations.wires import CoreWire, step
from conversations.world import Setting
from poplin.content import Content
from poplin.identity import ClientFacts
from poplin.maildrops.base import Entry, Maildrop
from poplin.plugins.base import Continue, Deliver, EventVerdict, Plugin
from poplin.plugins.events import Connected, Event, PluginFailed, SessionEvent
from poplin.plugins.pipeline import Pipeline
from poplin.protocol.commands import Command, Dele, Noop, Other, Retr, Stat
from poplin.protocol.parsing import parse_command
from poplin.protocol.replies import After, Continuation, Err, Ok, Reply
from poplin.session.session import Session
from poplin.session.transaction import Transaction
from support.talking import LOGIN, a_world, talk

CLIENT = ClientFacts("127.0.0.1", session_id="t-1")


def answering(answer: Callable[[Command], object]) -> Plugin:
    """Answers NOOP, whatever with."""

    class Answering(Plugin):
        def on_command(self, client: ClientFacts, command: Command) -> Command:
            return answer(command) if command == Noop() else command  # type: ignore[return-value]  # the mistake is the test

    return Answering()


def heard(plugin: Plugin, octets: bytes = b"NOOP\r\nSTAT\r\nQUIT\r\n") -> list[bytes]:
    return talk(LOGIN + octets, plugin).split(b"\r\n")[3:-1]


REST = [b"+OK 2 90", b"+OK goodbye"]


@pytest.mark.parametrize(
    ("made", "answer"),
    [
        (Ok("go on", after=After.START_TLS), b"+OK"),
        (Err("no", after=After.START_TLS), b"+OK"),
        (Command(), b"+OK"),
        (Other(5), b"+OK"),  # type: ignore[arg-type]  # the mistake is the test
        (Retr(0), b"-ERR no such message, only 2 in the maildrop"),
        (Retr(-1), b"-ERR no such message, only 2 in the maildrop"),
        (Dele(0), b"-ERR no such message, only 2 in the maildrop"),
        (Dele(-1), b"-ERR no such message, only 2 in the maildrop"),
        (Dele("1"), b"-ERR [SYS/TEMP] temporary failure, try again later"),  # type: ignore[arg-type]  # as above
        (Ok(5), b"+OK 5"),  # type: ignore[arg-type]  # as above
    ],
)
def test_nonsense_hurts_nobody(made: object, answer: bytes) -> None:
    assert heard(answering(lambda command: made)) == [answer, *REST]


def test_a_plugin_may_close_and_the_marks_are_dropped() -> None:
    world = a_world()
    said = talk(LOGIN + b"DELE 1\r\nNOOP\r\nQUIT\r\n", answering(lambda c: Err("away", after=After.CLOSE)), world=world)
    assert said.endswith(b"-ERR away\r\n")
    assert len(world.boxes["mrose"].messages) == 2


def test_a_challenge_of_a_plugins_own_does_not_confuse_the_session() -> None:
    assert heard(answering(lambda command: Continuation(b"?")), b"NOOP\r\nAAAA\r\nSTAT\r\n") == [
        b"+ Pw==", b"-ERR unknown command", b"+OK 2 90",
    ]  # fmt: skip


# Events


class Seeing(Plugin):
    """Keeps what it sees, and answers as it was told to."""

    def __init__(self, verdict: Callable[[Event], object] = lambda event: None) -> None:
        self.seen: list[Event] = []
        self.verdict = verdict

    def on_event(self, event: Event) -> EventVerdict:
        self.seen.append(event)
        return self.verdict(event)  # type: ignore[return-value]  # some of the answers are mistakes


class News(SessionEvent):
    """An event of somebody's own."""


@pytest.mark.parametrize("wrap", [lambda e: e, Continue, Deliver], ids=["itself", "Continue", "Deliver"])
def test_an_event_may_be_changed_for_those_behind(wrap: Callable[[Event], object]) -> None:
    other = News(CLIENT)
    first, second = Seeing(lambda event: wrap(other)), Seeing()
    told: list[Event] = []
    pipeline = Pipeline()
    pipeline.push(first, "first")
    pipeline.push(second, "second")
    pipeline.register(told.append, News)
    step(pipeline.event(Connected(CLIENT)))
    assert told == [other]
    assert second.seen == ([] if wrap is Deliver else [other])


@pytest.mark.parametrize("nonsense", [True, "event", 5, Noop(), Continue(5)])
def test_nonsense_about_an_event_is_reported_and_ignored(nonsense: object) -> None:
    announced: list[Event] = []
    told: list[Event] = []
    pipeline = Pipeline([Seeing(lambda event: nonsense)])
    pipeline.announce = announced.append
    pipeline.register(told.append)
    step(pipeline.event(Connected(CLIENT)))
    assert told == [Connected(CLIENT)]
    (failed,) = announced
    assert isinstance(failed, PluginFailed)
    assert (failed.name, failed.hook) == ("Seeing", "on_event")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python's, from where the stack ended
def test_a_plugin_that_calls_itself_without_end_is_stopped(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = Pipeline()

    class Endless(Plugin):
        async def on_event(self, event: Event) -> None:
            await pipeline.event(event)

    pipeline.push(Endless())
    wire = CoreWire(Setting(a_world(), pipeline=pipeline))
    wire.send(LOGIN + b"STAT\r\nDELE 1\r\nQUIT\r\n")
    assert wire.finish().split(b"\r\n")[3:-1] == [b"+OK 2 90", b"+OK message 1 marked for removal", b"+OK goodbye"]
    assert "RecursionError" in caplog.text
    caplog.clear()
    gc.collect()  # what Python could not finish is thrown away here, and not in the next test


@pytest.mark.parametrize(
    ("handler", "kinds", "says"),
    [
        (print, ("all",), "expected kinds of events"),
        (print, (int,), "expected kinds of events"),
        (print, (Connected(CLIENT),), "expected kinds of events"),
        ("print", (), "expected a function of"),
        (lambda: None, (), r"is called with \(event\); it takes \(\)"),
        (lambda event, more: None, (Connected,), r"is called with \(event\)"),
    ],
)
def test_a_handler_that_could_not_be_called_is_refused(
    handler: object, kinds: tuple[type[Event], ...], says: str
) -> None:
    pipeline = Pipeline()
    with pytest.raises(TypeError, match=says):
        pipeline.register(handler, *kinds)  # type: ignore[arg-type]  # the mistake is the test
    assert not pipeline.active


def test_a_handler_written_in_c_is_taken() -> None:
    told: list[Event] = []
    pipeline = Pipeline()
    pipeline.register(told.append)
    pipeline.register(vars)  # no signature to look at
    step(pipeline.event(Connected(CLIENT)))
    assert told == [Connected(CLIENT)]


@pytest.mark.parametrize("hook", ["on_add", "on_remove"])
def test_a_hook_that_nobody_waits_for_is_refused(hook: str) -> None:
    async def waiting(self: Plugin) -> None:
        """Never awaited."""

    with pytest.raises(TypeError, match=f"Waiting.{hook}: nobody can wait for this hook"):
        type("Waiting", (Plugin,), {hook: waiting})


# What is not sent is freed


class Tracked(Content):
    """Knows whether it was freed."""

    closed = 0

    def close(self) -> None:
        type(self).closed += 1


class Odd:
    """A maildrop whose messages are tracked."""

    def __init__(self, inner: Maildrop) -> None:
        self.scan = inner.scan
        self.remove = inner.remove
        self.close = inner.close

    def retrieve(self, entry: Entry) -> Content:
        return Tracked(b"x", octets=1)


class Never:
    """Waits for ever."""

    def __await__(self) -> object:
        yield


@pytest.mark.parametrize("where", ["event", "reply"])
def test_a_message_at_hand_is_freed_when_a_plugin_hangs(where: str) -> None:
    """A file would stay open for ever: the session is ended while the plugin has the reply."""

    class Hanging(Plugin):
        def on_event(self, event: Event) -> EventVerdict:
            return Never() if where == "event" and type(event).__name__ == "Retrieved" else None  # type: ignore[return-value]  # an awaitable

        def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> Reply:
            return Never() if where == "reply" and isinstance(command, Retr) else reply  # type: ignore[return-value]  # as above

    Tracked.closed = 0
    session = Session(Setting(a_world(), pipeline=Pipeline([Hanging()])).service(), CLIENT)
    step(session.greet())
    for line in LOGIN.split(b"\r\n")[:2]:
        step(session.handle(parse_command(line)))
    assert isinstance(session.stage, Transaction)
    session.stage.maildrop = Odd(session.stage.maildrop)
    running = session.handle(Retr(1))
    running.send(None)
    with pytest.raises(GeneratorExit):
        running.throw(GeneratorExit)
    assert Tracked.closed == 1
    assert isinstance(step(session.handle(Stat())), Ok)
