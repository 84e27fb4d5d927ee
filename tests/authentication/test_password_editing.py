from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poplin.authentication import password_editing, schemes
from poplin.authentication.base import Credentials, PasswordProof
from poplin.authentication.password_editing import ListedUser, NameTaken, NameUnknown, PasswordFileEditor
from poplin.authentication.password_file import PasswordFile
from poplin.authentication.user_names import NameRule
from poplin.errors import TemporaryFailure
from poplin.identity import ClientFacts
from support.waiting import answer

TEXT = """\
# the users of example.org

Bob:{PLAIN}old:1000:1000::/home/bob::userdb_mail=maildir:~/Maildir allow_nets=2001:db8::/32
carol:$apr1$abcdefgh$FoeTi/8V2lkKIySI9rEUk/
# the end
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(TEXT)
    path.chmod(0o640)
    return path


@pytest.fixture
def editor(path: Path) -> PasswordFileEditor:
    return PasswordFileEditor(str(path))


def leftovers(path: Path) -> list[str]:
    return sorted(other.name for other in path.parent.iterdir() if other != path)


def test_add_appends_a_record_and_touches_nothing_else(editor: PasswordFileEditor, path: Path) -> None:
    editor.add("Alice", "{PLAIN}secret")
    assert path.read_text() == TEXT + "alice:{PLAIN}secret\n"
    assert leftovers(path) == []


def test_replace_changes_the_password_alone(editor: PasswordFileEditor, path: Path) -> None:
    editor.replace("bob", "{PLAIN}new")
    assert path.read_text() == TEXT.replace("{PLAIN}old", "{PLAIN}new")
    editor.replace("carol", "{PLAIN}new")
    assert path.read_text() == TEXT.replace("{PLAIN}old", "{PLAIN}new").replace(
        "$apr1$abcdefgh$FoeTi/8V2lkKIySI9rEUk/", "{PLAIN}new"
    )


def test_remove_takes_every_line_of_the_user_and_no_other(editor: PasswordFileEditor, path: Path) -> None:
    path.write_text(TEXT + "BOB:{PLAIN}second\nbobby:{PLAIN}x\n")
    editor.remove("bob")
    assert path.read_text() == "".join(TEXT.splitlines(True)[:2] + TEXT.splitlines(True)[3:]) + "bobby:{PLAIN}x\n"


def test_users_tells_name_scheme_and_line(editor: PasswordFileEditor, path: Path) -> None:
    path.write_text(TEXT + "bob:{SHA}x\nno colon\ndave:planted\n")
    assert editor.users() == [
        ListedUser("bob", "PLAIN", 3),
        ListedUser("carol", "APR1", 4),
        ListedUser("dave", "", 8),
    ]


def test_the_server_reads_what_was_written(editor: PasswordFileEditor, path: Path) -> None:
    users = PasswordFile(path)
    editor.add("alice", schemes.make("a pass: wörd"))
    credentials = Credentials("USER", "alice", PasswordProof("a pass: wörd"))
    assert answer(users.authenticate(credentials, ClientFacts())).user == "alice"
    assert users.check() == []


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new"
    PasswordFileEditor(str(path)).add("alice", "{PLAIN}x")
    assert path.read_text() == "alice:{PLAIN}x\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_made_where_there_is_nothing_to_change(tmp_path: Path) -> None:
    editor = PasswordFileEditor(str(tmp_path / "new"))
    for change in (lambda: editor.replace("alice", "{PLAIN}x"), lambda: editor.remove("alice"), editor.users):
        with pytest.raises(FileNotFoundError):
            change()
    assert list(tmp_path.iterdir()) == []


def test_mode_stays_and_a_link_is_followed(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to("users")
    PasswordFileEditor(str(link)).add("alice", "{PLAIN}x")
    assert link.is_symlink()
    assert path.read_text().endswith("alice:{PLAIN}x\n")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have a file of another owner")
def test_the_owner_stays(editor: PasswordFileEditor, path: Path) -> None:
    os.chown(path, 12345, 23456)
    editor.add("alice", "{PLAIN}x")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_line_ends_stay(path: Path, editor: PasswordFileEditor, end: str) -> None:
    path.write_bytes(b"# a\r\nbob:{PLAIN}old:1::\r\ncarol:{PLAIN}x" + end.encode())
    editor.replace("bob", "{PLAIN}new")
    assert path.read_bytes() == b"# a\r\nbob:{PLAIN}new:1::\r\ncarol:{PLAIN}x" + end.encode()
    editor.add("dave", "{PLAIN}y")
    assert path.read_bytes() == (
        b"# a\r\nbob:{PLAIN}new:1::\r\ncarol:{PLAIN}x" + (end or "\n").encode() + b"dave:{PLAIN}y\n"
    )


def test_octets_that_are_no_utf_8_stay(path: Path, editor: PasswordFileEditor) -> None:
    path.write_bytes(b"# caf\xe9\nbob:{PLAIN}p\xe4ss\n")
    editor.add("alice", "{PLAIN}x")
    assert path.read_bytes() == b"# caf\xe9\nbob:{PLAIN}p\xe4ss\nalice:{PLAIN}x\n"


def test_who_is_there_already_and_who_is_not(editor: PasswordFileEditor, path: Path) -> None:
    with pytest.raises(NameTaken, match="bob is already there, in line 3"):
        editor.add("BOB", "{PLAIN}x")
    with pytest.raises(NameUnknown, match="alice is not in"):
        editor.replace("alice", "{PLAIN}x")
    with pytest.raises(NameUnknown, match="alice is not in"):
        editor.remove("alice")
    assert path.read_text() == TEXT


@pytest.mark.parametrize("user", ["", "a:b", "a\nb", "a/b", ".a", "#a", "a\0b", " a", "\udcff"])
def test_a_name_that_would_break_the_file_is_refused(editor: PasswordFileEditor, path: Path, user: str) -> None:
    changes: list[Callable[[], None]] = [
        lambda: editor.add(user, "{PLAIN}x"),
        lambda: editor.replace(user, "{PLAIN}x"),
        lambda: editor.remove(user),
    ]
    for change in changes:
        with pytest.raises(ValueError, match="the name"):
            change()
    assert path.read_text() == TEXT


@pytest.mark.parametrize("stored", ["{PLAIN}a:b", "{PLAIN}a\nroot:{PLAIN}x", "planted", "", "{PLAIN}", "{PLAIN}a\x07"])
def test_a_stored_password_that_would_break_the_file_is_refused(
    editor: PasswordFileEditor, path: Path, stored: str
) -> None:
    with pytest.raises(ValueError) as refusal:
        editor.add("alice", stored)
    assert "planted" not in str(refusal.value)
    with pytest.raises(ValueError):
        editor.replace("bob", stored)
    assert path.read_text() == TEXT


def test_names_follow_the_rule_of_the_user_base(path: Path) -> None:
    editor = PasswordFileEditor(str(path), NameRule(default_domain="example.org"))
    editor.add("alice", "{PLAIN}x")
    assert path.read_text().endswith("\nalice@example.org:{PLAIN}x\n")
    editor.replace("bob@example.org", "{PLAIN}new")
    assert "Bob:{PLAIN}new:1000" in path.read_text()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "replace", "remove"]), st.sampled_from("abcd"), st.integers(0, 9))))
def test_edits_against_a_model(tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str, int]]) -> None:
    path = tmp_path_factory.mktemp("model") / "users"
    path.write_text("# head\n")
    editor = PasswordFileEditor(str(path))
    model: dict[str, str] = {}
    for verb, user, number in edits:
        stored = f"{{PLAIN}}{number}"
        try:
            if verb == "add":
                editor.add(user, stored)
                assert user not in model
                model[user] = stored
            elif verb == "replace":
                editor.replace(user, stored)
                assert user in model
                model[user] = stored
            else:
                editor.remove(user)
                del model[user]
        except NameTaken:
            assert user in model
        except NameUnknown:
            assert user not in model
    assert path.read_text() == "# head\n" + "".join(f"{user}:{stored}\n" for user, stored in model.items())


EDIT = """
import sys
from poplin.authentication.password_editing import PasswordFileEditor
editor = PasswordFileEditor(sys.argv[1])
for number in range(int(sys.argv[3])):
    editor.add(f"{sys.argv[2]}{number}", "{PLAIN}x")
