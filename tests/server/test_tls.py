"""TLS over memory buffers: STLS and implicit, what is forgotten, what is refused, how it ends."""

import asyncio
import logging
import poplib
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator

import pytest

import poplin
from poplin.content import Content
from poplin.identity import ClientFacts
from poplin.maildrops.memory import MemoryMaildrops
from poplin.server.tls import TlsLayer
from support.gated import Gate, GatedDoor, Streaming
from support.processes import EveryoneIn, big_message
from support.programs import require
from support.serving import Certificate, OnePassword, Running, Serve
from support.wire import Wire, until

MESSAGE = b"Subject: secret plans\r\n\r\n.a line with a dot\r\n"


@pytest.fixture
def served(serve: Serve) -> Running:
    store = MemoryMaildrops()
    store.deliver("ann", MESSAGE)
    store.deliver("ann", big_message(1_000_000))
    return serve(store, OnePassword("secret"))


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_mail_arrives_whole(served: Running, trusting: ssl.SSLContext, mode: str) -> None:
    with Wire(served.ports[mode], trusting if mode == "implicit" else None) as wire:
        assert wire.line() == b"+OK poplin ready"
        if mode == "starttls":
            assert wire.ask("STLS").startswith(b"+OK")
            wire.start_tls(trusting)
        assert wire.pass_in() == b"+OK 2 messages (%d octets)" % (len(MESSAGE) + len(big_message(1_000_000)))
        assert wire.retrieve(1) == MESSAGE
        assert wire.retrieve(2) == big_message(1_000_000)
        assert wire.ask("QUIT").startswith(b"+OK")
        assert wire.rest() == b""  # a close_notify and a FIN, no reset


def test_poplib_speaks_both(served: Running, trusting: ssl.SSLContext) -> None:
    clear = poplib.POP3("localhost", served.ports["starttls"], timeout=20)
    clear.stls(context=trusting)
    secure = poplib.POP3_SSL("localhost", served.ports["implicit"], timeout=20, context=trusting)
    for user, client in (("ann", clear), ("bob", secure)):
        client.user(user)
        client.pass_("secret")
        count, _ = client.stat()
        assert count == (2 if user == "ann" else 0)
        client.quit()


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_openssl_s_client_speaks_both(served: Running, certificate: Certificate, mode: str) -> None:
    command = [require("openssl"), "s_client", "-quiet", "-CAfile", str(certificate.authority), "-verify_return_error"]
    command += ["-connect", f"127.0.0.1:{served.ports[mode]}", *(["-starttls", "pop3"] if mode == "starttls" else [])]
    done = subprocess.run(
        command, input=b"USER ann\r\nPASS secret\r\nRETR 1\r\nQUIT\r\n", capture_output=True, timeout=30, check=False
    )
    assert done.stdout.endswith(
        b"+OK %d octets\r\n%s.\r\n+OK goodbye\r\n" % (len(MESSAGE), MESSAGE.replace(b"\r\n.", b"\r\n.."))
    ), done


# Rule 1: what was said in clear is not obeyed behind TLS


def test_octets_behind_stls_in_the_same_flight_close_the_connection(served: Running) -> None:
    for behind in (b"NOOP\r\n", b"N", b"\r\n", b"\x16\x03\x01"):
        with Wire(served.ports["starttls"]) as wire:
            wire.line()
            wire.send(b"STLS\r\n" + behind)
            assert wire.remains() == b"", behind


def test_octets_in_a_second_segment_before_tls_close_the_connection(served: Running, trusting: ssl.SSLContext) -> None:
    """They reach TLS, to which they are no record: never a command."""
    with Wire(served.ports["starttls"]) as wire:
        wire.line()
        assert wire.ask("STLS").startswith(b"+OK")
        wire.send(b"USER mallory\r\n")
        answer = wire.remains()
    assert b"+OK" not in answer
    assert b"-ERR" not in answer


def test_the_user_given_in_clear_is_forgotten(served: Running, trusting: ssl.SSLContext) -> None:
    with Wire(served.ports["starttls"]) as wire:
        wire.line()
        assert wire.ask("USER ann").startswith(b"+OK")
        assert wire.ask("STLS").startswith(b"+OK")
        wire.start_tls(trusting)
        assert wire.ask("PASS secret") == b"-ERR send USER first"  # and no second greeting came before
        assert wire.pass_in().startswith(b"+OK")


