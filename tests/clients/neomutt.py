"""neomutt, fetching into a Maildir. It wants a terminal, so it is given one; the keys are pushed beforehand."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from clients.contract import PATIENCE, Account, Outcome, Tls, unix_lines


class Neomutt:
    name = "neomutt"
    program = "neomutt"
    tls: tuple[Tls, ...] = ("none", "starttls", "implicit")
    refusal = r"Login failed|authentication failed"
    keeps_order = False

    def fetch(self, account: Account, folder: Path, *, delete: bool = False) -> Outcome:
        inbox = folder / "inbox"
        for part in ("tmp", "new", "cur"):
            (inbox / part).mkdir(parents=True, exist_ok=True)
        scheme = "pops" if account.tls == "implicit" else "pop"
        settings = {
            "spoolfile": str(inbox),
            "folder": str(folder),
            "mbox_type": "Maildir",
            "pop_host": f"{scheme}://{account.user}@{account.host}:{account.port}",
            "pop_pass": account.password,
            "pop_authenticators": "apop" if account.apop else "user",
            "ssl_starttls": "yes" if account.tls == "starttls" else "no",
            "ssl_force_tls": "no" if account.tls == "none" else "yes",
            "ssl_ca_certificates_file": str(account.authority),
            "certificate_file": str(account.authority),
            "pop_delete": "yes" if delete else "no",
            "pop_last": "no",
            "quit": "yes",
            "header_cache": "",
            "wait_key": "no",
            "sleep_time": "0",
        }
        configuration = folder / "neomuttrc"
        lines = [f'set {key} = "{value}"' for key, value in settings.items()]
        lines += ['push "<fetch-mail><exit>"']
        configuration.write_text("\n".join(lines) + "\n")
        status, said = _on_a_terminal(["neomutt", "-n", "-F", str(configuration)], folder)
        # The names and times of the files tell no order.
        files = sorted(path.read_bytes() for part in ("new", "cur") for path in (inbox / part).iterdir())
        return Outcome(files, status, said)

    def makes_of(self, wires: Sequence[bytes]) -> list[bytes | None]:
        return [None if _beyond_neomutt(wire) else _made(wire) for wire in wires]


def _beyond_neomutt(wire: bytes) -> bool:
    """It reads a long line in pieces of its buffer of 1 KB, and takes a bare CR that ends a piece for a line's end."""
    return any(len(line) > 1000 and b"\r" in line for line in wire.split(b"\r\n"))


def _made(wire: bytes) -> bytes:
    """A line is a C string to neomutt: what stands behind a NUL on its line is lost."""
    return re.sub(rb"\x00[^\n]*", b"", unix_lines(wire))


def _on_a_terminal(command: Sequence[str], home: Path) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        command, cwd=home, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        said = b""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if not select.select([ours], [], [], 0.2)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                said += os.read(ours, 65536)
            except OSError:  # the other end is closed: the program is gone
                break
        else:
            process.kill()
        os.close(ours)
    return process.returncode, said.decode("utf-8", "replace")
