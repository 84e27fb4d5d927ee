from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from contract.authenticators import CLIENT, AuthenticatorContract, apop
from poplin.authentication import schemes
from poplin.authentication.base import PASSWORD_MECHANISMS, Authenticator, Credentials, PasswordProof, Proof
from poplin.authentication.password_file import PasswordFile, Tally
from poplin.authentication.user_names import NameRule
from poplin.errors import AuthenticationFailed, Refused, TemporaryFailure
from poplin.identity import ClientFacts, Identity
from support.waiting import answer

SALT = b"12345678"
ARGON2 = pytest.importorskip("passlib.hash").argon2.using(memory_cost=64, time_cost=1, parallelism=1)


def digest(name: str) -> Callable[[str], str]:
    return lambda password: b64encode(hashlib.new(name, password.encode() + SALT).digest() + SALT).decode()


WRITTEN: dict[str, Callable[[str], str]] = {
    "PLAIN": lambda password: "{PLAIN}" + password,
    "PLAIN.b64": lambda password: "{PLAIN.b64}" + b64encode(password.encode()).decode(),
    "SCRAM-SHA-256": schemes.make,
    "SCRAM-SHA-1": lambda password: schemes.make(password, "SCRAM-SHA-1"),
    "SSHA512": lambda password: "{SSHA512}" + digest("sha512")(password),
    "ARGON2ID": lambda password: ARGON2.hash(password.encode()),
}


@pytest.mark.parametrize("scheme", WRITTEN, scope="class")
class TestContract(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self, scheme: str, tmp_path: Path) -> Authenticator:
        path = tmp_path / "users"
        path.write_text(f"# users\nalice:{WRITTEN[scheme](self.PASSWORD)}\nbob:{WRITTEN[scheme]('other')}\n")
        settle(path)
        return PasswordFile(path)


