"""What must hold whatever the methods of a class decide: logins, refusals, QUIT, the close, failures."""

import base64
import logging

import pytest

from conversations.wires import CoreWire, SessionWire, step
from conversations.world import Box, Setting, World, digest, sized
from poplin.command_server import CommandServer
from poplin.errors import InUse
from poplin.identity import ClientFacts, Identity
from poplin.maildrops.base import Ending
from poplin.plugins.events import Authenticated, AuthenticationRefused, Event
from poplin.plugins.pipeline import Pipeline
from poplin.protocol.parsing import parse_command
from poplin.protocol.replies import Continuation, Err, MultiLine, Ok, Reply, Status
from poplin.protocol.states import State
from poplin.session.session import Session
from support.talking import LOGIN, a_world, talk


def said(octets: bytes, commands: type[CommandServer], world: World | None = None) -> list[bytes]:
    """The lines behind the greeting."""
    return talk(octets, world=world, commands=commands).split(b"\r\n")[1:-1]


# Logins


class OwnLogin(CommandServer):
    """Knows one password, and has poplin open the maildrop."""

    user = ""

    def do_USER(self, argument: str) -> Reply:
        self.user = argument
        return self.ok()

    async def do_PASS(self, argument: str) -> Reply:
        if argument != "geheim":
            return self.err("wrong")
        return await self.log_in(self.user)


def test_log_in_opens_the_maildrop() -> None:
    world = a_world()
    assert said(b"USER mrose\r\nPASS geheim\r\nSTAT\r\nDELE 1\r\nQUIT\r\n", OwnLogin, world) == [
        b"+OK", b"+OK 2 messages (90 octets)", b"+OK 2 90", b"+OK message 1 marked for removal", b"+OK goodbye",
    ]  # fmt: skip
    assert list(world.boxes["mrose"].messages) == ["uid-2"]
    assert world.asked == [], "the server's own user base was not asked"


def test_log_in_takes_an_identity_and_may_be_answered_in_other_words() -> None:
    class Worded(OwnLogin):
        async def do_PASS(self, argument: str) -> Reply:
            reply = await self.log_in(Identity("mrose"))
            return self.ok("welcome") if isinstance(reply, Ok) else reply

    assert said(b"PASS x\r\nSTAT\r\n", Worded) == [b"+OK welcome", b"+OK 2 90"]


def test_log_in_that_fails_is_told_and_leaves_nothing_open() -> None:
    world = a_world()
    world.boxes["mrose"].faults["open"] = "in-use"
    assert said(b"USER mrose\r\nPASS geheim\r\nSTAT\r\n", OwnLogin, world) == [
        b"+OK", b"-ERR [IN-USE] the maildrop is in use since 12m34s from 192.0.2.9", b"-ERR log in first",
    ]  # fmt: skip


def test_nobody_logs_in_twice() -> None:
    class Twice(CommandServer):
        async def do_XSU(self, argument: str) -> Reply:
            return await self.log_in("mrose")

    world = a_world()
    answers = said(LOGIN + b"XSU\r\nSTAT\r\n", Twice, world)
    assert answers[2:] == [b"-ERR [SYS/TEMP] temporary failure, try again later", b"+OK 2 90"]
    assert world.boxes["mrose"].openings == 1


def test_refused_logins_count_and_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Unlimited tries of a password were one ancestor's bug."""
    caplog.set_level(logging.INFO)
    setting = Setting(a_world(), policy={"failure_delay": 2.0}, limits={"login_failures": 3}, commands=OwnLogin)
    session = Session(setting.service(), ClientFacts("192.0.2.7", session_id="t-1"))
    step(session.greet())
    step(session.handle(parse_command(b"USER mrose")))
    replies = [step(session.handle(parse_command(b"PASS no"))) for _ in range(3)]
    assert [reply.delay for reply in replies if isinstance(reply, Err)] == [2, 4, 8]
    assert [reply.after.name for reply in replies if isinstance(reply, Err)] == ["GO_ON", "GO_ON", "CLOSE"]
    assert session.summary.failures == 3
    assert "login of 'mrose' from 192.0.2.7 refused (USER): by its method: wrong" in caplog.text


