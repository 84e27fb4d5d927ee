"""How the command writes times, sizes, listeners and the line to try."""

from datetime import UTC, datetime

import pytest

from poplin.commands.output import age, size
from poplin.commands.serve_lines import Offer, listener_line, try_line
from poplin.daemon.certificates import CertificateFacts
from poplin.daemon.settings import ListenerSettings, TlsMode

UNTIL = datetime(2027, 2, 19, 12, tzinfo=UTC)
SELF_MADE = CertificateFacts(("localhost",), UNTIL, True)
ISSUED = CertificateFacts(("pop.example.org", "pop3.example.org"), UNTIL, False)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (8.9, "8s"), (59, "59s"), (60, "1m00s"), (130, "2m10s"), (3600, "1h00m"), (8040, "2h14m"),
     (86_399, "23h59m"), (86_400, "1d0h"), (530_000, "6d3h")],
)  # fmt: skip
def test_ages(seconds: float, told: str) -> None:
    assert age(seconds) == told


@pytest.mark.parametrize(
    ("octets", "told"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1949, "1.9 kB"), (9949, "9.9 kB"), (9950, "10 kB"),
     (999_499, "999 kB"), (999_500, "1.0 MB"), (212_000_000, "212 MB"), (5_000_000_000_000_000, "5000 TB")],
)  # fmt: skip
def test_sizes(octets: int, told: str) -> None:
    assert size(octets) == told


def offer(address: str, tls: TlsMode, certificate: CertificateFacts | None = None) -> Offer:
    return Offer(address, ListenerSettings(address, tls), certificate)


@pytest.mark.parametrize(
    ("offered", "allowed", "told"),
    [
        (offer("[::1]:110", "none"), "loopback", "[::1]:110  POP3; passwords without TLS from loopback only"),
        (offer("0.0.0.0:110", "starttls", ISSUED), "never", "0.0.0.0:110  POP3, STLS; no passwords without TLS"),
        (offer("unix:/s", "none"), "always", "unix:/s  POP3; passwords without TLS from everywhere"),
        (offer("[::]:995", "implicit", SELF_MADE), "loopback",
         "[::]:995  POP3S, self-made certificate until 2027-02-19"),
        (offer("[::]:995", "implicit", ISSUED), "loopback",
         "[::]:995  POP3S, certificate of pop.example.org, pop3.example.org until 2027-02-19"),
    ],
)  # fmt: skip
def test_what_a_listener_offers(offered: Offer, allowed: str, told: str) -> None:
    assert listener_line(offered, allowed) == told


@pytest.mark.parametrize(
    ("offers", "user", "told"),
    [
        ([offer("127.0.0.1:1110", "starttls", SELF_MADE), offer("127.0.0.1:1995", "implicit", SELF_MADE)],
         "demo:pass-word", "try:  curl --insecure --user 'demo:pass-word' pop3s://127.0.0.1:1995/1"),
        ([offer("127.0.0.1:1110", "none"), offer("0.0.0.0:110", "starttls", SELF_MADE)], "demo",
         "try:  curl --insecure --ssl-reqd --user demo pop3://127.0.0.1:110/1"),
        ([offer("[::]:110", "none")], "demo", "try:  curl --user demo pop3://[::1]:110/1"),
        ([offer("unix:/run/s", "none")], "demo", None),
        ([], "demo", None),
    ],
)  # fmt: skip
def test_the_line_to_try(offers: list[Offer], user: str, told: str | None) -> None:
    assert try_line(offers, user) == told
