"""Where a key stands in the text of a TOML file.

``tomllib`` gives values and forgets their places. This scanner reads the same text for places alone: it
walks statements, keys and brackets and never interprets a value. What it cannot walk is no TOML, and it
then knows better than the parser where the trouble *begins*.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass
from typing import TypeAlias, cast

__all__ = ["KeyPath", "Locations", "Place", "Unreadable", "locate"]

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value: names, and indices into lists, both as in ``tomllib``'s result."""

_SPACE = re.compile(r"[ \t]*")
_FILLER = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_DOT = re.compile(r"[ \t]*\.")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\[\s\S])*?"""(?:"{0,2})')
_LONG_LITERAL = re.compile(r"'''[\s\S]*?'''(?:'{0,2})")
_SCALAR = re.compile(r"[^,\]}\n#]+")
_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a line; `line` and `column` count from 1, in characters."""

    line: int
    column: int = 1
    length: int = 1


class Unreadable(Exception):
    """The text is no TOML; `place` is where the trouble begins."""

    def __init__(self, text: str, place: Place) -> None:
        super().__init__(text)
        self.place = place


class Locations:
    """Places of keys and of their values."""

    def __init__(self) -> None:
        self.keys: dict[KeyPath, Place] = {}
        self.values: dict[KeyPath, Place] = {}

    def key(self, path: KeyPath) -> Place:
        """Where the key is written, or the nearest table around it that is written at all."""
        while path and path not in self.keys:
            path = path[:-1]
        return self.keys.get(path, Place(1))

    def value(self, path: KeyPath) -> Place:
        """Where its value is written; that of the key if there is none to show."""
        return self.values.get(path) or self.key(path)


def locate(text: str) -> Locations:
    """The places of every key in `text`.

    Raises:
        Unreadable: the text is no TOML at a place this scanner notices.
    """
    return _Scanner(text).run()


class _Scanner:
    """One walk over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found = Locations()
        self.lengths: dict[KeyPath, int] = {}
        """How many elements an array of tables has so far."""
        self.starts = [0] + [match.end() for match in re.finditer("\n", text)]

    def run(self) -> Locations:
        table: KeyPath = ()
        while True:
            self.skip(_FILLER)
            if self.at >= len(self.text):
                return self.found
            table = self.statement(table)

    def statement(self, table: KeyPath) -> KeyPath:
        """Walk one header or one setting; answer the table that the next setting belongs to."""
        if self.ahead("[["):
            table = self.header("[[", "]]")
        elif self.ahead("["):
            table = self.header("[", "]")
        else:
            self.setting(table)
        if not self.skip(_END):
            raise self.trouble("there is something after the end of this statement", self.at)
        return table

    def header(self, opening: str, closing: str) -> KeyPath:
        start = self.at
        self.at += len(opening)
        names = self.names()
        if not self.ahead(closing):
            raise self.trouble(f'this table header has no closing "{closing}"', start)
        self.at += len(closing)
        place = self.place(start, self.at)
        path: KeyPath = ()
        for name in names[:-1]:
            path = (*path, name)
            self.found.keys.setdefault(path, place)
            if path in self.lengths:
                path = (*path, self.lengths[path] - 1)
        path = (*path, names[-1])
        if opening == "[[":
            self.found.keys.setdefault(path, place)
            index = self.lengths.get(path, 0)
            self.lengths[path] = index + 1
            path = (*path, index)
        elif path in self.found.values:
            raise self.trouble(f"{'.'.join(names)} is set already on line {self.found.values[path].line}", start)
        self.found.keys.setdefault(path, place)
        return path

    def setting(self, table: KeyPath) -> None:
        start = self.at
        names = self.names()
        place = self.place(start, self.at)
        self.skip(_SPACE)
        if not self.ahead("="):
            raise self.trouble('expected "=" after this key', start)
        self.at += 1
        for depth in range(1, len(names)):
            self.found.keys.setdefault((*table, *names[:depth]), place)
        path = (*table, *names)
        if path in self.found.values:
            raise self.trouble(f"{names[-1]} is set already on line {self.found.values[path].line}", start)
        self.found.keys[path] = place
        self.skip(_SPACE)
        self.value(path)

    def names(self) -> tuple[str, ...]:
        """The parts of a dotted key."""
        names: list[str] = []
        while True:
            self.skip(_SPACE)
            if self.ahead('"') or self.ahead("'"):
                names.append(self.quoted_name())
            else:
                bare = _BARE.match(self.text, self.at)
                if not bare:
                    raise self.trouble("expected the name of a key", self.at)
                self.at = bare.end()
                names.append(bare.group())
            if not self.skip(_DOT):
                return tuple(names)

    def quoted_name(self) -> str:
        start = self.at
        if not (self.skip(_BASIC) or self.skip(_LITERAL)):
            raise self.trouble("the name that begins here has no closing quote", start)
        try:
            return cast("str", tomllib.loads(f"x={self.text[start : self.at]}")["x"])
        except tomllib.TOMLDecodeError:
            raise self.trouble("this quoted name is no valid text", start) from None

    def value(self, path: KeyPath) -> None:
        start = self.at
        if self.ahead("["):
            self.array(path)
        elif self.ahead("{"):
            self.inline_table(path)
        else:
            self.scalar()
        self.found.values[path] = self.place(start, self.at)

    def scalar(self) -> None:
        start = self.at
        for quotes, pattern in (('"""', _LONG_BASIC), ("'''", _LONG_LITERAL), ('"', _BASIC), ("'", _LITERAL)):
            if self.ahead(quotes):
                if not self.skip(pattern):
                    raise self.trouble("the text that begins here has no closing quote", start)
                return
        found = _SCALAR.match(self.text, self.at)
        written = found.group().rstrip() if found else ""
        if not written:
            raise self.trouble("a value is missing here", start)
        self.at += len(written)

    def array(self, path: KeyPath) -> None:
        start = self.at
        self.at += 1
        index = 0
        while True:
            self.skip(_FILLER)
            if self.ahead("]"):
                self.at += 1
                return
            if self.at >= len(self.text):
                raise self.trouble('the list that begins here has no closing "]"', start)
            self.value((*path, index))
            self.found.keys[(*path, index)] = self.found.values[(*path, index)]
            index += 1
            self.skip(_FILLER)
            if self.ahead(","):
                self.at += 1
            elif not self.ahead("]"):
                raise self.trouble('the list that begins here has no closing "]"', start)

    def inline_table(self, path: KeyPath) -> None:
        start = self.at
        self.at += 1
        while True:
            self.skip(_FILLER)
            if self.ahead("}"):
                self.at += 1
                return
            if self.at >= len(self.text):
                raise self.trouble('the table that begins here has no closing "}"', start)
            self.setting(path)
            self.skip(_FILLER)
            if self.ahead(","):
                self.at += 1
            elif not self.ahead("}"):
                raise self.trouble('the table that begins here has no closing "}"', start)

    def ahead(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found is not None

    def place(self, start: int, end: int) -> Place:
        """The stretch from `start`, cut at the end of its line."""
        line = self.line_of(start)
        end_of_line = self.text.find("\n", start)
        end = end if end_of_line < 0 else min(end, end_of_line)
        return Place(line, start - self.starts[line - 1] + 1, max(1, end - start))

    def line_of(self, at: int) -> int:
        return bisect_right(self.starts, at)

    def trouble(self, text: str, at: int) -> Unreadable:
        return Unreadable(text, self.place(at, at + 1))
