"""Functions as a maildrop: list, retrieve, size, delete. The engine does the rest."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from poplin.calling import WrongAnswer, call, check_callback, describe, in_thread, is_awaitable, is_blocking, then
from poplin.content import Content
from poplin.errors import MessageGone, MessageUnreadable, SessionError
from poplin.identity import MaybeAwaitable, settle
from poplin.maildrops.base import Ending, Entry, Maildrop, OpenRequest, Removal, Scan
from poplin.maildrops.callbacks_content import Retrieved, content_of, count_octets
from poplin.maildrops.locking import Registry
from poplin.maildrops.unique_ids import lasting_unique_id

__all__ = ["CallbackMaildrops", "DeleteCallback", "ListCallback", "Listed", "RetrieveCallback", "SizeCallback"]

log = logging.getLogger("poplin.maildrops")

Listed: TypeAlias = (
    Iterable[str] | Iterable[tuple[str, int]] | Mapping[str, int] | AsyncIterable[str] | AsyncIterable[tuple[str, int]]
)
"""The messages' ids in the order of their message-numbers, with or without their octets."""

ListCallback: TypeAlias = Callable[[str], Listed | Awaitable[Listed]]
"""Called with the user."""
RetrieveCallback: TypeAlias = "Callable[[str, str], Retrieved | Awaitable[Retrieved]]"
"""Called with the user and a message's id. ``None``: the message is gone."""
SizeCallback: TypeAlias = Callable[[str, str], int | Awaitable[int]]
"""Called with the user and a message's id: its octets, every line end counted as two."""
DeleteCallback: TypeAlias = Callable[[str, str], object]
"""Called with the user and a message's id. Its result is ignored; an exception leaves the message there."""

_LISTED = "an iterable of ids (str), of pairs of id and octets, or a mapping of ids to octets"
_RETRIEVED = "bytes, str, an EmailMessage, a path, an iterable of bytes or str, or None"


@dataclass(frozen=True, slots=True)
class _Functions:
    """The callbacks of an opener."""

    list: ListCallback
    retrieve: RetrieveCallback
    size: SizeCallback | None
    delete: DeleteCallback | None


class CallbackMaildrops:
    """An `Opener` over functions; each may be plain, ``async``, or marked by `poplin.blocking`.

    A message's id is its unique-id where RFC 1939 section 7 allows that (1 to 70 octets of 0x21 to 0x7E),
    and is hashed, always alike, where it does not. Without `size`, octets that `list` did not tell are
    counted by retrieving each message once a session, at the first STAT or LIST. Without `delete`, nothing
    is ever removed, and clients are not told so. With `exclusive` a user has one session at a time.
    """

    def __init__(
        self,
        *,
        list: ListCallback,  # noqa: A002  # the name that users know since Net::Server::POP3
        retrieve: RetrieveCallback,
        size: SizeCallback | None = None,
        delete: DeleteCallback | None = None,
        exclusive: bool = True,
    ) -> None:
        check_callback("list", list, "user")
        for name, function in (("retrieve", retrieve), ("size", size), ("delete", delete)):
            check_callback(name, function, "user", "message_id")
        self._functions = _Functions(list, retrieve, size, delete)
        self._registry = Registry() if exclusive else None

    def open(self, request: OpenRequest, /) -> Maildrop:
        """The user's maildrop; no callback is called yet.

        Raises:
            InUse: another session has it.
            ValueError: a lock policy that is not available in this version.
        """
        user, policy = request.identity.user, request.lock.policy
        if policy not in {"refuse", "snapshot"}:
            raise ValueError(f"lock policy {policy!r} is not available in this version")
        registry = self._registry if policy == "refuse" else None
        if registry is None:
            return _CallbackMaildrop(self._functions, user, _nothing)
        holder = registry.acquire(user, request.client.session_id, request.client.address)
        return _CallbackMaildrop(self._functions, user, lambda: registry.release(user, holder))


def _nothing() -> None:
    """Release what was never locked."""


