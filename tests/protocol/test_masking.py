"""Commands and replies in logs and transcripts: all that helps, and nothing that is secret."""

import pytest

from poplin.content import Content
from poplin.protocol.commands import AuthCancel, AuthResponse, Command
from poplin.protocol.masking import shown_command, shown_reply
from poplin.protocol.parsing import parse_command
from poplin.protocol.replies import Continuation, Err, MultiLine, Ok, Reply

H = "******"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"USER ann", "USER 'ann'"),
        (b"USER a\x1b[31m", "USER 'a\\x1b[31m'"),
        (b"PASS planted secret", f"PASS {H}"),
        (b"PASS", "PASS"),
        (b"APOP ann c4c9334bac560ecc979e58001b3e22fb", f"APOP 'ann' {H}"),
        (b"APOP planted", f"APOP {H}"),
        (b"AUTH", "AUTH"),
        (b"AUTH PLAIN", "AUTH PLAIN"),
        (b"AUTH PLAIN AHBsYW50ZWQAcGxhbnRlZA==", f"AUTH PLAIN {H}"),
        (b"AUTH PLAIN =", f"AUTH PLAIN {H}"),
        (b"planted", H),
        (b"hunter2 planted", H),
        (b"hunt planted", H),
        (b"AUTH cGxhbnRlZA", f"AUTH {H}"),
        (b"AUTH cGxhbnRlZA AHBs", f"AUTH {H}"),
        (b"RETR planted", f"RETR {H}"),
        (b"RETR 01", "RETR 1"),
        (b"TOP 1 2", "TOP 1 2"),
        (b"LIST", "LIST"),
        (b"quit", "QUIT"),
    ],
)
def test_a_command(line: bytes, shown: str) -> None:
    assert shown_command(parse_command(line)) == shown


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (Ok("2 120"), "+OK 2 120"),
        (Err("no", "AUTH"), "-ERR [AUTH] no"),
        (Continuation(b"planted"), f"+ {H}"),
        (Continuation(), "+"),
        (Ok("a\x1b[31m\x07"), "+OK a?[31m?"),
        (MultiLine(Ok("120 octets"), Content(b"planted", octets=120)), "+OK 120 octets (body: 120 octets)"),
    ],
)
def test_a_reply(reply: Reply, shown: str) -> None:
    assert shown_reply(reply) == shown


def test_a_line_of_an_exchange() -> None:
    told: list[Command] = [AuthResponse(b"planted"), AuthResponse(None), AuthCancel()]
    assert [shown_command(command) for command in told] == [H, H, "*"]
