"""From an identity to a path: the only door by which a user's name reaches the file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.errors import PermanentFailure, Refused
from poplin.identity import Identity
from poplin.maildrops.maildir_paths import path_from


@pytest.mark.parametrize(
    ("template", "user", "expected"),
    [
        ("/mail/{user}/Maildir", "alice", "/mail/alice/Maildir"),
        ("/mail/{user}", "alice@example.org", "/mail/alice@example.org"),
        ("/mail/{domain}/{local}", "alice@example.org", "/mail/example.org/alice"),
        ("/mail/{domain}/{local}", "a@b@example.org", "/mail/example.org/a@b"),
        ("/mail/{local}", "alice", "/mail/alice"),
        ("/mail/{user}.{user}", "ünï cöde", "/mail/ünï cöde.ünï cöde"),
        ("/mail/all", "whoever", "/mail/all"),
    ],
)
def test_the_fields(template: str, user: str, expected: str) -> None:
    assert path_from(template)(Identity(user)) == expected


def test_a_relative_template_counts_from_the_directory_of_its_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = path_from("mail/{user}")
    monkeypatch.chdir("/")
    assert path(Identity("alice")) == f"{tmp_path}/mail/alice"


@pytest.mark.parametrize(
    ("template", "expected"), [("{home}/Maildir", "/home/alice/Maildir"), ("/jail{home}/mail", "/jail/home/alice/mail")]
)
def test_home_comes_from_the_user_base(template: str, expected: str) -> None:
    assert path_from(template)(Identity("alice", {"home": "/home/alice"})) == expected


@pytest.mark.parametrize("home", [None, "", "home/alice", "~alice", "/home/\0alice"])
def test_without_an_absolute_home_nothing_is_opened(home: str | None) -> None:
    attributes = {} if home is None else {"home": home}
    with pytest.raises(PermanentFailure, match="no absolute home"):
        path_from("{home}/Maildir")(Identity("alice", attributes))


@pytest.mark.parametrize(
    "template", ["", "/mail/{usr}", "/mail/{}", "/mail/{user", "/mail/user}", "/mail/{{user}}", "/mail/{user.x}", "/\0"]
)
def test_a_template_that_cannot_be_meant_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="path "):
        path_from(template)


@pytest.mark.parametrize("user", ["alice", "alice@", "@example.org", "alice@.", "alice@..", "alice@a/b", "../a@b", "@"])
def test_a_name_without_both_halves_is_refused_where_both_are_asked_for(user: str) -> None:
    with pytest.raises(Refused):
        path_from("/mail/{domain}/{local}")(Identity(user))


@given(st.text(max_size=300))
def test_no_name_leaves_its_directory(user: str) -> None:
    try:
        path = path_from("/mail/{user}/Maildir")(Identity(user))
    except Refused:
        return
    assert os.path.normpath(path) == path == f"/mail/{user}/Maildir"
    assert path.count("/") == 3
    assert path.isprintable()
    assert len(user.encode()) <= 255
    assert not user.startswith(".")
