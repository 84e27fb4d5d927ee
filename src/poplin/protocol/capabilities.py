"""The capability list (RFC 2449) as values: computed from what is really there, never configured.

Which capabilities hold is the session's knowledge (`Facts`); how they are spelt and in which order is here.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

__all__ = ["Capability", "Facts", "capabilities", "capability_body"]


@dataclass(frozen=True, slots=True)
class Capability:
    """One line of CAPA: a tag and its arguments."""

    tag: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.tag, *self.arguments))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is true of this connection now.

    `sasl` are the mechanisms on offer, without USER and APOP; `user` tells whether USER/PASS works; both must
    be the same before and after login (clients compare). `starttls` is true only where STLS would succeed.
    `login_delay` and `expire` are the arguments as they are sent (RFC 2449 sections 6.5 and 6.7), ``""`` for none.
    """

    user: bool
    sasl: tuple[str, ...]
    starttls: bool
    top: bool = True
    uidl: bool = True
    implementation: str = ""
    login_delay: str = ""
    expire: str = ""
    custom: tuple[Capability, ...] = ()


@functools.lru_cache(maxsize=64)
def capability_body(facts: Facts) -> bytes:
    """The lines of CAPA, ready for the wire; made once for each set of facts."""
    return "".join(f"{capability}\r\n" for capability in capabilities(facts)).encode()


def capabilities(facts: Facts) -> list[Capability]:
    """The list in the order it is sent. TOP and UIDL stand in it before and after login: some clients decide
    before they log in (RFC 2449 section 5 allows both states)."""
    found = [Capability(tag) for tag, works in (("TOP", facts.top), ("UIDL", facts.uidl)) if works]
    if facts.user:
        found.append(Capability("USER"))
    if facts.sasl:
        found.append(Capability("SASL", facts.sasl))
    found += [Capability("RESP-CODES"), Capability("AUTH-RESP-CODE"), Capability("PIPELINING")]
    if facts.starttls:
        found.append(Capability("STLS"))
    for tag, argument in (("LOGIN-DELAY", facts.login_delay), ("EXPIRE", facts.expire)):
        if argument:
            found.append(Capability(tag, tuple(argument.split())))
    found += facts.custom
    if facts.implementation:
        found.append(Capability("IMPLEMENTATION", (facts.implementation,)))
    return found
