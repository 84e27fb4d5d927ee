"""From a configuration to a server that serves: mechanisms, rules, lock policies, several user bases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from poplin.daemon import assembly, load
from poplin.errors import ConfigurationError
from poplin.server.background import BackgroundServer
from support.wire import Wire

START = """\
[server]
hostname = "pop.example.org"
greeting = "welcome"
goodbye = "farewell"
[[listener]]
address = "127.0.0.1:0"
"""
USERS = '[[authentication.backend]]\ntype = "password-file"\npath = "users"\n'
MAIL = '[maildrop]\npath = "mail/{user}"\n'
AUTHENTICATION = "[authentication]\nfailure_delay = 0\n"


@contextmanager
def served(folder: Path, text: str) -> Iterator[int]:
    (folder / "poplin.toml").write_text(text)
    server = assembly.build(load.load(load.find(str(folder / "poplin.toml"), {})))
    with BackgroundServer(server) as running:
        yield running.port


def test_the_words_of_the_configuration_are_said(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}secret\n")
    with served(tmp_path, START + AUTHENTICATION + USERS + MAIL) as port, Wire(port) as wire:
        greeting = wire.line()
        assert greeting.startswith(b"+OK welcome <")
        assert greeting.endswith(b"@pop.example.org>")
        assert wire.ask("QUIT") == b"+OK farewell"


@pytest.mark.parametrize(
    ("mechanisms", "told"), [("", {b"USER", b"SASL LOGIN PLAIN"}), ('mechanisms = ["PLAIN"]\n', {b"SASL PLAIN"})]
)
def test_only_wanted_mechanisms_are_offered(mechanisms: str, told: set[bytes], tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}secret\n")
    with served(tmp_path, START + AUTHENTICATION + mechanisms + USERS + MAIL) as port, Wire(port) as wire:
        wire.line()
        wire.ask("CAPA")
        lines = set(wire.body().split(b"\r\n"))
    assert {line for line in lines if line.startswith((b"USER", b"SASL"))} == told


def test_several_user_bases_in_order(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}secret\n")
    (tmp_path / "more").write_text("ann:{PLAIN}other\nbob:{PLAIN}secret\n")
    text = START + AUTHENTICATION + USERS + USERS.replace('"users"', '"more"') + MAIL
    with served(tmp_path, text) as port:
        for user, password in (("ann", "secret"), ("ann", "other"), ("bob", "secret")):
            with Wire(port) as wire:
                assert wire.log_in(user, password).startswith(b"+OK")
                assert wire.ask("QUIT").startswith(b"+OK")
        with Wire(port) as wire:
            assert wire.log_in("bob", "other").startswith(b"-ERR [AUTH]")


def test_rules_give_some_users_other_folders_and_locks(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}secret\nbob@example.org:{PLAIN}secret\n")
    for folder, text in (("mail/ann", b"for ann\n"), ("org/bob", b"for bob, a little more\n")):
        (tmp_path / folder / "cur").mkdir(parents=True)
        (tmp_path / folder / "new").mkdir()
        (tmp_path / folder / "cur/1.x:2,").write_bytes(text)
    rule = '[[maildrop.rule]]\nmatch = "*@example.org"\npath = "org/{local}"\nlock = "snapshot"\n'
    with served(tmp_path, START + AUTHENTICATION + USERS + MAIL + rule) as port:
        with Wire(port) as first, Wire(port) as second:
            assert first.log_in("bob@example.org").startswith(b"+OK")
            assert second.log_in("bob@example.org").startswith(b"+OK")
            assert second.retrieve(1) == b"for bob, a little more\r\n"
        with Wire(port) as first, Wire(port) as second:
            assert first.log_in("ann").startswith(b"+OK")
            assert first.retrieve(1) == b"for ann\r\n"
            assert second.log_in("Ann").startswith(b"-ERR [IN-USE]")


@pytest.mark.parametrize("name", ["../ann", ".ann", "ann/../bob", "a\tb"])
def test_no_name_leaves_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}secret\n")
    with served(tmp_path, START + AUTHENTICATION + USERS + MAIL) as port, Wire(port) as wire:
        assert wire.line().startswith(b"+OK")
        wire.ask(f"USER {name}")
        assert wire.ask("PASS secret").startswith(b"-ERR")
    assert not (tmp_path / "mail").exists()


def test_limits_are_those_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}secret\n")
    text = START + AUTHENTICATION + USERS + MAIL + "[limits]\nconnections_per_address = 1\n"
    with served(tmp_path, text) as port, Wire(port) as first, Wire(port) as second:
        assert first.line().startswith(b"+OK")
        assert second.line().startswith(b"-ERR")


def test_a_certificate_that_cannot_be_used_stops_the_assembly(tmp_path: Path) -> None:
    text = START + 'tls = "starttls"\n[tls]\ncertificate = "c"\nkey = "k"\n' + AUTHENTICATION + USERS + MAIL
    (tmp_path / "poplin.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"cannot read .*/c: no such file"):
        assembly.build(load.load(load.find(str(tmp_path / "poplin.toml"), {})))
