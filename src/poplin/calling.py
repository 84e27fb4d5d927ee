"""Calling what a user of the library handed us: a plain function, an async one, or one that blocks.

Ground floor: authenticators and maildrops made of callbacks share it. What answers at once costs neither
a task nor a thread; a thread comes from `poplin.threads`. (The file is not named after `blocking`, which the
package shows as ``poplin.blocking``: a submodule of that name would hide it.)
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import ParamSpec, TypeGuard, TypeVar

from poplin.errors import SessionError
from poplin.identity import MaybeAwaitable
from poplin.threads import Threads

__all__ = [
    "Callback",
    "WrongAnswer",
    "blocking",
    "describe",
    "in_thread",
    "is_awaitable",
    "is_blocking",
    "note",
    "suggest_keywords",
    "then",
]

P = ParamSpec("P")
T = TypeVar("T")

logger: logging.Logger = logging.getLogger("poplin.callbacks")

_HOLDS = 0.1  # seconds for which nobody else was served: worth a word
_THREADS = 16  # of one callback at a time
_HOUSE = Threads("worker", 8)  # poplin's own work: password hashes, files
_TOLD = ("user", "message_id")  # arguments that may be told; the others may be secrets
_NOTES = 8  # an exception that is raised again and again does not gather notes without end


def blocking(function: Callable[P, T]) -> Callable[P, T]:
    """Mark a plain function that waits (for a disk, a database, the network): it is run in a thread.

    Each callback has threads of its own, 16 at most, so that one that hangs holds up no other. Inside them
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
    """What `function`, of poplin's own, gives, run in one of poplin's own threads.

    Given up meanwhile, it still runs to its end; only its answer is dropped.
    """
    return await _HOUSE.run(functools.partial(function, *arguments, **keywords))


def note(error: BaseException, text: str) -> None:
    """Say with an exception what was going on (PEP 678): its traceback in the log shows it."""
    notes = getattr(error, "__notes__", ())
    if text not in notes and len(notes) < _NOTES:
        error.add_note(text)


class Callback:
    """A function of the user's, by the name that it was given under: calls it, and says what is wrong with it.

    It is called with `parameters`, or with the first of them, at least `fewest` (0: all). It may be plain, ``async``
    or marked by `blocking`. A plain one that holds the loop for more than 0.1 s is told of in the log, once. With
    `for_user` its first argument is a user who was let in, who may not have it hang again and again.

    Raises:
        TypeError: it is no function, or takes other parameters.
    """

    __slots__ = ("_for_user", "_parameters", "_slow", "_threads", "blocking", "function", "name")

    def __init__(
        self, name: str, function: Callable[..., object], *parameters: str, fewest: int = 0, for_user: bool = False
    ) -> None:
        taken = check_callback(name, function, *parameters, fewest=fewest)
        self.name: str = name
        self.function: Callable[..., object] = function
        self.blocking: bool = is_blocking(function)
        self._parameters = parameters[:taken]
        self._for_user = for_user
        self._slow = False
        self._threads = Threads(name, _THREADS, _THREADS)

    def __str__(self) -> str:
        return f"{self.name} ({describe(self.function)})"

    def __call__(self, *arguments: object) -> object:
        """What the function gives: the answer, or an awaitable of it."""
        given = arguments[: len(self._parameters)]
        if self.blocking:
            owner = str(given[0]) if self._for_user else ""
            return self._awaited(self.in_thread(owner, self.function, *given), given)
        try:
            answer = self.watched(self.function, *given)
        except Exception as error:
            self._note(error, given)
            raise
        return self._awaited(answer, given) if is_awaitable(answer) else answer

    def watched(self, function: Callable[..., T], *arguments: object) -> T:
        """What `function` gives, called here; noticing how long that held up everybody else."""
        started = time.monotonic()
        try:
            return function(*arguments)
        finally:
            seconds = time.monotonic() - started
            if seconds > _HOLDS and not self._slow:
                self._slow = True
                logger.warning(
                    "the callback %s held up every session for %d ms; mark it with poplin.blocking, or make it async",
                    self, round(seconds * 1000),
                )  # fmt: skip

    async def in_thread(self, owner: str, function: Callable[..., T], *arguments: object) -> T:
        """What `function` gives, called in one of this callback's threads on behalf of `owner` (``""``: nobody)."""
        return await self._threads.run(functools.partial(function, *arguments), owner=owner)

    async def _awaited(self, answer: Awaitable[object], arguments: tuple[object, ...]) -> object:
        try:
            return await answer
        except Exception as error:
            self._note(error, arguments)
            raise

    def _note(self, error: Exception, arguments: tuple[object, ...]) -> None:
        if not isinstance(error, SessionError):
            note(error, f"in the callback {self}{about(dict(zip(self._parameters, arguments, strict=True)))}")


