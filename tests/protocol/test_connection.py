"""The server's core: octets in, commands out; replies in, octets out; and the wall that TLS is."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.content import Content, Form
from poplin.errors import LocalProtocolError, RemoteProtocolError
from poplin.limits import Limits
from poplin.protocol.commands import (
    Auth,
    AuthCancel,
    AuthResponse,
    Capa,
    Command,
    Malformed,
    Noop,
    Other,
    Quit,
    Stat,
    User,
)
from poplin.protocol.connection import END_OF_INPUT, NEED_DATA, Need, ServerConnection
from poplin.protocol.replies import Begin, Continuation, End, Err, MultiLine, Ok, Part

SMALL = Limits(command_octets=20, sasl_octets=100)


def commands(connection: ServerConnection) -> list[Command]:
    found = []
    while not isinstance(command := connection.next_command(), Need):
        found.append(command)
    return found


def fed(octets: bytes, limits: Limits = SMALL) -> ServerConnection:
    connection = ServerConnection(limits)
    connection.receive_data(octets)
    return connection


async def never() -> AsyncIterator[bytes]:
    yield b""


def test_commands_come_out_in_order() -> None:
    connection = fed(b"USER mrose\r\nstat\nQUIT\r\nNO")
    assert commands(connection) == [User("mrose"), Stat(), Quit()]
    assert connection.next_command() is NEED_DATA
    assert connection.waiting == 2
    connection.receive_data(b"OP\r\n")
    assert commands(connection) == [Noop()]


def test_the_end_of_input_comes_behind_what_was_sent_before_it() -> None:
    connection = fed(b"NOOP\r\nQUIT")
    connection.receive_eof()
    assert connection.next_command() == Noop()
    assert connection.next_command() is END_OF_INPUT, "half a QUIT is no QUIT"
    assert connection.next_command() is END_OF_INPUT


def test_an_overlong_command_is_one_mistake() -> None:
    connection = fed(b"USER " + b"x" * 16 + b"\r\nUSER " + b"x" * 15 + b"\r\n" + b"y" * 500 + b"\r\nNOOP\r\n")
    first, second, third, fourth = commands(connection)
    assert isinstance(first, Malformed)
    assert first.text_id == "line-too-long"
    assert second == User("x" * 15)
    assert isinstance(third, Malformed)
    assert third.text_id == "line-too-long"
    assert fourth == Noop()


def test_auth_may_be_as_long_as_a_token() -> None:
    line = b"AUTH PLAIN " + b"A" * 88
    assert commands(fed(line + b"\r\n")) == [Auth("PLAIN", b"\0" * 66)]
    assert commands(fed(line.lower().replace(b"a", b"A") + b"\r\n"))[0].verb == "AUTH"
    (found,) = commands(fed(line + b"AAAA\r\n"))
    assert isinstance(found, Malformed)
    assert found.text_id == "line-too-long"


def test_behind_a_challenge_the_next_line_is_a_response() -> None:
    connection = fed(b"AAAA\r\nCAPA\r\n")
    connection.send(Continuation(b"Username:"))
    assert connection.data_to_send() == b"+ VXNlcm5hbWU6\r\n"
    assert connection.next_command() == AuthResponse(b"\0\0\0")
    assert connection.next_command() == Capa()


def test_an_empty_challenge_has_its_blank() -> None:
    connection = ServerConnection()
    connection.send(Continuation())
    assert connection.data_to_send() == b"+ \r\n"


def test_a_star_cancels_and_only_behind_a_challenge() -> None:
    connection = fed(b"*\r\n*\r\n")
    connection.send(Continuation())
    assert connection.next_command() == AuthCancel()
    assert connection.next_command() == Other("*")


def test_an_overlong_response_ends_the_exchange() -> None:
    connection = fed(b"A" * 101 + b"\r\nCAPA\r\n")
    connection.send(Continuation())
    found = connection.next_command()
    assert isinstance(found, Malformed)
    assert found.text_id == "line-too-long"
    assert connection.next_command() == Capa()


def test_replies_leave_in_one_piece_and_in_order() -> None:
    connection = ServerConnection()
    connection.send(Ok("one"))
    connection.send(Err("two", "CODE"))
    connection.send(MultiLine(Ok("three"), Content(b"x\n.\n", Form.LF)))
    assert connection.queued > 0
    assert connection.data_to_send() == b"+OK one\r\n-ERR [CODE] two\r\n+OK three\r\nx\r\n..\r\n.\r\n"
    assert connection.queued == 0
    assert connection.data_to_send() == b""
    assert connection.body_octets == 6


def test_a_prefix_comes_first_and_is_counted() -> None:
    connection = ServerConnection()
    connection.send(MultiLine(Ok(), Content(b".x", prefix=b"A: 1\r\n")))
    assert connection.data_to_send() == b"+OK\r\nA: 1\r\n..x\r\n.\r\n"
    assert connection.body_octets == len(b"A: 1\r\n.x\r\n")


@pytest.mark.parametrize("lines", [None, 0, 1, 7])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_parts_make_the_same_octets_as_the_whole(lines: int | None, size: int) -> None:
    body = b".A: 1\r\nB: 2\n\r\none\r\n.two\n\rthree"
    whole, parts = ServerConnection(), ServerConnection()
    whole.send(MultiLine(Ok("here"), Content(body, prefix=b"P: 0\r\n"), lines))
    parts.send(Begin(MultiLine(Ok("here"), Content(never(), prefix=b"P: 0\r\n"), lines)))
    for start in range(0, len(body), size):
        parts.send(Part(body[start : start + size]))
    parts.send(End())
    assert parts.data_to_send() == whole.data_to_send()
    assert parts.body_octets == whole.body_octets
    parts.send(Ok("next"))
    assert parts.data_to_send() == b"+OK next\r\n"


def test_a_body_in_parts_says_when_top_has_enough() -> None:
    connection = ServerConnection()
    satisfied = [connection.body_satisfied]
    for reply in (
        Begin(MultiLine(Ok(), Content(never()), 1)),
        Part(b"A: 1\r\n\r\n"),
        Part(b"one\r\ntwo\r\n"),
        End(),
    ):
        connection.send(reply)
        satisfied.append(connection.body_satisfied)
    assert satisfied == [False, False, False, True, False]
    assert connection.data_to_send() == b"+OK\r\nA: 1\r\n\r\none\r\n.\r\n"


def test_what_the_driver_must_not_do_is_refused() -> None:
    connection = ServerConnection()
    with pytest.raises(LocalProtocolError):
        connection.send(Part(b"x"))
    with pytest.raises(LocalProtocolError):
        connection.send(End())
    with pytest.raises(LocalProtocolError):
        connection.send(MultiLine(Ok(), Content(never())))
    connection.send(Begin(MultiLine(Ok(), Content(never()))))
    for wrong in (Ok(), Err(), Continuation(), MultiLine(Ok(), Content(b""))):
        with pytest.raises(LocalProtocolError):
            connection.send(wrong)


def test_a_broken_off_body_has_no_terminator() -> None:
    connection = ServerConnection()
    connection.send(Begin(MultiLine(Ok("here"), Content(never()))))
    connection.send(Part(b"half a mess"))
    assert connection.data_to_send() == b"+OK here\r\nhalf a mess"


@pytest.mark.parametrize("behind", [b"USER mrose\r\n", b"U", b"\r\n", b"\n", b"\0", b"x" * 200])
def test_octets_behind_stls_close_the_connection(behind: bytes) -> None:
    """CVE-2011-0411: they came in clear, and must never be taken for what was said inside TLS."""
    connection = fed(b"STLS\r\n" + behind)
    assert connection.next_command().__class__.__name__ == "Stls"
    with pytest.raises(RemoteProtocolError):
        connection.start_tls()
    assert connection.waiting == 0
    assert connection.next_command() is NEED_DATA


def test_octets_of_an_overlong_line_behind_stls_count_too() -> None:
    connection = fed(b"STLS\r\n")
    assert connection.next_command() is not NEED_DATA
    connection.receive_data(b"x" * 1000)
    assert connection.next_command() is NEED_DATA  # they are dropped as they come
    with pytest.raises(RemoteProtocolError):
        connection.start_tls()


def test_nothing_behind_stls_is_fine() -> None:
    connection = fed(b"STLS\r\n")
    assert connection.next_command() is not NEED_DATA
    connection.start_tls()
    connection.receive_data(b"NOOP\r\n")
    assert commands(connection) == [Noop()]


@given(st.binary(max_size=300), st.integers(1, 7))
def test_any_split_of_the_same_octets_gives_the_same_commands(octets: bytes, size: int) -> None:
    octets = octets.replace(b"\x01", b"\r\n").replace(b"\x02", b"\nAUTH ")
    whole = commands(fed(octets))
    connection = ServerConnection(SMALL)
    found = []
    for start in range(0, len(octets), size):
        connection.receive_data(octets[start : start + size])
        found += commands(connection)
    assert found == whole


def test_memory_is_bounded_however_long_the_line() -> None:
    connection = ServerConnection(SMALL)
    for _ in range(1000):
        connection.receive_data(b"x" * 500)
        assert connection.next_command() is NEED_DATA
        assert connection.waiting <= 600
