"""The survey of a Maildir: which messages, in which order, how long; and the surveys kept in memory.

Here the parts come together: directories are read in `maildir_listing`, files measured in `maildir_files`,
what was measured is kept in `maildir_index`. Locks, sessions and threads are in `maildir`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, overload

from poplin.maildrops.base import Scan
from poplin.maildrops.maildir_files import UNKNOWN_RAW, Budget, Facts, TooMuch, base_of, measure
from poplin.maildrops.maildir_index import Columns, Index, load, octets_of
from poplin.maildrops.maildir_listing import Stamps, find, in_order, list_places, places_by_base, unique_ids_of

__all__ = ["File", "Files", "Survey", "Surveys", "survey"]

_SETTLING = 2_000_000_000
"""A directory changed less than these ns ago may change again within the granularity of its time stamp."""


class File(NamedTuple):
    """The key of a message: its position among these files."""

    files: Files
    position: int


class Files(Sequence[File]):
    """The files of a survey, in message order: `bases`, `places` and the `columns` of their facts.

    Sessions share it. What changes in it is only where a file is now, and what was learned of it since;
    `columns.octets` are the figures that were listed and stay, `corrected` says where they were wrong.
    `fresh` are the positions whose facts the index does not have yet.
    """

    __slots__ = ("bases", "columns", "corrected", "fresh", "places")

    def __init__(self, bases: list[str], places: list[str], columns: Columns) -> None:
        self.bases: list[str] = bases
        self.places: list[str] = places
        self.columns: Columns = columns
        self.corrected: dict[int, int] = {}
        self.fresh: set[int] = set()

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __len__(self) -> int:
        return len(self.bases)

    @overload
    def __getitem__(self, index: int) -> File: ...
    @overload
    def __getitem__(self, index: slice) -> list[File]: ...
    def __getitem__(self, index: int | slice) -> File | list[File]:
        if isinstance(index, slice):
            return [File(self, position) for position in range(*index.indices(len(self)))]
        return File(self, range(len(self))[index])  # so that a wrong one raises IndexError, which ends a loop

    def octets(self, position: int) -> int:
        """The octets of one message as sent, corrections included."""
        if self.corrected and position in self.corrected:
            return self.corrected[position]
        return self.columns.octets[position]

    def facts(self, position: int) -> Facts:
        """What is known of one message, corrections included."""
        columns = self.columns
        return Facts(self.octets(position), columns.raws[position], columns.mtimes[position], columns.forms[position])

    def learn(self, position: int, facts: Facts) -> bool:
        """Remember `facts`; the result is whether the message has the octets that were listed."""
        columns = self.columns
        columns.raws[position] = facts.raw
        columns.mtimes[position] = facts.mtime
        columns.forms[position] = facts.form
        if "/" not in self.bases[position]:
            self.fresh.add(position)
        if facts.octets == columns.octets[position]:
            self.corrected.pop(position, None)
            return True
        self.corrected[position] = facts.octets
        return False

    def known(self, positions: Iterable[int]) -> tuple[list[str], Columns]:
        """Base names and facts for the index."""
        raws, bases = self.columns.raws, self.bases
        chosen = [row for row in positions if raws[row] != UNKNOWN_RAW and "/" not in bases[row]]
        columns = self.columns.selected(chosen)
        for row, position in enumerate(chosen):
            columns.octets[row] = self.corrected.get(position, columns.octets[row])
        return [bases[position] for position in chosen], columns

    def look_again(self, path: str, positions: Iterable[int]) -> tuple[set[int], set[int]]:
        """Find out where these messages are now; the results are those that are gone, and those of which that
        cannot be said: not told from another file with their base name, or renamed all the time. Both keep
        their old place.

        Raises:
            OSError: the directories cannot be read.
        """
        wanted: dict[str, list[int]] = {}
        for position in positions:
            base = self.bases[position]
            wanted.setdefault(base_of(base) if "/" in base else base, []).append(position)
        found, certain = find(path, wanted)
        gone: set[int] = set()
        unclear: set[int] = set()
        for base, sought in wanted.items():
            candidates = found.get(base)
            for position in sought:
                if not candidates:
                    (gone if certain else unclear).add(position)
                elif place := self._chosen(path, position, candidates):
                    self.places[position] = place
                else:
                    unclear.add(position)
        return gone, unclear

    def _chosen(self, path: str, position: int, candidates: list[str]) -> str | None:
        """Which of the files with its base name is this message: the only one, or the one that looks like it."""
        if len(candidates) == 1 and "/" not in self.bases[position]:
            return candidates[0]
        facts = self.facts(position)
        for place in candidates:
            try:
                status = os.lstat(f"{path}/{place}")
            except FileNotFoundError:
                continue
            if (status.st_size, status.st_mtime_ns) == (facts.raw, facts.mtime):
                return place
        return None


class Survey(NamedTuple):
    """The files of a Maildir and the scan made of them, good as long as the directories have these `stamps`,
    if they were `settled`. `index_octets` is the index file's size as far as it was read or written."""

    files: Files
    scan: Scan
    stamps: Stamps
    settled: bool
    index_octets: int
    index_worn: bool

    def is_good(self, stamps: Stamps) -> bool:
        """Whether a Maildir with these stamps would be surveyed with the same result."""
        return self.settled and self.stamps == stamps and not self.files.corrected