def test_capa_changes_with_tls_and_stls_is_had_once(served: Running, trusting: ssl.SSLContext) -> None:
    with Wire(served.ports["starttls"]) as wire:
        wire.line()
        wire.ask("CAPA")
        assert b"STLS\r\n" in wire.body()
        wire.ask("STLS")
        wire.start_tls(trusting)
        wire.ask("CAPA")
        assert b"STLS\r\n" not in wire.body()
        assert wire.ask("STLS") == b"-ERR TLS is active already"
        assert wire.pass_in().startswith(b"+OK")
        assert wire.ask("STLS") == b"-ERR not allowed after login"


@pytest.mark.parametrize("mode", ["none", "implicit"])
def test_stls_where_it_is_not_to_be_had(served: Running, trusting: ssl.SSLContext, mode: str) -> None:
    with Wire(served.ports[mode], trusting if mode == "implicit" else None) as wire:
        wire.line()
        wire.ask("CAPA")
        assert b"STLS" not in wire.body()
        assert wire.ask("STLS").startswith(b"-ERR")
        assert wire.pass_in().startswith(b"+OK")


def test_callbacks_hear_of_tls(serve: Serve, trusting: ssl.SSLContext) -> None:
    seen: list[ClientFacts] = []

    class Door(EveryoneIn):
        def authenticate(self, credentials: poplin.Credentials, client: ClientFacts, /) -> poplin.Identity:
            seen.append(client)
            return super().authenticate(credentials, client)

    served = serve(MemoryMaildrops(), Door())
    with Wire(served.ports["implicit"], trusting) as wire:
        wire.log_in()
    with Wire(served.ports["none"]) as wire:
        wire.log_in("bob")
    assert seen[0].tls is not None
    assert seen[0].tls.version == "TLSv1.3"
    assert seen[0].tls.cipher
    assert seen[1].tls is None


# Handshakes that fail


def test_a_client_that_speaks_clear_to_a_tls_port_is_cut(served: Running) -> None:
    for octets in (b"CAPA\r\n", b"\0" * 1000, b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, b"GET / HTTP/1.0\r\n\r\n"):
        with Wire(served.ports["implicit"]) as wire:
            wire.send(octets)
            answer = wire.remains()
            assert b"+OK" not in answer
            assert b"-ERR" not in answer


def test_an_old_tls_is_refused_with_an_alert(served: Running) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)alert|version"):
        Wire(served.ports["implicit"], old)


def test_handshakes_cut_short_leave_nothing_behind(served: Running) -> None:
    hello = client_hello()
    for cut in (1, 5, 6, 100, len(hello)):
        with Wire(served.ports["implicit"]) as wire:
            wire.send(hello[:cut])
            if cut % 2:
                wire.reset()
    for cut in (3, len(hello)):
        with Wire(served.ports["starttls"]) as wire:
            wire.line()
            wire.ask("STLS")
            wire.send(hello[:cut])
            wire.end()
            wire.remains()
    until(lambda: served.server.call(lambda server: server.sessions) == 0, "every connection is gone")
    with Wire(served.ports["none"]) as wire:
        assert wire.log_in().startswith(b"+OK")


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


class Halves:
    """A client's TLS whose records go out in pieces that the test cuts."""

    def __init__(self, wire: Wire, context: ssl.SSLContext) -> None:
        self.wire = wire
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def send(self, octets: bytes, size: int = 1_000_000) -> None:
        if octets:
            self.object.write(octets)
        data = self.outgoing.read()
        for start in range(0, len(data), size):
            self.wire.send(data[start : start + size])

    def handshake(self, size: int) -> None:
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                self.send(b"", size)
                self.incoming.write(self.wire.socket.recv(65_536))
            else:
                self.send(b"", size)
                return

    def line(self) -> bytes:
        line = b""
        while not line.endswith(b"\r\n"):
            try:
                line += self.object.read(1)
            except ssl.SSLWantReadError:
                self.incoming.write(self.wire.socket.recv(65_536))
        return line


@pytest.mark.parametrize("size", [1, 7])
def test_records_may_come_in_pieces(served: Running, trusting: ssl.SSLContext, size: int) -> None:
    with Wire(served.ports["implicit"]) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Halves(wire, trusting)
        client.handshake(size)
        assert client.line() == b"+OK poplin ready\r\n"
        client.send(b"USER ann\r\nPASS secret\r\nSTAT\r\n", size)
        assert [client.line()[:3] for _ in range(3)] == [b"+OK"] * 3


