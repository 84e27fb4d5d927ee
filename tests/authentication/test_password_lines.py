from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.authentication import schemes
from poplin.authentication.password_lines import Complaint, Line, examine, parse_fields, read_lines, read_table
from poplin.authentication.user_names import LOWERCASE, NameRule

DOVECOT = """\
# users of example.org
alice:{PLAIN}secret:1000:1000:Alice:/home/alice:/bin/sh:userdb_mail=maildir:~/Maildir allow_nets=192.0.2.0/24,2001:db8::/32

Bob@Example.org:{PLAIN}pass::::::
carol:{PLAIN}x
dave:$apr1$abc$planted
"""


def test_dovecot_lines_and_htpasswd_lines_are_one() -> None:
    table = read_table(DOVECOT, LOWERCASE)
    assert list(table.rests) == ["alice", "bob@example.org", "carol", "dave"]
    assert table.complaints == []
    assert table.readable == 3


def test_the_fields_become_attributes_under_their_own_names() -> None:
    record = parse_fields(read_table(DOVECOT, LOWERCASE).rests["alice"])
    assert record.stored.secret == b"secret"
    assert record.attributes == {
        "uid": "1000",
        "gid": "1000",
        "gecos": "Alice",
        "home": "/home/alice",
        "shell": "/bin/sh",
        "userdb_mail": "maildir:~/Maildir",
        "allow_nets": "192.0.2.0/24,2001:db8::/32",
    }


def test_empty_fields_say_nothing_and_a_bare_extra_field_says_yes() -> None:
    assert parse_fields("{PLAIN}x::::::").attributes == {}
    assert parse_fields("{PLAIN}x").attributes == {}
    assert parse_fields("{PLAIN}x::::::nologin proxy=").attributes == {"nologin": "yes", "proxy": "yes"}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("planted", "no colon: a record is user:password"),
        (":{PLAIN}planted", "the name is empty"),
        ("plan/ted:{PLAIN}x", "the name holds a slash"),
        ("planted\x07:{PLAIN}x", "the name holds a character that cannot be shown"),
        ("alice:planted", "alice: neither {SCHEME}data nor a hash that is known; a readable password is {PLAIN}…"),
        ("alice:", "alice: neither {SCHEME}data nor a hash that is known; a readable password is {PLAIN}…"),
        ("alice:{PLANTED}x", "alice: unknown scheme {PLANTED}"),
        ("alice:{PLAIN planted", "alice: no closing brace behind the scheme"),
    ],
)
def test_bad_lines_lose_only_themselves(line: str, complaint: str) -> None:
    table = read_table(f"first:{{PLAIN}}x\n{line}\nlast:{{PLAIN}}x\n", LOWERCASE)
    assert list(table.rests) == ["first", "last"]
    assert table.complaints == [Complaint(2, complaint)]


def test_the_first_of_two_records_counts() -> None:
    table = read_table("alice:{PLAIN}first\nALICE:{PLAIN}second\n", LOWERCASE)
    assert parse_fields(table.rests["alice"]).stored.secret == b"first"
    assert table.complaints == [Complaint(2, "alice is already above; this line is ignored")]
    assert len(read_table("alice:{PLAIN}1\nALICE:{PLAIN}2\n", NameRule("none")).rests) == 2


@pytest.mark.parametrize(
    "rest", ["{PLAIN}", "{SCRAM-SHA-256}planted", "{SHA}planted", "{PLAIN.b64}p!", "{PLAIN}x::::::nopassword=y"]
)
def test_what_only_a_closer_look_finds(rest: str) -> None:
    found = examine(Line(1, "alice", rest))
    assert found is not None
    assert found.startswith("alice: ")
    assert "planted" not in found
    with pytest.raises(ValueError):
        parse_fields(rest)


def test_a_closer_look_at_crypt_hashes() -> None:
    assert examine(Line(1, "alice", "$6$planted")) == "alice: a broken SHA512-CRYPT hash"
    assert examine(Line(1, "alice", "{BLF-CRYPT}$2y$05$SCspUjVKC1XjmzgBVDMs3uzQEOxxL/7LQmnfUPmB22rjElPos6XZ6")) is None
    assert examine(Line(1, "alice", "{PLAIN}$6$planted")) is None


def test_the_stand_in_is_of_the_commonest_kind_and_cost() -> None:
    cheap, dear = schemes.make("x"), schemes.make("x").replace("15000", "100000")
    text = f"a:{cheap}\nb:{dear}\nc:{dear}\nd:{{PLAIN}}x\n"
    stand_in = read_table(text, LOWERCASE).stand_in()
    assert stand_in is not None
    assert stand_in.scram is not None
    assert stand_in.scram.iterations == 100_000


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("$6$saltsalt$hash", "$6$tlastlas$hsah", True),
        ("$6$rounds=5000$salt$hash", "$6$rounds=9000$salt$hash", False),
        ("$2b$10$saltandhash", "$2b$12$saltandhash", False),
        ("$2b$10$saltandhash", "$2b$10$otherwise", True),
        ("$argon2id$v=19$m=65536,t=3,p=4$a$b", "$argon2id$v=19$m=65536,t=3,p=4$c$d", True),
        ("$argon2id$v=19$m=65536,t=3,p=4$a$b", "$argon2id$v=19$m=1024,t=3,p=4$c$d", False),
        ("$y$j9T$abcd$hash", "$y$jET$abcd$hash", False),
        ("$y$j9T$abcd$hash", "$y$j9T$dcba$hash", True),
        ("{PLAIN}x", "{PLAIN}y", True),
        ("{SHA}a", "{SSHA}a", False),
    ],
)
def test_records_of_one_cost_are_counted_together(one: str, other: str, alike: bool) -> None:
    table = read_table(f"a:{one}\nb:{other}\n", LOWERCASE)
    assert (len(table.kinds) == 1) is alike


def test_a_broken_sample_does_not_stand_in() -> None:
    assert read_table("a:{SHA}planted\n", LOWERCASE).stand_in() is None
    assert read_table("", LOWERCASE).stand_in() is None


def test_line_ends_of_another_system_and_odd_characters_split_nothing() -> None:
    table = read_table("alice:{PLAIN}a\u2028b\r\nbob:{PLAIN}c\x0bd\r\n", LOWERCASE)
    assert table.complaints == []
    assert parse_fields(table.rests["alice"]).stored.secret == "a\u2028b".encode()
    assert parse_fields(table.rests["bob"]).stored.secret == b"c\x0bd"


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    lines = list(read_lines(text, LOWERCASE))
    numbers = [line.number if isinstance(line, Line) else line.line for line in lines]
    assert numbers == sorted(set(numbers))
    table = read_table(text, LOWERCASE)
    assert len(table.rests) + len(table.complaints) == len(lines)
    assert sum(count for count, _ in table.kinds.values()) == len(table.rests)
