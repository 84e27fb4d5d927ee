"""Password hashes that the standard library cannot check: crypt's many, by libpass or the system's libcrypt.

Both are loaded by the first hash that needs them. libpass comes with ``poplin[passwords]``; where it knows
a scheme it is demanded, so that a user base works on every system or on none. libcrypt checks yescrypt and
gost-yescrypt, which libpass does not know, and takes over what libpass would compute in Python, with the
interpreter held for milliseconds.
"""

from __future__ import annotations

import ctypes
import functools
import hmac
import importlib
import re
from typing import Protocol, cast

from poplin.errors import TemporaryFailure

__all__ = ["HashUnavailable", "check_hash", "make_hash", "missing", "name_of", "validate_hash"]

_DES = re.compile(r"[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19}")
_LIBCRYPT_HASH = re.compile(r"\$[a-z0-9]+\$(?:[./0-9A-Za-z]+\$)?[./0-9A-Za-z]*\$[./0-9A-Za-z]{43}")
_CRYPT_OUTPUT = 32_768  # sizeof(struct crypt_data) of libxcrypt, its ABI since 4.0
_BCRYPT_OCTETS = 72

# By how a hash begins: the scheme's name, and libpass's handler ("" = libcrypt).
_PREFIXES: tuple[tuple[str, str, str], ...] = (
    ("$1$", "MD5-CRYPT", "md5_crypt"),
    ("$5$", "SHA256-CRYPT", "sha256_crypt"),
    ("$6$", "SHA512-CRYPT", "sha512_crypt"),
    ("$apr1$", "APR1", "apr_md5_crypt"),
    ("$2a$", "BLF-CRYPT", "bcrypt"),
    ("$2b$", "BLF-CRYPT", "bcrypt"),
    ("$2x$", "BLF-CRYPT", "bcrypt"),
    ("$2y$", "BLF-CRYPT", "bcrypt"),
    ("$argon2", "ARGON2", "argon2"),
    ("$scrypt$", "SCRYPT", "scrypt"),
    ("$P$", "PHPASS", "phpass"),
    ("$H$", "PHPASS", "phpass"),
    ("$sha1$", "SHA1-CRYPT", "sha1_crypt"),
    ("$md5", "SUN-MD5", "sun_md5_crypt"),
    ("$pbkdf2$", "PBKDF2-SHA1", "pbkdf2_sha1"),
    ("$pbkdf2-sha256$", "PBKDF2-SHA256", "pbkdf2_sha256"),
    ("$pbkdf2-sha512$", "PBKDF2-SHA512", "pbkdf2_sha512"),
    ("$bcrypt-sha256$", "BCRYPT-SHA256", "bcrypt_sha256"),
    ("$p5k2$", "P5K2", "dlitz_pbkdf2_sha1"),
    ("$y$", "YESCRYPT", ""),
    ("$gy$", "GOST-YESCRYPT", ""),
    ("$7$", "SCRYPT-7", ""),
)
_LIBCRYPT_ALONE = frozenset({"YESCRYPT", "GOST-YESCRYPT", "SCRYPT-7"})
_BETTER_BY_LIBCRYPT = frozenset({"md5_crypt", "sha256_crypt", "sha512_crypt", "sha1_crypt", "des_crypt", "bsdi_crypt"})
_MADE_BY = {"ARGON2ID": "argon2", "BLF-CRYPT": "bcrypt"}


class HashUnavailable(TemporaryFailure):
    """What could check this hash is not installed: nobody's password is wrong. The text says what to do."""


class _Parsed(Protocol):
    """A hash taken apart by libpass; `checksum` is ``None`` where only salt and cost were given."""

    checksum: str | bytes | None


class _Handler(Protocol):
    """The part of a libpass handler that is used here."""

    def verify(self, secret: bytes, hash: str) -> bool: ...  # noqa: A002  # libpass's word
    def hash(self, secret: bytes) -> str: ...
    def from_string(self, hash: str) -> _Parsed: ...  # noqa: A002  # libpass's word


class _Crypt(Protocol):
    """libcrypt's ``crypt_rn``: phrase, setting, a buffer of the caller's own, its size."""

    def __call__(self, phrase: bytes, setting: bytes, data: object, size: int, /) -> bytes | None: ...


def name_of(text: str) -> str | None:
    """The scheme's name of a bare crypt hash, or ``None`` if it is none that we know."""
    found = _find(text)
    return found and found[0]


def _find(text: str) -> tuple[str, str] | None:
    for prefix, name, handler in _PREFIXES:
        if text.startswith(prefix):
            return name, handler
    if _DES.fullmatch(text):
        return ("BSDI-CRYPT", "bsdi_crypt") if text.startswith("_") else ("DES-CRYPT", "des_crypt")
    return None


