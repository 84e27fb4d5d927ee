"""Started with standard descriptors closed: no socket may take their numbers, or logs would go to a client."""

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.command import PATIENCE, environment, poplin, write_memory
from support.wire import Wire, until

CLOSED = ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("closed", CLOSED)
def test_a_server_serves_whatever_is_closed(closed: str, tmp_path: Path) -> None:
    write_memory(tmp_path)
    words = [sys.executable, "-m", "poplin", "serve", "--listen", "127.0.0.1:0", "--ready-file", "ready"]
    with (tmp_path / "written").open("wb") as written:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {shlex.join(words)} {closed}"],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        ready = tmp_path / "ready"
        until(lambda: ready.exists() or process.poll() is not None, "the server answers or ends")
        assert process.poll() is None
        with Wire(int(ready.read_text("utf-8").rpartition(":")[2])) as wire:
            assert wire.log_in("demo", "wrong").startswith(b"-ERR [AUTH]")
            assert wire.pass_in("demo", "secret").startswith(b"+OK")
            assert wire.ask("QUIT").startswith(b"+OK")
            assert wire.rest() == b""
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("closed", ["<&-", "2>&-"])
def test_a_session_on_closed_descriptors_ends_in_order(closed: str, tmp_path: Path) -> None:
    write_memory(tmp_path)
    done = poplin("inetd", folder=tmp_path, stdin=b"QUIT\r\n", before=("sh", "-c", f'exec "$@" {closed}', "sh"))
    assert (done.status, done.out[:3]) == (0, "+OK")
    assert "mistake" not in done.err
    assert not list(tmp_path.glob("crash-*"))


def test_standard_output_that_is_full_is_named(tmp_path: Path) -> None:
    write_memory(tmp_path)
    before = ("sh", "-c", 'exec "$@" > /dev/full', "sh")
    done = poplin("serve", "--quiet", "--listen", "127.0.0.1:0", folder=tmp_path, before=before)
    assert done.status == 1
    assert done.err == "poplin serve: cannot write standard output: no space left on device\n"
