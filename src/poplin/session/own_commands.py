"""The commands of a session whose service has a class of command methods: which method, and what its answer means.

The methods decide; what must hold whatever they decide is kept here: a login that is answered ``-ERR`` is none, a
refused one counts and waits, QUIT commits, and a removal that failed is told.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Container
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final, Protocol

from poplin.identity import ClientFacts, Identity, MaybeAwaitable, settle
from poplin.protocol.commands import AuthCancel, AuthResponse, Command, argument_of
from poplin.protocol.replies import After, Continuation, Err, MultiLine, Ok, Reply, Status
from poplin.protocol.states import State
from poplin.session.authorization import Authorization
from poplin.session.methods import CommandMethods, MakeMethods
from poplin.session.stage import Stage

__all__ = ["Host", "OwnCommands", "closing"]

_REPLIES: Final = (Ok, MultiLine, Err, Continuation)
_LOGINS: Final = frozenset({"PASS", "APOP", "AUTH"})


class Host(Protocol):
    """The session, as this file needs it."""

    client: ClientFacts
    state: State

    @property
    def stage(self) -> Stage:
        """The state at work: another object after each move."""
        ...

    @property
    def timestamp(self) -> str:
        """The APOP timestamp of the greeting."""
        ...

    @property
    def known(self) -> Container[str]:
        """The verbs that the present stage carries out."""
        ...

    @property
    def failures(self) -> int:
        """The logins that were refused."""
        ...

    async def by_stage(self, command: Command) -> Reply:
        """Carry out a command as the present stage does."""
        ...

    def reject(self, command: Command) -> Err:
        """The answer to a command that is not allowed now."""
        ...

    async def enter_transaction(self, identity: Identity, mechanism: str) -> Reply:
        """Open the maildrop of a user."""
        ...

    async def enter_update(self) -> Status:
        """Commit, remove, close."""
        ...

    async def enter_bare(self, user: str, mechanism: str) -> None:
        """TRANSACTION without a maildrop: the methods let `user` in by themselves."""
        ...

    async def login_refused(self, user: str, mechanism: str, why: str) -> Err:
        """Count a login that was refused; how long the answer waits, and whether it is the last."""
        ...

    async def undo_login(self, timestamp: str) -> None:
        """Back to AUTHORIZATION: the maildrop is closed."""
        ...

    def hang_up(self) -> None:
        """End the connection from the server's side, while no command is under way."""
        ...


@dataclass(frozen=True, slots=True)
class _Before:
    """What was when a command came."""

    stage: Stage
    timestamp: str
    failures: int


