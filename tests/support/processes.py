"""Servers in processes of their own: to be measured, sent signals, and killed.

Run as a program (``python -m support.processes NAME …``) this file is such a server, by one of its `SERVERS`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import poplin
from poplin.authentication.base import Credentials
from poplin.content import Content, FileRegion, Form
from poplin.identity import ClientFacts
from poplin.maildrops.base import Ending, Entry, OpenRequest, Removal, Scan
from support.programs import ROOT
from support.wire import PATIENCE, until

PAGE = os.sysconf("SC_PAGE_SIZE")


class ServerProcess:
    """A server that was started by `running`. `port` is its first listener's."""

    def __init__(self, process: subprocess.Popen[str], addresses: list[str]) -> None:
        self.process = process
        self.addresses = addresses

    @property
    def port(self) -> int:
        return int(self.addresses[0].rpartition(":")[2])

    def memory(self) -> int:
        """The octets of memory it keeps now."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE

    def seconds(self) -> float:
        """The processor time it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, when it has ended."""
        return self.process.wait(PATIENCE)

    def wait_for_connections(self, count: int, before: int) -> None:
        """Until it has taken in so many connections more than when it had `before` descriptors."""
        until(lambda: self.descriptors() >= before + count, f"{count} connections were accepted")


@contextlib.contextmanager
def running(name: str, *arguments: str | Path, listeners: int = 1, loop: str = "") -> Iterator[ServerProcess]:
    """A server process by its name in `SERVERS`; killed at the end if it still runs."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"}
    if loop:
        environment["POPLIN_LOOP"] = loop
    with subprocess.Popen(
        [sys.executable, "-m", "support.processes", name, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(listeners)]
            assert all(line.startswith("listening on ") for line in lines), (lines, process.communicate(timeout=5))
            yield ServerProcess(process, [line.split()[-1] for line in lines])
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


class EveryoneIn:
    """An authenticator that lets everyone in."""

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> poplin.Identity:
        return poplin.Identity(credentials.user)


class Files:
    """An opener: every user has the same files as messages, streamed from the disk; nothing is removed."""

    def __init__(self, files: list[str]) -> None:
        self.files = files

    def open(self, request: OpenRequest, /) -> Files:
        return self

    def scan(self) -> Scan:
        return Scan(
            [os.path.basename(file) for file in self.files], [os.stat(f).st_size for f in self.files], self.files
        )

    def retrieve(self, entry: Entry, /) -> Content:
        descriptor = os.open(str(entry.key), os.O_RDONLY)
        octets = os.fstat(descriptor).st_size
        return Content(FileRegion(descriptor, 0, octets), Form.CRLF | Form.UNDOTTED, octets)

    def remove(self, entries: object, /) -> Removal:
        raise poplin.TemporaryFailure("these files are for reading")

    def close(self, ending: Ending, /) -> None:
        """Nothing is held."""


def big_message(octets: int, number: int = 1) -> bytes:
    """A message in wire form of about so many octets, each line another."""
    lines = [b"%06d-%08d and so on until the end of the line of text\r\n" % (number, n) for n in range(octets // 60)]
    return b"Subject: big\r\n\r\n" + b"".join(lines)


def _many(count: str, octets: str) -> poplin.Server:
    store = [big_message(int(octets), number) for number in range(int(count))]
    return poplin.Server(
        poplin.Callbacks(
            authenticate=lambda user, password, client: True,
            list=lambda user: [f"m{number}" for number in range(len(store))],
            retrieve=lambda user, name: store[int(name[1:])],
        ),
        host="127.0.0.1",
        port=0,
        limits=poplin.Limits(connections_per_address=0, connections_per_user=0, login_timeout=600),
    )


def _files(*files: str) -> poplin.Server:
    return poplin.Server(maildrops=Files(list(files)), authenticator=EveryoneIn(), host="127.0.0.1", port=0)


def _idle(certificate: str = "", key: str = "", mode: str = "none") -> poplin.Server:
    limits = poplin.Limits(connections_per_address=0, connections_per_user=0, login_timeout=600)
    listener = poplin.Listener(address="127.0.0.1:0")
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        listener = poplin.Listener(
            address="127.0.0.1:0", context=context, tls="starttls" if mode == "starttls" else "implicit"
        )
    return poplin.Server(maildrops=Files([]), authenticator=EveryoneIn(), listeners=[listener], limits=limits)


def _both() -> poplin.Server:
    return poplin.Server(maildrops=Files([]), authenticator=EveryoneIn(), port=0)


def _maildir(path: str) -> poplin.Server:
    from poplin.maildrops.maildir import Maildirs

    return poplin.Server(maildrops=Maildirs(path), authenticator=EveryoneIn(), host="127.0.0.1", port=0)


SERVERS: dict[str, Callable[..., poplin.Server]] = {
    "both": _both,
    "files": _files,
    "idle": _idle,
    "maildir": _maildir,
    "many": _many,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](*sys.argv[2:]).run()
