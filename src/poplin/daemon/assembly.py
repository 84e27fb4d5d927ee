"""A configuration becomes a server that is not started yet. Nothing is bound and nothing is served here."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from poplin.authentication.base import Authenticator
from poplin.daemon import certificates, registry
from poplin.daemon.settings import Configuration, ListenerSettings, MaildropSettings
from poplin.daemon.wrappers import InOrder, Routed, RuledOpener
from poplin.maildrops.base import Opener
from poplin.server.hub import Listener
from poplin.server.server import Server
from poplin.session.service import Policy

__all__ = ["authenticator", "build", "maildrops", "policy", "tls_context"]


def build(configuration: Configuration, listeners: Sequence[ListenerSettings] = ()) -> Server:
    """The server; `listeners` stand in for those of the configuration.

    Raises:
        ConfigurationError: a certificate, a user base or a maildrop cannot be made.
    """
    context = tls_context(configuration)
    return Server(
        maildrops=maildrops(configuration),
        authenticator=authenticator(configuration),
        listeners=[_listener(settings, context) for settings in listeners or configuration.listeners],
        limits=configuration.limits,
        policy=policy(configuration),
    )


def tls_context(configuration: Configuration) -> ssl.SSLContext | None:
    """The TLS settings of the listeners, if there is a certificate.

    Raises:
        ConfigurationError: certificate or key cannot be used.
    """
    tls = configuration.tls
    return certificates.server_context(tls.certificate, tls.key, tls.minimum_version) if tls else None


def policy(configuration: Configuration) -> Policy:
    """The rules of the service."""
    return Policy(
        hostname=configuration.hostname,
        greeting=configuration.greeting,
        goodbye=configuration.goodbye,
        allow_cleartext=configuration.allow_cleartext,
        mechanisms=configuration.mechanisms,
        lock=configuration.maildrop.lock,
        failure_delay=configuration.failure_delay,
    )


def authenticator(configuration: Configuration) -> Authenticator:
    """The user base, or all of them in order.

    Raises:
        ConfigurationError: one of them cannot be made.
    """
    made = [registry.authenticator(settings, configuration) for settings in configuration.backends]
    return made[0] if len(made) == 1 else InOrder(made)


def maildrops(configuration: Configuration) -> Opener:
    """The maildrops, by rule where there are rules. Users of equal settings share one opener and its caches.

    Raises:
        ConfigurationError: they cannot be made.
    """
    made: dict[tuple[str, str], Opener] = {}

    def routed(settings: MaildropSettings) -> Routed:
        kind = (settings.type, settings.path)
        if kind not in made:
            made[kind] = registry.opener(settings, configuration)
        return Routed(made[kind], settings.lock)

    common = routed(configuration.maildrop)
    if not configuration.rules:
        return common.opener
    return RuledOpener([(rule, routed(rule.maildrop)) for rule in configuration.rules], common)


def _listener(settings: ListenerSettings, context: ssl.SSLContext | None) -> Listener:
    return Listener(
        address=settings.address,
        tls=settings.tls,
        context=context if settings.tls != "none" else None,
    )
