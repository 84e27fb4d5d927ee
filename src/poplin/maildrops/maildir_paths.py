"""From an identity to the path of its Maildir. The only place where a user's name becomes a path."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from poplin.errors import PermanentFailure, Refused
from poplin.identity import Identity

__all__ = ["FIELDS", "path_from"]

FIELDS = ("user", "local", "domain", "home")
"""What may stand in braces in a path's template."""


def path_from(template: str) -> Callable[[Identity], str]:
    """A function that gives the path of an identity's Maildir by `template`.

    ``{user}`` is the whole name, ``{local}`` and ``{domain}`` are what is before and behind its last ``@``,
    and ``{home}`` is the user base's attribute of that name. A relative template counts from the directory
    that is current now. The function raises `Refused` for a name that must not reach a path, and
    `PermanentFailure` where the home directory is unknown or not absolute.

    Raises:
        ValueError: the template has an unknown field, a stray brace, or nothing in it.
    """
    pieces = re.split(r"\{([a-z]+)\}", template)
    texts, fields = pieces[::2], pieces[1::2]
    for field in fields:
        if field not in FIELDS:
            raise ValueError(
                f"path {template!r}: {{{field}}} is unknown; known are {{user}} {{local}} {{domain}} {{home}}"
            )
    if not template or any("{" in text or "}" in text or "\0" in text for text in texts):
        raise ValueError(
            f"path {template!r}: write fields as {{user}} {{local}} {{domain}} {{home}}, and no other brace"
        )
    if fields[:1] != ["home"] or texts[0]:
        texts[0] = os.path.join(os.getcwd(), texts[0])

    def path(identity: Identity) -> str:
        result = texts[0]
        for field, text in zip(fields, texts[1:], strict=True):
            result += _value(field, identity) + text
        return result

    return path


def _value(field: str, identity: Identity) -> str:
    if field == "home":
        home = identity.attributes.get("home", "")
        if not home.startswith("/") or "\0" in home:
            raise PermanentFailure(f"user {identity.user!r} has no absolute home directory, which the path asks for")
        return home
    name = identity.user
    if field != "user":
        local, at, domain = name.rpartition("@")
        name = domain if field == "domain" else (local if at else name)
        if field == "domain" and not at:
            name = ""
    if not _is_safe(name):
        raise Refused(f"the name {identity.user!r} must not reach a path (its {field})")
    return name


def _is_safe(name: str) -> bool:
    """Whether `name` may be one component of a path, and is one that reads as it looks."""
    return (
        name.isprintable()  # no control character, no surrogate escape, no direction mark
        and "/" not in name
        and not name.startswith(".")
        and 0 < len(name if name.isascii() else name.encode()) <= 255
    )
