"""Maildirs: one directory a user with ``new``, ``cur`` and ``tmp``, one file a message.

Here lives what a session does with a Maildir. Delivery agents add files and IMAP servers rename and remove
them meanwhile, without asking; poplin only ever removes what a client deleted, and adds ``poplin.lock``
(`locking`) and ``poplin.index`` (`maildir_index`) beside the three directories.

What is at hand is answered at once; what may take long (thousands of entries, files to be read whole) is
done in a thread. A session that ends meanwhile keeps its lock until that thread is done.

Removed messages are not synced to the disk: a power cut may bring some back, with their old unique-ids,
and never loses one. Syncing would cost milliseconds a QUIT.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from poplin.content import Content, FileRegion, Form, examine
from poplin.errors import MessageGone, MessageUnreadable, TemporaryFailure
from poplin.identity import Identity, MaybeAwaitable
from poplin.maildrops.base import Ending, Entry, OpenRequest, Removal, Scan
from poplin.maildrops.locking import Registry, SessionLock
from poplin.maildrops.maildir_files import (
    EXAMINED,
    Budget,
    Facts,
    TooMuch,
    examine_file,
    failure,
    open_message,
    read_all,
)
from poplin.maildrops.maildir_index import append, rewrite
from poplin.maildrops.maildir_listing import stamps_of
from poplin.maildrops.maildir_paths import path_from
from poplin.maildrops.maildir_scan import File, Survey, Surveys, survey

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["Maildir", "Maildirs"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_LOCK_NAME = "poplin.lock"
_THREADS = 4
_TRIES = 10
"""So often a message is looked for anew that somebody renames or alters just then."""
_FEW = 400
"""A directory with more entries is read in a thread."""
_FORMS = [Form(flags) for flags in range(16)]


def _inline() -> Budget:
    """What may be done while the event loop waits: about a millisecond's worth."""
    return Budget(entries=_FEW, files=32, octets=1 << 20)


class Maildirs:
    """An `Opener` of Maildirs on disk (POSIX). A Maildir that does not exist yet is made.

    `path` is a template (see `maildir_paths.path_from`) or a function of the identity, which then answers for what
    it makes of a name. Messages up to `inline_octets` are read in one piece. Surveys of Maildirs are kept in
    memory up to `cached_messages` in all, about 300 octets each.
    """

    def __init__(
        self,
        path: str | Callable[[Identity], str],
        *,
        inline_octets: int = 262_144,
        cached_messages: int = 1_000_000,
    ) -> None:
        self._path = path if callable(path) else path_from(path)
        self._registry = Registry()
        self._pool: ThreadPoolExecutor | None = None
        self._index_failed = False
        self.inline_octets = inline_octets
        self.surveys: Surveys = Surveys(cached_messages)

    def open(self, request: OpenRequest, /) -> Maildir:
        """The user's Maildir, locked.

        Raises:
            InUse: another session, of this process or of another one, has it.
            Refused: the user's name must not reach a path.
            PermanentFailure, TemporaryFailure: it cannot be opened or made.
            ValueError: a lock policy that is not available in this version.
        """
        path = self._path(request.identity)
        if request.lock.policy == "snapshot":
            return Maildir(self, path, None)
        if request.lock.policy != "refuse":
            raise ValueError(f"lock policy {request.lock.policy!r} is not available in this version")
        try:
            lock = self._lock(path, request)
        except FileNotFoundError:
            make_maildir(path)
            lock = self._lock(path, request)
        return Maildir(self, path, lock)

    def _lock(self, path: str, request: OpenRequest) -> SessionLock:
        client = request.client
        return SessionLock(
            self._registry, f"{path}/{_LOCK_NAME}", path, session=client.session_id, address=client.address
        )

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have `work` done in one of a few threads."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(_THREADS, "poplin-maildir")
        return self._pool.submit(work)

    def save(self, path: str, survey: Survey) -> None:
        """Write to the index what it lacks. Whatever goes wrong is logged (once loudly) and no failure."""
        files = survey.files
        saved = list(files.fresh)
        try:
            if survey.index_worn or survey.index_octets > 16_384 + 300 * len(files):
                octets = rewrite(path, *files.known(range(len(files))))
            elif saved:
                octets = append(path, *files.known(saved))
            else:
                return
        except OSError as error:
            level = logging.DEBUG if self._index_failed else logging.WARNING
            self._index_failed = True
            _LOG.log(level, "index of %r not written: %s; going on without", path, error.strerror)
            return
        files.fresh.difference_update(saved)
        if self.surveys.get(path) is survey:
            self.surveys.keep(path, survey._replace(index_octets=octets, index_worn=False))


