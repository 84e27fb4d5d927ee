"""``poplin user``: passwords are never arguments, nothing is asked without a terminal, mail goes only when told."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.command import Done, environment, poplin
from poplin.authentication.base import Credentials, PasswordProof
from poplin.authentication.password_file import PasswordFile
from poplin.errors import AuthenticationFailed
from poplin.identity import ClientFacts, Identity
from poplin.maildrops.base import Ending, OpenRequest
from poplin.maildrops.maildir import Maildirs
from support.waiting import answer

CONFIGURATION = """\
[[authentication.backend]]
type = "password-file"
path = "users"
[maildrop]
path = "mail/{user}/Maildir"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "poplin.toml").write_text(CONFIGURATION)
    return tmp_path


def lets_in(folder: Path, user: str, password: str) -> bool:
    credentials = Credentials("PLAIN", user, PasswordProof(password))
    try:
        answer(PasswordFile(folder / "users").authenticate(credentials, ClientFacts()))
    except AuthenticationFailed:
        return False
    return True


def test_add_with_a_password_from_standard_input(folder: Path) -> None:
    done = poplin("user", "add", "Alice", "--password-stdin", folder=folder, stdin="pass wörd\n".encode())
    assert done == Done(
        0, "added alice (SCRAM-SHA-256) to users; maildrop mail/alice/Maildir made; effective at once\n", ""
    )
    assert lets_in(folder, "alice", "pass wörd")
    assert not lets_in(folder, "alice", "pass wörd\n")
    assert (folder / "mail/alice/Maildir/new").is_dir()
    assert "wörd" not in (folder / "users").read_text()


def test_add_with_a_password_made_up(folder: Path) -> None:
    done = poplin("user", "add", "bob", "--generate", folder=folder)
    assert done.status == 0
    assert done.out.count("\n") == 1
    assert done.err.startswith("added bob (SCRAM-SHA-256) to users")
    assert lets_in(folder, "bob", done.out.strip())
    again = poplin("user", "passwd", "bob", "--generate", "--json", folder=folder)
    assert not lets_in(folder, "bob", done.out.strip())
    assert lets_in(folder, "bob", again.document["password"])


def test_add_twice(folder: Path) -> None:
    poplin("user", "add", "bob", "--generate", folder=folder)
    before = (folder / "users").read_bytes()
    assert poplin("user", "add", "BOB", "--generate", folder=folder) == Done(
        1, "", "poplin user add: bob is already there; change the password with: poplin user passwd bob\n"
    )
    for _ in range(2):
        assert poplin("user", "add", "bob", "--if-missing", folder=folder) == Done(
            0, "bob is already there; nothing to do\n", ""
        )
    assert (folder / "users").read_bytes() == before


@pytest.mark.parametrize("words", ["user add ann", "user passwd bob"])
def test_without_a_terminal_nothing_is_asked(words: str, folder: Path) -> None:
    poplin("user", "add", "bob", "--generate", folder=folder)
    before = (folder / "users").read_bytes()
    done = poplin(*words.split(), folder=folder, stdin=b"secret\nsecret\n")
    command = " ".join(words.split()[:2])
    told = f"poplin {command}: no terminal to ask for the password; add --password-stdin or --generate\n"
    assert done == Done(2, "", told)
    assert (folder / "users").read_bytes() == before


@pytest.mark.parametrize("stdin", [b"", b"\n", b"a\0b\n"])
def test_a_password_that_is_none(stdin: bytes, folder: Path) -> None:
    done = poplin("user", "add", "ann", "--password-stdin", folder=folder, stdin=stdin)
    assert done.status == 1
    assert done.err.endswith("; nothing changed\n")
    assert not (folder / "users").exists()


@pytest.mark.parametrize("name", ["../ann", "a:b", ".ann", "", "a\nb"])
def test_a_name_that_can_be_no_users(name: str, folder: Path) -> None:
    done = poplin("user", "add", "--generate", "--", name, folder=folder)
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert sorted(os.listdir(folder)) == ["poplin.toml"]


