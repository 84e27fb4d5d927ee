"""A plugin against clients that ask too fast: what is too much is not carried out, and the client told so.

Counted for each address, whatever number of connections it has, so that coming again does not help. QUIT always
works, and the lines of a SASL exchange belong to the AUTH that began it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from poplin.identity import ClientFacts
from poplin.plugins.base import Plugin
from poplin.protocol.commands import AuthCancel, AuthResponse, Command, Quit
from poplin.protocol.replies import Err

__all__ = ["RateLimit"]

logger: logging.Logger = logging.getLogger("poplin.plugins")

_FREE = (Quit, AuthResponse, AuthCancel)
_MOST = 10_000  # addresses remembered


class RateLimit(Plugin):
    """Allows an address `commands` a second on the long run and `burst` at once; what is more is answered
    ``-ERR [SYS/TEMP]``. `clock` gives seconds.

    A client may send a command for each message in one go (RFC 2449 section 6.6): a burst that is smaller than
    your users' maildrops refuses honest clients.

    Raises:
        ValueError: a limit that allows nothing.
    """

    def __init__(
        self, commands: float = 100, burst: float = 5_000, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if commands <= 0 or burst < 1:
            raise ValueError(f"commands={commands}, burst={burst}: allow at least something, and a burst of 1")
        self._commands = commands
        self._burst = burst
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}
        """By address: how many commands were left, and when that was."""

    def on_command(self, client: ClientFacts, command: Command) -> Command | Err:
        """Refuse what is too much."""
        if isinstance(command, _FREE):
            return command
        key = client.address or client.session_id
        now = self._clock()
        left, since = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._commands)
        allowed = left >= 1
        self._left[key] = (left - 1 if allowed else left, now)  # the one seen last stands last
        if len(self._left) > _MOST:
            del self._left[next(iter(self._left))]
        if allowed:
            return command
        logger.info("%s: more than %g commands a second", client.session_id, self._commands)
        return Err("too many commands, slow down and try again", "SYS/TEMP")
