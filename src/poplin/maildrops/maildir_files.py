"""Single message files of a Maildir: found, opened safely, measured.

Whoever may write in a Maildir may plant anything there under a message's name. Only regular files are
messages: links are not followed (they could show a stranger's file), fifos and devices never block.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import NamedTuple

from poplin.content import Form, examine
from poplin.errors import MessageUnreadable, PermanentFailure, SessionError, TemporaryFailure

__all__ = [
    "EXAMINED",
    "UNKNOWN_RAW",
    "Budget",
    "Facts",
    "Tally",
    "TooMuch",
    "base_of",
    "examine_file",
    "failure",
    "measure",
    "open_message",
    "read_all",
]

EXAMINED = 16
"""Set in `Facts.form` beside the flags of `Form` when every octet was looked at, not only the name's figures."""

UNKNOWN_RAW = -1
"""The raw size of a file that could not be opened: equal to no file's, so nothing is believed of it."""

_CHUNK = 262_144
_OPEN = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)
_FIGURE = re.compile(r",([SW])=(\d{1,18})(?=,|$)")
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE})


class Facts(NamedTuple):
    """What is known of a message file: `octets` as sent, `raw` size and `mtime` (ns) by which a file altered
    in place is noticed, and `form`: flags of `content.Form`, and `EXAMINED`."""

    octets: int
    raw: int
    mtime: int
    form: int


class TooMuch(Exception):  # no error: the sign to go on in a thread
    """The work would hold the event loop too long."""


class Budget:
    """How much one piece of work may do before it raises `TooMuch`: directory `entries`, `files` opened,
    `octets` read. The unlimited budget is ``None`` in its place."""

    __slots__ = ("entries", "files", "octets")

    def __init__(self, entries: int, files: int, octets: int) -> None:
        self.entries: int = entries
        self.files: int = files
        self.octets: int = octets

    def open_file(self) -> None:
        """Count one file."""
        self.files -= 1
        if self.files < 0:
            raise TooMuch

    def read(self, octets: int) -> None:
        """Count octets that are about to be read."""
        self.octets -= octets
        if self.octets < 0:
            raise TooMuch


def base_of(place: str) -> str:
    """The part of a file's name that stays when flags change; `place` is ``new/NAME`` or ``cur/NAME``."""
    return place[4:].partition(":")[0]


def failure(error: OSError, what: str) -> SessionError:
    """What to raise for `error` when a whole maildrop is concerned."""
    kind = TemporaryFailure if error.errno in _PASSING else PermanentFailure
    return kind(f"{what}: {error.strerror or error}")


def open_message(path: str) -> int:
    """A descriptor of the message file.

    Raises:
        FileNotFoundError: it is not there (any more).
        MessageUnreadable: it cannot be opened, or is no regular file.
        TemporaryFailure: the system has no descriptor or memory to give.
    """
    try:
        return os.open(path, _OPEN)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
            raise failure(error, f"message {path!r}") from error
        raise MessageUnreadable(f"message {path!r}: {error.strerror}") from error


def read_all(descriptor: int, expected: int) -> bytes:
    """The whole file, from its start; `expected` is its size as far as known."""
    body = os.pread(descriptor, expected + 1, 0)
    if len(body) == expected:
        return body
    pieces = [body]
    offset = len(body)
    while piece := os.pread(descriptor, _CHUNK, offset):  # altered meanwhile, or a signal cut the reading short
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


class Tally:
    """`content.examine` for a message that comes in pieces; the cuts may lie anywhere."""

    __slots__ = ("_bare", "_dotted", "_last", "_pairs", "_raw")

    def __init__(self) -> None:
        self._raw = self._bare = self._pairs = 0
        self._dotted = False
        self._last = b"\n"  # as if a line had ended before the first octet

    def feed(self, piece: bytes) -> None:
        """Count the next piece."""
        if not piece:
            return
        joint = self._last + piece[:1]
        pairs = piece.count(b"\r\n") + (joint == b"\r\n")
        self._pairs += pairs
        self._bare += piece.count(b"\n") - pairs
        self._dotted = self._dotted or joint == b"\n." or b"\n." in piece
        self._raw += len(piece)
        self._last = piece[-1:]

    def result(self) -> tuple[int, Form]:
        """The wire octets so far, and everything `Form` can say."""
        octets = self._raw + self._bare + (2 if self._last != b"\n" else 0)
        form = Form.ANY if self._dotted else Form.UNDOTTED
        if octets == self._raw:
            form |= Form.CRLF
        elif not self._pairs:
            form |= Form.LF
        return octets, form


def examine_file(descriptor: int) -> Facts:
    """The facts of an open message file, every octet looked at, in bounded memory."""
    status = os.fstat(descriptor)
    if status.st_size <= _CHUNK:
        body = read_all(descriptor, status.st_size)
        octets, form = examine(body)
        return Facts(octets, len(body), status.st_mtime_ns, form | EXAMINED)
    tally = Tally()
    offset = 0
    while piece := os.pread(descriptor, _CHUNK, offset):
        tally.feed(piece)
        offset += len(piece)
    octets, form = tally.result()
    return Facts(octets, offset, status.st_mtime_ns, form | EXAMINED)


def measure(path: str, base: str, budget: Budget | None) -> Facts | None:
    """The facts of a file that nothing is known of; ``None`` if it is no message (a link, a directory, a fifo).

    The figures that delivery agents put in the name, ``,S=`` (size of the file) and ``,W=`` (octets as
    sent), are believed where they can be right: the file has the size S, and ends in LF, since W counts no
    line end that is added in sending. A message that cannot be opened has its best-known size, and `UNKNOWN_RAW`.

    Raises:
        FileNotFoundError: it is not there (any more).
        TooMuch: by `budget`.
        TemporaryFailure: the system has no descriptor or memory to give.
    """
    if budget is not None:
        budget.open_file()
    try:
        descriptor = open_message(path)
    except MessageUnreadable:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        return Facts(_figures(base).get("W", status.st_size), UNKNOWN_RAW, 0, 0)
    raw = 0
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        raw = status.st_size
        figures = _figures(base)
        octets = figures.get("W", -1)
        if 0 < raw <= octets <= 2 * raw and figures.get("S", raw) == raw and os.pread(descriptor, 1, raw - 1) == b"\n":
            return Facts(octets, raw, status.st_mtime_ns, 0)
        if budget is not None:
            budget.read(raw)
        return examine_file(descriptor)
    except OSError:
        return Facts(_figures(base).get("W", raw), UNKNOWN_RAW, 0, 0)
    finally:
        os.close(descriptor)


def _figures(base: str) -> dict[str, int]:
    return {name: int(figure) for name, figure in _FIGURE.findall(base)} if "=" in base else {}
