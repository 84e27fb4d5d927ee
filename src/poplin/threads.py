"""Bounded pools of threads for work that waits: what hangs in one holds up neither another nor the program's end.

Ground floor. asyncio's own pool is one for everything, so that a few hung calls would starve the password hashes
beside them, and a loop that ends waits for it; hence these. The threads are daemons and go when there is nothing to
do. asyncio is loaded by the first call.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from poplin.errors import TemporaryFailure

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Threads"]

T = TypeVar("T")

_LINGER = 2.0  # seconds that a thread waits for work
_HANGING = 2  # calls of one owner that may hang with nobody waiting for them


class _Job:
    """One call, in the context of whoever asked for it."""

    __slots__ = ("context", "function", "future", "given_up", "owner", "runs")

    def __init__(self, function: Callable[[], object], owner: str) -> None:
        # Loaded here: it takes longer than all of poplin's ground floor.
        from concurrent.futures import Future

        self.function = function
        self.owner = owner
        self.context = contextvars.copy_context()
        self.future: Future[Any] = Future()
        self.runs = self.given_up = False

    def run(self) -> None:
        """Make the call; whatever comes of it goes into the future."""
        try:
            answer = self.context.run(self.function)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the answer is waited for
            self.future.set_exception(error)
        else:
            self.future.set_result(answer)


class Threads:
    """At most `size` calls at a time; more wait their turn.

    A call whose caller gave up (the client is gone) cannot be stopped. Up to `spare` such calls no longer count
    against `size`: other callers get a new thread. Nor may one owner (a user) have more than two of them.
    """

    def __init__(self, name: str, size: int, spare: int = 0) -> None:
        self.name = name
        self._size = size
        self._spare = spare
        self._guard = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._threads = 0
        self._idle = 0
        self._left: dict[str, int] = {}
        self._left_in_all = 0

    def __repr__(self) -> str:
        return f"<Threads {self.name!r} {self._threads} of {self._size}, {self._left_in_all} given up>"

    async def run(self, function: Callable[[], T], *, owner: str = "") -> T:
        """What `function` gives, called in a thread; its exceptions too.

        Given up meanwhile, it still runs to its end unless it has not begun; its answer is dropped.

        Raises:
            TemporaryFailure: earlier calls for this `owner` hang, and nobody waits for them any more.
        """
        import asyncio

        job = _Job(function, owner)
        self._take(job)
        try:
            answer: T = await asyncio.wrap_future(job.future)
            return answer
        finally:
            if job.future.cancelled() or not job.future.done():
                self._give_up(job)

    def _take(self, job: _Job) -> None:
        with self._guard:
            if job.owner and self._left.get(job.owner, 0) >= _HANGING:
                raise TemporaryFailure(f"earlier calls of {self.name} for {job.owner!r} hang")
            self._jobs.append(job)
            self._see_to_it()

    def _see_to_it(self) -> None:
        """Wake a thread for the job at hand, or start one if there may be another."""
        if self._idle >= len(self._jobs):
            self._guard.notify()
        elif self._threads < self._size:
            self._threads += 1
            threading.Thread(target=self._work, name=f"poplin {self.name}", daemon=True).start()

    def _give_up(self, job: _Job) -> None:
        with self._guard:
            if not job.runs:
                job.future.cancel()
                with contextlib.suppress(ValueError):
                    self._jobs.remove(job)
                return
            job.given_up = self._left_in_all < self._spare
            if not job.given_up:
                return  # it keeps its place
            self._left[job.owner] = self._left.get(job.owner, 0) + 1
            self._left_in_all += 1
            self._threads -= 1
            if self._jobs:
                self._see_to_it()

    def _work(self) -> None:
        """A thread's whole life."""
        while (job := self._next()) is not None:
            job.run()
            with self._guard:
                job.runs = False
                if job.given_up:
                    self._forget(job)
                    return

    def _next(self) -> _Job | None:
        with self._guard:
            while True:
                while self._jobs:
                    job = self._jobs.popleft()
                    if job.future.set_running_or_notify_cancel():
                        job.runs = True
                        return job
                self._idle += 1
                woken = self._guard.wait(_LINGER)
                self._idle -= 1
                if not woken and not self._jobs:
                    self._threads -= 1
                    return None

    def _forget(self, job: _Job) -> None:
        """A call that was given up came to its end after all, and its thread with it."""
        self._left_in_all -= 1
        left = self._left[job.owner] - 1
        if left:
            self._left[job.owner] = left
        else:
            del self._left[job.owner]
