"""Key updates (RFC 8446 section 4.6.3) are answered by TLS itself: a client that asks for them without end and reads
nothing must be stopped as any other that does not read."""

import _ssl
import asyncio
import contextlib
import ctypes
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest

import poplin
from poplin.maildrops.memory import MemoryMaildrops
from support.serving import Certificate, OnePassword

MOST = 8_000_000
"""Far more octets than two sockets of the UNIX family and the server's own bounds hold."""


class KeyUpdates:
    """A client's end of TLS 1.3 that can ask for new keys, which Python's own `ssl` cannot: OpenSSL is asked."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing)
        library = ctypes.CDLL(_ssl.__file__)
        self._update, self._handshake = library.SSL_key_update, library.SSL_do_handshake
        self._update.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self._handshake.argtypes = [ctypes.c_void_p]
        # The SSL* stands behind the object's head and its first member.
        inner = id(self._object._sslobj)  # type: ignore[attr-defined]  # nothing public leads there
        self._ssl = ctypes.c_void_p.from_address(inner + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)).value

    def shake_hands(self) -> None:
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._outgoing.read())
                self._incoming.write(self._socket.recv(65_536))
            else:
                break
        self._socket.sendall(self._outgoing.read())

    def flood(self, most: int) -> int:
        """Ask for answers without reading one; how many octets were taken in `most` at most."""
        sent = 0
        self._socket.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while sent < most:
                for _ in range(1000):
                    assert self._update(self._ssl, 1) == 1
                    assert self._handshake(self._ssl) == 1
                pieces = memoryview(self._outgoing.read())
                while pieces:
                    taken = self._socket.send(pieces)
                    sent += taken
                    pieces = pieces[taken:]
        return sent


@pytest.mark.skipif(not ssl.HAS_TLSv1_3, reason="no TLS 1.3 here")
def test_who_asks_for_keys_without_end_is_not_read_without_end(
    certificate: Certificate, run_async: Callable[[Awaitable[int]], int]
) -> None:
    async def flooded() -> int:
        server = poplin.Server(maildrops=MemoryMaildrops(), authenticator=OnePassword("secret"))
        theirs, ours = socket.socketpair()
        listener = poplin.Listener(address="unix:here", tls="implicit", context=certificate.context)
        serving = asyncio.create_task(server.serve_socket(ours, listener))
        client = KeyUpdates(theirs)
        try:
            await asyncio.to_thread(client.shake_hands)
            return await asyncio.to_thread(client.flood, MOST)
        finally:
            theirs.close()
            await serving

    sent = run_async(flooded())
    assert sent < MOST
