"""A line becomes a command: the grammar as a table, keyword → reader of its arguments.

A reader returns a command or a `Malformed` that names the one mistake; it never raises and never loops over
octets. Keywords are any letter case; message-numbers are decimal, leading zeros included (``RETR 01``).
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

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

__all__ = ["GRAMMAR", "parse_command", "parse_sasl_response", "text_of"]

_MOST_DIGITS = 10  # a maildrop of ten thousand million messages; bounds int()'s work


def text_of(octets: bytes) -> str:
    """A client's octets as text: UTF-8, anything else kept as surrogate escapes so that nothing is lost."""
    return octets.decode("utf-8", "surrogateescape")


def _number(verb: str, word: bytes, kind: str = "number") -> int | Malformed:
    """A message-number, or (`kind` ``"lines"``) a number of lines, from one word."""
    if word.isdigit():
        if len(word) > _MOST_DIGITS:
            word = word.lstrip(b"0") or b"0"
            if len(word) > _MOST_DIGITS:
                return Malformed(verb, "number-too-large") if kind == "number" else 10**_MOST_DIGITS
        number = int(word)
        if number or kind == "lines":
            return number
        return Malformed(verb, "number-zero")
    if word.startswith(b"-") and word[1:].isdigit():
        return Malformed(verb, f"{kind}-negative")
    return Malformed(verb, f"{kind}-invalid")


def _one_number(verb: str, arguments: bytes) -> int | Malformed:
    words = arguments.split(None, 1)
    if not words:
        return Malformed(verb, "number-missing")
    number = _number(verb, words[0])
    if len(words) > 1 and isinstance(number, int):
        return Malformed(verb, "number-trailing")
    return number


def _nothing(command: Command) -> Callable[[bytes], Command]:
    def read(arguments: bytes) -> Command:
        return Malformed(command.verb, "arguments-unexpected") if arguments.strip() else command

    return read


def _numbered(make: type[Retr | Dele]) -> Callable[[bytes], Command]:
    def read(arguments: bytes) -> Command:
        number = _one_number(make.verb, arguments)
        return make(number) if isinstance(number, int) else number

    return read


def _maybe_numbered(make: type[List | Uidl]) -> Callable[[bytes], Command]:
    whole = make()

    def read(arguments: bytes) -> Command:
        if not arguments.strip():
            return whole
        number = _one_number(make.verb, arguments)
        return make(number) if isinstance(number, int) else number

    return read


def _top(arguments: bytes) -> Command:
    words = arguments.split(None, 2)
    if not words:
        return Malformed("TOP", "number-missing")
    number = _number("TOP", words[0])
    if not isinstance(number, int):
        return number
    if len(words) < 2:
        return Malformed("TOP", "lines-missing")
    lines = _number("TOP", words[1], "lines")
    if not isinstance(lines, int):
        return lines
    return Malformed("TOP", "lines-trailing") if len(words) > 2 else Top(number, lines)


def _user(arguments: bytes) -> Command:
    name = arguments.strip(b" ")
    return User(text_of(name)) if name else Malformed("USER", "arguments-missing")


def _pass(arguments: bytes) -> Command:
    # The rest of the line is the password, blanks at its ends included (RFC 1939 section 7).
    return Pass(text_of(arguments))


def _apop(arguments: bytes) -> Command:
    name, _, digest = arguments.strip(b" ").rpartition(b" ")
    name = name.strip(b" ")
    return Apop(text_of(name), text_of(digest).lower()) if name else Malformed("APOP", "arguments-missing")


def _auth(arguments: bytes) -> Command:
    words = arguments.split(b" ")
    words = [word for word in words if word]
    if not words:
        return Auth()
    mechanism = text_of(words[0].upper())
    if len(words) == 1:
        return Auth(mechanism)
    if len(words) > 2:
        return Malformed("AUTH", "arguments-unexpected")
    if words[1] == b"=":  # an initial response that is empty (RFC 5034 section 4)
        return Auth(mechanism, b"")
    initial = _base64(words[1])
    return Malformed("AUTH", "sasl-base64") if initial is None else Auth(mechanism, initial)


def _lang(arguments: bytes) -> Command:
    words = arguments.split()
    if len(words) > 1:
        return Malformed("LANG", "arguments-unexpected")
    return Lang(text_of(words[0])) if words else Lang()


GRAMMAR: Final[Mapping[bytes, Callable[[bytes], Command]]] = MappingProxyType(
    {
        b"USER": _user,
        b"PASS": _pass,
        b"APOP": _apop,
        b"AUTH": _auth,
        b"STLS": _nothing(Stls()),
        b"CAPA": _nothing(Capa()),
        b"STAT": _nothing(Stat()),
        b"LIST": _maybe_numbered(List),
        b"UIDL": _maybe_numbered(Uidl),
        b"RETR": _numbered(Retr),
        b"DELE": _numbered(Dele),
        b"TOP": _top,
        b"NOOP": _nothing(Noop()),
        b"RSET": _nothing(Rset()),
        b"QUIT": _nothing(Quit()),
        b"UTF8": _nothing(Utf8()),
        b"LANG": _lang,
    }
)


def parse_command(line: bytes) -> Command:
    """The command that `line` (without its end) spells."""
    keyword, _, arguments = line.partition(b" ")
    read = GRAMMAR.get(keyword) or GRAMMAR.get(keyword.upper())
    if read is not None:
        command = read(arguments)
        return replace(command, argument=text_of(arguments)) if type(command) is Malformed else command
    if not line.strip():
        return Malformed("", "empty-line")
    # Upper case of octets, not of letters: no other letter's capital may spell a keyword ("\u017ftat").
    return Other(text_of(keyword.upper()), text_of(arguments))


def parse_sasl_response(line: bytes) -> Command:
    """One line of a SASL exchange (RFC 5034 section 4); ``*`` alone cancels it."""
    if line == b"*":
        return AuthCancel()
    return AuthResponse(_base64(line))


def _base64(word: bytes) -> bytes | None:
    try:
        return binascii.a2b_base64(word, strict_mode=True) if word else b""
    except binascii.Error:
        return None
