"""poplib of Python's standard library. It hands out lines without their ends, which were CRLF."""

import poplib
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from clients.contract import PATIENCE, Account, Outcome, Tls

# poplib refuses lines over 2048 octets, which real mail has; every program that uses it raises the bound so.
poplib._MAXLINE = 1 << 20  # type: ignore[attr-defined]


class Poplib:
    name = "poplib"
    program = sys.executable
    tls: tuple[Tls, ...] = ("none", "starttls", "implicit")
    refusal = r"\[AUTH\]"
    keeps_order = True

    def fetch(self, account: Account, folder: Path, *, delete: bool = False) -> Outcome:
        context = ssl.create_default_context(cafile=str(account.authority))
        connection: poplib.POP3
        if account.tls == "implicit":
            connection = poplib.POP3_SSL(account.host, account.port, context=context, timeout=PATIENCE)
        else:
            connection = poplib.POP3(account.host, account.port, timeout=PATIENCE)
        messages: list[bytes] = []
        try:
            if account.tls == "starttls":
                connection.stls(context)
            if account.apop:
                connection.apop(account.user, account.password)
            else:
                connection.user(account.user)
                connection.pass_(account.password)
            for number in range(1, connection.stat()[0] + 1):
                messages.append(b"".join(line + b"\r\n" for line in connection.retr(number)[1]))
                if delete:
                    connection.dele(number)
            connection.quit()
        except poplib.error_proto as error:
            connection.close()
            return Outcome(messages, 1, str(error))
        return Outcome(messages, 0, "")

    def makes_of(self, wires: Sequence[bytes]) -> list[bytes | None]:
        return list(wires)
