"""Message-numbers, deletion marks and totals: they live here, once, and no maildrop knows of them.

The listing is a snapshot: numbers never shift within a session, and a marked message is in no answer (RFC 1939
section 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from poplin.errors import SessionError
from poplin.maildrops.base import Entry, Scan

__all__ = ["Listing", "MessageMarked", "NoSuchMessage"]


_NONE: frozenset[int] = frozenset()  # an idle session keeps no set of its own


class NoSuchMessage(SessionError):
    """The number is beyond the last message."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.text_id = "no-such-message" if count else "no-message-at-all"
        self._count = count

    @property
    def fields(self) -> dict[str, object]:
        """How many messages there are."""
        return {"count": self._count}


class MessageMarked(SessionError):
    """The message is marked for removal, which hides it from every command but RSET."""

    text_id = "message-marked"

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._number = number

    @property
    def fields(self) -> dict[str, object]:
        """The message-number."""
        return {"number": self._number}


class Listing:
    """The messages of one session by their numbers, which begin at 1."""

    __slots__ = ("_marked", "_marked_octets", "scan")

    def __init__(self, scan: Scan) -> None:
        self.scan: Scan = scan
        self._marked: set[int] | frozenset[int] = _NONE
        self._marked_octets = 0

    @property
    def measured(self) -> bool:
        """Whether the sizes are known; STAT and LIST need them."""
        return self.scan.octets is not None

    @property
    def count(self) -> int:
        """The messages that are not marked."""
        return len(self.scan) - len(self._marked)

    @property
    def octets(self) -> int:
        """The octets of the messages that are not marked."""
        return self.scan.total - self._marked_octets

    @property
    def marked(self) -> int:
        """How many messages are marked."""
        return len(self._marked)

    def check(self, number: int) -> None:
        """Make sure that `number` can be spoken of.

        Raises:
            NoSuchMessage, MessageMarked: it cannot.
        """
        if not 1 <= number <= len(self.scan):  # parsing makes no number below 1, but a plugin or a method may
            raise NoSuchMessage(len(self.scan))
        if number in self._marked:
            raise MessageMarked(number)

    def entry(self, number: int) -> Entry:
        """The message of that number.

        Raises:
            NoSuchMessage, MessageMarked: it cannot be spoken of.
        """
        self.check(number)
        return self.scan[number - 1]

    def mark(self, number: int) -> None:
        """Mark a message for removal.

        Raises:
            NoSuchMessage, MessageMarked: it cannot be spoken of.
        """
        self.check(number)
        if isinstance(self._marked, frozenset):
            self._marked = {number}
        else:
            self._marked.add(number)
        if self.scan.octets is not None:
            self._marked_octets += self.scan.octets[number - 1]

    def reset(self) -> int:
        """Unmark everything; answers how many marks there were."""
        marks = len(self._marked)
        self._marked = _NONE
        self._marked_octets = 0
        return marks

    def marked_entries(self) -> list[Entry]:
        """What UPDATE has to remove, in message order."""
        return [self.scan[number - 1] for number in sorted(self._marked)]

    def entries(self) -> Sequence[Entry]:
        """Every message of the snapshot, marked or not."""
        return self.scan

    def measure(self, octets: Sequence[int]) -> None:
        """Take in the sizes of all messages."""
        self.scan = self.scan.measured(octets)
        self._marked_octets = sum(octets[number - 1] for number in self._marked)

    def correct(self, number: int, octets: int) -> None:
        """A message turned out to have another size than its source said: the next listing says the true one."""
        if self.scan.octets is not None:
            sizes = list(self.scan.octets)
            sizes[number - 1] = octets
            self.measure(sizes)

    def octets_of(self, number: int) -> int:
        """The size of a message that `check` let pass, when sizes are known."""
        return self.scan.octets[number - 1] if self.scan.octets is not None else 0

    def list_body(self) -> bytes:
        """The body of the answer to LIST, ready for the wire."""
        return self._without_marked(self.scan.list_body)

    def uidl_body(self) -> bytes:
        """The body of the answer to UIDL, ready for the wire."""
        return self._without_marked(self.scan.uidl_body)

    def _without_marked(self, body: bytes) -> bytes:
        if not self._marked:
            return body
        return b"".join(self._unmarked(body.splitlines(keepends=True)))

    def _unmarked(self, lines: list[bytes]) -> Iterator[bytes]:
        return (line for number, line in enumerate(lines, 1) if number not in self._marked)
