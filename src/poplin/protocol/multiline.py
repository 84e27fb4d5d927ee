"""The body of a multi-line response: line ends, byte-stuffing, the cut for TOP, the terminator.

One routine serves RETR and TOP, whole messages and pieces of them: `Encoder`. Nothing here loops over octets;
what runs per message is a few passes of the interpreter's own search and replace. `Decoder` is the other way.

A two-octet needle makes CPython's own search slow (5 µs for 8 KB, 12 µs to replace); a compiled pattern takes 3 µs,
and no text makes it slow.
"""

from __future__ import annotations

import re

from poplin.content import Form

__all__ = ["TERMINATOR", "Decoder", "Encoder"]

TERMINATOR = b".\r\n"
# Plain numbers: arithmetic on the flags themselves costs 0.4 µs each, several times a message.
_CRLF = int(Form.CRLF)
_LF = int(Form.LF)
_STUFFED = int(Form.STUFFED)
_NO_STUFFING = int(Form.UNDOTTED | Form.STUFFED)
_DOT_LINE = re.compile(rb"\n\.")


class Encoder:
    """Makes the octets of one body, fed in pieces cut anywhere. `octets` counts what was sent, without
    stuffing dots and terminator (RFC 1939 section 11 as corrected: the size that LIST promised).

    `form` holds for everything that is fed. `lines` cuts after the header, the blank line and so many lines
    of the body (TOP); a message without a blank line is all header.
    """

    __slots__ = ("_body_lines", "_cr", "_form", "_in_header", "_line_begin", "_line_start", "octets")

    def __init__(self, form: Form = Form.ANY, lines: int | None = None) -> None:
        self._form = int(form)
        self._body_lines = lines
        self._in_header = True
        self._line_begin = b""  # of the line that the pieces before left unended: enough to tell whether it is blank
        self._line_start = True
        self._cr = False
        self.octets: int = 0

    @property
    def satisfied(self) -> bool:
        """Whether TOP has all its lines, so that the rest of the body need not be read."""
        return self._body_lines == 0 and not self._in_header

    def feed(self, octets: bytes, form: Form | None = None) -> bytes:
        """The wire octets of the next piece; `form` overrides the body's for this piece alone."""
        if self._body_lines is not None:
            octets = self._cut(octets)
        if not octets:
            return b""
        known = self._form if form is None else int(form)
        if known & _CRLF:
            whole = octets
        else:
            whole = self._line_ends(octets, known)
            if not whole:
                return b""
        self.octets += len(whole)
        if known & _NO_STUFFING:
            if known & _STUFFED:  # every line that begins with a dot has one that is none of the message's
                self.octets -= whole.count(b"\n.") + (self._line_start and whole.startswith(b"."))
            self._line_start = whole.endswith(b"\n")
            return whole
        stuffed = _DOT_LINE.sub(b"\n..", whole)
        if self._line_start and whole.startswith(b"."):
            stuffed = b"." + stuffed
        self._line_start = whole.endswith(b"\n")
        return stuffed

    def finish(self) -> bytes:
        """The end of the body: the last line's own end if it has none, and the terminator."""
        rest = b""
        if self._cr:  # a CR held back to see what follows: nothing did
            self._cr = False
            self._line_start = False
            self.octets += 1
            rest = b"\r"
        if not self._line_start:
            self._line_start = True
            self.octets += 2
            rest += b"\r\n"
        return rest + TERMINATOR

    def _line_ends(self, octets: bytes, form: int) -> bytes:
        """Every LF with exactly one CR of its own; a bare CR stays as it is."""
        if self._cr:
            octets = b"\r" + octets
            self._cr = False
        if form & _LF or b"\r" not in octets:
            return octets.replace(b"\n", b"\r\n")
        if octets.endswith(b"\r"):
            self._cr = True
            octets = octets[:-1]
        return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def _cut(self, octets: bytes) -> bytes:
        """As much of `octets` as TOP asks for."""
        position = 0
        while not self.satisfied:
            end = octets.find(b"\n", position)
            if end < 0:
                self._line_begin = (self._line_begin + octets[position : position + 2])[:2]
                return octets
            if not self._in_header:
                self._body_lines -= 1  # type: ignore[operator]  # _cut runs only where it is a number
            elif end - position < 2 and self._line_begin + octets[position:end] in {b"", b"\r"}:
                self._in_header = False
            self._line_begin = b""
            position = end + 1
        return octets[:position]


class Decoder:
    """The other way: a body's wire octets in, in pieces cut anywhere, its unstuffed octets out.

    `complete` is set when the terminator was met; the octets that came behind it are in `trailing`.
    """

    __slots__ = ("_held", "_line_start", "complete", "trailing")

    def __init__(self) -> None:
        self._held = b""
        self._line_start = True
        self.complete: bool = False
        self.trailing: bytes = b""

    def feed(self, octets: bytes) -> bytes:
        """The body's next octets; those that may still turn out to be the terminator are held back."""
        data = self._held + octets
        self._held = b""
        pieces: list[bytes] = []
        start = 0  # of what was not given out yet
        dot = 0 if self._line_start and data.startswith(b".") else _dot_line(data, 0)
        while dot >= 0:
            behind = data[dot + 1 : dot + 3]
            if behind == b"\r\n":
                self.complete = True
                self.trailing = data[dot + 3 :]
                return b"".join([*pieces, data[start:dot]])
            if len(behind) < 2 and b"\r\n".startswith(behind):  # "." or ".\r": wait for the rest
                self._held = data[dot:]
                self._line_start = True
                return b"".join([*pieces, data[start:dot]])
            pieces.append(data[start:dot])
            start = dot + 1
            dot = _dot_line(data, start)
        self._line_start = data.endswith(b"\r\n") or (not data and self._line_start)
        if data.endswith(b"\r") and start < len(data):  # an LF and a dot may follow
            self._held = b"\r"
            data = data[:-1]
        return b"".join([*pieces, data[start:]])


def _dot_line(data: bytes, start: int) -> int:
    """Where the next line begins with a dot, from `start` on; -1 if none does."""
    found = data.find(b"\r\n.", start)
    return found + 2 if found >= 0 else -1
