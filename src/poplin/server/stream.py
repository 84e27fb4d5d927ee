"""Octets between a transport and whoever speaks the protocol: TLS, back-pressure, the write's deadline, the close.

No command, reply or session in this file. `driver.Driver` builds on `Stream` and fills in its hooks.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from poplin.server.tls import TlsLayer

__all__ = ["Stream"]

_LINGER = 2.0  # seconds for a client to read our last words before the socket is gone


class Stream(asyncio.Protocol):
    """One connection's octets. `deadline` is the loop's time at which it has been waited long enough; `paused` is
    true while the client does not read what we write, `reading_paused` while we do not read what it writes; `closing`
    once nothing more will be said."""

    __slots__ = (
        "_drained",
        "_stuck",
        "_write_timeout",
        "closing",
        "deadline",
        "eof",
        "loop",
        "lost",
        "paused",
        "reading_paused",
        "tls",
        "transport",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, write_timeout: float) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.transport: asyncio.Transport = cast(
            "asyncio.Transport", None
        )  # there from connection_made on, before anything else
        self.tls: TlsLayer | None = None
        self.deadline: float = 0.0
        self.closing: bool = False
        self.eof: bool = False
        self.lost: bool = False
        self.paused: bool = False
        self.reading_paused: bool = False
        self._write_timeout = write_timeout
        self._drained: asyncio.Future[None] | None = None
        self._stuck = -1

    # Hooks

    def opened(self) -> None:
        """The transport is there."""

    def received(self, octets: bytes) -> None:
        """The client said this, TLS undone."""

    def received_end(self) -> None:
        """The client will say no more."""

    def secured(self, tls: TlsLayer) -> None:
        """TLS is up."""

    def unsecured(self, error: ssl.SSLError) -> None:
        """TLS failed; the connection is about to close."""

    def writable(self) -> None:
        """The client has caught up with what we wrote."""

    def gone(self) -> None:
        """The connection is gone, whoever ended it."""

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.opened()

    def data_received(self, data: bytes) -> None:
        """Pass octets on, decrypted."""
        if self.closing:
            return  # said behind our last words: read, so that closing resets nothing, and dropped
        if self.tls is None:
            self.received(data)
        else:
            self._decrypt(self.tls, data)

    def eof_received(self) -> bool:
        """Half-closed: what was asked before is still answered."""
        self.eof = True
        if not self.closing:
            self.received_end()
        return not self.closing

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self.paused = True
        self.watch_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.paused = False
        self._stuck = -1
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.lost = self.closing = True
        if self._drained is not None and not self._drained.done():
            self._drained.cancel()
        self.gone()

    # Octets out

    def write(self, octets: bytes) -> None:
        """Write in one piece, encrypted if TLS is up."""
        if octets and not self.lost:
            self.transport.write(octets if self.tls is None else self.tls.encrypt(octets))

    async def drained(self) -> None:
        """Wait until the client has caught up."""
        self._drained = self.loop.create_future()
        try:
            await self._drained
        finally:
            self._drained = None

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self.reading_paused:
            self.reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, if reading was paused."""
        if self.reading_paused:
            self.reading_paused = False
            self.transport.resume_reading()

    def watch_writing(self) -> None:
        """Give the client its time to read."""
        self._stuck = self.transport.get_write_buffer_size()
        self.deadline = self.loop.time() + self._write_timeout

    @property
    def reads_slowly(self) -> bool:
        """Whether the client has read something since `watch_writing`, if not all."""
        return 0 < self.transport.get_write_buffer_size() < self._stuck

    # TLS

    def begin_tls(self, context: ssl.SSLContext) -> None:
        """From here on the octets are TLS's."""
        self.tls = TlsLayer(context)

    def _decrypt(self, tls: TlsLayer, data: bytes) -> None:
        established = tls.established
        try:
            plain = tls.receive(data)
        except ssl.SSLError as error:
            self.transport.write(tls.pending())  # the alert that says why
            self.tls = None
            self.lost = True  # and not a word more: what was meant for TLS never goes out in clear
            self.unsecured(error)
            return
        if pending := tls.pending():
            self.transport.write(pending)
            if self.paused:
                # TLS itself answers (key updates, RFC 8446 section 4.6.3): who does not read asks for no more of it.
                self.pause_reading()
        if tls.established and not established:
            self.secured(tls)
        if plain and not self.closing:
            self.received(plain)
        if tls.closed and not self.eof:
            self.eof = True
            if not self.closing:
                self.received_end()

    # The end

    def close(self, *, linger: bool = False) -> None:
        """Write what was given to `write`, then close. With `linger` our last words survive what the client is still
        sending: closing a socket with unread input resets it, and a reset may overtake them."""
        self.closing = True
        self.resume_reading()
        if self.tls is not None and self.tls.established:
            self.transport.write(self.tls.close())
        linger = linger and not self.eof and self.transport.can_write_eof()
        if linger:
            try:
                self.transport.write_eof()
            except OSError:  # the client is gone, and the loop has yet to tell us
                linger = False
        if not linger:
            self.transport.close()
        self.watch_writing()
        if linger:
            self.deadline = self.loop.time() + _LINGER

    def abort(self) -> None:
        """Close now, whatever is unwritten."""
        self.closing = True
        self.transport.abort()