def make_maildir(path: str) -> None:
    """Make the Maildir `path` and what is missing above it, for its owner's eyes alone.

    Raises:
        PermanentFailure, TemporaryFailure: it cannot be made.
    """
    missing = []
    parent = path
    while parent and not os.path.lexists(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    try:
        for directory in [*reversed(missing), *(f"{path}/{part}" for part in ("tmp", "new", "cur"))]:
            try:
                os.mkdir(directory, 0o700)
            except FileExistsError:  # by a delivery agent, or another session, just now
                if not os.path.isdir(directory):
                    raise
    except OSError as error:
        raise failure(error, f"Maildir {path!r} cannot be made") from error


class Maildir:
    """One session's hold on a Maildir."""

    __slots__ = ("_lock", "_owner", "_path", "_survey", "_work")

    def __init__(self, owner: Maildirs, path: str, lock: SessionLock | None) -> None:
        self._owner = owner
        self._path = path
        self._lock = lock
        self._survey: Survey | None = None
        self._work: Future[object] | None = None

    def scan(self) -> MaybeAwaitable[Scan]:
        """The messages by time of delivery.

        Raises:
            PermanentFailure, TemporaryFailure: the directories cannot be read.
        """
        surveys = self._owner.surveys
        known = surveys.get(self._path)
        try:
            if known is not None and known.is_good(stamps_of(self._path)):
                surveys.used(self._path)
                self._survey = known
                return known.scan
            return self._surveyed(_inline())
        except TooMuch:
            return self._scan_in_thread()
        except FileNotFoundError:
            make_maildir(self._path)
        except OSError as error:
            raise failure(error, f"Maildir {self._path!r}") from error
        return self._scan_in_thread()

    async def _scan_in_thread(self) -> Scan:
        try:
            return await self._in_thread(lambda: self._surveyed(None))
        except OSError as error:
            raise failure(error, f"Maildir {self._path!r}") from error

    def _surveyed(self, budget: Budget | None) -> Scan:
        surveys = self._owner.surveys
        found = survey(self._path, surveys.get(self._path), budget)
        surveys.keep(self._path, found)
        if budget is None:  # so much was learned that it had better not wait for the session's end
            self._owner.save(self._path, found)
        self._survey = found
        return found.scan

    def retrieve(self, entry: Entry, /) -> MaybeAwaitable[Content]:
        """The whole message.

        Raises:
            MessageGone: it was removed since the scan.
            MessageUnreadable: it cannot be opened or read, or is no regular file.
            TemporaryFailure: no descriptors are left, or somebody is writing to the file.
        """
        file = cast("File", entry.key)
        for _ in range(_TRIES):
            try:
                return self._open(file) or self._retrieve_slowly(file)
            except FileNotFoundError:  # renamed, most often: an IMAP server sets a flag
                if len(file.files) > _FEW:
                    return self._retrieve_slowly(file)
            self._look_again(file)
        raise TemporaryFailure(f"message {self._name(file)!r} is renamed again and again")

    async def _retrieve_slowly(self, file: File) -> Content:
        for _ in range(_TRIES):
            try:
                if content := self._open(file):
                    return content
                self._learn(file, await self._in_thread(lambda: _examined(self._name(file))))
            except FileNotFoundError:
                await self._in_thread(lambda: self._look_again(file))
        raise TemporaryFailure(f"message {self._name(file)!r} changes again and again while it is read")

    def _look_again(self, file: File) -> None:
        """Find out where the messages are now, all at once: where one was renamed, others were."""
        files, position = file
        try:
            gone, _ = files.look_again(self._path, range(len(files)))
        except FileNotFoundError:  # the Maildir itself
            gone = {position}
        except OSError as error:
            raise failure(error, f"Maildir {self._path!r}") from error
        if position in gone:
            raise MessageGone(self._name(file))

    def _name(self, file: File) -> str:
        return f"{self._path}/{file.files.places[file.position]}"

    def _open(self, file: File) -> Content | None:
        """The message as it lies on disk; ``None`` if it is long and has yet to be examined."""
        files, position = file
        columns = files.columns
        name = f"{self._path}/{files.places[position]}"
        descriptor = open_message(name)
        try:
            status = os.fstat(descriptor)
            size, form = status.st_size, columns.forms[position]
            if not stat.S_ISREG(status.st_mode):
                raise MessageUnreadable(f"message {name!r} is no regular file")
            known = (
                columns.raws[position] == size and columns.mtimes[position] == status.st_mtime_ns and form & EXAMINED
            )
            if size > self._owner.inline_octets:
                if not known:
                    return None
                region = FileRegion(descriptor, 0, size)
                descriptor = -1
                return Content(region, _FORMS[form & 15], files.octets(position))
            body = read_all(descriptor, size)
        except OSError as error:
            raise MessageUnreadable(f"message {name!r}: {error.strerror}") from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        if known and len(body) == size:
            return Content(body, _FORMS[form & 15], files.octets(position))
        octets, exact = examine(body)
        self._learn(file, Facts(octets, len(body), status.st_mtime_ns, exact | EXAMINED))
        return Content(body, exact, octets)

    def _learn(self, file: File, facts: Facts) -> None:
        listed = file.files.columns.octets[file.position]
        if not file.files.learn(file.position, facts):
            _LOG.warning(
                "message %r has %d octets, and not the %d that were listed; the next scan knows",
                self._name(file),
                facts.octets,
                listed,
            )

    def remove(self, entries: Sequence[Entry], /) -> MaybeAwaitable[Removal]:
        """Remove these messages, under whatever name they have now. A message found gone counts as removed."""
        files = [cast("File", entry.key) for entry in entries]
        if len(files) > 32 or (files and len(files[0].files) > _FEW):
            return self._in_thread(lambda: self._removed(files))
        return self._removed(files)

    def _removed(self, messages: list[File]) -> Removal:
        reasons: list[str] = []
        waiting = messages
        for _ in range(_TRIES):
            missing = []
            for file in waiting:
                try:
                    os.unlink(self._name(file))
                except FileNotFoundError:
                    missing.append(file)
                    continue
                except OSError as error:
                    reasons.append(f"{self._name(file)!r}: {error.strerror}")
                    continue
                file.files.fresh.discard(file.position)
            waiting = self._found_again(missing, reasons)
            if not waiting:
                break
        reasons += [f"{self._name(file)!r} is renamed again and again" for file in waiting]
        reason = reasons[0] if reasons else ""
        return Removal(len(messages) - len(reasons), len(reasons), reason)

    def _found_again(self, missing: list[File], reasons: list[str]) -> list[File]:
        """Those of the missing messages that are only somewhere else; what cannot be known joins `reasons`."""
        if not missing:
            return []
        files = missing[0].files
        try:
            gone, unclear = files.look_again(self._path, [file.position for file in missing])
        except OSError as error:
            if error.errno != errno.ENOENT:  # else the Maildir is gone, and all its messages
                reasons += [f"{self._path!r}: {error.strerror}"] * len(missing)
            return []
        reasons += [f"{files.places[position]!r} cannot be told for certain" for position in unclear]
        return [file for file in missing if file.position not in gone | unclear]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        import asyncio  # none of this is needed by who never gets here

        future = self._owner.submit(work)
        self._work = cast("Future[object]", future)
        return await asyncio.wrap_future(future)

    def close(self, ending: Ending, /) -> None:
        """Free the lock: now, or when the thread that still works for this session is done."""
        if self._work is not None and not self._work.done():
            self._work.add_done_callback(lambda _: self._finish())
        else:
            self._finish()

    def _finish(self) -> None:
        survey = self._survey
        if survey is None or not (survey.files.fresh or survey.index_worn):
            self._release()
        elif len(survey.files) > _FEW and (survey.index_worn or len(survey.files.fresh) > _FEW):
            try:
                self._owner.submit(self._save_and_release)
            except RuntimeError:  # the interpreter is about to end; the index can do without
                self._release()
        else:
            self._save_and_release()

    def _save_and_release(self) -> None:
        try:
            if self._survey is not None:
                self._owner.save(self._path, self._survey)
        finally:
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _examined(name: str) -> Facts:
    descriptor = open_message(name)
    try:
        return examine_file(descriptor)
    except OSError as error:
        raise MessageUnreadable(f"message {name!r}: {error.strerror}") from error
    finally:
        os.close(descriptor)
