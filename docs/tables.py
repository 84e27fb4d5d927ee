"""What the generators of reference pages share: Markdown tables, and the first sentence of a docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

__all__ = ["cell", "summary", "table"]


def cell(text: object) -> str:
    """`text` as a cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell(field) for field in line)} |\n" for line in lines)


def summary(thing: object) -> str:
    """The first paragraph of a docstring as one line, with Markdown's code marks.

    Raises:
        ValueError: it has none.
    """
    text = inspect.getdoc(thing)
    if not text:
        raise ValueError(f"{thing!r} has no docstring: the reference needs one")
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`")
