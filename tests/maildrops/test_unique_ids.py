"""Unique-ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.maildrops.unique_ids import is_unique_id, lasting_unique_id

VALID = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=70)


def allowed(text: str) -> bool:
    return 1 <= len(text) <= 70 and all(0x21 <= ord(character) <= 0x7E for character in text)


@given(st.text(max_size=80) | st.text(st.characters(max_codepoint=0x80), max_size=80))
def test_a_unique_id_is_what_the_rfc_says(text: str) -> None:
    assert is_unique_id(text) == allowed(text)


@pytest.mark.parametrize("octet", range(0x100))
def test_each_octet(octet: int) -> None:
    assert is_unique_id(f"a{chr(octet)}b") == (0x21 <= octet <= 0x7E)


@given(VALID)
def test_a_name_that_is_one_stays(name: str) -> None:
    assert lasting_unique_id(name) == lasting_unique_id(name.encode()) == name


@given(st.binary(max_size=100))
def test_any_octets_have_one(name: bytes) -> None:
    unique_id = lasting_unique_id(name)
    assert allowed(unique_id)
    assert unique_id == lasting_unique_id(name.decode("utf-8", "surrogateescape"))


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_two_names_have_two(one: bytes, other: bytes) -> None:
    assert (lasting_unique_id(one) == lasting_unique_id(other)) == (one == other)


def test_the_hashed_form_is_the_same_for_ever() -> None:
    assert lasting_unique_id("") == "sha256-47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    assert lasting_unique_id("with space") == "sha256-uLjyWl_HEcrqHP6_4CNZ484rmo-c4C0Y_csbpH_wlfE"
    assert lasting_unique_id("x" * 71) == lasting_unique_id(b"x" * 71)
    assert lasting_unique_id("\ud800 half a pair").startswith("sha256-")


def test_a_name_of_the_hashed_form_is_hashed_again() -> None:
    hashed = lasting_unique_id("")
    assert lasting_unique_id(hashed) != hashed
    assert lasting_unique_id(hashed.encode()) == lasting_unique_id(hashed)
    assert lasting_unique_id("sha256-short") == "sha256-short"
