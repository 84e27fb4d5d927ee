"""A configuration held against the world: password files, certificates, code of the operator's own."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from poplin.daemon import rules, selfmade
from poplin.daemon.check import Document, read
from poplin.daemon.inspection import Findings, inspect
from poplin.daemon.problems import in_order, show

USERS = '[[authentication.backend]]\ntype = "password-file"\npath = "users"\n'
MEMORY = '[maildrop]\ntype = "memory"\n'
TLS = '[tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n'
HASHED = "{SSHA256}" + "A" * 48


def inspected(folder: Path, text: str) -> tuple[Document, Findings]:
    document = read("p", text.encode())
    rules.apply(document)
    return document, inspect(document, folder)


def told(folder: Path, text: str) -> list[str]:
    document, _ = inspected(folder, text)
    return [show("p", problem)[0].removeprefix("p:") for problem in in_order(document.problems)]


def test_users_are_counted(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"ann:{{PLAIN}}x\nbob:{HASHED}\n")
    _, findings = inspected(tmp_path, USERS + MEMORY)
    (users,) = findings.users
    assert (users.records, users.readable) == (2, 1)


def test_apop_is_refused_with_counts(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"ann:{{PLAIN}}x\nbob:{HASHED}\ncarol:{HASHED}\n")
    text = '[authentication]\nmechanisms = ["APOP", "PLAIN"]\n' + USERS + MEMORY
    assert told(tmp_path, text) == [
        (
            '2: authentication.mechanisms: APOP needs readable secrets, and 2 of 3 records in "users" are hashed; drop '
            '"APOP" or see: poplin config explain authentication.mechanisms'
        )
    ]
    (tmp_path / "users").write_text("ann:{PLAIN}x\n")
    assert told(tmp_path, text) == []


def test_a_missing_password_file_is_an_error_and_an_empty_one_a_warning(tmp_path: Path) -> None:
    assert told(tmp_path, USERS + MEMORY) == [
        (
            '3: authentication.backend[1].path: cannot read "users": no such file or directory; '
            "make it with: poplin user add NAME"
        )
    ]
    (tmp_path / "users").touch()
    assert told(tmp_path, USERS + MEMORY) == [
        '3: warning: authentication.backend[1].path: "users" has no users; add one with: poplin user add NAME'
    ]


def test_a_bad_line_of_a_password_file_is_a_warning_with_its_place_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}x\nbob:{WAT}planted-secret\n")
    (line,) = told(tmp_path, USERS + MEMORY)
    assert line.startswith("3: warning: authentication.backend[1].path: users:2: bob: ")
    assert "planted-secret" not in line


def test_a_self_made_certificate_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}x\n")
    selfmade.make(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert told(tmp_path, TLS + USERS + MEMORY) == [
        "2: warning: tls.certificate: self-made; clients will refuse it until told to trust it"
    ]
    os.chmod(tmp_path / "key.pem", 0o644)
    assert "3: warning: tls.key: everybody may read it; run: chmod 600 key.pem" in told(tmp_path, TLS + USERS + MEMORY)


@pytest.mark.parametrize(("days", "words"), [(-3, "expired on"), (5, "expires on"), (400, "")])
def test_a_certificate_at_its_end_is_a_warning(tmp_path: Path, days: int, words: str) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}x\n")
    until = datetime.now(UTC) + timedelta(days=days, hours=1)
    issued = trustme.CA().issue_cert("localhost", not_before=until - timedelta(days=900), not_after=until)
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    os.chmod(tmp_path / "key.pem", 0o600)
    document, findings = inspected(tmp_path, TLS + USERS + MEMORY)
    assert not document.errors
    assert findings.certificate is not None
    assert [words in problem.text for problem in document.problems] == ([True] if words else [])


def test_a_certificate_that_cannot_be_used_is_an_error_of_its_key(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:{PLAIN}x\n")
    (tmp_path / "cert.pem").write_text("nothing")
    assert told(tmp_path, TLS + USERS + MEMORY) == ["2: tls.certificate: cert.pem is no PEM file"]


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        (None, "python:absent_module_of_mine.check", "cannot import absent_module_of_mine: No module named"),
        ("x = 1", "python:own_module_{}.check", "module own_module_{} has no check"),
        ("raise RuntimeError('not today')", "python:own_module_{}.check", "cannot import own_module_{}: not today"),
        ("def check(user, password, client): return True", "python:own_module_{}.check", ""),
    ],
)
def test_code_of_the_operators_own(
    source: str | None, kind: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"{abs(hash((source, str(tmp_path))))}"
    if source is not None:
        (tmp_path / f"own_module_{mark}.py").write_text(source)
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = told(tmp_path, f'[[authentication.backend]]\ntype = "{kind.format(mark)}"\n{MEMORY}')
    assert [words.format(mark) in line for line in found] == ([True] if words else [])


def test_problems_in_the_file_do_not_hide_those_outside(tmp_path: Path) -> None:
    found = told(tmp_path, '[server]\nworkers = "two"\n' + USERS + MEMORY + "[limits]\nautologuot = 3\n")
    assert [line.split(":")[0] for line in found] == ["2", "5", "9"]
