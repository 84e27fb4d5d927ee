"""The UPDATE state: RFC 1939 section 6. The removal, and the truth about it.

What is removed is exactly what is marked. Once begun it runs to its end, whatever becomes of the connection: the
driver shields it. If anything was not removed the client hears ``-ERR`` and so many; nothing is lost by that.
"""

from __future__ import annotations

import logging

from poplin.errors import ResponseCode, SessionError
from poplin.identity import settle
from poplin.protocol.replies import After, Err, Ok, Status
from poplin.protocol.texts import say
from poplin.session.transaction import Transaction

__all__ = ["commit"]

logger: logging.Logger = logging.getLogger("poplin.session")


async def commit(transaction: Transaction, goodbye: str) -> tuple[Status, int]:
    """Remove what is marked (something is); answers the reply to QUIT and how many messages were removed."""
    marked = transaction.listing.marked_entries()
    try:
        removal = await settle(transaction.maildrop.remove(marked))
    except SessionError as error:
        logger.warning("%s: removal failed: %s", transaction.user, error)
        text = say(error.text_id, error.fields) if error.text_id == "lease-lost" else _nothing_removed(len(marked))
        return Err(text, ResponseCode.SYS_TEMP, After.CLOSE), 0
    except Exception:
        # A maildrop that fails is no reason to leave the client without an answer, nor the lock held.
        logger.exception("%s: removal failed", transaction.user)
        return Err(_nothing_removed(len(marked)), ResponseCode.SYS_TEMP, After.CLOSE), 0
    if removal.failed:
        logger.error(
            "%s: %d of %d messages not removed: %s", transaction.user, removal.failed, len(marked), removal.reason
        )
        text = say("not-removed", {"failed": removal.failed, "marked": len(marked)})
        return Err(text, ResponseCode.SYS_TEMP, After.CLOSE), removal.removed
    return Ok(goodbye, after=After.CLOSE), removal.removed


def _nothing_removed(marked: int) -> str:
    return say("nothing-removed", {"marked": marked})
