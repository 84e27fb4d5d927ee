"""The arithmetic of APOP (RFC 1939 section 7)."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["apop_matches"]


def apop_matches(digest: str, timestamp: str, secret: str | bytes | None) -> bool:
    """Whether `digest` is the MD5 of `timestamp`, angle brackets included, and `secret`; in constant time.

    No secret (``None``) matches nothing, and costs the same.
    """
    octets = secret.encode(errors="surrogateescape") if isinstance(secret, str) else secret or b""
    made = hashlib.md5(timestamp.encode() + octets, usedforsecurity=False).hexdigest()
    fits = hmac.compare_digest(made.encode(), digest.encode(errors="replace"))
    return fits and bool(octets)
