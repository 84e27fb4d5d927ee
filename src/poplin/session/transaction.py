"""The TRANSACTION state: RFC 1939 sections 5 and 7.

It holds the open maildrop and its listing. Nothing here changes the maildrop: DELE marks, and UPDATE removes.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from poplin.abilities import implements
from poplin.content import Content, Form
from poplin.errors import MessageGone, MessageUnreadable
from poplin.identity import settle
from poplin.maildrops.base import Maildrop, MarksRead, Measures, Previews
from poplin.plugins.events import Retrieved
from poplin.protocol.commands import Capa, Dele, List, Noop, Quit, Retr, Rset, Stat, Top, Uidl
from poplin.protocol.replies import MultiLine, Ok, Reply
from poplin.protocol.states import State
from poplin.protocol.texts import say
from poplin.session.authorization import capability_list
from poplin.session.listing import Listing
from poplin.session.stage import Stage, handles

if TYPE_CHECKING:
    from poplin.session.context import SessionContext

__all__ = ["Transaction"]

logger: logging.Logger = logging.getLogger("poplin.session")

_WIRE = Form.CRLF | Form.UNDOTTED
_NOOP = Ok()


class Transaction(Stage):
    """TRANSACTION: what would you like?"""

    __slots__ = ("_context", "_previews", "listing", "maildrop", "retrieved", "sending", "user")

    state = State.TRANSACTION

    def __init__(self, context: SessionContext, user: str, maildrop: Maildrop, listing: Listing) -> None:
        self._context = context
        self.user: str = user
        self.maildrop: Maildrop = maildrop
        self.listing: Listing = listing
        self.sending: int = 0
        """The number of the message that RETR is answered with now: a plugin may have changed the command's."""
        self.retrieved: set[int] | None = set() if implements(maildrop, MarksRead) else None
        self._previews: Previews | None = maildrop if implements(maildrop, Previews) else None

    @handles(Capa)
    async def capa(self, command: Capa) -> Reply:
        """CAPA: as before login, less STLS."""
        return await capability_list(self._context)

    @handles(Noop)
    def noop(self, command: Noop) -> Reply:
        """NOOP."""
        return _NOOP

    @handles(Stat)
    async def stat(self, command: Stat) -> Reply:
        """STAT: what is not marked."""
        listing = self.listing
        if not listing.measured:
            await self._measure()
        return Ok(f"{listing.count} {listing.octets}")

    @handles(List)
    async def list(self, command: List) -> Reply:
        """LIST, whole or of one message."""
        listing = self.listing
        number = command.number
        if number is not None:
            listing.check(number)
        if not listing.measured:
            await self._measure()
        if number is not None:
            return Ok(f"{number} {listing.octets_of(number)}")
        text = say("list", {"count": listing.count, "octets": listing.octets})
        return _ready(text, listing.list_body())

    @handles(Uidl)
    def uidl(self, command: Uidl) -> Reply:
        """UIDL, whole or of one message."""
        number = command.number
        if number is not None:
            return Ok(f"{number} {self.listing.entry(number).unique_id}")
        return _ready(say("uidl"), self.listing.uidl_body())

    @handles(Retr)
    async def retr(self, command: Retr) -> Reply:
        """RETR."""
        entry = self.listing.entry(command.number)
        content = await settle(self.maildrop.retrieve(entry))
        self.sending = command.number
        if self.retrieved is not None:
            self.retrieved.add(command.number)
        octets = content.octets
        pipeline = self._context.service.pipeline
        if pipeline.active:
            try:
                await pipeline.event(Retrieved(self._context.client, self.user, entry.unique_id, octets))
            except BaseException:  # the session was ended meanwhile: nobody else frees what is not sent
                content.close()
                raise
        if octets is None:
            return MultiLine(Ok(say("retr-unmeasured")), content)
        return MultiLine(Ok(say("retr", {"octets": octets})), content)

    @handles(Top)
    async def top(self, command: Top) -> Reply:
        """TOP: the header and the first lines of the body; more lines than there are is the whole message."""
        entry = self.listing.entry(command.number)
        if self._previews is not None:
            content = await settle(self._previews.preview(entry, command.lines))
        else:
            content = await settle(self.maildrop.retrieve(entry))
        return MultiLine(Ok(say("top")), content, command.lines)

    @handles(Dele)
    def dele(self, command: Dele) -> Reply:
        """DELE: a mark, no more."""
        self.listing.mark(command.number)
        return Ok(say("dele", {"number": command.number}))

    @handles(Rset)
    def rset(self, command: Rset) -> Reply:
        """RSET: no marks."""
        listing = self.listing
        listing.reset()
        if not listing.measured:
            return Ok(say("rset-unmeasured", {"count": listing.count}))
        return Ok(say("rset", {"count": listing.count, "octets": listing.octets}))

    @handles(Quit)
    def quit(self, command: Quit) -> Awaitable[Reply]:
        """QUIT: the UPDATE state begins, and runs to its end."""
        return self._context.enter_update()

    async def _measure(self) -> None:
        maildrop = self.maildrop
        entries = self.listing.entries()
        if implements(maildrop, Measures):
            octets = await settle(maildrop.measure(entries))
        else:
            octets = [await self._measured(entry.octets, number) for number, entry in enumerate(entries, 1)]
        if len(octets) != len(entries):
            raise TypeError(f"measure() answered {len(octets)} sizes for {len(entries)} messages")
        self.listing.measure(octets)

    async def _measured(self, octets: int | None, number: int) -> int:
        """The size of one message: said by the scan, or by the message itself."""
        if octets is not None:
            return octets
        try:
            content = await settle(self.maildrop.retrieve(self.listing.scan[number - 1]))
        except (MessageGone, MessageUnreadable) as error:
            logger.info("message %d of %s cannot be measured: %r", number, self.user, error)
            return 0  # that one message is not there or not to be read; the others have their sizes
        content.close()
        if content.octets is None:
            raise TypeError("a maildrop whose sizes are unknown has to implement Measures, or to give Content.octets")
        return content.octets


def _ready(text: str, body: bytes) -> MultiLine:
    return MultiLine(Ok(text), Content(body, _WIRE, len(body)))