class _CallbackMaildrop:
    """One session's maildrop."""

    __slots__ = ("_functions", "_release", "_user")

    def __init__(self, functions: _Functions, user: str, release: Callable[[], None]) -> None:
        self._functions = functions
        self._user = user
        self._release = release

    def scan(self) -> MaybeAwaitable[Scan]:
        function = self._functions.list
        if is_blocking(function):
            return in_thread(self._gather)
        listed = function(self._user)
        if is_awaitable(listed) or isinstance(listed, AsyncIterable):
            return self._scan_later(listed)
        return self._scan_of(listed)

    def _gather(self) -> Scan:
        # A generator does its work when it is read: that too belongs in the thread.
        return self._scan_of(self._functions.list(self._user))

    async def _scan_later(self, listed: object) -> Scan:
        if is_awaitable(listed):
            listed = await listed
        if isinstance(listed, AsyncIterable):
            listed = [item async for item in listed]
        return self._scan_of(listed)

    def _scan_of(self, listed: object) -> Scan:
        """The scan of what the callback gave.

        Raises:
            WrongAnswer: that is no listing.
            ValueError: an id is listed twice.
        """
        # An iterable of characters is not what the author meant.
        if isinstance(listed, str | bytes) or not isinstance(listed, Iterable):
            raise self._wrong_listing(listed)
        items: Iterable[object] = listed.items() if isinstance(listed, Mapping) else listed
        natives: list[str] = []
        octets: list[int] = []
        for item in items:
            native = item
            if isinstance(item, tuple) and len(item) == 2:
                native, size = item
                octets.append(self._size(size, "list", native))
            if not isinstance(native, str):
                raise self._wrong_listing(item)
            natives.append(native)
        unique_ids = [lasting_unique_id(native) for native in natives]
        if len(set(natives)) != len(natives):
            twice = next(native for index, native in enumerate(natives) if native in natives[:index])
            raise ValueError(
                f"the callback list ({describe(self._functions.list)}) gave the id {twice!r} twice for user "
                f"{self._user!r}; an id names one message"
            )
        return Scan(unique_ids, octets if len(octets) == len(natives) else None, natives)

    def _wrong_listing(self, value: object) -> WrongAnswer:
        return WrongAnswer(value, f"list ({describe(self._functions.list)})", _LISTED, user=self._user)

    def _size(self, value: object, callback: str, native: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise WrongAnswer(value, callback, "octets, 0 or more", user=self._user, message=native)
        return value

    def retrieve(self, entry: Entry, /) -> MaybeAwaitable[Content]:
        function = self._functions.retrieve
        threaded = is_blocking(function)

        def refuse(value: object) -> WrongAnswer:
            named = f"retrieve ({describe(function)})"
            return WrongAnswer(value, named, _RETRIEVED, user=self._user, message=entry.key)

        def content(value: object) -> Content:
            return content_of(value, refuse, threaded=threaded)

        return then(call(function, self._user, entry.key), content)

    async def measure(self, entries: Sequence[Entry], /) -> Sequence[int]:
        size = self._functions.size
        if size is None:
            return [await self._count(entry) for entry in entries]
        octets: list[int] = []
        for entry in entries:
            answer = await settle(call(size, self._user, entry.key))
            octets.append(self._size(answer, f"size ({describe(size)})", entry.key))
        return octets

    async def _count(self, entry: Entry) -> int:
        """The octets of a message, by retrieving it; 0 for one that cannot be had, so that the others can."""
        try:
            content = await settle(self.retrieve(entry))
            try:
                return await count_octets(content)
            finally:
                content.close()
        except (MessageGone, MessageUnreadable) as failure:
            log.info("message %r of %s cannot be measured: %s", entry.key, self._user, failure)
        except (SessionError, WrongAnswer):
            raise
        except Exception:  # a message on which its author's code stumbles; RETR will say so
            named = describe(self._functions.retrieve)
            log.exception("the callback retrieve (%s) failed for message %r of %s", named, entry.key, self._user)
        return 0

    async def remove(self, entries: Sequence[Entry], /) -> Removal:
        delete = self._functions.delete
        if delete is None:
            return Removal(len(entries))
        failed = 0
        reason = ""
        for entry in entries:
            try:
                await settle(call(delete, self._user, entry.key))
            except MessageGone:
                continue  # gone is what was wanted
            except Exception as failure:  # one message's failure must not keep the others from being removed
                failed += 1
                reason = reason or f"the callback delete ({describe(delete)}): {type(failure).__name__}: {failure}"
                if not isinstance(failure, SessionError):
                    log.exception("the callback delete failed for message %r of %s", entry.key, self._user)
        return Removal(len(entries) - failed, failed, reason)

    def close(self, ending: Ending, /) -> None:  # every ending is alike here
        self._release()
