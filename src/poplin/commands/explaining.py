"""What ``poplin config explain`` does: the schema, told."""

from __future__ import annotations

import json

from poplin.commands.base import output
from poplin.commands.failures import Failure
from poplin.daemon import schema
from poplin.daemon.schema import Key
from poplin.daemon.suggest import ALIASES, nearest
from poplin.daemon.template import toml_value

__all__ = ["run_explain"]


def run_explain(key: str | None) -> None:
    """Print what a key, or each key of a table, or every key means.

    Raises:
        Failure: there is no such key.
    """
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
