"""The first start, as ``poplin init`` and ``poplin serve --init`` do and tell it."""

from __future__ import annotations

from pathlib import Path

from poplin.commands.failures import Failure
from poplin.daemon import starter
from poplin.daemon.starter import Start
from poplin.errors import Error

__all__ = ["ACCOUNT", "account_line", "make"]

ACCOUNT = "demo"


def make(configuration: Path, account: str) -> Start:
    """Make everything that a first start needs.

    Raises:
        Failure: a file cannot be written.
    """
    try:
        return starter.start(configuration, account)
    except Error as error:
        raise Failure("not-written", str(error)) from None
    except OSError as error:
        where = error.filename or configuration.parent
        raise Failure("not-written", f"cannot write {where}: {(error.strerror or str(error)).lower()}") from None


def account_line(start: Start) -> str:
    """Name and password, which nothing will show again."""
    return (
        f"account made: {start.account}  password: {start.password}   "
        f"(shown once; change it: poplin user passwd {start.account})"
    )
