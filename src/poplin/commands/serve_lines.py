"""The lines that ``poplin serve`` says at its start: what each listener offers, and what to try."""

from __future__ import annotations

from dataclasses import dataclass

from poplin.daemon.certificates import CertificateFacts
from poplin.daemon.settings import ListenerSettings

__all__ = ["Offer", "listener_line", "try_line"]

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  # read, not bound


@dataclass(frozen=True, slots=True)
class Offer:
    """One listener that answers: its true `address`, its settings, and the certificate it shows."""

    address: str
    settings: ListenerSettings
    certificate: CertificateFacts | None


def listener_line(offer: Offer, allow_cleartext: str) -> str:
    """``127.0.0.1:1110  POP3, STLS; passwords without TLS from loopback only``."""
    tls, certificate = offer.settings.tls, offer.certificate
    cleartext = {
        "never": "no passwords without TLS",
        "loopback": "passwords without TLS from loopback only",
        "always": "passwords without TLS from everywhere",
    }[allow_cleartext]
    if tls == "implicit" and certificate:
        kind = "self-made certificate" if certificate.self_made else f"certificate of {', '.join(certificate.names)}"
        return f"{offer.address}  POP3S, {kind} until {certificate.until:%Y-%m-%d}"
    return f"{offer.address}  POP3{', STLS' if tls == 'starttls' else ''}; {cleartext}"


def try_line(offers: list[Offer], user: str) -> str | None:
    """A complete curl command for the first message, by the safest listener on this machine; `user` may hold a
    password after a colon. ``None`` if none of them can be tried by curl."""
    best = min(offers, key=lambda offer: ("implicit", "starttls", "none").index(offer.settings.tls), default=None)
    if best is None or best.address.startswith("unix:"):
        return None
    host, _, port = best.address.rpartition(":")
    place = f"{_LOOPBACK.get(host, host)}:{port}/1"
    words = {
        "implicit": ("--insecure ", f"pop3s://{place}"),
        "starttls": ("--insecure --ssl-reqd ", f"pop3://{place}"),
        "none": ("", f"pop3://{place}"),
    }
    options, url = words[best.settings.tls]
    named = f"'{user}'" if ":" in user else user
    return f"try:  curl {options}--user {named} {url}"
