"""Files written whole: the old one or the new one, never a part, and nothing left over."""

import os
import stat
from pathlib import Path

import pytest

from poplin.daemon.files import write_whole


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    write_whole(tmp_path / "f", b"one", 0o600)
    write_whole(tmp_path / "f", b"two", 0o640)
    assert (tmp_path / "f").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["f"]


def test_a_failure_leaves_the_old_one_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "inside").touch()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "f", b"new")
    assert os.listdir(tmp_path) == ["f"]
