"""What may stand together in a configuration. Each rule looks at several keys of one document, and at nothing
outside the file; a key that is wrong by itself was told of already and is left alone here.
"""

from __future__ import annotations

import contextlib
from ipaddress import ip_address

from poplin.daemon.check import Document
from poplin.daemon.locate import KeyPath
from poplin.limits import Limits

__all__ = ["apply"]


def apply(document: Document) -> None:
    """Add what the rules find to the document's problems."""
    _listeners(document)
    _certificate_and_key(document)
    _backends(document)
    _maildrop(document, ("maildrop",), document.get("maildrop", "type") or "maildir")
    _rules(document)
    _autologout(document)
    _passwords_can_travel(document)


def _missing(document: Document, path: KeyPath, why: str) -> None:
    if not document.is_set(path):
        document.complain_of_key(path, f"missing; {why}")


def _listeners(document: Document) -> None:
    first_at: dict[str, int] = {}
    for index, listener in enumerate(document.get("listener") or []):
        path: KeyPath = ("listener", index)
        tls = listener.get("tls", "none")
        if tls != "none" and not document.is_set(("tls", "certificate")):
            text = f'"{tls}" needs a certificate; set tls.certificate and tls.key, or tls = "none" here'
            document.complain((*path, "tls"), text)
        address = listener.get("address", "")
        if address and not address.endswith(":0"):
            if address in first_at:
                document.complain(
                    (*path, "address"), f'"{address}" is the address of listener[{first_at[address]}] too'
                )
            first_at.setdefault(address, index + 1)


def _certificate_and_key(document: Document) -> None:
    for name, other in (("certificate", "key"), ("key", "certificate")):
        if document.is_set(("tls", name)):
            _missing(document, ("tls", other), f"a {name} needs its {other}")


def _backends(document: Document) -> None:
    if not document.get("authentication", "backend"):
        example = 'write [[authentication.backend]] with type = "password-file" and path = "users"'
        _missing(document, ("authentication", "backend"), f"nobody could log in; {example}")
    for index, backend in enumerate(document.get("authentication", "backend") or []):
        path: KeyPath = ("authentication", "backend", index, "path")
        if backend.get("type") == "password-file":
            _missing(document, path, 'a password file needs its path, for example path = "users"')
        elif "type" in backend and document.is_set(path):
            document.complain_of_key(path, f'"{backend["type"]}" takes no path; leave it out')


def _maildrop(document: Document, table: KeyPath, kind: str) -> None:
    path = (*table, "path")
    if kind == "maildir":
        _missing(document, path, 'a Maildir needs its path, for example path = "var/mail/{user}/Maildir"')
    elif kind == "memory" and document.is_set(path):
        document.complain_of_key(path, "a maildrop in memory has no path; leave it out")


def _rules(document: Document) -> None:
    default = document.get("maildrop", "type") or "maildir"
    for index, rule in enumerate(document.get("maildrop", "rule") or []):
        kind = rule.get("type", default)
        if kind != default:
            _maildrop(document, ("maildrop", "rule", index), kind)
        if not set(rule) - {"match"} and not document.errors:
            document.complain_of_key(
                ("maildrop", "rule", index), "changes nothing; set path, lock or the like beside match"
            )


def _autologout(document: Document) -> None:
    """RFC 1939 section 3 asks for at least ten minutes."""
    limits = document.get("limits") or {}
    known = {name: limits[name] for name in ("autologout", "allow_short_autologout") if name in limits}
    try:
        Limits(**known)
    except ValueError as error:
        document.complain(("limits", "autologout"), str(error).partition(": ")[2])


def _passwords_can_travel(document: Document) -> None:
    """Warn of a listener where no password can be given, and of one where it can be overheard."""
    allowed = document.get("authentication", "allow_cleartext") or "loopback"
    for index, listener in enumerate(document.get("listener") or []):
        address, tls = listener.get("address", ""), listener.get("tls", "none")
        path: KeyPath = ("listener", index, "address")
        if allowed == "always" and tls != "implicit" and not _is_local(address):
            text = 'passwords may be overheard here; set authentication.allow_cleartext = "loopback"'
            document.complain(path, text, level="warning")
        if tls == "none" and (allowed == "never" or (allowed == "loopback" and not _is_local(address))):
            text = "no password is taken here, for want of TLS; set tls, or authentication.allow_cleartext"
            document.complain(path, text, level="warning")


def _is_local(address: str) -> bool:
    """Whether only this machine reaches it; an address that is wrong anyway counts as such."""
    if address.startswith("unix:"):
        return True
    with contextlib.suppress(ValueError):
        return ip_address(address.rpartition(":")[0].strip("[]")).is_loopback
    return True
