"""SASLprep (RFC 4013): one form for a password, however a keyboard composed it.

SCRAM demands it (RFC 5802 section 2.2). Only the standard library's tables of stringprep (RFC 3454).
"""

from __future__ import annotations

import stringprep
import unicodedata

__all__ = ["saslprep"]

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str, *, stored: bool = False) -> str:
    """`text` prepared; ``stored=True`` also refuses characters that Unicode 3.2 does not know.

    Raises:
        ValueError: a prohibited character, or left-to-right and right-to-left letters mixed
            (RFC 3454 section 6). The exception does not quote the text, which is a password.
    """
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    for character in prepared:
        if any(table(character) for table in _PROHIBITED) or (stored and stringprep.in_table_a1(character)):
            raise ValueError("a character that SASLprep (RFC 4013) does not allow")
    if any(map(stringprep.in_table_d1, prepared)) and (
        any(map(stringprep.in_table_d2, prepared))
        or not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1]))
    ):
        raise ValueError("left-to-right and right-to-left letters mixed in a way that SASLprep does not allow")
    return prepared
