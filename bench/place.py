"""Where the benchmark works and on which cores: one frozen value that all its parts share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
DEFAULT = Path(os.environ.get("POPLIN_BENCH") or Path(tempfile.gettempdir(), "poplin-bench"))
MAIL_ID = 1500
"""User and group id that own the Maildirs, where we may give them away: Dovecot serves no mail as root."""


@dataclass(frozen=True, slots=True)
class Place:
    """`work` holds corpus, programs, logs and rows; `source` is the tree whose poplin is measured."""

    work: Path
    source: Path
    pinned: bool

    @property
    def corpus(self) -> Path:
        return self.work / "corpus"

    @property
    def users(self) -> Path:
        return self.work / "users"

    @property
    def popload(self) -> Path:
        return self.work / "popload"

    def on_core(self, core: int, *command: str | Path) -> list[str]:
        """The command, bound to a core where there are two of them: the server has 0, the generator 1."""
        words = [str(word) for word in command]
        return ["taskset", "-c", str(core), *words] if self.pinned else words


def make_place(work: Path, source: Path) -> Place:
    work.mkdir(parents=True, exist_ok=True)
    work.chmod(0o755)
    cores = len(os.sched_getaffinity(0))
    return Place(work.resolve(), source.resolve(), pinned=cores > 1 and shutil.which("taskset") is not None)


def build_popload(place: Place) -> None:
    subprocess.run(["make", "-s", "-C", str(HERE), "popload", f"OUT={place.work}"], check=True, stdout=sys.stderr)
