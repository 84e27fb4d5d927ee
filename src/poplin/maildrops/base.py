"""The contract between a session and a source of messages.

Words only: no storage, no protocol. The engine scans a maildrop once, keeps message-numbers and deletion
marks to itself (``session.listing``), asks for single messages, and says at UPDATE what to remove.
Abilities beyond that (`Previews`, `Measures`, `MarksRead`) are small protocols of their own: a maildrop
has an ability by implementing it, never by a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Protocol, overload, runtime_checkable

from poplin.content import Content
from poplin.identity import ClientFacts, Identity, MaybeAwaitable
from poplin.values import value

__all__ = [
    "Content",
    "Ending",
    "Entry",
    "LockPolicy",
    "Maildrop",
    "MarksRead",
    "Measures",
    "OpenRequest",
    "Opener",
    "Previews",
    "Removal",
    "Scan",
]


class Ending(Enum):
    """How a session ended; only after `QUIT` in TRANSACTION was anything removed."""

    QUIT = "quit"
    DROPPED = "dropped"
    TIMEOUT = "timeout"
    KICKED = "kicked"
    STOPPED = "stopped"
    REFUSED = "refused"
    FAILED = "failed"


@value
class Entry:
    """One message of a scan: its lasting `unique_id` (RFC 1939 section 7: 1 to 70 octets of 0x21 to 0x7E),
    its `octets` as sent (``None``: not known yet), and the store's own `key` to it."""

    unique_id: str
    octets: int | None = None
    key: Hashable = None


class Scan(Sequence[Entry]):
    """An immutable snapshot of a maildrop, kept in columns, in message order.

    A column costs an eighth of a list of entries, and the answers to STAT, LIST and UIDL are made once
    from it and kept, so sessions may share a scan that a backend kept. `octets` is ``None`` as a whole
    where the sizes are not known yet.
    """

    __slots__ = ("_list_body", "_total", "_uidl_body", "keys", "octets", "unique_ids")

    def __init__(
        self,
        unique_ids: Sequence[str],
        octets: Sequence[int] | None,
        keys: Sequence[Hashable] | None = None,
    ) -> None:
        self.unique_ids: Sequence[str] = unique_ids
        self.octets: Sequence[int] | None = octets
        self.keys: Sequence[str] | Sequence[Hashable] = unique_ids if keys is None else keys
        self._total = -1
        self._list_body: bytes | None = None
        self._uidl_body: bytes | None = None

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Scan:
        """A scan with the columns of `entries`; one unknown size makes all sizes unknown."""
        if isinstance(entries, Scan):
            return entries
        rows = list(entries)
        octets = [entry.octets for entry in rows if entry.octets is not None]
        return cls(
            [entry.unique_id for entry in rows],
            octets if len(octets) == len(rows) else None,
            [entry.unique_id if entry.key is None else entry.key for entry in rows],
        )

    def __len__(self) -> int:
        return len(self.unique_ids)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        octets = None if self.octets is None else self.octets[index]
        return Entry(self.unique_ids[index], octets, self.keys[index])

    def __repr__(self) -> str:
        return f"<Scan of {len(self)} messages>"

    def measured(self, octets: Sequence[int]) -> Scan:
        """The same messages with their sizes known."""
        return Scan(self.unique_ids, octets, self.keys)

    @property
    def total(self) -> int:
        """The octets of all messages together; only for a scan whose sizes are known."""
        if self._total < 0:
            self._total = sum(self.octets or ())
        return self._total

    @property
    def list_body(self) -> bytes:
        """The body of the answer to LIST with nothing marked, ready for the wire."""
        if self._list_body is None:
            self._list_body = "".join([f"{n} {size}\r\n" for n, size in enumerate(self.octets or (), 1)]).encode()
        return self._list_body

    @property
    def uidl_body(self) -> bytes:
        """The body of the answer to UIDL with nothing marked, ready for the wire."""
        if self._uidl_body is None:
            self._uidl_body = "".join([f"{n} {uid}\r\n" for n, uid in enumerate(self.unique_ids, 1)]).encode("ascii")
        return self._uidl_body


@dataclass(frozen=True, slots=True)
class LockPolicy:
    """What to do when another session has the maildrop: ``"refuse"``, ``"wait"`` (up to `wait` seconds),
    ``"take-over"`` (from a session idle for `idle` seconds) or ``"snapshot"`` (no exclusive access)."""

    policy: str = "refuse"
    wait: float = 0
    idle: float = 0


def _ignore(reason: str) -> None:
    """Nobody listens for a lost lease."""


@value
class OpenRequest:
    """Who wants a maildrop, and how. Grows by keywords.

    A maildrop calls `on_lost` with a reason, at any time and from any thread, when its exclusive access
    was lost or taken over; the session then ends, removing nothing.
    """

    _: KW_ONLY
    identity: Identity
    client: ClientFacts
    utf8: bool = False
    lock: LockPolicy = LockPolicy()
    on_lost: Callable[[str], None] = _ignore


@dataclass(frozen=True, slots=True)
class Removal:
    """What came of a removal: how many messages are `removed` (found gone already counts), how many `failed`
    and are still there, and the `reason` for the log."""

    removed: int
    failed: int = 0
    reason: str = ""


class Maildrop(Protocol):
    """One user's messages, held by one session."""

    def scan(self) -> MaybeAwaitable[Scan | Sequence[Entry]]:
        """The messages, in the order of their message-numbers. Called again it looks afresh."""
        ...

    def retrieve(self, entry: Entry, /) -> MaybeAwaitable[Content]:
        """The whole message.

        Raises:
            MessageGone: it vanished since the scan.
            MessageUnreadable: it is there and cannot be read.
        """
        ...

    def remove(self, entries: Sequence[Entry], /) -> MaybeAwaitable[Removal]:
        """Remove these messages, and no other: UPDATE (RFC 1939 section 6). Called at most once.

        Raises:
            LeaseLost: exclusive access is gone; nothing was removed.
        """
        ...

    def close(self, ending: Ending, /) -> MaybeAwaitable[None]:
        """Free everything, the lock above all. Called exactly once, however the session ended."""
        ...


class Opener(Protocol):
    """Gives out maildrops."""

    def open(self, request: OpenRequest, /) -> MaybeAwaitable[Maildrop]:
        """The maildrop of ``request.identity``, held exclusively if the lock policy says so.

        Raises:
            InUse: another session has it.
            TemporaryFailure, PermanentFailure: it cannot be opened.
        """
        ...


@runtime_checkable
class Previews(Protocol):
    """An ability: TOP without fetching the whole body."""

    def preview(self, entry: Entry, lines: int, /) -> MaybeAwaitable[Content]:
        """The header, the blank line and at least `lines` lines of the body (the engine cuts what is more)."""
        ...


@runtime_checkable
class Measures(Protocol):
    """An ability: sizes that are not known at the scan, asked for at the first STAT or LIST."""

    def measure(self, entries: Sequence[Entry], /) -> MaybeAwaitable[Sequence[int]]:
        """The octets of each of `entries`, in their order."""
        ...


@runtime_checkable
class MarksRead(Protocol):
    """An ability: remembers which messages were retrieved."""

    def mark_read(self, entries: Sequence[Entry], /) -> MaybeAwaitable[None]:
        """Remember that these were sent by RETR. Called before `remove` and `close`, on every ending."""
        ...
