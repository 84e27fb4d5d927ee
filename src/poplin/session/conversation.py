"""The conversation in the log, at DEBUG, by the logger ``poplin.conversation``. Secrets never get there."""

from __future__ import annotations

import logging

from poplin.protocol.commands import Command
from poplin.protocol.masking import shown_command, shown_reply
from poplin.protocol.replies import Reply

__all__ = ["is_wanted", "tell_command", "tell_reply"]

logger: logging.Logger = logging.getLogger("poplin.conversation")


def is_wanted() -> bool:
    """Whether anybody reads it: asked once a session."""
    return logger.isEnabledFor(logging.DEBUG)


def tell_command(session_id: str, command: Command) -> None:
    """What the client said."""
    logger.debug("%s: C: %s", session_id, shown_command(command))


def tell_reply(session_id: str, reply: Reply) -> None:
    """What it is answered, as the plugins left it."""
    logger.debug("%s: S: %s", session_id, shown_reply(reply))
