"""The log: one line a record, no forged lines, nothing lost to a full disk but the line itself."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poplin.daemon.logs import Lines
from poplin.identity import CURRENT, ClientFacts
from support.programs import ROOT


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """A logger ``poplin.test`` over a file; gives the lines written so far."""
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    handler = Lines(descriptor)
    logger = logging.getLogger("poplin.test")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield lambda: (tmp_path / "log").read_text("utf-8").splitlines()
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    os.close(descriptor)


LOG = logging.getLogger("poplin.test")


def test_a_record_is_a_line_with_time_and_level(written: Callable[[], list[str]]) -> None:
    LOG.info("%s: ended by %s", "k3f9-2", "quit", extra={"session": "k3f9-2"})
    LOG.warning("careful")
    first, second = written()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info k3f9-2: ended by quit", first)
    assert second.endswith(" warning careful")


def test_what_a_session_causes_bears_its_id(written: Callable[[], list[str]]) -> None:
    token = CURRENT.set(ClientFacts(session_id="k3f9-2"))
    try:
        LOG.warning("index not written")
        LOG.warning("k3f9-2: login refused")
    finally:
        CURRENT.reset(token)
    LOG.warning("nobody's")
    assert [line.partition(" warning ")[2] for line in written()] == [
        "k3f9-2: index not written",
        "k3f9-2: login refused",
        "nobody's",
    ]


@pytest.mark.parametrize(
    "forged", ["bob\n2026-01-01T00:00:00.000Z info k: ok", "bob\r\nx", "bob\x1b[2J", "bob\x00", "bob\u2028x"]
)
def test_nobody_forges_a_line(written: Callable[[], list[str]], forged: str) -> None:
    LOG.info("login of %s refused", forged)
    (line,) = written()
    assert line.isprintable()
    assert "bob\\" in line


def test_octets_that_are_no_utf8_are_no_failure(written: Callable[[], list[str]]) -> None:
    LOG.info("login of %s", b"b\xff".decode(errors="surrogateescape"))
    assert written()[0].endswith(r"login of b\udcff")


def test_a_traceback_is_indented(written: Callable[[], list[str]]) -> None:
    try:
        raise ValueError("inner\nlines")
    except ValueError:
        LOG.exception("k3f9-2: RETR failed")
    first, *rest = written()
    assert first.endswith(" error k3f9-2: RETR failed")
    assert rest[-2:] == ["    ValueError: inner", "    lines"]
    assert all(line.startswith("    ") for line in rest)


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    handler = Lines(writing)
    try:
        handler.emit(logging.makeLogRecord({"msg": "lost", "levelno": logging.INFO}))
    finally:
        os.close(writing)


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [(-1, ["error"]), (0, ["info", "warning", "error"]), (1, ["debug", "info", "warning", "error"])],
)
def test_quiet_and_verbose(verbosity: int, shown: list[str]) -> None:
    script = (
        "import logging; from poplin.daemon import logs; "
        f"logs.install({verbosity}); log = logging.getLogger('poplin.x');"
        "[getattr(log, level)(level) for level in ('debug', 'info', 'warning', 'error')]"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert [line.split()[-1] for line in done.stderr.splitlines()] == shown
    assert done.stdout == ""
