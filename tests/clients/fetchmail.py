"""fetchmail, handing each message to a small delivery agent that writes it to a numbered file.

With `keep` it asks for messages by TOP with 99999999 lines, else by RETR: both are whole messages.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from clients.contract import Account, Outcome, Tls, numbered_files, outcome, run

AGENT = """n=$(cat {folder}/count 2>/dev/null || echo 0)
n=$((n + 1))
echo $n > {folder}/count
exec cat > {folder}/taken/$n
"""


class Fetchmail:
    name = "fetchmail"
    program = "fetchmail"
    tls: tuple[Tls, ...] = ("none", "starttls", "implicit")
    refusal = r"Authorization failure"
    keeps_order = True

    def fetch(self, account: Account, folder: Path, *, delete: bool = False) -> Outcome:
        taken = folder / "taken"
        taken.mkdir(exist_ok=True)
        before = len(list(taken.iterdir()))
        agent = folder / "agent"
        agent.write_text(AGENT.format(folder=folder))
        tls = {
            "none": "sslproto ''",
            "starttls": f"sslproto 'TLS1.2+' sslcertck sslcertfile '{account.authority}'",
            "implicit": f"ssl sslcertck sslcertfile '{account.authority}'",
        }[account.tls]
        configuration = folder / "fetchmailrc"
        configuration.write_text(
            "set no syslog\nset no bouncemail\nset no spambounce\nset invisible\n"
            f"poll {account.host} service {account.port} protocol {'APOP' if account.apop else 'POP3'} uidl bad-header accept\n"
            f"  user '{account.user}' password '{account.password}' {tls}\n"
            f"  {'no keep' if delete else 'keep'} no rewrite no dropstatus pass8bits no stripcr mda 'sh {agent}'\n"
        )
        configuration.chmod(0o600)
        finished = run(
            ["fetchmail", "--fetchmailrc", str(configuration), "--nodetach"],
            home=folder,
            extra={"FETCHMAILHOME": str(folder), "USER": "bob"},
        )
        return outcome(numbered_files(taken)[before:], finished)

    def makes_of(self, wires: Sequence[bytes]) -> list[bytes | None]:
        return [None if _beyond_fetchmail(wire) else _made(wire) for wire in wires]


def _beyond_fetchmail(wire: bytes) -> bool:
    """Messages without any header get one of fetchmail's own; lines over its buffer of 8 KB it breaks in two."""
    header = wire.removeprefix(_from_line(wire))
    return header.startswith(b"\r\n") or not header or max(map(len, wire.split(b"\r\n"))) > 8000


def _from_line(wire: bytes) -> bytes:
    return wire[: wire.index(b"\r\n") + 2] if wire.startswith(b"From ") else b""


def _made(wire: bytes) -> bytes:
    """A first line of an mbox file ("From ") is dropped; a header that never ends is ended by a blank line."""
    kept = wire.removeprefix(_from_line(wire))
    return kept if re.search(rb"(\A|\r\n)\r\n", kept) else kept + b"\r\n"
