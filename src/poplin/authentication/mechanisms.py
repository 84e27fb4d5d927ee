"""SASL mechanisms, the server's side, sans-IO (RFC 4422).

A mechanism turns the octets of an exchange into `Credentials`; who may come in is decided elsewhere.
Here live mechanisms and their registry: no user base, no base64 (the protocol core's business), no I/O
and no clock.

A session makes one mechanism per AUTH command and steps it until it answers `Credentials`::

    mechanism = MECHANISMS["PLAIN"]()
    outcome = mechanism.step(initial_response)      # None: the client sent none
    while isinstance(outcome, Challenge):
        outcome = mechanism.step(await the_next_line(outcome.octets))

`Outcome` is what a step may answer, and the place where it grows: a mechanism that needs the user's
stored record in the middle of its exchange (SCRAM, CRAM-MD5) answers with one more value there, which
names the user and the record that it wants; the session asks the authenticator and steps on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, TypeAlias

from poplin.authentication.base import Credentials, PasswordProof
from poplin.errors import SessionError

__all__ = ["MECHANISMS", "Challenge", "Login", "MalformedResponse", "Mechanism", "Outcome", "Plain"]


class MalformedResponse(SessionError):
    """The client's response is not of the form that its mechanism demands. Never quotes the response."""

    text_id = "sasl-malformed"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the client has to be sent, before base64; ``b""`` is the empty challenge (``+ ``).

    Never shown by ``repr``: later mechanisms put salts and proofs here.
    """

    octets: bytes = field(repr=False)


Outcome: TypeAlias = Challenge | Credentials
"""What one step comes to."""


class Mechanism(Protocol):
    """One exchange of one client; made for it and thrown away after it."""

    @property
    def name(self) -> str:
        """The mechanism's registered name, upper-case."""
        ...

    def step(self, response: bytes | None, /) -> Outcome:
        """Take the client's next response, base64 already undone, and say what follows.

        The first step gets the initial response (RFC 5034 section 4), or ``None`` if there was none;
        an initial response of ``=`` is ``b""``.

        Raises:
            MalformedResponse: the response breaks the mechanism's syntax; the exchange is over.
        """
        ...


def _name(octets: bytes) -> str:
    """A user name: UTF-8 without NUL (RFC 4616 section 2).

    Raises:
        MalformedResponse: it is not.
    """
    if b"\0" in octets:
        raise MalformedResponse("a NUL in the user name")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        # The exception would carry the octets into a log: not even its context is kept.
        raise MalformedResponse("the user name is no UTF-8") from None


def _password(octets: bytes) -> PasswordProof:
    """A password: not empty, without NUL. Octets that are no UTF-8 pass, as they do with PASS.

    Raises:
        MalformedResponse: it is empty or holds a NUL.
    """
    if not octets:
        raise MalformedResponse("the password is empty")
    if b"\0" in octets:
        raise MalformedResponse("a NUL in the password")
    return PasswordProof(octets.decode(errors="surrogateescape"))


class Plain:
    """PLAIN (RFC 4616): one response, ``[authzid] NUL authcid NUL passwd``."""

    name = "PLAIN"

    def step(self, response: bytes | None, /) -> Outcome:
        """Ask for the one response by an empty challenge, unless it is here.

        Raises:
            MalformedResponse: not three parts, an empty user name or password, or no UTF-8.
        """
        if response is None:
            return Challenge(b"")
        # At most two cuts: a third NUL stays in the password, where it is refused.
        parts = response.split(b"\0", 2)
        if len(parts) != 3:
            raise MalformedResponse("PLAIN wants two NULs")
        authorization, user, password = parts
        if not user:
            raise MalformedResponse("the user name is empty")
        return Credentials(self.name, _name(user), _password(password), _name(authorization))


class Login:
    """LOGIN (draft-murchison-sasl-login-00): user name and password, each asked for by its own prompt.

    No standard, yet all that some devices and Outlook know. Clients match the prompts by their octets.
    """

    name = "LOGIN"

    def __init__(self) -> None:
        self._user = ""

    def step(self, response: bytes | None, /) -> Outcome:
        """Ask for the user name, unless the initial response was it, and then for the password.

        Raises:
            MalformedResponse: an empty user name or password, a NUL, or a name that is no UTF-8.
        """
        if response is None:
            return Challenge(b"Username:")
        if self._user:
            return Credentials(self.name, self._user, _password(response))
        if not response:
            raise MalformedResponse("the user name is empty")
        self._user = _name(response)
        return Challenge(b"Password:")


MECHANISMS: Mapping[str, Callable[[], Mechanism]] = MappingProxyType({"PLAIN": Plain, "LOGIN": Login})
"""Every mechanism that poplin can speak, by its upper-case name."""
