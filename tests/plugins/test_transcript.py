"""The transcript: what was said, without what must not be seen."""

import logging

import pytest

from poplin.identity import ClientFacts
from poplin.plugins.base import Plugin
from poplin.plugins.transcript import Transcript
from poplin.protocol.commands import Command
from poplin.protocol.replies import Err
from support.talking import a_world, talk


def test_a_session() -> None:
    lines: list[str] = []
    talk(b"USER mrose\r\nPASS secret\r\nRETR 1\r\nQUIT\r\n", Transcript(lines.append))
    assert lines == [
        "t-1 connected from 127.0.0.1",
        "t-1 C: USER 'mrose'",
        "t-1 S: +OK send your password",
        "t-1 C: PASS ******",
        "t-1 S: +OK 2 messages (90 octets)",
        "t-1 C: RETR 1",
        "t-1 S: +OK 40 octets (body: 40 octets)",
        "t-1 C: QUIT",
        "t-1 S: +OK goodbye",
        "t-1 ended by quit",
    ]


@pytest.mark.parametrize(
    "said",
    [
        b"USER mrose\r\nPASS planted\r\n",
        b"PASSW planted\r\n",
        b"APOP mrose planted\r\n",
        b"AUTH PLAIN\r\ncGxhbnRlZABwbGFudGVkAHBsYW50ZWQ=\r\n",
        b"AUTH PLAIN cGxhbnRlZABwbGFudGVkAHBsYW50ZWQ=\r\n",
        b"AUTH LOGIN\r\ncGxhbnRlZA==\r\ncGxhbnRlZA==\r\n",
        b"AUTH LOGIN\r\nplanted\r\n",
        b"AUTH planted\r\n",
        b"planted\r\n",
        b"X planted\r\n",
        b"RETR planted\r\n",
    ],
)
def test_no_secret_is_in_it(said: bytes) -> None:
    world = a_world()
    world.offered = frozenset({"USER", "APOP", "PLAIN", "LOGIN"})
    lines: list[str] = []
    talk(said, Transcript(lines.append), world=world)
    text = "\n".join(lines)
    assert "planted" not in text
    assert "cGxhbnRlZ" not in text
    assert len(lines) >= 4, "it is there, masked"


def test_in_front_it_sees_what_the_client_sees() -> None:
    class Refusing(Plugin):
        def on_command(self, client: ClientFacts, command: Command) -> Command | Err:
            return Err("not today")

    lines: list[str] = []
    talk(b"NOOP\r\n", Transcript(lines.append), Refusing())
    assert lines[1:3] == ["t-1 C: NOOP", "t-1 S: -ERR not today"]


def test_it_goes_to_its_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poplin.transcript")
    talk(b"NOOP 100%s\r\n", Transcript())
    assert "t-1 C: NOOP ******" in caplog.messages
