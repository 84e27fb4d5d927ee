"""One POP3 session from greeting to end: the loop that runs the stages' tables, and the moves between them.

It awaits the contracts and owns no socket and no clock. Whoever drives it hands over one command at a time and
sends what comes back; `handle` suspends only where a contract has to be waited for (see `poplin.identity.settle`).
The session ends exactly once, by `end`, which frees the maildrop however it came to that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from poplin.abilities import implements
from poplin.authentication.base import Credentials
from poplin.errors import ResponseCode, SessionError
from poplin.identity import ClientFacts, Identity, settle
from poplin.maildrops.base import Ending, Maildrop, MarksRead, OpenRequest, Scan
from poplin.plugins.events import Authenticated, AuthenticationRefused, Removed
from poplin.protocol.commands import Command, Malformed
from poplin.protocol.parsing import GRAMMAR
from poplin.protocol.replies import After, Continuation, Err, MultiLine, Ok, Reply
from poplin.protocol.states import State, next_state
from poplin.protocol.texts import say
from poplin.session.authorization import Authorization
from poplin.session.listing import Listing
from poplin.session.service import Service
from poplin.session.stage import Stage
from poplin.session.summary import Summary
from poplin.session.transaction import Transaction
from poplin.session.update import commit

__all__ = ["Session"]

logger = logging.getLogger("poplin.session")

_LONGEST_DELAY = 15.0  # seconds; Dovecot's cap too


def _nobody(reason: str) -> None:
    """Nobody drives this session yet."""


class Session:
    """A session. `client` are the facts of its connection; `starttls` says whether STLS would succeed there.

    `on_lost` is called with a reason, from any time on, when the maildrop's exclusive access is lost: the driver
    then ends the session.
    """

    __slots__ = (
        "_bad",
        "_ended",
        "_failures",
        "_stage",
        "client",
        "on_lost",
        "service",
        "starttls",
        "state",
        "summary",
    )

    def __init__(self, service: Service, client: ClientFacts, *, starttls: bool = False) -> None:
        self.service = service
        self.client = client
        self.starttls = starttls
        self.state = State.CONNECT
        self.summary = Summary()
        self.on_lost: Callable[[str], None] = _nobody
        self._stage: Stage | None = None
        self._bad = 0
        self._failures = 0
        self._ended = False

    def __repr__(self) -> str:
        return f"<Session {self.client.session_id} {self.state.value} {self.summary.user or '-'}>"

    @property
    def marked(self) -> int:
        """How many messages are marked for removal now."""
        return self._stage.listing.marked if isinstance(self._stage, Transaction) else 0

    async def greet(self) -> Reply:
        """The greeting, and with it the AUTHORIZATION state."""
        if self.service.pipeline.active:
            await self.service.pipeline.connect(self.client)
        return self.begin()

    def begin(self) -> Ok:
        """Enter AUTHORIZATION afresh: the greeting (not sent again after STLS)."""
        policy = self.service.policy
        timestamp = ""
        if "APOP" in self.service.mechanisms():
            timestamp = self.service.timestamp(policy.hostname)
        self.state = State.AUTHORIZATION
        self._stage = Authorization(self, timestamp)
        return Ok(f"{policy.greeting} {timestamp}" if timestamp else policy.greeting)

    def tls_started(self, client: ClientFacts) -> None:
        """TLS is up (`client` tells how): everything said in clear is forgotten (RFC 2595 section 4)."""
        timestamp = self._stage.timestamp if isinstance(self._stage, Authorization) else ""
        self.client = client
        self._stage = Authorization(self, timestamp)

    async def handle(self, command: Command) -> Reply:
        """Carry out one command. Never raises for what a client, a maildrop or an authenticator did."""
        pipeline = self.service.pipeline
        if not pipeline.active:
            return await self._carry_out(command)
        found = await pipeline.command(self.client, command)
        reply = await self._carry_out(found) if isinstance(found, Command) else found
        return await pipeline.reply(self.client, command, reply)

    async def _carry_out(self, command: Command) -> Reply:
        stage = self._stage
        handler = stage.table.get(command.verb) if stage is not None else None
        if handler is None or stage is None or type(command) is Malformed:
            reply: Reply = self._reject(command)
        else:
            try:
                answer = handler(stage, command)
                reply = answer if isinstance(answer, Ok | MultiLine | Err | Continuation) else await answer
            except SessionError as error:
                reply = Err(_told(error), error.code)
                logger.debug("%s: %s: %r", self.client.session_id, command.verb, error)
            except Exception:
                # Ours or a callback's fault: the log has the traceback, the client a code (never the text).
                logger.exception("%s: %s failed", self.client.session_id, command.verb, extra=self.extra)
                reply = Err(say("temporary-failure"), ResponseCode.SYS_TEMP)
        if isinstance(reply, Err):
            return self._count_bad(reply)
        self._bad = 0
        if self._stage is stage:  # a login or QUIT has moved it already
            self.state = next_state(self.state, command.verb, positive=True)
        return reply

    def _reject(self, command: Command) -> Err:
        table = self._stage.table if self._stage is not None else {}
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
    def extra(self) -> dict[str, object]:
        """The fields of every log record of this session."""
        return {"session": self.client.session_id, "user": self.summary.user, "address": self.client.address}

    # What the stages ask for (`context.SessionContext`)

    async def login_failed(self, credentials: Credentials, error: SessionError) -> Err:
        """Count and log a refused login; the reply waits longer each time."""
        self._failures += 1
        self.summary.failures = self._failures
        logger.info(
            "%s: login of %r from %s refused (%s): %s",
            self.client.session_id,
            credentials.user,
            self.client.address or "here",
            credentials.mechanism,
            type(error).__name__,
            extra=self.extra,
        )
        if self.service.pipeline.active:
            refused = AuthenticationRefused(self.client, credentials.user, credentials.mechanism)
            await self.service.pipeline.event(refused)
        delay = min(self.service.policy.failure_delay * 2 ** (self._failures - 1), _LONGEST_DELAY)
        if self._failures >= self.service.limits.login_failures:
            return Err(say("too-many-failures"), ResponseCode.AUTH, After.CLOSE, delay=delay)
        return Err(say("authentication-failed"), ResponseCode.AUTH, delay=delay)

    async def enter_transaction(self, identity: Identity, mechanism: str) -> Reply:
        """Open and scan the maildrop. What fails after the opening gives it back first."""
        service = self.service
        if service.pipeline.active:
            await service.pipeline.event(Authenticated(self.client, identity.user, mechanism))
        service.enter(identity.user)
        try:
            request = OpenRequest(
                identity=identity, client=self.client, lock=service.policy.lock, on_lost=self._lease_lost
            )
            maildrop = await settle(service.maildrops.open(request))
            try:
                scan = Scan.of(await settle(maildrop.scan()))
            except BaseException:
                await self._close(maildrop, Ending.FAILED)
                raise
        except BaseException:
            service.leave(identity.user)
            raise
        listing = Listing(scan)
        self._stage = Transaction(self, identity.user, maildrop, listing)
        self.state = State.TRANSACTION
        summary = self.summary
        summary.user = identity.user
        summary.mechanism = mechanism
        summary.messages = listing.count
        if not listing.measured:
            return Ok(say("logged-in-unmeasured", {"count": listing.count}))
        return Ok(say("logged-in", {"count": listing.count, "octets": listing.octets}))

    async def enter_update(self) -> Reply:
        """UPDATE: remove, close, say goodbye (RFC 1939 section 6). The driver lets nothing interrupt it."""
        transaction = self._stage
        if not isinstance(transaction, Transaction):
            raise TypeError("UPDATE follows TRANSACTION")
        self.state = State.UPDATE
        summary = self.summary
        summary.marked = transaction.listing.marked
        try:
            await self._mark_read(transaction)
            text = say("goodbye", {"goodbye": self.service.policy.goodbye})
            reply, summary.removed = await commit(transaction, text)
            if summary.marked and self.service.pipeline.active:
                removed = Removed(self.client, transaction.user, summary.marked, summary.removed)
                await self.service.pipeline.event(removed)
        finally:
            self._stage = None
            await self._leave(transaction, Ending.QUIT)
        self.state = next_state(self.state, "commit", positive=isinstance(reply, Ok))
        return reply

    async def end(self, ending: Ending) -> None:
        """The connection is over: free everything. Does nothing the second time."""
        if self._ended:
            return
        self._ended = True
        stage, self._stage = self._stage, None
        if isinstance(stage, Transaction):
            self.summary.marked = stage.listing.marked
            await self._mark_read(stage)
            await self._leave(stage, ending)
        self.state = State.DISCONNECT
        if self.service.pipeline.active:
            await self.service.pipeline.disconnect(self.client, ending)

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
        number = getattr(command, "number", None)
        stage = self._stage
        if number is None or not isinstance(stage, Transaction):
            return
        if command.verb == "RETR":
            self.summary.retrieved += 1
            self.summary.retrieved_octets += octets
            listing = stage.listing
            if listing.measured and listing.octets_of(number) != octets:
                logger.warning(
                    "%s: message %d of %s has %d octets, its source said %d",
                    self.client.session_id, number, stage.user, octets, listing.octets_of(number), extra=self.extra,
                )  # fmt: skip
                listing.correct(number, octets)
        elif command.verb == "TOP":
            self.summary.tops += 1
            self.summary.tops_octets += octets


def _told(error: SessionError) -> str:
    """The client's text for an error; one that names none of ours is a plain refusal."""
    try:
        return say(error.text_id, error.fields)
    except KeyError:
        return say("failed")
