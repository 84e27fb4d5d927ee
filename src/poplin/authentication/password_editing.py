"""Editing a password file: adding, replacing and removing users (POSIX).

The file is written whole: a new file beside it, synced, then renamed over it. A reader sees the old file
or the new one, a crash leaves one of the two, and a full disk leaves the old one. Comments, order, line
ends, mode and owner stay. Editors wait for each other, so that none loses another's change.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from poplin.authentication import schemes
from poplin.authentication.password_file import read_octets
from poplin.authentication.password_lines import Line, read_lines
from poplin.authentication.user_names import LOWERCASE, check_user_name
from poplin.errors import Error, TemporaryFailure

__all__ = ["ListedUser", "NameTaken", "NameUnknown", "PasswordFileEditor"]

_PATIENCE = 10.0
"""Seconds to wait for another editor."""


class NameTaken(Error):
    """A user to be added is there already."""


class NameUnknown(Error):
    """A user to be changed or removed is not there."""


class ListedUser(NamedTuple):
    """One record: the `user`, the `scheme` of the password ("" if it is broken), the `line` in the file."""

    user: str
    scheme: str
    line: int


@dataclass(frozen=True, slots=True)
class PasswordFileEditor:
    """Edits the password file at `path`, which need not exist yet; a symbolic link is followed, not replaced.

    `names` is the rule by which `PasswordFile` reads the same file.

    Every change raises `TemporaryFailure` if another editor does not finish, and `OSError` if the file
    cannot be read or written, which has then not changed.
    """

    path: str
    names: Callable[[str], str] = LOWERCASE

    def users(self) -> list[ListedUser]:
        """The records that count, in the order of the file.

        Raises:
            OSError: the file cannot be read.
        """
        found: dict[str, ListedUser] = {}
        text = read_octets(self.path).decode(errors="surrogateescape")
        for line in read_lines(text, self.names):
            if isinstance(line, Line) and line.user not in found:
                scheme = schemes.known_scheme(line.rest.partition(":")[0]) or ""
                found[line.user] = ListedUser(line.user, scheme, line.number)
        return list(found.values())

    def add(self, user: str, stored: str) -> None:
        """Append a record; `stored` is a written form as `schemes.make` gives it.

        Raises:
            NameTaken: there is one.
            ValueError: the name or the stored password cannot stand in such a file.
        """
        user, stored = self._name(user), _sound(stored)
        with self._locked(create=True):
            lines, found = self._lines(user)
            if found:
                raise NameTaken(f"{user} is already there, in line {found[0] + 1} of {self.path}")
            if lines and lines[-1]:
                lines.append("")
            lines[-1:] = [f"{user}:{stored}", ""]
            self._write(lines)

    def replace(self, user: str, stored: str) -> None:
        """Give a user another stored password; the other fields stay.

        Raises:
            NameUnknown: there is none of that name.
            ValueError: as for `add`.
        """
        user, stored = self._name(user), _sound(stored)
        with self._locked():
            lines, found = self._lines(user)
            if not found:
                raise NameUnknown(f"{user} is not in {self.path}")
            line = lines[found[0]]
            name, _, rest = line.removesuffix("\r").partition(":")
            _, colon, others = rest.partition(":")
            lines[found[0]] = f"{name}:{stored}{colon}{others}" + ("\r" if line.endswith("\r") else "")
            self._write(lines)

    def remove(self, user: str) -> None:
        """Remove every record of a user: a second one would begin to count.

        Raises:
            NameUnknown: there is none of that name.
            ValueError: the name can stand in no such file.
        """
        user = self._name(user)
        with self._locked():
            lines, found = self._lines(user)
            if not found:
                raise NameUnknown(f"{user} is not in {self.path}")
            gone = set(found)
            self._write([line for index, line in enumerate(lines) if index not in gone])

    def _name(self, user: str) -> str:
        name = self.names(user)
        refusal = check_user_name(name)
        if refusal is not None:
            raise ValueError(refusal)
        return name

    def _lines(self, user: str) -> tuple[list[str], list[int]]:
        """The file's lines, and the indexes of those that are records of `user`."""
        text = read_octets(self.path).decode(errors="surrogateescape")
        found = [
            line.number - 1 for line in read_lines(text, self.names) if isinstance(line, Line) and line.user == user
        ]
        return text.split("\n"), found

    @contextlib.contextmanager
    def _locked(self, *, create: bool = False) -> Iterator[None]:
        """Hold an exclusive lock on the file itself.

        The rename puts another file in its place, so whoever got the lock looks whether what it locked is
        still what stands there. The lock goes with the descriptor, whatever happens to the process.
        """
        import fcntl

        deadline = time.monotonic() + _PATIENCE
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_CREAT if create else 0)
        while True:
            descriptor = os.open(self.path, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                    break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise TemporaryFailure(f"{self.path}: another program is editing it; try again") from None
                time.sleep(0.02)
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        try:
            yield
        finally:
            os.close(descriptor)

    def _write(self, lines: list[str]) -> None:
        """Put a file of these lines in the place of the old one."""
        target = os.path.realpath(self.path)
        folder, name = os.path.split(target)
        status = os.stat(target)
        # One name, so that crashes leave at most one such file; the lock keeps other editors from it.
        temporary = os.path.join(folder, f".{name}.poplin-new")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                if (status.st_uid, status.st_gid) != (os.geteuid(), os.fstat(descriptor).st_gid):
                    os.fchown(descriptor, status.st_uid, status.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
                file.write("\n".join(lines).encode(errors="surrogateescape"))
                file.flush()
                os.fsync(descriptor)
            os.rename(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        parent = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def _sound(stored: str) -> str:
    """`stored`, if it can stand in a line of the file.

    Raises:
        ValueError: it cannot, or it is no stored password.
    """
    if ":" in stored or not stored.isprintable():
        raise ValueError("the stored password holds a colon, a line end or a control character")
    schemes.parse(stored)
    return stored
