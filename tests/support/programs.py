"""Foreign programs and foreign mail: found, or the test is skipped with its reason.

With ``POPLIN_REQUIRE=1`` (continuous integration) a missing thing is a failure and no skip.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def missing(what: str) -> NoReturn:
    """End the running test because `what` is not on this machine."""
    if os.environ.get("POPLIN_REQUIRE") == "1":
        pytest.fail(f"required here (POPLIN_REQUIRE=1) and missing: {what}", pytrace=False)
    pytest.skip(f"missing: {what}")


def require(program: str) -> str:
    """The path of `program`."""
    path = shutil.which(program)
    if path is None:
        missing(f"the program {program}")
    return path


def mail_directory() -> Path:
    """The folder of real mail: ``POPLIN_MAIL``, or ``mail`` in a folder ``shared`` beside the project's."""
    directory = Path(os.environ.get("POPLIN_MAIL") or ROOT / "../shared/mail").resolve()
    if not directory.is_dir():
        missing(f"a folder of real mail at {directory} (set POPLIN_MAIL)")
    return directory
