"""Answers that may come later, waited for by a test that is no coroutine."""

from __future__ import annotations

import asyncio
from typing import TypeVar, cast

from poplin.identity import MaybeAwaitable, settle

T = TypeVar("T")


def answer(value: MaybeAwaitable[T]) -> T:
    """The answer itself; an event loop is started only if it has to be waited for."""
    if hasattr(type(value), "__await__"):
        return asyncio.run(settle(value))
    return cast("T", value)
