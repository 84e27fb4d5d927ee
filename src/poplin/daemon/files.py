"""Files that the daemon writes: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, octets: bytes, mode: int = 0o644) -> None:
    """Put a file of these octets at `path`; a reader sees the old one or the new one, never a part.

    Raises:
        OSError: it cannot be written; the old one is untouched.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(octets)
            os.fchmod(descriptor, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
