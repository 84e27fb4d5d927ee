"""``poplin config``: check and explain the configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from poplin.commands.base import Group, config_option, json_option, output
from poplin.commands.configured import print_problems, problem_facts, reported, source
from poplin.commands.failures import Failure, WrongUsage
from poplin.commands.init import init
from poplin.daemon import load, schema
from poplin.daemon.check import Document
from poplin.daemon.inspection import Findings, inspect
from poplin.daemon.problems import count, in_order
from poplin.daemon.schema import Key
from poplin.daemon.settings import Configuration, build
from poplin.daemon.suggest import ALIASES, nearest
from poplin.daemon.template import toml_value

__all__ = ["check", "config"]


@click.group(
    cls=Group,
    help="Write, check and explain the configuration.",
    examples=("poplin config check", "poplin config explain limits.autologout"),
)
def config() -> None:
    """Write, check and explain the configuration."""


config.add_command(init)


@config.command(
    "check",
    help="Check the configuration, without starting anything. FILE - reads standard input.",
    examples=("poplin config check", "poplin config check poplin.toml --json", "poplin config check - < poplin.toml"),
)
@click.argument("file", required=False)
@config_option
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@json_option
def check(file: str | None, config: str | None, strict: bool) -> int:
    """Check the configuration: everything that is wrong with it, or what it comes to."""
    if file and config:
        raise WrongUsage("give FILE or --config FILE, not both")
    shared = output()
    found = source(file or config)
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
    import sys

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


@config.command(
    "explain",
    help="Say what a key means: its type, default, allowed values, an example. Without KEY: all keys.",
    examples=("poplin config explain listener.tls", "poplin config explain limits --json"),
)
@click.argument("key", required=False)
@json_option
def explain(key: str | None) -> None:
    """Say what a key, or each key of a table, means."""
    shared = output()
    wanted = key.replace("[]", "") if key else ""
    found = [one for one in schema.KEYS if _plain(one.path) == wanted]
    exact = schema.find(key) if key else None
    if exact and not found:
        found = [exact]
    below = [one for one in schema.KEYS if not wanted or _plain(one.path).startswith(f"{wanted}.")]
    if not found and not below:
        raise _unknown(wanted)
    keys = found if found and not found[0].is_table else [*found, *below]
    if shared.json:
        shared.document(keys=[_key_facts(one) for one in keys])
        return
    if len(keys) == 1:
        for line in _explained(keys[0]):
            shared.data(line)
        return
    width = max(len(_plain(one.path)) for one in keys)
    for one in keys:
        shared.data(f"{_plain(one.path):<{width}}  {one.text}{'' if one.is_built else ' (not in this version)'}")


def _plain(path: str) -> str:
    return path.replace("[]", "")


def _unknown(wanted: str) -> Failure:
    paths = [_plain(one.path) for one in schema.KEYS]
    last = wanted.rpartition(".")[2]
    same_name = [path for path in paths if path.rpartition(".")[2] == last]
    near = nearest(wanted, paths) or (same_name[0] if same_name else None) or _plain(ALIASES.get(last, ""))
    hint = f"did you mean {near}?" if near else "all keys: poplin config explain"
    return Failure("not-found", f'no key "{wanted}"', hint)


def _default(key: Key) -> str:
    return "none" if key.default is None else toml_value(key.default)


def _explained(key: Key) -> list[str]:
    lines = [f"{_plain(key.path)}: {key.text}", f"  type     {' or '.join(key.kinds)}"]
    if not key.is_table:
        lines.append(f"  default  {_default(key)}{f' ({key.hint})' if key.hint else ''}")
    if key.choices:
        built = [json.dumps(choice.form) for choice in key.choices if choice.built]
        later = [json.dumps(choice.form) for choice in key.choices if not choice.built]
        lines.append(f"  allowed  {', '.join(built)}")
        if later:
            lines.append(f"  later    {', '.join(later)}: not available in this version")
    elif key.unbuilt:
        advice = "not available in this version" if not key.is_built else f"only {_default(key)} in this version"
        lines.append(f"  allowed  {advice}")
    if not key.is_table:
        lines.append(f"  example  {key.name} = {key.example or _example(key)}")
    lines.append(f"  since    {key.since}")
    return lines


def _example(key: Key) -> str:
    if key.default is not None:
        return toml_value(key.default)
    return {"number": "10", "whole number": "10", "true or false": "true"}.get(key.kinds[0], '"…"')


def _key_facts(key: Key) -> dict[str, object]:
    return {
        "key": _plain(key.path),
        "text": key.text,
        "types": list(key.kinds),
        "default": key.default,
        "required": key.required,
        "allowed": [choice.form for choice in key.choices if choice.built],
        "available": key.is_built,
        "since": key.since,
    }
