"""A plugin that writes conversations down, secrets masked and bodies cut: to see what a client really says.

Put it first, and it sees what the client said and what the client is answered; further back, what the plugins before
it made of the one and have not made yet of the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from poplin.identity import ClientFacts
from poplin.maildrops.base import Ending
from poplin.plugins.base import Plugin
from poplin.protocol.commands import Command
from poplin.protocol.masking import shown_command, shown_reply
from poplin.protocol.replies import Reply

__all__ = ["Transcript"]

logger: logging.Logger = logging.getLogger("poplin.transcript")


class Transcript(Plugin):
    """Calls `write` with each line, without a line end; by default the logger ``poplin.transcript`` gets it at INFO.

    ``C:`` is the client, ``S:`` the server. Passwords, APOP digests, lines of SASL exchanges and commands that
    nobody knows are masked; of a body only its size is told. The greeting answers no command and is not in it.
    """

    def __init__(self, write: Callable[[str], object] = logger.info) -> None:
        self._write = write

    def on_connect(self, client: ClientFacts) -> None:
        """Begin."""
        self._write(f"{client.session_id} connected from {client.address or 'here'}")

    def on_command(self, client: ClientFacts, command: Command) -> Command:
        """What the client says."""
        self._write(f"{client.session_id} C: {shown_command(command)}")
        return command

    def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> Reply:
        """What it is answered."""
        self._write(f"{client.session_id} S: {shown_reply(reply)}")
        return reply

    def on_disconnect(self, client: ClientFacts, ending: Ending) -> None:
        """End."""
        self._write(f"{client.session_id} ended by {ending.value}")
