"""Unique-ids: what RFC 1939 section 7 allows, and a lasting one for names that it does not allow.

Only pure functions of a name may live here: a unique-id made from the clock, a counter or the message's
octets would change when a maildrop is restored, and clients would fetch everything again.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

__all__ = ["is_unique_id", "lasting_unique_id"]

_HASHED = "sha256-"
_HASHED_OCTETS = len(_HASHED) + 43


def is_unique_id(text: str) -> bool:
    """Whether `text` is a unique-id: 1 to 70 octets of 0x21 to 0x7E (RFC 1939 section 7)."""
    # For ASCII, isprintable() is 0x20 to 0x7E; no pattern is as quick, and scans ask this of every message.
    return 0 < len(text) <= 70 and text.isascii() and text.isprintable() and " " not in text


def lasting_unique_id(native: str | bytes) -> str:
    """The unique-id of a message that its store calls `native`; the same for ever.

    That is `native` itself wherever it is a unique-id. Any other name (empty, longer than 70 octets, with
    spaces, control characters or 8-bit octets) becomes ``sha256-`` and the SHA-256 digest of its octets in
    unpadded URL-safe Base64, 50 octets together; text counts in UTF-8, with surrogate escapes as the octets
    they stand for. A native name of just that form is hashed as well, so that no store can hold two names
    with one unique-id.
    """
    if isinstance(native, str):
        if is_unique_id(native) and not _looks_hashed(native):
            return native
        try:
            octets = native.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half of a surrogate pair, from JSON for instance
            octets = native.encode("utf-8", "surrogatepass")
        return _hashed(octets)
    text = native.decode("latin-1")
    return text if is_unique_id(text) and not _looks_hashed(text) else _hashed(native)


def _looks_hashed(text: str) -> bool:
    return len(text) == _HASHED_OCTETS and text.startswith(_HASHED)


def _hashed(octets: bytes) -> str:
    return _HASHED + urlsafe_b64encode(hashlib.sha256(octets).digest()).decode("ascii").rstrip("=")
