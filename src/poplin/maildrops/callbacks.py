"""Functions as a maildrop: list, retrieve, size, delete. The engine does the rest."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from poplin.calling import Callback, WrongAnswer, is_awaitable, note
from poplin.content import Content
from poplin.errors import MessageGone, MessageUnreadable, SessionError
from poplin.identity import MaybeAwaitable, settle
from poplin.maildrops.base import Ending, Entry, Maildrop, OpenRequest, Removal, Scan
from poplin.maildrops.callbacks_content import Retrieved, Source, content_of, count_octets
from poplin.maildrops.locking import Registry
from poplin.maildrops.unique_ids import lasting_unique_id

__all__ = [
    "CallbackMaildrops",
    "DeleteAllCallback",
    "DeleteCallback",
    "DryRun",
    "ListCallback",
    "Listed",
    "RetrieveCallback",
    "SizeCallback",
]

log: logging.Logger = logging.getLogger("poplin.maildrops")

Listed: TypeAlias = (
    Iterable[str] | Iterable[tuple[str, int]] | Mapping[str, int] | AsyncIterable[str] | AsyncIterable[tuple[str, int]]
)
"""The messages' ids in the order of their message-numbers, with or without their octets."""

ListCallback: TypeAlias = Callable[[str], Listed | Awaitable[Listed]]
"""Called with the user."""
RetrieveCallback: TypeAlias = "Callable[[str, str], Retrieved | Awaitable[Retrieved]]"
"""Called with the user and a message's id. ``None``, or a `KeyError` of that very id: the message is gone."""
SizeCallback: TypeAlias = Callable[[str, str], int | Awaitable[int]]
"""Called with the user and a message's id: its octets, every line end counted as two."""
DeleteCallback: TypeAlias = Callable[[str, str], object]
"""Called with the user and a message's id. Its result is ignored; an exception leaves the message there, unless it is
`MessageGone` or a `KeyError` of that very id: gone is what was wanted."""
DeleteAllCallback: TypeAlias = Callable[[str, Sequence[str]], object]
"""Called with the user and the ids of all marked messages, once. Its result is ignored; an exception means that
nothing was removed."""
DryRun: TypeAlias = bool | Callable[[str], bool | Awaitable[bool | None] | None]
"""Whether QUIT shall remove nothing: for everybody, or called with the user."""

_LISTED = "an iterable of ids (str), of pairs of id and octets, or a mapping of ids to octets"
_RETRIEVED = "bytes, str, an EmailMessage, a path, an iterable of bytes or str, or None"


@dataclass(frozen=True, slots=True)
class _Functions:
    """The callbacks of an opener."""

    list: Callback
    retrieve: Callback
    size: Callback | None
    delete: Callback | None
    delete_all: Callback | None
    dry_run: Callback | bool


def _callback(name: str, function: Callable[..., object], *parameters: str) -> Callback:
    return Callback(name, function, "user", *parameters, for_user=True)


