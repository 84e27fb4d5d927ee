from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poplin.authentication import schemes
from poplin.authentication.crypt_hashes import HashUnavailable
from support.programs import require

PASSWORD = "grün: 1 pw"

# Made by doveadm pw (Dovecot 2.3) of PASSWORD.
DOVECOT = """
{MD5}$1$9ZULk5Dl$ZnvBNHMunNxK5NqRpI9GZ0
{MD5-CRYPT}$1$DSFVaMEk$L.u0QohEFixMQYM2hzM250
{SHA}BcYHkXrTwIZU0387T06oJs3dSes=
{SHA1}BcYHkXrTwIZU0387T06oJs3dSes=
{SHA256}hNJCCs4cnhconPMHuMH+1kNh4b6JzAH9HI9hAjzUzZ8=
{SHA512}QCyoTP6Y7ghSv8FKZ3uSvB19KmO4Nd9az+37OEuV95qTu6sQKGhTfvuzAYzglRVLur4lLdhGEfbKidHw9jr0gw==
{SMD5}VXdp/EnvxYlxE+02/W+0+0cQuh0=
{SSHA}Gb+k9ZefTX1N2Ol1fij8dUJdTjT8Wx9D
{SSHA256}1ALIwLLMX+H0jZDdTR/miZixowC/8wjnnMt02gta3Wdnq0CN
{SSHA512}aS5kPHBGHyTVHdxB3M7K38ZcU6bJaBeGqMRSgByQLQdvt4SFAEXNIL0+riSRE4HBGHx3EAwfCii5NIZT3PlBK09o0Jo=
{PLAIN}grün: 1 pw
{CLEARTEXT}grün: 1 pw
{PLAIN-MD5}0d5eb8cf26b726756d8ae07ebde65c0e
{LDAP-MD5}DV64zya3JnVtiuB+veZcDg==
{SCRAM-SHA-1}4096,sDNFyJSNFgE235uvrVFjnQ==,sOEPeW9ICsgUxJf/85vZZTJ+KOI=,RV/wc60W1nPZNJQmWCo87LFZ1uY=
{SCRAM-SHA-256}4096,1XNBLJmGgHUrqNimalSvdA==,zXDF5zVx7O6iqNHvzHmAxc3nBYwKEGieMlcD4wLIXrM=,iHpctKNYfU9uX/SvStCY5/aVKab0hea86vHZxuw7AVo=
{CRYPT}$2y$05$keS8BwRUV0jmuNC6CpTQIu8JcwBjNkEdVx0AtqKty801zLBe8cSiG
{DES-CRYPT}nRA/.8ggBWB5o
{SHA256-CRYPT}$5$a3b/cULyebmZhb0a$Q6hi4hX4x4.4wpLj5OfykGHwHuPB2nAhnYSzFfRPvg7
{SHA512-CRYPT}$6$EakN.w2KjkF/sn.e$5FA53d.Xz7CTTlocDzP5/VuiYj5sZFxKlOVieNax.LiE7VSox3siRP15O2N9ACB5ENSJpllkFX1byD7vgkm.Q.
{BLF-CRYPT}$2y$05$SCspUjVKC1XjmzgBVDMs3uzQEOxxL/7LQmnfUPmB22rjElPos6XZ6
{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$EcZVrgUd/OZcQTmKb/sV3w$ONbp+QNucV8S1DYd+czNoIeRD4KSW9u1PgiwMvzIczQ
{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$XRRSo0LA8DAkue/t8COcrQ$WfKBrW19hNcoZcZ73Fr44pYxz+T71tNadRjtdZLPYFM
{PBKDF2}$1$Mj7eHQNFdg/5Osny$5000$695ecc8ee1b4f9362c377928a4e170fba8232682
{SHA256.HEX}84d2420ace1c9e17289cf307b8c1fed64361e1be89cc01fd1c8f61023cd4cd9f
{SSHA256.B64}l43mutAAKTlwLMn0KERUzBjVz5kmi5ve28Ue6ozeBk3VNCSd
{PLAIN.B64}Z3LDvG46IDEgcHc=
{PLAIN.HEX}6772c3bc6e3a2031207077
{SSHA512.HEX}a950304a1b637a1342b27336662d35f98bcda3e3e6886077611a99eb0ee55b5eb24a21b5c2207badbacef93b0e2970a502a46217f384c792a8695436092cccb28c298952
{SCRAM-SHA-256.B64}NDA5NiwwN0N2UDNuYkZLenlaK3loS0JDYzBBPT0sREJ3bFc1eXVQdTVvczJCUERXZ1MzZE1lQ3I3QVlEOC94MXBzTCsvaGk1ND0sWEM2bW4vcGljQmJkeUVkaDBKY0pVRXlDYTBlVWx0NkV2TFQ5aE1yci9lST0=
{CRYPT.B64}JDJ5JDA1JHN5RE9uTEluMWkvZEhpYTA2WGtpc2VQZ3I4a1ZxSTlvTW5IbE9TTjU4dklkaEpsV1U5ZWRL
""".strip().split("\n")

