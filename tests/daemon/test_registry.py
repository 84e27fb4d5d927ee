"""Names of the configuration become implementations, the operator's own code among them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from poplin.authentication.base import Authenticator, Credentials, PasswordProof
from poplin.authentication.password_file import PasswordFile
from poplin.daemon import registry
from poplin.daemon.check import read
from poplin.daemon.settings import Configuration, build
from poplin.errors import AuthenticationFailed, ConfigurationError, Refused
from poplin.identity import ClientFacts
from poplin.maildrops.maildir import Maildirs
from poplin.maildrops.memory import MemoryMaildrops
from support.waiting import answer

FILE = '[[authentication.backend]]\ntype = "password-file"\npath = "users"\n'
OWN = """\
from poplin.maildrops.memory import MemoryMaildrops

def check(user, password, client):
    return user == "bob" and password == "right"

async def later(user, password, client):
    return password == "right"

def narrow(user):
    return True

number = 3

class Store(MemoryMaildrops):
    def __init__(self, path=None):
        super().__init__()
        self.path = path

class Broken:
    def __init__(self):
        raise OSError("no such disk")

class Closed:
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_poplin_code.py").write_text(OWN)
    monkeypatch.delitem(sys.modules, "own_poplin_code", raising=False)
    return tmp_path


def configuration(folder: Path, text: str) -> Configuration:
    document = read("p", text.encode())
    assert not document.problems
    return build(document, folder)


def authenticator(folder: Path, name: str) -> Authenticator:
    text = f'[[authentication.backend]]\ntype = "python:own_poplin_code.{name}"\n'
    built = configuration(folder, text)
    return registry.authenticator(built.backends[0], built)


def log_in(judge: Authenticator, user: str, password: str, authorization: str = "") -> str:
    credentials = Credentials("PLAIN", user, PasswordProof(password), authorization)
    return answer(judge.authenticate(credentials, ClientFacts())).user


@pytest.mark.parametrize("name", ["check", "later"])
def test_a_function_beside_the_configuration_lets_users_in(folder: Path, name: str) -> None:
    judge = authenticator(folder, name)
    assert log_in(judge, "BOB", "right") == "bob"
    assert log_in(judge, "bob", "right", "Bob") == "bob"
    with pytest.raises(AuthenticationFailed):
        log_in(judge, "bob", "wrong")
    with pytest.raises(Refused):
        log_in(judge, "bob", "right", "ann")


@pytest.mark.parametrize(
    ("name", "words"), [("number", "own_poplin_code.number is no function"), ("narrow", "own_poplin_code.narrow: ")]
)
def test_what_is_no_such_function_is_refused(folder: Path, name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        authenticator(folder, name)


def test_a_password_file_reads_names_as_configured(folder: Path) -> None:
    (folder / "users").write_text("Bob@example.org:{PLAIN}right\n")
    built = configuration(folder, '[authentication]\ndefault_domain = "example.org"\n' + FILE)
    judge = registry.authenticator(built.backends[0], built)
    assert isinstance(judge, PasswordFile)
    assert log_in(judge, "bob", "right") == "bob@example.org"


def opener(folder: Path, maildrop: str) -> object:
    built = configuration(folder, f"[maildrop]\n{maildrop}\n")
    return registry.opener(built.maildrop, built)


def test_the_openers_by_name(folder: Path) -> None:
    maildirs = opener(folder, 'path = "mail/{user}"\n[limits]\ninline_octets = 1000')
    assert isinstance(maildirs, Maildirs)
    assert maildirs.inline_octets == 1000
    assert isinstance(opener(folder, 'type = "memory"'), MemoryMaildrops)


def test_a_class_of_the_operators_own_gets_its_path(folder: Path) -> None:
    assert getattr(opener(folder, 'type = "python:own_poplin_code.Store"'), "path", "") is None
    store = opener(folder, 'type = "python:own_poplin_code.Store"\npath = "spool/{user}"')
    assert getattr(store, "path", "") == f"{folder}/spool/{{user}}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Broken", "own_poplin_code.Broken cannot be made: no such disk"),
        ("Closed", r"own_poplin_code.Closed has no open\(\)"),
        ("Absent", "module own_poplin_code has no Absent"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused(folder: Path, name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        opener(folder, f'type = "python:own_poplin_code.{name}"')


def test_a_folder_whose_name_looks_like_a_field_is_told(tmp_path: Path) -> None:
    odd = tmp_path / "{odd}"
    odd.mkdir()
    with pytest.raises(ConfigurationError, match="odd"):
        opener(odd, 'path = "mail/{user}"')
