"""A message on its way from a maildrop to the wire: octets, and what is known of their form.

Ground floor: the framing (``protocol.multiline``) and every maildrop share these values. Nothing here
reads a file by itself but `FileRegion`, whose owner says when.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from enum import IntFlag

from poplin.values import value

__all__ = ["Content", "FileRegion", "Form", "examine", "wire_octets"]


_DOT_LINE = re.compile(rb"\n\.")  # twice as fast as looking for the two octets


class Form(IntFlag):
    """What is known of a body's octets; the more is known, the less the framing has to look at them.

    Flags are promises about the *whole* body. None set (``ANY``) is always right.
    """

    ANY = 0
    CRLF = 1
    """Every line ends in CRLF, the last one too, and no LF stands alone."""
    LF = 2
    """No CRLF occurs: every LF needs its CR."""
    UNDOTTED = 4
    """No line begins with a dot."""
    STUFFED = 8
    """Dots at line starts are doubled already (a wire-ready store); only together with CRLF."""


class FileRegion:
    """A part of an open file, read in pieces by whoever sends it. It owns the descriptor.

    The descriptor keeps the message readable even when its file is renamed or removed meanwhile.
    """

    __slots__ = ("_descriptor", "octets", "offset")

    def __init__(self, descriptor: int, offset: int, octets: int) -> None:
        self._descriptor = descriptor
        self.offset: int = offset
        self.octets: int = octets

    def read(self, most: int) -> bytes:
        """The next piece, at most `most` octets; empty at the end.

        Raises:
            OSError: the file cannot be read, or is shorter than it was when it was opened.
        """
        if not self.octets:
            return b""
        piece = os.pread(self._descriptor, min(most, self.octets), self.offset)
        if not piece:
            raise OSError(f"the file ended {self.octets} octets early")
        self.offset += len(piece)
        self.octets -= len(piece)
        return piece

    def close(self) -> None:
        """Give the descriptor back; more than once is fine."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@value
class Content:
    """A message to be sent: `prefix` (added header lines, complete and with CRLF) and then `body`.

    `form` speaks of the body alone. `octets` is the whole size as it will be sent, prefix included and
    stuffing dots and terminator not (RFC 1939 section 11), or ``None`` if only the sending will tell.
    """

    body: bytes | FileRegion | AsyncIterator[bytes]
    form: Form = Form.ANY
    octets: int | None = None
    prefix: bytes = b""

    def close(self) -> None:
        """Free what the body holds, sent or not."""
        if isinstance(self.body, FileRegion):
            self.body.close()


def wire_octets(body: bytes) -> int:
    """The octets that `body` has when sent: every bare LF becomes CRLF, an unended last line is ended.

    Bare CR, NUL and 8-bit octets count as themselves; an empty message has 0 octets.
    """
    octets = len(body) + body.count(b"\n")
    if b"\r" in body:
        octets -= body.count(b"\r\n")
    if body and not body.endswith(b"\n"):
        octets += 2
    return octets


def examine(body: bytes) -> tuple[int, Form]:
    """The wire octets of `body`, and everything `Form` can say of it."""
    octets = wire_octets(body)
    form = Form.ANY
    if not body.startswith(b".") and not _DOT_LINE.search(body):
        form |= Form.UNDOTTED
    if octets == len(body):
        form |= Form.CRLF
    elif b"\r" not in body or b"\r\n" not in body:
        form |= Form.LF
    return octets, form
