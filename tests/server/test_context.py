"""Whose session a callback runs for, what it may do wrong, and what never shows: to clients, to other sessions, in logs."""

import asyncio
import base64
import io
import logging
import threading
from collections.abc import Sequence

import pytest

import poplin
from poplin.authentication.base import Credentials, PasswordProof
from poplin.identity import ClientFacts, MaybeAwaitable, settle
from poplin.maildrops.base import Scan
from poplin.maildrops.memory import MemoryMaildrops
from support.gated import Gate
from support.processes import big_message
from support.serving import OnePassword, Serve
from support.wire import Wire, logged_in, until


def test_the_current_session_is_ones_own_however_callbacks_interleave(serve: Serve) -> None:
    seen: dict[str, set[tuple[int, str]]] = {}
    gates = {"ann": Gate(), "bob": Gate()}

    async def authenticate(user: str, password: str, client: ClientFacts) -> bool:
        client.state.name = user
        await asyncio.sleep(0)
        return note(user)

    def note(user: str) -> bool:
        client = poplin.current_session()
        seen.setdefault(user, set()).add((client.port, client.state.name))
        return True

    async def retrieve(user: str, message_id: str) -> bytes:
        note(user)
        await gates[user].wait()
        note(user)
        return b"Subject: for %b\r\n\r\n" % user.encode()

    def delete(user: str, message_id: str) -> None:
        note(user)

    service = poplin.Callbacks(
        authenticate=authenticate,
        list=lambda user: [("m", 20)] if note(user) else [],
        retrieve=retrieve,
        delete=poplin.blocking(delete),
    )
    served = serve(service, service)
    with logged_in(served.ports["none"], "ann") as ann, logged_in(served.ports["none"], "bob") as bob:
        ports = {"ann": ann.socket.getsockname()[1], "bob": bob.socket.getsockname()[1]}
        ann.send(b"RETR 1\r\n")
        gates["ann"].await_arrival()
        bob.send(b"RETR 1\r\n")
        gates["bob"].await_arrival()
        gates["ann"].open()
        assert ann.line().startswith(b"+OK")
        gates["bob"].open()
        assert bob.line().startswith(b"+OK")
        assert ann.body() == b"Subject: for ann\r\n\r\n"
        assert bob.body() == b"Subject: for bob\r\n\r\n"
        ann.send(b"DELE 1\r\nQUIT\r\n")
        ann.rest()
        bob.send(b"DELE 1\r\nQUIT\r\n")
        bob.rest()
    assert seen == {user: {(ports[user], user)} for user in ports}


def test_the_current_session_is_right_where_the_transport_resumes_us(serve: Serve) -> None:
    """Commands carried out because a slow client has read, not because one has written."""
    users: list[tuple[str, str]] = []
    big = big_message(8_000_000)

    def authenticate(user: str, password: str, client: ClientFacts) -> bool:
        client.state.user = user
        return True

    def retrieve(user: str, message_id: str) -> bytes:
        users.append((user, poplin.current_session().state.user))
        return big

    service = poplin.Callbacks(authenticate=authenticate, list=lambda user: [("m", len(big))], retrieve=retrieve)
    served = serve(service, service)
    with logged_in(served.ports["none"], "ann") as ann, logged_in(served.ports["none"], "bob") as bob:
        for wire in (ann, bob):
            wire.send(b"RETR 1\r\n" * 3)
        for _ in range(3):
            for wire in (ann, bob):
                assert wire.line().startswith(b"+OK")
                assert wire.body() == big
    assert len(users) == 6
    assert all(user == current for user, current in users)


def test_state_begins_empty_and_is_never_shared(serve: Serve) -> None:
    states: list[dict[str, object]] = []

    def authenticate(user: str, password: str, client: ClientFacts) -> bool:
        states.append(dict(vars(client.state)))
        client.state.secret = user
        return True

    service = poplin.Callbacks(authenticate=authenticate, list=lambda user: [], retrieve=lambda user, message_id: b"")
    served = serve(service, service)
    for user in ("ann", "bob", "ann"):
        with logged_in(served.ports["none"], user) as wire:
            wire.ask("QUIT")
    assert states == [{}, {}, {}]


def test_outside_a_session_there_is_none() -> None:
    with pytest.raises(LookupError):
        poplin.current_session()


class Faulty(MemoryMaildrops):
    """Fails with an exception nobody foresaw, in the step the test names."""

    step = ""

    def open(self, request: poplin.OpenRequest, /) -> poplin.Maildrop:
        self.fail("open")
        return FaultyMaildrop(self, super().open(request))

    def fail(self, step: str) -> None:
        if self.step == step:
            raise ZeroDivisionError("the secret plan is hunter2")


class FaultyMaildrop:
    def __init__(self, faults: Faulty, inner: poplin.Maildrop) -> None:
        self._faults = faults
        self._inner = inner

    async def scan(self) -> Scan | Sequence[poplin.Entry]:
        self._faults.fail("scan")
        return await settle(self._inner.scan())

    def retrieve(self, entry: poplin.Entry, /) -> MaybeAwaitable[poplin.Content]:
        self._faults.fail("retrieve")
        return self._inner.retrieve(entry)

    def remove(self, entries: Sequence[poplin.Entry], /) -> MaybeAwaitable[poplin.Removal]:
        self._faults.fail("remove")
        return self._inner.remove(entries)

    async def close(self, ending: poplin.Ending, /) -> None:
        await settle(self._inner.close(ending))
        self._faults.fail("close")


