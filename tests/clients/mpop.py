"""mpop, delivering in the form of a pickup directory: the one form in which it keeps CRLF."""

from collections.abc import Sequence
from pathlib import Path

from clients.contract import Account, Outcome, Tls, outcome, run


class Mpop:
    name = "mpop"
    program = "mpop"
    tls: tuple[Tls, ...] = ("none", "starttls", "implicit")
    refusal = r"authentication failed"
    keeps_order = True

    def fetch(self, account: Account, folder: Path, *, delete: bool = False) -> Outcome:
        taken = folder / "taken"
        taken.mkdir(exist_ok=True)
        before = set(taken.iterdir())
        secret = folder / "secret"
        secret.write_text(account.password)
        settings = {
            "host": account.host,
            "port": account.port,
            "user": account.user,
            "passwordeval": f"cat {secret}",
            "auth": "apop" if account.apop else "user",
            "tls": "off" if account.tls == "none" else "on",
            "tls_starttls": "on" if account.tls == "starttls" else "off",
            "tls_trust_file": account.authority,
            "delivery": f"exchange {taken}",
            "uidls_file": folder / "uidls",
            "keep": "off" if delete else "on",
            "received_header": "off",
        }
        if account.tls == "none":
            del settings["tls_trust_file"]
        configuration = folder / "mpoprc"
        configuration.write_text("account test\n" + "".join(f"{key} {value}\n" for key, value in settings.items()))
        configuration.chmod(0o600)
        finished = run(["mpop", f"--file={configuration}", "--quiet", "test"], home=folder)
        new = sorted(set(taken.iterdir()) - before, key=_place)
        return outcome([path.read_bytes() for path in new], finished)

    def makes_of(self, wires: Sequence[bytes]) -> list[bytes | None]:
        return list(wires)


def _place(path: Path) -> int:
    """The place of a message in its run: names are ``mpop-SECONDS-M…P…Qnumber-HOST.eml``."""
    return int(path.name.split("Q", 1)[1].split("-")[0])
