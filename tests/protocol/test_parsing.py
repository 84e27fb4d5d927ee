"""A line becomes a command, and every mistake has one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.protocol.commands import (
    Apop,
    Auth,
    AuthCancel,
    AuthResponse,
    Capa,
    Command,
    Dele,
    Lang,
    List,
    Malformed,
    Noop,
    Other,
    Pass,
    Quit,
    Retr,
    Rset,
    Stat,
    Stls,
    Top,
    Uidl,
    User,
    Utf8,
)
from poplin.protocol.parsing import GRAMMAR, parse_command, parse_sasl_response, text_of
from poplin.protocol.texts import ENGLISH

WELL_FORMED: dict[bytes, Command] = {
    b"USER mrose": User("mrose"),
    b"USER  two words ": User("two words"),
    b"USER ann@example.org": User("ann@example.org"),
    b"PASS secret": Pass("secret"),
    b"PASS  a b ": Pass(" a b "),
    b"PASS ": Pass(""),
    b"PASS": Pass(""),
    b"PASS gr\xc3\xbc\xc3\x9fe": Pass("grüße"),
    b"PASS gr\xfc": Pass("gr\udcfc"),
    b"PASS a\0b": Pass("a\0b"),
    b"APOP mrose C4C9334BAC560ECC979E58001B3E22FB": Apop("mrose", "c4c9334bac560ecc979e58001b3e22fb"),
    b"APOP two words 00ff": Apop("two words", "00ff"),
    b"AUTH": Auth(),
    b"AUTH ": Auth(),
    b"AUTH plain": Auth("PLAIN"),
    b"AUTH PLAIN =": Auth("PLAIN", b""),
    b"AUTH PLAIN AGEAYg==": Auth("PLAIN", b"\0a\0b"),
    b"STLS": Stls(),
    b"CAPA": Capa(),
    b"STAT": Stat(),
    b"LIST": List(),
    b"LIST ": List(),
    b"LIST 3": List(3),
    b"UIDL": Uidl(),
    b"UIDL 3": Uidl(3),
    b"RETR 1": Retr(1),
    b"RETR 0001": Retr(1),
    b"RETR 9999999999": Retr(9_999_999_999),
    b"RETR 00000000000000001": Retr(1),
    b"RETR 1 ": Retr(1),
    b"DELE 2": Dele(2),
    b"TOP 1 0": Top(1, 0),
    b"TOP 1  10": Top(1, 10),
    b"TOP 1 99999999999999": Top(1, 10**10),
    b"NOOP": Noop(),
    b"RSET": Rset(),
    b"QUIT": Quit(),
    b"QUIT ": Quit(),
    b"UTF8": Utf8(),
    b"LANG": Lang(),
    b"LANG de": Lang("de"),
    b"LANG *": Lang("*"),
    b"xtnd xmit": Other("XTND", "xmit"),
    b"XYZZY": Other("XYZZY"),
    b" STAT": Other("", "STAT"),
    b"STAT\t": Other("STAT\t"),
    b"\xff": Other("\udcff"),
}

MALFORMED: dict[bytes, tuple[str, str]] = {
    b"": ("", "empty-line"),
    b"  ": ("", "empty-line"),
    b"USER": ("USER", "arguments-missing"),
    b"APOP": ("APOP", "arguments-missing"),
    b"APOP mrose": ("APOP", "arguments-missing"),
    b"APOP  00ff": ("APOP", "arguments-missing"),
    b"AUTH PLAIN !!": ("AUTH", "sasl-base64"),
    b"AUTH PLAIN AA=": ("AUTH", "sasl-base64"),
    b"AUTH PLAIN =AAA": ("AUTH", "sasl-base64"),
    b"AUTH PLAIN \xff\xff\xff\xff": ("AUTH", "sasl-base64"),
    b"AUTH PLAIN AAAA BBBB": ("AUTH", "arguments-unexpected"),
    b"STAT 1": ("STAT", "arguments-unexpected"),
    b"QUIT now": ("QUIT", "arguments-unexpected"),
    b"LANG de fr": ("LANG", "arguments-unexpected"),
    b"RETR": ("RETR", "number-missing"),
    b"RETR 0": ("RETR", "number-zero"),
    b"RETR -1": ("RETR", "number-negative"),
    b"RETR -": ("RETR", "number-invalid"),
    b"RETR x": ("RETR", "number-invalid"),
    b"RETR \xd9\xa1": ("RETR", "number-invalid"),
    b"RETR 1 2": ("RETR", "number-trailing"),
    b"RETR 0 2": ("RETR", "number-zero"),
    b"RETR 10000000000": ("RETR", "number-too-large"),
    b"LIST x": ("LIST", "number-invalid"),
    b"UIDL 1 2": ("UIDL", "number-trailing"),
    b"TOP": ("TOP", "number-missing"),
    b"TOP x 1": ("TOP", "number-invalid"),
    b"TOP 1": ("TOP", "lines-missing"),
    b"TOP 1 x": ("TOP", "lines-invalid"),
    b"TOP 1 -1": ("TOP", "lines-negative"),
    b"TOP 1 1 1": ("TOP", "lines-trailing"),
}


@pytest.mark.parametrize("line", WELL_FORMED)
def test_a_well_formed_line(line: bytes) -> None:
    assert parse_command(line) == WELL_FORMED[line]


@pytest.mark.parametrize("line", MALFORMED)
def test_a_mistake_is_named(line: bytes) -> None:
    command = parse_command(line)
    assert isinstance(command, Malformed)
    assert (command.verb, command.text_id) == MALFORMED[line]


@pytest.mark.parametrize("keyword", list(GRAMMAR))
def test_keywords_are_of_any_case(keyword: bytes) -> None:
    arguments = {b"TOP": b" 1 1", b"APOP": b" a 00", b"USER": b" a", b"RETR": b" 1", b"DELE": b" 1"}.get(keyword, b"")
    wanted = parse_command(keyword + arguments)
    assert wanted.verb == keyword.decode()
    assert not isinstance(wanted, Malformed | Other)
    assert parse_command(keyword.lower() + arguments) == wanted
    assert parse_command(keyword.title() + arguments) == wanted


@pytest.mark.parametrize("letter", ["ſ", "ı", "ﬁ", "\N{KELVIN SIGN}"])  # noqa: RUF001 - that they look alike is the point
def test_no_other_letter_spells_a_keyword(letter: str) -> None:
    for keyword in GRAMMAR:
        spelt = keyword.decode()
        for latin in {"ſ": "S", "ı": "I", "ﬁ": "FI", "\N{KELVIN SIGN}": "K"}[letter]:  # noqa: RUF001 - as above
            command = parse_command(spelt.replace(latin, letter).encode())
            assert latin not in spelt or command.verb.encode(errors="replace") not in GRAMMAR
    assert parse_command(f"AUTH PLA{letter}N".encode()) != Auth("PLAIN")


def test_a_sasl_response() -> None:
    assert parse_sasl_response(b"*") == AuthCancel()
    assert parse_sasl_response(b"AGEAYg==") == AuthResponse(b"\0a\0b")
    assert parse_sasl_response(b"") == AuthResponse(b"")
    for line in (b"=", b"**", b"QUIT\0", b"AAA", b" AAAA", b"AAAA ", b"\xff\xff\xff\xff"):
        assert parse_sasl_response(line) == AuthResponse(None)


@given(st.binary(max_size=60))
def test_a_sasl_response_is_never_an_error(line: bytes) -> None:
    assert isinstance(parse_sasl_response(line), AuthResponse | AuthCancel)


@given(st.sampled_from([*GRAMMAR, b"", b"XYZZY"]), st.binary(max_size=40))
def test_any_line_is_a_command(keyword: bytes, rest: bytes) -> None:
    command = parse_command(keyword + rest)
    if isinstance(command, Malformed):
        assert command.text_id in ENGLISH
    number = getattr(command, "number", None)
    assert number is None or 1 <= number < 10**10
    assert getattr(command, "lines", 0) >= 0


@given(st.binary(max_size=60))
def test_the_password_is_the_rest_of_the_line_and_nothing_is_lost(password: bytes) -> None:
    command = parse_command(b"PASS " + password)
    assert isinstance(command, Pass)
    assert command.password.encode("utf-8", "surrogateescape") == password


def test_secrets_are_not_in_the_repr() -> None:
    shown = repr(
        [
            parse_command(b"PASS geheim"),
            parse_command(b"APOP mrose 5ebe2294ecd0e0f08eab7690d2a6ee69"),
            parse_command(b"AUTH PLAIN AGEAZ2VoZWlt"),
            parse_sasl_response(b"AGEAZ2VoZWlt"),
        ]
    )
    assert "geheim" not in shown
    assert "5ebe" not in shown
    assert "AGEAZ2VoZWlt" not in shown


def test_text_of_loses_nothing() -> None:
    assert text_of(b"\xff\x00a").encode("utf-8", "surrogateescape") == b"\xff\x00a"
