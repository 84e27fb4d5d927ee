"""What lies in a Maildir now: the places, the messages they belong to, their order and their unique-ids.

Only the two directories are read here, no message and no index.

A place is ``new/NAME`` or ``cur/NAME``. The base name, up to the first ``:``, stays with a message for
ever and is its unique-id; the flags behind it change. Messages flagged T (trashed) are served like all
others: the flag can be taken back, and only DELE removes mail.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

from poplin.maildrops.maildir_files import Budget, TooMuch, base_of
from poplin.maildrops.unique_ids import lasting_unique_id

__all__ = ["Listing", "Stamps", "find", "in_order", "list_places", "places_by_base", "stamps_of", "unique_ids_of"]

_TRIES = 3
_TRIES_TO_FIND = 10


class Stamps(NamedTuple):
    """What changes whenever a directory's entries do. The change time too: nobody can set it back."""

    new: tuple[int, int, int]
    cur: tuple[int, int, int]

    @property
    def latest(self) -> int:
        """The time of the last change, in ns."""
        return max(self.new[1], self.new[2], self.cur[1], self.cur[2])


def stamps_of(path: str) -> Stamps:
    """The stamps of the Maildir `path`.

    Raises:
        OSError: ``new`` or ``cur`` is missing, or out of reach.
    """
    new = os.stat(path + "/new")
    cur = os.stat(path + "/cur")
    return Stamps(
        (new.st_ino, new.st_mtime_ns, new.st_ctime_ns),
        (cur.st_ino, cur.st_mtime_ns, cur.st_ctime_ns),
    )


class Listing(NamedTuple):
    """Every place in a Maildir, its stamps, and whether it was `quiet`: nothing moved during the reading."""

    places: list[str]
    stamps: Stamps
    quiet: bool


def list_places(path: str, budget: Budget | None) -> Listing:
    """Read both directories.

    What is renamed while a directory is read may be shown twice or not at all; so the reading is repeated,
    and at last a place that was seen once and is still there counts as well.

    Raises:
        OSError: the directories cannot be read.
        TooMuch: by `budget`.
    """
    seen: set[str] = set()
    for _ in range(_TRIES):
        before = stamps_of(path)
        # new first: a message that moves on to cur in between is seen twice, never lost.
        places = ["new/" + name for name in _names(path + "/new", budget)]
        places += ["cur/" + name for name in _names(path + "/cur", budget)]
        if before == stamps_of(path):
            return Listing(places, before, True)
        seen.update(places)
    missed = seen.difference(places)
    return Listing(places + [place for place in missed if os.path.lexists(f"{path}/{place}")], before, False)


def find(path: str, bases: Collection[str]) -> tuple[dict[str, list[str]], bool]:
    """Where the messages with these base names are now, each place; and whether those not found are surely gone.

    An IMAP server that renames without end can hide a message from one reading, hardly from ten.

    Raises:
        OSError: the directories cannot be read.
    """
    found: dict[str, list[str]] = {}
    for _ in range(_TRIES_TO_FIND):
        before = stamps_of(path)
        found = {}
        for part in ("new/", "cur/"):
            for name in os.listdir(path + "/" + part):
                base = name.partition(":")[0]
                if base in bases:
                    found.setdefault(base, []).append(part + name)
        if len(found) == len(bases) or before == stamps_of(path):
            return found, True
    return found, False


def _names(directory: str, budget: Budget | None) -> list[str]:
    if budget is None:
        return [name for name in os.listdir(directory) if name[0] != "."]
    with os.scandir(directory) as entries:
        names = [entry.name for entry in islice(entries, budget.entries + 1)]
    if len(names) > budget.entries:
        raise TooMuch
    return [name for name in names if name[0] != "."]


def places_by_base(path: str, places: list[str]) -> dict[str, str]:
    """The place of each message by its base name.

    A message seen in two places moved from the first to the second, or has two links. Two different
    files with one base name are two messages: both then go by their whole place, so that neither hides
    the other and neither gets the unique-id under which the other may have been fetched.
    """
    bases = [place[4:].partition(":")[0] for place in places]
    where = dict(zip(bases, places, strict=True))
    if len(where) == len(places):
        return where
    rivals: dict[str, list[str]] = {}
    for base, place in zip(bases, places, strict=True):
        rivals.setdefault(base, []).append(place)
    for base, candidates in rivals.items():
        if len(candidates) > 1:
            files = {inode: place for place in candidates if (inode := _inode(f"{path}/{place}"))}
            if len(files) == 1:
                where[base] = next(iter(files.values()))
            elif files:
                del where[base]
                where.update((place, place) for place in files.values())
    return where


def _inode(name: str) -> int:
    """The file's inode, 0 if it is not there."""
    try:
        return os.lstat(name).st_ino
    except FileNotFoundError:
        return 0


def in_order(bases: Iterable[str]) -> list[str]:
    """Sorted by the time of delivery, with which the names begin (seconds since 1970), then by name.

    Names without a number come first. A total order: the same names always give the same numbers.
    """
    ordered = sorted(bases)
    # Today's times have ten digits; where all do, the plain order is the order of time. Four times as quick.
    heads = "".join([base[:10] for base in ordered])
    if len(heads) == 10 * len(ordered) and heads.isdecimal() and heads.isascii():  # noqa: SIM102  # quick test first
        if not any(base[10:11].isdecimal() for base in ordered):
            return ordered
    return sorted(ordered, key=_moment)


def _moment(base: str) -> int:
    head = base_of(base) if "/" in base else base
    digits = len(head) - len(head.lstrip("0123456789"))
    return int(head[:digits] or "0")


def unique_ids_of(bases: list[str]) -> list[str]:
    """The unique-id of each; where every base name is one, which is the rule, the list itself."""
    text = "".join(bases)
    plain = text.isascii() and text.isprintable() and " " not in text and "sha256-" not in text
    if plain and "" not in bases and max(map(len, bases), default=0) <= 70:
        return bases
    return [lasting_unique_id(os.fsencode(base)) for base in bases]
