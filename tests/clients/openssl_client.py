"""openssl s_client: a bare TLS pipe. The commands are sent all at once, so this is the pipelining client too."""

import re
from collections.abc import Sequence
from pathlib import Path

from clients.contract import Account, Outcome, Tls, outcome, run


class OpensslClient:
    name = "openssl s_client"
    program = "openssl"
    tls: tuple[Tls, ...] = ("starttls", "implicit")
    refusal = r"-ERR \[AUTH\]"
    keeps_order = True

    def fetch(self, account: Account, folder: Path, *, delete: bool = False) -> Outcome:
        command = ["openssl", "s_client", "-connect", f"{account.host}:{account.port}", "-quiet", "-verify_quiet"]
        command += ["-CAfile", str(account.authority), "-verify_return_error"]
        command += ["-starttls", "pop3"] if account.tls == "starttls" else []
        login = [f"USER {account.user}", f"PASS {account.password}"]
        counted = run(command, home=folder, standard_input=_lines([*login, "STAT", "QUIT"]))
        found = re.search(rb"^\+OK (\d+) \d+\r$", counted.stdout, re.MULTILINE)
        if not found:
            return outcome([], counted)
        numbers = range(1, int(found[1]) + 1)
        asked = [f"RETR {number}" for number in numbers]
        asked += [f"DELE {number}" for number in numbers] if delete else []
        finished = run(command, home=folder, standard_input=_lines([*login, *asked, "QUIT"]))
        start, before = finished.stdout.index(b"+OK"), 3  # the greeting and the answers to USER and PASS
        if account.tls == "starttls":
            # s_client shows the greeting too, but as many octets of it as the answer to STLS had.
            start, before = finished.stdout.index(b"+OK", start + 3), 2
        return outcome(_bodies(finished.stdout[start:], before, len(numbers)), finished)

    def makes_of(self, wires: Sequence[bytes]) -> list[bytes | None]:
        return list(wires)


def _lines(commands: Sequence[str]) -> bytes:
    return "".join(f"{command}\r\n" for command in commands).encode()


def _bodies(output: bytes, before: int, count: int) -> list[bytes]:
    """The bodies of the `count` answers to RETR that follow `before` answers of one line."""
    start = 0
    for _ in range(before):
        start = output.index(b"\r\n", start) + 2
    bodies = []
    for _ in range(count):
        start = output.index(b"\r\n", start) + 2
        end = start if output.startswith(b".\r\n", start) else output.index(b"\r\n.\r\n", start) + 2
        bodies.append(re.sub(rb"(?:(?<=\r\n)|\A)\.", b"", output[start:end]))
        start = end + 3
    return bodies
