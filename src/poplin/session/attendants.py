"""Those who attend every connection: told when it begins, where they may refuse it, and how it ended.

It is what `connect` and `disconnect` of the callback face are. A plugin is told the same things, but its failure is
skipped; an attendant prepares what the session's other callbacks need, so without it there is no session.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from poplin.identity import ClientFacts, MaybeAwaitable, settle
from poplin.maildrops.base import Ending

__all__ = ["Attends", "arrive", "depart"]

logger: logging.Logger = logging.getLogger("poplin.session")


@runtime_checkable
class Attends(Protocol):
    """An ability of whoever opens maildrops, or of an authenticator."""

    def arrived(self, client: ClientFacts, /) -> MaybeAwaitable[None]:
        """A connection begins; nothing was sent yet.

        Raises:
            SessionError: it is refused: the client is told so instead of greeted, and the connection ends.
        """
        ...

    def departed(self, client: ClientFacts, ending: Ending, /) -> MaybeAwaitable[None]:
        """The connection is over, however it ended, and everything of the session is free. Told once for each
        connection that began."""
        ...


async def arrive(attendants: Sequence[Attends], client: ClientFacts) -> None:
    """Tell all of a beginning, until one refuses.

    Raises:
        Exception: whatever one of them raises.
    """
    for attendant in attendants:
        await settle(attendant.arrived(client))


async def depart(attendants: Sequence[Attends], client: ClientFacts, ending: Ending) -> None:
    """Tell all of an end, the last one first. What one of them raises keeps nobody else from hearing it."""
    for attendant in reversed(attendants):
        try:
            await settle(attendant.departed(client, ending))
        except Exception:
            logger.exception("%s: disconnect failed", client.session_id, extra={"session": client.session_id})
