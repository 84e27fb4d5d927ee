"""Who holds a port, and what an address that cannot be listened on is told as."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from poplin.daemon import ports
from poplin.daemon.ports import Holder
from poplin.server.addresses import ListenError


@pytest.fixture
def held() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_the_holder_of_a_port_is_named(held: socket.socket) -> None:
    with held:
        port = held.getsockname()[1]
        (holder,) = ports.holders("127.0.0.1", port)
        assert holder.pid == os.getpid()
        assert str(holder) == f"held by {Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
        assert [one.pid for one in ports.holders("0.0.0.0", port)] == [os.getpid()]
        assert ports.holders("127.0.0.2", port) == []
    assert ports.holders("127.0.0.1", port) == []


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_the_holder_of_an_ipv6_port_is_named() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no ::1")
    with listener:
        assert [holder.pid for holder in ports.holders("::1", listener.getsockname()[1])] == [os.getpid()]


def test_a_process_of_somebody_else_is_told_by_its_user(held: socket.socket) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    with held:
        script = (
            "import sys, os; sys.path.insert(0, 'src'); from poplin.daemon import ports; os.setuid(65534);"
            f"print(*ports.holders('127.0.0.1', {held.getsockname()[1]}))"
        )
        words = [sys.executable, "-c", script]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "held by a process of user root (start as root to see which)\n"


def test_another_poplin_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "poplin").write_text(
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\nsys.stdin.read()\n"
    )
    words = [sys.executable, str(tmp_path / "poplin"), "serve"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        (holder,) = ports.holders("127.0.0.1", port)
        process.communicate(timeout=30)
    assert str(holder) == f"held by another poplin (pid {process.pid})"


def error(address: str, number: int) -> ListenError:
    return ListenError(address, OSError(number, os.strerror(number)))


def test_a_used_port_says_who_and_what_to_do(held: socket.socket) -> None:
    with held:
        address = f"127.0.0.1:{held.getsockname()[1]}"
        told = ports.explain(error(address, errno.EADDRINUSE))
    assert told.startswith(f"cannot listen on {address}: held by ")
    assert told.endswith(f"(pid {os.getpid()}); stop it, or choose another port with --listen 127.0.0.1:0")
    assert ports.explain(error(address, errno.EADDRINUSE)).startswith(f"cannot listen on {address}: already in use;")


def test_a_low_port_names_every_way_out() -> None:
    told = ports.explain(error("0.0.0.0:110", errno.EACCES))
    limit = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip()
    for words in ("server.user", "systemd activation", "poplin help ports", f"a port from {limit} on"):
        assert words in told
    assert ports.first_open_port() == int(limit)


@pytest.mark.parametrize(
    ("address", "number", "words"),
    [
        ("192.0.2.1:110", errno.EADDRNOTAVAIL, "this machine does not have that address"),
        ("127.0.0.1:110", errno.EMFILE, "too many open files"),
        ("unix:/absent/folder/s", errno.ENOENT, "no such file or directory; make the folder /absent/folder"),
        ("unix:/tmp/s", errno.EADDRINUSE, "another server answers there"),
        ("unix:/tmp/s", errno.EACCES, "permission denied"),
    ],
)
def test_other_reasons(address: str, number: int, words: str) -> None:
    assert words in ports.explain(error(address, number))


def test_a_holder_that_cannot_be_seen() -> None:
    assert str(Holder("mail")) == "held by a process of user mail (start as root to see which)"
