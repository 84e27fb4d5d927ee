"""What the value of a single key may be: listed choices, forms of text, and complaints in words.

Each complaint is the rest of a sentence after the key's path. Nothing here looks at two keys at once
(`rules` does) nor at the world outside the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from ipaddress import ip_address
from typing import cast

from poplin.limits import Limits
from poplin.maildrops.maildir_paths import path_from

__all__ = [
    "BACKEND_TYPES",
    "Choice",
    "DELETE_POLICIES",
    "LOCK_POLICIES",
    "LOCK_WORDS",
    "MAILDROP_TYPES",
    "MECHANISMS",
    "UNIQUE_IDS",
    "describe",
    "limit_facts",
]


@dataclass(frozen=True, slots=True)
class Choice:
    """A text that a key may be. `form` is shown; a `pattern` stands for many texts. `built`: available today."""

    form: str
    built: bool = True
    pattern: str = ""

    def fits(self, value: object) -> bool:
        """Whether `value` is this choice."""
        if not isinstance(value, str):
            return False
        return re.fullmatch(self.pattern, value) is not None if self.pattern else value == self.form


_DOTTED = r"python:[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"
_SECONDS = r"\d+(\.\d+)?"

MECHANISMS = (
    Choice("USER"),
    Choice("APOP"),
    Choice("PLAIN"),
    Choice("LOGIN"),
    *(
        Choice(name, built=False)
        for name in (
            "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER",
            "XOAUTH2", "EXTERNAL", "GSSAPI",
        )
    ),
)  # fmt: skip
BACKEND_TYPES = (
    Choice("password-file"),
    *(Choice(name, built=False) for name in ("pam", "system", "sql", "ldap", "http", "oauth2")),
    Choice("python:module.function", pattern=_DOTTED),
)
MAILDROP_TYPES = (
    Choice("maildir"),
    Choice("memory"),
    *(Choice(name, built=False) for name in ("mbox", "sql", "pop3", "imap", "feed", "web")),
    Choice("python:module.Class", pattern=_DOTTED),
)
DELETE_POLICIES = (
    Choice("destroy"),
    Choice("hide", built=False),
    Choice("move:FOLDER", built=False, pattern=r"move:.+"),
    Choice("keep-days:NUMBER", built=False, pattern=r"keep-days:\d+"),
)
LOCK_POLICIES = (
    Choice("refuse"),
    Choice("snapshot"),
    Choice("wait:SECONDS", built=False, pattern=f"wait:{_SECONDS}"),
    Choice("take-over:SECONDS", built=False, pattern=f"take-over:{_SECONDS}"),
)
LOCK_WORDS = (Choice("refuse"), Choice("snapshot"), Choice("wait", built=False), Choice("take-over", built=False))
UNIQUE_IDS = (
    Choice("auto"),
    *(Choice(name, built=False) for name in ("dovecot", "courier", "cyrus", "qmail", "uw")),
    Choice("a format with %", built=False, pattern=r".*%.*"),
)

_LIMITS = {
    "autologout": "Seconds of silence after login before the connection closes (RFC 1939 section 3: 600 or more).",
    "allow_short_autologout": "Allow an autologout below the 600 seconds of RFC 1939.",
    "login_timeout": "Seconds from the connection to a successful login.",
    "write_timeout": "Seconds that a client may leave our answers unread.",
    "drain_timeout": "Seconds that a stop waits for messages on their way.",
    "connections": "Connections at once, in all.",
    "connections_per_address": "Connections at once from one address.",
    "connections_per_user": "Connections at once of one user.",
    "bad_commands": "Bad commands in a row before the connection closes.",
    "login_failures": "Refused logins on one connection before it closes.",
    "command_octets": "The longest command line, in octets without its end (RFC 2449 section 4).",
    "sasl_octets": "The longest line of a SASL exchange, in octets (RFC 5034 section 4).",
    "output_octets": "Answers to pipelined commands are joined up to about this many octets.",
    "inline_octets": "Messages up to this size are read and sent in one piece.",
}


def limit_facts() -> Iterator[tuple[str, object, str, str]]:
    """Of each limit: its name, default, kind and text.

    Raises:
        KeyError: a limit has no text yet; write it above.
    """
    for field in fields(Limits):
        kind = {"bool": "true or false", "int": "whole number", "float": "number"}[str(field.type)]
        yield field.name, field.default, kind, _LIMITS[field.name]


def limit_complaint(name: str) -> Callable[[object], str | None]:
    """What `Limits` itself says of a value, each limit on its own; autologout's is a matter of two keys."""

    def complain(value: object) -> str | None:
        try:
            Limits(**cast("dict[str, float]", {name: value, "allow_short_autologout": True}))  # type: ignore[arg-type]
        except ValueError as error:
            return str(error).partition(": ")[2]
        return None

    return complain