def test_refused_by_what_is_built_in_it_counts_once() -> None:
    class Wrapping(CommandServer):
        async def do_PASS(self, argument: str) -> Reply:
            reply = await self.builtin("PASS", argument)
            return self.err("sorry") if isinstance(reply, Err) else reply

    setting = Setting(a_world(), policy={"failure_delay": 2.0}, limits={"login_failures": 2}, commands=Wrapping)
    session = Session(setting.service(), ClientFacts(session_id="t-1"))
    step(session.greet())
    step(session.handle(parse_command(b"USER mrose")))
    first, second = (step(session.handle(parse_command(line))) for line in (b"PASS a", b"USER mrose"))
    assert first == Err("sorry", delay=2)
    assert isinstance(second, Ok)
    third = step(session.handle(parse_command(b"PASS b")))
    assert isinstance(third, Err)
    assert (third.text, third.after.name, third.delay) == ("sorry", "CLOSE", 4)
    assert session.summary.failures == 2


@pytest.mark.parametrize("raises", [True, False])
def test_a_login_that_is_answered_err_is_none(raises: bool) -> None:
    """Else the client believes that it is out, and everything works."""

    class Doubting(CommandServer):
        async def do_PASS(self, argument: str) -> Reply:
            await self.builtin("PASS", argument)
            if raises:
                raise RuntimeError("second thoughts")
            return self.err("not today")

    world = a_world()
    answers = said(LOGIN + b"STAT\r\nRETR 1\r\nQUIT\r\n", Doubting, world)
    assert answers[2:] == [b"-ERR log in first", b"-ERR log in first", b"+OK goodbye"]
    assert world.boxes["mrose"].endings == [Ending.REFUSED]
    assert not world.boxes["mrose"].held


def test_an_undone_login_may_be_done_again_by_the_same_timestamp() -> None:
    class Second(CommandServer):
        tries = 0

        async def do_APOP(self, argument: str) -> Reply:
            self.tries += 1
            reply = await self.builtin("APOP", argument)
            return self.err("once more") if self.tries == 1 else reply

    world = World({"mrose": Box("secret", {})}, offered=frozenset({"APOP"}))
    wire = CoreWire(Setting(world, commands=Second, timestamp="<1.2@localhost>"))
    login = f"APOP mrose {digest('<1.2@localhost>', 'secret')}\r\n".encode()
    wire.send(login * 2)
    assert wire.finish().split(b"\r\n")[1:] == [b"-ERR once more", b"+OK 0 messages (0 octets)", b""]


def test_events_of_logins_of_its_own() -> None:
    class Free(CommandServer):
        def do_USER(self, argument: str) -> Reply:
            return self.ok()

        def do_PASS(self, argument: str) -> Reply:
            return self.ok() if argument == "x" else self.err()

        def do_APOP(self, argument: str) -> Reply:
            return self.ok()

    seen: list[Event] = []
    for octets in (b"USER a\x1bb\r\nPASS y\r\nPASS x\r\n", b"APOP some body digest\r\n"):
        pipeline = Pipeline()
        pipeline.register(seen.append, Authenticated, AuthenticationRefused)
        wire = CoreWire(Setting(a_world(), pipeline=pipeline, commands=Free))
        wire.send(octets)
        assert wire.session.summary.user in {"'a\\x1bb'", "some"}, "fit for the log"
        wire.finish()
    assert [(type(event).__name__, event.user, event.mechanism) for event in seen if hasattr(event, "user")] == [  # type: ignore[attr-defined]  # asked just before
        ("AuthenticationRefused", "a\x1bb", "USER"),
        ("Authenticated", "a\x1bb", "USER"),
        ("Authenticated", "some", "APOP"),
    ]


# SASL


