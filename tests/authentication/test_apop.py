from __future__ import annotations

import pytest

from poplin.authentication.apop import apop_matches

TIMESTAMP = "<1896.697170952@dbc.mtview.ca.us>"
DIGEST = "c4c9334bac560ecc979e58001b3e22fb"


def test_the_example_of_rfc_1939_section_7() -> None:
    assert apop_matches(DIGEST, TIMESTAMP, "tanstaaf")
    assert apop_matches(DIGEST, TIMESTAMP, b"tanstaaf")


@pytest.mark.parametrize("digest", ["", DIGEST[:-1], DIGEST + "0", DIGEST.upper(), "0" * 32, "ü" * 32, "\udcff" * 32])
def test_another_digest_does_not_match(digest: str) -> None:
    assert not apop_matches(digest, TIMESTAMP, "tanstaaf")


@pytest.mark.parametrize("secret", [None, "", b""])
def test_without_a_secret_nothing_matches(secret: str | bytes | None) -> None:
    import hashlib

    assert not apop_matches(hashlib.md5(TIMESTAMP.encode()).hexdigest(), TIMESTAMP, secret)


def test_octets_of_a_secret_are_taken_as_they_are() -> None:
    assert apop_matches("d0d4ba2eba2a52ac9a3dbb8ac45d6f96", TIMESTAMP, "\udce4") == apop_matches(
        "d0d4ba2eba2a52ac9a3dbb8ac45d6f96", TIMESTAMP, b"\xe4"
    )
