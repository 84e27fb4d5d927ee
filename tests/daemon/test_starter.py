"""The first start: everything that it names exists, nothing that existed is touched."""

from __future__ import annotations

import email
import email.policy
import os
import stat
from pathlib import Path

import pytest

from poplin.authentication.base import Credentials, PasswordProof
from poplin.authentication.password_file import PasswordFile
from poplin.content import wire_octets
from poplin.daemon import load, passwords, starter, template
from poplin.daemon.inspection import inspect
from poplin.identity import ClientFacts
from support.waiting import answer


def test_a_first_start_serves_at_once(tmp_path: Path) -> None:
    start = starter.start(tmp_path / "poplin.toml", "demo")
    assert start.made == ("poplin.toml", "cert.pem", "key.pem", "users", "var/mail/demo/Maildir")
    document = load.read(load.find(str(tmp_path / "poplin.toml"), {}))
    inspect(document, tmp_path)
    assert [problem.text for problem in document.problems] == [
        "self-made; clients will refuse it until told to trust it"
    ]
    credentials = Credentials("PLAIN", "demo", PasswordProof(start.password))
    assert answer(PasswordFile(tmp_path / "users").authenticate(credentials, ClientFacts())).user == "demo"


def test_the_password_is_kept_nowhere_and_secrets_are_for_the_owner(tmp_path: Path) -> None:
    start = starter.start(tmp_path / "poplin.toml", "demo")
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            assert start.password.encode() not in Path(folder, name).read_bytes()
    for name in ("users", "key.pem"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "var/mail/demo/Maildir").stat().st_mode) == 0o700


def test_the_messages_are_real_ones(tmp_path: Path) -> None:
    starter.start(tmp_path / "poplin.toml", "demo")
    folder = tmp_path / "var/mail/demo/Maildir"
    files = sorted((folder / "new").iterdir())
    assert len(files) == 3
    assert list((folder / "tmp").iterdir()) == []
    subjects = []
    for file in files:
        octets = file.read_bytes()
        assert f",S={len(octets)},W={wire_octets(octets)}" in file.name
        message = email.message_from_bytes(octets, policy=email.policy.default)
        assert not message.defects
        assert message["From"] and message["To"] and message["Date"] and message["Message-ID"]  # noqa: PT018  # one thing
        assert max(len(line) for line in octets.splitlines()) <= 998  # RFC 5322 section 2.1.1
        subjects.append(message["Subject"])
    assert subjects == ["Welcome to poplin", "How to read this mail", "What to try next"]


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}x\n")
    (tmp_path / "cert.pem").write_text("mine")
    (tmp_path / "key.pem").write_text("mine")
    start = starter.start(tmp_path / "poplin.toml", "demo")
    assert start.kept == ("cert.pem", "key.pem", "users")
    assert (start.account, start.password) == ("", "")
    assert (tmp_path / "users").read_text() == "ann:{PLAIN}x\n"
    assert (tmp_path / "key.pem").read_text() == "mine"
    assert not (tmp_path / "var").exists()


def test_without_a_way_to_make_certificates_there_is_no_tls_and_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    monkeypatch.setenv("PATH", "")
    start = starter.start(tmp_path / "poplin.toml", "")
    assert "install poplin[certificates]" in start.note
    configuration = load.load(load.find(str(tmp_path / "poplin.toml"), {}))
    assert [(one.address, one.tls) for one in configuration.listeners] == [("127.0.0.1:1110", "none")]


def test_made_up_passwords_are_many_and_can_be_typed() -> None:
    made = {passwords.generate() for _ in range(200)}
    assert len(made) == 200
    assert all(
        password.isascii() and password.replace("-", "").isalnum() and password.count("-") == 3 for password in made
    )


@pytest.mark.parametrize("value", ["plain", 'a "quoted" \\ text', "tab\t and \x7f", "äöü", True, 3, 2.5, ["a", "b"]])
def test_values_survive_being_written(value: object) -> None:
    import tomllib

    assert tomllib.loads(f"x = {template.toml_value(value)}") == {"x": value}