class Token(CommandServer):
    """A mechanism of its own beside the built-in ones."""

    asked = False

    async def do_AUTH(self, argument: str) -> Reply:
        if argument.upper() != "X-TOKEN":
            return await self.builtin("AUTH", argument)
        self.asked = True
        return self.challenge(b"token?")

    async def respond(self, response: bytes | None) -> Reply:
        if not self.asked:
            reply = super().respond(response)
            return reply if isinstance(reply, Ok | Err | Continuation | MultiLine) else await reply
        self.asked = False
        if response is None:
            return self.err("as you like")
        return await self.log_in("mrose") if response == b"open sesame" else self.err("wrong token", "AUTH")


def test_a_sasl_mechanism_of_its_own() -> None:
    Token.add_command(State.AUTHORIZATION, "AUTH", capability="SASL X-TOKEN")
    right, wrong = base64.b64encode(b"open sesame"), base64.b64encode(b"sesame")
    dialogue = b"AUTH X-TOKEN\r\n%s\r\nAUTH X-TOKEN\r\n*\r\nAUTH X-TOKEN\r\n?\r\nAUTH X-TOKEN\r\n%s\r\nSTAT\r\n"
    assert said(dialogue % (wrong, right), Token) == [
        b"+ dG9rZW4/", b"-ERR [AUTH] wrong token",
        b"+ dG9rZW4/", b"-ERR as you like",
        b"+ dG9rZW4/", b"-ERR the response is not base64",
        b"+ dG9rZW4/", b"+OK 2 messages (90 octets)", b"+OK 2 90",
    ]  # fmt: skip
    assert b"SASL X-TOKEN" in said(b"CAPA\r\n", Token)


def test_the_built_in_mechanisms_beside_it() -> None:
    world = a_world()
    world.offered = frozenset({"PLAIN", "LOGIN"})
    assert said(b"AUTH PLAIN AG1yb3NlAHNlY3JldA==\r\nSTAT\r\n", Token, world)[-1] == b"+OK 2 90"
    world = a_world()
    world.offered = frozenset({"LOGIN"})
    answers = said(b"AUTH LOGIN\r\n*\r\nAUTH LOGIN\r\nbXJvc2U=\r\nc2VjcmV0\r\nSTAT\r\n", Token, world)
    assert answers[1].startswith(b"-ERR")
    assert answers[-1] == b"+OK 2 90"


def test_refused_tokens_count() -> None:
    world = a_world()
    wire = CoreWire(Setting(world, limits={"login_failures": 2}, commands=Token))
    wire.send(b"AUTH X-TOKEN\r\nbm8=\r\nAUTH X-TOKEN\r\nbm8=\r\nNOOP\r\n")
    assert wire.finish().endswith(b"-ERR [AUTH] wrong token\r\n")
    assert wire.session.summary.failures == 2


# QUIT


def test_a_quit_of_its_own_commits_and_closes() -> None:
    class Parting(CommandServer):
        def do_QUIT(self, argument: str) -> Reply:
            return self.ok("so long", "X")

    world = a_world()
    assert said(LOGIN + b"DELE 1\r\nQUIT\r\nNOOP\r\n", Parting, world)[3:] == [b"+OK [X] so long"]
    assert list(world.boxes["mrose"].messages) == ["uid-2"]
    assert world.boxes["mrose"].endings == [Ending.QUIT]
    assert said(b"QUIT\r\nNOOP\r\n", Parting) == [b"+OK [X] so long"]


def test_a_quit_that_is_refused_goes_on() -> None:
    class Clinging(CommandServer):
        def do_QUIT(self, argument: str) -> Reply:
            return self.err("stay a little")

    world = a_world()
    assert said(LOGIN + b"DELE 1\r\nQUIT\r\nSTAT\r\n", Clinging, world)[3:] == [b"-ERR stay a little", b"+OK 1 50"]
    assert len(world.boxes["mrose"].messages) == 2


