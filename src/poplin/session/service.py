"""What a session serves and by which rules: one frozen value, shared by all sessions of a server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from poplin.abilities import implements
from poplin.authentication.base import PASSWORD_MECHANISMS, Authenticator, Offers
from poplin.authentication.mechanisms import MECHANISMS
from poplin.identity import ClientFacts, Identity, MaybeAwaitable
from poplin.limits import Limits
from poplin.maildrops.base import LockPolicy, Opener
from poplin.plugins.pipeline import Pipeline
from poplin.session.attendants import Attends
from poplin.session.methods import MakeMethods
from poplin.spelling import spelled_class
from poplin.terms import LoginTimes, Terms

__all__ = ["Cleartext", "Policy", "Service"]

Cleartext: TypeAlias = Literal["never", "loopback", "always"]

_LONGEST_TEXT = 400  # of any text; RFC 2449 section 4: 512 octets for the whole line
_LONGEST_GREETING = 512 - len("+OK  <.@>\r\n") - 2 * 15  # with hostname; two numbers of 48 bits are in a timestamp


@spelled_class
@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of a service.

    `hostname` stands in the APOP timestamp. `greeting` and `goodbye` are texts of one line. `allow_cleartext` says
    where USER/PASS, PLAIN and LOGIN work without TLS. `mechanisms` narrows what the user base can serve (USER and
    APOP are names too); ``None`` offers all of it. `failure_delay` is how many seconds the answer to a refused
    login waits, doubled with each further one of the connection, at most 15. `implementation` is what CAPA tells
    of us; ``""`` hides it. `push` lets `Server.push` send text outside a reply, which RFC 1939 does not know: only
    for clients that expect it. `show_errors` sends the text of an unforeseen exception to the client: for tests. With
    `raise_errors` such an exception ends its session instead, and is raised where the server is stopped by leaving
    its ``async with``, or the `poplin.BackgroundServer`'s ``with``: for tests too.
    """

    hostname: str = "localhost"
    greeting: str = "poplin ready"
    goodbye: str = "goodbye"
    allow_cleartext: Cleartext = "loopback"
    mechanisms: Collection[str] | None = None
    lock: LockPolicy = field(default_factory=LockPolicy)
    failure_delay: float = 2
    implementation: str = "poplin"
    push: bool = False
    show_errors: bool = False
    raise_errors: bool = False

    def __post_init__(self) -> None:
        """Refuse texts that would break a reply.

        Raises:
            ValueError: a line end or other control character in a text, or one that is too long.
        """
        for name in ("hostname", "greeting", "goodbye", "implementation"):
            text = getattr(self, name)
            if not text.isprintable():
                raise ValueError(f"{name}: only printable characters are allowed, found {text!r}")
            if len(text.encode()) > _LONGEST_TEXT:
                raise ValueError(f"{name}: longer than {_LONGEST_TEXT} octets (RFC 2449 section 4: 512 for the line)")
        if not self.hostname or set(self.hostname) & set(" <>@"):
            raise ValueError(
                f"hostname: expected a name for the APOP timestamp, such as pop.example.org, not {self.hostname!r}"
            )
        if len((self.greeting + self.hostname).encode()) > _LONGEST_GREETING:
            raise ValueError(
                f"greeting: longer than {_LONGEST_GREETING} octets together with the hostname (RFC 1939 section 3: 512 for"
                " the line, with the APOP timestamp)"
            )
        if "<" in self.greeting:
            raise ValueError("greeting: '<' would be taken for an APOP timestamp (RFC 1939 section 7)")
        if self.failure_delay < 0:
            raise ValueError("failure_delay: cannot be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a server gives to each of its sessions.

    `enter` and `leave` count a user's sessions: `enter` raises what the client shall be told when there are too
    many. `timestamp` makes an APOP timestamp, unique for ever. `methods` makes each session's command methods, for
    a server that has a class of them. `terms` says how often a user may log in, and how long messages stay; `logins`
    remembers the logins where there is a delay. `attendants` are told of each connection's beginning and end.
    """

    maildrops: Opener
    authenticator: Authenticator
    policy: Policy = field(default_factory=Policy)
    limits: Limits = field(default_factory=Limits)
    pipeline: Pipeline = field(default_factory=Pipeline)
    timestamp: Callable[[str], str]
    enter: Callable[[str], None]
    leave: Callable[[str], None]
    methods: MakeMethods | None = None
    terms: Callable[[Identity | None], MaybeAwaitable[Terms]] | None = None
    logins: LoginTimes | None = None
    attendants: tuple[Attends, ...] = ()

    def mechanisms(self) -> AbstractSet[str]:
        """The mechanisms that the user base serves and the policy allows, USER and APOP among them."""
        authenticator = self.authenticator
        served = authenticator.mechanisms() if implements(authenticator, Offers) else PASSWORD_MECHANISMS
        allowed = self.policy.mechanisms
        return served if allowed is None else served & frozenset(allowed)

    def cleartext_allowed(self, client: ClientFacts) -> bool:
        """Whether a password in clear may cross this connection."""
        if client.tls is not None:
            return True
        allowed = self.policy.allow_cleartext
        return allowed == "always" or (allowed == "loopback" and client.is_loopback)

    def sasl(self, client: ClientFacts, mechanisms: AbstractSet[str]) -> tuple[str, ...]:
        """The SASL mechanisms among those on offer that this client may use, in order."""
        if not self.cleartext_allowed(client):
            return ()  # every mechanism built so far shows the password
        return _sasl_among(frozenset(mechanisms))


@functools.lru_cache(maxsize=64)
def _sasl_among(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(names & frozenset(MECHANISMS)))
