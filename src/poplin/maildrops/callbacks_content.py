"""What a retrieve callback may give, made into `Content`, and counted without being kept."""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from poplin.calling import Callback, WrongAnswer, note
from poplin.content import Content, FileRegion, examine
from poplin.errors import MessageGone, MessageUnreadable

if TYPE_CHECKING:
    from email.message import EmailMessage

__all__ = ["Pieces", "Retrieved", "Source", "content_of", "count_octets"]

log: logging.Logger = logging.getLogger("poplin.maildrops")

Pieces: TypeAlias = Iterable[bytes] | Iterable[str] | AsyncIterable[bytes] | AsyncIterable[str]
"""A message in pieces, of any size."""

Retrieved: TypeAlias = "bytes | bytearray | memoryview | str | EmailMessage | os.PathLike[str] | Pieces | None"
"""A whole message: octets, text (sent as UTF-8), an `EmailMessage`, the path of its file (no ``str``, which
is text), or pieces of it, which need not be lines. Line ends may be LF or CRLF. ``None``: it is gone."""

Read: TypeAlias = Callable[[Callable[[int], bytes], int], Awaitable[bytes]]
"""Reads a piece of a file, in a thread."""

_SMALL = 262_144


@dataclass(frozen=True, slots=True)
class Source:
    """Which callback was asked for which message."""

    callback: Callback
    user: str
    key: Hashable
    expected: str

    def refuse(self, value: object) -> WrongAnswer:
        """The error that names the callback and the message."""
        return WrongAnswer(value, self.callback, self.expected, user=self.user, message=self.key)

    async def next(self, pieces: Iterator[object]) -> object:
        """The next piece, or `_END`; made in a thread if the callback may block."""
        if self.callback.blocking:
            return await self.callback.in_thread(self.user, _next, pieces)
        return self.callback.watched(_next, pieces)

    def broke(self, error: Exception) -> None:
        """An exception came in the middle: the client's connection is cut, and only here the log learns why."""
        note(error, f"in the callback {self.callback} for user {self.user!r}, message {self.key!r}")
        log.error("the callback %s failed in the middle of a message", self.callback, exc_info=error)


def content_of(value: object, source: Source) -> Content:
    """The message that a callback gave.

    Raises:
        MessageGone: there is none, or its file is not there.
        MessageUnreadable: its file cannot be read.
        WrongAnswer: it is no message.
    """
    if value is None:
        raise MessageGone("the callback gave None")
    if isinstance(value, os.PathLike):
        return _from_file(os.fspath(value))
    body = _at_once(value, source)
    if body is None:
        if not isinstance(value, AsyncIterable | Iterable):
            raise source.refuse(value)
        return Content(_stream(value, source))
    octets, form = examine(body)
    return Content(body, form, octets)


def _at_once(value: object, source: Source) -> bytes | None:
    """The octets of what is here as a whole; ``None`` for what comes in pieces."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    # Whoever gives an EmailMessage has loaded the package; nobody else needs it.
    messages = sys.modules.get("email.message")
    if messages is not None and isinstance(value, messages.Message):
        # mangle_from_ would turn "From " at a line's start into ">From ".
        message = cast("EmailMessage", value)
        return message.as_bytes(policy=message.policy.clone(linesep="\r\n", mangle_from_=False))
    if isinstance(value, list | tuple):
        return b"".join([_piece(piece, source) for piece in value])
    return None


def _piece(piece: object, source: Source) -> bytes:
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, str):
        return piece.encode(errors="surrogateescape")
    if isinstance(piece, bytearray | memoryview):
        return bytes(piece)
    raise source.refuse(piece)


def _from_file(path: str | bytes) -> Content:
    """The message in a file: small ones as octets, long ones read while they are sent."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as failure:
        raise MessageGone(f"{path!r} is not there") from failure
    except OSError as failure:
        raise MessageUnreadable(f"{path!r}: {failure.strerror}") from failure
    region = FileRegion(descriptor, 0, 0)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise MessageUnreadable(f"{path!r} is no regular file")
        region.octets = status.st_size
        if status.st_size > _SMALL:
            content, region = Content(region), FileRegion(-1, 0, 0)
            return content
        body = region.read(_SMALL)
        octets, form = examine(body)
        return Content(body, form, octets)
    except OSError as failure:
        raise MessageUnreadable(f"{path!r}: {failure.strerror or failure}") from failure
    finally:
        region.close()


async def _stream(value: AsyncIterable[object] | Iterable[object], source: Source) -> AsyncIterator[bytes]:
    """The pieces of an iterable, one at a time, as they are asked for; its source is closed at the end."""
    try:
        if isinstance(value, AsyncIterable):
            async for piece in value:
                yield _piece(piece, source)
        else:
            pieces = iter(value)
            while (piece := await source.next(pieces)) is not _END:
                yield _piece(piece, source)
    except Exception as error:
        source.broke(error)
        raise
    finally:
        await _close(value)


_END = object()


def _next(pieces: Iterator[object]) -> object:
    # StopIteration cannot cross a thread's future.
    return next(pieces, _END)


async def _close(source: object) -> None:
    """Close a generator or a file whose reader stops early; anything else needs no closing."""
    if hasattr(source, "aclose"):
        await source.aclose()
    elif hasattr(source, "close"):
        source.close()


async def count_octets(content: Content, read: Read) -> int:
    """The octets of `content` as sent; a stream or a long file is read through, and nothing of it is kept."""
    if content.octets is not None:
        return content.octets
    octets = 0
    last = b"\n"
    async for piece in _pieces(content.body, read):
        if piece:
            octets += len(piece) + piece.count(b"\n") - piece.count(b"\r\n")
            octets -= last == b"\r" and piece.startswith(b"\n")
            last = piece[-1:]
    return octets + (0 if last == b"\n" else 2)


async def _pieces(body: bytes | FileRegion | AsyncIterator[bytes], read: Read) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        yield body
    elif isinstance(body, FileRegion):
        while piece := await read(body.read, _SMALL):
            yield piece
    else:
        async for piece in body:
            yield piece
