"""Users in a text file: Dovecot's passwd-file and htpasswd's, for reading. `password_editing` writes it.

The file is read anew when it changed, which one ``stat`` at a login tells. A file that cannot be read is a
temporary failure for everybody: nobody's password is wrong, and nobody is let in by what it used to say.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import logging
import math
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from poplin.authentication import password_lines, schemes
from poplin.authentication.apop import apop_matches
from poplin.authentication.base import PASSWORD_MECHANISMS, ApopProof, Credentials
from poplin.authentication.password_lines import Complaint, Record, Table
from poplin.authentication.user_names import LOWERCASE
from poplin.calling import in_thread
from poplin.errors import AuthenticationFailed, Refused, TemporaryFailure
from poplin.identity import ClientFacts, Identity, MaybeAwaitable
from poplin.values import value

__all__ = ["PasswordFile", "Tally", "read_octets"]

log: logging.Logger = logging.getLogger("poplin.authentication")

_LARGE = 262_144
"""Octets; a longer file is read in a thread, not in the event loop."""
_SETTLED = 2.0
"""Seconds; a file that was changed less than this before it was read may change again without a sign of
it, for its times have a coarse grain (2 s on FAT, 1 s on old NFS, some ms on ext4)."""
_LOOK = 0.2
"""Seconds for which a greeting goes by the last look at the file: a look costs 4 µs, and a login takes one anyway."""
_WITH_APOP = PASSWORD_MECHANISMS | {"APOP"}
_MOST_RECORDS = 50_000
"""Records kept in their read form, about 600 octets each; the lines themselves are all kept."""
_LOGGED = 10
"""So many bad lines are logged one by one."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many records a file has, and how many of them keep a readable secret, which APOP needs."""

    records: int
    readable: int


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read, and by what to know that it still holds."""

    signature: tuple[int, int, int, int]
    settled: bool
    digest: bytes
    table: Table
    stand_in: schemes.StoredPassword | None
    mechanisms: frozenset[str]


@value
class _Attempt:
    """One login: the normalised `user`, and his `record` if there is one."""

    user: str
    record: Record | None
    credentials: Credentials
    client: ClientFacts


class PasswordFile:
    """The authenticator of a password file. It may be used from several threads.

    `names` says how names are compared: as the file's own names are normalised by it too, ``Bob`` and
    ``bob`` are one user by default.
    """

    def __init__(self, path: str | os.PathLike[str], names: Callable[[str], str] = LOWERCASE) -> None:
        self.path: str = os.fspath(path)
        self._names = names
        self._reading: _Reading | None = None
        self._looked = -math.inf
        self._lock = threading.Lock()
        self._logged: list[Complaint] = []

    def __repr__(self) -> str:
        return f"<PasswordFile {self.path!r}>"

    def mechanisms(self) -> frozenset[str]:
        """What every record can serve: APOP only if all keep a readable secret; nothing if there is no record.

        A file that cannot be read just now offers what it would with hashed records, so that its clients
        are told of a temporary failure and not of a missing mechanism.
        """
        try:
            return self._at_once().mechanisms
        except TemporaryFailure:
            return PASSWORD_MECHANISMS

    def tally(self) -> Tally:
        """How many records there are.

        Raises:
            TemporaryFailure: the file cannot be read.
        """
        table = (self._fresh() or self._read()).table
        return Tally(len(table.rests), table.readable)

    def check(self) -> list[str]:
        """Everything that is wrong with the file, each as ``file:line: what``; no secret is quoted."""
        try:
            table = self._read().table
            text = read_octets(self.path).decode(errors="surrogateescape")
        except (TemporaryFailure, OSError) as failure:
            return [str(failure) if isinstance(failure, TemporaryFailure) else f"{self.path}: {failure.strerror}"]
        found = {complaint.line: complaint.text for complaint in table.complaints}
        for line in password_lines.read_lines(text, self._names):
            if isinstance(line, password_lines.Line) and line.number not in found:
                complaint = password_lines.examine(line)
                if complaint is not None:
                    found[line.number] = complaint
        return [f"{self.path}:{number}: {found[number]}" for number in sorted(found)]

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> MaybeAwaitable[Identity]:
        """See `poplin.authentication.base.Authenticator`. Answers at once where that takes no time.

        Raises:
            AuthenticationFailed: unknown user, broken record, or wrong proof.
            Refused: the proof is right, but the record says not from there (``allow_nets``), not at all
                (``nologin``), or the client wants to act as somebody else.
            TemporaryFailure: the file cannot be read, or a hash cannot be checked for want of a library.
        """
        reading = self._fresh()
        if reading is None:
            if self._size() > _LARGE:
                return self._authenticate_later(credentials, client)
            reading = self._read()
        return self._judge(reading, credentials, client)

    async def _authenticate_later(self, credentials: Credentials, client: ClientFacts) -> Identity:
        answer = self._judge(await in_thread(self._read), credentials, client)
        return answer if isinstance(answer, Identity) else await answer

    def _judge(self, reading: _Reading, credentials: Credentials, client: ClientFacts) -> MaybeAwaitable[Identity]:
        user = self._names(credentials.user)
        # A name in the table was checked when the file was read; any other is nobody's.
        record = self._record(reading.table, user)
        attempt = _Attempt(user, record, credentials, client)
        # Nobody of that name: the same work is done on a record of the commonest kind, for nothing.
        stored = record.stored if record else reading.stand_in
        proof = credentials.proof
        if isinstance(proof, ApopProof):
            return self._admit(
                attempt, right=apop_matches(proof.digest, proof.timestamp, stored.secret if stored else None)
            )
        if stored is None:
            return self._admit(attempt, right=False)
        if stored.is_costly:
            return self._verify_later(reading.table, attempt, stored, proof.password)
        return self._admit(attempt, right=schemes.verify(stored, proof.password))

    async def _verify_later(
        self, table: Table, attempt: _Attempt, stored: schemes.StoredPassword, password: str
    ) -> Identity:
        try:
            right = await in_thread(schemes.verify, stored, password)
        except ValueError as failure:
            # A hash that only its own library finds broken: for this user, or for the one who stood in.
            right = False
            if attempt.record:
                self._log_broken(table, attempt.user, failure)
        return self._admit(attempt, right=right)

    def _admit(self, attempt: _Attempt, *, right: bool) -> Identity:
        """The identity of the user, if the proof was right and the record allows it.

        What a record forbids is looked at only after the proof: a stranger learns nothing of it.
        """
        user, record, credentials, client = attempt.user, attempt.record, attempt.credentials, attempt.client
        if record is None or not right:
            raise AuthenticationFailed(f"unknown user or wrong proof in {self.path}")
        if credentials.authorization and self._names(credentials.authorization) != user:
            raise Refused(f"{user} may not act as somebody else")
        if "nologin" in record.attributes:
            raise Refused(f"{user} is not to log in (nologin)")
        nets = record.attributes.get("allow_nets")
        if nets is not None and not _is_allowed(nets, client):
            raise Refused(f"{user} is not to log in from {client.address or 'a local socket'} (allow_nets)")
        return Identity(user, record.attributes)

    def _record(self, table: Table, user: str) -> Record | None:
        record = table.records.get(user)
        if record is not None:
            return record
        rest = table.rests.get(user)
        if rest is None:
            return None
        try:
            record = password_lines.parse_fields(rest)
        except ValueError as failure:
            self._log_broken(table, user, failure)
            return None
        if len(table.records) >= _MOST_RECORDS:
            table.records.clear()
        table.records[user] = record
        return record

    def _log_broken(self, table: Table, user: str, failure: ValueError) -> None:
        if user not in table.broken:
            table.broken.add(user)
            log.warning("%s: the record of %s: %s", self.path, user, failure)

    def _at_once(self) -> _Reading:
        """What to go by at a greeting: the file as it was a moment ago, but a long one is read anew in the background.

        Raises:
            TemporaryFailure: it cannot be read.
        """
        reading = self._reading
        if reading is not None and reading.settled and time.monotonic() - self._looked < _LOOK:
            return reading
        fresh = self._fresh()
        if fresh is not None:
            return fresh
        if reading is None or self._size() <= _LARGE:
            return self._read()
        if not self._lock.locked():
            threading.Thread(target=self._read_quietly, name="poplin-password-file", daemon=True).start()
        return reading

    def _read_quietly(self) -> None:
        with contextlib.suppress(TemporaryFailure):  # whoever logs in next is told
            self._read()

    def _size(self) -> int:
        try:
            return os.stat(self.path).st_size
        except OSError as failure:
            raise self._unreadable(failure) from failure

    def _fresh(self) -> _Reading | None:
        """The last reading, if the file is still the same by one ``stat``."""
        reading = self._reading
        if reading is None or not reading.settled:
            return None
        try:
            if reading.signature != _signature(os.stat(self.path)):
                return None
        except OSError:
            return None
        self._looked = time.monotonic()
        return reading

    def _read(self) -> _Reading:
        """Read the file, and its lines too unless they are the same as before.

        Raises:
            TemporaryFailure: it cannot be read. What it said before is forgotten.
        """
        with self._lock:
            # Whoever waited for the lock may find the work done.
            reading = self._fresh()
            if reading is not None:
                return reading
            try:
                before = _signature(os.stat(self.path))
                octets = read_octets(self.path)
                after = os.stat(self.path)
            except OSError as failure:
                self._reading = None
                raise self._unreadable(failure) from failure
            settled = before == _signature(after) and time.time() - after.st_mtime >= _SETTLED
            self._reading = self._reading_of(octets, _signature(after), settled=settled)
            return self._reading

    def _reading_of(self, octets: bytes, signature: tuple[int, int, int, int], *, settled: bool) -> _Reading:
        digest = hashlib.blake2b(octets).digest()
        last = self._reading
        if last is not None and last.digest == digest:
            return _Reading(signature, settled, digest, last.table, last.stand_in, last.mechanisms)
        table = password_lines.read_table(octets.decode(errors="surrogateescape"), self._names)
        self._log(table.complaints)
        return _Reading(signature, settled, digest, table, table.stand_in(), _served_by(table))

    def _log(self, complaints: list[Complaint]) -> None:
        if complaints == self._logged:
            return
        self._logged = complaints
        for complaint in complaints[:_LOGGED]:
            log.warning("%s:%d: %s", self.path, *complaint)
        if len(complaints) > _LOGGED:
            log.warning("%s: %d more lines are wrong", self.path, len(complaints) - _LOGGED)

    def _unreadable(self, failure: OSError) -> TemporaryFailure:
        return TemporaryFailure(f"{self.path}: cannot be read: {failure.strerror or failure}")


def _served_by(table: Table) -> frozenset[str]:
    """What every record can serve."""
    if not table.rests:
        return frozenset()
    return _WITH_APOP if table.readable == len(table.rests) else PASSWORD_MECHANISMS


def _signature(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns


def read_octets(path: str) -> bytes:
    """The whole regular file at `path`; a FIFO or a directory there is an `OSError` and never hangs."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a regular file")
        return file.read()


def _is_allowed(nets: str, client: ClientFacts) -> bool:
    """Whether `client` comes from one of `nets`: networks, and ``local`` for what is no network.

    A network that cannot be read allows nothing.
    """
    wanted = nets.split(",")
    if not client.address:
        return "local" in wanted
    try:
        address = ipaddress.ip_address(client.address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    for net in wanted:
        try:
            if address in ipaddress.ip_network(net, strict=False):
                return True
        except ValueError:
            continue
    return False
