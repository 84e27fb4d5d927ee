"""The index file of a Maildir, ``poplin.index``: what each message measured, so that none is measured twice.

It is a help and never the truth: absent, torn or garbage, it is made again from the messages. Nothing of
the scan, of locks or of the order of messages may live here.

The file is a row of batches, each written by one ``write`` on a descriptor in append mode, so that two
processes cannot mix theirs. A batch is, all numbers little-endian:

    "poplin-index 1\\n"    the version's mark
    u32 count, u32 octets of names, u32 CRC-32 of the two before and of all that follows
    base names, joined by "/"
    columns of count numbers each: i64 wire octets, i64 raw sizes, i64 modification times in ns,
    u8 forms: flags of content.Form, and 16 = every octet was examined

A later entry of the same base name counts. Octets between batches that are none (a write cut short by a
crash or a full disk) are passed over, and the file is written anew at the next chance.
"""

from __future__ import annotations

import binascii
import os
import stat
import struct
import sys
from array import array
from collections.abc import Sequence

from poplin.maildrops.maildir_files import Facts

__all__ = ["FILE_NAME", "Columns", "Index", "append", "load", "octets_of", "rewrite"]

FILE_NAME = "poplin.index"
_SPARE = "poplin.index.new"

_MARK = b"poplin-index 1\n"
_HEAD = struct.Struct("<III")
_ROW = 25  # octets of an entry beside its name
_LARGEST = 1 << 28
_MANY_BATCHES = 64
_MANY_TORN = 64  # a file made of marks alone must not cost a checksum of the rest at each of them
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class Columns:
    """The facts of many messages, by position: an eighth of the memory that a `Facts` each would take."""

    __slots__ = ("forms", "mtimes", "octets", "raws")

    def __init__(self) -> None:
        self.octets: array[int] = array("q")
        self.raws: array[int] = array("q")
        self.mtimes: array[int] = array("q")
        self.forms: bytearray = bytearray()

    def __len__(self) -> int:
        return len(self.forms)

    def add(self, facts: Facts) -> None:
        """Append one message."""
        self.octets.append(facts.octets)
        self.raws.append(facts.raw)
        self.mtimes.append(facts.mtime)
        self.forms.append(facts.form)

    def facts(self, row: int) -> Facts:
        """The facts of one message."""
        return Facts(self.octets[row], self.raws[row], self.mtimes[row], self.forms[row])

    def copy(self) -> Columns:
        """The same columns, to be changed."""
        result = Columns()
        result.octets, result.raws, result.mtimes = self.octets[:], self.raws[:], self.mtimes[:]
        result.forms = self.forms[:]
        return result

    def selected(self, positions: Sequence[int]) -> Columns:
        """The columns of these positions, in this order."""
        result = Columns()
        result.octets = array("q", map(self.octets.__getitem__, positions))
        result.raws = array("q", map(self.raws.__getitem__, positions))
        result.mtimes = array("q", map(self.mtimes.__getitem__, positions))
        result.forms = bytearray(map(self.forms.__getitem__, positions))
        return result


class Index:
    """An index as it was read: `positions` of base names in `columns`, the file's size in `octets` (-1: there
    was none to read), and whether it is `worn` (damaged, or in too many pieces) and had better be written anew."""

    __slots__ = ("columns", "octets", "positions", "worn")

    def __init__(self) -> None:
        self.positions: dict[str, int] = {}
        self.columns: Columns = Columns()
        self.octets: int = -1
        self.worn: bool = False


def octets_of(path: str) -> int:
    """The size of the index in the Maildir `path`; -1 if it has none."""
    try:
        return os.lstat(f"{path}/{FILE_NAME}").st_size
    except OSError:
        return -1


def load(path: str) -> Index:
    """The index of the Maildir `path`; an empty one where none can be read."""
    index = Index()
    try:
        data = _read(f"{path}/{FILE_NAME}")
    except OSError:
        return index
    index.octets = len(data)
    batches = at = torn = 0
    while 0 <= at < len(data) and torn <= _MANY_TORN:
        end = _load_batch(data, at, index)
        if end:
            batches += 1
            at = end
        else:
            index.worn = True
            torn += 1
            at = data.find(_MARK, at + 1)
    index.worn = index.worn or batches > _MANY_BATCHES
    return index


def _read(name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | _FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            return b""
        pieces = []
        while piece := os.read(descriptor, max(4096, status.st_size + 1)):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _load_batch(data: bytes, at: int, index: Index) -> int:
    """Take the batch at `at` into `index`; the result is where it ends, 0 if there is none."""
    body = at + len(_MARK) + _HEAD.size
    if not data.startswith(_MARK, at) or body > len(data):
        return 0
    count, name_octets, checksum = _HEAD.unpack_from(data, body - _HEAD.size)
    end: int = body + name_octets + count * _ROW
    if end > len(data) or _checksum(count, name_octets, memoryview(data)[body:end]) != checksum:
        return 0
    names = os.fsdecode(data[body : body + name_octets]).split("/")
    if len(names) != count:
        return 0
    at = body + name_octets
    columns = index.columns
    start = len(columns)
    for column in (columns.octets, columns.raws, columns.mtimes):
        column.extend(_numbers(data[at : at + 8 * count]))
        at += 8 * count
    columns.forms += data[at:end]
    index.positions.update(zip(names, range(start, start + count), strict=True))
    return end


def _checksum(count: int, name_octets: int, rest: bytes | memoryview) -> int:
    return binascii.crc32(rest, binascii.crc32(struct.pack("<II", count, name_octets)))


def _numbers(octets: bytes) -> array[int]:
    numbers = array("q", octets)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _octets(numbers: array[int]) -> bytes:
    return (_numbers(numbers.tobytes()) if sys.byteorder == "big" else numbers).tobytes()


def _batch(bases: Sequence[str], columns: Columns) -> bytes:
    names = os.fsencode("/".join(bases))
    rest = b"".join(
        (names, _octets(columns.octets), _octets(columns.raws), _octets(columns.mtimes), bytes(columns.forms))
    )
    return _MARK + _HEAD.pack(len(bases), len(names), _checksum(len(bases), len(names), rest)) + rest


def append(path: str, bases: Sequence[str], columns: Columns) -> int:
    """Add these messages to the index; the result is the file's size then.

    Raises:
        OSError: it could not be written; what was there before is still good.
    """
    batch = _batch(bases, columns)
    descriptor = os.open(f"{path}/{FILE_NAME}", os.O_WRONLY | os.O_APPEND | os.O_CREAT | _FLAGS, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        _write(descriptor, batch, before)
        return before + len(batch)
    finally:
        os.close(descriptor)


def rewrite(path: str, bases: Sequence[str], columns: Columns) -> int:
    """Write the index anew with these messages alone; the result is the file's size then.

    Not synced to the disk: after a power cut it may be empty, and is then made again.

    Raises:
        OSError: it could not be written; the old one is still there.
    """
    batch = _batch(bases, columns) if bases else b""
    spare = f"{path}/{_SPARE}"
    descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600)
    try:
        _write(descriptor, batch, 0)
    finally:
        os.close(descriptor)
    os.replace(spare, f"{path}/{FILE_NAME}")
    return len(batch)


def _write(descriptor: int, batch: bytes, before: int) -> None:
    """Write all of `batch`, or leave the file as it was."""
    written = 0
    try:
        while written < len(batch):  # more than one turn only where the disk is full, which the next one reports
            written += os.write(descriptor, batch[written:] if written else batch)
    except OSError:
        if written:
            os.ftruncate(descriptor, before)
        raise