def describe(value: object) -> str:
    """A value as a reader would call it: ``the text "two"``, ``the number 1.5``, ``a list``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:39] + "…"
        return f'the text "{shown}"'
    if isinstance(value, int):
        return f"the whole number {value}"
    if isinstance(value, float):
        return f"the number {value:g}"
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else "a date or time"


def version_complaint(value: object) -> str | None:
    return None if value == 1 else f"{value} is not a version that this poplin knows; write version = 1"


def not_negative(value: object) -> str | None:
    """For seconds and the like."""
    return f"{value} is negative; set 0 or more" if isinstance(value, int | float) and value < 0 else None


def worker_complaint(value: object) -> str | None:
    return f"{value} is negative; set 0 (one per core) or more" if isinstance(value, int) and value < 0 else None


def reply_complaint(value: object) -> str | None:
    """A reply line has at most 512 octets, its end and ``+OK `` included (RFC 1939 section 3); the APOP
    timestamp has to fit as well."""
    text = str(value)
    if not text.isascii() or not text.isprintable():
        return "only printable ASCII can be said here (RFC 1939 section 3)"
    if "<" in text or ">" in text:
        return 'no "<" or ">": clients take that for an APOP timestamp (RFC 1939 section 7)'
    return f"{len(text)} characters are too many; at most 200" if len(text) > 200 else None


def hostname_complaint(value: object) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", str(value)):
        return None
    return f'"{value}" is no host name; write something like "pop.example.org"'


def domain_complaint(value: object) -> str | None:
    if not value or re.fullmatch(r"[^\s@/\x00-\x1f]{1,253}", str(value)):
        return None
    return f'"{value}" is no domain; write something like "example.org"'


def template_complaint(value: object) -> str | None:
    """A path with fields in braces."""
    text = str(value)
    try:
        path_from(text)
    except ValueError as error:
        return str(error).rpartition(": ")[2]
    if not any(field in text for field in ("{user}", "{local}", "{home}")):
        return "every user would get the same maildrop; put {user}, {local} or {home} into it"
    return None


def address_complaint(value: object) -> str | None:
    """``ADDRESS:PORT``, ``[IPv6]:PORT``, ``unix:PATH`` or ``systemd``."""
    text = str(value)
    wanted = 'write "127.0.0.1:1110", "[::1]:1110" or "unix:run/pop3.sock"'
    if text == "systemd":
        return None
    if text.startswith("unix:"):
        return None if len(text) > 5 and "\0" not in text else f'"{text}" names no socket; {wanted}'
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65_535:
        return f'"{text}" has no port from 0 to 65535 at its end; {wanted}'
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address(bare)
    except ValueError:
        every = {"": "0.0.0.0", "*": "0.0.0.0", "localhost": "127.0.0.1"}.get(host)  # noqa: S104  # named, not bound
        return f'"{host}" is no address; write "{every}:{port}"' if every else f'"{host}" is no address; {wanted}'
    if address.version == 6 and bare == host:
        return f'an IPv6 address stands in brackets: "[{host}]:{port}"'
    return None


def address_unbuilt(value: object) -> str | None:
    """Socket activation comes later."""
    return "give an address or unix:PATH" if value == "systemd" else None
