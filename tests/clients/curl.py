"""curl: one process and one connection for all messages; its output is the message, octet for octet."""

from collections.abc import Sequence
from pathlib import Path

from clients.contract import Account, Outcome, Tls, numbered_files, outcome, run


class Curl:
    name = "curl"
    program = "curl"
    tls: tuple[Tls, ...] = ("none", "starttls", "implicit")
    refusal = r"(67)|Access denied"
    keeps_order = True

    def fetch(self, account: Account, folder: Path, *, delete: bool = False) -> Outcome:
        scheme = "pop3s" if account.tls == "implicit" else "pop3"
        base = f"{scheme}://{account.host}:{account.port}"
        # Left to itself curl takes APOP whenever the greeting has a timestamp, and then the strongest SASL mechanism.
        options = ["--login-options", "AUTH=+APOP"] if account.apop else []
        options += ["--silent", "--show-error", "--cacert", str(account.authority), "--user"]
        options += [f"{account.user}:{account.password}"]
        if account.tls == "starttls":
            options += ["--ssl-reqd"]
        listed = run(["curl", *options, base], home=folder)
        count = len(listed.stdout.splitlines())
        if listed.returncode or not count:
            return outcome([], listed)
        taken = folder / "taken"
        taken.mkdir()
        finished = run(["curl", *options, f"{base}/[1-{count}]", "--output", f"{taken}/#1"], home=folder)
        if delete:
            finished = run(["curl", *options, "--request", "DELE", "--list-only", f"{base}/[1-{count}]"], home=folder)
        return outcome(numbered_files(taken), finished)

    def makes_of(self, wires: Sequence[bytes]) -> list[bytes | None]:
        # Of an empty message curl writes the line end that stands before the terminating dot.
        return [wire or b"\r\n" for wire in wires]
