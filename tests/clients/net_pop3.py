"""Perl's Net::POP3, by a script of its own beside this file.

It hands out lines that end in LF; under TLS, where another class reads the lines, in CRLF as they came.
"""

from collections.abc import Sequence
from pathlib import Path

from clients.contract import Account, Outcome, Tls, numbered_files, outcome, run, unix_lines


class NetPop3:
    name = "Net::POP3"
    program = "perl"
    tls: tuple[Tls, ...] = ("none", "starttls", "implicit")
    refusal = r"^login"
    keeps_order = True

    def fetch(self, account: Account, folder: Path, *, delete: bool = False) -> Outcome:
        taken = folder / "taken"
        taken.mkdir(exist_ok=True)
        for path in taken.iterdir():
            path.unlink()
        script = str(Path(__file__).with_suffix(".pl"))
        arguments = [account.host, str(account.port), account.tls, str(account.authority), account.user]
        arguments += [account.password, str(taken), "1" if delete else "", "1" if account.apop else ""]
        finished = run(["perl", script, *arguments], home=folder)
        messages = numbered_files(taken)
        if account.tls != "none":
            messages = [unix_lines(message) for message in messages]
        return outcome(messages, finished)

    def makes_of(self, wires: Sequence[bytes]) -> list[bytes | None]:
        return [unix_lines(wire) for wire in wires]
