"""Real clients take mail from the real server, and every message is compared octet for octet.

What a client by its nature makes of a message stands in the client's own file, and nothing else is forgiven.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import poplin
from clients.contract import Account, Client, Tls
from clients.everyone import CLIENTS, compare, need
from clients.fetchmail import Fetchmail
from clients.getmail import Getmail
from clients.mpop import Mpop
from clients.openssl_client import OpensslClient
from poplin.maildrops.memory import MemoryMaildrops
from support.serving import Certificate, OnePassword, Running, Serve

PASSWORD = "two words"  # a space in it: PASS takes the rest of the line
WAYS_IN = [pytest.param(client, tls, id=f"{client.name}-{tls}") for client in CLIENTS for tls in client.tls]
ONE_WAY_IN = [pytest.param(client, client.tls[-1], id=client.name) for client in CLIENTS]
CLEARTEXT = [pytest.param(client, "none", id=client.name) for client in CLIENTS if "none" in client.tls]

pytestmark = pytest.mark.real


@dataclass(frozen=True, slots=True)
class Post:
    """A running server with one user's mail in memory, and that user's account by each way in."""

    maildrops: MemoryMaildrops
    running: Running
    certificate: Certificate

    def account(self, tls: Tls) -> Account:
        return Account(port=self.running.ports[tls], tls=tls, authority=self.certificate.authority, password=PASSWORD)

    def stored(self) -> list[bytes]:
        return [*self.maildrops.messages("bob").values()]

    def deliver(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self.maildrops.deliver("bob", message)


@pytest.fixture
def post(serve: Serve, certificate: Certificate) -> Post:
    maildrops = MemoryMaildrops()
    policy = poplin.Policy(failure_delay=0)
    return Post(maildrops, serve(maildrops, OnePassword(PASSWORD), policy=policy), certificate)


@pytest.mark.parametrize(("client", "tls"), WAYS_IN)
def test_nasty_messages_arrive_unharmed(
    client: Client, tls: Tls, post: Post, home: Path, nasty_messages: dict[str, bytes]
) -> None:
    need(client)
    post.deliver([*nasty_messages.values()])
    compare(client, client.fetch(post.account(tls), home), nasty_messages)


@pytest.mark.parametrize(("client", "tls"), ONE_WAY_IN)
def test_real_mail_arrives_unharmed(
    client: Client, tls: Tls, post: Post, home: Path, real_mail: dict[str, bytes]
) -> None:
    need(client)
    post.deliver([*real_mail.values()])
    compare(client, client.fetch(post.account(tls), home), real_mail)


@pytest.mark.parametrize(("client", "tls"), ONE_WAY_IN)
def test_what_is_deleted_is_gone_and_the_rest_stays(client: Client, tls: Tls, post: Post, home: Path) -> None:
    need(client)
    messages = {f"number-{number}": b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(5)}
    post.deliver([*messages.values()])
    outcome = client.fetch(post.account(tls), home, delete=True)
    compare(client, outcome, messages)
    assert post.stored() == []


@pytest.mark.parametrize(("client", "tls"), ONE_WAY_IN)
def test_what_is_kept_is_still_there(client: Client, tls: Tls, post: Post, home: Path) -> None:
    need(client)
    messages = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(5)]
    post.deliver(messages)
    assert client.fetch(post.account(tls), home).status == 0
    assert post.stored() == messages


REMEMBERING = [pytest.param(client, client.tls[-1], id=client.name) for client in (Fetchmail(), Getmail(), Mpop())]


@pytest.mark.parametrize(("client", "tls"), REMEMBERING)
def test_a_second_run_takes_only_what_is_new(client: Client, tls: Tls, post: Post, home: Path) -> None:
    """These three remember unique-ids: nothing comes twice and nothing is left out."""
    need(client)
    first = {f"first-{number}": b"Subject: first %d\r\n\r\nbody\r\n" % number for number in range(7)}
    second = {f"second-{number}": b"Subject: second %d\r\n\r\nbody\r\n" % number for number in range(3)}
    post.deliver([*first.values()])
    compare(client, client.fetch(post.account(tls), home), first)
    post.deliver([*second.values()])
    compare(client, client.fetch(post.account(tls), home), second)
    assert client.fetch(post.account(tls), home).messages == []
    assert len(post.stored()) == 10


@pytest.mark.parametrize(("client", "tls"), WAYS_IN)
def test_a_wrong_password_is_refused_and_said(client: Client, tls: Tls, post: Post, home: Path) -> None:
    need(client)
    post.deliver([b"Subject: secret\r\n\r\nnobody else's\r\n"])
    outcome = client.fetch(replace(post.account(tls), password="wrong"), home)
    assert outcome.messages == []
    # A mail reader stays and says so in its last line; a pipe knows nothing of what passes through it.
    assert outcome.status != 0 or client.name in {"neomutt", "openssl s_client"}
    assert re.search(client.refusal, outcome.said), outcome.said
    assert b"nobody else's" not in outcome.said.encode()


@pytest.mark.parametrize(("client", "tls"), ONE_WAY_IN)
def test_an_empty_maildrop_is_no_error(client: Client, tls: Tls, post: Post, home: Path) -> None:
    need(client)
    outcome = client.fetch(post.account(tls), home)
    assert outcome.messages == []
    assert not re.search(client.refusal, outcome.said), outcome.said


# Clients that know APOP. curl prefers it unasked wherever the greeting has a timestamp.
APOP = [
    pytest.param(client, tls, id=f"{client.name}-{tls}")
    for client in CLIENTS
    for tls in ("none", "implicit")
    if tls in client.tls and not isinstance(client, OpensslClient)
]


@pytest.mark.parametrize(("client", "tls"), APOP)
def test_apop_lets_in_who_knows_the_secret_and_nobody_else(
    client: Client, tls: Tls, serve: Serve, certificate: Certificate, home: Path
) -> None:
    need(client)
    maildrops = MemoryMaildrops()
    # APOP alone is offered: a client that fell back to a password would be refused.
    policy = poplin.Policy(mechanisms=["APOP"], failure_delay=0)
    post = Post(maildrops, serve(maildrops, OnePassword(PASSWORD, apop=True), policy=policy), certificate)
    messages = {"one": b"Subject: 1\r\n\r\nbody\r\n"}
    post.deliver([*messages.values()])
    account = replace(post.account(tls), apop=True)
    for name in ("right", "wrong"):
        (home / name).mkdir()
    compare(client, client.fetch(account, home / "right"), messages)
    refused = client.fetch(replace(account, password="wrong"), home / "wrong")
    assert refused.messages == []
    assert re.search(client.refusal, refused.said), refused.said
