"""``poplin serve`` and ``poplin inetd`` by the real command: what they print and when, signals, ports, ready file."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.command import PATIENCE, Done, environment, poplin, serving, write_memory
from support.programs import require
from support.wire import Wire, until

LISTENERS = """\
[[listener]]
address = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
tls = "none"
"""
MAILDIR = """\
version = 1
[[listener]]
address = "127.0.0.1:0"
[authentication]
failure_delay = 0
[[authentication.backend]]
type = "password-file"
path = "users"
[maildrop]
path = "mail/{user}/Maildir"
"""
BIG = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 4 + b"\r\n" + (b"x" * 70 + b"\r\n") * 120_000
"""About 9 MB: more than all buffers between server and client hold."""


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """The folder of a configuration, with mail for demo (password secret)."""
    (tmp_path / "poplin.toml").write_text(MAILDIR)
    (tmp_path / "users").write_text("demo:{PLAIN}secret\nann:{PLAIN}secret\n")
    folder = tmp_path / "mail/demo/Maildir"
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(parents=True)
    (folder / "cur/1.small:2,").write_bytes(b"Subject: small\n\nhello\n")
    return tmp_path


# Starting


def test_standard_output_has_the_addresses_alone_and_nothing_is_coloured(tmp_path: Path) -> None:
    write_memory(tmp_path, more=LISTENERS)
    with serving(folder=tmp_path, listeners=2) as server:
        for address in server.addresses:
            with Wire(int(address.rpartition(":")[2])) as wire:
                assert wire.log_in("demo").startswith(b"+OK")
        done = server.stop()
    assert done.status == 0
    assert done.out.splitlines() == [f"listening on {address}" for address in server.addresses]
    assert "\x1b" not in done.out + done.err
    assert "Traceback" not in done.err


def test_each_port_answers_when_its_line_is_read(tmp_path: Path) -> None:
    write_memory(tmp_path, more=LISTENERS)
    words = [sys.executable, "-m", "poplin", "serve"]
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        for _ in range(2):
            port = int(process.stdout.readline().rpartition(b":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
                assert connection.recv(100).startswith(b"+OK")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_a_start_says_what_is_offered_in_at_most_eight_lines(tmp_path: Path) -> None:
    write_memory(tmp_path, more=LISTENERS)
    with serving(folder=tmp_path, listeners=2) as server:
        done = server.stop()
    lines = done.err.splitlines()
    assert len(lines) <= 8 + 1  # and the line of totals
    assert re.fullmatch(r"poplin \S+, configuration \./poplin\.toml, 1 worker", lines[0])
    assert f"{server.addresses[0]}  POP3; passwords without TLS from loopback only" in lines
    assert f"try:  curl --user demo pop3://{server.addresses[0]}/1" in lines
    assert "Ctrl-C stops" in lines
    assert re.fullmatch(r"stopped after \d+s: 0 sessions, 0 messages, 0 B sent, 0 refused logins", lines[-1])


def test_a_quiet_start_says_nothing_but_the_addresses(tmp_path: Path) -> None:
    write_memory(tmp_path)
    with serving("-q", "--listen", "127.0.0.1:0", folder=tmp_path) as server:
        assert server.stop().err == ""


def test_the_first_start_by_init_and_its_curl_line(tmp_path: Path) -> None:
    require("curl")
    poplin("init", "--no-account", folder=tmp_path)
    toml = (tmp_path / "poplin.toml").read_text().replace(":1110", ":0").replace(":1995", ":0")
    for name in ("poplin.toml", "users"):
        (tmp_path / name).unlink()
    # Ports 1110 and 1995 may be taken on a test machine: serve --init is tried with --listen.
    with serving("--init", "--listen", "127.0.0.1:0", folder=tmp_path) as server:
        err = (tmp_path / "serve.err").read_text()
        assert ", configuration poplin.toml (new), 1 worker\n" in err
        assert re.search(
            r"^account made: demo  password: \S+   \(shown once; change it: poplin user passwd demo\)$",
            err,
            re.MULTILINE,
        )
        until(lambda: "Ctrl-C stops" in (tmp_path / "serve.err").read_text(), "the start was told")
        (line,) = re.findall(r"^try:  (curl .*)$", (tmp_path / "serve.err").read_text(), re.MULTILINE)
        fetched = subprocess.run(["sh", "-c", line], capture_output=True, timeout=PATIENCE, check=False)
        assert fetched.returncode == 0, fetched.stderr
        assert b"Subject: Welcome to poplin" in fetched.stdout
        server.stop()
    (tmp_path / "poplin.toml").write_text(toml)
    with serving("--init", folder=tmp_path, listeners=2) as server:  # a second time it changes nothing
        done = server.stop()
    assert "password:" not in done.err
    assert re.search(r"^try:  curl --insecure --user demo pop3s://127\.0\.0\.1:\d+/1$", done.err, re.MULTILINE)
    assert re.search(r"^127\.0\.0\.1:\d+  POP3S, self-made certificate until \d{4}-\d\d-\d\d$", done.err, re.MULTILINE)


def test_both_ways_of_tls_with_the_first_configuration(tmp_path: Path) -> None:
    made = poplin("init", "--json", folder=tmp_path).document
    toml = tmp_path / "poplin.toml"
    toml.write_text(toml.read_text().replace(":1110", ":0").replace(":1995", ":0"))
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    with serving(folder=tmp_path, listeners=2) as server:
        ports = [int(address.rpartition(":")[2]) for address in server.addresses]
        with Wire(ports[1], context) as wire:
            assert wire.log_in("demo", made["password"]).startswith(b"+OK")
            assert b"Subject: Welcome to poplin\r\n" in wire.retrieve(1)
        with Wire(ports[0]) as wire:
            assert wire.line().startswith(b"+OK")
            assert wire.ask("STLS").startswith(b"+OK")
            wire.start_tls(context)
            assert wire.pass_in("demo", made["password"]).startswith(b"+OK")
        assert server.stop().status == 0


def test_the_ready_file_stands_while_the_server_answers(tmp_path: Path) -> None:
    write_memory(tmp_path, more=LISTENERS)
    with serving("--ready-file", "ready", folder=tmp_path, listeners=2) as server:
        assert (tmp_path / "ready").read_text() == "".join(f"{address}\n" for address in server.addresses)
        server.stop()
    assert not (tmp_path / "ready").exists()


def test_a_ready_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    write_memory(tmp_path)
    done = poplin("serve", "--listen", "127.0.0.1:0", "--ready-file", "absent/ready", folder=tmp_path)
    assert (done.status, done.out) == (1, "")
    assert done.err.splitlines()[-1].startswith("poplin serve: cannot write ")


def test_unix_sockets_are_listened_on_and_removed(tmp_path: Path) -> None:
    write_memory(tmp_path, more='[[listener]]\naddress = "unix:s"\n')
    with serving(folder=tmp_path) as server:
        assert server.addresses == [f"unix:{tmp_path}/s"]
        with Wire(str(tmp_path / "s")) as wire:
            assert wire.log_in("demo").startswith(b"+OK")
        server.stop()
    assert not (tmp_path / "s").exists()


# Ports


def test_a_used_port_names_its_holder_and_nothing_stays_open(tmp_path: Path) -> None:
    write_memory(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as held, socket.create_server(("127.0.0.1", 0)) as free:
        used, open_port = held.getsockname()[1], free.getsockname()[1]
        free.close()
        done = poplin(
            "serve", "-q", "--listen", f"127.0.0.1:{open_port}", "--listen", f"127.0.0.1:{used}", folder=tmp_path
        )
    assert (done.status, done.out) == (1, "")
    name = Path("/proc/self/comm").read_text().strip()
    assert done.err == (
        f"poplin serve: cannot listen on 127.0.0.1:{used}: held by {name} (pid {os.getpid()}); "
        "stop it, or choose another port with --listen 127.0.0.1:0\n"
    )


def test_two_used_ports_are_two_lines(tmp_path: Path) -> None:
    write_memory(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [listener.getsockname()[1] for listener in (one, two)]
        words = [word for port in (ports[0], 0, ports[1]) for word in ("--listen", f"127.0.0.1:{port}")]
        done = poplin("serve", "-q", *words, folder=tmp_path)
    assert (done.status, done.out) == (1, "")
    assert [re.findall(r"cannot listen on 127\.0\.0\.1:(\d+): held by", line) for line in done.err.splitlines()] == [
        [str(port)] for port in ports
    ]


def test_another_poplin_on_the_port_is_named_as_such(tmp_path: Path) -> None:
    write_memory(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with serving("--listen", f"127.0.0.1:{port}", folder=tmp_path) as server:
        done = poplin("serve", "-q", "--listen", f"127.0.0.1:{port}", folder=tmp_path)
        assert f"held by another poplin (pid {server.process.pid})" in done.err
        server.stop()


def test_a_low_port_as_an_ordinary_user(tmp_path: Path) -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first <= 110:
        pytest.skip("port 110 is free for all on this machine")
    write_memory(tmp_path)
    # Root without this one capability is like anybody else: no port below 1024.
    before = [require("setpriv"), "--bounding-set=-net_bind_service"] if os.geteuid() == 0 else []
    done = poplin("serve", "-q", "--listen", "127.0.0.1:110", folder=tmp_path, before=before)
    assert (done.status, done.out) == (1, "")
    assert done.err.count("\n") == 1, done.err
    for words in ("127.0.0.1:110", "server.user", "systemd activation", f"a port from {first} on"):
        assert words in done.err


def test_no_listener_at_all(tmp_path: Path) -> None:
    write_memory(tmp_path)
    done = poplin("serve", folder=tmp_path)
    assert done.status == 1
    assert done.err == "poplin serve: ./poplin.toml: no [[listener]]; write one, or use --listen ADDRESS:PORT\n"


# Stopping


def deliver_big(folder: Path) -> None:
    (folder / "mail/demo/Maildir/cur/2.big:2,").write_bytes(BIG)


def begin_big(wire: Wire) -> None:
    """Ask for the big message and read none of it."""
    wire.send(b"RETR 2\r\n")
    assert select.select([wire.socket], [], [], PATIENCE)[0]


def test_a_stop_says_farewell_to_idle_sessions_and_finishes_a_message(maildir: Path) -> None:
    deliver_big(maildir)
    with (
        serving("-q", folder=maildir) as server,
        Wire(server.port) as idle,
        Wire(server.port, receive_buffer=65_536) as busy,
    ):
        assert idle.log_in("ann").startswith(b"+OK")
        assert busy.log_in("demo").startswith(b"+OK")
        assert busy.ask("DELE 1").startswith(b"+OK")
        begin_big(busy)
        server.process.send_signal(signal.SIGINT)
        assert idle.line().startswith(b"-ERR [SYS/TEMP]")
        assert busy.line().startswith(b"+OK")
        assert busy.body() == BIG
        done = server.ended()
    assert done.status == 0
    assert (maildir / "mail/demo/Maildir/cur/1.small:2,").exists()  # marked, but no QUIT


def test_what_a_stop_waits_for_is_told(maildir: Path) -> None:
    deliver_big(maildir)
    with serving(folder=maildir) as server, Wire(server.port, receive_buffer=65_536) as busy, Wire(server.port) as idle:
        assert busy.log_in("demo").startswith(b"+OK")
        assert idle.line().startswith(b"+OK")
        begin_big(busy)
        server.process.send_signal(signal.SIGINT)
        told = "stopping: 2 sessions; 1 idle ended, waiting for 1, at most 30 s; Ctrl-C again to stop now\n"
        until(lambda: told in (maildir / "serve.err").read_text(), told)
        server.process.send_signal(signal.SIGINT)
        done = server.ended()
        assert not busy.remains().endswith(b"\r\n.\r\n")  # cut, and the client can tell
    assert done.status == 0
    assert re.search(r"^stopped after \d+s: \d+ sessions?, ", done.err, re.MULTILINE)
    assert (maildir / "mail/demo/Maildir/cur/2.big:2,").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_that_asks_for_the_end_ends_in_peace(number: signal.Signals, tmp_path: Path) -> None:
    write_memory(tmp_path)
    with serving("--listen", "127.0.0.1:0", folder=tmp_path) as server:
        assert server.stop(number).status == 0


def test_totals(maildir: Path) -> None:
    with serving(folder=maildir) as server:
        with Wire(server.port) as wire:
            assert wire.log_in("demo", "wrong").startswith(b"-ERR [AUTH]")
            assert wire.pass_in("demo").startswith(b"+OK")
            wire.retrieve(1)
            assert wire.ask("QUIT").startswith(b"+OK")
            assert wire.rest() == b""
        done = server.stop()
    last = done.err.splitlines()[-1]
    assert re.fullmatch(r"stopped after \d+s: 1 session, 1 message, 25 B sent, 1 refused login", last)


# The log


def test_one_summary_line_a_session_with_its_id_in_every_line_and_no_secret(maildir: Path) -> None:
    with serving("-v", folder=maildir) as server:
        with Wire(server.port) as wire:
            assert wire.log_in("demo", "planted-wrong").startswith(b"-ERR")
            assert wire.pass_in("demo").startswith(b"+OK")
            assert wire.ask("QUIT").startswith(b"+OK")
        with Wire(server.port) as wire:
            wire.line()
            assert wire.ask("PASS planted-early").startswith(b"-ERR")
            assert wire.ask("AUTH PLAIN AHBsYW50ZWQAcGxhbnRlZC1zYXNs").startswith(b"-ERR")
            assert wire.ask("QUIT").startswith(b"+OK")
        done = server.stop()
    lines = [line for line in done.err.splitlines() if re.match(r"\d{4}-\d\d-\d\dT", line)]
    assert len([line for line in lines if ": ended by quit: " in line]) == 2
    assert all(re.fullmatch(r"\S+Z \w+ [a-z0-9]{4}-[0-9a-f]+: .*", line) for line in lines), lines
    assert not {"planted-wrong", "planted-early", "planted-sasl", "secret"} & set(re.split(r"[^\w-]+", done.err))


# inetd


def test_inetd_over_pipes(maildir: Path) -> None:
    done = poplin("inetd", folder=maildir, stdin=b"USER demo\r\nPASS secret\r\nRETR 1\r\nQUIT\r\n")
    assert done.status == 0
    lines = done.out.replace("\r\n", "\n").splitlines()
    assert lines[0].startswith("+OK ")
    assert lines[3:-1] == [lines[3], "Subject: small", "", "hello", "."]
    assert lines[-1] == "+OK goodbye"
    assert "ended by quit" in done.err


@pytest.fixture
def inetd(maildir: Path) -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """The client's end of a socket that `poplin inetd` has as standard input, output and error."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        served, _ = listener.accept()
    words = [sys.executable, "-m", "poplin", "inetd", "-v"]
    number = served.fileno()
    with (
        client,
        subprocess.Popen(words, cwd=maildir, env=environment(), stdin=number, stdout=number, stderr=number) as process,
    ):
        served.close()
        client.settimeout(PATIENCE)
        yield client, process
        if process.poll() is None:
            process.kill()


