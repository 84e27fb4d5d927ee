"""The conversation in the log: all that helps, and nothing that is secret."""

import logging

import pytest

from poplin.content import Content
from poplin.protocol.commands import Command
from poplin.protocol.parsing import parse_command
from poplin.protocol.replies import Continuation, Err, MultiLine, Ok, Reply
from poplin.session import conversation

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
    assert conversation.shown_command(parse_command(line)) == shown


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (Ok("2 120"), "+OK 2 120"),
        (Err("no", "AUTH"), "-ERR [AUTH] no"),
        (Continuation(b"planted"), f"+ {H}"),
        (Continuation(), "+"),
        (MultiLine(Ok("120 octets"), Content(b"planted", octets=120)), "+OK 120 octets (body: 120 octets)"),
    ],
)
def test_a_reply(reply: Reply, shown: str) -> None:
    assert conversation.shown_reply(reply) == shown


def test_a_line_of_an_exchange() -> None:
    from poplin.protocol.commands import AuthCancel, AuthResponse

    told: list[Command] = [AuthResponse(b"planted"), AuthResponse(None), AuthCancel()]
    assert [conversation.shown_command(command) for command in told] == [H, H, "*"]


def test_it_is_wanted_at_debug_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poplin")
    assert not conversation.is_wanted()
    caplog.set_level(logging.DEBUG, "poplin")
    assert conversation.is_wanted()
    conversation.tell_command("x-1", parse_command(b"STAT"))
    conversation.tell_reply("x-1", Ok("0 0"))
    assert caplog.messages == ["x-1 C: STAT", "x-1 S: +OK 0 0"]
