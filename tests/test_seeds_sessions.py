"""What Mail::POP3's own tests assert, and its bugs that concern the protocol, each by its name.

Its sessions ran on any pair of file handles: so do these, commands ended by a bare LF included.
"""

from __future__ import annotations

import asyncio
import io

import pytest

import poplin
from conversations.world import sized
from poplin.authentication.callbacks import CallbackAuthenticator
from poplin.maildrops.memory import MemoryMaildrops
from support.wire import Wire, logged_in, until

ONE, TWO, THREE = sized(300), sized(342), sized(411)


def server(maildrops: MemoryMaildrops, limits: poplin.Limits | None = None) -> poplin.Server:
    authenticator = CallbackAuthenticator(authenticate=lambda user, password, client: password == "secret")
    policy = poplin.Policy(failure_delay=0)
    return poplin.Server(
        maildrops=maildrops, authenticator=authenticator, host="127.0.0.1", port=0, policy=policy, limits=limits
    )


@pytest.fixture
def maildrops() -> MemoryMaildrops:
    filled = MemoryMaildrops()
    for name, message in (("one", ONE), ("two", TWO), ("three", THREE)):
        filled.deliver("ann", message, unique_id=f"<{name}@example.org>")
    return filled


def on_files(maildrops: MemoryMaildrops, octets: bytes) -> bytes:
    """A whole session on a pair of files."""
    heard = io.BytesIO()
    asyncio.run(server(maildrops).serve_streams(io.BytesIO(octets), heard))
    return heard.getvalue()


def stuffed(message: bytes) -> bytes:
    return message + b".\r\n"


def test_its_session_on_file_handles(maildrops: MemoryMaildrops) -> None:
    """pop3comms.t: octet by octet."""
    commands = b"USER ann\nPASS secret\nUIDL\nTOP 3 2\nRETR 3\nDELE 2\nUIDL\nQUIT\n"
    head, blank, body = THREE.partition(b"\r\n\r\n")
    top = head + blank + b"".join(line + b"\r\n" for line in body.split(b"\r\n")[:2])
    assert on_files(maildrops, commands) == (
        b"+OK poplin ready\r\n+OK send your password\r\n+OK 3 messages (1053 octets)\r\n"
        b"+OK unique-ids follow\r\n1 <one@example.org>\r\n2 <two@example.org>\r\n3 <three@example.org>\r\n.\r\n"
        b"+OK top of message follows\r\n" + stuffed(top) + b"+OK 411 octets\r\n" + stuffed(THREE) +
        b"+OK message 2 marked for removal\r\n"
        b"+OK unique-ids follow\r\n1 <one@example.org>\r\n3 <three@example.org>\r\n.\r\n"
        b"+OK goodbye\r\n"
    )  # fmt: skip
    assert on_files(maildrops, b"USER ann\nPASS secret\nSTAT\n").endswith(b"+OK 2 711\r\n")


def test_its_folder(maildrops: MemoryMaildrops) -> None:
    """mailfolder.t: figures before and after a mark, and after it is taken back."""
    commands = b"STAT\nDELE 2\nLIST\nSTAT\nLIST 2\nRETR 2\nRETR 3\nRSET\nLIST 2\nDELE 2\nDELE 2\nQUIT\n"
    said = on_files(maildrops, b"USER ann\nPASS secret\n" + commands)
    _, _, rest = said.partition(b"+OK 3 messages (1053 octets)\r\n")
    assert rest == (
        b"+OK 3 1053\r\n+OK message 2 marked for removal\r\n"
        b"+OK 2 messages (711 octets)\r\n1 300\r\n3 411\r\n.\r\n+OK 2 711\r\n"
        b"-ERR message 2 is marked for removal\r\n-ERR message 2 is marked for removal\r\n"
        b"+OK 411 octets\r\n" + stuffed(THREE) + b"+OK 3 messages (1053 octets)\r\n+OK 2 342\r\n"
        b"+OK message 2 marked for removal\r\n-ERR message 2 is marked for removal\r\n+OK goodbye\r\n"
    )  # fmt: skip


def test_list_after_dele(maildrops: MemoryMaildrops) -> None:
    """The loop stopped at the number of messages left: the highest ones were missing."""
    said = on_files(maildrops, b"USER ann\nPASS secret\nDELE 1\nLIST\nLIST 0\n")
    assert said.endswith(b"+OK 2 messages (753 octets)\r\n2 342\r\n3 411\r\n.\r\n-ERR message-numbers begin at 1\r\n")