def test_inetd_over_a_socket_says_nothing_but_the_protocol(
    inetd: tuple[socket.socket, subprocess.Popen[bytes]],
) -> None:
    client, process = inetd
    client.sendall(b"USER demo\r\nPASS wrong\r\nUSER demo\r\nPASS secret\r\nSTAT\r\nQUIT\r\n")
    said = b""
    while piece := client.recv(4096):
        said += piece
    assert process.wait(timeout=PATIENCE) == 0
    assert [line[:4] for line in said.splitlines()] == [b"+OK ", b"+OK ", b"-ERR", b"+OK ", b"+OK ", b"+OK ", b"+OK "]


def test_inetd_ends_when_its_client_is_gone_and_removes_nothing(
    inetd: tuple[socket.socket, subprocess.Popen[bytes]], maildir: Path
) -> None:
    client, process = inetd
    with client.makefile("rwb") as stream:
        stream.readline()
        for command in (b"USER demo", b"PASS secret", b"DELE 1"):
            stream.write(command + b"\r\n")
            stream.flush()
            assert stream.readline().startswith(b"+OK")
    client.close()
    assert process.wait(timeout=PATIENCE) == 0
    assert (maildir / "mail/demo/Maildir/cur/1.small:2,").exists()


def test_inetd_with_a_configuration_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "poplin.toml").write_text("version = 2\n")
    done = poplin("inetd", folder=tmp_path)
    assert (done.status, done.out) == (1, "")
    assert "version: 2 is not a version that this poplin knows" in done.err


def test_inetd_needs_a_certificate_for_tls(maildir: Path) -> None:
    assert poplin("inetd", "--tls", "implicit", folder=maildir) == Done(
        1, "", "poplin inetd: --tls implicit needs a certificate; set tls.certificate and tls.key\n"
    )


# A crash of the machine, or of the process


def test_killed_in_the_middle_of_a_session_it_loses_nothing_and_locks_nothing(maildir: Path) -> None:
    with serving("-q", folder=maildir) as server, Wire(server.port) as wire:
        assert wire.log_in("demo").startswith(b"+OK")
        assert wire.ask("DELE 1").startswith(b"+OK")
        server.process.kill()
        server.process.wait(timeout=PATIENCE)
    with serving("-q", folder=maildir) as server, Wire(server.port) as wire:
        assert wire.log_in("demo").startswith(b"+OK")
        assert wire.ask("STAT") == b"+OK 1 25"
        server.stop()
