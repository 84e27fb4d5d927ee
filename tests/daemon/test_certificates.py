"""Certificates: what they say, what is wrong with them, and those that poplin makes itself."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from poplin.daemon import selfmade
from poplin.daemon.certificates import CertificateProblem, facts, server_context
from support.programs import require


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    selfmade.make(certificate, key)
    return certificate, key


@pytest.mark.parametrize("way", ["cryptography", "openssl"])
def test_a_self_made_certificate_serves_a_client_that_trusts_it(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    if way == "openssl":
        require("openssl")
        monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    selfmade.make(certificate, key)
    found = facts(certificate)
    assert found.self_made
    assert found.names == ("localhost",)
    assert selfmade.DAYS - 2 <= found.days_left() <= selfmade.DAYS
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert handshake(server_context(certificate, key, "1.2"), certificate) == "TLSv1.3"


def handshake(server: ssl.SSLContext, trusted: Path, highest: ssl.TLSVersion | None = None) -> str | None:
    """The version that a client which trusts `trusted` agrees on with `server`."""
    context = ssl.create_default_context(cafile=trusted)
    if highest:
        context.maximum_version = highest
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    peer = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, peer):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.version()


def test_the_minimum_version_is_kept(pair: tuple[Path, Path]) -> None:
    assert handshake(server_context(*pair, "1.2"), pair[0], ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        handshake(server_context(*pair, "1.3"), pair[0], ssl.TLSVersion.TLSv1_2)


def test_without_any_way_to_make_one_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(selfmade.CannotMake, match=r"install poplin\[certificates\], or the openssl command"):
        selfmade.make(tmp_path / "cert.pem", tmp_path / "key.pem")
    assert os.listdir(tmp_path) == []


def test_a_certificate_of_an_authority_is_not_self_made(tmp_path: Path) -> None:
    until = datetime.now(UTC) + timedelta(days=10, hours=1)
    issued = trustme.CA().issue_cert("pop.example.org", "pop3.example.org", not_after=until)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    found = facts(tmp_path / "cert.pem")
    assert not found.self_made
    assert found.names == ("pop.example.org", "pop3.example.org")
    assert found.days_left() == 10
    assert found.days_left(datetime.now(UTC) + timedelta(days=20)) == -10


def test_the_facts_are_those_that_openssl_reads(pair: tuple[Path, Path]) -> None:
    require("openssl")
    words = ["openssl", "x509", "-in", str(pair[0]), "-noout", "-enddate", "-dateopt", "iso_8601"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f"{facts(pair[0]).until:%Y-%m-%d %H:%M:%S}" in told


def test_a_common_name_stands_in_for_missing_alternatives(tmp_path: Path) -> None:
    require("openssl")
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "20000",
        "-subj",
        "/CN=old.example.org",
    ]
    subprocess.run([*words, "-keyout", "k", "-out", "c"], cwd=tmp_path, capture_output=True, check=True)
    found = facts(tmp_path / "c")
    assert found.names == ("old.example.org",)
    assert found.until.year >= 2050  # told in the other form of time


def test_what_is_wrong_is_told_of_the_right_file(pair: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = pair
    other, rsa, junk, sealed = tmp_path / "o", tmp_path / "r", tmp_path / "j", tmp_path / "s"
    selfmade.make(tmp_path / "unused", other)
    trustme.CA(key_type=trustme.KeyType.RSA).private_key_pem.write_to_path(rsa)
    junk.write_text("-----BEGIN NOTHING-----\n")
    sealed.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    (tmp_path / "plain").write_text("hello")
    wrong = [
        (tmp_path / "absent", key, "certificate", "cannot read .*absent: no such file"),
        (certificate, tmp_path / "absent", "key", "cannot read .*absent: no such file"),
        (tmp_path, key, "certificate", "is a directory"),
        (tmp_path / "plain", key, "certificate", "is no PEM file"),
        (certificate, other, "key", "is not the key of"),
        (certificate, rsa, "key", "is not the key of"),
        (junk, key, "certificate", "holds no certificate that can be used"),
        (certificate, junk, "key", "holds no private key that can be used"),
        (certificate, sealed, "key", "is encrypted"),
    ]
    for first, second, blamed, words in wrong:
        with pytest.raises(CertificateProblem, match=words) as caught:
            server_context(first, second, "1.2")
        assert caught.value.key == blamed


@pytest.mark.parametrize("length", [0, 30, 200])
def test_a_certificate_cut_short_is_no_crash(pair: tuple[Path, Path], length: int) -> None:
    text = pair[0].read_text().splitlines()
    pair[0].write_text("\n".join([text[0], "".join(text[1:-1])[: length // 4 * 4], text[-1]]))
    with pytest.raises(CertificateProblem, match="can be understood"):
        facts(pair[0])
