"""Every text that the server says, in one table: id → text with named fields.

The texts of LANG (RFC 6856 section 3) will be further tables with the same ids. A text is what follows ``+OK``
or ``-ERR`` and the response code; it has no line end and fits RFC 2449's 512 octets for any field we put in.
Texts of our exceptions are not here and never reach a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["ENGLISH", "say"]

ENGLISH: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Greeting and farewells
        "greeting": "{greeting}",
        "goodbye": "{goodbye}",
        "stopping": "server shutting down, try again later",
        "kicked": "session ended by the administrator",
        "lease-taken": "session ended: {reason}",
        "too-many-bad-commands": "too many bad commands",
        "too-many-failures": "too many failed logins",
        "too-many-connections": "too many connections, try again later",
        # AUTHORIZATION
        "user": "send your password",
        "logged-in": "{count} messages ({octets} octets)",
        "logged-in-unmeasured": "{count} messages",
        "user-first": "send USER first",
        "authentication-failed": "authentication failed",
        "cleartext-refused": "a password in clear is not accepted here; use TLS (STLS, or the TLS port)",
        "mechanism-unknown": "this mechanism is not offered here",
        "sasl-malformed": "the response is not valid for this mechanism",
        "sasl-base64": "the response is not base64",
        "sasl-cancelled": "authentication cancelled",
        "sasl-list": "mechanisms follow",
        "stls": "begin TLS now",
        "stls-active": "TLS is active already",
        "stls-unavailable": "TLS is not available here",
        "capa": "capabilities follow",
        # TRANSACTION
        "retr": "{octets} octets",
        "retr-unmeasured": "message follows",
        "top": "top of message follows",
        "list": "{count} messages ({octets} octets)",
        "uidl": "unique-ids follow",
        "dele": "message {number} marked for removal",
        "rset": "{count} messages ({octets} octets)",
        "rset-unmeasured": "{count} messages",
        "no-such-message": "no such message, only {count} in the maildrop",
        "no-message-at-all": "no such message, the maildrop is empty",
        "message-marked": "message {number} is marked for removal",
        "message-gone": "the message is not there any more",
        "message-unreadable": "the message cannot be read",
        # UPDATE
        "not-removed": "{failed} of {marked} messages not removed",
        "nothing-removed": "{marked} of {marked} messages not removed",
        "lease-lost": "exclusive access was lost, nothing was removed",
        # Bad input
        "unknown-command": "unknown command",
        "wrong-state-before": "log in first",
        "wrong-state-after": "not allowed after login",
        "empty-line": "empty command line",
        "line-too-long": "command line too long",
        "arguments-missing": "arguments missing",
        "arguments-unexpected": "this command takes no such argument",
        "number-missing": "message-number missing",
        "number-zero": "message-numbers begin at 1",
        "number-negative": "a message-number cannot be negative",
        "number-invalid": "not a message-number",
        "number-too-large": "message-number too large",
        "number-trailing": "text after the message-number",
        "lines-missing": "number of lines missing",
        "lines-negative": "the number of lines cannot be negative",
        "lines-invalid": "not a number of lines",
        "lines-trailing": "text after the number of lines",
        # Failures
        "failed": "failed",
        "refused": "refused",
        "in-use": "the maildrop is in use by another session",
        "in-use-since": "the maildrop is in use since {since} from {where}",
        "login-delay": "logged in too recently; the next login is possible in {seconds} seconds",
        "temporary-failure": "temporary failure, try again later",
        "permanent-failure": "this cannot be done; ask the administrator",
        "swallowed": "not done",
        "unimplemented": "command unimplemented",
    }
)


def say(text_id: str, fields: Mapping[str, object] | None = None, texts: Mapping[str, str] = ENGLISH) -> str:
    """The text of `text_id` with `fields` filled in; a line end inside a field becomes a blank.

    Raises:
        KeyError: no such text, or a field is missing: a bug of the caller.
    """
    text = texts[text_id]
    if not fields:
        return text
    text = text.format_map(fields)
    if "\n" in text or "\r" in text:
        text = " ".join(text.split())
    return text