class OwnCommands:
    """One session's methods at work. The methods themselves see it as their session."""

    __slots__ = ("_builtin", "_host", "_mechanism", "_running", "_user", "closing", "methods")

    def __init__(self, host: Host, make: MakeMethods) -> None:
        self._host = host
        self._builtin: Status | None = None
        self._running = True  # until the greeting is out
        self._user = ""
        self._mechanism = ""
        self.closing: bool = False
        """Whether the methods want the connection closed behind the answer under way."""
        self.methods: CommandMethods = make(self)

    # What the methods see

    @property
    def client(self) -> ClientFacts:
        """Who is at the other end."""
        return self._host.client

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._host.state

    @property
    def timestamp(self) -> str:
        """The APOP timestamp of the greeting; ``""`` if it has none, or after login."""
        return self._host.timestamp

    @property
    def known(self) -> Container[str]:
        """The verbs that the present stage carries out."""
        return self._host.known

    async def by_stage(self, command: Command, /) -> Reply:
        """Carry out a command as the present stage does; what follows its reply follows the method's too."""
        return self._noted(await self._host.by_stage(command))

    async def log_in(self, identity: Identity, /) -> Reply:
        """Open the maildrop of somebody whom a method let in.

        Raises:
            RuntimeError: somebody is logged in already.
            SessionError: the maildrop cannot be opened.
        """
        if self._host.state is not State.AUTHORIZATION:
            raise RuntimeError("log_in: this session is past its login")
        return self._noted(await self._host.enter_transaction(identity, self._mechanism or "USER"))

    def close(self) -> None:
        """Close the connection: behind the answer under way, or now if there is none."""
        self.closing = True
        if not self._running:
            self._host.hang_up()

    def _noted(self, reply: Reply) -> Reply:
        if isinstance(reply, Ok | Err) and (self._builtin is None or self._builtin.after is After.GO_ON):
            self._builtin = reply
        return reply

    # What the session asks for

    def offered(self, mechanisms: AbstractSet[str]) -> AbstractSet[str]:
        """Those of the mechanisms whose commands are allowed."""
        serves = self._serves
        user = {"USER"} if serves("USER") and serves("PASS") else set()
        apop = {"APOP"} if serves("APOP") else set()
        sasl = mechanisms - {"USER", "APOP"} if serves("AUTH") else set()
        return mechanisms & (user | apop | sasl)

    def _serves(self, verb: str) -> bool:
        return self.methods.method_for(State.AUTHORIZATION, verb) is not None

    async def connect(self) -> Status:
        """The connection begins; a negative status refuses it.

        Raises:
            Exception: what the hook raises.
        """
        status = await settle(self.methods.connect())
        if status is None:
            return Ok()
        if not isinstance(status, Ok | Err):
            raise TypeError(f"connect() returned {type(status).__name__}; return nothing, or self.err() to refuse")
        return status

    def greeted(self, text: str) -> Ok | None:
        """The greeting, with the session's own text in `text`; ``None`` sends none."""
        self._running = False
        given = self.methods.greet(text)
        if given is not None:
            return Ok(given, after=After.CLOSE if self.closing else After.GO_ON)
        if self.closing:
            self._host.hang_up()
        return None

    async def carry_out(self, command: Command) -> Reply:
        """The reply to one command.

        Raises:
            Exception: whatever the method raises; a login that it had begun is undone.
        """
        host, verb = self._host, command.verb
        if not verb:  # a line that is no command
            return await host.by_stage(command)
        if verb in {"USER", "APOP", "AUTH", "PASS"}:
            self._look_at(verb, argument_of(command))
        before = _Before(host.stage, host.timestamp, host.failures)
        self._builtin = None
        self._running = True
        try:
            method = self._method(command)
            if method is None:
                return host.reject(command)
            reply = await settle(method())
            if not isinstance(reply, _REPLIES):
                raise TypeError(f"{verb}: returned {type(reply).__name__}; return self.ok(), self.err() or self.data()")
        except Exception:
            await self._undo_login(before)
            raise
        finally:
            self._running = False
        verb = "AUTH" if verb.startswith("*") else verb
        return self._with_builtin(await self._move(verb, reply, before))

    def _look_at(self, verb: str, argument: str) -> None:
        """Who is coming in, and how: for events and the log."""
        first = argument.partition(" ")[0]
        if verb != "PASS":
            self._user = argument if verb == "USER" else first if verb == "APOP" else ""
        self._mechanism = {"PASS": "USER", "AUTH": first.upper()}.get(verb, verb)

    def _method(self, command: Command) -> Callable[[], MaybeAwaitable[Reply]] | None:
        """What answers a command; ``None``: it is not allowed now."""
        methods = self.methods
        if isinstance(command, AuthCancel):
            return functools.partial(methods.respond, None)
        if isinstance(command, AuthResponse):
            if command.octets is None:  # no base64 ends the exchange, whoever began it (RFC 5034 section 4)
                return functools.partial(self._host.by_stage, command)
            return functools.partial(methods.respond, command.octets)
        method = methods.method_for(self._host.state, command.verb)
        return None if method is None else functools.partial(method, argument_of(command))

    async def _move(self, verb: str, reply: Reply, before: _Before) -> Reply:
        """What an answer means for the session, where nothing built in has moved it."""
        host = self._host
        if host.stage is not before.stage:
            if isinstance(reply, Err):
                await self._undo_login(before)
            return reply
        if verb == "QUIT" and isinstance(reply, Ok):
            return await self._quit(reply)
        if verb not in _LOGINS or host.state is not State.AUTHORIZATION:
            return reply
        if isinstance(reply, Ok):
            await host.enter_bare(self._user, self._mechanism)
        elif isinstance(reply, Err) and not reply.bad and host.failures == before.failures and self._builtin is None:
            refused = await host.login_refused(self._user, self._mechanism, f"by its method: {reply.text}")
            after = After.CLOSE if refused.after is After.CLOSE else reply.after
            return replace(reply, after=after, delay=refused.delay)
        return reply

    async def _quit(self, reply: Ok) -> Status:
        """QUIT answered by a method of its own: it commits like any other."""
        host = self._host
        if host.state is not State.TRANSACTION:
            return replace(reply, after=After.CLOSE)
        goodbye = await host.enter_update()
        return goodbye if isinstance(goodbye, Err) else replace(reply, after=After.CLOSE)

    async def _undo_login(self, before: _Before) -> None:
        """Who is told ``-ERR`` is not logged in, whatever the built-in login said to the method."""
        if isinstance(before.stage, Authorization) and self._host.state is State.TRANSACTION:
            await self._host.undo_login(before.timestamp)

    def _with_builtin(self, reply: Reply) -> Reply:
        """What follows the reply of the built-in command follows the method's own: the close, TLS, the delay."""
        builtin = self._builtin
        if builtin is None or reply is builtin:
            return reply
        if self._host.state is State.DISCONNECT and isinstance(builtin, Err):
            return builtin  # the removal failed: nobody is told otherwise
        if builtin.after is After.CLOSE:
            reply = closing(reply)
        elif builtin.after is After.START_TLS and isinstance(reply, Ok):
            reply = replace(reply, after=After.START_TLS)
        if isinstance(builtin, Err) and isinstance(reply, Err):
            reply = replace(reply, delay=max(reply.delay, builtin.delay), bad=reply.bad or builtin.bad)
        return reply


def closing(reply: Reply) -> Reply:
    """The reply, with the close behind it."""
    if isinstance(reply, MultiLine):
        return replace(reply, ok=replace(reply.ok, after=After.CLOSE))
    return reply if isinstance(reply, Continuation) else replace(reply, after=After.CLOSE)
