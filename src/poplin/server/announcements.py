"""Events that nobody can wait for: sent from any thread, told in the loop, each in a task of its own.

Who sends an event while it is told of one may never come to an end: so deep and no deeper, so many at once and no
more. What is too much is dropped, and the log says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

from poplin.plugins.events import Event
from poplin.plugins.pipeline import Pipeline

__all__ = ["Announcements"]

logger: logging.Logger = logging.getLogger("poplin.plugins")

_DEEPEST = 16  # an event that is sent at hearing of an event that was sent at hearing of …
_MOST = 10_000  # events not told yet

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class _Telling:
    """An event being told, and how deep it lies within others."""

    __slots__ = ("depth", "over")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.over = False


_TELLING: ContextVar[_Telling | None] = ContextVar("poplin_telling", default=None)


class Announcements:
    """Tells a pipeline's plugins and handlers. `spawn` makes the tasks."""

    def __init__(self, pipeline: Pipeline, loop: asyncio.AbstractEventLoop, spawn: Spawn) -> None:
        self._pipeline = pipeline
        self._loop = loop
        self._spawn = spawn
        self._waiting = 0

    def announce(self, event: Event) -> None:
        """Tell of an event, as soon as the loop comes to it. Any thread may call."""
        telling = _TELLING.get()
        # What is sent when the telling is over, by a timer say, is a beginning and no echo.
        depth = 0 if telling is None or telling.over else telling.depth + 1
        if depth > _DEEPEST:
            logger.error("%s dropped: events that are sent at hearing of events have no end", type(event).__name__)
            return
        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everybody who could listen
            self._loop.call_soon_threadsafe(self._begin, event, depth)

    def _begin(self, event: Event, depth: int) -> None:
        if self._waiting >= _MOST:
            logger.error("%s dropped: %d events are not told yet", type(event).__name__, self._waiting)
            return
        self._waiting += 1
        self._spawn(self._tell(event, depth))

    async def _tell(self, event: Event, depth: int) -> None:
        telling = _Telling(depth)
        _TELLING.set(telling)  # in the task's own context
        try:
            await self._pipeline.event(event)
        finally:
            telling.over = True
            self._waiting -= 1
