"""Single message files: counted exactly, opened safely, found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.maildrops import NASTY, check_form, reference_wire
from maildrops.disk import no_descriptors
from poplin.content import Form, examine
from poplin.errors import MessageUnreadable, PermanentFailure, TemporaryFailure
from poplin.maildrops.maildir_files import (
    EXAMINED,
    Budget,
    Facts,
    Tally,
    TooMuch,
    base_of,
    examine_file,
    failure,
    measure,
    open_message,
    read_all,
)

MESSAGES = st.binary(max_size=40) | st.text("\r\n.ab", max_size=40).map(str.encode)


@given(pieces=st.lists(MESSAGES, max_size=6))
def test_a_tally_counts_like_the_whole_wherever_the_cuts_are(pieces: list[bytes]) -> None:
    tally = Tally()
    for piece in pieces:
        tally.feed(piece)
    assert tally.result() == examine(b"".join(pieces))


@pytest.mark.parametrize("message", [b"", b"\r\n.\r\n", b".\r", b"a\r\n.b\nc\r.", b"\n.\n"])
def test_a_tally_of_single_octets(message: bytes) -> None:
    tally = Tally()
    for octet in message:
        tally.feed(bytes([octet]))
    octets, form = tally.result()
    assert octets == len(reference_wire(message))
    check_form(form, message)


@pytest.mark.parametrize("name", NASTY)
def test_a_file_is_examined_octet_by_octet(tmp_path: Path, name: str) -> None:
    file = tmp_path / "message"
    file.write_bytes(NASTY[name])
    descriptor = open_message(str(file))
    try:
        facts = examine_file(descriptor)
    finally:
        os.close(descriptor)
    assert facts.octets == len(reference_wire(NASTY[name]))
    assert facts.raw == len(NASTY[name])
    assert facts.mtime == file.stat().st_mtime_ns
    assert facts.form & EXAMINED
    check_form(Form(facts.form & ~EXAMINED), NASTY[name])


@pytest.mark.parametrize("expected", [0, 3, 9, 10, 11, 500_000])
def test_a_file_is_read_whole_whatever_size_was_expected(tmp_path: Path, expected: int) -> None:
    file = tmp_path / "message"
    file.write_bytes(b"0123456789")
    descriptor = open_message(str(file))
    try:
        assert read_all(descriptor, expected) == b"0123456789"
    finally:
        os.close(descriptor)


def test_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "link").symlink_to("secret")
    with pytest.raises(MessageUnreadable):
        open_message(str(tmp_path / "link"))
    assert measure(str(tmp_path / "link"), "link", None) is None


def test_a_fifo_is_no_message_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert measure(str(tmp_path / "fifo"), "fifo,W=5", None) is None


def test_a_directory_is_no_message(tmp_path: Path) -> None:
    assert measure(str(tmp_path), "directory", None) is None


def test_an_absent_file_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        measure(str(tmp_path / "absent"), "absent", None)


def test_no_descriptors_is_a_temporary_failure(tmp_path: Path) -> None:
    (tmp_path / "message").write_text("message\n")
    with no_descriptors(), pytest.raises(TemporaryFailure):
        measure(str(tmp_path / "message"), "message", None)


@pytest.mark.parametrize(
    ("body", "base", "believed"),
    [
        (b"a\nb\n", "1.host,S=4,W=6", True),
        (b"a\nb\n", "1.host,W=6", True),
        (b"a\nb\n", "1.host,W=6,S=4", True),
        (b"a\nb\n", "1.host,S=5,W=6", False),  # another size: the name was not made for this file
        (b"a\nb", "1.host,S=3,W=4", False),  # W does not count the line end that is added
        (b"a\nb\n", "1.host,S=4", False),
        (b"a\nb\n", "1.host,W=3", False),  # shorter than the file
        (b"a\nb\n", "1.host,W=9", False),  # longer than all its octets doubled
        (b"a\nb\n", "1.host,W=6x", False),
        (b"a\nb\n", "1.host.W=6", False),
        (b"", "1.host,S=0,W=0", False),
    ],
)
def test_when_the_figures_of_a_name_are_believed(tmp_path: Path, body: bytes, base: str, *, believed: bool) -> None:
    (tmp_path / base).write_bytes(body)
    facts = measure(str(tmp_path / base), base, None)
    assert facts is not None
    assert facts.octets == len(reference_wire(body))
    assert bool(facts.form & EXAMINED) is not believed


def test_a_budget_ends_the_work_before_it_is_exceeded(tmp_path: Path) -> None:
    file = tmp_path / "message"
    file.write_bytes(b"x" * 99 + b"\n")
    with pytest.raises(TooMuch):
        measure(str(file), "message", Budget(entries=1, files=0, octets=1000))
    with pytest.raises(TooMuch):
        measure(str(file), "message", Budget(entries=1, files=1, octets=99))
    budget = Budget(entries=1, files=1, octets=100)
    assert measure(str(file), "message", budget) == Facts(
        101, 100, file.stat().st_mtime_ns, EXAMINED | Form.LF | Form.UNDOTTED
    )
    assert (budget.files, budget.octets) == (0, 0)
    assert measure(str(file), "message,W=101", Budget(entries=1, files=1, octets=0)) is not None


@pytest.mark.parametrize(
    ("place", "base"), [("new/1.x", "1.x"), ("cur/1.x:2,S", "1.x"), ("cur/:2,", ""), ("cur/a:b:2,", "a")]
)
def test_the_base_name(place: str, base: str) -> None:
    assert base_of(place) == base


def test_a_failure_is_permanent_unless_it_may_pass() -> None:
    assert isinstance(failure(OSError(28, "No space left"), "x"), TemporaryFailure)
    assert isinstance(failure(OSError(13, "Permission denied"), "x"), PermanentFailure)
    assert "x: odd" in str(failure(OSError("odd"), "x"))
