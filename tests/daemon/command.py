"""The real command, ``poplin``, in a process of its own: run to its end, or serving until told to stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.programs import ROOT

PATIENCE = 60
MEMORY = """\
version = 1
[[authentication.backend]]
type = "password-file"
path = "users"
[authentication]
failure_delay = 0
[maildrop]
type = "memory"
"""
"""A configuration that needs nothing but a password file."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended: exit status and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    @property
    def error(self) -> dict[str, Any]:
        assert self.err.count("\n") == 1, self.err
        return dict(json.loads(self.err)["error"])


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("POPLIN_CONFIG", "NO_COLOR"))}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), **changes}


def poplin(
    *words: str, folder: Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> Done:
    """Run ``poplin`` to its end, without a terminal; by the command `before`, if there is one."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "poplin", *words],
        cwd=folder,
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
        env=environment(**(env or {})),
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers."""

    process: subprocess.Popen[bytes]
    addresses: list[str]
    folder: Path

    @property
    def port(self) -> int:
        return int(self.addresses[0].rpartition(":")[2])

    def stop(self, number: signal.Signals = signal.SIGINT) -> Done:
        """Send a signal, and wait for the end."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> Done:
        out, _ = self.process.communicate(timeout=PATIENCE)
        listening = "".join(f"listening on {address}\n" for address in self.addresses)
        return Done(self.process.returncode, listening + out.decode(), (self.folder / "serve.err").read_text("utf-8"))


@contextlib.contextmanager
def serving(*words: str, folder: Path, listeners: int = 1) -> Iterator[Serving]:
    """``poplin serve`` in `folder`, from the moment on when all its listeners answer."""
    with (
        (folder / "serve.err").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "poplin", "serve", *words],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().decode() for _ in range(listeners)]
            assert all(line.startswith("listening on ") for line in lines), (folder / "serve.err").read_text("utf-8")
            yield Serving(process, [line.split()[-1] for line in lines], folder)
        finally:
            if process.poll() is None:
                process.kill()


def write_memory(folder: Path, users: str = "demo:{PLAIN}secret\n", more: str = "") -> None:
    """A folder with a configuration whose maildrops are in memory."""
    (folder / "poplin.toml").write_text(MEMORY + more, "utf-8")
    (folder / "users").write_text(users, "utf-8")