def test_whoever_is_not_there(folder: Path) -> None:
    poplin("user", "add", "bob", "--generate", folder=folder)
    for words in ("user passwd ann --generate", "user remove ann --yes"):
        done = poplin(*words.split(), folder=folder)
        assert done.status == 1
        assert done.err.endswith("ann is not in users; list the users with: poplin user list\n")


def test_list(folder: Path) -> None:
    (folder / "users").write_text("ann:{PLAIN}x\n# a comment\nbob:{WAT}y\ncarol@example.org:$2b$04$abc\n")
    assert poplin("user", "list", folder=folder).out == (
        "USER               PASSWORD\nann                PLAIN\nbob                broken\ncarol@example.org  BCRYPT\n"
    ).replace("BCRYPT", poplin("user", "list", "--json", folder=folder).document["users"][2]["scheme"])
    document = poplin("user", "list", "--json", folder=folder).document
    assert [(one["user"], one["line"]) for one in document["users"]] == [
        ("ann", 1),
        ("bob", 3),
        ("carol@example.org", 4),
    ]


def test_a_user_base_that_cannot_be_edited(folder: Path) -> None:
    (folder / "own.py").write_text("def check(user, password, client): return True\n")
    (folder / "poplin.toml").write_text(
        '[[authentication.backend]]\ntype = "python:own.check"\n[maildrop]\ntype = "memory"\n'
    )
    done = poplin("user", "add", "ann", "--generate", folder=folder)
    assert (done.status, done.out) == (1, "")
    assert done.err == "poplin user add: users come from python:own.check (read-only here); change them there\n"


# Removing


def mail_in(maildir: Path) -> int:
    return len(list(maildir.glob("new/*"))) + len(list(maildir.glob("cur/*")))


def with_mail(folder: Path, user: str = "ann") -> Path:
    poplin("user", "add", user, "--generate", folder=folder)
    maildir = folder / "mail" / user / "Maildir"
    (maildir / "new/1.a").write_bytes(b"x" * 1200)
    (maildir / "cur/2.b:2,S").write_bytes(b"x" * 700)
    return maildir


def test_remove_keeps_the_mail_and_says_so(folder: Path) -> None:
    maildir = with_mail(folder)
    done = poplin("user", "remove", "ann", "--yes", folder=folder)
    assert done == Done(
        0, "removed ann\n", "ann: 2 messages (1.9 kB) stay in mail/ann/Maildir; --purge-mail removes them too\n"
    )
    assert mail_in(maildir) == 2
    assert "ann" not in (folder / "users").read_text()


def test_purge_removes_the_mail_of_this_user_alone(folder: Path) -> None:
    maildir, other = with_mail(folder), with_mail(folder, "bob")
    done = poplin("user", "remove", "ann", "--purge-mail", "--yes", folder=folder)
    assert done.out == "removed ann, and 2 messages of mail/ann/Maildir\n"
    assert not maildir.exists()
    assert mail_in(other) == 2


@pytest.mark.parametrize("purge", [[], ["--purge-mail"]])
def test_without_a_terminal_and_without_yes_nothing_is_removed(purge: list[str], folder: Path) -> None:
    maildir = with_mail(folder)
    done = poplin("user", "remove", "ann", *purge, folder=folder, stdin=b"y\nann\n")
    assert done.status == 2
    assert done.err.endswith("poplin user remove: no terminal to ask on; add --yes\n")
    assert "ann" in (folder / "users").read_text()
    assert mail_in(maildir) == 2


def test_a_dry_run_says_would_and_does_nothing(folder: Path) -> None:
    maildir = with_mail(folder)
    before = (folder / "users").read_bytes()
    done = poplin("user", "remove", "ann", "--purge-mail", "--dry-run", folder=folder)
    assert done.out == "would remove ann from users and 2 messages in mail/ann/Maildir\n"
    assert (folder / "users").read_bytes() == before
    assert mail_in(maildir) == 2


