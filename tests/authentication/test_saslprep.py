from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poplin.authentication.saslprep import saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # RFC 4013 section 3.
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # Its mappings and the bidirectional rule.
        ("a\u00a0b", "a b"),
        ("a\u3000b", "a b"),
        ("a\ufe00b", "ab"),
        ("pa\u0308ss", "p\u00e4ss"),
        ("\u05d0\u05d1", "\u05d0\u05d1"),
        ("\u0627\u06f1\u0628", "\u0627\u06f1\u0628"),
        ("", ""),
    ],
)
def test_prepared(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text",
    [
        "\u0007",  # RFC 4013 section 3: prohibited character
        "\u06271",  # and the bidirectional check
        "a\u0627",
        "a\x7f",
        "a\u0085b",
        "\ue000",
        "\ufdd0",
        "\ufffd",
        "\u2ff0",
        "\u200e",
        "\U000e0001",
        "x\udcff",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError) as refusal:
        saslprep("planted" + text if "\u0627" not in text else text)
    assert "planted" not in str(refusal.value)


def test_what_unicode_3_2_does_not_know_may_be_asked_for_and_not_stored() -> None:
    assert saslprep("\U0001f600") == "\U0001f600"
    with pytest.raises(ValueError, match="does not allow"):
        saslprep("\U0001f600", stored=True)


@given(st.text())
def test_prepared_text_stays_as_it_is(text: str) -> None:
    try:
        once = saslprep(text)
    except ValueError:
        return
    assert saslprep(once) == once


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_plain_ascii_is_untouched(text: str) -> None:
    assert saslprep(text) == text