def about(arguments: Mapping[str, object]) -> str:
    """For whom and what a callback was asked, as far as it may be told."""
    told = [f"{name.removesuffix('_id')} {arguments[name]!r}" for name in _TOLD if name in arguments]
    return f" for {', '.join(told)}" if told else ""


def then(value: object, function: Callable[[object], T]) -> MaybeAwaitable[T]:
    """`function` of `value`: at once if that is here, else when it has come."""
    if is_awaitable(value):
        return _then(value, function)
    return function(value)


async def _then(value: Awaitable[object], function: Callable[[object], T]) -> T:
    return function(await value)


def describe(function: Callable[..., object]) -> str:
    """The name by which the author of `function` knows it; a lambda has but a place."""
    name = str(getattr(function, "__qualname__", None) or type(function).__qualname__)
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is not None and name.endswith("<lambda>"):
        return f"{name}, {code.co_filename.replace(chr(92), '/').rpartition('/')[2]}:{code.co_firstlineno}"
    return name


class WrongAnswer(TypeError):
    """A callback gave what it may not give: a bug of its author, told by name.

    Only the answer's type is told: the answer itself may be a message or a secret. `about` is whom and what
    the callback was asked for.
    """

    def __init__(self, value: object, callback: Callback, expected: str, **about: object) -> None:
        asked = ", ".join(f"{name} {what!r}" for name, what in about.items())
        returned = f"the callback {callback} returned {type(value).__name__}"
        super().__init__(f"{returned}{asked and f' for {asked}'}; expected {expected}")


def check_callback(name: str, function: Callable[..., object], *parameters: str, fewest: int = 0) -> int:
    """Refuse a callback that could never be called with `parameters`; how many of them it takes, `fewest` or more.

    Raises:
        TypeError: it is no function, or takes other parameters.
    """
    if not callable(function):
        raise TypeError(
            f"the callback {name} is {type(function).__name__}, not a function of ({', '.join(parameters)})"
        )
    try:
        signature = inspect.signature(function)
    except ValueError:
        return len(parameters)  # written in C without a signature: the first call will tell
    for count in range(len(parameters), (fewest or len(parameters)) - 1, -1):
        with contextlib.suppress(TypeError):
            signature.bind(*parameters[:count])
            return count
    raise TypeError(
        f"the callback {name} is called with ({', '.join(parameters)}); {describe(function)} takes {signature}"
    )


def suggest_keywords(elsewhere: Mapping[str, str]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a function, whose keywords are callbacks, name the right spelling when it is called with a wrong one.

    `elsewhere`: wishes that are served in another place, and which.
    """

    def checking(function: Callable[P, T]) -> Callable[P, T]:
        allowed = [name for name in inspect.signature(function).parameters if name != "self"]

        @functools.wraps(function)
        def checked(*arguments: P.args, **keywords: P.kwargs) -> T:
            for name in keywords:
                if name not in allowed:
                    raise TypeError(
                        f"there is no callback {name!r}{_hint(name, allowed, elsewhere)}"
                        f" The callbacks are: {', '.join(allowed)}"
                    )
            return function(*arguments, **keywords)

        return checked

    return checking


def _hint(name: str, allowed: list[str], elsewhere: Mapping[str, str]) -> str:
    import difflib

    if name.lower() in elsewhere:
        return f"; it is {elsewhere[name.lower()]}."
    close = difflib.get_close_matches(name, allowed, 1)
    return f"; did you mean {close[0]!r}?" if close else "."
