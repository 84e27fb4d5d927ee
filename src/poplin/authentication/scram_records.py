"""What a user base keeps for SCRAM (RFC 5802, RFC 7677), and checking a password against it.

A record is Dovecot's: ``iterations,salt,stored-key,server-key``, the last three in base64. Nothing in it
lets anybody log in without the password. The exchange itself is no business of this file.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from poplin.authentication.saslprep import saslprep

__all__ = ["ITERATIONS", "ScramRecord", "check_password", "make_record", "parse_record"]

ITERATIONS = 15_000
"""For new records: what RFC 7677 section 4 finds right for 2015's phones, above the 4096 it demands.
It costs about 3 ms of processor a login, which a server full of pollers can bear."""
MOST_ITERATIONS = 10_000_000
"""More than that is a typing error, or someone who wants the server to stand still."""


@dataclass(frozen=True, slots=True)
class ScramRecord:
    """One user's record; `digest` as hashlib names it (``"sha256"``), the rest as in RFC 5802 section 3."""

    digest: str
    iterations: int
    salt: bytes = field(repr=False)
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def __str__(self) -> str:
        parts = (b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return ",".join((str(self.iterations), *parts))


def parse_record(text: str, digest: str) -> ScramRecord:
    """The record that `text` spells.

    Raises:
        ValueError: it is none; the text does not quote it.
    """
    parts = text.split(",")
    if len(parts) != 4 or not (parts[0].isascii() and parts[0].isdigit() and len(parts[0]) <= 8):
        raise ValueError("a SCRAM record is iterations,salt,stored-key,server-key")
    iterations = int(parts[0])
    if not 0 < iterations <= MOST_ITERATIONS:
        raise ValueError(f"the iterations are not between 1 and {MOST_ITERATIONS}")
    try:
        salt, stored_key, server_key = (b64decode(part, validate=True) for part in parts[1:])
    except binascii.Error:
        raise ValueError("a part of the SCRAM record is no base64") from None
    if not salt or len(stored_key) != len(server_key) or len(stored_key) != hashlib.new(digest).digest_size:
        raise ValueError("a part of the SCRAM record has the wrong length")
    return ScramRecord(digest, iterations, salt, stored_key, server_key)


def make_record(password: str, digest: str = "sha256", iterations: int = ITERATIONS) -> ScramRecord:
    """A new record for `password`, with a salt of its own.

    Raises:
        ValueError: SASLprep (RFC 4013) does not allow the password.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac(digest, saslprep(password, stored=True).encode(), salt, iterations)
    stored_key = hashlib.new(digest, hmac.digest(salted, b"Client Key", digest)).digest()
    return ScramRecord(digest, iterations, salt, stored_key, hmac.digest(salted, b"Server Key", digest))


def check_password(record: ScramRecord, password: str) -> bool:
    """Whether `password` is the one that `record` was made of, in constant time.

    The prepared form is tried first, and the octets as they came after it: other servers make such
    records without SASLprep. A NUL is never right: HMAC fills up its key with NULs, so ``secret`` and
    ``secret\\0`` would be one password.
    """
    raw = password.encode(errors="surrogateescape")
    try:
        candidates = {saslprep(password).encode(): None, raw: None}
    except ValueError:
        candidates = {raw: None}
    return any(_matches(record, octets) for octets in candidates) and "\0" not in password


def _matches(record: ScramRecord, password: bytes) -> bool:
    salted = hashlib.pbkdf2_hmac(record.digest, password, record.salt, record.iterations)
    key = hmac.digest(salted, b"Client Key", record.digest)
    return hmac.compare_digest(hashlib.new(record.digest, key).digest(), record.stored_key)
