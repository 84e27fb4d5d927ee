"""Listeners: addresses of every family, all or nothing, port 0 read back, and what a socket inherits."""

import os
import socket
import ssl
import stat
from pathlib import Path

import pytest

import poplin
from poplin.maildrops.memory import MemoryMaildrops
from poplin.server.addresses import ListenErrors, split_address
from poplin.server.driver import Driver
from support.serving import Certificate, OnePassword
from support.wire import Wire, logged_in


def a_server(*addresses: str, **listening: int | str | ssl.SSLContext) -> poplin.Server:
    listeners = [poplin.Listener(address=address) for address in addresses]
    return poplin.Server(
        maildrops=MemoryMaildrops(),
        authenticator=OnePassword("secret"),
        listeners=listeners,
        **listening,  # type: ignore[arg-type]  # host, port or tls as a test needs it
    )


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="missing: IPv6 on the loopback")


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:110", ("127.0.0.1", 110)),
        ("[::1]:0", ("::1", 0)),
        ("[fe80::1%eth0]:995", ("fe80::1%eth0", 995)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    ["", "110", ":110", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "host:-1", "host:1x", "::1:110", "[]:1", "h:²"],
)
def test_anything_else_is_refused_with_what_was_expected(address: str) -> None:
    with pytest.raises(ValueError, match=r"expected host:port, \[IPv6\]:port or unix:path"):
        split_address(address)


def test_port_0_is_read_back() -> None:
    with poplin.BackgroundServer(a_server("127.0.0.1:0", "127.0.0.1:0")) as running:
        ports = [int(address.removeprefix("127.0.0.1:")) for address in running.addresses]
        assert len(set(ports)) == 2
        assert 0 not in ports
        assert running.port == ports[0]
        for port in ports:
            with logged_in(port) as wire:
                assert wire.ask("QUIT").startswith(b"+OK")


@NEEDS_IPV6
def test_by_default_both_families_share_the_port() -> None:
    with poplin.BackgroundServer(a_server(port=0)) as running:
        port = running.port
        assert running.addresses == (f"127.0.0.1:{port}", f"[::1]:{port}")
        for host in ("127.0.0.1", "::1"):
            with Wire((host, port)) as wire:
                assert wire.log_in().startswith(b"+OK"), host


@NEEDS_IPV6
def test_an_ipv6_listener_leaves_ipv4_to_others() -> None:
    port = a_free_port()
    with poplin.BackgroundServer(a_server(f"[::]:{port}", f"0.0.0.0:{port}")) as running:
        assert running.addresses == (f"[::]:{port}", f"0.0.0.0:{port}")
        with Wire(("::1", port)) as wire:
            assert wire.line().startswith(b"+OK")


def test_a_single_host_is_taken_alone() -> None:
    with poplin.BackgroundServer(a_server(host="127.0.0.1", port=0)) as running:
        assert running.addresses == (f"127.0.0.1:{running.port}",)


def test_an_address_that_this_machine_lacks_is_passed_over_only_if_it_is_optional() -> None:
    lacking = "[2001:db8::1]:0"  # RFC 3849: an address for documentation is on no machine
    listeners = [poplin.Listener(address="127.0.0.1:0"), poplin.Listener(address=lacking, optional=True)]
    with poplin.BackgroundServer(
        poplin.Server(maildrops=MemoryMaildrops(), authenticator=OnePassword("secret"), listeners=listeners)
    ) as running:
        assert len(running.addresses) == 1
    with pytest.raises(ListenErrors, match=r"cannot listen on \[2001:db8::1\]:0"):
        poplin.BackgroundServer(a_server("127.0.0.1:0", lacking)).start()


def test_all_or_nothing_and_every_error_is_told(tmp_path: Path) -> None:
    free = a_free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        missing = f"unix:{tmp_path}/no/such/directory/socket"
        good = tmp_path / "good"
        running = poplin.BackgroundServer(
            a_server(f"127.0.0.1:{free}", f"127.0.0.1:{taken}", f"unix:{good}", missing, "no.such.host.invalid:0")
        )
        with pytest.raises(ListenErrors) as raised:
            running.start()
    assert [error.address for error in raised.value.errors] == [f"127.0.0.1:{taken}", missing, "no.such.host.invalid:0"]
    assert f"cannot listen on 127.0.0.1:{taken}: Address already in use" in str(raised.value)
    with pytest.raises(ConnectionRefusedError):
        Wire(free)
    assert not good.exists()


def test_before_the_start_there_is_no_address() -> None:
    server = a_server(port=0)
    with pytest.raises(RuntimeError, match="start it first"):
        _ = server.addresses
    with pytest.raises(RuntimeError, match="start it first"):
        _ = server.port
    assert server.sessions == 0
    assert server.totals.sessions == 0
    assert "new" in repr(server)