"""


def start(path: Path, name: str, users: int) -> subprocess.Popen[bytes]:
    """A process that adds so many users, one by one."""
    return subprocess.Popen([sys.executable, "-c", EDIT, str(path), name, str(users)])


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait()


def test_editors_at_the_same_time_lose_nothing(path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    children += [start(path, name, 25) for name in ("x", "y", "z")]
    threads = [threading.Thread(target=PasswordFileEditor(str(path)).add, args=(f"t{n}", "{PLAIN}x")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [child.wait(60) for child in children] == [0, 0, 0]
    names = {user.user for user in PasswordFileEditor(str(path)).users()}
    expected = {f"{name}{number}" for name in "xyz" for number in range(25)} | {f"t{number}" for number in range(8)}
    assert names == expected | {"bob", "carol"}
    assert path.read_text().startswith(TEXT)
    assert leftovers(path) == []


def test_two_editors_make_one_new_file(tmp_path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    path = tmp_path / "users"
    children += [start(path, name, 3) for name in ("x", "y")]
    assert [child.wait(60) for child in children] == [0, 0]
    assert len(PasswordFileEditor(str(path)).users()) == 6


def test_a_killed_editor_leaves_a_whole_file_and_no_lock(path: Path, children: list[subprocess.Popen[bytes]]) -> None:
    added = 0
    for turn in range(8):
        child = start(path, f"k{turn}-", 1_000_000)
        children.append(child)
        deadline = time.monotonic() + 30
        while path.read_text().count("\n") <= added + 5 + turn:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
        child.wait()
        text = path.read_text()
        assert text.startswith(TEXT)
        assert text.endswith("\n")
        assert PasswordFile(path).check() == []
        added = text.count("\n") - 5
    editor = PasswordFileEditor(str(path))
    editor.add("after", "{PLAIN}x")
    assert "after" in {user.user for user in editor.users()}
    assert leftovers(path) == []


def test_a_full_disk_leaves_the_old_file(path: Path) -> None:
    program = (
        "import resource, signal, sys\n"
        "from poplin.authentication.password_editing import PasswordFileEditor\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n"
        "    PasswordFileEditor(sys.argv[1]).add('alice', '{PLAIN}x')\n"
        "except OSError as failure:\n"
        "    print(failure.strerror)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(path)], check=True, capture_output=True, text=True)
    assert run.stdout == "File too large\n"
    assert path.read_text() == TEXT
    assert leftovers(path) == []


def test_another_program_that_holds_the_lock_is_waited_for_and_not_for_ever(
    path: Path, editor: PasswordFileEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(password_editing, "_PATIENCE", 0.1)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(TemporaryFailure, match="another program is editing it"):
            editor.add("alice", "{PLAIN}x")
    editor.add("alice", "{PLAIN}x")
    assert len(editor.users()) == 3


def test_a_planted_temporary_file_is_not_followed(path: Path, editor: PasswordFileEditor, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.with_name(".users.poplin-new").symlink_to(victim)
    editor.add("alice", "{PLAIN}x")
    assert victim.read_text() == "precious"
    assert not path.is_symlink()


def test_no_descriptor_is_left_open(path: Path, editor: PasswordFileEditor) -> None:
    before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
    editor.add("alice", "{PLAIN}x")
    with pytest.raises(NameTaken):
        editor.add("alice", "{PLAIN}x")
    with pytest.raises(NameUnknown):
        editor.remove("mallory")
    assert (sorted(os.listdir("/proc/self/fd")) if before else []) == before
