"""Every bound of a server in one frozen value, with its unit. Imports nothing of ours but `spelling`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from poplin.spelling import spelled_class

__all__ = ["Limits"]


@spelled_class
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a server. Times are in seconds, 0 meaning none where that is allowed.

    `autologout`: silence in TRANSACTION before the connection is closed without a word and without
    removing anything; RFC 1939 section 3 demands at least 600, a shorter one needs
    `allow_short_autologout`. `login_timeout`: from accept to a successful login. `write_timeout`: how
    long a client may leave our output unread. `drain_timeout`: how long a graceful stop waits for
    messages on their way.
    """

    autologout: float = 600
    allow_short_autologout: bool = False
    login_timeout: float = 60
    write_timeout: float = 60
    drain_timeout: float = 30
    connections: int = 10_000
    connections_per_address: int = 200
    connections_per_user: int = 10
    bad_commands: int = 20
    """So many bad commands in a row, and the connection is closed."""
    login_failures: int = 5
    """So many refused logins on one connection, and it is closed."""
    command_octets: int = 2048
    """The longest command line, its end not counted (RFC 2449 section 4 promises clients 255)."""
    sasl_octets: int = 16_384
    """The longest line of a SASL exchange: bearer tokens are long (RFC 5034 section 4 asks for 12288 base64)."""
    output_octets: int = 65_536
    """Replies of pipelined commands are joined up to about this many octets before they are written."""
    inline_octets: int = 262_144
    """Messages up to this size are read and sent in one piece; longer ones stream in pieces of this size."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: the text names the limit and what it may be.
        """
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise ValueError(f"limits.{field.name}: {getattr(self, field.name)} is negative; set 0 or more")
        if self.autologout < 600 and not self.allow_short_autologout:
            raise ValueError(
                f"limits.autologout: {self.autologout:g} is below the 600 s of RFC 1939; "
                "set 600 or more, or allow_short_autologout = true"
            )
        for name in ("autologout", "login_timeout", "write_timeout", "command_octets", "sasl_octets"):
            if not getattr(self, name):
                raise ValueError(f"limits.{name}: 0 is not allowed here; set more than 0")
