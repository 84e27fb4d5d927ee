"""What the conversations cannot see of a session: its state, its record, its log, its contracts, its one end."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest

from conversations.wires import TLS, CoreWire, step
from conversations.world import Box, OpenBox, Setting, World, sized
from poplin.authentication.base import Credentials
from poplin.content import Content
from poplin.errors import MessageGone, MessageUnreadable, SessionError, TemporaryFailure
from poplin.identity import ClientFacts, Identity, MaybeAwaitable
from poplin.limits import Limits
from poplin.maildrops.base import Ending, Entry, Maildrop, OpenRequest, Removal, Scan
from poplin.protocol.commands import AuthCancel, AuthResponse, Command
from poplin.protocol.parsing import parse_command, parse_sasl_response
from poplin.protocol.replies import After, Continuation, Err, MultiLine, Ok, Reply
from poplin.protocol.states import State
from poplin.session.service import Policy, Service
from poplin.session.session import Session

CLIENT = ClientFacts("127.0.0.1", 40_000, ("127.0.0.1", 110), None, "t-1")
MESSAGES = {"uid-1": sized(100), "uid-2": sized(200)}


class Sat:
    """A session that somebody sits at, and types."""

    def __init__(self, service: Service | None = None, client: ClientFacts = CLIENT, *, starttls: bool = False) -> None:
        self.world = World({"mrose": Box("secret", dict(MESSAGES))})
        self.session = Session(service or Setting(self.world).service(), client, starttls=starttls)
        self.greeting = step(self.session.greet())

    def type(self, line: str) -> Reply:
        return self.do(parse_command(line.encode()))

    def do(self, command: Command) -> Reply:
        return step(self.session.handle(command))

    def log_in(self) -> Reply:
        self.type("USER mrose")
        return self.type("PASS secret")


def made(world: World, **changes: object) -> Service:
    return replace(Setting(world).service(), **changes)  # type: ignore[arg-type]  # each test names fields of Service


def test_the_states_of_a_whole_session() -> None:
    sat = Sat()
    states = [sat.session.state]
    for line in ("USER mrose", "PASS wrong", "AUTH", "USER mrose", "PASS secret", "STAT", "DELE 1", "QUIT"):
        sat.type(line)
        states.append(sat.session.state)
    before, after = State.AUTHORIZATION, State.TRANSACTION
    assert states == [before, before, before, before, before, after, after, after, State.DISCONNECT]
    step(sat.session.end(Ending.QUIT))
    assert sat.session.state is State.DISCONNECT


def test_a_challenge_moves_nothing() -> None:
    """Else a client that never logged in would live under the longer time limit of TRANSACTION."""
    sat = Sat()
    assert isinstance(sat.type("AUTH LOGIN"), Continuation)
    assert sat.session.state is State.AUTHORIZATION
    assert isinstance(sat.do(parse_sasl_response(b"bXJvc2U=")), Continuation)
    assert sat.session.state is State.AUTHORIZATION
    assert isinstance(sat.type("AUTH"), MultiLine)
    assert sat.session.state is State.AUTHORIZATION


def test_a_failed_removal_ends_the_session_too() -> None:
    sat = Sat()
    sat.log_in()
    sat.type("DELE 1")
    sat.world.boxes["mrose"].faults["remove"] = "crash"
    reply = sat.type("QUIT")
    assert isinstance(reply, Err)
    assert reply.after is After.CLOSE
    assert sat.session.state is State.DISCONNECT
    assert not sat.world.boxes["mrose"].held


def test_quit_before_login_closes() -> None:
    sat = Sat()
    reply = sat.type("QUIT")
    assert isinstance(reply, Ok)
    assert reply.after is After.CLOSE
    assert sat.session.state is State.DISCONNECT


@pytest.mark.parametrize("ending", Ending)
def test_a_session_ends_once_however_it_ends(ending: Ending) -> None:
    left: list[str] = []
    world = World({"mrose": Box("secret", dict(MESSAGES))})
    sat = Sat(made(world, leave=left.append))
    sat.log_in()
    sat.type("RETR 2")
    sat.type("DELE 1")
    step(sat.session.end(ending))
    step(sat.session.end(Ending.FAILED))
    box = world.boxes["mrose"]
    assert box.endings == [ending]
    assert box.removals == []
    assert box.messages == MESSAGES
    assert box.read == ["uid-2"]
    assert left == ["mrose"]
    assert sat.session.summary.marked == 1
    assert sat.session.summary.removed == 0


def test_the_record_of_a_session() -> None:
    world = World({"mrose": Box("secret", dict(MESSAGES), stuck={"uid-2"})})
    wire = CoreWire(Setting(world))
    wire.send(b"USER mrose\r\nPASS wrong\r\nAUTH PLAIN AG1yb3NlAHNlY3JldA==\r\n")
    wire.send(b"RETR 1\r\nRETR 1\r\nTOP 2 0\r\nRETR 9\r\nDELE 1\r\nDELE 2\r\nQUIT\r\n")
    summary = wire.session.summary
    assert (summary.user, summary.mechanism, summary.messages, summary.failures) == ("mrose", "PLAIN", 2, 1)
    assert (summary.retrieved, summary.retrieved_octets) == (2, 200)
    assert (summary.tops, summary.tops_octets) == (1, len(b"Subject: sized\r\n\r\n"))
    assert (summary.marked, summary.removed) == (2, 1)
    assert summary.line() == "user=mrose mechanism=PLAIN messages=2 retr=2/200 top=1/18 dele=1/2"


def test_the_record_of_a_session_without_a_login() -> None:
    sat = Sat()
    sat.type("QUIT")
    assert sat.session.summary.line() == "user=- mechanism=- messages=0 retr=0/0 top=0/0 dele=0/0"


def test_counting_in_and_out_is_paired() -> None:
    counted: list[str] = []
    world = World({"mrose": Box("secret", dict(MESSAGES))})
    service = made(world, enter=lambda user: counted.append(f"+{user}"), leave=lambda user: counted.append(f"-{user}"))
    for fault in ("open", "scan"):
        sat = Sat(service)
        world.boxes["mrose"].faults = {fault: "crash"}
        assert isinstance(sat.log_in(), Err)
        step(sat.session.end(Ending.DROPPED))
    world.boxes["mrose"].faults = {"close": "crash"}
    sat = Sat(service)
    sat.log_in()
    sat.type("QUIT")
    step(sat.session.end(Ending.QUIT))
    assert counted == ["+mrose", "-mrose"] * 3


def test_too_many_sessions_of_a_user_open_nothing() -> None:
    world = World({"mrose": Box("secret", dict(MESSAGES))})
    left: list[str] = []

    def enter(user: str) -> None:
        raise TemporaryFailure(user)

    sat = Sat(made(world, enter=enter, leave=left.append))
    reply = sat.log_in()
    assert isinstance(reply, Err)
    assert reply.code == "SYS/TEMP"
    assert world.boxes["mrose"].openings == 0
    assert left == [], "what was not counted is not counted out"


def test_refused_logins_wait_longer_each_time() -> None:
    world = World({"mrose": Box("secret")})
    limits = Limits(login_failures=7)
    sat = Sat(made(world, policy=Policy(failure_delay=2), limits=limits))
    delays = []
    for _ in range(7):
        sat.type("USER mrose")
        reply = sat.type("PASS wrong")
        assert isinstance(reply, Err)
        delays.append((reply.delay, reply.after))
    waits = [2, 4, 8, 15, 15, 15, 15]
    assert delays == [(wait, After.GO_ON) for wait in waits[:6]] + [(15, After.CLOSE)]


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize("policy", ["never", "loopback", "always"])
@pytest.mark.parametrize("tls", [True, False])
def test_where_a_password_may_cross_in_clear(loopback: bool, policy: str, tls: bool) -> None:
    world = World({"mrose": Box("secret")})
    client = replace(CLIENT, address="127.0.0.1" if loopback else "192.0.2.1", tls=TLS if tls else None)
    sat = Sat(made(world, policy=Policy(allow_cleartext=policy)), client)  # type: ignore[arg-type]  # a Literal
    allowed = tls or policy == "always" or (policy == "loopback" and loopback)
    assert isinstance(sat.log_in(), Ok) is allowed
    assert bool(world.asked) is allowed, "a refused password is not even looked at"


def test_a_policy_narrows_what_the_user_base_serves() -> None:
    world = World({"mrose": Box("secret")}, offered=frozenset({"APOP", "USER", "PLAIN"}))
    sat = Sat(made(world, policy=Policy(mechanisms={"PLAIN", "LOGIN"})))
    assert isinstance(sat.greeting, Ok)
    assert "<" not in sat.greeting.text, "no APOP, no timestamp"
    reply = sat.type("AUTH")
    assert isinstance(reply, MultiLine)
    assert reply.content.body == b"PLAIN\r\n"


def test_the_order_of_mechanisms_is_always_the_same() -> None:
    for offered in (["LOGIN", "PLAIN"], ["PLAIN", "LOGIN"]):
        service = Setting(World(offered=frozenset(offered))).service()
        assert list(service.sasl(CLIENT, service.mechanisms())) == ["LOGIN", "PLAIN"]


class PasswordsOnly:
    """An authenticator without the ability to say what it serves."""

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> Identity:
        return Identity(credentials.user)


def test_an_authenticator_that_says_nothing_serves_passwords() -> None:
    sat = Sat(made(World({"mrose": Box("")}), authenticator=PasswordsOnly()))
    reply = sat.type("AUTH")
    assert isinstance(reply, MultiLine)
    assert reply.content.body == b"LOGIN\r\nPLAIN\r\n"
    assert isinstance(sat.log_in(), Ok)


class Wrong:
    """An authenticator that answers nonsense."""

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> Identity:
        return credentials.user  # type: ignore[return-value]  # the mistake is the test


def test_nonsense_from_an_authenticator_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    sat = Sat(made(World({"mrose": Box("")}), authenticator=Wrong()))
    reply = sat.log_in()
    assert reply == Err("temporary failure, try again later", "SYS/TEMP")
    assert "expected an Identity" in caplog.text


def test_the_request_to_open_says_who_and_how() -> None:
    requests: list[OpenRequest] = []

    class Recording:
        def open(self, request: OpenRequest, /) -> MaybeAwaitable[Maildrop]:
            requests.append(request)
            return World({"mrose": Box("secret")}).open(request)

    lost: list[str] = []
    world = World({"mrose": Box("secret")})
    sat = Sat(made(world, maildrops=Recording()))
    sat.log_in()
    sat.session.on_lost = lost.append
    (request,) = requests
    assert request.identity == Identity("mrose")
    assert request.client == CLIENT
    assert request.lock == Policy().lock
    request.on_lost("taken over")
    assert lost == ["taken over"]


def test_a_lost_lease_before_anybody_drives_the_session_is_no_crash() -> None:
    Session(Setting(World()).service(), CLIENT).on_lost("too early")


def test_secrets_reach_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World({"mrose": Box("geheim"), "crash": Box("geheim", faults={"authenticate": "crash"})})
    world.offered = frozenset({"APOP", "USER", "PLAIN", "LOGIN"})
    sat = Sat(Setting(world).service())
    for line in (
        "USER mrose", "PASS verraten", "USER mrose", "PASS geheim\r", "AUTH PLAIN AG1yb3NlAHZlcnJhdGVu",
        "APOP mrose 5ebe2294ecd0e0f08eab7690d2a6ee69", "USER crash", "PASS geheim", "AUTH PLAIN AGNyYXNoAGdlaGVpbQ==",
    ):  # fmt: skip
        sat.type(line)
    sat.type("AUTH LOGIN")
    sat.do(parse_sasl_response(b"bXJvc2U="))
    sat.do(parse_sasl_response(b"dmVycmF0ZW4="))
    assert "login of 'mrose'" in caplog.text
    for secret in ("geheim", "verraten", "5ebe2294", "AG1yb3Nl", "dmVycmF0ZW4"):
        assert secret not in caplog.text
        assert not any(secret in repr(record.args) for record in caplog.records)


def test_log_records_carry_session_user_and_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poplin.session")
    sat = Sat()
    sat.log_in()
    sat.world.boxes["mrose"].faults["retrieve uid-1"] = "crash"
    sat.type("RETR 1")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert vars(record)["session"] == "t-1"
    assert vars(record)["user"] == "mrose"
    assert vars(record)["address"] == "127.0.0.1"


def test_a_size_that_was_wrong_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    world = World({"mrose": Box("secret", dict(MESSAGES), lies={"uid-1": 7})})
    wire = CoreWire(Setting(world))
    wire.send(b"USER mrose\r\nPASS secret\r\nRETR 1\r\nRETR 2\r\n")
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line == "t-1: message 1 of mrose has 100 octets, its source said 7"


def test_marks_are_counted_while_the_session_lives() -> None:
    sat = Sat()
    assert sat.session.marked == 0
    sat.log_in()
    sat.type("DELE 1")
    assert sat.session.marked == 1
    assert repr(sat.session) == "<Session t-1 TRANSACTION mrose>"
    sat.type("QUIT")
    assert sat.session.marked == 0


class Plain(OpenBox):
    """A maildrop of the contract and nothing more, whose sizes only its messages tell."""

    mark_read = None  # type: ignore[assignment]  # an ability is what one implements

    def scan(self) -> MaybeAwaitable[Scan | Sequence[Entry]]:  # type: ignore[override]  # the contract allows both
        return [Entry(uid) for uid in self.box.messages]


class Opening:
    """An opener that makes maildrops by a function."""

    def __init__(self, world: World, make: Callable[[World, Box], Maildrop]) -> None:
        self._world = world
        self._make = make

    def open(self, request: OpenRequest, /) -> Maildrop:
        box = self._world.boxes[request.identity.user]
        box.held = True
        box.openings += 1
        return self._make(self._world, box)


def sat_at(make: Callable[[World, Box], Maildrop]) -> tuple[Sat, Box]:
    world = World({"mrose": Box("secret", dict(MESSAGES))})
    sat = Sat(made(world, maildrops=Opening(world, make)))
    sat.log_in()
    return sat, world.boxes["mrose"]


def test_a_plain_maildrop_is_measured_by_its_messages() -> None:
    sat, box = sat_at(Plain)
    assert sat.type("RSET") == Ok("2 messages")
    assert sat.type("STAT") == Ok("2 300")
    assert sat.type("LIST 2") == Ok("2 200")
    assert sat.type("UIDL 2") == Ok("2 uid-2")
    assert sat.type("RSET") == Ok("2 messages (300 octets)")
    assert box.read == []


@pytest.mark.parametrize("error", [MessageGone, MessageUnreadable])
def test_a_message_that_cannot_be_measured_spares_the_others(error: type[Exception]) -> None:
    class Holed(Plain):
        def retrieve(self, entry: Entry, /) -> MaybeAwaitable[Content]:
            if entry.unique_id == "uid-1":
                raise error("uid-1")
            return super().retrieve(entry)

    sat, _ = sat_at(Holed)
    assert sat.type("STAT") == Ok("2 200")
    assert isinstance(sat.type("RETR 1"), Err)
    assert isinstance(sat.type("RETR 2"), MultiLine)


def test_sizes_that_nobody_can_tell_are_the_maildrops_bug(caplog: pytest.LogCaptureFixture) -> None:
    class Vague(Plain):
        def retrieve(self, entry: Entry, /) -> Content:
            return Content(b"body\r\n")

    sat, _ = sat_at(Vague)
    assert sat.type("STAT") == Err("temporary failure, try again later", "SYS/TEMP")
    assert "Measures" in caplog.text
    reply = sat.type("RETR 1")
    assert isinstance(reply, MultiLine)
    assert reply.ok.text == "message follows"


def test_a_measure_of_another_length_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    class Short(Plain):
        def measure(self, entries: Sequence[Entry], /) -> Sequence[int]:
            return [1]

    sat, _ = sat_at(Short)
    assert isinstance(sat.type("LIST"), Err)
    assert "1 sizes for 2 messages" in caplog.text


def test_previews_serve_top_without_the_body() -> None:
    asked: list[tuple[str, int]] = []

    class Shown(OpenBox):
        def preview(self, entry: Entry, lines: int, /) -> Content:
            asked.append((entry.unique_id, lines))
            return Content(b"A: 1\r\n\r\none\r\ntwo\r\n")

        def retrieve(self, entry: Entry, /) -> Content:
            raise AssertionError("the body is not wanted")

    sat, _ = sat_at(Shown)
    reply = sat.type("TOP 2 1")
    assert isinstance(reply, MultiLine)
    assert reply.lines == 1
    assert asked == [("uid-2", 1)]


def test_marking_as_read_that_fails_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Forgetful(OpenBox):
        def mark_read(self, entries: Sequence[Entry], /) -> None:
            raise OSError("disk full")

    sat, box = sat_at(Forgetful)
    sat.type("RETR 1")
    sat.type("DELE 1")
    assert isinstance(sat.type("QUIT"), Ok)
    assert list(box.messages) == ["uid-2"]
    assert "marking as read failed" in caplog.text


def test_reading_is_remembered_before_anything_is_removed() -> None:
    order: list[str] = []

    class Ordered(OpenBox):
        def mark_read(self, entries: Sequence[Entry], /) -> None:
            order.append("read")

        def remove(self, entries: Sequence[Entry], /) -> Removal:
            order.append("remove")
            return Removal(len(entries))

        def close(self, ending: Ending, /) -> None:
            order.append("close")
            self.box.held = False

    sat, _ = sat_at(Ordered)
    sat.type("RETR 1")
    sat.type("DELE 2")
    sat.type("QUIT")
    assert order == ["read", "remove", "close"]


def test_top_marks_nothing_as_read() -> None:
    sat, box = sat_at(OpenBox)
    sat.type("TOP 1 100")
    sat.type("QUIT")
    assert box.read == []


async def pieces() -> AsyncIterator[bytes]:
    yield b"A: 1\n"
    yield b"\n.\n"


def test_a_body_that_comes_in_pieces_is_passed_on_unread() -> None:
    class Streaming(OpenBox):
        def retrieve(self, entry: Entry, /) -> Content:
            return Content(pieces())

    world = World({"mrose": Box("secret", dict(MESSAGES))})
    setting = Setting(world)
    wire = CoreWire(setting)
    wire.session.service = made(world, maildrops=Opening(world, Streaming))
    wire.send(b"USER mrose\r\nPASS secret\r\nRETR 1\r\nLIST 1\r\nQUIT\r\n")
    assert wire.finish().endswith(b"+OK message follows\r\nA: 1\r\n\r\n..\r\n.\r\n+OK 1 11\r\n+OK goodbye\r\n")


class Odd(SessionError):
    """An error of somebody else's, with a text that is none of ours."""

    code = "X-ODD"
    text_id = "no such text"


def test_an_error_without_a_text_of_ours_is_a_plain_refusal() -> None:
    class Refusing:
        def open(self, request: OpenRequest, /) -> Maildrop:
            raise Odd("detail")

    sat = Sat(made(World({"mrose": Box("secret")}), maildrops=Refusing()))
    assert sat.log_in() == Err("failed", "X-ODD")


def test_a_response_outside_an_exchange_is_a_mistake_of_the_client() -> None:
    """Only a plugin can bring one about: the core knows when an exchange is under way."""
    sat = Sat()
    assert sat.do(AuthResponse(b"x")) == Err("the response is not valid for this mechanism", bad=True)
    assert sat.do(AuthCancel()) == Err("authentication cancelled")


def test_sizes_that_are_known_in_part_are_completed() -> None:
    class Half(Plain):
        def scan(self) -> list[Entry]:  # type: ignore[override]  # the contract allows both
            return [Entry("uid-1", 7), Entry("uid-2")]

    sat, _ = sat_at(Half)
    assert sat.type("LIST 2") == Ok("2 200")
    assert isinstance(sat.type("STAT"), Ok)
