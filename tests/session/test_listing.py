"""Message-numbers, marks and totals, against a plain model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.errors import SessionError
from poplin.maildrops.base import Entry, Scan
from poplin.protocol.texts import say
from poplin.session.listing import Listing, MessageMarked, NoSuchMessage

SIZES = [100, 200, 300]


def listing(sizes: list[int] | None = None) -> Listing:
    found = SIZES if sizes is None else sizes
    return Listing(Scan([f"uid-{number}" for number in range(1, len(found) + 1)], found))


def test_numbers_begin_at_one() -> None:
    found = listing()
    assert found.entry(1) == Entry("uid-1", 100, "uid-1")
    assert found.entry(3).unique_id == "uid-3"
    assert (found.count, found.octets, found.marked) == (3, 600, 0)
    assert found.list_body() == b"1 100\r\n2 200\r\n3 300\r\n"
    assert found.uidl_body() == b"1 uid-1\r\n2 uid-2\r\n3 uid-3\r\n"


def test_a_marked_message_is_in_no_answer() -> None:
    found = listing()
    found.mark(2)
    assert (found.count, found.octets, found.marked) == (2, 400, 1)
    assert found.list_body() == b"1 100\r\n3 300\r\n"
    assert found.uidl_body() == b"1 uid-1\r\n3 uid-3\r\n"
    assert found.entry(3).unique_id == "uid-3", "numbers do not shift"
    for ask in (found.check, found.entry, found.mark):
        with pytest.raises(MessageMarked) as caught:
            ask(2)
        assert say(caught.value.text_id, caught.value.fields) == "message 2 is marked for removal"
    assert [entry.unique_id for entry in found.marked_entries()] == ["uid-2"]


def test_a_number_beyond_the_last() -> None:
    with pytest.raises(NoSuchMessage) as caught:
        listing().check(4)
    assert say(caught.value.text_id, caught.value.fields) == "no such message, only 3 in the maildrop"
    with pytest.raises(NoSuchMessage) as caught:
        listing([]).check(1)
    assert say(caught.value.text_id, caught.value.fields) == "no such message, the maildrop is empty"
    assert isinstance(caught.value, SessionError)


def test_reset_unmarks_everything() -> None:
    found = listing()
    found.mark(1)
    found.mark(3)
    assert found.reset() == 2
    assert found.reset() == 0
    assert (found.count, found.octets, found.marked_entries()) == (3, 600, [])


def test_what_is_removed_comes_in_message_order() -> None:
    found = listing()
    for number in (3, 1):
        found.mark(number)
    assert [entry.unique_id for entry in found.marked_entries()] == ["uid-1", "uid-3"]


def test_unknown_sizes_are_taken_in_later() -> None:
    found = Listing(Scan(["a", "b"], None))
    assert (found.measured, found.octets_of(1)) == (False, 0)
    found.mark(1)
    found.measure([10, 20])
    assert (found.measured, found.octets_of(2)) == (True, 20)
    assert (found.count, found.octets, found.octets_of(1)) == (1, 20, 10)
    found.reset()
    assert found.octets == 30
    assert found.uidl_body() == b"1 a\r\n2 b\r\n"


def test_a_wrong_size_is_corrected_in_this_session_alone() -> None:
    scan = Scan(["a", "b"], [10, 20])
    ours, theirs = Listing(scan), Listing(scan)
    assert scan.list_body == b"1 10\r\n2 20\r\n"
    ours.mark(2)
    ours.correct(2, 25)
    assert ours.octets == 10
    ours.reset()
    assert (ours.octets, ours.list_body()) == (35, b"1 10\r\n2 25\r\n")
    assert (theirs.octets, theirs.list_body()) == (30, b"1 10\r\n2 20\r\n"), "a scan may be shared"
    unmeasured = Listing(Scan(["a"], None))
    unmeasured.correct(1, 5)
    assert not unmeasured.measured


@given(st.lists(st.integers(0, 10**9), max_size=8), st.lists(st.integers(0, 10), max_size=20))
def test_whatever_is_marked_numbers_and_totals_hold(sizes: list[int], steps: list[int]) -> None:
    """0 resets; any other number is marked, if it can be."""
    found = listing(sizes)
    marked: set[int] = set()
    for number in steps:
        if number == 0:
            assert found.reset() == len(marked)
            marked.clear()
        elif number > len(sizes) or number in marked:
            with pytest.raises(SessionError):
                found.mark(number)
        else:
            found.mark(number)
            marked.add(number)
        left = {place: size for place, size in enumerate(sizes, 1) if place not in marked}
        assert (found.count, found.octets, found.marked) == (len(left), sum(left.values()), len(marked))
        assert found.list_body() == b"".join(b"%d %d\r\n" % row for row in left.items())
        assert found.uidl_body() == b"".join(b"%d uid-%d\r\n" % (place, place) for place in left)
        assert [entry.unique_id for entry in found.marked_entries()] == [f"uid-{place}" for place in sorted(marked)]