BY_STANDARD_LIBRARY = [
    written
    for written in DOVECOT
    if not written.startswith(("{MD5", "{CRYPT", "{DES", "{SHA256-C", "{SHA512-C", "{BLF", "{ARGON"))
]


def scheme_name(written: str) -> str:
    return written[: written.index("}") + 1]


@pytest.mark.parametrize("written", DOVECOT, ids=scheme_name)
def test_what_dovecot_wrote(written: str) -> None:
    stored = schemes.parse(written)
    assert schemes.verify(stored, PASSWORD)
    assert not schemes.verify(stored, "Grün: 1 pw")
    assert not schemes.verify(stored, "")
    # Design: NUL is an octet like any other, and never ends a password early. (HMAC pads its key with it.)
    assert not schemes.verify(stored, PASSWORD + "\0")
    assert not schemes.verify(stored, PASSWORD + "\0x")
    assert schemes.known_scheme(written) is not None
    assert PASSWORD not in repr(stored)
    assert written[10:20] not in repr(stored)


@pytest.mark.real
@pytest.mark.parametrize("scheme", ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "SSHA256", "SSHA512", "BLF-CRYPT"])
def test_dovecot_reads_what_we_wrote(scheme: str) -> None:
    require("doveadm")
    written = schemes.make("a pass: wörd", scheme)
    command = ["doveadm", "pw", "-t", written, "-p", "a pass: wörd"]
    asked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert asked.returncode == 0, asked.stderr
    command[-1] = "other"
    assert subprocess.run(command, check=False, capture_output=True, text=True).returncode != 0


@pytest.mark.parametrize("scheme", ["SCRAM-SHA-256", "scram-sha-1", "PLAIN", "SSHA256", "SSHA512"])
@settings(max_examples=10, deadline=None)
@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_categories=["Cc", "Cf"]), min_size=1))
def test_what_is_made_is_verified(scheme: str, password: str) -> None:
    written = schemes.make(password, scheme)
    assert ":" not in written
    assert written.isprintable()
    assert schemes.verify(schemes.parse(written), password)
    assert not schemes.verify(schemes.parse(written), password + "x")


def test_the_default_for_new_passwords_is_scram_with_a_salt_of_its_own() -> None:
    first, second = schemes.make("secret"), schemes.make("secret")
    assert first.startswith("{SCRAM-SHA-256}15000,")
    assert first != second
    assert schemes.parse(first).scram is not None


@pytest.mark.parametrize("scheme", ["ARGON2ID", "BLF-CRYPT"])
def test_what_is_made_with_the_extra(scheme: str) -> None:
    stored = schemes.parse(schemes.make("secret", scheme))
    assert schemes.verify(stored, "secret")
    assert not schemes.verify(stored, "secret ")
    assert stored.is_costly


@pytest.mark.parametrize(
    ("password", "scheme", "complaint"),
    [
        ("", "PLAIN", "empty"),
        ("a\0b", "PLAIN", "NUL"),
        ("a\0b", "BLF-CRYPT", "NUL"),
        ("x", "DES-CRYPT", "choose SCRAM-SHA-256"),
        ("x", "NONSENSE", "choose SCRAM-SHA-256"),
        ("planted" * 11, "BLF-CRYPT", "72 octets"),
        ("planted\x07", "SCRAM-SHA-256", "SASLprep"),
    ],
)
def test_what_is_not_made(password: str, scheme: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refusal:
        schemes.make(password, scheme)
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "planted",
        "{PLAIN",
        "{PLAIN}",
        "{PLAIN.b64}planted!",
        "{PLAIN.hex}planted",
        "{PLAIN.rot13}planted",
        "{planted}",
        "{SHA}planted",
        "{SHA}BcYHkXrTwIZU0387T06oJs3d",
        "{SSHA}BcYHkXrTwIZU0387T06oJs3dSes=",
        "{SHA256.hex}84d2420a",
        "{PLAIN-MD5}0d5eb8cf",
        "{SCRAM-SHA-256}planted",
        "{SCRAM-SHA-256}0,AAAA,AAAA,AAAA",
        "{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA",
        "{SCRAM-SHA-256}99999999,sDNFyJSNFgE235uvrVFjnQ==,sOEPeW9ICsgUxJf/85vZZTJ+KOI=,RV/wc60W1nPZNJQmWCo87LFZ1uY=",
        "{SCRAM-SHA-1}4096,planted,sOEPeW9ICsgUxJf/85vZZTJ+KOI=,RV/wc60W1nPZNJQmWCo87LFZ1uY=",
        "{SCRAM-SHA-1}\uff14\uff10\uff19\uff16,AAAA,sOEPeW9ICsgUxJf/85vZZTJ+KOI=,RV/wc60W1nPZNJQmWCo87LFZ1uY=",
        "{PBKDF2}$1$planted",
        "{PBKDF2}$1$salt$0$00",
        "{PBKDF2}$1$salt$x$00",
        "{PBKDF2}$1$salt$1$planted",
        "{CRYPT}planted",
        "{SHA512-CRYPT}planted",
        "$9$planted",
    ],
)
def test_broken_forms_are_refused_and_not_quoted(written: str) -> None:
    with pytest.raises(ValueError) as refusal:
        schemes.parse(written)
    assert "planted" not in str(refusal.value).lower().replace("{planted}", "")


