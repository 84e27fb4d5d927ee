"""A class of command methods on the pipe: its logins, its hooks, its own commands, and what it may not do."""

from collections.abc import AsyncIterator, Callable

import pytest

from conversations.wires import CoreWire, SessionWire
from conversations.world import Box, Setting, World, sized
from poplin.authentication.base import Credentials, PasswordProof
from poplin.command_server import CommandServer
from poplin.errors import AuthenticationFailed, InUse, PermanentFailure, TemporaryFailure
from poplin.identity import ClientFacts, Identity
from poplin.maildrops.base import Ending, OpenRequest
from poplin.plugins.base import CommandVerdict, Plugin
from poplin.protocol.commands import Command
from poplin.protocol.replies import Err, Reply, Status
from poplin.protocol.states import State
from poplin.server.server import Server

LOGIN = b"USER mrose\r\nPASS secret\r\n"


def talk(commands: type[CommandServer], octets: bytes, world: World | None = None) -> bytes:
    wire = CoreWire(Setting(world or a_world(), commands=commands))
    wire.send(octets)
    return wire.finish()


def a_world() -> World:
    return World({"mrose": Box("secret", {"uid-1": sized(40), "uid-2": sized(50)})})


class Own(CommandServer):
    """Does its own login, with no maildrop and no user base behind it."""

    def do_USER(self, argument: str) -> Reply:
        return self.ok(f"hello {argument}")

    async def do_PASS(self, argument: str) -> Reply:
        return self.ok("in") if argument == " geheim " else self.err("out", "AUTH")

    def do_STAT(self, argument: str) -> Reply:
        return self.ok(f"0 0 {self.state.value}")

    def do_RETR(self, argument: str) -> Reply:
        return self.data("here", ["one", ".two", b"three\r\n"])


def test_capa_behind_a_login_of_its_own() -> None:
    said = talk(Own, b"PASS  geheim \r\nCAPA\r\n")
    assert said.endswith(b"\r\nIMPLEMENTATION poplin\r\n.\r\n")


def test_a_class_without_maildrops_and_users_offers_what_its_methods_serve() -> None:
    server = Server(commands=Own, host="127.0.0.1", port=0)
    assert set(server.service.mechanisms()) == {"USER"}
    bare = Server(commands=CommandServer, host="127.0.0.1", port=0)
    assert set(bare.service.mechanisms()) == set()
    client = ClientFacts("127.0.0.1")
    with pytest.raises(AuthenticationFailed):
        bare.service.authenticator.authenticate(Credentials("USER", "mrose", PasswordProof("x")), client)
    with pytest.raises(PermanentFailure):
        bare.service.maildrops.open(OpenRequest(identity=Identity("mrose"), client=client))


def test_a_login_of_its_own_moves_only_with_ok() -> None:
    said = talk(
        Own, b"STAT\r\nPASS geheim\r\nSTAT\r\nPASS  geheim \r\nSTAT\r\nRETR x\r\nNOOP\r\nLIST\r\nQUIT\r\nNOOP\r\n"
    )
    assert said.split(b"\r\n")[1:] == [
        b"-ERR log in first",
        b"-ERR [AUTH] out",
        b"-ERR log in first",
        b"+OK in",
        b"+OK 0 0 TRANSACTION",
        b"+OK here",
        b"one",
        b"..two",
        b"three",
        b".",
        b"+OK",
        b"-ERR command unimplemented",
        b"+OK goodbye",
        b"",
    ]


def test_the_built_in_two_line_auth_is_no_login_until_it_is_one() -> None:
    world = a_world()
    said = talk(CommandServer, b"AUTH PLAIN\r\nAG1yb3NlAHdyb25n\r\nSTAT\r\nAUTH\r\nRETR 1\r\n", world)
    assert said.count(b"-ERR log in first\r\n") == 2
    assert world.boxes["mrose"].openings == 0


def test_a_method_may_wrap_what_is_built_in() -> None:
    class Counting(CommandServer):
        async def do_DELE(self, argument: str) -> Reply:
            reply = await self.builtin("DELE", argument)
            return reply if isinstance(reply, Err) else self.ok("noted", "X-NOTE")

    world = a_world()
    said = talk(Counting, LOGIN + b"DELE 1\r\nDELE 1\r\nDELE\r\nQUIT\r\n", world)
    assert said.split(b"\r\n")[3:] == [
        b"+OK [X-NOTE] noted", b"-ERR message 1 is marked for removal", b"-ERR message-number missing", b"+OK goodbye", b"",
    ]  # fmt: skip
    assert list(world.boxes["mrose"].messages) == ["uid-2"]


