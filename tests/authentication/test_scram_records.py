from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from poplin.authentication import scram_records
from poplin.authentication.scram_records import ScramRecord, check_password, make_record, parse_record


def test_the_example_of_rfc_7677() -> None:
    """Section 3: user, password "pencil"; the client's proof and the server's signature follow from the record."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    verifier = base64.b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", salt, 4096)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    record = ScramRecord("sha256", 4096, salt, stored_key, server_key)
    assert check_password(record, "pencil")
    assert not check_password(record, "pencils")
    assert hmac.digest(record.server_key, message, "sha256") == verifier
    signature = hmac.digest(record.stored_key, message, "sha256")
    key = bytes(one ^ other for one, other in zip(proof, signature, strict=True))
    assert hashlib.sha256(key).digest() == record.stored_key


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_a_record_survives_being_written(digest: str) -> None:
    record = make_record("pencil", digest, 4096)
    assert parse_record(str(record), digest) == record
    assert check_password(parse_record(str(record), digest), "pencil")


def test_a_new_record_has_the_server_key_of_rfc_5802() -> None:
    record = make_record("p\u00e4ss", "sha256", 100)
    salted = hashlib.pbkdf2_hmac("sha256", "p\u00e4ss".encode(), record.salt, 100)
    assert record.server_key == hmac.digest(salted, b"Server Key", "sha256")


def test_a_password_is_prepared_however_it_was_typed() -> None:
    record = make_record("pa\u0308ss\u00a0word", "sha256", 100)
    assert check_password(record, "p\u00e4ss word")
    assert check_password(record, "pa\u0308ss\u3000word")


def test_a_record_made_without_saslprep_still_works() -> None:
    salt = b"0123456789abcdef"
    raw = "\ufb01sh\u00aa"
    salted = hashlib.pbkdf2_hmac("sha256", raw.encode(), salt, 100)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    record = ScramRecord("sha256", 100, salt, stored_key, b"x" * 32)
    assert check_password(record, raw)
    assert not check_password(record, "fish")


def test_octets_that_are_no_utf_8_are_only_wrong() -> None:
    assert not check_password(make_record("pencil", "sha256", 100), "\udcff\udc80")


def test_too_many_iterations_are_refused() -> None:
    record = str(make_record("pencil", "sha256", 100))
    with pytest.raises(ValueError, match="iterations"):
        parse_record(record.replace("100", str(scram_records.MOST_ITERATIONS + 1), 1), "sha256")


def test_nothing_of_a_record_is_shown() -> None:
    record = make_record("pencil")
    parts = str(record).split(",")[1:]
    assert not [part for part in parts if part in repr(record) or repr(base64.b64decode(part)) in repr(record)]
