"""What must hold for the repository as a whole: its size rules, its metadata, its errands."""

import ast
import re
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "src/poplin").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

MEDIAN_LINES = 160
LONG = 400
"""Rarely more: so many lines make a file long, and of a hundred files three may be."""
LONGEST = 500
LONGEST_FUNCTION = 60


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_source_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT / "src/poplin")): lines_of(path) for path in SOURCES}
    assert statistics.median(lengths.values()) <= MEDIAN_LINES
    long = {name: length for name, length in lengths.items() if length > LONG}
    assert len(long) <= max(1, len(lengths) * 3 // 100), long
    assert all(length <= LONGEST for length in long.values()), long


def test_functions_fit_a_screen() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in SOURCES
        for function in functions(path)
        if (function.end_lineno or function.lineno) - function.lineno >= LONGEST_FUNCTION
    ]
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_file_says_at_its_head_what_lives_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_no_file_is_left_half_done() -> None:
    # Spelt in two pieces, so that this file is not its own finding.
    marks = re.compile("TO" + "DO|FIX" + "ME|raise NotImplemented" + "Error|X" + "XX")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if marks.search(line)
    ]
    assert not found


def test_every_ignored_finding_of_the_linter_names_its_rule() -> None:
    bare = re.compile(r"#\s*(noqa(?!:)|type:\s*ignore(?!\[))")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert not found


def test_the_core_has_two_dependencies() -> None:
    names = {re.split(r"[<>=!~;\[ ]", wanted)[0] for wanted in PROJECT["project"]["dependencies"]}
    assert names == {"msgspec", "click"}


def test_the_version_is_told_once() -> None:
    import poplin

    assert poplin.__version__ == PROJECT["project"]["version"]


def test_the_licence_is_the_one_that_the_metadata_names() -> None:
    assert PROJECT["project"]["license"] == "BSD-3-Clause"
    assert "BSD 3-Clause" in (ROOT / "LICENSE").read_text("utf-8").splitlines()[0]


def test_make_lists_its_errands() -> None:
    output = subprocess.run(["make", "-C", str(ROOT)], check=True, capture_output=True, text=True).stdout
    for errand in ("serve", "test", "check", "docs", "bench", "clean"):
        assert re.search(rf"^{errand} ", output, re.MULTILINE), output


def test_the_readme_names_the_errands() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "make serve" in readme
    assert "make test" in readme
