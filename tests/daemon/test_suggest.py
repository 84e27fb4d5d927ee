"""Near names: one slip or two, never a far guess."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.daemon import schema
from poplin.daemon.suggest import ALIASES, distance, nearest


@pytest.mark.parametrize(
    ("left", "right", "slips"),
    [("tls", "tls", 0), ("tsl", "tls", 1), ("certficate", "certificate", 1), ("hostnmae", "hostname", 1),
     ("greting", "greeting", 1), ("autologuot", "autologout", 1), ("abc", "xyz", 3), ("", "abc", 3), ("ca", "abc", 3)],
)  # fmt: skip
def test_slips_are_counted(left: str, right: str, slips: int) -> None:
    assert distance(left, right) == slips


@given(st.text(max_size=8), st.text(max_size=8))
def test_distance_is_the_same_both_ways_and_zero_only_for_the_same(left: str, right: str) -> None:
    assert distance(left, right) == distance(right, left)
    assert (distance(left, right) == 0) == (left == right)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("sevre", "serve"),
        ("serv", "serve"),
        ("usr", "user"),
        ("xyzzy", None),
        ("us", None),
        ("hepl", "help"),
        ("h", None),
    ],
)
def test_a_far_guess_is_no_guess(word: str, meant: str | None) -> None:
    assert nearest(word, ["serve", "user", "help", "config"]) == meant


@pytest.mark.parametrize("meant", sorted(set(ALIASES.values())))
def test_aliases_lead_to_keys_that_exist(meant: str) -> None:
    assert schema.find(meant) is not None