@pytest.mark.parametrize("own", [True, False])
def test_a_removal_that_failed_is_told_whatever_the_method_says(own: bool) -> None:
    class Parting(CommandServer):
        async def do_QUIT(self, argument: str) -> Reply:
            if not own:
                await self.builtin("QUIT", argument)
            return self.ok("all well")

    world = a_world()
    world.boxes["mrose"].faults["remove"] = "temporary"
    answers = said(LOGIN + b"DELE 1\r\nQUIT\r\nNOOP\r\n", Parting, world)
    assert answers[3:] == [b"-ERR [SYS/TEMP] 1 of 1 messages not removed"]


def test_a_wrapped_quit_closes_in_its_own_words() -> None:
    class Parting(CommandServer):
        async def do_QUIT(self, argument: str) -> Reply:
            await self.builtin("QUIT", argument)
            return self.ok("see you")

        async def do_XBYE(self, argument: str) -> Reply:
            await self.builtin("QUIT", argument)
            return self.data("bye", "for good")

    for last, wanted in ((b"QUIT", [b"+OK see you"]), (b"XBYE", [b"+OK bye", b"for good", b"."])):
        world = a_world()
        assert said(LOGIN + b"DELE 1\r\n" + last + b"\r\nNOOP\r\n", Parting, world)[3:] == wanted
        assert list(world.boxes["mrose"].messages) == ["uid-2"]


def test_the_goodbye_is_the_classs_if_it_has_one() -> None:
    class Parting(CommandServer):
        goodbye = "and thanks"

    assert said(b"QUIT\r\n", Parting) == [b"+OK and thanks"]
    assert said(LOGIN + b"DELE 1\r\nQUIT\r\n", Parting)[3:] == [b"+OK and thanks"]


# The close, and TLS


def test_close_holds_whatever_the_answer_is() -> None:
    class Closing(CommandServer):
        async def do_NOOP(self, argument: str) -> Reply:
            self.close()
            return await self.builtin("NOOP", argument)

        def do_XDATA(self, argument: str) -> Reply:
            self.close()
            return self.data("one more", "line")

        def do_XFAIL(self, argument: str) -> Reply:
            self.close()
            raise RuntimeError("after all")

    for command, wanted in (
        (b"NOOP", [b"+OK"]),
        (b"XDATA", [b"+OK one more", b"line", b"."]),
        (b"XFAIL", [b"-ERR [SYS/TEMP] temporary failure, try again later"]),
    ):
        world = a_world()
        assert said(LOGIN + b"DELE 1\r\n" + command + b"\r\nSTAT\r\n", Closing, world)[3:] == wanted
        assert len(world.boxes["mrose"].messages) == 2


def test_close_at_the_greeting() -> None:
    class Full(CommandServer):
        greeting = "full"

        def connect(self) -> None:
            self.close()

    assert talk(b"NOOP\r\n", commands=Full) == b"+OK full\r\n"


def test_stls_wrapped_still_starts_tls() -> None:
    class Wrapping(CommandServer):
        async def do_STLS(self, argument: str) -> Reply:
            reply = await self.builtin("STLS", argument)
            return self.ok("go ahead") if isinstance(reply, Ok) else reply

    wire = SessionWire(Setting(a_world(), tls="starttls", commands=Wrapping))
    reply = step(wire.session.handle(parse_command(b"STLS")))
    assert isinstance(reply, Ok)
    assert (reply.text, reply.after.name) == ("go ahead", "START_TLS")


# What is on offer


def test_what_is_removed_is_not_announced() -> None:
    class Fewer(CommandServer):
        """Without any of these."""

    world = World({"mrose": Box("secret", {})}, offered=frozenset({"USER", "APOP", "PLAIN"}))
    whole = SessionWire(Setting(world, tls="starttls", commands=Fewer, policy={"allow_cleartext": "always"}))
    assert b"<" in whole.hear_line()
    whole.send(b"CAPA\r\n")
    assert {b"STLS", b"USER", b"SASL PLAIN"} <= set(whole.finish().split(b"\r\n"))
    for name in ("STLS", "PASS", "APOP", "AUTH"):
        Fewer.remove_command(State.AUTHORIZATION, name)
    less = SessionWire(Setting(world, tls="starttls", commands=Fewer, policy={"allow_cleartext": "always"}))
    assert less.hear_line() == b"+OK poplin ready\r\n", "no timestamp: curl would insist on APOP"
    less.send(b"CAPA\r\nSTLS\r\nAPOP a b\r\nAUTH PLAIN\r\n")
    capabilities, _, rest = less.finish().partition(b".\r\n")
    for line in (b"STLS", b"USER", b"SASL"):
        assert line not in capabilities
    assert rest == b"-ERR log in first\r\n" * 3