def test_own_commands_come_and_go_and_are_announced() -> None:
    class Extended(CommandServer):
        def do_XHELLO(self, argument: str) -> Reply:
            return self.ok(f"hello {argument}")

    def later(self: Extended, argument: str) -> Reply:
        return self.ok("later")

    Extended.add_command(State.TRANSACTION, "xlate", later, capability="XLATE 1 2")
    Extended.remove_command(State.TRANSACTION, "TOP")
    said = talk(Extended, b"XHELLO you\r\nXLATE\r\nCAPA\r\n" + LOGIN + b"xhello me\r\nXLATE\r\nTOP 1 0\r\nCAPA\r\n")
    before, after = said.split(b"+OK send your password\r\n")
    assert b"+OK hello you\r\n-ERR unknown command\r\n+OK capabilities follow\r\nUIDL\r\n" in before
    assert b"XLATE 1 2" not in before
    assert b"+OK hello me\r\n+OK later\r\n-ERR not allowed after login\r\n" in after
    assert b"\r\nXLATE 1 2\r\n" in after
    assert b"XLATE" not in talk(CommandServer, LOGIN + b"CAPA\r\n"), "the base class is left alone"
    with pytest.raises(TypeError, match="has no method do_XNONE"):
        Extended.add_command(State.TRANSACTION, "XNONE")
    with pytest.raises(ValueError, match="no keyword"):
        Extended.add_command(State.TRANSACTION, "two words")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (lambda self: "text", b"-ERR [SYS/TEMP] temporary failure, try again later\r\n"),
        (lambda self: None, b"-ERR [SYS/TEMP] temporary failure, try again later\r\n"),
        (lambda self: 1 / 0, b"-ERR [SYS/TEMP] temporary failure, try again later\r\n"),
        (lambda self: self.ok("two\r\n+OK lines"), b"-ERR [SYS/TEMP] temporary failure, try again later\r\n"),
        (lambda self: self.data("", b".x\n."), b"+OK\r\n..x\r\n..\r\n.\r\n"),
        (lambda self: self.data("", "grüße\n"), "+OK\r\ngrüße\r\n.\r\n".encode()),
    ],
)
def test_what_a_method_answers(result: Callable[[CommandServer], Reply], said: bytes) -> None:
    class Answering(CommandServer):
        def do_NOOP(self, argument: str) -> Reply:
            return result(self)

    assert talk(Answering, LOGIN + b"NOOP\r\n").split(b"\r\n", 3)[3] == said


def test_an_error_that_knows_its_reply() -> None:
    class Busy(CommandServer):
        def do_PASS(self, argument: str) -> Reply:
            raise InUse(7, "192.0.2.5")

    assert b"-ERR [IN-USE] the maildrop is in use since 7s from 192.0.2.5\r\n" in talk(Busy, LOGIN)


def test_a_body_may_come_in_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one\n."
        yield b"\ntwo"

    class Streaming(CommandServer):
        def do_XDATA(self, argument: str) -> Reply:
            return self.data("follows", pieces())

    assert talk(Streaming, b"XDATA\r\nCAPA x\r\n").startswith(b"+OK poplin ready\r\n+OK follows\r\none\r\n.")
    assert b"\r\none\r\n.\r\ntwo\r\n.\r\n" not in talk(Streaming, b"XDATA\r\n"), "a lone dot is stuffed"


def test_close_ends_behind_the_answer() -> None:
    class Closing(CommandServer):
        def do_XBYE(self, argument: str) -> Reply:
            self.close()
            return self.err("enough", "X")

    world = a_world()
    assert talk(Closing, LOGIN + b"DELE 1\r\nXBYE\r\nSTAT\r\n", world).endswith(b"-ERR [X] enough\r\n")
    assert world.boxes["mrose"].endings == [Ending.REFUSED]
    assert len(world.boxes["mrose"].messages) == 2


