"""What went wrong in Net::Server::POP3, the ancestor of the callback face: each bug by its name, through a real server.

And what the callbacks of poplin promise beyond it: endings, refusals, delays, dry runs, failures, threads that hang.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import logging
import poplib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest

import poplin
from support.wire import Wire, until

ONE = b"Subject: one\n\n.dot\nlast\n"
TWO = b"Subject: two\n\nworld\n"


class Shop:
    """Messages by user, and the callbacks of the README over them."""

    def __init__(self) -> None:
        self.mail = {user: {"a": ONE, "b": TWO} for user in ("ann", "bob")}

    def callbacks(self, **more: object) -> poplin.Callbacks:
        given: dict[str, Any] = {
            "authenticate": lambda user, password, client: password == "secret",
            "list": lambda user: list(self.mail[user]),
            "retrieve": lambda user, message_id: self.mail[user][message_id],
            "delete": lambda user, message_id: self.mail[user].pop(message_id),
            **more,
        }
        return poplin.Callbacks(**given)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@contextlib.contextmanager
def served(
    service: poplin.Callbacks, policy: poplin.Policy | None = None, limits: poplin.Limits | None = None
) -> Iterator[int]:
    """The port of a server over `service`."""
    policy = policy or poplin.Policy(failure_delay=0)
    server = poplin.Server(service, host="127.0.0.1", port=0, policy=policy, limits=limits)
    with poplin.BackgroundServer(server) as running:
        yield running.port


@contextlib.contextmanager
def session(port: int, user: str = "ann") -> Iterator[Wire]:
    with Wire(port) as wire:
        answer = wire.log_in(user)
        assert answer.startswith(b"+OK"), answer
        yield wire


@contextlib.contextmanager
def session_soon(port: int) -> Iterator[Wire]:
    """A session as soon as the one before has ended."""
    wires: list[Wire] = []

    def let_in() -> bool:
        wires[:] = [Wire(port)]
        if wires[0].log_in().startswith(b"+OK"):
            return True
        wires[0].close()
        return False

    until(let_in, "ann is let in again")
    with wires[0]:
        yield wires[0]


# The bugs of the ancestor


def test_delete_marks_leak_into_the_next_session(shop: Shop) -> None:
    with served(shop.callbacks()) as port:
        with session(port, "bob") as bob:
            assert bob.ask("DELE 1").startswith(b"+OK")
        with session(port, "ann") as ann:
            assert ann.ask("STAT") == b"+OK 2 51"
            assert ann.ask("QUIT").startswith(b"+OK")
    assert [sorted(mail) for mail in shop.mail.values()] == [["a", "b"], ["a", "b"]]


def test_options_of_one_server_leak_into_another(shop: Shop) -> None:
    other = Shop()
    other.mail["ann"] = {}
    with contextlib.ExitStack() as stack:
        port, second = [stack.enter_context(served(one.callbacks())) for one in (shop, other)]
        ann, there = [stack.enter_context(session(one)) for one in (port, second)]
        assert ann.ask("STAT") == b"+OK 2 51"
        assert there.ask("STAT") == b"+OK 0 0"


@pytest.mark.parametrize(
    "command",
    [
        "RETR 0",
        "RETR",
        "RETR 3",
        "LIST 0",
        "LIST 3",
        "UIDL 0",
        "TOP 99 1",
        "TOP 1",
        "TOP 0 1",
        "DELE",
        "DELE 0",
        "DELE 3",
        "LISTER",
        "STATX",
        "RETRIEVE 1",
        "DELETE 1",
        "QUITTER",
        "NOOPS",
    ],
)
def test_numbers_and_words_that_mean_nothing_are_refused_and_change_nothing(shop: Shop, command: str) -> None:
    with served(shop.callbacks()) as port, session(port) as ann:
        assert ann.ask(command).startswith(b"-ERR")
        assert ann.ask("STAT") == b"+OK 2 51"
        assert ann.ask("QUIT").startswith(b"+OK")
    assert sorted(shop.mail["ann"]) == ["a", "b"]


def test_noop_rset_capa_and_apop_are_known_in_any_case(shop: Shop) -> None:
    with served(shop.callbacks(apop=lambda user, digest, banner: True)) as port, Wire(port) as ann:
        ann.line()
        assert ann.ask("capa").startswith(b"+OK")
        assert b"UIDL" in ann.body()
        assert ann.ask(f"apop ann {'0' * 32}").startswith(b"+OK")
        assert ann.ask("noop").startswith(b"+OK")
        assert ann.ask("rSeT").startswith(b"+OK")


def test_marked_messages_are_counted_listed_and_served(shop: Shop) -> None:
    with served(shop.callbacks()) as port, session(port) as ann:
        assert ann.ask("DELE 1").startswith(b"+OK")
        assert ann.ask("STAT") == b"+OK 1 23"
        for command in ("LIST 1", "UIDL 1", "RETR 1", "TOP 1 0", "DELE 1"):
            assert ann.ask(command).startswith(b"-ERR"), command
        assert ann.ask("LIST").startswith(b"+OK")
        assert ann.body() == b"2 23\r\n"


def test_sizes_without_a_callback_count_one_octet_a_line_end(shop: Shop) -> None:
    shop.mail["ann"]["c"] = b"no line end"
    with served(shop.callbacks()) as port, session(port) as ann:
        assert ann.ask("LIST").startswith(b"+OK")
        listed = dict(line.split() for line in ann.body().splitlines())
        for number in (1, 2, 3):
            assert len(ann.retrieve(number)) == int(listed[b"%d" % number])


@pytest.mark.parametrize("message", [b"Subject: no blank line\n", b"", b"\n", b"body alone", b".\n", b"..\n.\n"])
def test_a_message_without_a_blank_line_or_without_anything_kills_the_session(shop: Shop, message: bytes) -> None:
    shop.mail["ann"] = {"odd": message}
    with served(shop.callbacks()) as port, session(port) as ann:
        whole = ann.retrieve(1)
        assert whole.replace(b"\r\n", b"\n") == message + (b"" if message.endswith(b"\n") or not message else b"\n")
        assert ann.ask("LIST 1") == b"+OK 1 %d" % len(whole)
        assert ann.ask("TOP 1 5").startswith(b"+OK")
        assert ann.body() == whole
        assert ann.ask("QUIT").startswith(b"+OK")


def test_debug_breaks_login_and_shows_the_password(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with served(shop.callbacks()) as port, session(port) as ann:
        assert ann.retrieve(1)
        assert ann.ask("PSAS secret").startswith(b"-ERR")
        assert ann.ask("QUIT").startswith(b"+OK")
    talk = [message.partition(" ")[2] for name, _, message in caplog.record_tuples if name == "poplin.conversation"]
    assert talk[:4] == ["S: +OK poplin ready", "C: USER 'ann'", "S: +OK send your password", "C: PASS ******"]
    assert talk[5:8] == ["C: RETR 1", "S: +OK 28 octets (body: 28 octets)", "C: ******"]
    assert talk[-2:] == ["C: QUIT", "S: +OK goodbye"]
    assert "secret" not in caplog.text


def test_a_password_may_be_tried_without_end(shop: Shop) -> None:
    with served(shop.callbacks()) as port, Wire(port) as wire:
        answers = [wire.log_in("ann", "wrong")]
        while answers[-1]:
            answers.append(wire.pass_in("ann", "wrong") if len(answers) < 5 else wire.line())
        assert [answer.startswith(b"-ERR [AUTH]") for answer in answers] == [True] * 5 + [False]


def test_a_password_loses_its_blanks(shop: Shop) -> None:
    seen: list[str] = []

    def authenticate(user: str, password: str, client: poplin.ClientFacts) -> bool:
        seen.append(password)
        return True

    with served(shop.callbacks(authenticate=authenticate)) as port, Wire(port) as wire:
        assert wire.log_in("ann", "  two words ").startswith(b"+OK")
    assert seen == ["  two words "]


def test_the_client_is_not_told_to_authenticate(shop: Shop) -> None:
    seen: list[poplin.ClientFacts] = []

    def authenticate(user: str, password: str, client: poplin.ClientFacts) -> bool:
        seen.append(client)
        return True

    with served(shop.callbacks(authenticate=authenticate)) as port, session(port) as ann:
        assert (seen[0].address, seen[0].port) == ann.socket.getsockname()
        assert seen[0].local == ("127.0.0.1", port)
        assert seen[0].tls is None


def test_apop_is_never_called(shop: Shop) -> None:
    asked: list[tuple[str, str]] = []

    def apop(user: str, digest: str, banner: str) -> bool:
        asked.append((user, banner))
        return digest == hashlib.md5(f"{banner}tanstaaf".encode()).hexdigest()

    with served(shop.callbacks(apop=apop)) as port:
        client = poplib.POP3("127.0.0.1", port, timeout=30)
        assert client.apop("ann", "tanstaaf").startswith(b"+OK")
        banner = client.getwelcome().decode().rpartition(" ")[2]
        client.quit()
    assert asked == [("ann", banner)]


def test_the_message_behind_the_marked_one_is_deleted(shop: Shop) -> None:
    shop.mail["ann"] = dict.fromkeys("abcde", ONE)
    deleted: list[str] = []
    service = shop.callbacks(delete=lambda user, message_id: deleted.append(message_id))
    with served(service) as port, session(port) as ann:
        for number in (4, 2):
            assert ann.ask(f"DELE {number}").startswith(b"+OK")
        assert deleted == []
        assert ann.ask("QUIT").startswith(b"+OK")
    assert deleted == ["b", "d"]


def test_pipelined_quit_loses_no_reply(shop: Shop) -> None:
    with served(shop.callbacks()) as port, Wire(port) as wire:
        wire.send(b"USER ann\r\nPASS secret\r\nSTAT\r\nDELE 1\r\nQUIT\r\n")
        said = wire.rest()
        assert said.count(b"\r\n") == 6
        assert b"\r\n+OK 2 51\r\n" in said
    assert list(shop.mail["ann"]) == ["b"]


# Beginnings and endings


def end(wire: Wire, how: str) -> None:
    """Let a session end in that way."""
    wire.line()
    if how == "quit before login":
        assert wire.ask("QUIT").startswith(b"+OK")
        return
    if how == "wrong passwords":
        for _ in range(5):
            assert wire.pass_in("ann", "wrong").startswith(b"-ERR")
        return
    assert wire.pass_in().startswith(b"+OK")
    assert wire.ask("DELE 1").startswith(b"+OK")
    if how == "quit":
        assert wire.ask("QUIT").startswith(b"+OK")
    elif how == "end":
        wire.close()
    elif how == "reset":
        wire.reset()
    elif how == "silence":
        assert wire.remains() == b""


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        ("quit", poplin.Ending.QUIT),
        ("quit before login", poplin.Ending.QUIT),
        ("end", poplin.Ending.DROPPED),
        ("reset", poplin.Ending.DROPPED),
        ("silence", poplin.Ending.TIMEOUT),
        ("wrong passwords", poplin.Ending.REFUSED),
        ("stop", poplin.Ending.STOPPED),
    ],
)
def test_disconnect_is_told_once_how_it_ended(shop: Shop, how: str, ending: poplin.Ending) -> None:
    told: list[tuple[str, poplin.Ending]] = []

    def connect(client: poplin.ClientFacts) -> None:
        client.state.opened = f"for {client.session_id}"

    def disconnect(client: poplin.ClientFacts, ending: poplin.Ending) -> None:
        assert poplin.current_session().session_id == client.session_id
        assert client.state.opened == f"for {client.session_id}"
        told.append((client.session_id, ending))

    limits = poplin.Limits(autologout=0.2, allow_short_autologout=True) if how == "silence" else poplin.Limits()
    clients = contextlib.ExitStack()  # left when the server has stopped
    with clients, served(shop.callbacks(connect=connect, disconnect=disconnect), limits=limits) as port:
        end(clients.enter_context(Wire(port)), how)
        if how != "stop":
            until(lambda: bool(told), "disconnect was called")
    assert [ending for _, ending in told] == [ending]
    assert sorted(shop.mail["ann"]) == (["b"] if how == "quit" else ["a", "b"])


def test_disconnect_may_take_the_client_alone_and_fail(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def disconnect(client: poplin.ClientFacts) -> None:
        told.append(client.address)
        raise ZeroDivisionError

    with served(shop.callbacks(disconnect=disconnect)) as port:
        for _ in range(2):
            with session(port) as ann:
                assert ann.ask("QUIT").startswith(b"+OK")
    assert told == ["127.0.0.1"] * 2
    assert caplog.text.count("ZeroDivisionError") >= 2


class Marked:
    """Callbacks that find in the session's state what `connect` left there, and tell it to `seen`."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.seen: dict[str, set[str]] = {}

    def mine(self, callback: str) -> None:
        client = poplin.current_session()
        assert client.state.name == client.session_id
        self.seen.setdefault(callback, set()).add(client.state.name)

    def connect(self, client: poplin.ClientFacts) -> None:
        client.state.name = client.session_id
        self.mine("connect")

    def authenticate(self, user: str, password: str, client: poplin.ClientFacts) -> bool:
        assert client.state.name == client.session_id
        self.mine("authenticate")
        return True

    def listing(self, user: str) -> list[str]:
        self.mine("list")
        return [*self.shop.mail[user]]

    def size(self, user: str, message_id: str) -> int:
        self.mine("size")
        return len(self.shop.mail[user][message_id].replace(b"\n", b"\r\n"))

    def retrieve(self, user: str, message_id: str) -> Iterator[bytes]:
        for line in self.shop.mail[user][message_id].splitlines(keepends=True):
            self.mine("retrieve")
            yield line

    def delete(self, user: str, message_id: str) -> None:
        self.mine("delete")

    def disconnect(self, client: poplin.ClientFacts) -> None:
        self.mine("disconnect")

    def functions(self, kind: str) -> dict[str, Callable[..., object]]:
        names = ("connect", "authenticate", "size", "retrieve", "delete", "disconnect")
        functions: dict[str, Callable[..., object]] = {name: getattr(self, name) for name in names}
        functions["list"] = self.listing
        if kind == "plain":
            return functions
        return {name: (poplin.blocking if kind == "blocking" else later)(one) for name, one in functions.items()}


