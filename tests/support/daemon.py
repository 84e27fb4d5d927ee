"""The real command, ``poplin serve``, over a Maildir, as a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.programs import ROOT
from support.serving import Certificate

CONFIGURATION = """version = 1
[server]
hostname = "localhost"
[[listener]]
address = "127.0.0.1:0"
tls = "none"
[[listener]]
address = "127.0.0.1:0"
tls = "starttls"
[[listener]]
address = "127.0.0.1:0"
tls = "implicit"
[tls]
certificate = "{certificate}/certificate.pem"
key = "{certificate}/key.pem"
[authentication]
failure_delay = 0
[[authentication.backend]]
type = "password-file"
path = "users"
[maildrop]
type = "maildir"
path = "mail/{{user}}/Maildir"
"""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon: its process, its folder, and its port for each way in."""

    process: subprocess.Popen[str]
    folder: Path
    ports: dict[str, int]

    def maildir(self, user: str) -> Path:
        return self.folder / "mail" / user / "Maildir"

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8")


@contextlib.contextmanager
def daemon(folder: Path, certificate: Certificate, users: dict[str, str]) -> Iterator[Daemon]:
    """``poplin serve`` for `users` (name to password) in `folder`; ended by SIGTERM, which must end it in peace."""
    (folder / "poplin.toml").write_text(CONFIGURATION.format(certificate=certificate.folder), "utf-8")
    (folder / "users").write_text("".join(f"{name}:{{PLAIN}}{password}\n" for name, password in users.items()))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "poplin", "serve", "--config", str(folder / "poplin.toml")],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    with process, process.stdout:
        try:
            ports = {}
            for way in ("none", "starttls", "implicit"):
                line = process.stdout.readline()
                assert line.startswith("listening on 127.0.0.1:"), (folder / "log").read_text("utf-8")
                ports[way] = int(line.rpartition(":")[2])
            yield Daemon(process, folder, ports)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    assert process.returncode == 0, (folder / "log").read_text("utf-8")
