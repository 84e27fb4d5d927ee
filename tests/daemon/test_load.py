"""Finding the configuration, and reading it."""

from pathlib import Path

import pytest

from poplin.daemon import load
from poplin.daemon.problems import Invalid
from poplin.errors import ConfigurationError

LEAST = '[[authentication.backend]]\ntype = "password-file"\npath = "users"\n[maildrop]\ntype = "memory"\n'


def test_the_named_file_is_the_only_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("poplin.toml").write_text(LEAST)
    with pytest.raises(load.NotFound, match=r"looked for absent\.toml\); write one with: poplin init"):
        load.find("absent.toml", {})
    with pytest.raises(load.NotFound, match=r"looked for also\.absent"):
        load.find(None, {"POPLIN_CONFIG": "also.absent"})
    assert load.find(None, {}).shown == "./poplin.toml"


def test_option_before_environment_before_folder_before_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load.places("a", {"POPLIN_CONFIG": "b"}) == ["a"]
    assert load.places(None, {"POPLIN_CONFIG": "b"}) == ["b"]
    assert load.places(None, {}) == ["./poplin.toml", "/etc/poplin/poplin.toml"]
    for name in ("a", "b"):
        Path(name).write_text(LEAST)
    assert load.find("a", {"POPLIN_CONFIG": "b"}).path == tmp_path / "a"
    assert load.find(None, {"POPLIN_CONFIG": "b"}).path == tmp_path / "b"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*: is a directory"):
        load.load(load.find(str(tmp_path), {}))


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "p").write_text(LEAST + "[limits]\nautologout = 3\nconections = 4\n")
    with pytest.raises(Invalid) as caught:
        load.load(load.find(str(tmp_path / "p"), {}))
    assert [problem.path for problem in caught.value.problems] == ["limits.autologout", "limits.conections"]


def test_a_right_file_becomes_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "p").write_text(LEAST)
    assert load.load(load.find(str(tmp_path / "p"), {})).folder == tmp_path
