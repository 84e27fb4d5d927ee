"""Why an address cannot be listened on, told so that the operator knows what to do (Linux; elsewhere the
system's own reason is all there is).
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from poplin.server.addresses import ListenError, split_address

__all__ = ["Holder", "explain", "first_open_port", "holders"]

_LISTENING = "0A"
_PROC = "/proc"


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens: its `pid` and `name` if we may see them, else its `user` alone."""

    user: str
    pid: int = 0
    name: str = ""
    is_poplin: bool = False

    def __str__(self) -> str:
        if self.is_poplin:
            return f"held by another poplin (pid {self.pid})"
        if self.pid:
            return f"held by {self.name} (pid {self.pid})"
        return f"held by a process of user {self.user} (start as root to see which)"


def explain(error: ListenError) -> str:
    """One line: the address, the reason, and what to do."""
    before, address, number = f"cannot listen on {error.address}", error.address, error.reason.errno
    other = "choose another port with --listen 127.0.0.1:0"
    if number == errno.EADDRINUSE and not address.startswith("unix:"):
        found = next(iter(holders(*split_address(address))), None)
        return f"{before}: {found or 'already in use'}; stop it, or {other}"
    if number in {errno.EACCES, errno.EPERM} and not address.startswith("unix:"):
        first = first_open_port()
        return (
            f'{before}: ports below {first} need root here; start as root with server.user = "poplin" or use systemd '
            f"activation (both come later; today: poplin help ports), or take a port from {first} on"
        )
    if number == errno.EADDRNOTAVAIL:
        return f"{before}: this machine does not have that address; see: ip address"
    reason = (error.reason.strerror or str(error.reason)).lower()
    if address.startswith("unix:"):
        folder = os.path.dirname(address[5:]) or "."
        what = {errno.EADDRINUSE: "another server answers there; stop it, or choose another path"}
        advice = "" if os.path.isdir(folder) else f"; make the folder {folder}"
        return f"{before}: {what.get(number or 0, reason + advice)}"
    return f"{before}: {reason}"


def first_open_port() -> int:
    """The first port that needs no privilege."""
    with contextlib.suppress(OSError, ValueError), open(f"{_PROC}/sys/net/ipv4/ip_unprivileged_port_start") as file:
        return int(file.read())
    return 1024


def holders(host: str, port: int) -> list[Holder]:
    """Who listens on this port, on this address or on all of them; empty where the system does not tell."""
    found: list[Holder] = []
    for inode, uid in set(_sockets(host, port)):
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = str(uid)
        pid = _owner(inode)
        found.append(Holder(user, pid, _name(pid), _is_poplin(pid)) if pid else Holder(user))
    return sorted(found, key=lambda holder: -holder.pid)


def _sockets(host: str, port: int) -> Iterator[tuple[str, int]]:
    """Inode and user id of each socket that listens on `port` and would be in the way of `host`."""
    wanted = ip_address(host)
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"{_PROC}/net/{table}") as file:
            for line in list(file)[1:]:
                fields = line.split()
                address, _, number = fields[1].partition(":")
                if fields[3] != _LISTENING or int(number, 16) != port:
                    continue
                # Four octets at a time, in the order of this machine's words.
                octets = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
                held = ip_address(octets)
                if held == wanted or held.is_unspecified or wanted.is_unspecified:
                    yield fields[9], int(fields[7])


def _owner(inode: str) -> int:
    """The process that has this socket open; 0 if we may not see it."""
    target = f"socket:[{inode}]"
    for pid in os.listdir(_PROC):
        if not pid.isdigit():
            continue
        folder = f"{_PROC}/{pid}/fd"
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(folder):
                with contextlib.suppress(OSError):
                    if os.readlink(f"{folder}/{descriptor}") == target:
                        return int(pid)
    return 0


def _name(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"{_PROC}/{pid}/comm") as file:
        return file.read().strip()
    return "a process"


def _is_poplin(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"{_PROC}/{pid}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
        return b"serve" in words and any(os.path.basename(word) == b"poplin" for word in words[:3])
    return False
