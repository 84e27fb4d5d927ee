"""The configuration as the commands use it: found, checked, and its errors told line by line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from poplin.commands.base import output
from poplin.commands.failures import Failure
from poplin.daemon import load
from poplin.daemon.load import Source
from poplin.daemon.problems import Invalid, Problem, count, show
from poplin.daemon.settings import Configuration
from poplin.errors import ConfigurationError

__all__ = ["configuration", "invalid_failure", "print_problems", "problem_facts", "reported", "source"]


def source(named: str | None) -> Source:
    """The configuration file to use.

    Raises:
        Failure: there is none.
    """
    try:
        return load.find(named)
    except load.NotFound as error:
        raise Failure.told("no-configuration", str(error)) from None


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Turn what is wrong with a configuration into the command's failure, all lines told."""
    try:
        yield
    except Invalid as invalid:
        raise invalid_failure(invalid) from None
    except ConfigurationError as error:
        raise Failure("configuration-unreadable", str(error)) from None


def invalid_failure(invalid: Invalid, after: str = "nothing was started or changed") -> Failure:
    """Print every problem, and answer the failure that counts them."""
    shared = output()
    if not shared.json:
        print_problems(invalid.file, invalid.problems, invalid.text)
    problems = [problem_facts(invalid.file, problem) for problem in invalid.problems]
    return Failure("configuration-invalid", count(invalid.problems), after, {"problems": problems})


def print_problems(file: str, problems: Sequence[Problem], text: str) -> None:
    """One line each on standard error; on a terminal the excerpt with a caret follows."""
    shared = output()
    excerpt = text.splitlines() if sys.stderr.isatty() else ()
    for problem in problems:
        if problem.level == "warning" and shared.verbosity < 0:
            continue
        first, *rest = show(file, problem, excerpt)
        word = f"{problem.level}: "
        if problem.level == "warning":
            first = first.replace(word, shared.paint("warning:", "yellow", stream=sys.stderr) + " ", 1)
        else:
            place, _, told = first.partition(": ")
            first = f"{shared.paint(place, 'red', stream=sys.stderr)}: {told}"
        shared.error("\n".join([first, *rest]))


def problem_facts(file: str, problem: Problem) -> dict[str, object]:
    """A problem as data."""
    return {
        "file": file,
        "line": problem.place.line,
        "column": problem.place.column,
        "key": problem.path,
        "schema_key": problem.schema_key,
        "level": problem.level,
        "message": problem.text,
    }


def configuration(named: str | None) -> Configuration:
    """The configuration in force.

    Raises:
        Failure: there is none, or it has errors, which were printed.
    """
    found = source(named)
    with reported():
        return load.load(found)
