"""A plugin that lets nobody remove anything: DELE is refused, and the client told why.

To accept DELE and remove nothing would be a lie that costs mail: a client that believes it forgets the message.
"""

from __future__ import annotations

from collections.abc import Callable

from poplin.identity import ClientFacts
from poplin.plugins.base import Plugin
from poplin.protocol.commands import Command, Dele
from poplin.protocol.replies import Err

__all__ = ["ReadOnly"]


class ReadOnly(Plugin):
    """Answers DELE with ``-ERR`` and `text`; for every client, or for those for whom `applies` is true."""

    def __init__(
        self,
        text: str = "this maildrop is read-only: nothing is removed",
        *,
        applies: Callable[[ClientFacts], bool] | None = None,
    ) -> None:
        self._refusal = Err(text)
        self._applies = applies

    def on_command(self, client: ClientFacts, command: Command) -> Command | Err:
        """Refuse DELE."""
        refuses = isinstance(command, Dele) and (self._applies is None or self._applies(client))
        return self._refusal if refuses else command
