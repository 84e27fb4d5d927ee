"""The daemon's log: one lean handler for the loggers named ``poplin``. The library itself installs none.

A line is written with one system call, so that lines of several processes never mix; nothing is gathered
that the line does not show.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from poplin.identity import CURRENT

__all__ = ["Lines", "install"]

_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


class Lines(logging.Handler):
    """Writes records as ``TIME LEVEL text`` to a descriptor; each line that
    a session caused begins, behind that, with the session's id."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._second = -1
        self._stamp = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what cannot be written is lost, for there is nobody to tell."""
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        text = record.getMessage()
        if not text.isprintable():
            text = _on_one_line(text)
        session = CURRENT.get(None)
        if session is not None and not text.startswith(session.session_id):
            text = f"{session.session_id}: {text}"
        level = _LEVELS.get(record.levelno, "critical")
        line = f"{self._stamp}.{int(record.msecs):03}Z {level} {text}\n"
        if record.exc_info:
            line += self.format_exception(record)
        try:
            os.write(self._descriptor, line.encode(errors="backslashreplace"))
        except OSError:
            self._second = -1

    def format_exception(self, record: logging.LogRecord) -> str:
        """The traceback, each line indented: a line that begins at the margin is a record."""
        text = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        return "".join(f"    {line}\n" for line in text.splitlines())

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record unless a filter drops it; without logging's own lock around it (see `createLock`)."""
        wanted = self.filter(record)
        if wanted:
            self.emit(wanted if isinstance(wanted, logging.LogRecord) else record)
        return bool(wanted)

    def createLock(self) -> None:  # noqa: N802  # logging's name
        """No lock: a line is one write, and the time stamp is made of immutable values."""
        self.lock: threading.RLock | None = None


def _on_one_line(text: str) -> str:
    """A client must not be able to forge a line: what cannot be shown is escaped."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def install(verbosity: int, descriptor: int = 2) -> logging.Handler:
    """Log what the `poplin` loggers say: errors with -1, sessions with 0, every detail from 1 on."""
    # Nothing of these is shown, and finding the caller alone costs as much as the line (logging's own manual).
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks"):
        setattr(logging, name, False)
    logging._srcfile = None
    logger = logging.getLogger("poplin")
    handler = Lines(descriptor)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.ERROR if verbosity < 0 else logging.INFO if verbosity == 0 else logging.DEBUG)
    logging.getLogger("asyncio").handlers[:] = [handler]
    return handler


def descriptor_beside(*taken: int) -> int:
    """Where to log when the client may be on any of the standard descriptors: standard error, unless inetd has
    put the connection there too; then nowhere."""
    here = os.fstat(2)
    if not os.isatty(2) and any(os.path.samestat(here, os.fstat(descriptor)) for descriptor in taken):
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    return 2
