"""The first start: a configuration, a certificate, an account, a few messages. Nothing that exists is overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poplin.authentication import schemes
from poplin.authentication.password_editing import PasswordFileEditor
from poplin.daemon import passwords, selfmade, template, welcome
from poplin.daemon.files import write_whole

__all__ = ["Start", "start"]

MAILDROP_PATH = "var/mail/{user}/Maildir"


@dataclass(frozen=True, slots=True)
class Start:
    """What was made. `made` and `kept` are paths as told to the operator; `password` is shown once and kept
    nowhere; `note` says what could not be made, and why."""

    configuration: Path
    made: tuple[str, ...]
    kept: tuple[str, ...]
    account: str = ""
    password: str = ""
    note: str = ""


def start(configuration: Path, account: str) -> Start:
    """Write `configuration` and what it names into its folder; `account`, if any, gets a password and messages.

    Raises:
        OSError: something cannot be written. What was made before stays, and is kept by the next try.
    """
    folder = configuration.parent
    made, kept, note = [], [], ""
    has_certificate = True
    if (folder / "cert.pem").exists() and (folder / "key.pem").exists():
        kept += ["cert.pem", "key.pem"]
    else:
        try:
            selfmade.make(folder / "cert.pem", folder / "key.pem")
            made += ["cert.pem", "key.pem"]
        except selfmade.CannotMake as reason:
            has_certificate, note = False, f"{reason}; without one there is no TLS"
    password = ""
    if (folder / "users").exists():
        kept.append("users")
    else:
        write_whole(folder / "users", b"", 0o600)
        made.append("users")
        if account:
            password = passwords.generate()
            PasswordFileEditor(str(folder / "users")).add(account, schemes.make(password))
            maildir = folder / MAILDROP_PATH.replace("{user}", account)
            if not maildir.exists():
                welcome.deliver(maildir, account)
                made.append(MAILDROP_PATH.replace("{user}", account))
    # Last: the next start looks for it, and finds everything that it names.
    write_whole(configuration, template.write(_settings(has_certificate=has_certificate)).encode())
    return Start(configuration, (configuration.name, *made), tuple(kept), account if password else "", password, note)


def _settings(*, has_certificate: bool) -> template.Settings:
    listeners: list[dict[str, object]] = [
        {"address": "127.0.0.1:1110", "tls": "starttls"},
        {"address": "127.0.0.1:1995", "tls": "implicit"},
    ]
    tls: dict[str, object] = {"tls.certificate": "cert.pem", "tls.key": "key.pem"}
    if not has_certificate:
        listeners, tls = [{"address": "127.0.0.1:1110", "tls": "none"}], {}
    return {
        "version": 1,
        "server.greeting": "poplin ready",
        "listener[]": listeners,
        **tls,
        "authentication.allow_cleartext": "loopback",
        "authentication.backend[]": [{"type": "password-file", "path": "users"}],
        "maildrop.type": "maildir",
        "maildrop.path": MAILDROP_PATH,
    }
