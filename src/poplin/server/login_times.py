"""When users logged in last, for LOGIN-DELAY: the memory of one process, no I/O."""

from __future__ import annotations

import math
import time

from poplin.errors import LoginTooSoon

__all__ = ["LoginMemory"]

_FEWEST = 1024  # so many names are kept without looking for those that are of no interest any more


class LoginMemory:
    """The `LoginTimes` of a server that is one process. A name costs some 150 octets until its delay is over."""

    __slots__ = ("_sweep_at", "_until")

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._sweep_at = _FEWEST

    def __len__(self) -> int:
        return len(self._until)

    def check(self, user: str, seconds: float, /) -> None:
        """See `poplin.terms.LoginTimes`.

        Raises:
            LoginTooSoon: the last login is not that long ago.
        """
        left = self._until.get(user, 0.0) - time.monotonic()
        # A delay that was shortened meanwhile holds from now on.
        left = min(left, seconds)
        if left > 0:
            raise LoginTooSoon(math.ceil(left))

    def remember(self, user: str, seconds: float, /) -> None:
        """See `poplin.terms.LoginTimes`."""
        now = time.monotonic()
        self._until[user] = now + seconds
        if len(self._until) >= self._sweep_at:
            self._until = {name: until for name, until in self._until.items() if until > now}
            self._sweep_at = max(_FEWEST, 2 * len(self._until))
