"""Stored passwords: what stands in a user base, and whether a password fits it.

The written form is Dovecot's ``{SCHEME}data``, with ``{SCHEME.b64}`` and ``{SCHEME.hex}`` for encoded data,
htpasswd's ``{SHA}…``, or a bare crypt hash (``$6$…``). Digests, PBKDF2 and SCRAM records are checked by the
standard library; `crypt_hashes` has the rest. No I/O, and nothing here knows a user's name.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

from poplin.authentication import crypt_hashes, scram_records

__all__ = ["DEFAULT_SCHEME", "READABLE", "StoredPassword", "known_scheme", "make", "octets_of", "parse", "verify"]

DEFAULT_SCHEME = "SCRAM-SHA-256"
"""For new passwords: worth little to a thief, checkable by the standard library, and good for SCRAM."""

READABLE = frozenset({"PLAIN", "CLEAR", "CLEARTEXT"})
"""The schemes that keep the secret itself; APOP (RFC 1939 section 7) needs one of them."""

_SCRAM = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}
# Name: hashlib's digest, and whether octets behind the digest are salt.
_DIGESTS = {
    "SHA": ("sha1", False),
    "SHA1": ("sha1", False),
    "SHA256": ("sha256", False),
    "SHA512": ("sha512", False),
    "SSHA": ("sha1", True),
    "SSHA256": ("sha256", True),
    "SSHA512": ("sha512", True),
    "SMD5": ("md5", True),
    "LDAP-MD5": ("md5", False),
    "PLAIN-MD5": ("md5", False),
}
# Names under which Dovecot files crypt hashes; the hash itself says which it is.
_CRYPT = frozenset(
    {"CRYPT", "DES-CRYPT", "MD5-CRYPT", "SHA256-CRYPT", "SHA512-CRYPT", "BLF-CRYPT", "ARGON2I", "ARGON2ID"}
)
# Hashes without a mark of their own, checked by the libpass handler of this name.
_BY_HANDLER = {"NTLM": "nthash", "LANMAN": "lmhash"}
_KNOWN = READABLE | _CRYPT | {"MD5", "PBKDF2", *_SCRAM, *_DIGESTS, *_BY_HANDLER}

_WRITTEN = re.compile(r"\{([A-Za-z0-9-]{1,30})(?:\.(b64|base64|hex))?\}(.*)", re.DOTALL | re.IGNORECASE)
_SIMPLE = re.compile(r"[!-9;-~]+").fullmatch
_HEX = re.compile(r"[0-9A-Fa-f]+").fullmatch


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """One user's stored password: the `scheme`'s upper-case name and its `data`, decoding done.

    Digests are kept as octets, everything else as its octets in the written form. Never shown by ``repr``.
    """

    scheme: str
    data: bytes = field(repr=False)

    @property
    def secret(self) -> bytes | None:
        """The password itself, if the scheme keeps it: what APOP needs."""
        return self.data if self.scheme in READABLE else None

    @property
    def scram(self) -> scram_records.ScramRecord | None:
        """The record for SCRAM, if this is one."""
        digest = _SCRAM.get(self.scheme)
        return scram_records.parse_record(self.data.decode(), digest) if digest else None

    @property
    def is_costly(self) -> bool:
        """Whether checking takes more than about 0.1 ms: not to be done in the event loop."""
        return self.scheme not in READABLE and self.scheme not in _DIGESTS


def octets_of(password: str) -> bytes:
    """The octets that the client sent as `password`."""
    return password.encode(errors="surrogateescape")


def known_scheme(written: str) -> str | None:
    """The scheme of a written form, judged by its beginning alone; ``None`` if it is none that we know."""
    if not written.startswith("{"):
        return crypt_hashes.name_of(written)
    found = _WRITTEN.match(written)
    name = found[1].upper() if found else ""
    return name if name in _KNOWN else None


def parse(written: str) -> StoredPassword:
    """The stored password that `written` spells.

    Raises:
        ValueError: it spells none, or the scheme is unknown; the text quotes no part of the data.
    """
    if not written.startswith("{"):
        name = crypt_hashes.name_of(written)
        if name is None:
            raise ValueError("neither {SCHEME}data nor a hash that is known; a readable password is {PLAIN}…")
        return StoredPassword(name, written.encode())
    found = _WRITTEN.fullmatch(written)
    if found is None:
        raise ValueError("no closing brace behind the scheme")
    name, encoding, text = found[1].upper(), (found[2] or "").lower(), found[3]
    if name not in _KNOWN:
        raise ValueError(f"unknown scheme {{{name}}}")
    if not text:
        raise ValueError(f"nothing behind {{{name}}}")
    data = _decode(text, encoding) if encoding else text.encode(errors="surrogateescape")
    return StoredPassword(*_settle(name, data, encoded=bool(encoding)))


def _decode(text: str, encoding: str) -> bytes:
    try:
        return bytes.fromhex(text) if encoding == "hex" else b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"the data is no {encoding}") from None


def _settle(name: str, data: bytes, *, encoded: bool) -> tuple[str, bytes]:
    """The scheme that is really meant, and its data as `StoredPassword` keeps it."""
    if name == "MD5":
        # Dovecot takes MD5-CRYPT, the hexadecimal and the base64 digest all under this name.
        name = "CRYPT" if data.startswith(b"$1$") else "PLAIN-MD5"
    if name in _CRYPT:
        found = crypt_hashes.name_of(data.decode("ascii", "replace"))
        if found is None:
            raise ValueError(f"a broken {name} hash")
        return found, data
    if name in _SCRAM:
        scram_records.parse_record(data.decode("ascii", "replace"), _SCRAM[name])
    elif name == "PBKDF2":
        _parse_pbkdf2(data)
    elif name in _DIGESTS:
        digest, salted = _DIGESTS[name]
        size = hashlib.new(digest).digest_size
        if not encoded:
            text = data.decode("ascii", "replace")
            data = _decode(text, "hex" if len(text) == 2 * size and _HEX(text) else "base64")
        if len(data) < size or (len(data) > size) is not salted:
            raise ValueError(f"the {name} digest has the wrong length")
    return name, data


def _parse_pbkdf2(data: bytes) -> tuple[bytes, int, bytes]:
    """Salt, rounds and digest of Dovecot's ``$1$salt$rounds$hex``, which is PBKDF2 with SHA-1."""
    parts = data.decode("ascii", "replace").split("$")
    if len(parts) != 5 or parts[:2] != ["", "1"] or not parts[3].isdigit() or len(parts[3]) > 8 or not int(parts[3]):
        raise ValueError("a PBKDF2 hash is $1$salt$rounds$digest")
    return parts[2].encode(), int(parts[3]), _decode(parts[4], "hex")


