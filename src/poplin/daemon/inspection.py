"""Hold a configuration against the world: user bases, certificates, code of the operator's own.

What is wrong out there becomes a problem of the key that names it; what is right becomes a fact to be told.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poplin.authentication.password_file import PasswordFile
from poplin.authentication.user_names import NameRule
from poplin.daemon import certificates, registry
from poplin.daemon.certificates import CertificateFacts, CertificateProblem
from poplin.daemon.check import Document
from poplin.daemon.locate import KeyPath
from poplin.errors import ConfigurationError, TemporaryFailure

__all__ = ["Findings", "UserBase", "inspect"]

SOON = 14
"""Days: a certificate that ends this soon is worth a warning."""


@dataclass(frozen=True, slots=True)
class UserBase:
    """One user base: how many `records`, and how many of them keep a readable secret, as APOP needs."""

    type: str
    path: str
    records: int
    readable: int


@dataclass(slots=True)
class Findings:
    """What was found beside problems."""

    users: list[UserBase] = field(default_factory=list)
    certificate: CertificateFacts | None = None


def inspect(document: Document, folder: Path) -> Findings:
    """Look at everything that the document names; problems are added to it."""
    findings = Findings()
    for index, backend in enumerate(document.get("authentication", "backend") or []):
        path: KeyPath = ("authentication", "backend", index)
        if backend.get("type") == "password-file" and "path" in backend:
            _password_file(document, (*path, "path"), folder, findings)
        elif backend.get("type", "").startswith("python:"):
            _own_code(document, (*path, "type"), folder)
    _apop(document, findings)
    _certificate(document, folder, findings)
    if (document.get("maildrop", "type") or "").startswith("python:"):
        _own_code(document, ("maildrop", "type"), folder)
    for index, rule in enumerate(document.get("maildrop", "rule") or []):
        if rule.get("type", "").startswith("python:"):
            _own_code(document, ("maildrop", "rule", index, "type"), folder)
    return findings


def _password_file(document: Document, path: KeyPath, folder: Path, findings: Findings) -> None:
    shown = document.get(*path)
    clean: dict[str, Any] = document.get("authentication") or {}
    rule = NameRule(clean.get("normalise", "lowercase"), clean.get("default_domain", ""))
    users = PasswordFile(folder / shown, rule)
    try:
        tally = users.tally()
    except TemporaryFailure as error:
        reason = str(error).rpartition(": ")[2].lower()
        advice = "; make it with: poplin user add NAME" if not os.path.exists(users.path) else ""
        document.complain(path, f'cannot read "{shown}": {reason}{advice}')
        return
    findings.users.append(UserBase("password-file", shown, tally.records, tally.readable))
    for complaint in users.check():
        document.complain(path, complaint.removeprefix(f"{folder}{os.sep}"), level="warning")
    if not tally.records:
        document.complain(path, f'"{shown}" has no users; add one with: poplin user add NAME', level="warning")


def _apop(document: Document, findings: Findings) -> None:
    """APOP's banner comes before the name, so it is for all or for none (RFC 1939 section 7)."""
    if "APOP" not in (document.get("authentication", "mechanisms") or []):
        return
    for users in findings.users:
        hashed = users.records - users.readable
        if hashed:
            document.complain(
                ("authentication", "mechanisms"),
                f'APOP needs readable secrets, and {hashed} of {users.records} records in "{users.path}" are hashed; '
                'drop "APOP" or see: poplin config explain authentication.mechanisms',
            )


def _certificate(document: Document, folder: Path, findings: Findings) -> None:
    tls = document.get("tls") or {}
    if "certificate" not in tls or "key" not in tls:
        return
    certificate, key = folder / tls["certificate"], folder / tls["key"]
    try:
        certificates.server_context(certificate, key, tls.get("minimum_version", "1.2"))
        found = findings.certificate = certificates.facts(certificate)
    except CertificateProblem as problem:
        document.complain(("tls", problem.key), str(problem).replace(f"{folder}{os.sep}", ""))
        return
    path: KeyPath = ("tls", "certificate")
    days = found.days_left()
    if days < 0:
        document.complain(path, f"expired on {found.until:%Y-%m-%d}; clients refuse it", level="warning")
    elif days < SOON:
        document.complain(path, f"expires on {found.until:%Y-%m-%d}, in {days} days", level="warning")
    if found.self_made:
        document.complain(path, "self-made; clients will refuse it until told to trust it", level="warning")
    if os.name == "posix" and key.stat().st_mode & 0o007:
        document.complain(("tls", "key"), f"everybody may read it; run: chmod 600 {tls['key']}", level="warning")


def _own_code(document: Document, path: KeyPath, folder: Path) -> None:
    try:
        registry.load_object(document.get(*path), folder)
    except ConfigurationError as error:
        document.complain(path, str(error))
