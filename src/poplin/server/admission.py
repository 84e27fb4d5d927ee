"""Who may connect now: connections whole, by address, by user. Counters of one process, no I/O."""

from __future__ import annotations

from poplin.errors import TemporaryFailure
from poplin.limits import Limits

__all__ = ["Admission", "TooManySessions"]


class TooManySessions(TemporaryFailure):
    """The user has as many sessions as the limits allow; told only to who proved to be that user."""

    text_id = "too-many-connections"


class Admission:
    """Counts connections and sessions against `limits`; a limit of 0 is none."""

    __slots__ = ("_addresses", "_connections", "_limits", "_users")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._connections = 0
        self._addresses: dict[str, int] = {}
        self._users: dict[str, int] = {}

    @property
    def connections(self) -> int:
        """The connections held now."""
        return self._connections

    def connect(self, address: str) -> bool:
        """Take in a connection; False: it is one too many, and was not counted. UNIX sockets have no address."""
        limits = self._limits
        if limits.connections and self._connections >= limits.connections:
            return False
        if address:
            held = self._addresses.get(address, 0)
            if limits.connections_per_address and held >= limits.connections_per_address:
                return False
            self._addresses[address] = held + 1
        self._connections += 1
        return True

    def disconnect(self, address: str) -> None:
        """A connection that `connect` took in is gone."""
        self._connections -= 1
        if address:
            _less(self._addresses, address)

    def enter(self, user: str) -> None:
        """A user's session begins.

        Raises:
            TooManySessions: it would be one too many, and was not counted.
        """
        held = self._users.get(user, 0)
        if self._limits.connections_per_user and held >= self._limits.connections_per_user:
            raise TooManySessions(user)
        self._users[user] = held + 1

    def leave(self, user: str) -> None:
        """A session that `enter` took in is over."""
        _less(self._users, user)


def _less(counts: dict[str, int], key: str) -> None:
    left = counts.get(key, 0) - 1
    if left > 0:
        counts[key] = left
    else:
        counts.pop(key, None)
