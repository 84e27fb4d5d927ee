"""The survey: listing, order, and the surveys kept in memory."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.maildrops import opened, request, run, scanned
from maildrops.disk import Mailbox
from poplin.maildrops.base import Ending, Scan
from poplin.maildrops.maildir import Maildirs
from poplin.maildrops.maildir_files import UNKNOWN_RAW, Budget, TooMuch
from poplin.maildrops.maildir_listing import find, in_order, list_places, places_by_base, stamps_of, unique_ids_of
from poplin.maildrops.maildir_scan import Surveys, survey
from poplin.maildrops.unique_ids import lasting_unique_id


@pytest.fixture
def box(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes a minute ahead, so that no directory counts as changed just now."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60_000_000_000)


def scan_of(maildirs: Maildirs, user: str = "alice") -> Scan:
    """The scan of one short session."""

    async def session() -> Scan:
        async with opened(maildirs, user) as maildrop:
            return await scanned(maildrop)

    return run(session)


@pytest.mark.usefixtures("later")
def test_an_unchanged_maildir_has_the_same_scan_again(box: Mailbox) -> None:
    for number in range(5):
        box.put(b"%d\n" % number)
    maildirs = box.maildirs()
    first = scan_of(maildirs)
    assert scan_of(maildirs) is first
    text = first.uidl_body
    assert scan_of(maildirs).uidl_body is text, "answers are made once"


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("change", ["delivery", "removal", "both"])
def test_a_changed_maildir_is_looked_at_again(box: Mailbox, change: str) -> None:
    places = [box.put(b"%d\n" % number) for number in range(3)]
    maildirs = box.maildirs()
    first = list(scan_of(maildirs).unique_ids)
    expected = list(first)
    if change != "delivery":
        places[0].unlink()
        del expected[0]
    if change != "removal":
        expected.append(box.put(b"new\n").name)
    assert list(scan_of(maildirs).unique_ids) == expected


@pytest.mark.usefixtures("later")
def test_changed_flags_change_no_answer(box: Mailbox) -> None:
    box.put(b"message\n")
    maildirs = box.maildirs()
    first = scan_of(maildirs)
    box.flag(box.places()[0], ":2,S")
    assert scan_of(maildirs) is first
    maildrop = maildirs.open(request(box.user))
    scan = maildrop.scan()
    assert isinstance(scan, Scan)
    content = maildrop.retrieve(scan[0])
    assert not asyncio.iscoroutine(content)
    maildrop.close(Ending.QUIT)


def test_a_change_within_the_clocks_grain_is_not_missed(box: Mailbox) -> None:
    """Each turn changes a directory right behind the scan, often within one tick of its time stamp."""
    maildirs = box.maildirs()
    for number in range(1, 101):
        box.put(b"%d\n" % number)
        assert len(scan_of(maildirs)) == number


@pytest.mark.usefixtures("later")
def test_a_directorys_time_set_back_hides_nothing(box: Mailbox) -> None:
    box.put(b"message\n")
    before = os.stat(box.path / "new")
    maildirs = box.maildirs()
    assert len(scan_of(maildirs)) == 1
    box.put(b"another\n")
    os.utime(box.path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(scan_of(maildirs)) == 2


@pytest.mark.usefixtures("later")
def test_another_maildir_in_its_place_is_noticed(box: Mailbox, tmp_path: Path) -> None:
    box.put(b"message\n")
    maildirs = box.maildirs()
    assert len(scan_of(maildirs)) == 1
    (tmp_path / "alice").rename(tmp_path / "before")
    assert len(scan_of(maildirs)) == 0


@pytest.mark.usefixtures("later")
def test_memory_is_bounded_and_the_least_used_goes(tmp_path: Path) -> None:
    boxes = {}
    for user in ("alice", "bob", "carol"):
        boxes[user] = Mailbox(tmp_path)
        boxes[user].user = user
        boxes[user].path = tmp_path / user / "Maildir"
        for part in ("tmp", "new", "cur"):
            (boxes[user].path / part).mkdir(parents=True, exist_ok=True)
        for number in range(10):
            boxes[user].put(b"%d\n" % number)
    maildirs = boxes["alice"].maildirs(cached_messages=40)
    alice, bob = scan_of(maildirs, "alice"), scan_of(maildirs, "bob")
    assert scan_of(maildirs, "alice") is alice
    scan_of(maildirs, "carol")
    assert scan_of(maildirs, "alice") is alice
    assert scan_of(maildirs, "bob") is not bob


def test_a_maildir_larger_than_memory_is_served_and_not_kept(box: Mailbox) -> None:
    for number in range(10):
        box.put(b"%d\n" % number)
    maildirs = box.maildirs(cached_messages=5)
    assert len(scan_of(maildirs)) == 10
    assert maildirs.surveys.get(str(box.path)) is None
    assert len(scan_of(maildirs)) == 10


def test_keeping_a_survey_twice_counts_it_once(box: Mailbox) -> None:
    found = survey(str(box.path), None)
    surveys = Surveys(16)
    for _ in range(10):
        surveys.keep("alice", found)
    surveys.keep("bob", found)
    assert surveys.get("alice") is found
    surveys.used("nobody")
    surveys.keep("carol", found)
    assert surveys.get("alice") is None


def test_a_budget_ends_a_survey_early(box: Mailbox) -> None:
    for number in range(10):
        box.put(b"%d\n" % number)
    path = str(box.path)
    for budget in (Budget(9, 99, 99), Budget(10, 9, 99), Budget(10, 99, 5)):
        with pytest.raises(TooMuch):
            survey(path, None, budget)
    assert len(survey(path, None, Budget(10, 10, 99)).scan) == 10
    box.index.write_bytes(bytes(1000))
    with pytest.raises(TooMuch):
        survey(path, None, Budget(10, 10, 999))


def test_what_is_listed_twice_with_a_move_between_is_one(box: Mailbox) -> None:
    box.put(b"message\n", base="1.moved", part="cur", info=":2,S")
    where = places_by_base(str(box.path), ["new/1.moved", "cur/1.moved:2,", "cur/1.moved:2,S"])
    assert where == {"1.moved": "cur/1.moved:2,S"}
    assert places_by_base(str(box.path), ["new/2.gone", "cur/2.gone:2,"]) == {"2.gone": "cur/2.gone:2,"}


def test_a_listing_that_never_finds_peace_keeps_what_it_saw(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename while a directory is read may hide a file from one reading; here, from all but the first."""
    hidden = box.put(b"message\n")
    listdir = os.listdir
    readings = []

    def restless(directory: str) -> list[str]:
        names = listdir(directory)
        if directory.endswith("/new"):
            readings.append(directory)
            os.utime(directory, ns=(0, len(readings)))
            if len(readings) > 1:
                names.remove(hidden.name)
        return names

    monkeypatch.setattr(os, "listdir", restless)
    listing = list_places(str(box.path), None)
    assert listing.places == [f"new/{hidden.name}"]
    assert not listing.quiet
    assert len(readings) == 3
    hidden.unlink()
    readings.clear()
    monkeypatch.undo()
    assert list_places(str(box.path), None).places == []


