"""What a user's type checker says: programs of all three faces pass, wrong ones are refused where they are wrong.

The programs are in ``typing/``, and none of them is run. A wrong line ends in ``# refused: CODES of mypy, RULES of
pyright``; a checker must say exactly that there, and nothing anywhere else.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.programs import ROOT, missing, require

PROGRAMS = ROOT / "tests" / "typing"
FILES = sorted(PROGRAMS.glob("*/*.py"))
REFUSED = re.compile(r"# refused: (?P<mypy>[\w\- ]+), (?P<pyright>[\w ]+)$")

Findings = Mapping[tuple[str, int], frozenset[str]]
"""File and line, and by which rules it is refused."""


def expected(checker: str) -> Findings:
    found = {}
    for path in FILES:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            match = REFUSED.search(line)
            assert (match is not None) == ("# refused" in line), f"{path}:{number}: cannot be read"
            if match is not None:
                found[str(path.relative_to(PROGRAMS)), number] = frozenset(match[checker].split())
    return found


def gathered(rows: list[tuple[str, int, str]]) -> Findings:
    found: dict[tuple[str, int], set[str]] = {}
    for file, line, rule in rows:
        found.setdefault((file, line), set()).add(rule)
    return {place: frozenset(rules) for place, rules in found.items()}


def test_there_are_programs_of_both_kinds() -> None:
    refused = {file for file, _ in expected("mypy")}
    assert refused == {str(path.relative_to(PROGRAMS)) for path in FILES if path.parent.name == "wrong"}
    assert len(FILES) - len(refused) >= 5


def test_mypy_takes_the_right_ones_and_refuses_the_wrong_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", "--no-pretty",
            "--follow-imports=silent", "--hide-error-context", f"--cache-dir={ROOT / '.mypy_cache' / 'users'}",
            *[str(path.relative_to(PROGRAMS)) for path in FILES],
        ],
        cwd=PROGRAMS, env={**os.environ, "MYPYPATH": str(ROOT / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    rows = re.findall(r"^(\S+?):(\d+): error: .*\[([\w\-]+)\]$", done.stdout, re.MULTILINE)
    assert gathered([(file, int(line), rule) for file, line, rule in rows]) == expected("mypy"), done.stdout


def pyright(*arguments: str) -> tuple[str, dict[str, object]]:
    """What pyright prints, and that as data. It asks the Python of PATH for the packages."""
    require("node")
    if importlib.util.find_spec("pyright") is None:
        missing("the package pyright")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", *arguments], capture_output=True, text=True, check=False,
        cwd=PROGRAMS, env={**os.environ, "PATH": programs, "PYTHONPATH": str(ROOT / "src"), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )  # fmt: skip
    answer: dict[str, object] = json.loads(done.stdout)
    return done.stdout, answer


@pytest.mark.real
def test_pyright_takes_the_right_ones_and_refuses_the_wrong_lines() -> None:
    text, answer = pyright("--project", "pyrightconfig.json")
    diagnostics = answer["generalDiagnostics"]
    assert isinstance(diagnostics, list)
    rows = [
        (
            str(Path(one["file"]).relative_to(PROGRAMS)),
            one["range"]["start"]["line"] + 1,
            one.get("rule", one["message"]),
        )
        for one in diagnostics
    ]
    assert gathered(rows) == expected("pyright"), text


@pytest.mark.real
def test_every_public_type_is_known() -> None:
    _, answer = pyright("--verifytypes", "poplin", "--ignoreexternal")
    completeness = answer["typeCompleteness"]
    assert isinstance(completeness, dict)
    unknown = [
        symbol["name"]
        for symbol in completeness["symbols"]
        if symbol["isExported"] and not (symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"])
    ]
    assert not unknown
    assert completeness["completenessScore"] == 1
    assert len(completeness["symbols"]) > 1000
