from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from poplin.authentication import crypt_hashes

# Made by crypt_gensalt and crypt of libxcrypt 4.4, password "secret".
needs_libcrypt = pytest.mark.skipif(
    crypt_hashes.missing("YESCRYPT") is not None, reason="no libcrypt (libxcrypt) on this system"
)


def libpass_hash(name: str) -> str:
    passlib = pytest.importorskip("passlib.hash")
    made: str = getattr(passlib, name).hash("secret")
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
    try:
        made = subprocess.run(
            ["openssl", "passwd", flag, "-stdin"], input="secret\n", check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    written = made.stdout.strip()
    assert crypt_hashes.name_of(written) == name
    assert crypt_hashes.check_hash(written, b"secret")
    assert not crypt_hashes.check_hash(written, b"Secret")


@needs_libcrypt
@pytest.mark.parametrize(
    "written",
    [
        "$y$j9T$abcdabcd$xhAbzK6ndtOcS9lcc6DiRhJAGIGzHJ5GQyFxx1Eh5f9",
        "$gy$j9T$abcdabcd$",
        "$7$CU..../....abcdabcd$",
    ],
)
def test_libcrypt_checks_what_libpass_does_not_know(written: str) -> None:
    made = crypt_by_libcrypt(written)
    crypt_hashes.validate_hash(made)
    assert crypt_hashes.check_hash(made, b"secret")
    assert not crypt_hashes.check_hash(made, b"secreT")


def crypt_by_libcrypt(setting: str) -> str:
    """The hash by the system's own crypt(3), through Perl, which every Debian has."""
    program = "print crypt('secret', $ARGV[0])"
    try:
        made = subprocess.run(["perl", "-e", program, setting], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("perl is not installed")
    if not made.stdout.startswith(setting[:4]):
        pytest.skip("this libcrypt was built without the scheme")
    return made.stdout


@needs_libcrypt
def test_threads_do_not_share_a_buffer() -> None:
    hashes = [crypt_by_libcrypt(f"$y$j75$saltsalt{letter}$") for letter in "abcdefgh"]
    with ThreadPoolExecutor(4) as pool:
        right = list(pool.map(lambda written: crypt_hashes.check_hash(written, b"secret"), hashes * 4))
        wrong = list(pool.map(lambda written: crypt_hashes.check_hash(written, b"other"), hashes * 4))
    assert all(right)
    assert not any(wrong)


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
