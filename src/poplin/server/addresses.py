"""Addresses of listeners, as text and as sockets. Everything is bound before anything listens.

No connection and no loop in this file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence

from poplin.errors import Error
from poplin.server.hub import Listener

__all__ = ["BACKLOG", "ListenError", "ListenErrors", "bind_all", "discard", "local_name", "split_address", "written"]

BACKLOG = 4096  # the kernel cuts it to net.core.somaxconn


class ListenError(Error):
    """One address that cannot be listened on; `reason` is the system's own."""

    def __init__(self, address: str, reason: OSError) -> None:
        super().__init__(f"cannot listen on {address}: {reason.strerror or reason}")
        self.address = address
        self.reason = reason


class ListenErrors(Error):
    """Every address that cannot be listened on; none of the others stays open."""

    def __init__(self, errors: Sequence[ListenError]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors: tuple[ListenError, ...] = tuple(errors)


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        ValueError: it is neither.
    """
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"{address!r} is no address: expected host:port, [IPv6]:port or unix:path")
    return host, int(port)


def written(bound: socket.socket) -> str:
    """The address of a bound socket, as a listener is written."""
    name = bound.getsockname()
    if bound.family == socket.AF_INET6:
        return f"[{name[0]}]:{name[1]}"
    if bound.family == socket.AF_INET:
        return f"{name[0]}:{name[1]}"
    return f"unix:{os.fsdecode(name)}"


def local_name(bound: socket.socket) -> tuple[str, int] | None:
    """Our end of every connection that comes in by a bound socket; ``None`` if each has its own."""
    if bound.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    name = bound.getsockname()
    return None if name[0] in {"0.0.0.0", "::"} else (name[0], name[1])  # noqa: S104 - compared, not bound


def bind_all(listeners: Sequence[Listener]) -> list[tuple[Listener, socket.socket]]:
    """Bind every listener, and then listen on all; or on none.

    Raises:
        ListenErrors: with each address that failed and why.
    """
    bound: list[tuple[Listener, socket.socket]] = []
    errors: list[ListenError] = []
    for listener in listeners:
        try:
            bound.append((listener, _bind(listener)))
        except OSError as error:
            if not (listener.optional and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}):
                errors.append(ListenError(listener.address, error))
    for listener, socket_ in () if errors else bound:
        try:
            socket_.listen(BACKLOG)
        except OSError as error:  # bound by somebody else too, who listens
            errors.append(ListenError(listener.address, error))
    if errors:
        for _, socket_ in bound:
            discard(socket_)
        raise ListenErrors(errors)
    return bound


def discard(bound: socket.socket) -> None:
    """Close a bound socket that nobody shall connect to any more; a UNIX socket's file goes with it."""
    path = os.fsdecode(bound.getsockname()) if bound.family == socket.AF_UNIX else ""
    bound.close()
    if path:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _bind(listener: Listener) -> socket.socket:
    if listener.address.startswith("unix:"):
        return _bind_unix(listener.address.removeprefix("unix:"), listener.unix_mode)
    host, port = split_address(listener.address)
    family, kind, protocol, _, name = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        _tune(bound)
        bound.bind(name)
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _tune(bound: socket.socket) -> None:
    """Set what accepted connections inherit: no call per connection."""
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if bound.family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A dead peer is noticed: after 2 minutes of silence the kernel asks, and after 1 more it gives up.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 120),
        ("TCP_KEEPINTVL", 20),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 180_000),
    ):
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                bound.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _bind_unix(path: str, mode: int) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        # The socket is made with the right mode: nobody connects in between.
        before = os.umask(0o777 & ~mode)
        try:
            bound.bind(path)
        finally:
            os.umask(before)
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody answers at; anything else is left, and bind() will complain."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
