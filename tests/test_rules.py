"""The rules that come from other people's scars, each by its number, and where else each is proved.

What needs no disk and no foreign program is tried here. `PROOFS` names the tests of other files that a rule stands
on, and a test sees to it that they are still there.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conversations.wires import TLS, CoreWire, plain_body, plain_top
from conversations.world import Box, Setting, World, digest, sized
from poplin.authentication.base import PasswordProof
from poplin.limits import Limits
from poplin.protocol.client import Body, BodyEnd, ClientConnection, StatusLine
from poplin.protocol.connection import Need
from poplin.server.admission import Admission
from poplin.server.driver import Driver
from poplin.server.hub import Hub, Listener
from poplin.server.server import Server

TESTS = Path(__file__).parent
LOGIN = b"USER mrose\r\nPASS secret\r\n"
ALL = frozenset({"USER", "APOP", "PLAIN", "LOGIN"})

PROOFS = {
    1: [
        "protocol/test_connection.py::test_octets_behind_stls_close_the_connection",
        "server/test_tls.py::test_octets_behind_stls_in_the_same_flight_close_the_connection",
        "server/test_tls.py::test_the_user_given_in_clear_is_forgotten",
        "conversations/stls-injection.txt",
        "conversations/rfc2595-stls.txt",
    ],
    2: ["protocol/test_multiline.py::test_any_cut_of_a_body_gives_the_octets_of_the_whole"],
    3: ["conversations/message-numbers.txt", "protocol/test_parsing.py::test_a_mistake_is_named"],
    4: ["session/test_listing.py::test_whatever_is_marked_numbers_and_totals_hold", "conversations/marks.txt"],
    5: ["conversations/rfc5034-auth-plain.txt", "conversations/password-with-blanks.txt"],
    6: ["conversations/rfc2449-capa.txt", "session/test_session.py::test_a_policy_narrows_what_the_user_base_serves"],
    7: ["session/test_model.py::TestMaildrops", "server/test_endings.py::test_update_runs_to_its_end"],
    8: ["maildrops/test_unique_ids.py::test_a_unique_id_is_what_the_rfc_says"],
    9: [
        "conversations/in-use.txt",
        "maildrops/test_locking.py::test_a_killed_process_leaves_no_lock",
        "maildrops/test_locking.py::test_a_forked_child_does_not_keep_the_lock",
    ],
    10: [
        "fuzz/test_fuzz.py::test_the_core_holds_no_more_than_its_bounds",
        "server/test_time.py::test_who_never_reads_a_message_is_dropped",
    ],
    11: ["server/test_listeners.py::test_accepted_sockets_notice_dead_peers_and_send_at_once"],
    12: [
        "session/test_session.py::test_secrets_reach_no_log",
        "authentication/test_password_file.py::test_a_broken_record_costs_as_much",
    ],
    13: ["conversations/nul-in-commands.txt", "conversations/nasty-messages.txt"],
    14: ["conversations/rfc1939-7-apop.txt", "session/test_service.py::test_a_greeting_is_never_taken_for_a_timestamp"],
    15: [
        "authentication/test_user_names.py::test_no_name_that_passes_can_leave_its_place",
        "maildrops/test_maildir.py::test_a_name_that_must_not_reach_a_path_is_refused",
    ],
    16: ["server/test_time.py::test_autologout_is_silent_and_removes_nothing"],
}


@pytest.mark.parametrize("proof", [proof for proofs in PROOFS.values() for proof in proofs])
def test_the_proof_is_there(proof: str) -> None:
    file, _, name = proof.partition("::")
    written = (TESTS / file).read_text("utf-8")
    assert not name or re.search(rf"^( *(async )?def {name}\(|{name} = )", written, re.MULTILINE)


def talk(
    octets: bytes, messages: dict[str, bytes] | None = None, *, tls: str = "none", offered: frozenset[str] = ALL
) -> tuple[bytes, World]:
    """What a session says to these octets, greeting included, and what became of the world."""
    world = World({"mrose": Box("secret", dict(messages or {}))}, offered=offered)
    wire = CoreWire(Setting(world, tls=tls))
    wire.send(octets)
    return wire.finish(), world


def lines(octets: bytes, messages: dict[str, bytes] | None = None) -> list[bytes]:
    """The lines said behind greeting and login."""
    said, _ = talk(LOGIN + octets, messages)
    return said.split(b"\r\n")[3:-1]


def test_rule_1_what_comes_behind_stls_in_the_same_flight_closes() -> None:
    for behind in (b"NOOP\r\n", b"U", b"\0", b"\r\n"):
        said, world = talk(b"USER mrose\r\nSTLS\r\n" + behind + b"PASS secret\r\n", tls="starttls")
        assert said.count(b"\r\n") == 2, "greeting, USER, and not a word more"
        assert world.asked == []


def test_rule_2_octets_are_octets_sent(nasty_messages: dict[str, bytes]) -> None:
    for name, message in nasty_messages.items():
        world = World({"mrose": Box("secret", {"uid-1": message})})
        wire = CoreWire(Setting(world))
        client = ClientConnection()
        for line, body in ((b"LIST 1", False), (b"RETR 1", True), (b"TOP 1 100000000", True), (b"TOP 1 1", True)):
            client.send(line, body=body)
        wire.send(LOGIN)
        for _ in range(3):
            wire.hear_line()
        wire.send(client.data_to_send())
        client.receive_data(b"+OK\r\n" + wire.finish())
        events, bodies = [], [b""]
        while not isinstance(event := client.next_event(), Need):
            events.append(event)
            if isinstance(event, Body):
                bodies[-1] += event.octets
            elif isinstance(event, BodyEnd):
                bodies.append(b"")
        whole, top, beginning, rest = bodies
        assert rest == b""
        assert events[1] == StatusLine(True, f"1 {len(whole)}"), name
        assert top == whole, name
        assert plain_body(beginning) == plain_body(plain_top(message, 1)), name


MISTAKES = {
    b"0": b"-ERR message-numbers begin at 1",
    b"-1": b"-ERR a message-number cannot be negative",
    b"4": b"-ERR no such message, only 3 in the maildrop",
    b"2": b"-ERR message 2 is marked for removal",
    b"1x": b"-ERR not a message-number",
    b"99999999999": b"-ERR message-number too large",
}


@pytest.mark.parametrize("command", [b"RETR %s", b"DELE %s", b"LIST %s", b"UIDL %s", b"TOP %s 0"])
def test_rule_3_each_mistake_with_a_number_has_one_answer_everywhere(command: bytes) -> None:
    messages = {f"uid-{number}": sized(50) for number in (1, 2, 3)}
    asked = b"DELE 2\r\n" + b"".join(command % number + b"\r\n" for number in MISTAKES)
    assert lines(asked, messages)[1:] == list(MISTAKES.values())
    assert len(set(MISTAKES.values())) == len(MISTAKES)


def test_rule_3_trailing_text_absence_and_a_leading_zero() -> None:
    messages = {"uid-1": sized(50)}
    for keyword in (b"RETR", b"DELE", b"LIST", b"UIDL"):
        assert lines(keyword + b" 1 x\r\n", messages) == [b"-ERR text after the message-number"]
    for keyword in (b"RETR", b"DELE", b"TOP"):
        assert lines(keyword + b"\r\n", messages) == [b"-ERR message-number missing"]
    assert lines(b"LIST 01\r\nUIDL 0001\r\nDELE 01\r\n", messages) == [
        b"+OK 1 50", b"+OK 1 uid-1", b"+OK message 1 marked for removal",
    ]  # fmt: skip


def test_rule_4_numbers_never_shift_and_a_vanished_message_is_no_crash() -> None:
    world = World({"mrose": Box("secret", {f"uid-{number}": sized(50) for number in (1, 2, 3)})})
    wire = CoreWire(Setting(world))
    wire.send(LOGIN + b"DELE 1\r\n")
    del world.boxes["mrose"].messages["uid-2"]
    world.boxes["mrose"].messages["uid-9"] = sized(60)
    wire.send(b"STAT\r\nUIDL 3\r\nRETR 2\r\nLIST 4\r\nUIDL\r\nQUIT\r\n")
    assert wire.finish().split(b"\r\n")[4:] == [
        b"+OK 2 100",
        b"+OK 3 uid-3",
        b"-ERR the message is not there any more",
        b"-ERR no such message, only 3 in the maildrop",
        b"+OK unique-ids follow",
        b"2 uid-2",
        b"3 uid-3",
        b".",
        b"+OK goodbye",
        b"",
    ]
    assert list(world.boxes["mrose"].messages) == ["uid-3", "uid-9"]


def test_rule_5_pass_takes_the_rest_of_the_line() -> None:
    _, world = talk(b"USER mrose\r\nPASS  a b  c \r\n")
    assert [credentials.proof for credentials in world.asked] == [PasswordProof(" a b  c ")]


def test_rule_5_a_sasl_line_may_reach_16_kib_while_commands_stay_bounded() -> None:
    import base64

    password = "p" * 12_200
    response = base64.b64encode(f"\0mrose\0{password}".encode())
    assert 16_000 < len(response) <= 16_384
    said, world = talk(b"AUTH PLAIN\r\n" + response + b"\r\nUSER " + b"x" * 2100 + b"\r\n")
    assert [credentials.proof for credentials in world.asked] == [PasswordProof(password)]
    assert said.split(b"\r\n")[1:] == [
        b"+ ", b"-ERR [AUTH] authentication failed", b"-ERR command line too long", b"",
    ]  # fmt: skip
    _, world = talk(b"AUTH PLAIN " + response[:16_368] + b"\r\n")
    assert len(world.asked) == 1


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
@pytest.mark.parametrize("offered", [ALL, frozenset({"USER"}), frozenset({"PLAIN"}), frozenset({"APOP"})])
@pytest.mark.parametrize("cleartext", ["never", "always"])
def test_rule_6_nothing_is_announced_that_does_not_work(tls: str, offered: frozenset[str], cleartext: str) -> None:
    def session() -> CoreWire:
        world = World({"mrose": Box("secret", {"uid-1": sized(50)})}, offered=offered)
        setting = Setting(world, tls=tls)
        setting.policy["allow_cleartext"] = cleartext
        return CoreWire(setting)

    def hear(wire: CoreWire, command: bytes) -> list[bytes]:
        wire.send(command)
        heard = []
        while line := wire.hear_line():
            heard.append(line)
        return heard

    wire = session()
    greeting = wire.hear_line()
    timestamp = re.search(rb"<.*>", greeting)
    assert (timestamp is not None) is ("APOP" in offered)
    announced = [line.rstrip(b"\r\n") for line in hear(wire, b"CAPA\r\n")[1:-1]]
    sasl = [line.split()[1:] for line in announced if line.startswith(b"SASL ")]
    logins = [b"AUTH PLAIN AG1yb3NlAHNlY3JldA==\r\n"] if [b"PLAIN"] in sasl or [b"LOGIN", b"PLAIN"] in sasl else []
    if b"USER" in announced:
        logins.append(LOGIN)
    if timestamp is not None:
        logins.append(b"APOP mrose " + digest(timestamp[0].decode(), "secret").encode() + b"\r\n")
    for login in logins:
        wire = session()
        assert hear(wire, login)[-1] == b"+OK 1 messages (50 octets)\r\n"
        assert hear(wire, b"TOP 1 0\r\n")[0].startswith(b"+OK")
        assert hear(wire, b"UIDL 1\r\n")[0].startswith(b"+OK")
        after = [line.rstrip(b"\r\n") for line in hear(wire, b"CAPA\r\n")[1:-1]]
        assert after == [line for line in announced if line != b"STLS"]
    wire = session()
    assert hear(wire, b"STLS\r\n")[-1].startswith(b"+OK" if b"STLS" in announced else b"-ERR")
    assert (b"STLS" in announced) is (tls == "starttls")


def test_rule_6_capa_before_and_after_tls_is_true_too() -> None:
    world = World({"mrose": Box("secret")}, offered=ALL)
    setting = Setting(world, tls="starttls")
    setting.policy["allow_cleartext"] = "never"
    wire = CoreWire(setting)
    wire.send(b"CAPA\r\nSTLS\r\n")
    wire.start_tls()
    wire.send(b"CAPA\r\n" + LOGIN)
    said = wire.finish()
    before, after = said.split(b"+OK begin TLS now\r\n")
    assert b"\r\nUSER\r\n" not in before
    assert b"SASL" not in before
    assert b"\r\nUSER\r\nSASL LOGIN PLAIN\r\n" in after
    assert wire.session.client.tls == TLS


def test_rule_7_dele_takes_effect_at_quit_alone() -> None:
    messages = {f"uid-{number}": sized(50) for number in (1, 2, 3)}
    for octets, left in (
        (b"DELE 1\r\nDELE 3\r\n", ["uid-1", "uid-2", "uid-3"]),
        (b"DELE 1\r\nDELE 3\r\nQUI", ["uid-1", "uid-2", "uid-3"]),
        (b"DELE 1\r\nDELE 3\r\nRSET\r\nQUIT\r\n", ["uid-1", "uid-2", "uid-3"]),
        (b"DELE 1\r\nDELE 3\r\nQUIT\r\n", ["uid-2"]),
        (b"DELE 3\r\nRSET\r\nDELE 1\r\nQUIT\r\n", ["uid-2", "uid-3"]),
    ):
        said, world = talk(LOGIN + octets, messages)
        assert list(world.boxes["mrose"].messages) == left
        assert (b"goodbye" in said) is octets.endswith(b"QUIT\r\n")


def test_rule_7_what_was_not_removed_is_there_at_the_next_login() -> None:
    box = Box("secret", {f"uid-{number}": sized(50) for number in (1, 2, 3)}, stuck={"uid-1"})
    world = World({"mrose": box})
    wire = CoreWire(Setting(world))
    wire.send(LOGIN + b"DELE 1\r\nDELE 2\r\nQUIT\r\n")
    assert wire.finish().endswith(b"-ERR [SYS/TEMP] 1 of 2 messages not removed\r\n")
    again = CoreWire(Setting(world))
    again.send(LOGIN + b"UIDL\r\n")
    assert again.finish().endswith(b"1 uid-1\r\n2 uid-3\r\n.\r\n")


def test_rule_9_in_use_is_told_only_to_who_proved_to_be_the_user() -> None:
    world = World({"mrose": Box("secret", {"uid-1": sized(50)})})
    first = CoreWire(Setting(world))
    first.send(LOGIN)
    for wrong in (b"USER mrose\r\nPASS wrong\r\n", b"AUTH PLAIN AG1yb3NlAHdyb25n\r\n"):
        other = CoreWire(Setting(world))
        other.send(wrong)
        said = other.finish()
        assert b"[AUTH]" in said
        assert b"IN-USE" not in said
    other = CoreWire(Setting(world))
    other.send(LOGIN)
    assert b"-ERR [IN-USE] the maildrop is in use since 3s from 192.0.2.1\r\n" in other.finish()
    first.send(b"QUIT\r\n")
    other = CoreWire(Setting(world))
    other.send(LOGIN + b"QUIT\r\n")
    assert b"IN-USE" not in other.finish()


@dataclass
class Recording(asyncio.Transport):
    """A transport that writes down each write; nobody is at its other end."""

    writes: list[bytes] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40_000), "sockname": ("127.0.0.1", 110)})

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


def test_rule_11_a_reply_leaves_in_one_write_and_pipelined_ones_are_joined(
    run_async: Callable[[Awaitable[None]], None],
) -> None:
    async def scenario() -> None:
        world = World({"mrose": Box("secret", {"uid-1": sized(8000), "uid-2": sized(50)})})
        hub = Hub(Setting(world).service(), Admission(Limits()), asyncio.get_running_loop())
        driver, transport = Driver(hub, Listener(address="127.0.0.1:0")), Recording()
        driver.connection_made(transport)
        assert transport.writes == [b"+OK poplin ready\r\n"]
        for flight, replies in (
            (b"USER mrose\r\n", 1),
            (b"PASS secret\r\n", 1),
            (b"LIST\r\n", 1),
            (b"RETR 1\r\n", 1),
            (b"TOP 1 3\r\n", 1),
            (b"STAT\r\nLIST\r\nUIDL\r\nRETR 2\r\nNOOP\r\n", 5),
            (b"DELE 2\r\nQUIT\r\n", 2),
        ):
            transport.writes.clear()
            driver.data_received(flight)
            (written,) = transport.writes
            assert written.count(b"+OK") == replies
        assert transport.closed
        driver.connection_lost(None)
        await hub.settled()
        hub.close()

    run_async(scenario())


def test_rule_13_nul_is_an_octet_like_any_other() -> None:
    for password in (b"secret\0", b"secret\0x", b"\0secret", b"sec\0ret"):
        said, world = talk(b"USER mrose\r\nPASS " + password + b"\r\n")
        assert said.endswith(b"-ERR [AUTH] authentication failed\r\n")
        assert world.asked[0].proof == PasswordProof(password.decode())
    said, _ = talk(b"QUIT\0\r\nCAPA\0\r\n")
    assert said.count(b"-ERR unknown command\r\n") == 2


def test_rule_13_odd_messages_arrive_as_they_are() -> None:
    for message, octets, sent in (
        (b"", 0, b""),
        (b".", 3, b"..\r\n"),
        (b".x\n", 4, b"..x\r\n"),
        (b"A: 1\r\n\r\nlast", 14, b"A: 1\r\n\r\nlast\r\n"),
        (b"\0", 3, b"\0\r\n"),
    ):
        said, _ = talk(LOGIN + b"LIST 1\r\nRETR 1\r\n", {"uid-1": message})
        assert said.endswith(b"+OK 1 %d\r\n+OK %d octets\r\n" % (octets, octets) + sent + b".\r\n")


def test_rule_14_the_apop_timestamp_has_the_form_that_every_client_takes() -> None:
    world = World({"mrose": Box("secret")}, offered=ALL)
    service = Server(maildrops=world, authenticator=world, host="127.0.0.1", port=0).service
    timestamps = {service.timestamp("pop.example.org") for _ in range(100)}
    assert len(timestamps) == 100
    for timestamp in timestamps:
        assert re.fullmatch(r"<[0-9]+\.[0-9]+@pop\.example\.org>", timestamp)
    said, _ = talk(b"QUIT\r\n")
    assert re.match(rb"\+OK poplin ready <[0-9]+\.[0-9]+@localhost>\r\n", said)


@pytest.mark.parametrize(
    "name", ["../bob", "a/b", "a\0b", "..", ".", "%s", "{user}", "a;b", "~", "bob\x7f", "' OR 1=1"]
)
def test_rule_15_no_name_is_touched_on_its_way_to_who_must_refuse_it(name: str) -> None:
    """The engine neither cuts nor unescapes a name: what a whitelist sees is what the client said."""
    import base64

    plain = base64.b64encode(f"\0{name}\0secret".encode())
    _, world = talk(b"USER " + name.encode() + b"\r\nPASS secret\r\nAUTH PLAIN " + plain + b"\r\n")
    wanted = [name] if "\0" in name else [name, name]  # PLAIN knows no NUL inside a name
    assert [credentials.user for credentials in world.asked] == wanted
    assert world.boxes["mrose"].openings == 0


def test_rule_17_neither_login_delay_nor_expire_is_promised_where_nobody_keeps_it() -> None:
    said, _ = talk(b"CAPA\r\n" + LOGIN + b"CAPA\r\n")
    assert said.count(b"\r\nTOP\r\n") == 2
    assert b"LOGIN-DELAY" not in said
    assert b"EXPIRE" not in said
