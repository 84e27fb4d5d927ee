from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from poplin.authentication import crypt_hashes
from support.programs import require

# Made by crypt(3) of libxcrypt 4.4, password "secret".
YESCRYPT = "$y$j9T$abcdabcd$zDOLZD6iaQcDoBPgOVYQx99Bj8hWTJvzqk9bOnkQKW5"
GOST = "$gy$j9T$abcdabcd$0ZsYlDVG0WXfX6w5vrJm1aacLu6LwLiudmUWPdi7Jt5"
SCRYPT = "$7$C6..../....abcdabcd$KMw9W7JA7AYDt/kFAC.YXK/jm4stBE40he0GBO81NU9"

needs_libcrypt = pytest.mark.skipif(
    crypt_hashes.missing("YESCRYPT") is not None, reason="no libcrypt (libxcrypt) on this system"
)


def libpass_hash(name: str) -> str:
    passlib = pytest.importorskip("passlib.hash")
    handler = getattr(passlib, name)
    cheapest = {"rounds": handler.min_rounds} if "rounds" in handler.setting_kwds else {}
    made: str = handler.using(**cheapest).hash("secret")
    return made


@pytest.mark.parametrize(
    "name",
    [
        *("md5_crypt", "apr_md5_crypt", "bcrypt", "argon2", "scrypt", "phpass", "des_crypt", "bsdi_crypt"),
        *("sun_md5_crypt", "pbkdf2_sha1", "pbkdf2_sha256", "pbkdf2_sha512", "bcrypt_sha256", "dlitz_pbkdf2_sha1"),
        "sha1_crypt",
    ],
)
def test_every_kind_that_libpass_makes(name: str) -> None:
    written = libpass_hash(name)
    assert crypt_hashes.name_of(written) is not None
    crypt_hashes.validate_hash(written)
    assert crypt_hashes.check_hash(written, b"secret")
    assert not crypt_hashes.check_hash(written, b"secreT")
    assert not crypt_hashes.check_hash(written, b"secret\0")


@pytest.mark.parametrize(
    ("flag", "name"), [("-1", "MD5-CRYPT"), ("-5", "SHA256-CRYPT"), ("-6", "SHA512-CRYPT"), ("-apr1", "APR1")]
)
def test_what_openssl_makes(flag: str, name: str) -> None:
    require("openssl")
    made = subprocess.run(
        ["openssl", "passwd", flag, "-stdin"], input="secret\n", check=True, capture_output=True, text=True
    )
    written = made.stdout.strip()
    assert crypt_hashes.name_of(written) == name
    assert crypt_hashes.check_hash(written, b"secret")
    assert not crypt_hashes.check_hash(written, b"Secret")


@needs_libcrypt
@pytest.mark.parametrize("written", [YESCRYPT, GOST, SCRYPT])
def test_libcrypt_checks_what_libpass_does_not_know(written: str) -> None:
    crypt_hashes.validate_hash(written)
    assert crypt_hashes.check_hash(written, b"secret")
    assert not crypt_hashes.check_hash(written, b"secreT")
    assert not crypt_hashes.check_hash(written, b"secret\0")


@needs_libcrypt
def test_threads_do_not_share_a_buffer() -> None:
    def check(password: bytes) -> tuple[bytes, bool]:
        return password, crypt_hashes.check_hash(YESCRYPT, password)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(check, [b"secret", b"other"] * 16))
    assert [right for password, right in answers if password == b"secret"] == [True] * 16
    assert [right for password, right in answers if password == b"other"] == [False] * 16


@pytest.mark.parametrize(
    "written",
    ["planted", "$y$planted", "$2b$12$planted", "$6$", "$argon2id$planted", "$1$", "$scrypt$planted", "$apr1$"],
)
def test_broken_hashes_are_found_and_not_quoted(written: str) -> None:
    with pytest.raises(ValueError) as refusal:
        crypt_hashes.validate_hash(written)
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize(
    "written", ["planted", "$2b$12$planted", "$argon2id$planted", "$y$planted", "$5$rounds=planted"]
)
def test_checking_a_broken_hash_is_an_error_that_quotes_nothing(written: str) -> None:
    with pytest.raises(ValueError) as refusal:
        crypt_hashes.check_hash(written, b"secret")
    assert "planted" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_bcrypt_reads_72_octets_as_its_makers_did() -> None:
    passlib = pytest.importorskip("passlib.hash")
    written = passlib.bcrypt.using(rounds=4).hash("x" * 72)
    assert crypt_hashes.check_hash(written, b"x" * 72)
    assert crypt_hashes.check_hash(written, b"x" * 80)
    assert not crypt_hashes.check_hash(written, b"x" * 71)


def test_nothing_is_missing_here() -> None:
    assert crypt_hashes.missing("SHA512-CRYPT") is None
