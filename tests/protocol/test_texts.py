"""The table of texts: complete, one line each, and within the longest line allowed."""

import inspect
import re
from pathlib import Path

import pytest

import poplin.protocol.texts
from poplin import errors
from poplin.errors import InUse, SessionError
from poplin.protocol.texts import ENGLISH, say

SOURCE = Path(poplin.protocol.texts.__file__).parent.parent


def test_fields_are_filled_in() -> None:
    assert say("dele", {"number": 7}) == "message 7 marked for removal"
    assert say("capa") == "capabilities follow"


def test_a_line_end_in_a_field_becomes_a_blank() -> None:
    assert say("lease-taken", {"reason": "taken\r\n+OK all yours\n"}) == "session ended: taken +OK all yours"


def test_braces_in_a_field_are_text() -> None:
    assert say("goodbye", {"goodbye": "{x} {0}"}) == "{x} {0}"


def test_an_unknown_text_or_a_missing_field_is_our_bug() -> None:
    with pytest.raises(KeyError):
        say("no such text")
    with pytest.raises(KeyError):
        say("dele", {"count": 1})


@pytest.mark.parametrize("text_id", ENGLISH)
def test_a_text_is_one_printable_line(text_id: str) -> None:
    text = ENGLISH[text_id]
    assert text.isascii()
    assert text.isprintable()
    assert not text.startswith(("[", " ")), "it would be taken for a response code"
    assert len(text) < 200


def test_every_text_that_the_source_says_exists() -> None:
    said = set()
    for path in SOURCE.rglob("*.py"):
        said |= set(re.findall(r"""\bsay\(\s*"([^"]+)\"""", path.read_text("utf-8")))
    assert said
    assert said <= set(ENGLISH)


def test_every_error_of_ours_has_a_text() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SessionError)]
    assert len(kinds) > 5
    for kind in kinds:
        needed = [] if kind.__init__ is Exception.__init__ else [*inspect.signature(kind).parameters.values()]
        error = kind(*[1 for one in needed if one.default is one.empty])
        assert say(error.text_id, error.fields)


@pytest.mark.parametrize(
    ("since", "told"),
    [(0.4, "0s"), (59.9, "59s"), (60, "1m00s"), (754, "12m34s"), (3600, "1h00m"), (360_000, "100h00m")],
)
def test_in_use_tells_since_when_and_from_where(since: float, told: str) -> None:
    error = InUse(since, "192.0.2.1")
    assert say(error.text_id, error.fields) == f"the maildrop is in use since {told} from 192.0.2.1"


def test_in_use_without_an_address() -> None:
    error = InUse(5)
    assert say(error.text_id, error.fields) == "the maildrop is in use since 5s from elsewhere"
