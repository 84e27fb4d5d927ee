"""The line of a reply: status, code, text, never more than one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.errors import ResponseCode
from poplin.protocol.replies import After, Err, Ok


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (Ok(), b"+OK\r\n"),
        (Ok("2 320"), b"+OK 2 320\r\n"),
        (Ok("hello", "X-CODE"), b"+OK [X-CODE] hello\r\n"),
        (Ok("", "X-CODE"), b"+OK [X-CODE] \r\n"),
        (Err(), b"-ERR\r\n"),
        (Err("no"), b"-ERR no\r\n"),
        (Err("no", ResponseCode.SYS_TEMP), b"-ERR [SYS/TEMP] no\r\n"),
        (Err("no", after=After.CLOSE, bad=True, delay=3), b"-ERR no\r\n"),
        (Ok("grüße"), "+OK grüße\r\n".encode()),
        (Ok("\udcff"), b"+OK ?\r\n"),
    ],
)
def test_the_octets_of_a_line(reply: Ok | Err, line: bytes) -> None:
    assert reply.line() == line


@given(st.text(max_size=700), st.text(max_size=20))
def test_whatever_the_text_it_is_one_line_within_the_bound(text: str, code: str) -> None:
    """RFC 2449 section 4: 512 octets with CRLF. A text may come from a plugin: a line end in it is no second reply."""
    for reply in (Ok(text, code), Err(text, code)):
        line = reply.line()
        assert line.startswith((b"+OK", b"-ERR"))
        assert line.endswith(b"\r\n")
        assert len(line) <= 512
        assert b"\n" not in line[:-2]
        assert b"\r" not in line[:-2]
        line.decode()


def test_a_long_text_is_cut_between_letters() -> None:
    """512 octets with CRLF: 252 letters of two octets and one of one; the 253rd would be cut in two."""
    line = Ok("u" + "ü" * 400).line()
    assert line == ("+OK u" + "ü" * 252).encode() + b"\r\n"
