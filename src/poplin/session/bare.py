"""TRANSACTION without a maildrop: where a class of command methods logged its client in by itself.

What needs no messages works here; everything else is the class's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poplin.protocol.commands import Capa, Noop, Quit
from poplin.protocol.replies import Ok, Reply
from poplin.protocol.states import State
from poplin.session.authorization import capability_list
from poplin.session.stage import Stage, handles

if TYPE_CHECKING:
    from poplin.session.context import SessionContext

__all__ = ["Bare"]


class Bare(Stage):
    """TRANSACTION with nothing in it."""

    __slots__ = ("_context",)

    state = State.TRANSACTION

    def __init__(self, context: SessionContext) -> None:
        self._context = context

    @handles(Capa)
    async def capa(self, command: Capa) -> Reply:
        """CAPA."""
        return await capability_list(self._context)

    @handles(Noop)
    def noop(self, command: Noop) -> Reply:
        """NOOP."""
        return Ok()

    @handles(Quit)
    async def quit(self, command: Quit) -> Reply:
        """QUIT: the class commits."""
        return await self._context.enter_update()