def test_one_way_to_say_what_and_where() -> None:
    store, door = MemoryMaildrops(), OnePassword("secret")
    with pytest.raises(TypeError, match="needs one object that serves both"):
        poplin.Server(maildrops=store)
    with pytest.raises(TypeError, match="not all three"):
        poplin.Server(
            poplin.Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b""),
            maildrops=store,
            authenticator=door,
        )
    with pytest.raises(TypeError, match="leave host=, port= and tls= out"):
        a_server("127.0.0.1:0", port=1)
    with pytest.raises(ValueError, match="expected 0 to 65535"):
        a_server(port=65536)
    with pytest.raises(ValueError, match="needs a TLS context"):
        poplin.Listener(address="127.0.0.1:0", tls="implicit")


def test_tls_given_to_the_server_is_offered_by_stls(certificate: Certificate) -> None:
    with poplin.BackgroundServer(a_server(port=0, tls=certificate.context)) as running, Wire(running.port) as wire:
        wire.line()
        assert wire.ask("CAPA").startswith(b"+OK")
        assert b"STLS\r\n" in wire.body()


# UNIX sockets


def test_a_unix_socket_has_its_mode_and_its_client_is_of_this_machine(tmp_path: Path) -> None:
    path = str(tmp_path / "pop3.sock")
    seen: list[poplin.ClientFacts] = []

    def see(user: str, password: str, client: poplin.ClientFacts) -> bool:
        seen.append(client)
        return True

    service = poplin.Callbacks(
        authenticate=see,
        list=lambda user: [],
        retrieve=lambda user, message_id: b"",
    )
    listeners = [poplin.Listener(address=f"unix:{path}"), poplin.Listener(address=f"unix:{path}2", unix_mode=0o666)]
    with poplin.BackgroundServer(poplin.Server(service, listeners=listeners)) as running:
        assert running.addresses == (f"unix:{path}", f"unix:{path}2")
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(path + "2").st_mode) == 0o666
        with pytest.raises(RuntimeError, match="there is no port"):
            _ = running.port
        with Wire(path) as wire:
            assert wire.log_in().startswith(b"+OK")
            assert wire.ask("QUIT").startswith(b"+OK")
    assert seen[0].address == ""
    assert seen[0].is_loopback
    assert not os.path.exists(path)
    assert not os.path.exists(path + "2")


def test_a_stale_unix_socket_is_removed(tmp_path: Path) -> None:
    path = str(tmp_path / "pop3.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    assert os.path.exists(path)
    with poplin.BackgroundServer(a_server(f"unix:{path}")), Wire(path) as wire:
        assert wire.log_in().startswith(b"+OK")


def test_a_live_unix_socket_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "pop3.sock")
    with poplin.BackgroundServer(a_server(f"unix:{path}")):
        with pytest.raises(ListenErrors, match="Address already in use"):
            poplin.BackgroundServer(a_server(f"unix:{path}")).start()
        with Wire(path) as wire:
            assert wire.log_in().startswith(b"+OK")


def test_what_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "important"
    path.write_text("letters", encoding="ascii")
    with pytest.raises(ListenErrors, match="Address already in use"):
        poplin.BackgroundServer(a_server(f"unix:{path}")).start()
    assert path.read_text(encoding="ascii") == "letters"


# What accepted connections inherit


def test_accepted_sockets_notice_dead_peers_and_send_at_once() -> None:
    """Rules 9 and 11: keep-alive, the user timeout, and no Nagle, on every accepted socket."""

    def options(server: poplin.Server) -> dict[str, int]:
        assert server._hub is not None
        (driver,) = server._hub.drivers
        assert isinstance(driver, Driver)
        accepted = driver.transport.get_extra_info("socket")
        return {
            name: accepted.getsockopt(level, getattr(socket, name))
            for level, name in (
                (socket.SOL_SOCKET, "SO_KEEPALIVE"),
                (socket.IPPROTO_TCP, "TCP_NODELAY"),
                (socket.IPPROTO_TCP, "TCP_KEEPIDLE"),
                (socket.IPPROTO_TCP, "TCP_KEEPINTVL"),
                (socket.IPPROTO_TCP, "TCP_KEEPCNT"),
                (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"),
            )
            if hasattr(socket, name)
        }

    with poplin.BackgroundServer(a_server("127.0.0.1:0")) as running, logged_in(running.port):
        found = running.call(options)
    assert found.pop("TCP_NODELAY")
    assert found.pop("SO_KEEPALIVE")
    expected = {"TCP_KEEPIDLE": 120, "TCP_KEEPINTVL": 20, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 180_000}
    assert found == {name: value for name, value in expected.items() if hasattr(socket, name)}
