"""The written form of a conversation, and nothing that runs one.

A file holds, line by line:

``# …``         a remark
``@ key …``     a fact of the world before anybody speaks: users, messages, limits (see `world.arrange`)
``C: …``        a line of the client; CRLF is added
``C| …``        octets of the client as they are, nothing added
``S: …``        a line of the server, CRLF included; ``…`` stands for what truly varies
``! …``         something happens behind the session's back (see `world.happen`)
``= …``         what must hold once the session is over

Instead of octets a client may say ``<starttls>`` (the TLS handshake) or ``<drop>`` (it is gone), the server
``<closed>``. In octets: ``\\r \\n \\t \\\\ \\xHH``, ``<x*100>`` for a hundred x, ``<base64 text>``, and in the client's
``<apop secret>`` for the digest over the timestamp of the greeting.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

__all__ = ["Closed", "Conversation", "Drop", "Event", "Hear", "Say", "StartTls", "Step", "octets", "read_conversation"]

_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|([rnt\\]))")
_PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}
_REPEAT = re.compile(rb"<(\\x[0-9A-Fa-f]{2}|.)\*(\d+)>")
_BASE64 = re.compile(rb"<base64 ([^>]*)>")


@dataclass(frozen=True, slots=True)
class Say:
    """The client sends these octets."""

    octets: bytes
    line: int


@dataclass(frozen=True, slots=True)
class Hear:
    """The server sends a line of this form."""

    form: bytes
    line: int

    def fits(self, heard: bytes) -> bool:
        """Whether the octets of a line, CRLF included, are the ones expected."""
        wanted = b".*".join(re.escape(piece) for piece in self.form.split("…".encode()))
        return re.fullmatch(wanted + rb"\r\n", heard, re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class StartTls:
    """Both begin TLS."""

    line: int


@dataclass(frozen=True, slots=True)
class Drop:
    """The client is gone."""

    line: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The server ends the connection, and says nothing more."""

    line: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something happens to the world."""

    text: str
    line: int


Step: TypeAlias = Say | Hear | StartTls | Drop | Closed | Event


@dataclass(frozen=True, slots=True)
class Conversation:
    """One file, read."""

    name: str
    facts: tuple[str, ...]
    steps: tuple[Step, ...]
    outcome: tuple[str, ...]


def octets(text: str) -> bytes:
    """The octets that a written piece stands for."""
    raw = _REPEAT.sub(lambda found: found[1] * int(found[2]), text.encode())
    raw = _BASE64.sub(lambda found: binascii.b2a_base64(_unescape(found[1]), newline=False), raw)
    return _unescape(raw)


def _unescape(raw: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else _PLAIN[found[2]], raw)


def _step(mark: str, rest: str, line: int) -> Step:
    if mark == "!":
        return Event(rest, line)
    match mark, rest:
        case "C:", "<starttls>":
            return StartTls(line)
        case "C:", "<drop>":
            return Drop(line)
        case "S:", "<closed>":
            return Closed(line)
        case "C:", _:
            return Say(octets(rest) + b"\r\n", line)
        case "C|", _:
            return Say(octets(rest), line)
        case "S:", _:
            return Hear(octets(rest), line)
    raise ValueError(f"line {line}: {mark} is none of # @ C: C| S: ! =")


def read_conversation(path: Path) -> Conversation:
    """The conversation written in a file.

    Raises:
        ValueError: a line is in no known form.
    """
    facts: list[str] = []
    steps: list[Step] = []
    outcome: list[str] = []
    for line, mark, rest in _lines(path.read_text("utf-8")):
        if mark == "@":
            facts.append(rest)
        elif mark == "=":
            outcome.append(rest)
        else:
            steps.append(_step(mark, rest, line))
    return Conversation(path.stem, tuple(facts), tuple(steps), tuple(outcome))


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    for line, written in enumerate(text.splitlines(), 1):
        if written.strip() and not written.startswith("#"):
            mark, _, rest = written.partition(" ")
            yield line, mark, rest