def survey(path: str, previous: Survey | None, budget: Budget | None = None) -> Survey:
    """Look at the Maildir `path`, believing what `previous` and the index file know.

    Raises:
        TooMuch: by `budget`; nothing was done.
        OSError: the directories cannot be read.
        TemporaryFailure: the system has no descriptors to give.
    """
    now = time.time_ns()
    places, stamps, quiet = list_places(path, budget)
    settled = quiet and now - stamps.latest > _SETTLING
    where = places_by_base(path, places)
    bases = in_order(where)
    if previous is not None and not previous.files.corrected and bases == previous.files.bases:
        previous.files.places[:] = [where[base] for base in bases]
        return previous._replace(stamps=stamps, settled=settled)
    files, index_octets, index_worn = _measured(path, bases, where, previous, budget)
    scan = Scan(unique_ids_of(files.bases), files.columns.octets, files)
    return Survey(files, scan, stamps, settled, index_octets, index_worn)


class _Pool:
    """What is known before any file is opened: rows of facts by base name, and which of them the index lacks."""

    def __init__(self, path: str, previous: Survey | None, budget: Budget | None) -> None:
        self._path = path
        self._budget = budget
        self.worn = previous.index_worn if previous else False
        self.index_octets = previous.index_octets if previous else -1
        self.fresh: set[int] = set()
        if previous is None:
            index = self._load()
            self.rows, self.columns = index.positions, index.columns
            return
        files = previous.files
        self.rows = dict(zip(files.bases, range(len(files)), strict=True))
        self.columns = files.columns.copy()
        for row, octets in files.corrected.items():
            self.columns.octets[row] = octets
        self.fresh.update(files.fresh)

    def ask_index(self, bases: Iterable[str]) -> None:
        """Take what the index knows of these, if another process wrote to it since it was read."""
        if octets_of(self._path) == self.index_octets:
            return
        index = self._load()
        for base in bases:
            row = index.positions.get(base)
            if row is not None:
                self.add(base, index.columns.facts(row))

    def add(self, base: str, facts: Facts) -> int:
        """Add a row."""
        row = self.rows[base] = len(self.columns)
        self.columns.add(facts)
        return row

    def _load(self) -> Index:
        if self._budget is not None and octets_of(self._path) > self._budget.octets:
            raise TooMuch
        index = load(self._path)
        self.index_octets = index.octets
        self.worn = index.worn
        return index


def _measured(
    path: str, bases: list[str], where: dict[str, str], previous: Survey | None, budget: Budget | None
) -> tuple[Files, int, bool]:
    """The files with their facts, known or measured now, and the state of the index."""
    pool = _Pool(path, previous, budget)
    unknown = [base for base in bases if base not in pool.rows]
    if unknown and previous is not None:
        pool.ask_index(unknown)
        unknown = [base for base in unknown if base not in pool.rows]
    if unknown:
        _measure_all(path, unknown, where, pool, budget)
        bases = [base for base in bases if base in pool.rows]
    rows = list(map(pool.rows.__getitem__, bases))
    files = Files(bases, list(map(where.__getitem__, bases)), pool.columns.selected(rows))
    if pool.fresh:
        files.fresh.update(position for position, row in enumerate(rows) if row in pool.fresh)
    worn = pool.worn or (previous is None and len(pool.columns) > 2 * len(files) + 64)
    return files, pool.index_octets, worn


def _measure_all(path: str, bases: list[str], where: dict[str, str], pool: _Pool, budget: Budget | None) -> None:
    """Measure these messages into `pool`; those that turn out to be none, or gone, are left out of it."""
    moved: dict[str, list[str]] | None = None
    for base in bases:
        try:
            facts = measure(f"{path}/{where[base]}", base, budget)
        except FileNotFoundError:  # renamed since the listing, or gone
            moved = find(path, set(bases))[0] if moved is None else moved
            facts = _measured_elsewhere(path, base, moved, where, budget)
        if facts is not None:
            row = pool.add(base, facts)
            if facts.raw != UNKNOWN_RAW and "/" not in base:
                pool.fresh.add(row)


def _measured_elsewhere(
    path: str, base: str, moved: dict[str, list[str]], where: dict[str, str], budget: Budget | None
) -> Facts | None:
    for place in moved.get(base, ()):
        try:
            facts = measure(f"{path}/{place}", base, budget)
        except FileNotFoundError:
            continue
        where[base] = place
        return facts
    return None


class Surveys:
    """The surveys kept in memory, by path: the least recently used goes when there are too many messages."""

    def __init__(self, messages: int) -> None:
        self._most = messages
        self._messages = 0
        self._kept: OrderedDict[str, Survey] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, path: str) -> Survey | None:
        """What is kept of `path`, still good or not."""
        return self._kept.get(path)

    def keep(self, path: str, survey: Survey) -> None:
        """Keep `survey` in place of an earlier one."""
        with self._guard:
            self._forget(path)
            self._kept[path] = survey
            self._messages += _weight(survey)
            while self._messages > self._most:
                self._forget(next(iter(self._kept)))

    def used(self, path: str) -> None:
        """Note that `path` was asked for."""
        with self._guard:
            if path in self._kept:
                self._kept.move_to_end(path)

    def _forget(self, path: str) -> None:
        survey = self._kept.pop(path, None)
        if survey is not None:
            self._messages -= _weight(survey)


def _weight(survey: Survey) -> int:
    """Messages, and what an empty Maildir costs beside them."""
    return len(survey.files) + 8
