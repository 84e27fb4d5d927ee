"""The client's core, against replies good and bad, and against our own server's core by an imaginary wire."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.wires import CoreWire, plain_body
from conversations.world import Box, Setting, World
from poplin.content import wire_octets
from poplin.errors import LocalProtocolError, RemoteProtocolError
from poplin.protocol.client import Body, BodyEnd, ClientConnection, Continue, Event, StatusLine
from poplin.protocol.connection import END_OF_INPUT, NEED_DATA, Need


def events(client: ClientConnection) -> list[Event]:
    """The events at hand, the pieces of a body made one."""
    found: list[Event] = []
    while not isinstance(event := client.next_event(), Need):
        before = found[-1] if found else None
        if isinstance(event, Body) and isinstance(before, Body):
            found[-1] = Body(before.octets + event.octets)
        else:
            found.append(event)
    return found


def greeted() -> ClientConnection:
    client = ClientConnection()
    client.receive_data(b"+OK ready\r\n")
    assert client.next_event() == StatusLine(True, "ready")
    return client


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"+OK", StatusLine(True)),
        (b"+OK hello there", StatusLine(True, "hello there")),
        (b"+ok lower case", StatusLine(True, "lower case")),
        (b"-ERR", StatusLine(False)),
        (b"-ERR [IN-USE] busy", StatusLine(False, "busy", "IN-USE")),
        (b"-ERR [sys/temp]later", StatusLine(False, "later", "SYS/TEMP")),
        (b"-ERR [half a code", StatusLine(False, "[half a code")),
        (b"+OK gr\xfc\xdfe", StatusLine(True, "gr\ufffd\ufffde")),
    ],
)
def test_status_lines(line: bytes, status: StatusLine) -> None:
    client = ClientConnection()
    client.receive_data(line + b"\r\n")
    assert client.next_event() == status
    assert client.next_event() is NEED_DATA


def test_pipelined_answers_are_read_in_order() -> None:
    client = greeted()
    client.send(b"STAT")
    client.send(b"RETR 1", body=True)
    client.send(b"RETR 2", body=True)
    client.send(b"QUIT")
    assert client.data_to_send() == b"STAT\r\nRETR 1\r\nRETR 2\r\nQUIT\r\n"
    assert client.data_to_send() == b""
    client.receive_data(b"+OK 1 5\r\n+OK here\r\n..x\r\n\r\n.\r\n-ERR no\r\n+OK bye\r\n")
    assert events(client) == [
        StatusLine(True, "1 5"),
        StatusLine(True, "here"),
        Body(b".x\r\n\r\n"),
        BodyEnd(),
        StatusLine(False, "no"),
        StatusLine(True, "bye"),
    ]


def test_what_arrives_between_a_body_and_its_end_stays_behind_it() -> None:
    client = greeted()
    client.send(b"RETR 1", body=True)
    client.send(b"NOOP")
    client.send(b"QUIT")
    client.receive_data(b"+OK\r\nbody\r\n.\r\n+OK noop\r\n")
    assert client.next_event() == StatusLine(True)
    assert client.next_event() == Body(b"body\r\n")
    client.receive_data(b"+OK bye\r\n")
    assert client.next_event() == BodyEnd()
    assert client.next_event() == StatusLine(True, "noop")
    assert client.next_event() == StatusLine(True, "bye")


def test_a_sasl_exchange() -> None:
    client = greeted()
    client.send(b"AUTH PLAIN")
    client.receive_data(b"+ \r\n")
    assert client.next_event() == Continue(b"")
    client.send(b"AGEAYg==", answered=False)
    client.receive_data(b"+ VXNlcm5hbWU6\r\n+\r\n+ ?\r\n+OK in\r\n")
    assert events(client) == [Continue(b"Username:"), Continue(b""), Continue(None), StatusLine(True, "in")]


def test_a_command_is_one_line() -> None:
    for line in (b"A\r\nB", b"A\n", b"A\r"):
        with pytest.raises(LocalProtocolError):
            ClientConnection().send(line)


def test_what_is_no_answer_is_the_servers_mistake() -> None:
    for line in (b"hello\r\n", b"* OK IMAP\r\n", b"\r\n", b"+OKAY\r\n"):
        client = ClientConnection()
        client.receive_data(line)
        with pytest.raises(RemoteProtocolError):
            client.next_event()


def test_an_answer_that_nobody_asked_for() -> None:
    client = greeted()
    client.receive_data(b"+OK surprise\r\n")
    with pytest.raises(RemoteProtocolError):
        client.next_event()


def test_a_status_line_has_a_bound() -> None:
    client = ClientConnection(longest_line=20)
    client.receive_data(b"+OK " + b"x" * 30)
    assert client.next_event() is NEED_DATA
    client.receive_data(b"\r\n")
    with pytest.raises(RemoteProtocolError):
        client.next_event()


def test_the_end_in_the_middle_of_a_body_is_no_end_of_the_body() -> None:
    client = greeted()
    client.send(b"RETR 1", body=True)
    client.receive_data(b"+OK\r\nhalf\r\n")
    client.receive_eof()
    assert events(client) == [StatusLine(True), Body(b"half\r\n")]
    assert client.next_event() is END_OF_INPUT


def test_octets_behind_the_answer_to_stls_are_refused() -> None:
    client = greeted()
    client.send(b"STLS")
    client.receive_data(b"+OK begin\r\n+OK injected\r\n")
    assert client.next_event() == StatusLine(True, "begin")
    with pytest.raises(RemoteProtocolError):
        client.start_tls()
    client = greeted()
    client.send(b"STLS")
    client.receive_data(b"+OK begin\r\n")
    assert client.next_event() == StatusLine(True, "begin")
    client.start_tls()


messages = st.lists(
    st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"\0", b"a", b"Subject: x"]), max_size=8).map(b"".join),
    max_size=4,
)


def imaginary_wire(stored: Sequence[bytes], commands: Sequence[tuple[bytes, bool]], size: int) -> list[Event]:
    """Our client's core and our server's core, joined; octets cross in pieces of `size`, both ways."""
    box = Box("secret", {f"uid-{number}": body for number, body in enumerate(stored, 1)})
    wire = CoreWire(Setting(World({"mrose": box})), piece=size)
    client = ClientConnection()
    for line, body in commands:
        client.send(line, body=body)
    wire.send(client.data_to_send())
    answers = wire.finish()
    found: list[Event] = []
    for start in range(0, len(answers), size):
        client.receive_data(answers[start : start + size])
        for event in events(client):
            before = found[-1] if found else None
            if isinstance(event, Body) and isinstance(before, Body):
                found[-1] = Body(before.octets + event.octets)
            else:
                found.append(event)
    return found


@given(messages, st.integers(1, 9))
def test_both_cores_understand_each_other(stored: list[bytes], size: int) -> None:
    numbers = range(1, len(stored) + 1)
    commands = [(b"USER mrose", False), (b"PASS secret", False), (b"LIST", True)]
    commands += [(b"RETR %d" % number, True) for number in numbers]
    commands += [(b"RETR 99", True), (b"NOOP", False), (b"QUIT", False)]
    found = imaginary_wire(stored, commands, size)
    listing = b"".join(b"%d %d\r\n" % (number, wire_octets(body)) for number, body in enumerate(stored, 1))
    bodies = [event.octets for event in found if isinstance(event, Body)]
    wanted = [listing, *[_as_received(body) for body in stored]]
    assert bodies == [body for body in wanted if body]
    assert [len(body) for body in wanted[1:]] == [wire_octets(body) for body in stored], "LIST says what RETR gives"
    assert sum(isinstance(event, BodyEnd) for event in found) == len(stored) + 1
    status = [event.positive for event in found if isinstance(event, StatusLine)]
    assert status == [True] * (len(stored) + 4) + [False, True, True]


def _as_received(body: bytes) -> bytes:
    wire = plain_body(body)[:-3]
    return wire[wire.startswith(b".") :].replace(b"\n..", b"\n.")
