"""Who is speaking, and answers that may come later.

The ground floor beside `errors`, `limits` and `content`: values that every storey passes on. Imports
nothing of ours but `values`, and neither asyncio nor ssl.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Generator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar, cast

from poplin.values import value

__all__ = ["ClientFacts", "Identity", "MaybeAwaitable", "TlsFacts", "current_session", "settle"]

T = TypeVar("T")

MaybeAwaitable: TypeAlias = T | Awaitable[T]
"""An answer at once, or one to wait for: a plain function's result or an ``async`` one's."""


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What TLS settled: `version` such as ``"TLSv1.3"``, the `cipher`'s name, the SNI `name` asked for."""

    version: str
    cipher: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """The facts of one connection, as an authenticator, a maildrop or a callback sees them.

    Frozen, but for `state`: a namespace of the session's own in which one callback leaves what another
    needs. It begins empty with each connection and is never shared. `address` is the peer's IP address,
    or ``""`` for a UNIX socket or a pipe.
    """

    address: str = ""
    port: int = 0
    local: tuple[str, int] = ("", 0)
    tls: TlsFacts | None = None
    session_id: str = ""
    state: types.SimpleNamespace = field(default_factory=types.SimpleNamespace, compare=False)

    @property
    def is_loopback(self) -> bool:
        """Whether the peer is on this machine: 127.0.0.0/8, ::1, or no network at all."""
        address = self.address
        return not address or address == "::1" or address.startswith(("127.", "::ffff:127."))


@value
class Identity:
    """Who was let in. `user` is the normalised name: what locks, logs and paths go by.

    `attributes` are what the user base says of this user (``home`` and the like), as text. `grant` is
    opaque to all but the maildrop it is meant for (an upstream's connection, a token).
    """

    user: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    grant: object = None


CURRENT: ContextVar[ClientFacts] = ContextVar("poplin_session")
"""Set by whoever drives a session, before it hands over a command."""


def current_session() -> ClientFacts:
    """The client on whose behalf the running callback was called.

    Raises:
        LookupError: called from outside a session.
    """
    return CURRENT.get()


@types.coroutine
def _enter_task() -> Generator[None, None, None]:
    """Ask whoever steps this coroutine to continue it inside a task.

    A driver steps a session's coroutines by hand and makes a task only of one that gets here, so that
    data at hand costs neither task nor loop turn. A bare ``yield`` is all it takes: a task resumes a
    coroutine exactly there, and inside a task it is a single turn of the loop.
    """
    yield


async def settle(value: MaybeAwaitable[T]) -> T:
    """The answer itself, waiting for it only if it has to be waited for."""
    if hasattr(type(value), "__await__"):
        try:
            await _enter_task()
        except BaseException:
            if isinstance(value, types.CoroutineType):
                value.close()  # cancelled before it began: that is no reason to warn of a coroutine not awaited
            raise
        return await cast("Awaitable[T]", value)
    return cast("T", value)
