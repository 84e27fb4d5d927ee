"""The AUTHORIZATION state: RFC 1939 sections 4 and 7, RFC 2449 (CAPA), RFC 2595 (STLS), RFC 5034 (AUTH).

It knows the name given so far and the SASL exchange under way, and nothing else; both are gone with it. A login
ends in `session.enter_transaction`, or in an error that knows its reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from poplin.authentication.base import ApopProof, Credentials, PasswordProof
from poplin.authentication.mechanisms import MECHANISMS, Challenge, MalformedResponse, Mechanism
from poplin.content import Content, Form
from poplin.errors import AuthenticationFailed, Refused, ResponseCode, SessionError
from poplin.identity import Identity, settle
from poplin.protocol.capabilities import Facts, capability_body
from poplin.protocol.commands import Apop, Auth, AuthCancel, AuthResponse, Capa, Pass, Quit, Stls, User
from poplin.protocol.replies import After, Continuation, Err, MultiLine, Ok, Reply
from poplin.protocol.states import State
from poplin.protocol.texts import say
from poplin.session.stage import Stage, handles
from poplin.terms import Expiry

if TYPE_CHECKING:
    from poplin.session.context import SessionContext

__all__ = ["Authorization", "capability_list"]


async def capability_list(context: SessionContext) -> MultiLine:
    """The answer to CAPA in either state: computed from what works on this connection."""
    service = context.service
    sasl = service.sasl(context.client, context.mechanisms)
    terms = await context.terms()
    facts = Facts(
        user="USER" in context.mechanisms and service.cleartext_allowed(context.client),
        sasl=sasl,
        starttls=_offers_stls(context),
        top=context.serves("TOP"),
        uidl=context.serves("UIDL"),
        implementation=service.policy.implementation,
        login_delay=_marked(terms.login_delay or None, varies=terms.login_delay_varies),
        expire=_marked(terms.expire, varies=terms.expire_varies),
        custom=context.custom,
    )
    body = capability_body(facts)
    return MultiLine(Ok(say("capa")), Content(body, Form.CRLF | Form.UNDOTTED, len(body)))


def _offers_stls(context: SessionContext) -> bool:
    """Only where it would succeed (RFC 2595 section 4)."""
    waiting = context.state is State.AUTHORIZATION and context.client.tls is None
    return waiting and context.starttls and context.serves("STLS")


def _marked(value: Expiry | None, *, varies: bool) -> str:
    """A capability's argument; `` USER`` says that after login it may be another one."""
    if value is None:
        return ""
    return f"{value} USER" if varies else str(value)


class Authorization(Stage):
    """AUTHORIZATION: who are you?"""

    __slots__ = ("_context", "_mechanism", "_name", "timestamp")

    state = State.AUTHORIZATION

    def __init__(self, context: SessionContext, timestamp: str) -> None:
        self._context = context
        self.timestamp: str = timestamp
        self._name = ""
        self._mechanism: Mechanism | None = None

    @handles(Capa)
    async def capa(self, command: Capa) -> Reply:
        """CAPA."""
        return await capability_list(self._context)

    @handles(Quit)
    def quit(self, command: Quit) -> Reply:
        """QUIT without a login: nothing to update."""
        return Ok(self._context.goodbye, after=After.CLOSE)

    @handles(Stls)
    def stls(self, command: Stls) -> Reply:
        """STLS: the driver begins TLS behind the reply, and the session begins anew."""
        if self._context.client.tls is not None:
            return Err(say("stls-active"), bad=True)
        if not self._context.starttls:
            return Err(say("stls-unavailable"), bad=True)
        return Ok(say("stls"), after=After.START_TLS)

    @handles(User)
    def user(self, command: User) -> Reply:
        """USER: any name is taken, known or not; a mechanism that is not on offer is told of at PASS, since clients
        show only that answer."""
        self._name = command.name
        return Ok(say("user"))

    @handles(Pass)
    async def password(self, command: Pass) -> Reply:
        """PASS: one try for each USER."""
        name, self._name = self._name, ""
        if not name:
            return Err(say("user-first"), bad=True)
        self._check_cleartext()
        if "USER" not in self._context.mechanisms:
            return Err(say("mechanism-unknown"), ResponseCode.AUTH, bad=True)
        return await self._log_in(Credentials("USER", name, PasswordProof(command.password)))

    @handles(Apop)
    async def apop(self, command: Apop) -> Reply:
        """APOP, where the greeting had a timestamp."""
        if not self.timestamp:
            return Err(say("mechanism-unknown"), bad=True)
        return await self._log_in(Credentials("APOP", command.name, ApopProof(self.timestamp, command.digest)))

    @handles(Auth)
    async def auth(self, command: Auth) -> Reply:
        """AUTH: begins an exchange; without a mechanism it lists them (old Outlook asks so)."""
        context = self._context
        offered = context.service.sasl(context.client, context.mechanisms)
        if command.mechanism is None:
            body = "".join(f"{name}\r\n" for name in offered).encode()
            return MultiLine(Ok(say("sasl-list")), Content(body, Form.CRLF | Form.UNDOTTED, len(body)))
        if command.mechanism not in offered:
            if command.mechanism in MECHANISMS:
                self._check_cleartext()
            return Err(say("mechanism-unknown"), bad=True)
        self._mechanism = MECHANISMS[command.mechanism]()
        return await self._step(command.initial)

    @handles(AuthResponse)
    async def response(self, command: AuthResponse) -> Reply:
        """A line of the exchange under way."""
        if command.octets is None:
            self._mechanism = None
            return Err(say("sasl-base64"), bad=True)
        return await self._step(command.octets)

    @handles(AuthCancel)
    def cancel(self, command: AuthCancel) -> Reply:
        """The client gives up (RFC 5034 section 4): the exchange never was."""
        self._mechanism = None
        return Err(say("sasl-cancelled"))

    async def _step(self, response: bytes | None) -> Reply:
        mechanism, self._mechanism = self._mechanism, None
        if mechanism is None:
            return Err(say("sasl-malformed"), bad=True)
        try:
            outcome = mechanism.step(response)
        except MalformedResponse as error:
            return Err(say(error.text_id), bad=True)
        if isinstance(outcome, Challenge):
            self._mechanism = mechanism
            return Continuation(outcome.octets)
        return await self._log_in(outcome)

    def _check_cleartext(self) -> None:
        if not self._context.service.cleartext_allowed(self._context.client):
            raise CleartextRefused

    async def _log_in(self, credentials: Credentials) -> Reply:
        context = self._context
        try:
            identity = await settle(context.service.authenticator.authenticate(credentials, context.client))
        except (AuthenticationFailed, Refused) as error:
            return await context.login_failed(credentials, error)
        if not isinstance(identity, Identity):
            raise TypeError(f"the authenticator returned {type(identity).__name__}, expected an Identity")
        return await context.enter_transaction(identity, credentials.mechanism)


class CleartextRefused(SessionError):
    """A password was about to be sent, or was sent, where none may cross in clear."""

    text_id = "cleartext-refused"