class Hooked(CommandServer):
    """Writes down its hooks."""

    diary: list[str]
    refuse: Status | None = None
    failing: Exception | None = None

    async def connect(self) -> Status | None:
        self.diary.append("connect")
        return self.refuse

    def commit(self) -> None:
        self.diary.append(f"commit {self.state.value}")
        if self.failing is not None:
            raise self.failing

    def disconnect(self, ending: Ending) -> None:
        self.diary.append(f"disconnect {ending.value}")
        raise RuntimeError("hurts nobody")


def hooked(**attributes: object) -> tuple[type[Hooked], list[str]]:
    diary: list[str] = []
    return type("Hooked", (Hooked,), {"diary": diary, **attributes}), diary


def test_the_hooks_of_a_session() -> None:
    kind, diary = hooked()
    world = a_world()
    assert talk(kind, LOGIN + b"DELE 1\r\nQUIT\r\n", world).endswith(b"+OK goodbye\r\n")
    assert diary == ["connect", "commit UPDATE", "disconnect quit"]
    assert list(world.boxes["mrose"].messages) == ["uid-2"]
    diary.clear()
    talk(kind, LOGIN + b"DELE 1\r\n")
    assert diary == ["connect", "disconnect dropped"]
    diary.clear()
    talk(kind, b"QUIT\r\n")
    assert diary == ["connect", "disconnect quit"], "nothing to commit before login"


@pytest.mark.parametrize("failure", [TemporaryFailure("detail"), RuntimeError("detail")])
def test_a_failed_commit_removes_nothing_and_says_so(failure: Exception) -> None:
    kind, diary = hooked(failing=failure)
    world = a_world()
    said = talk(kind, LOGIN + b"DELE 1\r\nQUIT\r\nNOOP\r\n", world)
    assert said.endswith(b"-ERR [SYS/TEMP] temporary failure, try again later\r\n")
    assert len(world.boxes["mrose"].messages) == 2
    assert world.boxes["mrose"].endings == [Ending.QUIT]
    assert diary[-1] == "disconnect quit"


def test_a_connection_may_be_refused() -> None:
    kind, diary = hooked(refuse=Err("not you", "SYS/PERM"))
    assert talk(kind, LOGIN) == b"-ERR [SYS/PERM] not you\r\n"
    assert diary == ["connect", "disconnect refused"]


def test_the_greeting_is_the_classs_if_it_has_one() -> None:
    class Greeting(CommandServer):
        greeting = "welcome"

    assert talk(Greeting, b"") == b"+OK welcome\r\n"
    world = World({"mrose": Box("secret")}, offered=frozenset({"APOP"}))
    assert talk(Greeting, b"", world).startswith(b"+OK welcome <")


def test_plugins_see_the_commands_of_a_class_too() -> None:
    seen: list[str] = []

    class Seeing(Plugin):
        def on_command(self, client: object, command: Command) -> CommandVerdict:
            seen.append(command.verb)
            return command

    setting = Setting(a_world(), commands=Own)
    setting.pipeline.push(Seeing())
    wire = SessionWire(setting)
    wire.send(b"USER me\r\nPASS x\r\n")
    assert seen == ["USER", "PASS"]
    assert wire.hear_line() + wire.hear_line() == b"+OK poplin ready\r\n+OK hello me\r\n"


def test_each_session_has_its_own_instance() -> None:
    class Remembering(CommandServer):
        told = ""

        def do_XSET(self, argument: str) -> Reply:
            self.told = argument
            return self.ok()

        def do_XGET(self, argument: str) -> Reply:
            return self.ok(self.told)

    setting = Setting(a_world(), commands=Remembering)
    first, second = CoreWire(setting), CoreWire(setting)
    first.send(b"XSET secret of one\r\n")
    second.send(b"XGET\r\n")
    first.send(b"XGET\r\n")
    assert second.finish() == b"+OK poplin ready\r\n+OK\r\n"
    assert first.finish().endswith(b"+OK secret of one\r\n")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("do_pass", "did you mean do_PASS"),
        ("do_Stat", "did you mean do_STAT"),
        ("do_TWO_WORDS!", "no keyword"),
        ("do_" + "X" * 40, "no keyword"),
    ],
)
def test_a_method_that_could_never_be_called_is_refused(name: str, says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        type("Wrong", (CommandServer,), {name: lambda self, argument: None})


def test_a_method_of_the_wrong_form_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.do_STAT: expected the parameters \(self, argument: str\)"):
        type("Wrong", (CommandServer,), {"do_STAT": lambda self: None})
