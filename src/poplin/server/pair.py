"""A transport over any pair of binary files: pipes, terminals, regular files, objects in memory.

Under inetd with pipes, in tests, or wherever a session shall run on something that is no socket. Two threads do
the blocking reads and writes, so every kind of file works under every loop; who has a socket takes the loop's own
transport instead, which is faster.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import BinaryIO, TypeVar

__all__ = ["PairTransport"]

T = TypeVar("T")

_PIECE = 65_536
_HIGH = 65_536  # octets waiting to be written above which the protocol is told to pause


class PairTransport(asyncio.Transport):
    """Reads from one file, writes to the other, and drives a protocol with both. The files are not closed."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, source: BinaryIO, sink: BinaryIO
    ) -> None:
        super().__init__({"peername": None, "sockname": None})
        self._loop = loop
        self._protocol = protocol
        self._source = source
        self._sink = sink
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._waiting = 0
        self._high = False
        self._closing = False
        self._lost = False
        self._may_read = threading.Event()
        self._may_read.set()
        protocol.connection_made(self)
        for target, name in ((self._read, "poplin-pair-reader"), (self._write, "poplin-pair-writer")):
            # Daemons: a read that blocks for ever must not keep the process from ending.
            threading.Thread(target=target, name=name, daemon=True).start()

    # The reader's and the writer's thread

    def _read(self) -> None:
        read = getattr(self._source, "read1", self._source.read)
        data = b"."
        while data:
            self._may_read.wait()
            try:
                data = read(_PIECE)
            except (OSError, ValueError):
                data = b""
            self._tell(self._received, data)

    def _write(self) -> None:
        try:
            while (piece := self._queue.get()) is not None:
                self._sink.write(piece)
                self._sink.flush()
                self._tell(self._written, len(piece))
        except (OSError, ValueError) as error:
            # Nothing was taken: a session that heard otherwise would go on to the QUIT behind the message.
            self._tell(self._lose, error)
        else:
            self._tell(self._lose, None)

    def _tell(self, call: Callable[[T], None], argument: T) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed before the file came to its end
            self._loop.call_soon_threadsafe(call, argument)

    # What they tell the loop

    def _received(self, data: bytes) -> None:
        if self._lost:
            return
        if data:
            self._protocol.data_received(data)
        elif not self._protocol.eof_received():
            self.close()

    def _written(self, octets: int) -> None:
        self._waiting -= octets
        if self._high and not self._lost and self._waiting <= _HIGH // 4:
            self._high = False
            self._protocol.resume_writing()

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = self._closing = True
            self._may_read.set()
            self._protocol.connection_lost(error)

    # asyncio.Transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Queue octets for the writer."""
        if self._lost or not data:
            return
        self._waiting += len(data)
        self._queue.put(bytes(data))
        if self._waiting > _HIGH and not self._high:
            self._high = True
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        """The octets that the writer has not written yet."""
        return self._waiting

    def can_write_eof(self) -> bool:
        """No: a file's end is its owner's business."""
        return False

    def pause_reading(self) -> None:
        """Read no more after the piece under way."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Read on."""
        self._may_read.set()

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._closing

    def close(self) -> None:
        """Write what is queued, then be gone."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)

    def abort(self) -> None:
        """Be gone now."""
        self.close()
        self._loop.call_soon(self._lose, None)
