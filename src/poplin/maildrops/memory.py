"""Messages in memory: for tests, samples and toys. Nothing is kept when the process ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from poplin.content import Content, Form, examine
from poplin.errors import MessageGone
from poplin.maildrops.base import Ending, Entry, Maildrop, OpenRequest, Removal, Scan
from poplin.maildrops.locking import Holder, Registry
from poplin.maildrops.unique_ids import is_unique_id

__all__ = ["MemoryMaildrops"]


@dataclass(frozen=True, slots=True)
class _Message:
    body: bytes
    octets: int
    form: Form


@dataclass(slots=True)
class _Box:
    """One user's messages, oldest first, and every unique-id ever used (RFC 1939 section 7: never again)."""

    messages: dict[str, _Message] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)


class MemoryMaildrops:
    """An `Opener` of maildrops in memory. A user never heard of has an empty one. Any thread may call."""

    def __init__(self) -> None:
        self._boxes: dict[str, _Box] = {}
        self._guard = threading.Lock()
        self._registry = Registry()
        # Unique-ids given out by another process, or after a restart, must be others.
        self._origin = os.urandom(6).hex()
        self._delivered = 0

    def deliver(self, user: str, message: bytes, unique_id: str | None = None) -> str:
        """Add `message` behind the others; the result is its unique-id, made up here if none is given.

        Open sessions do not see it: theirs is a snapshot.

        Raises:
            ValueError: `unique_id` is none by RFC 1939 section 7, or was used before by this user.
        """
        octets, form = examine(message)
        with self._guard:
            box = self._boxes.setdefault(user, _Box())
            if unique_id is None:
                unique_id = self._fresh(box)
            elif not is_unique_id(unique_id):
                raise ValueError(f"{unique_id!r} is no unique-id: 1 to 70 octets of 0x21 to 0x7E")
            elif unique_id in box.used:
                raise ValueError(f"the unique-id {unique_id} was used before by {user!r}; it is never used again")
            box.used.add(unique_id)
            box.messages[unique_id] = _Message(message, octets, form)
        return unique_id

    def messages(self, user: str) -> dict[str, bytes]:
        """The messages that `user` has now, by unique-id, oldest first."""
        with self._guard:
            box = self._boxes.get(user)
            return {unique_id: message.body for unique_id, message in box.messages.items()} if box else {}

    def discard(self, user: str, unique_id: str) -> None:
        """Take a message away behind the back of every session; unknown ones are no error."""
        with self._guard:
            if box := self._boxes.get(user):
                box.messages.pop(unique_id, None)

    def open(self, request: OpenRequest, /) -> Maildrop:
        """The user's maildrop.

        Raises:
            InUse: another session has it.
            ValueError: a lock policy that is not available in this version.
        """
        user = request.identity.user
        holder = None
        if request.lock.policy == "refuse":
            holder = self._registry.acquire(user, request.client.session_id, request.client.address)
        elif request.lock.policy != "snapshot":
            raise ValueError(f"lock policy {request.lock.policy!r} is not available in this version")
        with self._guard:
            box = self._boxes.setdefault(user, _Box())
        return _MemoryMaildrop(box, self._guard, self._registry, user, holder)

    def _fresh(self, box: _Box) -> str:
        while True:
            self._delivered += 1
            unique_id = f"{self._origin}.{self._delivered}"
            if unique_id not in box.used:
                return unique_id


class _MemoryMaildrop:
    """One session's view of a box."""

    __slots__ = ("_box", "_guard", "_holder", "_registry", "_user")

    def __init__(self, box: _Box, guard: threading.Lock, registry: Registry, user: str, holder: Holder | None) -> None:
        self._box = box
        self._guard = guard
        self._registry = registry
        self._user = user
        self._holder = holder

    def scan(self) -> Scan:
        with self._guard:
            messages = self._box.messages
            return Scan(list(messages), [message.octets for message in messages.values()])

    def retrieve(self, entry: Entry, /) -> Content:
        message = self._box.messages.get(entry.unique_id)
        if message is None:
            raise MessageGone(entry.unique_id)
        return Content(message.body, message.form, message.octets)

    def remove(self, entries: Sequence[Entry], /) -> Removal:
        with self._guard:
            for entry in entries:
                self._box.messages.pop(entry.unique_id, None)
        return Removal(removed=len(entries))

    def close(self, ending: Ending, /) -> None:  # every ending is alike here
        if self._holder is not None:
            self._registry.release(self._user, self._holder)
