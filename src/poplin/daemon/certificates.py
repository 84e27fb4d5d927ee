"""Certificates: TLS contexts from the configuration, what a certificate says of itself, and self-made ones."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from poplin.errors import ConfigurationError

__all__ = ["CertificateFacts", "CertificateProblem", "facts", "server_context"]

_SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")
_COMMON_NAME = bytes.fromhex("0603550403")
_DNS = 0x82
_NOT_A_PAIR = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class CertificateProblem(ConfigurationError):
    """A certificate or key cannot be used; `key` says which of the two settings is to blame."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """For whom and until when: `names` are its DNS names (the common name if it has none), `until` is in UTC,
    and `self_made` means that nobody else vouches for it."""

    names: tuple[str, ...]
    until: datetime
    self_made: bool

    def days_left(self, now: datetime | None = None) -> int:
        """Whole days until it expires; negative once it has."""
        return (self.until - (now or datetime.now(UTC))) // timedelta(days=1)


def server_context(certificate: Path, key: Path, minimum_version: str) -> ssl.SSLContext:
    """The TLS settings of a listener.

    Raises:
        CertificateProblem: a file is missing, unreadable, no PEM, encrypted, or the two do not belong together.
    """
    for name, path in (("certificate", certificate), ("key", key)):
        try:
            octets = path.read_bytes()
        except OSError as error:
            raise CertificateProblem(name, f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
        if b"-----BEGIN " not in octets:
            raise CertificateProblem(name, f"{path} is no PEM file")
        if name == "key" and b"ENCRYPTED" in octets:
            text = f"{path} is encrypted, and there is nobody to ask for its password; write it without one"
            raise CertificateProblem(name, text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[minimum_version]
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client's cheap way to make a server work; OpenSSL 1.1 allows it
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        if error.reason in _NOT_A_PAIR:
            raise CertificateProblem("key", f"{key} is not the key of {certificate}") from None
        with contextlib.suppress(ssl.SSLError, ValueError):
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
            raise CertificateProblem("key", f"{key} holds no private key that can be used") from None
        reason = (error.reason or "broken").replace("_", " ").lower()
        raise CertificateProblem(
            "certificate", f"{certificate} holds no certificate that can be used ({reason})"
        ) from None
    return context


def facts(path: Path) -> CertificateFacts:
    """What the first certificate of the file says.

    Raises:
        CertificateProblem: it cannot be understood.
    """
    try:
        text = path.read_text("ascii", errors="replace")
        begin = text.index("-----BEGIN CERTIFICATE-----")
        end = text.index("-----END CERTIFICATE-----", begin) + len("-----END CERTIFICATE-----")
        return _read(ssl.PEM_cert_to_DER_cert(text[begin:end]))
    except (OSError, ValueError, IndexError) as error:
        raise CertificateProblem("certificate", f"{path} holds no certificate that can be understood") from error


def _read(der: bytes) -> CertificateFacts:
    """RFC 5280 section 4.1: serial number, signature, issuer, validity, subject … in this order."""
    (_, certificate), *_ = _elements(der)
    (_, signed), *_ = _elements(certificate)
    fields = [content for tag, content in _elements(signed) if tag != 0xA0]
    issuer, validity, subject = fields[2:5]
    (_, _), (tag, until) = _elements(validity)
    alternatives = _behind(signed, _SUBJECT_ALT_NAME)
    names: list[str] = []
    if alternatives is not None:
        (_, general), *_ = _elements(alternatives)
        names = [content.decode("ascii", "replace") for kind, content in _elements(general) if kind == _DNS]
    if not names:
        common = _behind(subject, _COMMON_NAME)
        names = [common.decode("utf-8", "replace")] if common else []
    return CertificateFacts(tuple(names), _time(tag, until.decode("ascii")), issuer == subject)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags and contents of a run of DER values (X.690 section 8.1)."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            more = length & 0x7F
            length = int.from_bytes(der[at : at + more])
            at += more
        if at + length > len(der):
            raise ValueError("cut short")
        yield tag, der[at : at + length]
        at += length


def _behind(der: bytes, identifier: bytes) -> bytes | None:
    """The content of the value that follows an object identifier, a boolean (``critical``) left out."""
    at = der.find(identifier)
    if at < 0:
        return None
    return next((content for tag, content in _partial(der[at + len(identifier) :]) if tag != 1), None)


def _partial(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Like `_elements`, for octets that end in the middle of something else."""
    with contextlib.suppress(ValueError, IndexError):
        yield from _elements(der)


def _time(tag: int, text: str) -> datetime:
    """RFC 5280 section 4.1.2.5: UTCTime with two digits of the year up to 2049, GeneralizedTime with four."""
    if tag == 0x17:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
