"""What is wrong with a configuration, as values, and how it is told: in the order of the file, all at once.

Nothing here reads or checks; it holds findings and prints them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from poplin.daemon.locate import Place
from poplin.errors import ConfigurationError

__all__ = ["Invalid", "Problem", "count", "in_order", "show"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: the key's `path` as shown, what is wrong and what to do (`text`), and where it stands.

    `schema_key` is the key's name in the schema, for ``config explain``. `short` labels the caret.
    """

    path: str
    text: str
    place: Place
    schema_key: str = ""
    short: str = ""
    level: Literal["error", "warning"] = "error"


class Invalid(ConfigurationError):
    """A configuration with errors: `problems` in the order of the file, warnings among them."""

    def __init__(self, file: str, problems: Sequence[Problem], text: str = "") -> None:
        super().__init__(f"{file}: {count(problems)}")
        self.file = file
        self.problems = problems
        self.text = text


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """As they stand in the file; findings of the same place in the order they were made."""
    return sorted(problems, key=lambda problem: (problem.place.line, problem.place.column))


def count(problems: Iterable[Problem]) -> str:
    """How many, in words: ``5 errors, 1 warning``; ``""`` for none."""
    levels = [problem.level for problem in problems]
    parts = [(levels.count(level), level) for level in ("error", "warning")]
    return ", ".join(f"{number} {level}{'s' if number > 1 else ''}" for number, level in parts if number)


def show(file: str, problem: Problem, source: Sequence[str] = ()) -> list[str]:
    """The lines that tell of `problem`: one, and the excerpt with a caret if `source` (the file's lines) is given."""
    warning = "warning: " if problem.level == "warning" else ""
    path = f"{problem.path}: " if problem.path else ""
    lines = [f"{file}:{problem.place.line}: {warning}{path}{problem.text}"]
    place = problem.place
    if 0 < place.line <= len(source):
        text = source[place.line - 1].expandtabs(1)
        number = f"{place.line:>5}"
        length = max(1, min(place.length, len(text) - place.column + 1))
        lines.append(f"{number} | {text}")
        lines.append(f"{' ' * len(number)} | {' ' * (place.column - 1)}{'^' * length} {problem.short}".rstrip())
    return lines
