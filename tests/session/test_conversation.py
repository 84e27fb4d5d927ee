"""The conversation in the log, where somebody asked for it."""

import logging

import pytest

from poplin.protocol.parsing import parse_command
from poplin.protocol.replies import Ok
from poplin.session import conversation


def test_it_is_wanted_at_debug_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poplin")
    assert not conversation.is_wanted()
    caplog.set_level(logging.DEBUG, "poplin")
    assert conversation.is_wanted()
    conversation.tell_command("x-1", parse_command(b"STAT"))
    conversation.tell_reply("x-1", Ok("0 0"))
    assert caplog.messages == ["x-1: C: STAT", "x-1: S: +OK 0 0"]
