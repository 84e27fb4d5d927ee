"""LOGIN-DELAY at login (RFC 2449 sections 6.5 and 8.1.2): asked of who proved right, counted from a login that worked."""

from __future__ import annotations

from dataclasses import replace

from poplin.identity import Identity, settle
from poplin.session.service import Service
from poplin.terms import Terms

__all__ = ["NO_TERMS", "common_terms", "remember_login", "terms_at_login"]

NO_TERMS = Terms()


async def common_terms(service: Service) -> Terms:
    """What holds for all users: what CAPA says before login."""
    return NO_TERMS if service.terms is None else await settle(service.terms(None))


async def terms_at_login(service: Service, identity: Identity) -> Terms:
    """The user's own terms.

    Raises:
        LoginTooSoon: by these terms it is too early for this login.
    """
    if service.terms is None:
        return NO_TERMS
    terms = await settle(service.terms(identity))
    if terms.login_delay and service.logins is not None:
        await settle(service.logins.check(identity.user, terms.login_delay))
    return replace(terms, login_delay_varies=False, expire_varies=False)


async def remember_login(service: Service, user: str, terms: Terms) -> None:
    """A login worked: the delay counts from here. No refused login gets so far."""
    if terms.login_delay and service.logins is not None:
        await settle(service.logins.remember(user, terms.login_delay))