def test_a_client_that_vanishes_leaves_no_lock(maildrops: MemoryMaildrops) -> None:
    """The end of input was not noticed: a child at 100 % CPU, and the mailbox locked for ever."""
    with poplin.BackgroundServer(server(maildrops)) as running:
        with logged_in(running.port) as wire:
            assert wire.ask("DELE 1").startswith(b"+OK")
            wire.reset()
        until(lambda: running.server.sessions == 0, "it was noticed")
        with logged_in(running.port) as again:
            assert again.ask("STAT") == b"+OK 3 1053"


def test_a_lock_that_failed_counted_as_a_login(maildrops: MemoryMaildrops) -> None:
    running = poplin.BackgroundServer(server(maildrops))
    with running, logged_in(running.port) as first, Wire(running.port) as second:
        assert second.log_in().startswith(b"-ERR [IN-USE]")
        assert second.ask("STAT") == b"-ERR log in first"
        assert first.ask("QUIT").startswith(b"+OK")
        until(lambda: second.pass_in().startswith(b"+OK"), "it may be tried again")
        assert second.ask("STAT") == b"+OK 3 1053"


def test_the_password_was_echoed_and_users_told_apart(maildrops: MemoryMaildrops) -> None:
    maildrops.deliver("bob", ONE, unique_id="x")
    answers = {on_files(maildrops, b"USER %s\nPASS planted\n" % user) for user in (b"ann", b"bob", b"nobody", b"%s")}
    (answer,) = answers
    assert b"planted" not in answer
    assert answer.endswith(b"-ERR [AUTH] authentication failed\r\n")


def test_every_error_is_an_err_and_the_connection_stays(maildrops: MemoryMaildrops) -> None:
    """An unknown command got a line without ``-ERR`` and the connection was closed."""
    said = on_files(maildrops, b"XYZZY\n\n NOOP\nLAST\nNOOP\nUSER ann\nPASS secret\nNOOP\n")
    lines = said.split(b"\r\n")[1:-1]
    assert all(line.startswith(b"-ERR ") for line in lines[:5])
    assert lines[-1] == b"+OK"


def test_the_name_cannot_be_changed_after_login(maildrops: MemoryMaildrops) -> None:
    """USER after login changed the session's name, not the mailbox."""
    said = on_files(maildrops, b"USER ann\nPASS secret\nUSER bob\nPASS secret\nSTAT\n")
    assert said.endswith(b"-ERR not allowed after login\r\n-ERR not allowed after login\r\n+OK 3 1053\r\n")


def test_a_password_with_a_blank_was_cut() -> None:
    authenticator = CallbackAuthenticator(authenticate=lambda user, password, client: password == "two words ")
    made = poplin.Server(maildrops=MemoryMaildrops(), authenticator=authenticator, host="127.0.0.1", port=0)
    heard = io.BytesIO()
    asyncio.run(made.serve_streams(io.BytesIO(b"USER ann\nPASS two words \n"), heard))
    assert heard.getvalue().endswith(b"+OK 0 messages (0 octets)\r\n")


def test_top_double_dot() -> None:
    """Two of its folders ended TOP by a dot of their own beside the session's."""
    maildrops = MemoryMaildrops()
    maildrops.deliver("ann", b"A: b\r\n\r\n.x\r\ny\r\n", unique_id="x")
    said = on_files(maildrops, b"USER ann\nPASS secret\nTOP 1 5\nTOP 1 0\nNOOP\n")
    assert said.endswith(
        b"+OK top of message follows\r\nA: b\r\n\r\n..x\r\ny\r\n.\r\n+OK top of message follows\r\nA: b\r\n\r\n.\r\n+OK\r\n"
    )


def test_a_slow_drip_never_ended(maildrops: MemoryMaildrops) -> None:
    """Its timeout was for each octet: a client that sends one now and then stayed for ever."""
    running = poplin.BackgroundServer(server(maildrops, poplin.Limits(login_timeout=0.3)))
    with running, Wire(running.port) as wire:
        wire.line()

        def dripped() -> bool:
            try:
                wire.send(b"x")
            except OSError:
                return True
            return running.server.sessions == 0

        until(dripped, "the login took too long")


def test_a_timeout_printed_a_bare_word(maildrops: MemoryMaildrops) -> None:
    limits = poplin.Limits(autologout=0.2, allow_short_autologout=True)
    with poplin.BackgroundServer(server(maildrops, limits)) as running, logged_in(running.port) as wire:
        assert wire.rest() == b""