@given(st.text() | st.from_regex(r"\{[A-Z0-9-]{1,14}(\.b64|\.hex)?\}[ -~]{0,60}", fullmatch=True))
def test_parsing_raises_nothing_else(written: str) -> None:
    try:
        stored = schemes.parse(written)
    except ValueError:
        return
    assert schemes.known_scheme(written) is not None
    assert stored.data


def test_readable_secrets_serve_apop_and_records_serve_scram() -> None:
    assert schemes.parse("{PLAIN}secret").secret == b"secret"
    assert schemes.parse("{cleartext.b64}c2VjcmV0").secret == b"secret"
    assert schemes.parse("{SHA}BcYHkXrTwIZU0387T06oJs3dSes=").secret is None
    assert schemes.parse("{PLAIN}secret").scram is None
    record = schemes.parse(schemes.make("secret")).scram
    assert record is not None
    assert record.iterations == 15_000


def test_only_what_takes_no_time_is_done_in_the_loop() -> None:
    cheap = {schemes.parse(written).scheme for written in DOVECOT if not schemes.parse(written).is_costly}
    assert cheap == {
        *("SHA", "SHA1", "SHA256", "SHA512", "SSHA", "SSHA256", "SSHA512", "SMD5", "LDAP-MD5", "PLAIN-MD5"),
        *("PLAIN", "CLEARTEXT"),
    }


def test_htpasswd_sha_and_dovecot_sha_are_one() -> None:
    digest = schemes.parse("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=")  # htpasswd -s, password "password"
    assert digest.data == hashlib.sha1(b"password").digest()
    assert schemes.verify(digest, "password")


WITHOUT_EXTRA = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from poplin.authentication import schemes
for written in sys.stdin.read().split("\\n"):
    try:
        print(schemes.verify(schemes.parse(written), "grün: 1 pw"))
    except schemes.crypt_hashes.HashUnavailable as failure:
        print(failure)
"""


def without(blocked: set[str], lines: list[str]) -> list[str]:
    program = f"BLOCKED = {blocked!r}\n{WITHOUT_EXTRA}"
    run = subprocess.run(
        [sys.executable, "-c", program], input="\n".join(lines), check=True, capture_output=True, encoding="utf-8"
    )
    return run.stdout.strip().split("\n")


def test_without_the_extra_the_standard_library_does_its_share() -> None:
    answers = without({"passlib", "bcrypt", "argon2"}, BY_STANDARD_LIBRARY)
    assert answers == ["True"] * len(BY_STANDARD_LIBRARY)
    assert len(BY_STANDARD_LIBRARY) > 15


def test_without_the_extra_a_hash_that_needs_it_names_it() -> None:
    needing = [written for written in DOVECOT if written not in BY_STANDARD_LIBRARY]
    answers = without({"passlib", "bcrypt", "argon2"}, needing)
    assert answers == ["this password hash needs: pip install poplin[passwords]"] * len(needing)


def test_with_half_of_the_extra_the_missing_half_is_named_too() -> None:
    needing = [written for written in DOVECOT if written.startswith(("{BLF", "{ARGON2ID"))]
    answers = without({"bcrypt", "argon2"}, needing)
    assert answers == ["this password hash needs: pip install poplin[passwords]"] * 2


def test_a_missing_library_is_a_temporary_failure_and_never_a_wrong_password() -> None:
    assert HashUnavailable.code == "SYS/TEMP"
