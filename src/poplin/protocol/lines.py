"""Octets in, lines out, with a bound on each line; what is not a whole line yet stays here.

A line ends at LF; one CR before it belongs to the end (clients that send bare LF exist, RFC 1939 wants CRLF).
NUL and a CR elsewhere are octets like any others and never end a line early.
"""

from __future__ import annotations

__all__ = ["TOO_LONG", "LineBuffer"]

TOO_LONG = object()
"""Stands for a line over the bound: it was dropped whole, however long it was."""


class LineBuffer:
    """The input of one connection. Memory is bounded by the longest line allowed plus what was fed at once."""

    __slots__ = ("_data", "_discarding", "_position")

    def __init__(self) -> None:
        self._data = b""
        self._position = 0
        self._discarding = False

    def feed(self, octets: bytes) -> None:
        """Take in what arrived."""
        if self._position == len(self._data):
            self._data = octets
        else:
            self._data = self._data[self._position :] + octets
        self._position = 0

    @property
    def waiting(self) -> int:
        """The octets that no line was made of yet."""
        return len(self._data) - self._position

    @property
    def midline(self) -> bool:
        """Whether octets of an unfinished line are here, or were dropped."""
        return self._discarding or self._position < len(self._data)

    def next_line(self, bound: int) -> bytes | object | None:
        """The next line without its end, `TOO_LONG`, or ``None`` if no whole line is here.

        An overlong line is dropped as it comes in, and told of once, when its end has come.
        """
        data = self._data
        start = self._position
        end = data.find(b"\n", start)
        if end < 0:
            if self._discarding or len(data) - start > bound + 1:  # + 1: the CR of a line end still to come
                self._discarding = True
                self._data = b""
                self._position = 0
            return None
        self._position = end + 1
        if self._discarding:
            self._discarding = False
            return TOO_LONG
        if end > start and data[end - 1] == 13:
            end -= 1
        if end - start > bound:
            return TOO_LONG
        return data[start:end]

    def take(self) -> bytes:
        """Everything that is here, lines or not."""
        data = self._data[self._position :]
        self.clear()
        return data

    def clear(self) -> None:
        """Forget everything."""
        self._data = b""
        self._position = 0
        self._discarding = False
