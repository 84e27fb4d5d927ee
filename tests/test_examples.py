"""The examples run as they are: started as their pages say, driven by real clients, ended by Ctrl-C."""

import poplib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import poplin
from support.programs import require

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SIMPLE = [
    b"From: shop@example.org\r\nSubject: hello\r\n\r\nworld\r\n",
    b"From: shop@example.org\r\nSubject: order 17\r\n\r\nOne lamp.\r\n",
]


@contextmanager
def started(name: str, told: list[str] | None = None, end: signal.Signals = signal.SIGINT) -> Iterator[int]:
    """The example on a free port; ended by a signal that it has to take as a wish. `told` gets what it printed then."""
    process = subprocess.Popen([sys.executable, str(EXAMPLES / name), "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout as output:
        try:
            line = output.readline()
            assert line.startswith("listening on 127.0.0.1:"), line
            yield int(line.rpartition(":")[2])
        finally:
            process.send_signal(end)
            rest = output.readlines()
            status = process.wait(30)
        assert status == 0
        if told is not None:
            told += rest


@pytest.mark.real
def test_simple_serves_curl() -> None:
    curl = require("curl")
    with started("simple.py") as port:
        for number, message in enumerate(SIMPLE, 1):
            words = [curl, "--silent", "--user", "alice:secret", f"pop3://127.0.0.1:{port}/{number}"]
            assert subprocess.run(words, capture_output=True, check=True).stdout == message


def test_simple_removes_what_was_deleted() -> None:
    with started("simple.py") as port:
        box = poplib.POP3("127.0.0.1", port, timeout=10)
        box.user("alice")
        box.pass_("secret")
        assert box.uidl()[1] == [b"1 hello-2026", b"2 order-17"]
        box.dele(1)
        box.quit()
        box = poplib.POP3("127.0.0.1", port, timeout=10)
        box.user("alice")
        box.pass_("secret")
        assert box.uidl()[1] == [b"1 order-17"]
        assert box.stat() == (1, len(SIMPLE[1]))
        box.quit()


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_each_ends_by_sigterm_too(name: str) -> None:
    with started(name, end=signal.SIGTERM) as port:
        box = poplib.POP3("127.0.0.1", port, timeout=10)
        assert box.getwelcome().startswith(b"+OK")
        box.quit()


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("command_class.py", b"Subject: hello\r\n\r\nworld\r\n"),
        ("plugin.py", b"Subject: one\r\n\r\nbody\r\n"),
        ("events.py", b"Subject: one\r\n\r\nbody\r\n"),
        ("blocking.py", b"Subject: hello\r\n\r\nworld\r\n"),
    ],
)
def test_curl_reads_from_each(name: str, message: bytes) -> None:
    curl = require("curl")
    with started(name) as port:
        words = [curl, "--silent", "--user", "alice:secret", f"pop3://127.0.0.1:{port}/"]
        assert subprocess.run(words, capture_output=True, check=True).stdout == b"1 %d\r\n" % len(message)
        words[-1] += "1"
        for _ in range(20):  # the session before may still be ending: a moment of [IN-USE] is right
            done = subprocess.run(words, capture_output=True, check=False)
            if done.returncode == 0:
                break
        assert done.stdout == message


def said(box: poplib.POP3, command: str, lines: int = 1) -> list[bytes]:
    """So many lines of the answer to a command that poplib does not know."""
    box.sock.sendall(f"{command}\r\n".encode())
    return [box.file.readline() for _ in range(lines)]


def test_command_class_adds_changes_and_keeps_commands() -> None:
    with started("command_class.py") as port:
        box = poplib.POP3("127.0.0.1", port, timeout=10)
        assert said(box, "XHELLO") == [b"+OK hello stranger, 1 times\r\n"]
        assert "XNEWS" not in box.capa()
        assert "VERSION" in box.capa()
        assert said(box, "version") == [f"+OK poplin {poplin.__version__}\r\n".encode()]
        box.user("alice")
        box.pass_("secret")
        assert said(box, "XHELLO alice") == [b"+OK hello alice, 2 times\r\n"]
        assert "XNEWS" in box.capa()
        assert said(box, "XNEWS", 4)[1:] == [
            b"The lamps are here.\r\n",
            b"..and this line begins with a dot\r\n",
            b".\r\n",
        ]
        with pytest.raises(poplib.error_proto, match="the first message stays"):
            box.dele(1)
        assert box.retr(1)[1] == [b"Subject: hello", b"", b"world"]
        box.quit()


def test_plugin_answers_dele_and_counts() -> None:
    with started("plugin.py") as port:
        for _ in range(2):
            box = poplib.POP3("127.0.0.1", port, timeout=10)
            box.user("alice")
            box.pass_("secret")
            with pytest.raises(poplib.error_proto, match="read-only"):
                box.dele(1)
            assert box.stat() == (1, 22)
            box.quit()


def test_events_tell_of_login_removal_and_end() -> None:
    told: list[str] = []
    with started("events.py", told) as port:
        box = poplib.POP3("127.0.0.1", port, timeout=10)
        box.user("alice")
        box.pass_("secret")
        box.dele(1)
        box.quit()
    assert told == ["alice came in by USER\n", "alice removed 1 of 1\n", "the session ended by quit\n"]


def alice_soon(port: int) -> poplib.POP3:
    """Alice, as soon as the session before has ended."""
    while True:
        box = poplib.POP3("127.0.0.1", port, timeout=10)
        box.user("alice")
        try:
            box.pass_("secret")
        except poplib.error_proto:
            box.close()
        else:
            return box


def test_blocking_serves_without_a_loop() -> None:
    with started("blocking.py") as port:
        idle = poplib.POP3("127.0.0.1", port, timeout=10)
        idle.user("alice")
        with pytest.raises(poplib.error_proto):
            idle.pass_("wrong")
        idle.close()
        box = alice_soon(port)
        assert box.retr(1)[1] == [b"Subject: hello", b"", b"world"]
        assert box.top(1, 0)[1] == [b"Subject: hello", b""]
        box.dele(1)
        box.close()  # without QUIT: nothing is removed
        box = alice_soon(port)
        assert box.stat() == (1, 25)
        box.dele(1)
        box.quit()
        box = alice_soon(port)
        assert box.stat() == (0, 0)
        box.quit()
