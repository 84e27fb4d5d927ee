"""Which event loop, and how to wait for the first of several things. No server in this file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine

__all__ = ["first_of", "runner"]


async def first_of(*coroutines: Coroutine[object, object, object]) -> None:
    """Wait for whichever is done first; the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def runner() -> asyncio.Runner:
    """A runner on uvloop where it is installed (``poplin[speed]``), else on asyncio's own loop.

    ``POPLIN_LOOP=asyncio`` asks for asyncio's own, ``POPLIN_LOOP=uvloop`` insists on uvloop.
    """
    wish = os.environ.get("POPLIN_LOOP", "")
    if wish != "asyncio":
        try:
            import uvloop
        except ImportError:
            if wish == "uvloop":
                raise
        else:
            return asyncio.Runner(loop_factory=uvloop.new_event_loop)
    return asyncio.Runner()
