"""Calling what a user of the library handed us: a plain function, an async one, or one that blocks.

Ground floor: authenticators and maildrops made of callbacks share it. What answers at once costs neither
a task nor a thread; asyncio is loaded by the first call that needs a thread. (The file is not named after
`blocking`, which the package shows as ``poplin.blocking``: a submodule of that name would hide it.)
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeGuard, TypeVar

from poplin.identity import MaybeAwaitable

__all__ = [
    "WrongAnswer",
    "blocking",
    "call",
    "check_callback",
    "describe",
    "in_thread",
    "is_awaitable",
    "is_blocking",
    "suggest_keywords",
    "then",
]

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


def blocking(function: Callable[P, T]) -> Callable[P, T]:
    """Mark a plain function that waits (for a disk, a database, the network): it is run in a thread.

    The threads are the event loop's own (`asyncio.to_thread`): few, and gone with the loop. Inside them
    `poplin.current_session` works as elsewhere. A function that only computes briefly needs no mark.

    Raises:
        TypeError: the function is ``async`` and so never runs in a thread.
    """
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{describe(function)} is async: it is awaited, not run in a thread; leave out blocking()")

    @functools.wraps(function)
    def marked(*arguments: P.args, **keywords: P.kwargs) -> T:
        return function(*arguments, **keywords)

    marked.__dict__["blocking"] = True
    return marked


def is_blocking(function: Callable[..., object]) -> bool:
    """Whether `function` is marked: by `blocking`, or by an attribute ``blocking`` that is true."""
    return bool(getattr(function, "blocking", False))


def is_awaitable(value: object) -> TypeGuard[Awaitable[object]]:
    """Whether `value` is an answer to wait for."""
    return hasattr(type(value), "__await__")


async def in_thread(function: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
    """What `function` gives, run in one of the event loop's threads.

    Given up meanwhile, it still runs to its end; only its answer is dropped.
    """
    import asyncio

    return await asyncio.to_thread(function, *arguments, **keywords)


def call(function: Callable[..., object], /, *arguments: object) -> object:
    """What `function` gives: the answer, or an awaitable of it."""
    if is_blocking(function):
        return in_thread(function, *arguments)
    return function(*arguments)


def then(value: object, function: Callable[[object], T]) -> MaybeAwaitable[T]:
    """`function` of `value`: at once if that is here, else when it has come."""
    if is_awaitable(value):
        return _then(value, function)
    return function(value)


async def _then(value: Awaitable[object], function: Callable[[object], T]) -> T:
    return function(await value)


def describe(function: Callable[..., object]) -> str:
    """The name by which the author of `function` knows it."""
    return getattr(function, "__qualname__", None) or type(function).__qualname__


class WrongAnswer(TypeError):
    """A callback gave what it may not give: a bug of its author, told by name.

    Only the answer's type is told: the answer itself may be a message or a secret. `about` is whom and what
    the callback was asked for.
    """

    def __init__(self, value: object, callback: str, expected: str, **about: object) -> None:
        asked = ", ".join(f"{name} {what!r}" for name, what in about.items())
        super().__init__(f"the callback {callback} returned {type(value).__name__} for {asked}; expected {expected}")


def check_callback(name: str, function: Callable[..., object] | None, *parameters: str) -> None:
    """Refuse a callback that could never be called with `parameters`; ``None`` is no callback at all.

    Raises:
        TypeError: it is no function, or takes other parameters.
    """
    if function is None:
        return
    if not callable(function):
        raise TypeError(
            f"the callback {name} is {type(function).__name__}, not a function of ({', '.join(parameters)})"
        )
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # written in C without a signature: the first call will tell
    try:
        signature.bind(*parameters)
    except TypeError:
        raise TypeError(
            f"the callback {name} is called with ({', '.join(parameters)}); {describe(function)} takes {signature}"
        ) from None


def suggest_keywords(function: Callable[P, T]) -> Callable[P, T]:
    """Make `function`, whose keywords are callbacks, name the right spelling when it is called with a wrong one."""
    allowed = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*arguments: P.args, **keywords: P.kwargs) -> T:
        for name in keywords:
            if name not in allowed:
                import difflib

                close = difflib.get_close_matches(name, allowed, 1)
                hint = f"; did you mean {close[0]!r}?" if close else "."
                raise TypeError(f"there is no callback {name!r}{hint} The callbacks are: {', '.join(allowed)}")
        return function(*arguments, **keywords)

    return checked
