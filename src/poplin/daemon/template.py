"""A configuration written out: the keys that are set, and every other one as a comment with its default.

Made from the schema, so no key is forgotten and each has its text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from poplin.daemon.schema import KEYS, Key

__all__ = ["Settings", "toml_value", "write"]

Settings: TypeAlias = Mapping[str, "object | Sequence[Mapping[str, object]]"]
"""What is set: values by path, and for a list of tables (``listener[]``) its tables."""

_COLUMN = 44
_HEAD = """\
# The configuration of poplin. Check it with: poplin config check
# What a key means: poplin config explain KEY. Relative paths are relative to this file.
# A line that begins with "# name =" shows a default; take the sign away to change it.

"""


def toml_value(value: object) -> str:
    """A value as TOML has it: texts, numbers, true and false, lists of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(element) for element in value)}]"
    # A JSON text is a basic string of TOML too, DEL alone excepted.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def write(settings: Settings) -> str:
    """The text of a configuration with these settings, and comments for all the rest."""
    parts = [
        _HEAD,
        "".join(_line(key, settings.get(key.path)) for key in KEYS if "." not in key.path and not key.is_table),
    ]
    for table in KEYS:
        if table.is_table and table.is_built:
            parts += _table(table, settings)
    return "".join(parts)


def _table(table: Key, settings: Settings) -> list[str]:
    keys = [key for key in KEYS if key.is_built and not key.is_table and key.path.rpartition(".")[0] == table.path]
    if not keys:
        return []
    name = table.path.replace("[]", "")
    header = f"[[{name}]]" if table.path.endswith("[]") else f"[{name}]"
    if not table.path.endswith("[]"):
        return [f"\n{_beside(header, table.text)}", *(_line(key, settings.get(key.path)) for key in keys)]
    tables = settings.get(table.path, ())
    if not isinstance(tables, Sequence) or not tables:
        return [f"\n{_beside(f'# {header}', table.text)}", *(_line(key, None) for key in keys)]
    lines: list[str] = []
    for number, values in enumerate(tables):
        lines.append(f"\n{_beside(header, '' if number else table.text)}")
        lines += [_line(key, values.get(key.name)) for key in keys if not number or key.name in values]
    return lines


def _line(key: Key, value: object) -> str:
    """The key as it is set, or as a comment with its default or an example."""
    if value is not None:
        return _beside(f"{key.name} = {toml_value(value)}", key.text)
    shown = key.example or toml_value("" if key.default is None else key.default)
    return _beside(f"# {key.name} = {shown}", key.text)


def _beside(text: str, comment: str) -> str:
    return f"{text:<{_COLUMN}}# {comment}\n" if comment else f"{text}\n"