def test_a_broken_record_cuts_and_nothing_follows_in_clear(serve: Serve, trusting: ssl.SSLContext) -> None:
    """Not even what was queued already: what was meant for TLS never goes out without it."""
    gate = Gate()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            yield b"Subject: a source that does not want to end\r\n"
        yield b"and says more\r\n"

    served = serve(Streaming(lambda: Content(pieces(), prefix=b"Received: from here\r\n")), GatedDoor())
    for busy in (False, True):
        with Wire(served.ports["implicit"]) as wire:
            client = Halves(wire, trusting)
            client.handshake(100_000)
            client.line()
            client.send(b"USER ann\r\nPASS secret\r\n")
            client.line()
            client.line()
            if busy:
                client.send(b"RETR 1\r\n")
                gate.await_arrival()
            wire.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            answer = wire.remains()
            for word in (b"+OK", b"-ERR", b"Received", b"Subject", b"says"):
                assert word not in answer
    until(lambda: not served.server.call(lambda server: server.sessions), "the connections are gone")


def test_close_notify_is_an_end_of_input_that_is_answered(served: Running, trusting: ssl.SSLContext) -> None:
    with Wire(served.ports["implicit"]) as wire:
        client = Halves(wire, trusting)
        client.handshake(100_000)
        client.line()
        client.object.write(b"USER ann\r\nPASS secret\r\nSTAT\r\nSTA")
        with pytest.raises(ssl.SSLWantReadError):
            client.object.unwrap()
        client.send(b"")
        assert [client.line()[:3] for _ in range(3)] == [b"+OK"] * 3
        wire.rest()
    until(lambda: not served.server.call(lambda server: server.sessions), "the connection is gone")


def test_a_huge_pipeline_inside_tls(served: Running, trusting: ssl.SSLContext) -> None:
    count = 20_000
    with Wire(served.ports["implicit"]) as wire:
        client = Halves(wire, trusting)
        client.handshake(100_000)
        client.object.write(b"USER ann\r\nPASS secret\r\n")
        for _ in range(20):
            client.object.write(b"NOOP\r\n" * (count // 20))
        client.object.write(b"RETR 2\r\nQUIT\r\n")
        writer = threading.Thread(target=wire.send, args=(client.outgoing.read(),))
        writer.start()
        client.incoming.write(wire.rest())
        writer.join()
        answer = bytearray()
        while piece := client.object.read(65_536):
            answer += piece
    greeting, *_ = answer.partition(b"\r\n")
    head = b"\r\n".join([bytes(greeting), b"+OK send your password", *answer.split(b"\r\n", 3)[2:3], b""])
    big = big_message(1_000_000)
    noops = b"+OK\r\n" * count
    assert answer == head + noops + b"+OK %d octets\r\n" % len(big) + big + b".\r\n+OK goodbye\r\n"


# The layer alone


def test_a_layer_carries_any_amount_both_ways(certificate: Certificate, trusting: ssl.SSLContext) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(incoming, outgoing, server_hostname="localhost")
    server = TlsLayer(certificate.context)
    for _ in range(3):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            assert not server.established
        server.receive(outgoing.read())
        incoming.write(server.pending())
    assert server.established
    assert server.facts().version == "TLSv1.3"
    data = bytes(range(256)) * 4000
    incoming.write(server.encrypt(data))
    assert client.read(1) == data[:1]
    received = data[:1]
    while len(received) < len(data):
        received += client.read(100_000)
    assert received == data
    written = 0
    while written < len(data):
        written += client.write(data[written:])
    assert server.receive(outgoing.read()) == data
    assert server.pending() == b""
    closed = [server.closed]
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    assert server.receive(outgoing.read()) == b""
    assert [*closed, server.closed] == [False, True]
    incoming.write(server.close())
    client.unwrap()  # raises unless our close_notify was in order


def test_tls_failures_are_logged_by_their_reason(served: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poplin")
    with Wire(served.ports["implicit"]) as wire:
        wire.send(b"CAPA\r\n")
        wire.remains()
    until(lambda: any("TLS failed" in record.getMessage() for record in caplog.records), "the failure was logged")
