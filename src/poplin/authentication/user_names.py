"""What a user name may be, and when two names are one user. No user base, no I/O.

A name becomes a lock's key, a line of a log, a field of a file and a part of a path (rule: no user name
reaches any of them unescaped), so a whitelist decides, before anybody is asked for the name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["LOWERCASE", "NameRule", "check_user_name", "normalise"]

LONGEST = 255
"""Octets: what a file name can hold."""

_NOBODYS = 4 * LONGEST
"""Letters; no composition makes a name of more than this short enough."""

_ORDINARY = re.compile(r"[A-Za-z0-9_@+=-][A-Za-z0-9_@+=.-]{0,200}").fullmatch
MODES = ("lowercase", "none")

_REFUSALS: tuple[tuple[Callable[[str], bool], str], ...] = (
    (lambda name: not name, "the name is empty"),
    (lambda name: ":" in name, "the name holds a colon"),
    (lambda name: "/" in name, "the name holds a slash"),
    (lambda name: "\0" in name, "the name holds a NUL"),
    (lambda name: "\n" in name, "the name holds a line end"),
    # Control characters, lone surrogates (octets that are no UTF-8), and what cannot be seen in a log.
    (lambda name: not name.isprintable(), "the name holds a character that cannot be shown"),
    (lambda name: name[0] in ".#", "the name begins with a dot or a hash sign"),
    (lambda name: name != name.strip(), "the name begins or ends with a space"),
    (lambda name: len(name.encode()) > LONGEST, f"the name is longer than {LONGEST} octets"),
)


def check_user_name(name: str) -> str | None:
    """What is wrong with `name` as the name of a user, or ``None``.

    The text does not quote the name: what stands in a name's place may be a misplaced password.
    """
    if _ORDINARY(name):
        return None
    return next((complaint for refuses, complaint in _REFUSALS if refuses(name)), None)


def normalise(name: str, mode: str = "lowercase", default_domain: str = "") -> str:
    """The one spelling of `name` by which this user is known.

    ``"lowercase"`` also composes letters and their accents (Unicode NFC), since clients differ in that;
    ``"none"`` leaves the spelling alone. A name without ``@`` gets `default_domain`, if there is one.
    """
    if len(name) > _NOBODYS:  # NFC takes quadratic time on a row of accents, and nobody is called so
        return name
    if mode == "lowercase":
        if name.isascii():
            name = name.lower()
        else:
            name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    if default_domain and "@" not in name:
        return f"{name}@{default_domain}"
    return name


@dataclass(frozen=True, slots=True)
class NameRule:
    """How an operator wants names compared; see `normalise`."""

    mode: str = "lowercase"
    default_domain: str = ""

    def __post_init__(self) -> None:
        """Refuse a mode that does not exist.

        Raises:
            ValueError: with the modes that do.
        """
        if self.mode not in MODES:
            raise ValueError(f"normalise: {self.mode!r} is not one of {', '.join(MODES)}")

    def __call__(self, name: str) -> str:
        """The one spelling of `name`."""
        return normalise(name, self.mode, self.default_domain)


LOWERCASE = NameRule()
"""The rule where nobody says otherwise."""