def test_mail_in_use_is_not_purged(folder: Path) -> None:
    maildir = with_mail(folder)
    request = OpenRequest(identity=Identity("ann"), client=ClientFacts())
    session = Maildirs(lambda _: str(maildir)).open(request)
    done = poplin("user", "remove", "ann", "--purge-mail", "--yes", folder=folder)
    session.close(Ending.QUIT)
    assert done.status == 1
    assert "a session of ann is using mail/ann/Maildir; try again later" in done.err
    assert "ann" in (folder / "users").read_text()
    assert mail_in(maildir) == 2


def test_maildrops_in_memory_cannot_be_purged(folder: Path) -> None:
    (folder / "poplin.toml").write_text(CONFIGURATION.replace('path = "mail/{user}/Maildir"', 'type = "memory"'))
    poplin("user", "add", "ann", "--generate", folder=folder)
    assert poplin("user", "remove", "ann", "--purge-mail", "--yes", folder=folder).status == 1
    assert poplin("user", "remove", "ann", "--yes", folder=folder).out == "removed ann\n"


# On a terminal


def talk(*words: str, folder: Path, answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Run on a terminal, giving each answer when its question has appeared."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "poplin", *words], cwd=folder, env=environment(), stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen, waiting, at = "", list(answers), 0
        while select.select([ours], [], [], 60)[0]:
            try:
                seen += os.read(ours, 65_536).decode()
            except OSError:
                break
            if waiting and waiting[0][0] in seen[at:]:
                at = len(seen)
                os.write(ours, waiting.pop(0)[1].encode())
        status = process.wait(timeout=60)
    os.close(ours)
    assert not waiting, seen
    return status, seen


def test_a_password_is_asked_twice_without_an_echo(folder: Path) -> None:
    answers = [("Password for ann: ", "hush-hush\n"), ("Again: ", "hush-hush\n")]
    status, seen = talk("user", "add", "ann", folder=folder, answers=answers)
    assert status == 0
    assert "hush-hush" not in seen
    assert lets_in(folder, "ann", "hush-hush")


def test_two_passwords_that_differ(folder: Path) -> None:
    answers = [("Password for ann: ", "one\n"), ("Again: ", "two\n")]
    status, seen = talk("user", "add", "ann", folder=folder, answers=answers)
    assert status == 1
    assert "the two passwords differ; nothing changed" in seen
    assert not (folder / "users").exists()


def test_an_interrupted_question_changes_nothing(folder: Path) -> None:
    status, seen = talk("user", "add", "ann", folder=folder, answers=[("Password for ann: ", "\x04")])
    assert status == 1
    assert "cancelled, nothing changed" in seen
    assert not (folder / "users").exists()


@pytest.mark.parametrize(("reply", "removed"), [("y\n", True), ("\n", False), ("n\n", False), ("ann\n", False)])
def test_removal_is_confirmed_and_the_default_is_no(reply: str, removed: bool, folder: Path) -> None:
    with_mail(folder)
    status, seen = talk("user", "remove", "ann", folder=folder, answers=[("[y/N] ", reply)])
    assert status == (0 if removed else 1)
    assert ("ann" not in (folder / "users").read_text()) == removed
    assert ("cancelled, nothing changed" in seen) != removed


@pytest.mark.parametrize(("reply", "removed"), [("ann\n", True), ("y\n", False), ("\n", False)])
def test_purging_wants_the_name_typed(reply: str, removed: bool, folder: Path) -> None:
    maildir = with_mail(folder)
    answers = [("Type the name", reply)]
    status, _ = talk("user", "remove", "ann", "--purge-mail", folder=folder, answers=answers)
    assert status == (0 if removed else 1)
    assert maildir.exists() != removed
