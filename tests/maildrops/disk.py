"""What the tests of maildrops on disk share: a Maildir to deliver into, other users, other processes."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.maildrops import reference_wire
from poplin.maildrops.base import Opener
from poplin.maildrops.maildir import Maildirs

NOBODY = 65534
_NUMBERS = itertools.count(1)


class Mailbox:
    """One user's Maildir, as a delivery agent and an IMAP server see it. It is a `Store` of the contract."""

    user = "alice"

    def __init__(self, root: Path, *, figures: bool = False, part: str = "new") -> None:
        self.root = root
        self.path = root / self.user / "Maildir"
        self._figures = figures
        self._part = part
        for name in ("tmp", "new", "cur"):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def opener(self) -> Opener:
        return self.maildirs()

    def maildirs(self, **options: int) -> Maildirs:
        return Maildirs(f"{self.root}/{{user}}/Maildir", **options)

    def deliver(self, message: bytes) -> None:
        self.put(message)

    def put(self, message: bytes, base: str | bytes | None = None, *, part: str = "", info: str = "") -> Path:
        """Deliver as the book says: into tmp, then into place."""
        if base is None:
            number = next(_NUMBERS)
            base = f"{1_700_000_000 + number}.M{number}P{os.getpid()}.test"
            if self._figures:
                base += f",S={len(message)},W={len(reference_wire(message))}"
        part = part or self._part
        name = os.fsdecode(base) + (info or (":2," if part == "cur" else ""))
        (self.path / "tmp" / "delivery").write_bytes(message)
        place = self.path / part / name
        (self.path / "tmp" / "delivery").rename(place)
        return place

    def vanish(self, unique_id: str) -> None:
        (found,) = [place for place in self.places() if place.name.partition(":")[0] == unique_id]
        found.unlink()

    def places(self) -> list[Path]:
        return [*sorted((self.path / "new").iterdir()), *sorted((self.path / "cur").iterdir())]

    def flag(self, place: Path, info: str) -> Path:
        """Do what an IMAP server does: move on to cur, with these flags."""
        return place.rename(self.path / "cur" / (place.name.partition(":")[0] + info))

    @property
    def index(self) -> Path:
        return self.path / "poplin.index"


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Have no more rights than the user nobody; the tests of rights need it where they run as root."""
    if os.geteuid() != 0:
        yield
        return
    group = os.getegid()
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Have every opening of a file fail, as when all descriptors are in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that other users can reach (that of ``tmp_path`` they cannot)."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def small_disk(octets: int) -> Iterator[Path]:
    """A file system of so many octets; skips where none can be mounted."""
    with tempfile.TemporaryDirectory() as directory:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={octets},mode=755", "poplin-test", directory],
            check=False,
            capture_output=True,
        )
        if mounted.returncode:
            pytest.skip("mounting a small disk needs root")
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", "-l", directory], check=True)


@contextlib.contextmanager
def process(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another Python process; it is killed at the end."""
    child = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def said(child: subprocess.Popen[str]) -> str:
    """The next line that the other process prints."""
    assert child.stdout is not None
    return child.stdout.readline().strip()