@pytest.mark.parametrize("step", ["open", "scan", "retrieve", "remove", "close"])
def test_an_exception_nobody_foresaw(serve: Serve, step: str, caplog: pytest.LogCaptureFixture) -> None:
    """The client hears a code and never the text, the log has the traceback, the session lives, the lock is free."""
    store = Faulty()
    store.deliver("ann", b"Subject: one\r\n\r\n")
    served = serve(store, OnePassword("secret"))
    with Wire(served.ports["none"]) as wire:
        wire.line()
        store.step = step
        answers = [wire.pass_in()]
        if step in {"open", "scan"}:
            assert answers == [b"-ERR [SYS/TEMP] temporary failure, try again later"]
            store.step = ""
            assert wire.pass_in().startswith(b"+OK")
        else:
            answers.append(wire.ask("RETR 1"))
            if answers[-1].startswith(b"+OK"):
                wire.body()
            else:
                assert answers[-1] == b"-ERR [SYS/TEMP] temporary failure, try again later"
            wire.ask("DELE 1")
        answers.append(wire.ask("QUIT"))
        assert answers[-1] == (b"-ERR [SYS/TEMP] 1 of 1 messages not removed" if step == "remove" else b"+OK goodbye")
        assert wire.line() == b""
    assert not any(b"hunter2" in answer for answer in answers)
    assert [record for record in caplog.records if record.exc_info and record.exc_info[0] is ZeroDivisionError]
    assert len(store.messages("ann")) == (1 if step in {"open", "scan", "remove"} else 0)
    store.step = ""
    with logged_in(served.ports["none"]):
        pass


def test_an_authenticator_that_fails_is_no_wrong_password(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> poplin.Identity:
            assert isinstance(credentials.proof, PasswordProof)
            if credentials.user == "ann":
                raise ConnectionError("no database")
            return None  # type: ignore[return-value]  # a mistake that users make

    served = serve(MemoryMaildrops(), Broken())
    with Wire(served.ports["none"]) as wire:
        wire.line()
        for user in ("ann", "bob"):
            assert wire.pass_in(user) == b"-ERR [SYS/TEMP] temporary failure, try again later"
        assert wire.ask("NOOP") == b"-ERR log in first"
    tracebacks = [record.exc_info for record in caplog.records if record.exc_info]
    assert [type(info[1]) for info in tracebacks] == [ConnectionError, TypeError]


def test_no_secret_reaches_the_log_even_at_debug(serve: Serve) -> None:
    """Rule 12, over every way to say a password, right and wrong, in good form and in bad."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logger = logging.getLogger()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        served = serve(MemoryMaildrops(), OnePassword("hunter2-right"), policy=poplin.Policy(failure_delay=0))
        plain = base64.b64encode(b"\0ann\0hunter2-right").decode()
        for lines in (
            ["USER ann", "PASS hunter2-right"],
            ["USER ann", "PASS hunter2-wrong", "PASS hunter2-again", "PASS hunter2 with blanks"],
            ["AUTH PLAIN " + plain],
            ["AUTH PLAIN", plain],
            ["AUTH PLAIN " + plain[:-3]],
            ["AUTH LOGIN", base64.b64encode(b"ann").decode(), base64.b64encode(b"hunter2-wrong").decode()],
            ["APOP ann hunter2hunter2hunter2hunter2"],
            ["PASSS hunter2-typo", "pass\thunter2", "PASS " + "hunter2" * 400],
        ):
            with Wire(served.ports["none"]) as wire:
                wire.line()
                for line in lines:
                    wire.ask(line)
                wire.end()
                wire.remains()
        until(lambda: served.server.call(lambda server: server.sessions) == 0, "all are gone")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    log = text.getvalue()
    assert "ended by" in log  # it was listening
    for secret in ("hunter2", plain, plain[:-3], base64.b64encode(b"hunter2-wrong").decode()):
        assert secret not in log


def test_a_greeting_that_fails_leaves_nobody_waiting(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Shaky(OnePassword):
        def mechanisms(self) -> frozenset[str]:
            raise RuntimeError("hunter2")

    served = serve(MemoryMaildrops(), Shaky("secret"))
    with Wire(served.ports["none"]) as wire:
        assert b"hunter2" not in wire.remains()
    until(lambda: served.server.call(lambda server: server.sessions) == 0, "the connection is gone")
    assert any(record.exc_info for record in caplog.records)
    served.server.call(lambda server: None)


def test_two_threads_of_callbacks_and_one_session_each(serve: Serve) -> None:
    """Blocking callbacks run at the same time, and one that hangs holds only its own session up."""
    hang = threading.Event()
    started = threading.Event()

    def retrieve(user: str, message_id: str) -> bytes:
        if user == "ann":
            started.set()
            assert hang.wait(30)
        return f"{user}{poplin.current_session().state.user}".encode()

    def authenticate(user: str, password: str, client: ClientFacts) -> bool:
        client.state.user = user
        return True

    service = poplin.Callbacks(
        authenticate=authenticate, list=lambda user: [("m", 6)], retrieve=poplin.blocking(retrieve)
    )
    served = serve(service, service)
    with logged_in(served.ports["none"], "ann") as ann, logged_in(served.ports["none"], "bob") as bob:
        ann.send(b"RETR 1\r\n")
        assert started.wait(30)
        assert bob.retrieve(1) == b"bobbob\r\n"
        hang.set()
        assert ann.line().startswith(b"+OK")
        assert ann.body() == b"annann\r\n"
