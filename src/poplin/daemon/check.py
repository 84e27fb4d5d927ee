"""Hold a configuration file against the schema: every unknown key, wrong type and impossible value, all at once.

Here live the reading of the file and the walk over it. What may stand together is `rules`; the world
outside the file is `inspection`.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from poplin.daemon import schema
from poplin.daemon.locate import KeyPath, Locations, Place, Unreadable, locate
from poplin.daemon.problems import Invalid, Problem, in_order
from poplin.daemon.schema import Key, Node
from poplin.daemon.suggest import ALIASES, nearest
from poplin.daemon.values import Choice, describe

__all__ = ["Document", "path_text", "read"]

_KIND_WORDS = {
    "text": "a text",
    "whole number": "a whole number",
    "number": "a number",
    "true or false": "true or false",
    "false": "false",
    "list of texts": "a list of texts",
    "table": "a table",
    "tables": "a list of tables",
}


def path_text(path: KeyPath) -> str:
    """As it is told: names joined by dots, places in lists counted from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _schema_path(path: KeyPath) -> str:
    return re.sub(r"\[\d+\]", "[]", path_text(path))


@dataclass(slots=True)
class Document:
    """One file: its name as shown, its text, what of it is right (`clean`), and what is wrong (`problems`).

    `clean` has the shape of the file with every bad value left out; places in lists stay the same.
    """

    file: str
    text: str
    clean: dict[str, Any] = field(default_factory=dict)
    locations: Locations = field(default_factory=Locations)
    problems: list[Problem] = field(default_factory=list)

    def complain(
        self, path: KeyPath, text: str, *, short: str = "", level: Literal["error", "warning"] = "error"
    ) -> None:
        """Add a finding about the value at `path`."""
        place = self.locations.value(path)
        self.problems.append(Problem(path_text(path), text, place, _schema_path(path), short, level))

    def complain_of_key(self, path: KeyPath, text: str, *, short: str = "") -> None:
        """Add a finding about the key itself: unknown, or missing from its table."""
        place = self.locations.key(path)
        self.problems.append(Problem(path_text(path), text, place, _schema_path(path), short))

    def get(self, *path: str | int) -> Any:  # noqa: ANN401  # TOML values of a checked type
        """The clean value at `path`, or ``None``."""
        value: Any = self.clean
        for part in path:
            if isinstance(part, str) and part not in value:
                return None
            value = value[part]
        return value

    def is_set(self, path: KeyPath) -> bool:
        """Whether the file speaks of `path` at all, rightly or wrongly."""
        return path in self.locations.keys

    @property
    def errors(self) -> bool:
        """Whether anything is wrong beyond a warning."""
        return any(problem.level == "error" for problem in self.problems)

    def invalid(self) -> Invalid:
        """The findings as an exception."""
        return Invalid(self.file, in_order(self.problems), self.text)


def read(file: str, octets: bytes) -> Document:
    """Check `octets`, the content of `file`, against the schema.

    Raises:
        Invalid: it is no TOML; that is then the only problem.
    """
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise Invalid(file, [Problem("", "not valid UTF-8", Place(line))]) from None
    try:
        table = tomllib.loads(text)
        locations = locate(text)
    except (tomllib.TOMLDecodeError, Unreadable) as error:
        raise Invalid(file, [_syntax(text, error)], text) from None
    except RecursionError:
        raise Invalid(file, [Problem("", "nested too deeply", Place(1))]) from None
    document = Document(file, text, locations=locations)
    _Walk(document).table(table, schema.tree(), (), document.clean)
    return document


def _syntax(text: str, error: Exception) -> Problem:
    """Where the trouble begins; the parser alone knows only where it gave up."""
    try:
        locate(text)
    except Unreadable as begins:
        return Problem("", f"not valid TOML: {begins}", begins.place, short="here")
    except RecursionError:
        pass
    message, _, where = str(error).partition(" (at ")
    numbers = [int(number) for number in re.findall(r"\d+", where)]
    place = Place(*numbers) if len(numbers) == 2 else Place(max(1, text.rstrip("\n").count("\n") + 1))
    return Problem("", f"not valid TOML: {message[:1].lower()}{message[1:]}", place, short="here")