def later(function: Callable[..., object]) -> Callable[..., object]:
    """The same, ``async``."""

    @functools.wraps(function)
    async def awaited(*arguments: object) -> object:
        await asyncio.sleep(0)
        return function(*arguments)

    return awaited


@pytest.mark.parametrize("kind", ["plain", "async", "blocking"])
def test_what_connect_left_is_there_for_all_the_others_and_for_nobody_else(shop: Shop, kind: str) -> None:
    marked = Marked(shop)
    functions = marked.functions(kind)
    with served(shop.callbacks(**functions)) as port, session(port) as ann, session(port, "bob") as bob:
        for wire in (ann, bob):
            assert wire.ask("STAT") == b"+OK 2 51"
            assert wire.retrieve(2) == TWO.replace(b"\n", b"\r\n")
            assert wire.ask("DELE 1").startswith(b"+OK")
            assert wire.ask("QUIT").startswith(b"+OK")
    assert {callback: len(names) for callback, names in marked.seen.items()} == dict.fromkeys(functions, 2)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (poplin.Refused("not today"), b"-ERR refused\r\n"),
        (poplin.TemporaryFailure("db"), b"-ERR [SYS/TEMP] temporary failure, try again later\r\n"),
        (ZeroDivisionError("planted"), b"-ERR [SYS/TEMP] temporary failure, try again later\r\n"),
    ],
)
def test_connect_may_refuse(shop: Shop, error: Exception, answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    told: list[poplin.Ending] = []

    async def connect(client: poplin.ClientFacts) -> None:
        await asyncio.sleep(0)
        raise error

    with served(shop.callbacks(connect=connect, disconnect=lambda client, ending: told.append(ending))) as port:
        with Wire(port) as wire:
            wire.send(b"USER ann\r\nPASS secret\r\n")
            assert wire.rest() == answer
        until(lambda: bool(told), "disconnect was called")
    assert told == [poplin.Ending.REFUSED]
    assert ("Traceback" in caplog.text) == isinstance(error, ZeroDivisionError)


# Removal


def test_a_batch_is_asked_once_and_its_failure_is_told(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[list[str]] = []

    @poplin.blocking
    def delete_all(user: str, ids: Sequence[str]) -> None:
        asked.append(list(ids))
        if len(asked) == 1:
            raise ZeroDivisionError("planted")
        for message_id in ids:
            del shop.mail[user][message_id]

    with served(shop.callbacks(delete=None, delete_all=delete_all)) as port:
        for answer in (b"-ERR [SYS/TEMP] 2 of 2 messages not removed", b"+OK goodbye"):
            with session(port) as ann:
                assert ann.ask("DELE 2").startswith(b"+OK")
                assert ann.ask("DELE 1").startswith(b"+OK")
                assert ann.ask("QUIT") == answer
    assert asked == [["a", "b"], ["a", "b"]]
    assert shop.mail["ann"] == {}
    assert "in the callback delete_all (" in caplog.text
    assert "ZeroDivisionError: planted" in caplog.text


def test_a_dry_run_for_one_user(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with served(shop.callbacks(dry_run=lambda user: user == "ann")) as port:
        for user in ("ann", "bob"):
            with session(port, user) as wire:
                assert wire.ask("DELE 1").startswith(b"+OK")
                assert wire.ask("QUIT") == b"+OK goodbye"
    assert sorted(shop.mail["ann"]) == ["a", "b"]
    assert sorted(shop.mail["bob"]) == ["b"]
    assert "dry run: 1 messages of ann are marked, and none was removed" in caplog.text
    assert "user=ann mechanism=USER messages=2 retr=0/0 top=0/0 dele=0/1" in caplog.text


def test_two_sessions_of_one_user_delete_the_same_message(shop: Shop) -> None:
    with served(shop.callbacks(exclusive=False)) as port, session(port) as one, session(port) as other:
        for wire in (one, other):
            assert wire.ask("DELE 1").startswith(b"+OK")
        assert one.ask("QUIT").startswith(b"+OK")
        assert other.ask("RETR 1").startswith(b"-ERR message 1 is marked")
        assert other.ask("QUIT").startswith(b"+OK")
    assert list(shop.mail["ann"]) == ["b"]


def test_a_message_that_vanished_is_told_so(shop: Shop) -> None:
    with served(shop.callbacks()) as port, session(port) as ann:
        del shop.mail["ann"]["a"]
        assert ann.ask("RETR 1") == b"-ERR the message is not there any more"
        assert ann.retrieve(2)


# LOGIN-DELAY and EXPIRE


def capabilities(wire: Wire) -> list[bytes]:
    assert wire.ask("CAPA").startswith(b"+OK")
    return wire.body().splitlines()


def test_terms_that_are_the_same_for_all(shop: Shop) -> None:
    with served(shop.callbacks(login_delay=900, expire="NEVER")) as port, Wire(port) as wire:
        wire.line()
        before = capabilities(wire)
        assert wire.pass_in().startswith(b"+OK")
        after = capabilities(wire)
        for lines in (before, after):
            assert b"LOGIN-DELAY 900" in lines
            assert b"EXPIRE NEVER" in lines


def test_terms_of_each_user(shop: Shop) -> None:
    async def expire(user: str | None) -> int:
        return 0 if user is None else 31

    @poplin.blocking
    def login_delay(user: str | None) -> int | None:
        return {None: 900, "ann": 60}.get(user)

    with served(shop.callbacks(login_delay=login_delay, expire=expire)) as port, Wire(port) as wire:
        wire.line()
        lines = capabilities(wire)
        assert b"LOGIN-DELAY 900 USER" in lines
        assert b"EXPIRE 0 USER" in lines
        assert wire.pass_in().startswith(b"+OK")
        lines = capabilities(wire)
        assert b"LOGIN-DELAY 60" in lines
        assert b"EXPIRE 31" in lines
        with Wire(port) as bob:
            assert bob.log_in("bob").startswith(b"+OK")
            assert not [line for line in capabilities(bob) if line.startswith(b"LOGIN-DELAY")]


def test_neither_is_announced_unasked(shop: Shop) -> None:
    with served(shop.callbacks()) as port, session(port) as ann:
        assert not [line for line in capabilities(ann) if line.startswith((b"LOGIN-DELAY", b"EXPIRE"))]


def test_a_login_that_comes_too_soon_is_told_when(shop: Shop) -> None:
    with served(shop.callbacks(login_delay=lambda user: 0 if user == "bob" else 600)) as port:
        with session(port) as ann:
            assert ann.ask("QUIT").startswith(b"+OK")
        with Wire(port) as wire:
            answer = wire.log_in()
            assert answer.startswith(b"-ERR [LOGIN-DELAY] logged in too recently; the next login is possible in ")
            seconds = int(answer.split()[-2])
            assert 500 < seconds <= 600
            assert wire.pass_in("ann", "wrong") == b"-ERR [AUTH] authentication failed"  # that comes first
            lines = capabilities(wire)
            assert b"LOGIN-DELAY 600 USER" in lines  # still nobody is logged in
        for _ in range(2):
            with session(port, "bob") as bob:
                assert bob.ask("QUIT").startswith(b"+OK")


def test_only_a_login_that_worked_counts(shop: Shop) -> None:
    broken = True

    def listed(user: str) -> list[str]:
        if broken:
            raise ZeroDivisionError
        return []

    with served(shop.callbacks(list=listed, login_delay=600)) as port:
        with Wire(port) as wire:
            assert wire.log_in().startswith(b"-ERR [SYS/TEMP]")
            assert wire.pass_in("ann", "wrong").startswith(b"-ERR [AUTH]")
            broken = False
            assert wire.pass_in().startswith(b"+OK")
        with Wire(port) as wire:
            assert wire.log_in().startswith(b"-ERR [LOGIN-DELAY]")


def test_a_delay_passes_and_a_refusal_does_not_begin_it_anew(shop: Shop) -> None:
    with served(shop.callbacks(login_delay=1)) as port:
        with session(port) as ann:
            assert ann.ask("QUIT").startswith(b"+OK")
        refused = 0
        with Wire(port) as wire:
            answer = wire.log_in()
            while answer.startswith(b"-ERR [LOGIN-DELAY]"):
                refused += 1
                time.sleep(0.05)
                answer = wire.pass_in()
            assert answer.startswith(b"+OK")
        assert refused


# Failures


def test_an_exception_is_logged_with_all_that_helps_and_the_client_hears_nothing_of_it(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    def retrieve(user: str, message_id: str) -> bytes:
        raise ZeroDivisionError("planted")

    for shown in (False, True):
        caplog.clear()
        policy = poplin.Policy(show_errors=shown)
        with served(shop.callbacks(retrieve=retrieve, size=lambda *_: 9), policy) as port, session(port) as ann:
            expected = b"planted" if shown else b"temporary failure, try again later"
            assert ann.ask("RETR 1") == b"-ERR [SYS/TEMP] " + expected
            assert ann.ask("NOOP").startswith(b"+OK")
            (record,) = [record for record in caplog.records if record.exc_info]
        assert "Traceback" in caplog.text
        assert "ZeroDivisionError: planted" in caplog.text
        assert "for user 'ann', message 'a'" in caplog.text
        assert record.exc_info is not None
        assert record.exc_info[1] is not None
        assert record.exc_info[1].__notes__[1].endswith(" of ann")
        assert record.getMessage().endswith(": RETR failed")


def test_an_exception_in_the_middle_of_a_message_cuts_the_connection_and_is_logged(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    async def retrieve(user: str, message_id: str) -> AsyncIterator[bytes]:
        yield b"Subject: half\r\n\r\n"
        raise ZeroDivisionError("planted")

    # An async generator function is called, not awaited: what it gives is the message.
    with served(shop.callbacks(retrieve=retrieve, size=lambda *_: 9)) as port:
        with session(port) as ann:
            ann.send(b"RETR 1\r\n")
            assert not ann.remains().endswith(b"\r\n.\r\n")
        with session(port) as ann:
            assert ann.ask("NOOP").startswith(b"+OK")
    assert "failed in the middle of a message" in caplog.text
    assert "for user 'ann', message 'a'" in caplog.text


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        ("list", "an iterable of ids (str)"),
        ("retrieve", "bytes, str, an EmailMessage, a path"),
        ("size", "octets, 0 or more"),
        ("login_delay", "seconds, 0 or more, or None"),
        ("expire", 'days, 0 or more, "NEVER", or None'),
        ("dry_run", "True, False or None"),
    ],
)
def test_a_wrong_answer_names_the_callback_at_first_use(
    shop: Shop, callback: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    with served(shop.callbacks(**{callback: lambda *_: 1.5})) as port, Wire(port) as wire:
        wire.send(b"USER ann\r\nPASS secret\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
        assert b"-ERR [SYS/TEMP]" in wire.rest()
    assert f"the callback {callback} (" in caplog.text
    assert "returned float" in caplog.text
    assert f"expected {expected}" in caplog.text
    assert callback != "dry_run" or sorted(shop.mail["ann"]) == ["a", "b"]  # in doubt nothing is removed


def test_a_slow_callback_is_told_of_once_by_name(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    def retrieve(user: str, message_id: str) -> bytes:
        time.sleep(0.11)
        return ONE

    with served(shop.callbacks(retrieve=retrieve, size=lambda *_: 9)) as port, session(port) as ann:
        assert ann.retrieve(1)
        assert ann.retrieve(2)
    (told,) = [message for message in caplog.messages if "poplin.blocking" in message]
    assert "retrieve) held up every session for 1" in told


@pytest.mark.parametrize("kind", ["async", "blocking"])
@pytest.mark.parametrize("callback", ["connect", "authenticate", "list", "retrieve", "delete"])
def test_a_callback_that_hangs_hurts_its_session_alone(shop: Shop, kind: str, callback: str) -> None:
    finish = threading.Event()
    begun = threading.Event()

    def hangs() -> bool:
        client = poplin.current_session()
        if getattr(client.state, "hurts", False) or not begun.is_set():
            client.state.hurts = True
            begun.set()
            return True
        return False

    answers: dict[str, Any] = {
        "connect": lambda client: None,
        "authenticate": lambda user, password, client: True,
        "list": lambda user: list(shop.mail[user]),
        "retrieve": lambda user, message_id: shop.mail[user][message_id],
        "delete": lambda user, message_id: shop.mail[user].pop(message_id),
    }
    answer = answers[callback]

    async def later(*arguments: object) -> object:
        while hangs() and not finish.is_set():
            await asyncio.sleep(0.005)
        return answer(*arguments)

    @poplin.blocking
    def blocked(*arguments: object) -> object:
        if hangs():
            assert finish.wait(60)
        return answer(*arguments)

    function = later if kind == "async" else blocked
    with served(shop.callbacks(**{callback: function, "size": lambda *_: 25}), limits=poplin.Limits()) as port:
        with Wire(port) as hurt:
            hurt.send(b"USER ann\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
            assert begun.wait(30)
            for _ in range(3):
                with session(port, "bob") as bob:
                    assert bob.retrieve(1)
                    assert bob.ask("QUIT").startswith(b"+OK")
            finish.set()
            said = hurt.rest()
            assert said.endswith(b"+OK goodbye\r\n")
        assert list(shop.mail["ann"]) == ["b"]


def test_a_user_whose_message_hangs_cannot_use_up_the_threads(shop: Shop) -> None:
    finish = threading.Event()
    begun = threading.Semaphore(0)

    @poplin.blocking
    def retrieve(user: str, message_id: str) -> bytes:
        if user == "ann":
            begun.release()
            assert finish.wait(60)
        return ONE

    with served(shop.callbacks(retrieve=retrieve, size=lambda *_: 25)) as port:
        try:
            for _ in range(2):
                with session_soon(port) as ann:
                    ann.send(b"RETR 1\r\n")
                    assert begun.acquire(timeout=30)
                    ann.reset()
            with session_soon(port) as ann:
                assert ann.ask("RETR 1").startswith(b"-ERR [SYS/TEMP]")
            with session(port, "bob") as bob:
                assert bob.retrieve(1)
        finally:
            finish.set()


def test_welcome_and_goodbye_are_the_author_s_own(shop: Shop) -> None:
    policy = poplin.Policy(greeting="Ann's shop", goodbye="come again", hostname="pop.example.org")
    with served(shop.callbacks(apop=lambda *_: True), policy) as port, Wire(port) as wire:
        welcome = wire.line()
        assert welcome.startswith(b"+OK Ann's shop <")
        assert welcome.endswith(b"@pop.example.org>")
        assert wire.ask("QUIT") == b"+OK come again"
