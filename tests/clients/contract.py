"""What every real client here is: something that logs in, takes messages, and says what it makes of octets."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

Tls: TypeAlias = Literal["none", "starttls", "implicit"]
PATIENCE = 100
"""Seconds that one run of a client may take: far more than it needs, less than the test's own bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where a client goes, and who it is there. `authority` is the file of the certificate it trusts."""

    port: int
    tls: Tls
    authority: Path
    user: str = "bob"
    password: str = "secret word"
    host: str = "localhost"
    apop: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of a client came to: the messages that it stored, in order, and what it said."""

    messages: list[bytes]
    status: int
    said: str


class Client(Protocol):
    """A client. One object may be run several times and remembers between the runs what the program remembers."""

    name: str
    program: str
    tls: tuple[Tls, ...]
    refusal: str
    """A pattern: what it says when the password is refused, and only then."""
    keeps_order: bool

    def fetch(self, account: Account, folder: Path, *, delete: bool = False) -> Outcome:
        """Log in, take every message (those seen in an earlier run in `folder` not again, where the program can
        tell), remove them if asked to, and leave by QUIT."""
        ...

    def makes_of(self, wires: Sequence[bytes]) -> list[bytes | None]:
        """What this client, by its nature, stores of messages whose octets are `wires`; each alteration is named
        in its file. ``None`` for a message that it cannot store recognisably whoever serves it."""
        ...


def run(
    command: Sequence[str], *, home: Path, standard_input: bytes = b"", extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a client with a home of its own, so that no file of the machine's user plays a part."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **(extra or {})}
    return subprocess.run(
        command,
        cwd=home,
        env=environment,
        input=standard_input,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )


def outcome(messages: list[bytes], finished: subprocess.CompletedProcess[bytes]) -> Outcome:
    return Outcome(messages, finished.returncode, finished.stdout.decode("utf-8", "replace"))


def numbered_files(folder: Path) -> list[bytes]:
    """The files of `folder`, whose names are numbers, in the order of the numbers."""
    return [path.read_bytes() for path in sorted(folder.iterdir(), key=lambda path: int(path.name))]


def unix_lines(wire: bytes) -> bytes:
    """CRLF as LF: what a program stores that keeps mail in the manner of UNIX files."""
    return wire.replace(b"\r\n", b"\n")
