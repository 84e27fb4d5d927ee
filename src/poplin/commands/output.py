"""What the commands print: data on standard output, all else on standard error, colour only where it helps.

Colour never carries meaning alone: the word stands there too.
"""

from __future__ import annotations

import os
import sys
from typing import IO

__all__ = ["Output", "age", "fill_standard_descriptors", "size"]

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}
SCHEMA = 1
"""The first key of every JSON document; keys are only ever added within one number."""


def fill_standard_descriptors() -> None:
    """Put /dev/null where a standard descriptor is closed (``>&-``, as some supervisors start programs).

    Else the next socket takes its number, and what is written for a terminal or a log goes to a client.
    """
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
        if getattr(sys, name) is None:
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115  # for the process's life
            setattr(sys, name, stream)


class Output:
    """The two streams of a command, and how much is wanted on them.

    `verbosity`: -1 only errors, 0 the usual, 1 and above more.
    """

    def __init__(self) -> None:
        self.verbosity = 0
        self.json = False
        self.color = "auto"
        self.debug = False
        self.crash_folder: str | None = None
        """Where the full text of a mistake of our own is kept; the system's folder for temporary files by default."""

    def data(self, text: str) -> None:
        """One line of the result, on standard output."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def document(self, **facts: object) -> None:
        """The result as one JSON document on standard output."""
        import json

        self.data(json.dumps({"schema": SCHEMA, **facts}, ensure_ascii=False, default=str))

    def note(self, text: str) -> None:
        """One line beside the result, on standard error; not with ``--quiet`` nor ``--json``."""
        if self.verbosity >= 0 and not self.json:
            self.error(text)

    def error(self, text: str) -> None:
        """One line on standard error."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def paint(self, text: str, colour: str, *, stream: IO[str]) -> str:
        """`text` in `colour` if that stream shows colours."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.is_coloured(stream) else text

    def is_coloured(self, stream: IO[str]) -> bool:
        """By ``--color``, then FORCE_COLOR, NO_COLOR and TERM, then whether it is a terminal."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return stream.isatty() and os.environ.get("TERM") != "dumb"


def age(seconds: float) -> str:
    """A stretch of time: ``8s``, ``2m10s``, ``2h14m``, ``6d2h``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole // 60 % 60:02}m"
    return f"{whole // 86_400}d{whole // 3600 % 24}h"


def size(octets: float) -> str:
    """Octets for a reader, decimal: ``812 B``, ``11 kB``, ``1.9 MB``, ``212 MB``."""
    if octets < 1000:
        return f"{int(octets)} B"
    for unit in ("kB", "MB", "GB", "TB"):
        octets /= 1000
        if octets < 999.5 or unit == "TB":
            break
    return f"{octets:.1f} {unit}" if octets < 9.95 else f"{octets:.0f} {unit}"
