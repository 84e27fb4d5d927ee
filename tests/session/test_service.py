"""The rules of a service: what can be meant, and what cannot."""

import pytest

from poplin.limits import Limits
from poplin.session.service import Policy


@pytest.mark.parametrize("name", ["hostname", "greeting", "goodbye", "implementation"])
@pytest.mark.parametrize("text", ["two\r\nlines", "two\nlines", "nul\0", "escape\x1b[0m", "x" * 401, "ü" * 201])
def test_a_text_that_would_break_a_reply_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=name):
        Policy(**{name: text})  # type: ignore[arg-type]  # all four are texts


def test_a_greeting_is_never_taken_for_a_timestamp() -> None:
    with pytest.raises(ValueError, match="timestamp"):
        Policy(greeting="welcome <friend>")


def test_a_greeting_fits_its_line_with_the_longest_timestamp() -> None:
    longest = f"<{2**48 - 1}.{2**48 - 1}@"
    policy = Policy(greeting="g" * 400, hostname="h" * 71)
    assert len(f"+OK {policy.greeting} {longest}{policy.hostname}>\r\n") == 512
    with pytest.raises(ValueError, match="greeting: longer than 471 octets together with the hostname"):
        Policy(greeting="g" * 400, hostname="h" * 72)


@pytest.mark.parametrize("hostname", ["", "two words", "a<b", "a>b", "a@b"])
def test_a_hostname_that_breaks_a_timestamp_is_refused(hostname: str) -> None:
    with pytest.raises(ValueError, match="hostname: expected a name"):
        Policy(hostname=hostname)


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(ValueError, match="failure_delay"):
        Policy(failure_delay=-1)


def test_what_is_fine() -> None:
    assert Policy(greeting="grüße", failure_delay=0, implementation="").allow_cleartext == "loopback"


def test_limits_that_cannot_be_meant_are_refused() -> None:
    for wrong in ({"connections": -1}, {"autologout": 599}, {"login_timeout": 0}, {"command_octets": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Limits(**wrong)  # type: ignore[arg-type]  # the mistake is the test
    assert Limits(autologout=5, allow_short_autologout=True).autologout == 5
