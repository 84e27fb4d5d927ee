"""The callback face: one object made of functions that is a maildrop opener and an authenticator.

It joins `poplin.maildrops.callbacks`, `poplin.authentication.callbacks` and a plugin for the events of a
connection's life; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from poplin.authentication.callbacks import ApopCallback, AuthenticateCallback, CallbackAuthenticator
from poplin.calling import call, check_callback, suggest_keywords, then
from poplin.identity import ClientFacts, MaybeAwaitable
from poplin.maildrops.base import Ending
from poplin.maildrops.callbacks import (
    CallbackMaildrops,
    DeleteCallback,
    ListCallback,
    RetrieveCallback,
    SizeCallback,
)
from poplin.plugins.base import Plugin

__all__ = ["Callbacks", "EventCallback"]

EventCallback: TypeAlias = Callable[[ClientFacts], object]
"""Called with the client; its result is ignored."""


class Callbacks(CallbackMaildrops, CallbackAuthenticator):
    """A POP3 service made of functions: all that `poplin.Server` needs.

    Each function may be plain, ``async``, or marked by `poplin.blocking`. A misspelt name is refused with
    the right one.

    - ``list(user)``: the ids of the user's messages, in order; or pairs of id and octets, or a mapping.
    - ``retrieve(user, message_id)``: the message; see `poplin.maildrops.callbacks_content.Retrieved`.
    - ``authenticate(user, password, client)``: whether to let the user in, or the user's normalised name,
      which is what the other callbacks are called with, or an `Identity`. Without it everybody is refused.
    - ``apop(user, digest, timestamp, client)``: the same for APOP, which is offered only with it.
    - ``size(user, message_id)``: octets as sent. Without it messages are retrieved to count them.
    - ``delete(user, message_id)``: called at QUIT for each marked message. Without it nothing is removed.
    - ``connect(client)`` and ``disconnect(client)``: a connection begins, before the greeting, and ended,
      told once however it ended. What they raise is logged and hurts nobody.

    `exclusive`: a user has one session at a time.
    """

    @suggest_keywords
    def __init__(  # noqa: PLR0913  # one keyword for each callback: that is this class
        self,
        *,
        list: ListCallback,  # noqa: A002  # the name that users know since Net::Server::POP3
        retrieve: RetrieveCallback,
        authenticate: AuthenticateCallback | None = None,
        apop: ApopCallback | None = None,
        size: SizeCallback | None = None,
        delete: DeleteCallback | None = None,
        connect: EventCallback | None = None,
        disconnect: EventCallback | None = None,
        exclusive: bool = True,
    ) -> None:
        CallbackMaildrops.__init__(self, list=list, retrieve=retrieve, size=size, delete=delete, exclusive=exclusive)
        CallbackAuthenticator.__init__(self, authenticate=authenticate, apop=apop)
        check_callback("connect", connect, "client")
        check_callback("disconnect", disconnect, "client")
        self._plugins = (_Events(connect, disconnect),) if connect or disconnect else ()

    @property
    def plugins(self) -> Sequence[Plugin]:
        """What a server has to put on the pipe so that `connect` and `disconnect` are called."""
        return self._plugins


class _Events(Plugin):
    """Passes a connection's beginning and end on to functions."""

    def __init__(self, connect: EventCallback | None, disconnect: EventCallback | None) -> None:
        self._connect = connect
        self._disconnect = disconnect

    def on_connect(self, client: ClientFacts) -> MaybeAwaitable[None]:
        return _tell(self._connect, client)

    def on_disconnect(self, client: ClientFacts, ending: Ending) -> MaybeAwaitable[None]:  # Plugin's
        return _tell(self._disconnect, client)


def _tell(function: EventCallback | None, client: ClientFacts) -> MaybeAwaitable[None]:
    return None if function is None else then(call(function, client), _forget)


def _forget(answer: object) -> None:
    """Results of events mean nothing."""