class CallbackMaildrops:
    """An `Opener` over functions; each may be plain, ``async``, or marked by `poplin.blocking`.

    A message's id is its unique-id where RFC 1939 section 7 allows that (1 to 70 octets of 0x21 to 0x7E),
    and is hashed, always alike, where it does not. Without `size`, octets that `list` did not tell are
    counted by retrieving each message once a session, at the first STAT or LIST. QUIT calls `delete` for each
    marked message, or `delete_all` once for all of them; without either, and in a `dry_run`, nothing is removed,
    and clients are not told so. With `exclusive` a user has one session at a time.

    Raises:
        TypeError: a callback that could not be called, or both `delete` and `delete_all`.
    """

    def __init__(  # noqa: PLR0913  # one keyword for each callback: that is this class
        self,
        *,
        list: ListCallback,  # noqa: A002  # the name that users know since Net::Server::POP3
        retrieve: RetrieveCallback,
        size: SizeCallback | None = None,
        delete: DeleteCallback | None = None,
        delete_all: DeleteAllCallback | None = None,
        dry_run: DryRun = False,
        exclusive: bool = True,
    ) -> None:
        if delete is not None and delete_all is not None:
            raise TypeError("delete removes one message, delete_all all that are marked: give one of them")
        if not isinstance(dry_run, bool) and not callable(dry_run):
            raise TypeError(f"dry_run is {type(dry_run).__name__}, not True, False or a function of (user)")
        self._functions = _Functions(
            _callback("list", list),
            _callback("retrieve", retrieve, "message_id"),
            None if size is None else _callback("size", size, "message_id"),
            None if delete is None else _callback("delete", delete, "message_id"),
            None if delete_all is None else _callback("delete_all", delete_all, "message_ids"),
            dry_run if isinstance(dry_run, bool) else _callback("dry_run", dry_run),
        )
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
        callback = self._functions.list
        if callback.blocking:
            return callback.in_thread(self._user, self._gather)
        listed = callback(self._user)
        if is_awaitable(listed) or isinstance(listed, AsyncIterable):
            return self._scan_later(listed)
        return self._scan_of(listed)

    def _gather(self) -> Scan:
        # A generator does its work when it is read: that too belongs in the thread.
        try:
            return self._scan_of(self._functions.list.function(self._user))
        except Exception as error:
            note(error, f"in the callback {self._functions.list} for user {self._user!r}")
            raise

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
            ValueError: an id comes twice.
        """
        callback = self._functions.list
        # An iterable of characters is not what the author meant.
        if isinstance(listed, str | bytes) or not isinstance(listed, Iterable):
            raise self._wrong_listing(listed)
        items: Iterable[object] = listed.items() if isinstance(listed, Mapping) else listed
        natives: list[str] = []
        octets: list[int] = []
        for item in items if callback.blocking else callback.watched(list, items):
            native = item
            if isinstance(item, tuple) and len(item) == 2:
                native, size = item
                octets.append(self._size(callback, size, native))
            if not isinstance(native, str):
                raise self._wrong_listing(item)
            natives.append(native)
        unique_ids = [lasting_unique_id(native) for native in natives]
        if len(set(natives)) != len(natives):
            twice = next(native for index, native in enumerate(natives) if native in natives[:index])
            raise ValueError(
                f"the callback {callback} gave the id {twice!r} twice for user {self._user!r}; an id names one message"
            )
        return Scan(unique_ids, octets if len(octets) == len(natives) else None, natives)

    def _wrong_listing(self, value: object) -> WrongAnswer:
        return WrongAnswer(value, self._functions.list, _LISTED, user=self._user)

    def _size(self, callback: Callback, value: object, native: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise WrongAnswer(value, callback, "octets, 0 or more", user=self._user, message=native)
        return value

    def retrieve(self, entry: Entry, /) -> MaybeAwaitable[Content]:
        callback = self._functions.retrieve
        source = Source(callback, self._user, entry.key, _RETRIEVED)
        try:
            answer = callback(self._user, entry.key)
        except KeyError as error:
            if _means_gone(error, entry):
                raise MessageGone(entry.key) from error
            raise
        if is_awaitable(answer):
            return self._retrieve_later(answer, source, entry)
        return content_of(answer, source)

    async def _retrieve_later(self, answer: Awaitable[object], source: Source, entry: Entry) -> Content:
        try:
            value = await answer
        except KeyError as error:
            if _means_gone(error, entry):
                raise MessageGone(entry.key) from error
            raise
        return content_of(value, source)

    async def measure(self, entries: Sequence[Entry], /) -> Sequence[int]:
        size = self._functions.size
        if size is None:
            return [await self._count(entry) for entry in entries]
        return [self._size(size, await settle(size(self._user, entry.key)), entry.key) for entry in entries]

    async def _count(self, entry: Entry) -> int:
        """The octets of a message, by retrieving it; 0 for one that cannot be had, so that the others can."""
        callback = self._functions.retrieve
        try:
            content = await settle(self.retrieve(entry))
            try:
                return await count_octets(content, functools.partial(callback.in_thread, self._user))
            finally:
                content.close()
        except (MessageGone, MessageUnreadable) as failure:
            log.info("message %r of %s cannot be measured: %s", entry.key, self._user, failure)
        except (SessionError, WrongAnswer):
            raise
        except Exception:  # a message on which its author's code stumbles; RETR will say so
            log.exception("the callback %s failed for message %r of %s", callback, entry.key, self._user)
        return 0

    async def remove(self, entries: Sequence[Entry], /) -> Removal:
        functions, user = self._functions, self._user
        if await self._is_dry_run():
            log.info("dry run: %d messages of %s are marked, and none was removed", len(entries), user)
            return Removal(0)
        if functions.delete_all is not None:
            await settle(functions.delete_all(user, [entry.key for entry in entries]))
            return Removal(len(entries))
        if functions.delete is not None:
            return await self._remove_each(functions.delete, entries)
        return Removal(0)

    async def _is_dry_run(self) -> bool:
        dry_run = self._functions.dry_run
        if isinstance(dry_run, bool):
            return dry_run
        answer = await settle(dry_run(self._user))
        if not isinstance(answer, bool | None):
            raise WrongAnswer(answer, dry_run, "True, False or None", user=self._user)
        return bool(answer)

    async def _remove_each(self, delete: Callback, entries: Sequence[Entry]) -> Removal:
        failed = 0
        reason = ""
        for entry in entries:
            try:
                await settle(delete(self._user, entry.key))
            except MessageGone:
                continue  # gone is what was wanted
            except Exception as failure:  # one message's failure must not keep the others from being removed
                if _means_gone(failure, entry):
                    continue
                failed += 1
                reason = reason or f"the callback {delete}: {type(failure).__name__}: {failure}"
                if not isinstance(failure, SessionError):
                    log.exception("the callback %s failed for message %r of %s", delete, entry.key, self._user)
        return Removal(len(entries) - failed, failed, reason)

    def close(self, ending: Ending, /) -> None:  # every ending is alike here
        self._release()


def _means_gone(error: Exception, entry: Entry) -> bool:
    """Whether a callback says that there is no such message: ``messages[message_id]`` does so by a `KeyError`. One of
    any other key is a bug in it."""
    return isinstance(error, KeyError) and error.args == (entry.key,)