def missing(name: str) -> str | None:
    """What has to be installed before a hash of the scheme `name` can be checked; ``None``: nothing."""
    try:
        if name in _LIBCRYPT_ALONE:
            _libcrypt()
        else:
            _libpass("md5_crypt")
    except HashUnavailable as failure:
        return str(failure)
    return None


def validate_hash(text: str) -> None:
    """Look at the form of a bare hash; nothing is computed.

    Raises:
        HashUnavailable: with what to install.
        ValueError: it is no such hash. It is not quoted.
    """
    found = _find(text)
    if found is None:
        raise ValueError("an unknown kind of password hash")
    name, handler = found
    if not handler:
        if not _LIBCRYPT_HASH.fullmatch(text):
            raise ValueError(f"a broken {name} hash")
        return
    try:
        whole = _libpass(handler).from_string(text).checksum is not None
    except (ValueError, TypeError):
        whole = False
    if not whole:
        raise ValueError(f"a broken {name} hash")


def check_hash(text: str, password: bytes, handler: str = "") -> bool:
    """Whether the hash `text` was made of `password`; `handler` names libpass's where `text` alone does not.

    Raises:
        HashUnavailable: with what to install.
        ValueError: `text` is no such hash. It is not quoted.
    """
    if not handler:
        found = _find(text)
        if found is None:
            raise ValueError("an unknown kind of password hash")
        handler = found[1]
    if b"\0" in password:
        # C ends the password there: what follows would not be checked.
        return False
    if not handler:
        made = _crypt(text, password)
        if made is None:
            raise ValueError("a broken crypt hash")
        return made
    libpass = _libpass(handler)
    if handler in _BETTER_BY_LIBCRYPT and missing("YESCRYPT") is None:
        made = _crypt(text, password)
        if made is not None:  # None: this libcrypt was built without the scheme
            return made
    if handler == "bcrypt":
        # bcrypt reads 72 octets. Makers of such hashes cut the rest off without a word, newer libraries
        # refuse: users whose hash was made by a cutting one are let in.
        password = password[:_BCRYPT_OCTETS]
    try:
        return libpass.verify(password, text)
    except (ImportError, RuntimeError):
        # libpass without its backend: argon2-cffi and bcrypt come with the extra too.
        raise HashUnavailable(_INSTALL) from None
    except (ValueError, TypeError):
        raise ValueError(f"a broken {handler} hash") from None


def make_hash(name: str, password: bytes) -> str:
    """A new hash by the scheme `name`, one of those that `_MADE_BY` lists.

    Raises:
        HashUnavailable: with what to install.
        ValueError: the scheme makes no new hashes, or cannot hold this password.
    """
    handler = _MADE_BY.get(name)
    if handler is None:
        raise ValueError(f"no new passwords are made by {name}; choose SCRAM-SHA-256, or {', '.join(_MADE_BY)}")
    if b"\0" in password:
        raise ValueError("the password holds a NUL")
    if handler == "bcrypt" and len(password) > _BCRYPT_OCTETS:
        raise ValueError(f"bcrypt reads {_BCRYPT_OCTETS} octets of a password, and this one is longer")
    try:
        return _libpass(handler).hash(password)
    except (ImportError, RuntimeError):
        raise HashUnavailable(_INSTALL) from None


_INSTALL = "this password hash needs: pip install poplin[passwords]"


@functools.cache
def _libpass(handler: str) -> _Handler:
    """libpass's handler; loading it takes tens of milliseconds, once.

    Raises:
        HashUnavailable: libpass is not installed.
    """
    try:
        module = importlib.import_module("passlib.hash")
    except ImportError:
        raise HashUnavailable(_INSTALL) from None
    return cast("_Handler", getattr(module, handler))


@functools.cache
def _libcrypt() -> _Crypt:
    """``crypt_rn``, which writes to a buffer of ours and so is safe in threads, unlike ``crypt``.

    Raises:
        HashUnavailable: this system has no libcrypt, or an old one.
    """
    # Not ctypes.util.find_library: it runs the compiler and ldconfig, and a fork here could inherit locks.
    for library in ("libcrypt.so.1", "libcrypt.so.2"):
        try:
            function = ctypes.CDLL(library).crypt_rn
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_char_p
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
        return cast("_Crypt", function)
    raise HashUnavailable("this password hash needs the system's libcrypt (libxcrypt 4.3 or newer)")


def _crypt(text: str, password: bytes) -> bool | None:
    """Whether the hash `text` was made of `password`; ``None``: this libcrypt cannot tell."""
    buffer = ctypes.create_string_buffer(_CRYPT_OUTPUT)
    setting = text.encode("ascii", "replace")
    made = _libcrypt()(password, setting, buffer, _CRYPT_OUTPUT)
    return None if made is None else hmac.compare_digest(made, setting)
