"""A stage is a state at work: a table of commands, and the data that is valid in that state alone.

One loop (`session.Session.handle`) runs every table. A handler takes its command and answers a reply, at once or
as a coroutine; an error that knows its reply may be raised from anywhere below.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, TypeAlias, TypeVar, cast

from poplin.protocol.commands import Command
from poplin.protocol.replies import Reply
from poplin.protocol.states import State

__all__ = ["Handler", "Stage", "handles"]

Handler: TypeAlias = Callable[["Stage", Command], Reply | Awaitable[Reply]]

S = TypeVar("S", bound="Stage")
C = TypeVar("C", bound=Command)

_MARK = "_poplin_verb"


def handles(
    command: type[C],
) -> Callable[[Callable[[S, C], Reply | Awaitable[Reply]]], Callable[[S, C], Reply | Awaitable[Reply]]]:
    """Enter the method below into its stage's table, for `command`."""

    def enter(method: Callable[[S, C], Reply | Awaitable[Reply]]) -> Callable[[S, C], Reply | Awaitable[Reply]]:
        setattr(method, _MARK, command.verb)
        return method

    return enter


class Stage:
    """Base of the stages. `table` holds the handlers by verb, a subclass's own before its bases'."""

    __slots__ = ()

    state: ClassVar[State]
    table: ClassVar[Mapping[str, Handler]] = {}

    def __init_subclass__(cls) -> None:
        table = dict(cls.table)
        for method in vars(cls).values():
            verb = getattr(method, _MARK, None)
            if verb is not None:
                table[verb] = cast("Handler", method)
        cls.table = table
