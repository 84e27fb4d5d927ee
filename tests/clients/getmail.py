"""getmail6, delivering to a small program that writes numbered files.

getmail parses each message and writes it anew, so what is compared is its own routine run on the true octets.
It speaks no STLS.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from clients.contract import PATIENCE, Account, Outcome, Tls, numbered_files, outcome, run
from support.programs import require

# Reads messages as a JSON list of Latin-1 texts, writes back what getmail would deliver of each.
REWRITE = """
import json, sys
from getmailcore.message import Message
made = []
for wire in json.load(sys.stdin):
    lines = wire.encode("latin-1").split(b"\\r\\n")
    made.append(Message(fromlines=lines).flatten(False, False).decode("latin-1"))
json.dump(made, sys.stdout)
"""
AGENT = """#!/bin/sh
n=$(cat {folder}/count 2>/dev/null || echo 0)
n=$((n + 1))
echo $n > {folder}/count
exec cat > {folder}/taken/$n
"""


class Getmail:
    name = "getmail"
    program = "getmail"
    tls: tuple[Tls, ...] = ("none", "implicit")
    refusal = r"AUTH"
    keeps_order = True

    def fetch(self, account: Account, folder: Path, *, delete: bool = False) -> Outcome:
        taken = folder / "taken"
        taken.mkdir(exist_ok=True)
        before = len(list(taken.iterdir()))
        agent = folder / "agent"
        agent.write_text(AGENT.format(folder=folder))
        agent.chmod(0o700)
        kind = "SimplePOP3SSLRetriever" if account.tls == "implicit" else "SimplePOP3Retriever"
        (folder / "getmailrc").write_text(
            f"[retriever]\ntype = {kind}\nserver = {account.host}\nport = {account.port}\n"
            f"username = {account.user}\npassword = {account.password}\nuse_apop = {account.apop}\n"
            + (f"ca_certs = {account.authority}\n" if account.tls == "implicit" else "")
            + f"[destination]\ntype = MDA_external\npath = {agent}\nallow_root_commands = True\n"
            f"[options]\ndelete = {delete}\nread_all = False\ndelivered_to = False\nreceived = False\nverbose = 1\n"
        )
        finished = run(["getmail", "--getmaildir", str(folder), "--rcfile", "getmailrc"], home=folder)
        return outcome(numbered_files(taken)[before:], finished)

    def makes_of(self, wires: Sequence[bytes]) -> list[bytes | None]:
        texts = [wire.decode("latin-1") for wire in wires]
        # The interpreter that getmail itself runs on has its modules.
        interpreter = Path(require(self.program)).read_text("utf-8").splitlines()[0].removeprefix("#!").split()
        made = subprocess.run(
            [*interpreter, "-c", REWRITE],
            input=json.dumps(texts).encode(),
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            check=True,
        )
        return [text.encode("latin-1") for text in json.loads(made.stdout)]
