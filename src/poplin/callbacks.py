"""The callback face: one object made of functions that is a maildrop opener and an authenticator.

It joins `poplin.maildrops.callbacks` and `poplin.authentication.callbacks`, tells of a connection's beginning and
end, and says what CAPA announces; what is decided is decided there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeGuard

from poplin.authentication.callbacks import ApopCallback, AuthenticateCallback, CallbackAuthenticator
from poplin.calling import Callback, WrongAnswer, suggest_keywords, then
from poplin.identity import ClientFacts, Identity, MaybeAwaitable, settle
from poplin.maildrops.base import Ending
from poplin.maildrops.callbacks import (
    CallbackMaildrops,
    DeleteAllCallback,
    DeleteCallback,
    DryRun,
    ListCallback,
    RetrieveCallback,
    SizeCallback,
)
from poplin.terms import NEVER, Expiry, Terms

__all__ = ["Callbacks", "ConnectCallback", "DisconnectCallback", "Expire", "LoginDelay"]

ConnectCallback: TypeAlias = Callable[[ClientFacts], object]
"""Called with the client; its result is ignored."""
DisconnectCallback: TypeAlias = Callable[[ClientFacts, Ending], object] | Callable[[ClientFacts], object]
"""Called with the client and, if it takes two, how the connection ended; its result is ignored."""

LoginDelay: TypeAlias = int | Callable[[str | None], int | Awaitable[int | None] | None]
"""Seconds; or called with the user, and with ``None`` for the largest of all users. ``None`` and 0: no delay."""
Expire: TypeAlias = Expiry | Callable[[str | None], Expiry | Awaitable[Expiry | None] | None]
"""Days, or ``"NEVER"``; or called with the user, and with ``None`` for the smallest of all users. ``None`` announces
nothing."""

_ELSEWHERE = {
    "welcome": "poplin.Server(…, policy=poplin.Policy(greeting=…))",
    "greeting": "poplin.Server(…, policy=poplin.Policy(greeting=…))",
    "goodbye": "poplin.Server(…, policy=poplin.Policy(goodbye=…))",
    "hostname": "poplin.Server(…, policy=poplin.Policy(hostname=…))",
    "linetimeout": "poplin.Server(…, limits=poplin.Limits(autologout=…))",
    "timeout": "poplin.Server(…, limits=poplin.Limits(autologout=…))",
    "debug": 'logging.getLogger("poplin").setLevel(logging.DEBUG)',
    "port": "poplin.Server(…, port=…)",
    "expiretime": "called expire here",
    "logindelay": "called login_delay here",
}


class Callbacks(CallbackMaildrops, CallbackAuthenticator):
    """A POP3 service made of functions: all that `poplin.Server` needs.

    Each function may be plain, ``async``, or marked by `poplin.blocking`. A misspelt name is refused with
    the right one.

    - ``list(user)``: the ids of the user's messages, in order; or pairs of id and octets, or a mapping.
    - ``retrieve(user, message_id)``: the message; see `poplin.maildrops.callbacks_content.Retrieved`.
    - ``authenticate(user, password, client)``: whether to let the user in, or the user's normalised name,
      which is what the other callbacks are called with, or an `Identity`. Without it everybody is refused.
    - ``apop(user, digest, timestamp)``: the same for APOP, which is offered only with it; one of four parameters
      gets the client too.
    - ``size(user, message_id)``: octets as sent. Without it messages are retrieved to count them.
    - ``delete(user, message_id)``: called at QUIT for each marked message; or ``delete_all(user, message_ids)``, called
      once for all of them, for a store that removes all or nothing. Without either nothing is removed.
    - ``dry_run``: ``True``, or ``dry_run(user)``: QUIT removes nothing, and the log says so.
    - ``connect(client)``: a connection begins, before the greeting. `poplin.Refused` and the like turn it away; any
      other exception does too, with ``[SYS/TEMP]``. What it leaves in ``client.state`` is there for the others.
    - ``disconnect(client, ending)``, or ``disconnect(client)``: the connection is over; told once however it ended,
      after everything else. What it raises is logged and hurts nobody.
    - ``login_delay``: seconds between two logins of a user, announced (LOGIN-DELAY) and kept; or
      ``login_delay(user)``, asked for ``None`` before login: the largest of all users.
    - ``expire``: days for which messages are kept at least, or ``"NEVER"``, announced (EXPIRE): the promise is
      yours to keep; or ``expire(user)``, asked for ``None`` before login: the smallest of all users.

    `exclusive`: a user has one session at a time.

    What a callback raises beyond poplin's own errors is logged with its traceback, and the client hears
    ``-ERR [SYS/TEMP]`` without its text. The logger ``poplin`` at DEBUG shows every conversation, secrets masked.

    Raises:
        TypeError: a callback that is misspelt, or that could not be called.
        ValueError: a delay or an expiry that cannot be meant.
    """

    @suggest_keywords(_ELSEWHERE)
    def __init__(  # noqa: PLR0913  # one keyword for each callback: that is this class
        self,
        *,
        list: ListCallback,  # noqa: A002  # the name that users know since Net::Server::POP3
        retrieve: RetrieveCallback,
        authenticate: AuthenticateCallback | None = None,
        apop: ApopCallback | None = None,
        size: SizeCallback | None = None,
        delete: DeleteCallback | None = None,
        delete_all: DeleteAllCallback | None = None,
        dry_run: DryRun = False,
        connect: ConnectCallback | None = None,
        disconnect: DisconnectCallback | None = None,
        login_delay: LoginDelay = 0,
        expire: Expire | None = None,
        exclusive: bool = True,
    ) -> None:
        CallbackMaildrops.__init__(
            self,
            list=list,
            retrieve=retrieve,
            size=size,
            delete=delete,
            delete_all=delete_all,
            dry_run=dry_run,
            exclusive=exclusive,
        )
        CallbackAuthenticator.__init__(self, authenticate=authenticate, apop=apop)
        self._connect = None if connect is None else Callback("connect", connect, "client")
        self._disconnect = None
        if disconnect is not None:
            self._disconnect = Callback("disconnect", disconnect, "client", "ending", fewest=1)
        self._login_delay = Callback("login_delay", login_delay, "user") if callable(login_delay) else None
        self._expire = Callback("expire", expire, "user") if callable(expire) else None
        self._terms = Terms(
            login_delay=0 if callable(login_delay) else _delay(login_delay) or 0,
            expire=None if callable(expire) else _expiry(expire),
        )

    def arrived(self, client: ClientFacts, /) -> MaybeAwaitable[None]:
        """A connection begins. Raises what `connect` raises."""
        return None if self._connect is None else then(self._connect(client), _forget)

    def departed(self, client: ClientFacts, ending: Ending, /) -> MaybeAwaitable[None]:
        """A connection is over."""
        return None if self._disconnect is None else then(self._disconnect(client, ending), _forget)

    def terms(self, identity: Identity | None, /) -> MaybeAwaitable[Terms]:
        """What CAPA announces, of all users or of one, and how often the user may log in."""
        if self._login_delay is None and self._expire is None:
            return self._terms
        return self._asked(None if identity is None else identity.user)

    async def _asked(self, user: str | None) -> Terms:
        delay: int | None = self._terms.login_delay
        expire = self._terms.expire
        if self._login_delay is not None:
            delay = _delay(await settle(self._login_delay(user)), self._login_delay)
        if self._expire is not None:
            expire = _expiry(await settle(self._expire(user)), self._expire)
        return Terms(
            login_delay=delay or 0,
            expire=expire,
            login_delay_varies=self._login_delay is not None,
            expire_varies=self._expire is not None,
        )


def _forget(answer: object) -> None:
    """Results of events mean nothing."""


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _delay(value: object, callback: Callback | None = None) -> int | None:
    """A delay as it was given.

    Raises:
        ValueError, WrongAnswer: it is none.
    """
    if value is None or _is_count(value):
        return value
    raise _meaningless("login_delay", value, callback, "seconds, 0 or more, or None")


def _expiry(value: object, callback: Callback | None = None) -> Expiry | None:
    """An expiry as it was given.

    Raises:
        ValueError, WrongAnswer: it is none.
    """
    if value == NEVER:
        return NEVER
    if value is None or _is_count(value):
        return value
    raise _meaningless("expire", value, callback, 'days, 0 or more, "NEVER", or None')


def _meaningless(name: str, value: object, callback: Callback | None, expected: str) -> Exception:
    if callback is None:
        return ValueError(f"{name} is {value!r}; expected {expected}, or a function of (user)")
    return WrongAnswer(value, callback, expected)