def test_a_message_that_moves_between_listing_and_measuring_is_found(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, gone = box.put(b"moved\n"), box.put(b"gone\n")
    box.put(b"stays\n")
    opening = os.open

    def late(path: str, flags: int, mode: int = 0o777) -> int:
        if moved.exists():
            box.flag(moved, ":2,S")
            gone.unlink()
        return opening(path, flags, mode)

    monkeypatch.setattr(os, "open", late)
    found = survey(str(box.path), None)
    assert len(found.scan) == 2
    assert found.files.places[0] == f"cur/{moved.name}:2,S"


def test_messages_are_found_by_base_name_in_both_directories(tmp_path: Path) -> None:
    for place in ("new/a", "cur/a:2,S", "cur/b:2,", "new/c", "cur/bb:2,"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("message\n")
    assert find(str(tmp_path), {"a", "b", "absent"}) == ({"a": ["new/a", "cur/a:2,S"], "b": ["cur/b:2,"]}, True)


def test_what_is_not_found_in_a_restless_maildir_is_not_called_gone(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    listdir = os.listdir
    hidden = 10

    def restless(directory: str) -> list[str]:
        nonlocal hidden
        os.utime(directory)
        names = listdir(directory)
        if names and hidden:
            hidden -= 1
            return []
        return names

    box.put(b"message\n", base="1.host")
    found = survey(str(box.path), None)
    monkeypatch.setattr(os, "listdir", restless)
    assert find(str(box.path), {"1.host"}) == ({}, False)
    assert find(str(box.path), {"1.host"}) == ({"1.host": ["new/1.host"]}, True)
    hidden = 10
    assert found.files.look_again(str(box.path), [0]) == (set(), {0})
    assert found.files.look_again(str(box.path), [0]) == (set(), set())


def test_what_is_unreadable_never_reaches_the_index(box: Mailbox) -> None:
    box.put(b"message\n", base="1700000000.host")
    found = survey(str(box.path), None)
    found.files.columns.raws[0] = UNKNOWN_RAW
    assert found.files.known([0])[0] == []


NAMES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="/"), max_size=14)
TIMED = st.builds(lambda number, rest: f"{number}.{rest}", st.integers(0, 1 << 40), NAMES)


def reference_order(base: str) -> tuple[int, str]:
    digits = ""
    for character in base:
        if character not in "0123456789":
            break
        digits += character
    return int(digits or "0"), base


@given(st.sets(NAMES | TIMED | st.builds(lambda n: f"{n}.host", st.integers(10**9, 10**10 - 1))))
def test_the_order_is_total_and_by_time(bases: set[str]) -> None:
    expected = sorted(bases, key=reference_order)
    assert in_order(bases) == expected
    assert in_order(reversed(expected)) == expected


@given(st.lists(NAMES | TIMED))
def test_unique_ids_are_made_name_by_name(bases: list[str]) -> None:
    assert unique_ids_of(bases) == [lasting_unique_id(base) for base in bases]


def test_stamps_say_when_the_last_change_was(box: Mailbox) -> None:
    os.utime(box.path / "new", ns=(0, 5))
    os.utime(box.path / "cur", ns=(0, 1 << 62))
    assert stamps_of(str(box.path)).latest == 1 << 62