def settle(path: Path) -> None:
    """Make the file look as if nobody had touched it for a minute."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 60 * 10**9))


def write(path: Path, text: str) -> PasswordFile:
    path.write_text(text)
    return PasswordFile(path)


def login(users: PasswordFile, user: str = "alice", password: str = "secret", client: ClientFacts = CLIENT) -> Identity:
    return answer(users.authenticate(Credentials("USER", user, PasswordProof(password)), client))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users"


class TestMechanisms:
    def test_passwords_where_there_are_records(self, path: Path) -> None:
        assert write(path, f"alice:{schemes.make('x')}\n").mechanisms() == PASSWORD_MECHANISMS

    def test_nothing_where_there_is_none(self, path: Path) -> None:
        assert write(path, "# nobody yet\n").mechanisms() == frozenset()

    def test_apop_only_if_every_record_has_a_readable_secret(self, path: Path) -> None:
        users = write(path, "alice:{PLAIN}x\nbob:{CLEARTEXT}x\n")
        assert users.mechanisms() == PASSWORD_MECHANISMS | {"APOP"}
        assert users.tally() == Tally(2, 2)
        with path.open("a") as file:
            file.write(f"carol:{schemes.make('x')}\n")
        assert users.mechanisms() == PASSWORD_MECHANISMS
        assert users.tally() == Tally(3, 2)

    def test_a_record_that_comes_later_is_noticed_at_the_greeting(self, path: Path) -> None:
        users = write(path, "")
        assert users.mechanisms() == frozenset()
        path.write_text("alice:{PLAIN}secret\n")
        assert "APOP" in users.mechanisms()

    def test_a_greeting_goes_by_a_look_of_a_moment_ago_and_a_login_never_does(self, path: Path) -> None:
        users = write(path, "alice:{PLAIN}secret\n")
        settle(path)
        assert "APOP" in users.mechanisms()
        path.write_text(f"alice:{schemes.make('changed')}\n")
        settle(path)
        with pytest.raises(AuthenticationFailed):
            login(users, "alice", "secret")
        assert login(users, "alice", "changed").user == "alice"
        path.write_text("bob:{PLAIN}secret\n")
        settle(path)
        deadline = time.monotonic() + 30
        while "APOP" not in users.mechanisms():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_an_unreadable_file_offers_passwords_so_that_clients_hear_of_the_failure(self, path: Path) -> None:
        users = write(path, "alice:{PLAIN}secret\n")
        assert "APOP" in users.mechanisms()
        path.unlink()
        assert users.mechanisms() == PASSWORD_MECHANISMS


class TestApop:
    def test_with_a_readable_secret(self, path: Path) -> None:
        users = write(path, "alice:{PLAIN}tanstaaf\n")
        assert answer(users.authenticate(Credentials("APOP", "alice", apop("tanstaaf")), CLIENT)).user == "alice"

    @pytest.mark.parametrize("secret", ["", "tanstaaf", "{SCRAM-SHA-256}"])
    def test_a_record_without_a_secret_serves_nobody(self, path: Path, secret: str) -> None:
        users = write(path, f"alice:{schemes.make('tanstaaf')}\n")
        with pytest.raises(AuthenticationFailed):
            answer(users.authenticate(Credentials("APOP", "alice", apop(secret)), CLIENT))


class TestNames:
    def test_names_are_compared_without_case(self, path: Path) -> None:
        users = write(path, "Bob:{PLAIN}secret\n")
        assert {login(users, name).user for name in ("bob", "Bob", "BOB")} == {"bob"}

    def test_unless_the_operator_says_otherwise(self, path: Path) -> None:
        path.write_text("Bob:{PLAIN}secret\n")
        users = PasswordFile(path, NameRule("none"))
        assert login(users, "Bob").user == "Bob"
        with pytest.raises(AuthenticationFailed):
            login(users, "bob")

    def test_a_default_domain_reaches_users_written_either_way(self, path: Path) -> None:
        path.write_text("bob:{PLAIN}secret\nalice@example.org:{PLAIN}secret\n")
        users = PasswordFile(path, NameRule(default_domain="example.org"))
        assert login(users, "bob").user == login(users, "bob@example.org").user == "bob@example.org"
        assert login(users, "alice").user == "alice@example.org"

    def test_acting_as_oneself_is_compared_after_normalisation(self, path: Path) -> None:
        users = write(path, "bob:{PLAIN}secret\n")
        credentials = Credentials("PLAIN", "bob", PasswordProof("secret"), "BOB")
        assert answer(users.authenticate(credentials, CLIENT)).user == "bob"


class TestWork:
    """Design: an unknown user costs the same verification as a wrong password."""

    @pytest.fixture
    def counted(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """The iterations of every PBKDF2 that is computed."""
        iterations: list[int] = []
        genuine = hashlib.pbkdf2_hmac

        def counting(name: str, password: bytes, salt: bytes, rounds: int) -> bytes:
            iterations.append(rounds)
            return genuine(name, password, salt, rounds)

        monkeypatch.setattr(hashlib, "pbkdf2_hmac", counting)
        return iterations

    @pytest.fixture
    def users(self, path: Path) -> PasswordFile:
        record = schemes.make("secret")
        return write(path, f"alice:{record}\nbob:{record}\ncarol:{{PLAIN}}x\n")

    @pytest.mark.parametrize(
        "user", ["alice", "mallory", "", "a\0b", "a\nb", "../alice", "x" * 5000, "\udcff", ".alice", "a:b"]
    )
    def test_the_same_verification_whoever_asks(self, users: PasswordFile, counted: list[int], user: str) -> None:
        with pytest.raises(AuthenticationFailed):
            login(users, user, "wrong")
        assert counted == [15_000]

    def test_a_stand_in_never_lets_in(self, users: PasswordFile, counted: list[int]) -> None:
        # "secret" is right for the very record that stands in.
        with pytest.raises(AuthenticationFailed):
            login(users, "mallory", "secret")
        assert counted == [15_000]

    def test_a_broken_record_costs_as_much(self, path: Path, counted: list[int]) -> None:
        users = write(path, f"alice:{schemes.make('secret')}\nbob:{{SHA}}broken\n")
        counted.clear()
        with pytest.raises(AuthenticationFailed):
            login(users, "bob", "secret")
        assert counted == [15_000]

    def test_costly_work_leaves_the_event_loop(self, users: PasswordFile, path: Path) -> None:
        later = users.authenticate(Credentials("USER", "alice", PasswordProof("secret")), CLIENT)
        assert hasattr(later, "__await__")
        assert answer(later).user == "alice"

    def test_cheap_work_is_answered_at_once(self, path: Path) -> None:
        settled = write(path, "alice:{PLAIN}secret\n")
        assert isinstance(settled.authenticate(Credentials("USER", "alice", PasswordProof("secret")), CLIENT), Identity)

    def test_many_at_once(self, users: PasswordFile) -> None:
        async def logins() -> list[object]:
            def attempt(number: int) -> object:
                password = "secret" if number % 2 else "wrong"
                return users.authenticate(Credentials("USER", "alice", PasswordProof(password)), CLIENT)

            attempts = [attempt(number) for number in range(20)]
            return await asyncio.gather(*attempts, return_exceptions=True)  # type: ignore[call-overload, no-any-return]  # all are awaitable: the scheme is costly

        answers = asyncio.run(logins())
        assert [isinstance(one, Identity) for one in answers] == [False, True] * 10
        assert all(isinstance(one, Identity | AuthenticationFailed) for one in answers)


class TestRefusals:
    @pytest.mark.parametrize(
        ("nets", "address", "allowed"),
        [
            ("192.0.2.0/24", "192.0.2.7", True),
            ("192.0.2.0/24", "::ffff:192.0.2.7", True),
            ("192.0.2.0/24", "198.51.100.7", False),
            ("192.0.2.0/24", "2001:db8::1", False),
            ("198.51.100.1,192.0.2.7", "192.0.2.7", True),
            ("2001:db8::/32", "2001:db8::1", True),
            ("fe80::/10", "fe80::1%eth0", True),
            ("192.0.2.0/24", "", False),
            ("local", "", True),
            ("local", "192.0.2.7", False),
            ("nonsense", "192.0.2.7", False),
            ("nonsense,192.0.2.7", "192.0.2.7", True),
            ("192.0.2.0/24", "no address", False),
        ],
    )
    def test_allow_nets(self, path: Path, nets: str, address: str, allowed: bool) -> None:
        users = write(path, f"alice:{{PLAIN}}secret::::::allow_nets={nets}\n")
        client = ClientFacts(address=address)
        if allowed:
            assert login(users, client=client).user == "alice"
        else:
            with pytest.raises(Refused):
                login(users, client=client)

    @pytest.mark.parametrize("extra", ["allow_nets=198.51.100.0/24", "nologin", "nologin=y"])
    def test_only_who_knows_the_password_is_told(self, path: Path, extra: str) -> None:
        users = write(path, f"alice:{{PLAIN}}secret::::::{extra}\n")
        with pytest.raises(AuthenticationFailed):
            login(users, password="wrong")
        with pytest.raises(Refused):
            login(users)

    def test_attributes_reach_the_identity(self, path: Path) -> None:
        users = write(path, "alice:{PLAIN}secret:1000:::/home/alice::userdb_mail=maildir:~/m\n")
        assert login(users).attributes == {"uid": "1000", "home": "/home/alice", "userdb_mail": "maildir:~/m"}


class TestReloading:
    def test_a_new_file_in_its_place(self, path: Path) -> None:
        users = write(path, "alice:{PLAIN}secret\n")
        assert login(users).user == "alice"
        other = path.with_suffix(".new")
        other.write_text("alice:{PLAIN}change\n")
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.rename(path)
        with pytest.raises(AuthenticationFailed):
            login(users)
        assert login(users, password="change").user == "alice"

    def test_a_change_of_the_same_size_within_the_clock_s_grain(self, path: Path) -> None:
        users = write(path, "alice:{PLAIN}secret\n")
        for turn in range(200):
            password = f"{turn:06}"
            with path.open("r+") as file:
                file.write(f"alice:{{PLAIN}}{password}\n")
            assert login(users, password=password).user == "alice"

    def test_a_settled_file_is_not_read_again(self, path: Path) -> None:
        users = write(path, "alice:{PLAIN}secret\n")
        settle(path)
        assert login(users).user == "alice"
        assert count_opens(users, path) == 0

    def test_a_vanished_file_is_a_temporary_failure_and_nothing_stale_is_served(self, path: Path) -> None:
        users = write(path, "alice:{PLAIN}secret\n")
        settle(path)
        assert login(users).user == "alice"
        path.rename(path.with_suffix(".away"))
        for user in ("alice", "mallory"):
            with pytest.raises(TemporaryFailure, match="cannot be read"):
                login(users, user)
        with pytest.raises(TemporaryFailure):
            users.tally()
        path.with_suffix(".away").rename(path)
        assert login(users).user == "alice"

    @pytest.mark.parametrize("kind", ["directory", "fifo", "loop", "dangling"])
    def test_what_is_no_file_never_hangs(self, path: Path, kind: str) -> None:
        if kind == "directory":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to(path if kind == "loop" else path.with_suffix(".nowhere"))
        users = PasswordFile(path)
        with pytest.raises(TemporaryFailure):
            login(users)
        assert len(users.check()) == 1

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give up its rights")
    def test_no_permission_is_a_temporary_failure(self, path: Path) -> None:
        path.write_text("alice:{PLAIN}secret\n")
        path.chmod(0)
        program = (
            "import os, sys\n"
            "from poplin.authentication.password_file import PasswordFile\n"
            "os.seteuid(65534)\n"
            "print(PasswordFile(sys.argv[1]).check())\n"
        )
        for folder in path.parents:
            if str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
        run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
        assert "cannot be read: Permission denied" in run.stdout

    def test_a_long_file_is_read_outside_the_event_loop(self, path: Path) -> None:
        lines = "".join(f"user{number}:{{PLAIN}}secret\n" for number in range(15_000))
        users = write(path, lines)
        settle(path)
        credentials = Credentials("USER", "user7", PasswordProof("secret"))
        later = users.authenticate(credentials, CLIENT)
        assert hasattr(later, "__await__")
        assert answer(later).user == "user7"
        assert isinstance(users.authenticate(credentials, CLIENT), Identity)

    def test_a_greeting_does_not_wait_for_a_long_file_to_be_read_again(self, path: Path) -> None:
        lines = "".join(f"user{number}:{{PLAIN}}secret\n" for number in range(15_000))
        users = write(path, lines)
        settle(path)
        assert "APOP" in users.mechanisms()
        path.write_text(lines + f"last:{schemes.make('x')}\n")
        settle(path)
        users.mechanisms()
        deadline = time.monotonic() + 30
        while "APOP" in users.mechanisms():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_a_long_file_that_vanished(self, path: Path) -> None:
        lines = "".join(f"user{number}:{{PLAIN}}secret\n" for number in range(15_000))
        users = write(path, lines)
        assert "APOP" in users.mechanisms()
        path.unlink()
        assert users.mechanisms() == PASSWORD_MECHANISMS
        with pytest.raises(TemporaryFailure):
            login(users, "user7")


def count_opens(users: PasswordFile, path: Path) -> int:
    """How often three logins open the file, told by the interpreter's own audit events."""
    opened: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and watching and arguments[0] == str(path):
            opened.append(event)

    watching = True
    sys.addaudithook(hook)
    for _ in range(3):
        login(users)
    watching = False
    return len(opened)


