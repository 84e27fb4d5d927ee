"""What can go wrong, told by whose fault it is.

Here live the exceptions and the response codes, and nothing else: this file imports nothing of ours.
The text of an exception is for the log and for the developer; the client hears only the text that
``text_id`` names in `poplin.protocol.texts`, and the response code.

    Error
    ├── SessionError                what a maildrop, an authenticator or a callback may raise; becomes -ERR
    │   ├── Refused                 the request is not allowed (no code, or [AUTH] at login)
    │   ├── AuthenticationFailed    [AUTH]
    │   ├── InUse                   [IN-USE]
    │   ├── LoginTooSoon            [LOGIN-DELAY]
    │   ├── TemporaryFailure        [SYS/TEMP]
    │   │   └── LeaseLost           exclusive access was lost: nothing was removed
    │   ├── PermanentFailure        [SYS/PERM]
    │   │   └── MessageUnreadable   this one message cannot be read; the rest can
    │   └── MessageGone             the message vanished after the scan
    ├── ConfigurationError          the operator's mistake; told before anything listens
    └── ProtocolError               LocalProtocolError (we misused the core), RemoteProtocolError (the peer did)
"""

from __future__ import annotations

__all__ = [
    "AuthenticationFailed",
    "ConfigurationError",
    "Error",
    "InUse",
    "LeaseLost",
    "LocalProtocolError",
    "LoginTooSoon",
    "MessageGone",
    "MessageUnreadable",
    "PermanentFailure",
    "ProtocolError",
    "Refused",
    "RemoteProtocolError",
    "ResponseCode",
    "SessionError",
    "TemporaryFailure",
]


class ResponseCode:
    """The extended response codes that poplin sends (RFC 2449 section 8, RFC 3206, RFC 6856)."""

    NONE = ""
    IN_USE = "IN-USE"
    AUTH = "AUTH"
    SYS_TEMP = "SYS/TEMP"
    SYS_PERM = "SYS/PERM"
    LOGIN_DELAY = "LOGIN-DELAY"
    UTF8 = "UTF8"


class Error(Exception):
    """The root of every exception that poplin raises on purpose."""


class SessionError(Error):
    """A failure that the client is told of by one ``-ERR`` line; the session lives on.

    `text_id` and `fields` choose the client's text from the table of texts; the exception's own text
    (its arguments) goes to the log alone.
    """

    code: str = ResponseCode.NONE
    text_id: str = "failed"

    @property
    def fields(self) -> dict[str, object]:
        """The named fields of the client's text."""
        return {}


class Refused(SessionError):
    """The request is not allowed. At login it is an authentication failure, elsewhere a plain ``-ERR``."""

    text_id = "refused"


class AuthenticationFailed(SessionError):
    """Unknown user or wrong proof; the two are never told apart (RFC 3206: ``[AUTH]``)."""

    code = ResponseCode.AUTH
    text_id = "authentication-failed"


class InUse(SessionError):
    """Another session has the maildrop (RFC 2449 section 8.1.1: ``[IN-USE]``).

    `since` is the age of the other session in seconds, `where` its client's address; both are told to
    the client, whose credentials were right. Either may be unknown (``None`` and ``""``).
    """

    code = ResponseCode.IN_USE

    def __init__(self, since: float | None = None, where: str = "") -> None:
        super().__init__(since, where)
        self.since = since
        self.where = where

    @property
    def text_id(self) -> str:  # type: ignore[override]  # chosen by what is known
        """The text with the age and the address if they are known, else the one without."""
        return "in-use" if self.since is None else "in-use-since"

    @property
    def fields(self) -> dict[str, object]:
        """The age in hours and minutes, minutes and seconds, or seconds; and the address."""
        seconds = int(self.since or 0)
        age = (
            f"{seconds // 3600}h{seconds // 60 % 60:02}m" if seconds >= 3600 else f"{seconds // 60}m{seconds % 60:02}s"
        )
        return {"since": age if seconds >= 60 else f"{seconds}s", "where": self.where or "elsewhere"}


class LoginTooSoon(SessionError):
    """The user's last login is not long enough ago (RFC 2449 section 8.1.2: ``[LOGIN-DELAY]``).

    `seconds` are left to wait; the client, whose credentials were right, is told.
    """

    code = ResponseCode.LOGIN_DELAY
    text_id = "login-delay"

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    @property
    def fields(self) -> dict[str, object]:
        """The seconds that are left."""
        return {"seconds": self.seconds}


class TemporaryFailure(SessionError):
    """Something of ours, or behind us, does not work just now (RFC 3206: ``[SYS/TEMP]``)."""

    code = ResponseCode.SYS_TEMP
    text_id = "temporary-failure"


class LeaseLost(TemporaryFailure):
    """Exclusive access was lost before UPDATE; nothing was removed."""

    text_id = "lease-lost"


class PermanentFailure(SessionError):
    """This will not work until somebody repairs it (RFC 3206: ``[SYS/PERM]``)."""

    code = ResponseCode.SYS_PERM
    text_id = "permanent-failure"


class MessageUnreadable(PermanentFailure):
    """This message cannot be read; the others of the maildrop can."""

    text_id = "message-unreadable"


class MessageGone(SessionError):
    """The message was there at the scan and is not there any more."""

    text_id = "message-gone"


class ConfigurationError(Error):
    """The configuration is wrong. The text is one line, for the operator: where, what, and what to do."""


class ProtocolError(Error):
    """The protocol core was used, or fed, in a way that the protocol does not allow."""


class LocalProtocolError(ProtocolError):
    """We broke the rules of the core: a bug in the caller."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol so that the connection has to end."""
