from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.authentication.user_names import NameRule, check_user_name, normalise


@pytest.mark.parametrize(
    "name", ["alice", "alice@example.org", "a.b-c+d_e=f", "-x", "jürgen", "a b", "al'ice", "a\\b", "x" * 255, "a" * 202]
)
def test_names_that_are_fine(name: str) -> None:
    assert check_user_name(name) is None


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "empty"),
        ("a:b", "colon"),
        ("a/b", "slash"),
        ("..", "dot"),
        (".hidden", "dot"),
        ("#alice", "hash"),
        ("a\0b", "NUL"),
        ("a\nb", "line end"),
        ("a\rb", "shown"),
        ("a\tb", "shown"),
        ("a\x7f", "shown"),
        ("a\x85b", "shown"),
        ("a\u202eb", "shown"),
        ("a\u2028b", "shown"),
        ("a\udcffb", "shown"),
        (" alice", "space"),
        ("alice ", "space"),
        ("x" * 256, "255 octets"),
        ("ü" * 128, "255 octets"),
    ],
)
def test_names_that_are_refused(name: str, complaint: str) -> None:
    refusal = check_user_name(name)
    assert refusal is not None
    assert complaint in refusal


@given(st.text())
def test_no_name_that_passes_can_leave_its_place(name: str) -> None:
    if check_user_name(name) is None:
        assert name
        assert not set(name) & set(":/\0\r\n\t")
        assert name[0] not in ".#"
        assert len(name.encode()) <= 255


@given(st.text())
def test_a_refusal_never_quotes_the_name(name: str) -> None:
    refusal = check_user_name("planted" + name + "\0")
    assert refusal is not None
    assert "planted" not in refusal


@pytest.mark.parametrize(
    ("name", "mode", "domain", "expected"),
    [
        ("Bob", "lowercase", "", "bob"),
        ("Bob", "none", "", "Bob"),
        ("JÜRGEN", "lowercase", "", "jürgen"),
        ("ju\u0308rgen", "lowercase", "", "j\u00fcrgen"),
        ("ju\u0308rgen", "none", "", "ju\u0308rgen"),
        ("Bob", "lowercase", "example.org", "bob@example.org"),
        ("Bob@Example.COM", "lowercase", "example.org", "bob@example.com"),
        ("bob", "none", "example.org", "bob@example.org"),
    ],
)
def test_normalise(name: str, mode: str, domain: str, expected: str) -> None:
    assert normalise(name, mode, domain) == expected
    assert NameRule(mode, domain)(name) == expected


@given(st.text(), st.sampled_from(["", "example.org"]))
def test_a_normalised_name_stays_as_it_is(name: str, domain: str) -> None:
    once = normalise(name, "lowercase", domain)
    assert normalise(once, "lowercase", domain) == once


def test_an_unknown_mode_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="'upper' is not one of lowercase, none"):
        NameRule("upper")
