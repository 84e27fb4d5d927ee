"""What ``poplin config check`` does: everything that is wrong with a configuration, or what it comes to."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from poplin.commands.base import output
from poplin.commands.configured import print_problems, problem_facts, reported, source
from poplin.daemon import load
from poplin.daemon.check import Document
from poplin.daemon.inspection import Findings, inspect
from poplin.daemon.problems import count, in_order
from poplin.daemon.settings import Configuration, build

__all__ = ["run_check"]


def run_check(named: str | None, *, strict: bool) -> int:
    """Check the configuration that was named or found, and print what it comes to; the exit status.

    Raises:
        Failure: it has errors, which were printed.
    """
    shared = output()
    found = source(named)
    with reported():
        document = load.read(found)
        findings = inspect(document, found.path.parent)
        if document.errors:
            raise document.invalid()
    problems = in_order(document.problems)
    configuration = build(document, found.path.parent)
    facts = _facts(configuration, findings)
    if shared.json:
        warnings = [problem_facts(document.file, problem) for problem in problems]
        shared.document(file=document.file, ok=True, warnings=warnings, **facts)
    else:
        if shared.verbosity >= 0:
            _print_facts(document, configuration, findings)
        print_problems(document.file, problems, document.text)
        if problems:
            shared.data(count(problems))
    return 1 if strict and problems else 0


def _print_facts(document: Document, configuration: Configuration, findings: Findings) -> None:
    shared = output()
    shared.data(f"{document.file}: {shared.paint('ok', 'green', stream=sys.stdout)}")
    listeners = ", ".join(f"{listener.address} {listener.tls}" for listener in configuration.listeners)
    rows = [
        ("listeners", listeners or "none (poplin serve will need --listen)"),
        ("authentication", _authentication(configuration, findings)),
        ("maildrop", _maildrop(configuration)),
    ]
    certificate = findings.certificate
    if certificate and configuration.tls:
        names = ", ".join(certificate.names) or "no name"
        days = certificate.days_left()
        until = f"until {certificate.until:%Y-%m-%d} ({days} days)"
        rows.append(("certificate", f"{configuration.tls.certificate.name}, {names}, {until}"))
    for name, text in rows:
        shared.data(f"  {name:<14}  {text}")


def _offered(configuration: Configuration, findings: Findings) -> list[str]:
    """What the password files can serve, as far as the configuration lets it."""
    served = {"USER", "PLAIN", "LOGIN"}
    all_seen = findings.users and len(findings.users) == len(configuration.backends)
    if all_seen and all(users.records and users.records == users.readable for users in findings.users):
        served.add("APOP")
    allowed = configuration.mechanisms
    return sorted(served if allowed is None else served & allowed)


def _authentication(configuration: Configuration, findings: Findings) -> str:
    bases = [f'password-file "{users.path}": {_users(users.records)}' for users in findings.users]
    bases += [backend.type for backend in configuration.backends if backend.type.startswith("python:")]
    offered = _offered(configuration, findings)
    text = f"{', '.join(bases)}; offers {' '.join(offered) or 'nothing'}"
    records = sum(users.records for users in findings.users)
    readable = sum(users.readable for users in findings.users)
    if "APOP" not in offered and records:
        text += f"; no APOP ({readable} of {records} records can serve it)"
    return text


def _users(number: int) -> str:
    return f"{number} user{'' if number == 1 else 's'}"


def _maildrop(configuration: Configuration) -> str:
    maildrop = configuration.maildrop
    where = f' "{maildrop.shown}"' if maildrop.shown else ""
    text = f'{maildrop.type}{where}, unique-ids "{maildrop.unique_id}", deletes by "{maildrop.on_delete}"'
    if maildrop.lock.policy != "refuse":
        text += f', lock "{maildrop.lock.policy}"'
    return f"{text}; {len(configuration.rules)} rules" if configuration.rules else text


def _facts(configuration: Configuration, findings: Findings) -> Mapping[str, object]:
    certificate = findings.certificate
    return {
        "listeners": [{"address": one.address, "tls": one.tls} for one in configuration.listeners],
        "authentication": {
            "user_bases": [
                {"type": one.type, "path": one.path, "records": one.records, "readable": one.readable}
                for one in findings.users
            ],
            "offers": _offered(configuration, findings),
        },
        "maildrop": {
            "type": configuration.maildrop.type,
            "path": configuration.maildrop.path,
            "on_delete": configuration.maildrop.on_delete,
            "lock": configuration.maildrop.lock.policy,
            "unique_id": configuration.maildrop.unique_id,
        },
        "certificate": {
            "names": certificate.names,
            "until": certificate.until.isoformat().replace("+00:00", "Z"),
            "days_left": certificate.days_left(),
            "self_made": certificate.self_made,
        }
        if certificate
        else None,
    }