class TestBadLines:
    TEXT: ClassVar[str] = (
        "alice:{PLAIN}secret\nplanted-without-colon\nbob:planted\ncarol:{SCRAM-SHA-256}planted\n"
        "dave:{PLAIN}x::::::nopassword\nalice:{PLAIN}planted\n/etc/planted:{PLAIN}x\n"
    )

    def test_check_tells_each_with_its_line(self, path: Path) -> None:
        complaints = write(path, self.TEXT).check()
        assert [complaint.removeprefix(f"{path}:").partition(":")[0] for complaint in complaints] == list("234567")
        assert complaints[0] == f"{path}:2: no colon: a record is user:password"
        assert not [complaint for complaint in complaints if "planted" in complaint]

    def test_check_of_a_good_file_tells_nothing(self, path: Path) -> None:
        assert write(path, "# fine\n\nalice:{PLAIN}secret\nbob:$1$DSFVaMEk$L.u0QohEFixMQYM2hzM250\n").check() == []

    def test_the_good_ones_are_served_and_the_bad_ones_logged_once(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        users = write(path, self.TEXT)
        for _ in range(3):
            assert login(users).user == "alice"
            for user in ("bob", "carol", "dave"):
                with pytest.raises(AuthenticationFailed):
                    login(users, user, "x")
        assert len(caplog.records) == 6
        assert {record.name for record in caplog.records} == {"poplin.authentication"}
        assert "planted" not in caplog.text

    def test_unchanged_complaints_are_not_logged_again(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        users = write(path, "no colon\nalice:{PLAIN}secret\n")
        login(users)
        path.write_text("no colon\nalice:{PLAIN}secret\nbob:{PLAIN}x\n")
        login(users)
        assert len(caplog.records) == 1

    def test_thousands_of_bad_lines_do_not_flood_the_log(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        write(path, "no colon\n" * 5000).tally()
        assert len(caplog.records) == 11
        assert caplog.records[-1].getMessage() == f"{path}: 4990 more lines are wrong"

    def test_a_hash_that_only_its_library_finds_broken(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        users = write(path, "alice:$2b$12$planted\n")
        for user in ("alice", "alice", "mallory"):
            with pytest.raises(AuthenticationFailed):
                login(users, user)
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "planted" not in caplog.text

    def test_octets_that_are_no_utf_8_lose_only_their_line(self, path: Path) -> None:
        path.write_bytes(b"j\xfcrgen:{PLAIN}x\nalice:{PLAIN}secret\nbob:{PLAIN}p\xe4ss\n")
        users = PasswordFile(path)
        assert login(users).user == "alice"
        assert login(users, "bob", "p\udce4ss").user == "bob"
        assert users.check() == [f"{path}:1: the name holds a character that cannot be shown"]


def test_a_missing_library_is_told_as_a_temporary_failure(path: Path) -> None:
    path.write_text("alice:{BLF-CRYPT}$2y$05$SCspUjVKC1XjmzgBVDMs3uzQEOxxL/7LQmnfUPmB22rjElPos6XZ6\n")
    program = (
        "import sys, asyncio\n"
        "sys.modules['passlib'] = sys.modules['passlib.hash'] = None\n"
        "from poplin.authentication.base import Credentials, PasswordProof\n"
        "from poplin.authentication.password_file import PasswordFile\n"
        "from poplin.errors import TemporaryFailure\n"
        "from poplin.identity import ClientFacts, settle\n"
        "users = PasswordFile(sys.argv[1])\n"
        "print(*users.check())\n"
        "for user in ('alice', 'mallory'):\n"
        "    try:\n"
        "        asyncio.run(settle(users.authenticate(Credentials('USER', user, PasswordProof('x')), ClientFacts())))\n"
        "    except TemporaryFailure as failure:\n"
        "        print(failure)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    told = "this password hash needs: pip install poplin[passwords]"
    assert run.stdout.split("\n") == [f"{path}:1: alice: {told}", told, told, ""]


def test_a_hundred_thousand_lines(path: Path) -> None:
    record = schemes.make("secret")
    with path.open("w") as file:
        file.writelines(f"user{number}@example.org:{record}:::::\n" for number in range(100_000))
    settle(path)
    users = PasswordFile(path)
    assert users.tally() == Tally(100_000, 0)
    assert login(users, "user99999@example.org").user == "user99999@example.org"


def test_every_kind_of_proof_is_answered(path: Path) -> None:
    users = write(path, "")
    proofs: list[Proof] = [PasswordProof("x"), apop("x")]
    for proof in proofs:
        with pytest.raises(AuthenticationFailed):
            answer(users.authenticate(Credentials("X", "alice", proof), CLIENT))


def test_its_repr_names_the_file_alone(path: Path) -> None:
    assert repr(PasswordFile(path)) == f"<PasswordFile {str(path)!r}>"
