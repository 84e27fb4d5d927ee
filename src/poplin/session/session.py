"""One POP3 session from greeting to end: the loop that runs the stages' tables, and the moves between them.

It awaits the contracts and owns no socket and no clock. Whoever drives it hands over one command at a time and
sends what comes back; `handle` suspends only where a contract has to be waited for (see `poplin.identity.settle`).
The session ends exactly once, by `end`, which frees the maildrop however it came to that.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container, Coroutine
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, Final

from poplin.abilities import implements
from poplin.authentication.base import Credentials
from poplin.calling import note
from poplin.errors import ResponseCode, SessionError
from poplin.identity import ClientFacts, Identity, settle
from poplin.maildrops.base import Ending, Maildrop, MarksRead, OpenRequest, Scan
from poplin.plugins.events import Authenticated, AuthenticationRefused, Removed
from poplin.protocol.capabilities import Capability
from poplin.protocol.commands import Command, Malformed
from poplin.protocol.parsing import GRAMMAR
from poplin.protocol.replies import After, Continuation, Err, MultiLine, Ok, Reply, Status
from poplin.protocol.states import MOVING, State, next_state
from poplin.protocol.texts import say
from poplin.session.attendants import arrive, depart
from poplin.session.authorization import Authorization
from poplin.session.bare import Bare
from poplin.session.conditions import NO_TERMS, common_terms, remember_login, terms_at_login
from poplin.session.conversation import is_wanted, tell_command, tell_reply
from poplin.session.listing import Listing
from poplin.session.own_commands import OwnCommands, closing
from poplin.session.service import Service
from poplin.session.stage import Stage
from poplin.session.summary import Summary
from poplin.session.transaction import Transaction
from poplin.session.update import commit
from poplin.terms import Terms

__all__ = ["Session"]

logger: logging.Logger = logging.getLogger("poplin.session")

_LONGEST_DELAY = 15.0  # seconds; Dovecot's cap too


_REPLIES: Final = (Ok, MultiLine, Err, Continuation)  # a union would be made anew at each test of it
_OURS = frozenset({ResponseCode.SYS_TEMP, ResponseCode.SYS_PERM})
_NOWHERE = Stage()  # no command is known there


def _nobody(reason: str) -> None:
    """Nobody drives this session yet."""


def _nothing() -> None:
    """As above."""


class Session:
    """A session. `client` are the facts of its connection; `starttls` says whether STLS would succeed there.

    `on_lost` is called with a reason, from any time on, when the maildrop's exclusive access is lost: the driver
    then ends the session. So it does when `on_close` is called: a command method closed it between two commands.
    """

    __slots__ = (
        "_arrived",
        "_bad",
        "_ended",
        "_own",
        "_tells",
        "_terms",
        "client",
        "failures",
        "mechanisms",
        "on_close",
        "on_lost",
        "service",
        "stage",
        "starttls",
        "state",
        "summary",
    )

    def __init__(self, service: Service, client: ClientFacts, *, starttls: bool = False) -> None:
        self.service: Service = service
        self.client: ClientFacts = client
        self.starttls: bool = starttls
        self.state: State = State.CONNECT
        self.summary: Summary = Summary()
        self.on_lost: Callable[[str], None] = _nobody
        self.on_close: Callable[[], None] = _nothing
        self.stage: Stage = _NOWHERE
        """The state at work."""
        self.mechanisms: AbstractSet[str] = frozenset()
        """What was on offer at the greeting, and stays so: CAPA before and after login has to be the same."""
        self._own: OwnCommands | None = None
        self._bad = 0
        self.failures: int = 0
        """The logins that were refused."""
        self._ended = False
        self._terms: Terms | None = None
        self._tells = is_wanted()
        self._arrived = False

    def __repr__(self) -> str:
        return f"<Session {self.client.session_id} {self.state.value} {self.summary.user or '-'}>"

    @property
    def marked(self) -> int:
        """How many messages are marked for removal now."""
        return self.stage.listing.marked if isinstance(self.stage, Transaction) else 0

    async def greet(self) -> Reply | None:
        """The greeting, and with it the AUTHORIZATION state; ``None`` sends none."""
        if self.service.pipeline.active:
            await self.service.pipeline.connect(self.client)
        service = self.service
        plain = service.methods is None and not service.attendants
        greeting = self._begin() if plain else await self._admitted()
        if self._tells and greeting is not None:
            tell_reply(self.client.session_id, greeting)
        return greeting

    async def _admitted(self) -> Status | None:
        """The greeting, or the refusal of whoever may refuse a connection."""
        refusal = await self._guarded("connect", self._ask_attendants())
        if isinstance(refusal, Err):
            return replace(refusal, after=After.CLOSE)
        greeting = self._begin()
        return greeting if self._own is None else self._own.greeted(greeting.text)

    async def _ask_attendants(self) -> Reply:
        self._arrived = True
        await arrive(self.service.attendants, self.client)
        if self.service.methods is None:
            return Ok()
        self._own = OwnCommands(self, self.service.methods)
        return await self._own.connect()

    def _begin(self) -> Ok:
        """Enter AUTHORIZATION; the greeting that says so."""
        policy = self.service.policy
        timestamp = ""
        mechanisms = self.service.mechanisms()
        self.mechanisms = mechanisms if self._own is None else self._own.offered(mechanisms)
        if "APOP" in self.mechanisms:
            timestamp = self.service.timestamp(policy.hostname)
        self.state = next_state(State.CONNECT, "greeting", positive=True)
        self.stage = Authorization(self, timestamp)
        return Ok(f"{policy.greeting} {timestamp}" if timestamp else policy.greeting)

    def tls_started(self, client: ClientFacts) -> None:
        """TLS is up (`client` tells how): everything said in clear is forgotten (RFC 2595 section 4)."""
        self.client = client
        self.stage = Authorization(self, self.timestamp)

    def handle(self, command: Command) -> Coroutine[Any, Any, Reply]:
        """Carry out one command. Never raises for what a client, a maildrop or an authenticator did."""
        if self._tells or self.service.pipeline.active:
            return self._observed(command)
        return self._carry_out(command)

    async def _observed(self, command: Command) -> Reply:
        """Carry out a command that plugins, handlers or the log want to see."""
        if self._tells:
            tell_command(self.client.session_id, command)
        pipeline = self.service.pipeline
        if not pipeline.active:
            reply = await self._carry_out(command)
        else:
            found = await pipeline.command(self.client, command)
            reply = await self._carry_out(found) if isinstance(found, Command) else found
            try:
                reply = await pipeline.reply(self.client, command, reply)
            except BaseException:  # the session was ended meanwhile: nobody else frees what is not sent
                if isinstance(reply, MultiLine):
                    reply.content.close()
                raise
        if self._tells:
            tell_reply(self.client.session_id, reply)
        return reply

    async def _carry_out(self, command: Command) -> Reply:
        stage = self.stage
        reply: Reply
        try:
            if self._own is not None:
                reply = await self._own.carry_out(command)
            elif (handler := stage.table.get(command.verb)) is None or type(command) is Malformed:
                reply = self.reject(command)
            else:
                answer = handler(stage, command)
                reply = answer if isinstance(answer, _REPLIES) else await answer
        except SessionError as error:
            reply = self._told(command.verb, error)
        except Exception as error:  # noqa: BLE001 - logged there, with its traceback
            reply = self._unforeseen(command.verb, error)
        if self._own is not None and self._own.closing:
            reply = closing(reply)
        if isinstance(reply, Err):
            return self._count_bad(reply)
        self._bad = 0
        # A login or QUIT has moved it already; a challenge (``+``) and a list of mechanisms move nothing.
        if command.verb in MOVING and self.stage is stage and isinstance(reply, Ok):
            self.state = next_state(self.state, command.verb, positive=True)
        return reply

    def _told(self, verb: str, error: SessionError) -> Err:
        """What an error that knows its reply tells the client; one that names no text of ours is a plain refusal."""
        broken = error.code in _OURS
        level = logging.WARNING if broken else logging.DEBUG  # the client is sent to the administrator: tell him why
        logger.log(level, "%s: %s: %s: %s", self.client.session_id, verb, type(error).__name__, error, extra=self.extra)
        try:
            return Err(say(error.text_id, error.fields), error.code)
        except KeyError:
            return Err(say("failed"), error.code)

    def _unforeseen(self, verb: str, error: Exception) -> Err:
        """Ours or a callback's fault: the log has the traceback, the client a code, and the text only if the operator
        wants it so. For tests it is raised again, which ends the session."""
        if self.service.policy.raise_errors:
            raise error
        note(error, f"in session {self.client.session_id} of {self.summary.user or 'nobody yet'}")
        logger.error("%s: %s failed", self.client.session_id, verb, exc_info=error, extra=self.extra)
        text = one_line(str(error)) if self.service.policy.show_errors else say("temporary-failure")
        return Err(text, ResponseCode.SYS_TEMP)

    async def _guarded(self, verb: str, answering: Awaitable[Reply]) -> Reply:
        """The reply, or what an exception comes to."""
        try:
            return await answering
        except SessionError as error:
            return self._told(verb, error)
        except Exception as error:  # noqa: BLE001 - logged there, with its traceback
            return self._unforeseen(verb, error)

    async def by_stage(self, command: Command) -> Reply:
        """Carry out a command as its state's table says.

        Raises:
            SessionError: an error that knows its reply.
        """
        stage = self.stage
        handler = stage.table.get(command.verb)
        if handler is None or type(command) is Malformed:
            return self.reject(command)
        answer = handler(stage, command)
        return answer if isinstance(answer, _REPLIES) else await answer

    def reject(self, command: Command) -> Err:
        """The answer to a command that is not allowed now, or none at all."""
        table = self.stage.table
        if isinstance(command, Malformed) and (command.verb in table or not command.verb):
            return Err(say(command.text_id), bad=True)
        if command.verb.encode(errors="replace") not in GRAMMAR or command.verb in {"UTF8", "LANG"}:
            return Err(say("unknown-command"), bad=True)
        before = self.state is State.AUTHORIZATION
        return Err(say("wrong-state-before" if before else "wrong-state-after"), bad=True)

    def _count_bad(self, reply: Err) -> Err:
        if not reply.bad:
            return reply
        self._bad += 1
        if self._bad < self.service.limits.bad_commands or reply.after is not After.GO_ON:
            return reply
        logger.info("%s: too many bad commands", self.client.session_id, extra=self.extra)
        return Err(say("too-many-bad-commands"), after=After.CLOSE)

    @property
    def timestamp(self) -> str:
        """The APOP timestamp of the greeting; ``""`` if it has none, or after login."""
        return self.stage.timestamp if isinstance(self.stage, Authorization) else ""

    @property
    def custom(self) -> tuple[Capability, ...]:
        """The capabilities that a class of command methods adds."""
        return self._own.methods.capabilities(self.state) if self._own is not None else ()

    @property
    def goodbye(self) -> str:
        """The words that answer QUIT."""
        own = self._own.methods.goodbye if self._own is not None else ""
        return say("goodbye", {"goodbye": own or self.service.policy.goodbye})

    @property
    def known(self) -> Container[str]:
        """The verbs that the present stage carries out."""
        return self.stage.table

    def serves(self, verb: str) -> bool:
        """Whether an optional command works in its state: CAPA may name it."""
        where = State.AUTHORIZATION if verb == "STLS" else State.TRANSACTION
        return self._own is None or self._own.methods.method_for(where, verb) is not None

    def hang_up(self) -> None:
        """End it from this side, between two commands."""
        self.on_close()

    async def terms(self) -> Terms:
        """The terms of all users; after login those of this one."""
        return self._terms or await common_terms(self.service)

    @property
    def extra(self) -> dict[str, object]:
        """The fields of every log record of this session."""
        return {"session": self.client.session_id, "user": self.summary.user, "address": self.client.address}

    # What the stages ask for (`context.SessionContext`)

    async def login_failed(self, credentials: Credentials, error: SessionError) -> Err:
        """Count and log a refused login; the reply waits longer each time."""
        return await self.login_refused(credentials.user, credentials.mechanism, type(error).__name__)

    async def login_refused(self, user: str, mechanism: str, why: str) -> Err:
        """The same for whoever refused it."""
        self.failures += 1
        self.summary.failures = self.failures
        logger.info(
            "%s: login of %r from %s refused (%s): %s",
            self.client.session_id,
            user,
            self.client.address or "here",
            mechanism,
            why,
            extra=self.extra,
        )
        if self.service.pipeline.active:
            await self.service.pipeline.event(AuthenticationRefused(self.client, user, mechanism))
        delay = min(self.service.policy.failure_delay * 2 ** (self.failures - 1), _LONGEST_DELAY)
        if self.failures >= self.service.limits.login_failures:
            return Err(say("too-many-failures"), ResponseCode.AUTH, After.CLOSE, delay=delay)
        return Err(say("authentication-failed"), ResponseCode.AUTH, delay=delay)

    async def enter_bare(self, user: str, mechanism: str) -> None:
        """TRANSACTION without a maildrop: a command method let `user` in by itself, and the rest is its own too."""
        if self.service.pipeline.active:
            await self.service.pipeline.event(Authenticated(self.client, user, mechanism))
        self.stage = Bare(self)
        self.state = State.TRANSACTION
        self.summary.user = user if user.isprintable() else ascii(user)
        self.summary.mechanism = mechanism

    async def undo_login(self, timestamp: str) -> None:
        """A command method refused a login that was carried out already: the maildrop is closed, nobody is in."""
        stage, self.stage = self.stage, Authorization(self, timestamp)
        self.state = State.AUTHORIZATION
        self._terms = None
        self.summary.user = self.summary.mechanism = ""
        if isinstance(stage, Transaction):
            await self._leave(stage, Ending.REFUSED)

    async def enter_transaction(self, identity: Identity, mechanism: str) -> Reply:
        """Open and scan the maildrop. What fails after the opening gives it back first."""
        service = self.service
        if service.pipeline.active:
            await service.pipeline.event(Authenticated(self.client, identity.user, mechanism))
        terms = await terms_at_login(service, identity) if service.terms is not None else NO_TERMS
        service.enter(identity.user)
        try:
            request = OpenRequest(
                identity=identity, client=self.client, lock=service.policy.lock, on_lost=self._lease_lost
            )
            maildrop = await settle(service.maildrops.open(request))
            try:
                scan = Scan.of(await settle(maildrop.scan()))
                if service.logins is not None:
                    await remember_login(service, identity.user, terms)
            except BaseException:
                await self._close(maildrop, Ending.FAILED)
                raise
        except BaseException:
            service.leave(identity.user)
            raise
        listing = Listing(scan)
        self.stage = Transaction(self, identity.user, maildrop, listing)
        self._terms = terms
        self.state = State.TRANSACTION
        summary = self.summary
        summary.user = identity.user
        summary.mechanism = mechanism
        summary.messages = listing.count
        if not listing.measured:
            return Ok(say("logged-in-unmeasured", {"count": listing.count}))
        return Ok(say("logged-in", {"count": listing.count, "octets": listing.octets}))

    async def enter_update(self) -> Status:
        """UPDATE: remove, close, say goodbye (RFC 1939 section 6). The driver lets nothing interrupt it."""
        self.state = State.UPDATE
        stage = self.stage
        summary = self.summary
        reply: Reply = Ok()
        try:
            if self._own is not None:
                reply = await self._guarded("commit", self._commit_methods(self._own))
            if isinstance(stage, Transaction):
                summary.marked = stage.listing.marked
                await self._mark_read(stage)
                if summary.marked and isinstance(reply, Ok):
                    reply, summary.removed = await commit(stage, self.goodbye)
        finally:
            self.stage = _NOWHERE
            if isinstance(stage, Transaction):
                await self._leave(stage, Ending.QUIT)
            self.state = next_state(self.state, "commit", positive=isinstance(reply, Ok))
        # Told when the maildrop is free: whoever hangs at hearing of it keeps nobody from the next login.
        if isinstance(stage, Transaction) and summary.marked and self.service.pipeline.active:
            removed = Removed(self.client, stage.user, summary.marked, summary.removed)
            await self.service.pipeline.event(removed)
        return replace(reply, after=After.CLOSE) if isinstance(reply, Err) else Ok(self.goodbye, after=After.CLOSE)

    async def _commit_methods(self, own: OwnCommands) -> Reply:
        await settle(own.methods.commit())
        return Ok()

    async def end(self, ending: Ending) -> None:
        """The connection is over: free everything. Does nothing the second time."""
        if self._ended:
            return
        self._ended = True
        stage, self.stage = self.stage, _NOWHERE
        if isinstance(stage, Transaction):
            self.summary.marked = stage.listing.marked
            await self._mark_read(stage)
            await self._leave(stage, ending)
        self.state = State.DISCONNECT
        if self._own is not None:
            try:
                await settle(self._own.methods.disconnect(ending))
            except Exception:
                logger.exception("%s: disconnect() failed", self.client.session_id, extra=self.extra)
        if self.service.pipeline.active:
            await self.service.pipeline.disconnect(self.client, ending)
        if self._arrived:
            await depart(self.service.attendants, self.client, ending)

    async def _mark_read(self, transaction: Transaction) -> None:
        maildrop = transaction.maildrop
        if not transaction.retrieved or not implements(maildrop, MarksRead):
            return
        scan = transaction.listing.scan
        try:
            await settle(maildrop.mark_read([scan[number - 1] for number in sorted(transaction.retrieved)]))
        except Exception:
            # A mark of courtesy: losing it must not cost the client its QUIT.
            logger.exception("%s: marking as read failed", self.client.session_id, extra=self.extra)

    async def _leave(self, transaction: Transaction, ending: Ending) -> None:
        try:
            await self._close(transaction.maildrop, ending)
        finally:
            self.service.leave(transaction.user)

    async def _close(self, maildrop: Maildrop, ending: Ending) -> None:
        try:
            await settle(maildrop.close(ending))
        except Exception:
            logger.exception("%s: closing the maildrop failed", self.client.session_id, extra=self.extra)

    def _lease_lost(self, reason: str) -> None:
        self.on_lost(reason)

    def body_sent(self, command: Command, octets: int) -> None:
        """A multi-line body went out whole, with so many octets as LIST counts them."""
        stage = self.stage
        if not isinstance(stage, Transaction):
            return
        if command.verb == "RETR":
            self.summary.retrieved += 1
            self.summary.retrieved_octets += octets
            listing = stage.listing
            number, stage.sending = stage.sending, 0
            if number and listing.measured and listing.octets_of(number) != octets:
                logger.warning(
                    "%s: message %d of %s has %d octets, its source said %d",
                    self.client.session_id, number, stage.user, octets, listing.octets_of(number), extra=self.extra,
                )  # fmt: skip
                listing.correct(number, octets)
        elif command.verb == "TOP":
            self.summary.tops += 1
            self.summary.tops_octets += octets


def one_line(text: str) -> str:
    """`text` without line ends or control characters, fit for a reply."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
