"""The server under test, in a thread, on every way that a client can come in."""

import contextlib
import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import poplin
from poplin.authentication.base import PASSWORD_MECHANISMS, Authenticator, Credentials, PasswordProof
from poplin.identity import ClientFacts
from poplin.maildrops.base import Opener


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-made certificate: `folder` holds certificate.pem, key.pem and authority.pem."""

    folder: Path
    context: ssl.SSLContext

    @property
    def authority(self) -> Path:
        return self.folder / "authority.pem"


@dataclass(frozen=True, slots=True)
class Running:
    """A running server and its ports, one for each way in; all on 127.0.0.1."""

    server: poplin.BackgroundServer
    ports: dict[str, int]


class Serve(Protocol):
    """Starts a server that lives until the test ends."""

    def __call__(
        self,
        maildrops: Opener,
        authenticator: Authenticator,
        *,
        policy: poplin.Policy | None = None,
        limits: poplin.Limits | None = None,
        plugins: Sequence[poplin.Plugin] = (),
    ) -> Running: ...


@dataclass(frozen=True, slots=True)
class OnePassword:
    """An authenticator that lets every user in who knows the one password; by APOP too if `apop`."""

    password: str
    apop: bool = False

    def mechanisms(self) -> frozenset[str]:
        return PASSWORD_MECHANISMS | ({"APOP"} if self.apop else frozenset())

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> poplin.Identity:
        proof = credentials.proof
        if isinstance(proof, PasswordProof):
            right = proof.password == self.password
        else:
            right = self.apop and proof.digest == hashlib.md5((proof.timestamp + self.password).encode()).hexdigest()
        if right:
            return poplin.Identity(credentials.user)
        raise poplin.AuthenticationFailed


def serving(stack: contextlib.ExitStack, certificate: Certificate) -> Serve:
    """The fixture's function; what it starts is stopped by `stack`."""

    def serve(
        maildrops: Opener,
        authenticator: Authenticator,
        *,
        policy: poplin.Policy | None = None,
        limits: poplin.Limits | None = None,
        plugins: Sequence[poplin.Plugin] = (),
    ) -> Running:
        listeners = (
            poplin.Listener(address="127.0.0.1:0"),
            poplin.Listener(address="127.0.0.1:0", tls="starttls", context=certificate.context),
            poplin.Listener(address="127.0.0.1:0", tls="implicit", context=certificate.context),
        )
        server = poplin.Server(
            maildrops=maildrops,
            authenticator=authenticator,
            listeners=listeners,
            policy=policy,
            limits=limits,
            plugins=plugins,
        )
        background = stack.enter_context(poplin.BackgroundServer(server))
        ports = [int(address.rpartition(":")[2]) for address in background.addresses]
        return Running(background, dict(zip(("none", "starttls", "implicit"), ports, strict=True)))

    return serve
