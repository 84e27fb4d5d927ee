"""The examples run as they are: started as their pages say, driven by real clients, ended by Ctrl-C."""

import poplib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.programs import require

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SIMPLE = [
    b"From: shop@example.org\r\nSubject: hello\r\n\r\nworld\r\n",
    b"From: shop@example.org\r\nSubject: order 17\r\n\r\nOne lamp.\r\n",
]


@contextmanager
def started(name: str) -> Iterator[int]:
    """The example on a free port; ended by SIGINT, which it has to take as a wish."""
    process = subprocess.Popen([sys.executable, str(EXAMPLES / name), "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout as output:
        try:
            line = output.readline()
            assert line.startswith("listening on 127.0.0.1:"), line
            yield int(line.rpartition(":")[2])
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(30)
        assert status == 0


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
