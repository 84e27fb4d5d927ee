"""Every real client, and the comparison that all of their tests make."""

import subprocess
from collections.abc import Sequence

from clients.contract import Client, Outcome
from clients.curl import Curl
from clients.fetchmail import Fetchmail
from clients.getmail import Getmail
from clients.mpop import Mpop
from clients.neomutt import Neomutt
from clients.net_pop3 import NetPop3
from clients.openssl_client import OpensslClient
from clients.poplib_client import Poplib
from support.corpus import on_the_wire
from support.programs import missing, require

CLIENTS: list[Client] = [
    Curl(),
    Fetchmail(),
    Getmail(),
    Mpop(),
    Neomutt(),
    NetPop3(),
    OpensslClient(),
    Poplib(),
]


def need(client: Client) -> None:
    """Skip the running test if `client` is not on this machine (with POPLIN_REQUIRE=1: fail it)."""
    perl = require(client.program)
    if isinstance(client, NetPop3):
        for module in ("Net::POP3", "IO::Socket::SSL"):
            if subprocess.run([perl, f"-M{module}", "-e1"], capture_output=True, check=False).returncode:
                missing(f"the Perl module {module}")


def compare(client: Client, outcome: Outcome, messages: dict[str, bytes]) -> None:
    """Every message arrived once, and each is what `client` makes of the true octets."""
    assert outcome.status == 0, outcome.said
    assert len(outcome.messages) == len(messages), outcome.said
    expected = client.makes_of([on_the_wire(message) for message in messages.values()])
    if not client.keeps_order:
        assert_same_multiset(expected, outcome.messages)
        return
    wrong = [
        name
        for name, wanted, got in zip(messages, expected, outcome.messages, strict=True)
        if wanted is not None and wanted != got
    ]
    assert not wrong


def assert_same_multiset(expected: Sequence[bytes | None], got: Sequence[bytes]) -> None:
    left = list(got)
    for message in expected:
        if message is not None:
            assert message in left
            left.remove(message)
    assert len(left) == sum(message is None for message in expected)
