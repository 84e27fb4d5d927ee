"""From a Maildir through ``poplin serve`` to real clients: what an operator and the users of the mail see."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.contract import PATIENCE, Account, Client, Outcome, Tls
from clients.curl import Curl
from clients.everyone import CLIENTS, compare, need
from clients.fetchmail import Fetchmail
from clients.mpop import Mpop
from support.corpus import write_maildir
from support.daemon import Daemon, daemon
from support.serving import Certificate

PASSWORD = "quiet-otter-41"
pytestmark = pytest.mark.real

ONE_WAY_IN = [pytest.param(client, client.tls[0], id=f"{client.name}-{client.tls[0]}") for client in CLIENTS]
REAL_MAIL = [
    pytest.param(Curl(), "starttls", id="curl-starttls"),
    pytest.param(Mpop(), "implicit", id="mpop-implicit"),
    pytest.param(Fetchmail(), "starttls", id="fetchmail-starttls"),
]


@pytest.fixture
def running(tmp_path: Path, certificate: Certificate) -> Iterator[Daemon]:
    folder = tmp_path / "daemon"
    folder.mkdir()
    with daemon(folder, certificate, {"bob": PASSWORD, "ann": "another"}) as started:
        yield started


def account(running: Daemon, certificate: Certificate, tls: Tls) -> Account:
    return Account(port=running.ports[tls], tls=tls, authority=certificate.authority, password=PASSWORD)


@pytest.mark.parametrize(("client", "tls"), ONE_WAY_IN)
def test_nasty_messages_of_a_maildir_arrive_unharmed(
    client: Client, tls: Tls, running: Daemon, certificate: Certificate, home: Path, nasty_messages: dict[str, bytes]
) -> None:
    need(client)
    write_maildir(running.maildir("bob"), nasty_messages)
    compare(client, client.fetch(account(running, certificate, tls), home), nasty_messages)


@pytest.mark.parametrize(("client", "tls"), REAL_MAIL)
def test_real_mail_of_a_maildir_arrives_unharmed(
    client: Client, tls: Tls, running: Daemon, certificate: Certificate, home: Path, real_mail: dict[str, bytes]
) -> None:
    need(client)
    write_maildir(running.maildir("bob"), real_mail)
    compare(client, client.fetch(account(running, certificate, tls), home), real_mail)
    assert PASSWORD not in running.log()


@pytest.mark.parametrize(("client", "tls"), ONE_WAY_IN)
def test_what_is_fetched_and_deleted_leaves_the_maildir(
    client: Client, tls: Tls, running: Daemon, certificate: Certificate, home: Path
) -> None:
    need(client)
    messages = {f"number-{number}": b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(5)}
    write_maildir(running.maildir("bob"), messages)
    write_maildir(running.maildir("ann"), messages)
    compare(client, client.fetch(account(running, certificate, tls), home, delete=True), messages)
    left = {user: mail_files(running.maildir(user)) for user in ("bob", "ann")}
    assert left["bob"] == []
    assert len(left["ann"]) == 5


def test_a_client_killed_in_the_middle_loses_nothing_and_locks_nobody_out(
    running: Daemon, certificate: Certificate, home: Path, nasty_messages: dict[str, bytes]
) -> None:
    curl = Curl()
    need(curl)
    messages = {"big": nasty_messages["five-megabytes"], "plain": nasty_messages["plain"]}
    write_maildir(running.maildir("bob"), messages)
    partly = home / "partly"
    slow = ["curl", "--silent", "--limit-rate", "100k", "--user", f"bob:{PASSWORD}", "--output", str(partly)]
    with subprocess.Popen([*slow, f"pop3://127.0.0.1:{running.ports['none']}/1"]) as client:
        assert eventually(lambda: partly.exists() and partly.stat().st_size > 0)
        client.kill()
    outcomes: list[Outcome] = []

    def fetched() -> bool:
        folder = home / f"try-{len(outcomes)}"
        folder.mkdir()
        outcomes.append(curl.fetch(account(running, certificate, "none"), folder))
        return outcomes[-1].status == 0

    # The server hears of the death a moment later; until then the maildrop is in use.
    assert eventually(fetched), outcomes[-1].said
    compare(curl, outcomes[-1], messages)


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether `holds` comes true within the time that a test may take."""
    until = time.monotonic() + PATIENCE / 2
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def mail_files(maildir: Path) -> list[Path]:
    return [path for part in ("new", "cur") for path in (maildir / part).iterdir()]