class _Walk:
    """One walk over one document, filling its `clean` and its `problems`."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def table(self, table: dict[str, Any], node: Node, path: KeyPath, clean: dict[str, Any]) -> None:
        for name, value in table.items():
            here = (*path, name)
            child = node.child(name)
            if child is None:
                self.document.complain_of_key(here, f"unknown key; {_meant(name, node, path)}", short="unknown")
                continue
            accepted = self.value(value, child, here)
            if accepted is not None:
                clean[name] = accepted
        for name, child in node.children.items():
            if child.key and child.key.required and name not in table and not self.odd(table, node):
                example = f", for example {name} = {child.key.example}" if child.key.example else ""
                self.document.complain_of_key((*path, name), f"missing{example}")

    def odd(self, table: dict[str, Any], node: Node) -> bool:
        """Whether one of the table's keys is a slip: the missing key is probably that one, told once."""
        return any(node.child(name) is None for name in table)

    def value(self, value: Any, node: Node, path: KeyPath) -> object:  # noqa: ANN401
        """The value if it is right, a part of it if only parts are; ``None`` if it is wrong."""
        key = node.key
        if key is None or not _has_kind(value, key.kinds):
            self.wrong_kind(value, key, path)
            return None
        if key.unbuilt and (advice := key.unbuilt(value)):
            self.document.complain(path, _unavailable(value, advice), short="not available")
            if key.is_table:
                self.inside(value, node, path)
            return None
        if isinstance(value, dict) or key.kinds == ("tables",):
            return self.inside(value, node, path)
        return value if self.choices(value, key, path) and self.complaint(value, key, path) else None

    def inside(self, value: Any, node: Node, path: KeyPath) -> object:  # noqa: ANN401
        """The clean form of a table or of a list of tables."""
        if isinstance(value, list):
            return [self.inside(element, node, (*path, index)) for index, element in enumerate(value)]
        clean: dict[str, Any] = {}
        if _kind_is_known(value, node):
            self.table(value, node, path, clean)
        else:
            self.value(value["type"], node.children["type"], (*path, "type"))
        return clean

    def wrong_kind(self, value: Any, key: Key | None, path: KeyPath) -> None:  # noqa: ANN401
        kinds = key.kinds if key else ("table",)
        expected = " or ".join(_KIND_WORDS[kind] for kind in kinds)
        hint = f" ({key.hint})" if key and key.hint else ""
        if kinds == ("tables",):
            hint = f", written [[{_schema_path(path).removesuffix('[]')}]]"
        if kinds == ("list of texts",) and isinstance(value, list):
            index = next(index for index, element in enumerate(value) if not isinstance(element, str))
            path, expected, value = (*path, index), "a text", value[index]
        self.document.complain(path, f"expected {expected}{hint}, found {describe(value)}", short=kinds[0])

    def choices(self, value: Any, key: Key, path: KeyPath) -> bool:  # noqa: ANN401
        """Whether a text, or each text of a list, is among the key's choices."""
        if isinstance(value, list):
            verdicts = [self.choices(text, key, (*path, index)) for index, text in enumerate(value)]
            return all(verdicts)
        fitting = next((choice for choice in key.choices if choice.fits(value)), None)
        if key.choices and fitting is None:
            self.document.complain(path, f'"{value}" is not allowed; {_choice_meant(value, key)}')
        elif fitting and not fitting.built:
            advice = f"use {_listed(key.choices)}"
            self.document.complain(path, f'"{value}" is not available in this version; {advice}', short="not available")
        return fitting.built if fitting else not key.choices

    def complaint(self, value: Any, key: Key, path: KeyPath) -> bool:  # noqa: ANN401
        """Whether nothing else is wrong with the value."""
        text = key.complain(value) if key.complain else None
        if text:
            self.document.complain(path, text)
        return not text


def _kind_is_known(table: dict[str, Any], node: Node) -> bool:
    """Whether the table's `type`, if it has one, is built: another kind's keys are not ours to judge."""
    kind = node.children.get("type")
    if kind is None or kind.key is None or not isinstance(table.get("type"), str):
        return True
    return not any(choice.fits(table["type"]) and not choice.built for choice in kind.key.choices)


def _has_kind(value: object, kinds: tuple[str, ...]) -> bool:
    return any(_IS_A[kind](value) for kind in kinds)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_IS_A: dict[str, Callable[[object], bool]] = {
    "text": lambda value: isinstance(value, str),
    "whole number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "true or false": lambda value: isinstance(value, bool),
    "false": lambda value: value is False,
    "list of texts": lambda value: isinstance(value, list) and all(isinstance(element, str) for element in value),
    "table": lambda value: isinstance(value, dict),
    "tables": lambda value: isinstance(value, list) and all(isinstance(element, dict) for element in value),
}


def _unavailable(value: object, advice: str) -> str:
    shown = "" if advice == "leave it out" or not isinstance(value, str | int | float) else _shown(value)
    return f"{shown}{' is ' if shown else ''}not available in this version; {advice}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _listed(choices: tuple[Choice, ...]) -> str:
    """The built ones, as text: ``"a", "b" or "c"``."""
    forms = [f'"{choice.form}"' for choice in choices if choice.built]
    return " or ".join([", ".join(forms[:-1]), forms[-1]]) if len(forms) > 1 else forms[0]


def _choice_meant(text: str, key: Key) -> str:
    forms = [choice.form for choice in key.choices if not choice.pattern]
    near = next((form for form in forms if form.casefold() == text.casefold()), None)
    if near is None and any(letter.isalpha() for letter in text):  # "1.1" is no slip of "1.2"
        near = nearest(text, forms)
    hint = f" ({key.hint})" if key.hint else ""
    return f'did you mean "{near}"?' if near else f"use {_listed(key.choices)}{hint}"


def _meant(name: str, node: Node, path: KeyPath) -> str:
    """What an unknown key was meant to be: a near name of this table, an alias, or this name elsewhere."""
    names = [child for child in node.children if child != "NAME"]
    near = nearest(name, names)
    if near:
        return f'did you mean "{near}"?'
    table = _schema_path(path)
    elsewhere = [key.path for key in schema.KEYS if key.name == name and not key.path.startswith("maildrop.rule")]
    alias = ALIASES.get(name.lower()) or (elsewhere[0] if len(elsewhere) == 1 else None)
    if alias:
        same_table = alias.rpartition(".")[0].replace("[]", "") == table.replace("[]", "")
        return (
            f'did you mean "{alias.rpartition(".")[2]}"?' if same_table else f"did you mean {alias.replace('[]', '')}?"
        )
    return f"allowed here: {', '.join(names)}" if 0 < len(names) <= 12 else "see: poplin config explain"
