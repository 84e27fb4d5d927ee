"""A self-made certificate for a first start: by the `cryptography` package, else by the ``openssl`` command."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from poplin.errors import Error

__all__ = ["CannotMake", "make"]

DAYS = 825
"""Long enough to be forgotten about, short enough for clients that refuse longer ones."""
_ADDRESSES = ("127.0.0.1", "::1")


class CannotMake(Error):
    """Neither way of making a certificate is there; the text says what to install."""


def make(certificate: Path, key: Path, name: str = "localhost") -> None:
    """Write a certificate for `name` and this machine's loopback addresses, and its key with mode 0600.

    Raises:
        CannotMake: nothing on this machine can make one.
        OSError: a file cannot be written.
    """
    try:
        _with_cryptography(certificate, key, name)
    except ImportError:
        _with_openssl(certificate, key, name)


def _with_cryptography(certificate: Path, key: Path, name: str) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = [x509.DNSName(name), *(x509.IPAddress(ip_address(address)) for address in _ADDRESSES)]
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    _write(key, private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ), 0o600)  # fmt: skip
    _write(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)


def _with_openssl(certificate: Path, key: Path, name: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise CannotMake("no certificate could be made: install poplin[certificates], or the openssl command")
    names = ",".join([f"DNS:{name}", *(f"IP:{address}" for address in _ADDRESSES)])
    _write(key, b"", 0o600)  # so that openssl writes into a file that nobody else may read
    words = [
        program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", str(DAYS), "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
        "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603  # fixed words
    if done.returncode:
        key.unlink()
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise CannotMake(f"openssl made no certificate: {reason[0]}")


def _write(path: Path, octets: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        file.write(octets)
