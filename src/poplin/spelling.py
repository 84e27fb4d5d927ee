"""Keywords that name their right spelling when they are misspelt. Ground floor: imports nothing of ours."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

__all__ = ["did_you_mean", "spelled", "spelled_class"]

P = ParamSpec("P")
T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'autologout'?``, or ``""`` where nothing known is near."""
    import difflib

    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def spelled(function: Callable[P, T]) -> Callable[P, T]:
    """Have a function name the keyword that was meant. CPython does so from 3.13 on, and names no other choice.

    What is returned raises ``TypeError`` for a keyword that `function` does not have.
    """
    known = [name for name, one in inspect.signature(function).parameters.items() if one.kind is one.KEYWORD_ONLY]
    allowed = frozenset(known)

    @functools.wraps(function)
    def checked(*arguments: P.args, **keywords: P.kwargs) -> T:
        for name in keywords:
            if name not in allowed:
                called = function.__qualname__.removesuffix(".__init__")
                hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
                raise TypeError(f"{called} has no keyword {name!r}{hint}")
        return function(*arguments, **keywords)

    return checked


def spelled_class(cls: type[T]) -> type[T]:
    """The same for what a class is made with: one whose fields are all keywords."""
    setattr(cls, "__init__", spelled(cls.__init__))  # noqa: B010 - for mypy an __init__ is never assigned to
    return cls