def verify(stored: StoredPassword, password: str) -> bool:
    """Whether `password` is the stored one; the comparison takes the same time whatever differs.

    Raises:
        HashUnavailable: the scheme needs something that is not installed; the text says what.
        ValueError: the data is broken in a way that only shows now. It is not quoted.
    """
    name, data, octets = stored.scheme, stored.data, octets_of(password)
    if name in READABLE:
        # Digests, for compare_digest tells the length of what it compares.
        return hmac.compare_digest(hashlib.sha256(octets).digest(), hashlib.sha256(data).digest())
    if name in _DIGESTS:
        size = hashlib.new(_DIGESTS[name][0]).digest_size
        made = hashlib.new(_DIGESTS[name][0], octets + data[size:]).digest()
        return hmac.compare_digest(made, data[:size])
    record = stored.scram
    if record is not None:
        return scram_records.check_password(record, password)
    if name == "PBKDF2":
        salt, rounds, digest = _parse_pbkdf2(data)
        made = hashlib.pbkdf2_hmac("sha1", octets, salt, rounds, len(digest))
        return hmac.compare_digest(made, digest) and b"\0" not in octets  # see scram_records.check_password
    return crypt_hashes.check_hash(data.decode("ascii", "replace"), octets, _BY_HANDLER.get(name, ""))


def make(password: str, scheme: str = DEFAULT_SCHEME) -> str:
    """`password` in the written form, by SCRAM-SHA-256, SCRAM-SHA-1, SSHA256, SSHA512, PLAIN, and with the
    ``passwords`` extra ARGON2ID and BLF-CRYPT.

    Raises:
        HashUnavailable: the scheme needs something that is not installed; the text says what.
        ValueError: an empty password, or one that the scheme cannot hold, or a scheme for old hashes only.
    """
    if not password:
        raise ValueError("the password is empty")
    if "\0" in password:
        # No client could ever send it (RFC 4616), and C libraries would end the password there.
        raise ValueError("the password holds a NUL")
    name = scheme.upper()
    maker = _MAKERS.get(name)
    if maker is not None:
        return f"{{{name}}}{maker(password)}"
    if name == "PLAIN":
        # The form must survive a line of colon-separated fields.
        octets = octets_of(password)
        return f"{{PLAIN}}{password}" if _SIMPLE(password) else f"{{PLAIN.b64}}{b64encode(octets).decode()}"
    return f"{{{name}}}{crypt_hashes.make_hash(name, octets_of(password))}"


def _salted(digest: str) -> Callable[[str], str]:
    def maker(password: str) -> str:
        salt = secrets.token_bytes(16)
        return b64encode(hashlib.new(digest, octets_of(password) + salt).digest() + salt).decode()

    return maker


_MAKERS: dict[str, Callable[[str], str]] = {
    "SCRAM-SHA-256": lambda password: str(scram_records.make_record(password)),
    "SCRAM-SHA-1": lambda password: str(scram_records.make_record(password, "sha1")),
    "SSHA256": _salted("sha256"),
    "SSHA512": _salted("sha512"),
}
