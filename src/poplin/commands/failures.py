"""How a command fails: one line that says what, where, why and what to do; under ``--json`` one object.

The codes are what a script tells failures apart by, since the exit status is only 1 or 2.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CODES", "Failure", "WrongUsage"]

CODES: Mapping[str, str] = {
    "wrong-usage": "The command, an option or an argument is wrong; exit status 2.",
    "no-configuration": "No configuration was found at any of the usual places.",
    "configuration-invalid": "The configuration has errors; `problems` lists them.",
    "configuration-unreadable": "The configuration, or a file it names, cannot be read.",
    "cannot-listen": "An address cannot be listened on; nothing was started.",
    "exists": "It is there already.",
    "not-found": "It is not there.",
    "not-editable": "The user base cannot be edited by this command.",
    "in-use": "A session is using it now.",
    "cancelled": "It was cancelled; nothing was changed.",
    "not-written": "A file could not be written.",
    "internal": "A mistake of poplin's own.",
}
"""Every code of an error under ``--json``, and what it means."""


class Failure(Exception):
    """The command could not do what was asked: exit status 1.

    `message` says what went wrong, `hint` what to do; both without a full stop. `code` is one of `CODES`.
    `command` is filled in by the command that failed.
    """

    status = 1
    command: str = ""

    def __init__(self, code: str, message: str, hint: str = "", details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details: dict[str, object] = dict(details or {})

    @staticmethod
    def told(code: str, line: str) -> Failure:
        """A failure that is told as one line already: what is wrong; what to do."""
        message, _, hint = line.partition("; ")
        return Failure(code, message, hint)


class WrongUsage(Failure):
    """The command was called wrongly: exit status 2."""

    status = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("wrong-usage", message, hint)
