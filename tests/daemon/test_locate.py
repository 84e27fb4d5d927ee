"""Where keys stand: the scanner against tables, arrays of tables, dotted and quoted keys, long texts."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.daemon.locate import KeyPath, Place, Unreadable, locate

TEXT = '''\
# a comment = "not a key"
title = "a # sign [in] = a text"
server.workers = 3            # dotted
"quoted \\u0041" . 'lit.eral' = 1
long = """
[not.a.table]
fake = 1 \\""" still
"""
raw = \'\'\'
also = "fake"
\'\'\'\'
[tls]
certificate = 'c'
[[listener]]
address = "one"
[[listener]]
address = "two"
[listener.more]
deep = true
[authentication]
mechanisms = [
  "USER",   # the first
  "PLAIN", ]
inline = { a = 1, b = { c = [ {d = 2}, {d = 3} ] } }
[[authentication.backend]]
type = "x"
[[authentication.backend.sub]]
y = 1
[[authentication.backend.sub]]
y = 2
'''

PLACES: list[tuple[KeyPath, int]] = [
    (("title",), 2),
    (("server", "workers"), 3),
    (("server",), 3),
    (("quoted A", "lit.eral"), 4),
    (("long",), 5),
    (("raw",), 9),
    (("tls",), 12),
    (("tls", "certificate"), 13),
    (("listener", 0), 14),
    (("listener", 0, "address"), 15),
    (("listener", 1, "address"), 17),
    (("listener", 1, "more", "deep"), 19),
    (("authentication", "mechanisms", 0), 22),
    (("authentication", "mechanisms", 1), 23),
    (("authentication", "inline", "b", "c", 1, "d"), 24),
    (("authentication", "backend", 0, "type"), 26),
    (("authentication", "backend", 0, "sub", 1, "y"), 30),
]


@pytest.mark.parametrize(("path", "line"), PLACES)
def test_every_kind_of_key_is_found_on_its_line(path: KeyPath, line: int) -> None:
    assert path in locate(TEXT).keys
    assert locate(TEXT).key(path).line == line


def test_columns_show_the_key_and_the_value() -> None:
    found = locate('[server]\n  workers  =  "two"  # many\n')
    assert found.key(("server", "workers")) == Place(2, 3, 7)
    assert found.value(("server", "workers")) == Place(2, 15, 5)


def test_a_value_of_several_lines_is_marked_on_its_first_one() -> None:
    assert locate('x = """a\nb"""\n').value(("x",)) == Place(1, 5, 4)


def test_a_missing_key_stands_where_its_table_does() -> None:
    found = locate('[server]\nworkers = 1\n[[listener]]\ntls = "none"\n')
    assert found.key(("listener", 0, "address")).line == 3
    assert found.key(("limits", "autologout")).line == 1


def paths(value: object, path: KeyPath = ()) -> list[KeyPath]:
    found: list[KeyPath] = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        found += paths(inner, (*path, name))
    return found


def test_the_scanner_finds_exactly_the_paths_that_the_parser_does() -> None:
    assert set(locate(TEXT).keys) == set(paths(tomllib.loads(TEXT)))


NAMES = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True), st.text(min_size=1, max_size=4))
SCALARS = st.one_of(
    st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)  # fmt: skip


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key(name)} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[ " + ",\n ".join(toml(inner) for inner in value) + " ]"
    if isinstance(value, bool):
        return str(value).lower()
    return text(value) if isinstance(value, str) else repr(value)


def text(value: str) -> str:
    escaped = "".join(f"\\U{ord(letter):08x}" if not letter.isalnum() else letter for letter in value)
    return f'"{escaped}"'


def key(name: str) -> str:
    plain = name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()
    return name if plain else text(name)


@given(st.dictionaries(NAMES, st.one_of(VALUES, st.dictionaries(NAMES, VALUES, max_size=3)), max_size=4))
def test_whatever_the_parser_reads_the_scanner_locates(table: dict[str, Any]) -> None:
    lines = [f"{key(name)} = {toml(value)}" for name, value in table.items() if not isinstance(value, dict)]
    for name, value in table.items():
        if isinstance(value, dict):
            lines += [f"[{key(name)}]", *(f"{key(inner)} = {toml(deep)}" for inner, deep in value.items())]
    written = "\n".join(lines) + "\n"
    assert tomllib.loads(written) == table
    assert set(locate(written).keys) == set(paths(table))


BROKEN = [
    ('a = 1\nb = "two\nc = 3\n', 2, "no closing quote"),
    ('a = 1\nb = """two\nc = 3\n', 2, "no closing quote"),
    ("a = [1,\n 2\nb = 3\n", 1, 'no closing "]"'),
    ("a = {b = 1\n", 1, 'no closing "}"'),
    ("[server\nworkers = 1\n", 1, 'no closing "]"'),
    ("[[listener]\n", 1, 'no closing "]]"'),
    ("a = 1\na = 2\n", 2, "set already on line 1"),
    ("a = 1\n[a]\n", 2, "set already on line 1"),
    ("workers 1\n", 1, 'expected "="'),
    ("a =\n", 1, "a value is missing"),
    ('"a = 1\n', 1, "no closing quote"),
    ("= 1\n", 1, "expected the name"),
    ("[a] b = 1\n", 1, "something after the end"),
]


@pytest.mark.parametrize(("written", "line", "words"), BROKEN)
def test_what_is_no_toml_is_told_where_it_begins(written: str, line: int, words: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(written)
    with pytest.raises(Unreadable, match=words.replace("[", r"\[")) as caught:
        locate(written)
    assert caught.value.place.line == line
