"""Exclusive access to a maildrop: one POP3 session at a time, on this machine (RFC 1939 section 4).

Two layers, and nothing else, may live here. The `Registry` knows the sessions of this process. A
`SessionLock` asks it first and then takes ``flock`` on a session-lock file that nobody else uses, so that
delivery and IMAP never notice it, and which the kernel drops with the process. POSIX record locks
(``lockf``) would be dropped when *any* descriptor of the file is closed. The file is never unlinked: a
second process could hold a lock on the name's old file while a third locks the new one.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass

from poplin.errors import InUse, PermanentFailure, TemporaryFailure

if sys.platform != "win32":  # where the registry alone is of use
    import fcntl

__all__ = ["Holder", "Registry", "SessionLock"]

# O_NOFOLLOW and O_NONBLOCK: whoever may write in the directory may plant a link or a fifo under our name.
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_UNWRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_UNMAKEABLE = _UNWRITABLE | {errno.ENOSPC, errno.EDQUOT}
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOLCK, errno.EIO})


@dataclass(slots=True, eq=False)
class Holder:
    """Who has a maildrop: the `session` id, `since` when (``time.monotonic()``), the client's `address`.

    Compared by identity, so that a release never frees what somebody else acquired meanwhile.
    """

    session: str
    since: float
    address: str


class Registry:
    """The maildrops in use by the sessions of this process. Any thread may call."""

    __slots__ = ("_guard", "_holders")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._holders: dict[Hashable, Holder] = {}

    def acquire(self, key: Hashable, session: str = "", address: str = "") -> Holder:
        """Take `key`; the result is what `release` wants back.

        Raises:
            InUse: it is taken; says for how many seconds and from which address.
        """
        holder = Holder(session, time.monotonic(), address)
        with self._guard:
            other = self._holders.setdefault(key, holder)
        if other is not holder:
            raise InUse(since=max(0.0, holder.since - other.since), where=other.address)
        return holder

    def release(self, key: Hashable, holder: Holder) -> None:
        """Give `key` back; does nothing when `holder` has it no more."""
        with self._guard:
            if self._holders.get(key) is holder:
                del self._holders[key]

    def holder(self, key: Hashable) -> Holder | None:
        """Who has `key` now."""
        return self._holders.get(key)


class SessionLock:
    """Exclusive access to one maildrop across the processes of this machine (POSIX alone).

    `path` is the session-lock file, made where it is missing (mode 0600), and the key in the registry. It
    holds one line for the other processes: process id, seconds since 1970, address (``-`` if none).

    Where the file cannot be made (a read-only or full file system, a directory of somebody else's), the
    directory `stand_in` is locked in its stead, and others cannot say since when. Making the file needs that
    lock too, so the two ways never let in a session each. `stand_in` must be this maildrop's alone.
    """

    __slots__ = ("_descriptor", "_holder", "_path", "_registry")

    def __init__(self, registry: Registry, path: str, stand_in: str, *, session: str = "", address: str = "") -> None:
        """Take the lock, at once or not at all.

        Raises:
            InUse: another session of this process or of another one has it.
            FileNotFoundError: `stand_in` does not exist.
            PermanentFailure: the file cannot be opened.
            TemporaryFailure: the system has no descriptors or locks to give now.
        """
        self._registry = registry
        self._path = path
        self._descriptor = -1
        self._holder: Holder | None = registry.acquire(path, session, address)
        try:
            self._descriptor = _locked(path, stand_in, address)
        except BaseException as error:
            self.release()
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                kind = TemporaryFailure if error.errno in _EXHAUSTED else PermanentFailure
                raise kind(f"session lock {path}: {error.strerror}") from error
            raise

    def release(self) -> None:
        """Give the lock back; more than once is fine. Any thread may call."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if descriptor >= 0:
                _unlock(descriptor)
        finally:
            self._registry.release(self._path, holder)


def _locked(path: str, stand_in: str, address: str) -> int:
    """A descriptor that holds the lock."""
    try:
        descriptor = _open(path)
    except FileNotFoundError:
        return _make(path, stand_in, address)
    return _take(descriptor, path, address)


def _make(path: str, stand_in: str, address: str) -> int:
    guard = os.open(stand_in, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        if not _flock(guard):
            raise InUse
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        except OSError as error:
            if error.errno not in _UNMAKEABLE:
                raise
            descriptor, guard = guard, -1
            return descriptor
        return _take(descriptor, path, address)
    finally:
        if guard >= 0:
            _unlock(guard)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | _FLAGS)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        return os.open(path, os.O_RDONLY | _FLAGS)  # flock asks for no right to write


def _take(descriptor: int, path: str, address: str) -> int:
    """Lock `descriptor` and sign the file, or close it and say who has it."""
    try:
        if not _flock(descriptor):
            raise _in_use(descriptor)
        if not os.fstat(descriptor).st_nlink:
            raise TemporaryFailure(f"session lock {path} was removed by somebody just now")
        try:  # noqa: SIM105  # suppress() costs as much as the write itself, on the hottest path there is
            os.pwrite(descriptor, f"{os.getpid()} {time.time():.0f} {address or '-'}\n".encode(), 0)
        except OSError:
            pass  # nobody needs the line to be locked out; a full disk must keep nobody from deleting mail
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _in_use(descriptor: int) -> InUse:
    try:
        line = os.pread(descriptor, 200, 0).partition(b"\n")[0].decode("ascii", "replace")
        _, since, address = line.split(" ")
        where = address if address != "-" and address.isprintable() else ""  # the client is told of it
        return InUse(since=max(0.0, time.time() - int(since)), where=where)
    except (OSError, ValueError):  # not written yet, or not by us
        return InUse()


def _flock(descriptor: int) -> bool:
    """Whether the lock was to be had."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(descriptor: int) -> None:
    """Unlock and close: said aloud, since a forked child may have inherited the descriptor."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