# Beginnings


def test_connect_comes_before_the_greeting_in_its_own_state() -> None:
    states: list[State] = []

    class Looking(CommandServer):
        def connect(self) -> None:
            states.append(self.state)

        def commit(self) -> None:
            states.append(self.state)

        def disconnect(self, ending: Ending) -> None:
            states.append(self.state)

    talk(LOGIN + b"QUIT\r\n", commands=Looking)
    assert states == [State.CONNECT, State.UPDATE, State.DISCONNECT]


@pytest.mark.parametrize("where", ["making", "connect", "nonsense"])
def test_a_session_that_cannot_begin_is_refused(where: str, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(CommandServer):
        def __init__(self, session: object) -> None:
            if where == "making":
                raise RuntimeError("no database")
            super().__init__(session)  # type: ignore[arg-type]  # a subclass that does not care

        def connect(self) -> Status | None:
            if where == "connect":
                raise InUse(3)
            return "yes"  # type: ignore[return-value]  # the mistake is the test

    heard = talk(LOGIN, commands=Failing)
    if where == "connect":
        assert heard == b"-ERR [IN-USE] the maildrop is in use since 3s from elsewhere\r\n"
    else:
        assert heard == b"-ERR [SYS/TEMP] temporary failure, try again later\r\n"
        assert ("no database" if where == "making" else "connect() returned str") in caplog.text


def test_no_greeting_at_all() -> None:
    class Silent(CommandServer):
        greeting = None

    session = Session(Setting(a_world(), commands=Silent).service(), ClientFacts())
    assert step(session.greet()) is None
    assert isinstance(step(session.handle(parse_command(b"USER mrose"))), Ok)


# Exceptions


def test_exceptions_are_hidden_shown_or_raised_again(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(CommandServer):
        def do_NOOP(self, argument: str) -> Reply:
            raise RuntimeError("the cat\r\n+OK is out")

    def session(**policy: bool) -> Session:
        made = Session(
            Setting(a_world(), policy={"failure_delay": 0, **policy}, commands=Failing).service(), ClientFacts()
        )
        step(made.greet())
        for line in LOGIN.split(b"\r\n")[:2]:
            step(made.handle(parse_command(line)))
        return made

    hidden = step(session().handle(parse_command(b"NOOP")))
    assert hidden == Err("temporary failure, try again later", "SYS/TEMP")
    shown = step(session(show_errors=True).handle(parse_command(b"NOOP")))
    assert shown == Err("the cat +OK is out", "SYS/TEMP")
    assert caplog.text.count("RuntimeError: the cat") == 2
    with pytest.raises(RuntimeError, match="the cat"):
        step(session(raise_errors=True).handle(parse_command(b"NOOP")))


# Odd octets


def test_odd_octets_come_and_go_as_they_are() -> None:
    class Echo(CommandServer):
        def do_XECHO(self, argument: str) -> Reply:
            return self.data(argument, [argument, f".{argument}"])

        async def do_PASS(self, argument: str) -> Reply:
            return await self.builtin("PASS", argument)

    assert said(b"XECHO a\rb\xff\0\xc3\xbc\r\n", Echo) == [
        b"+OK a b?\0\xc3\xbc", b"a\rb\xff\0\xc3\xbc", b"..a\rb\xff\0\xc3\xbc", b".",
    ]  # fmt: skip
    world = World({"mrose": Box("s\udcff e ", {"uid-1": sized(40)})})
    assert said(b"USER mrose\r\nPASS s\xff e \r\n", Echo, world)[-1] == b"+OK 1 messages (40 octets)"
