"""A client that is sent to the administrator: the administrator finds the reason in the log, at its usual level."""

import logging
from pathlib import Path

import pytest

import poplin
from daemon.command import serving, write_memory
from poplin.maildrops.maildir import Maildirs
from poplin.maildrops.memory import MemoryMaildrops
from support.serving import OnePassword, Serve
from support.wire import Wire


def test_a_vanished_password_file_is_named(tmp_path: Path) -> None:
    write_memory(tmp_path)
    with serving("--listen", "127.0.0.1:0", folder=tmp_path) as server:
        (tmp_path / "users").unlink()
        with Wire(server.port) as wire:
            assert wire.log_in("demo", "secret").startswith(b"-ERR [SYS/TEMP]")
        log = server.stop().err
    assert "warning" in log
    assert "users: cannot be read" in log
    assert "secret" not in log


def test_a_maildir_that_cannot_be_opened_is_named(
    tmp_path: Path, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ann").write_bytes(b"a file where a folder should be")
    running = serve(Maildirs(f"{tmp_path}/{{user}}"), OnePassword("secret"))
    with caplog.at_level(logging.INFO, "poplin"), Wire(running.ports["none"]) as wire:
        assert wire.log_in().startswith(b"-ERR [SYS/PERM]")
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [str(tmp_path / "ann") in record.getMessage() for record in told] == [True]


def test_a_refusal_is_no_failure(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    running = serve(MemoryMaildrops(), OnePassword("secret"), policy=poplin.Policy(failure_delay=0))
    with caplog.at_level(logging.INFO, "poplin"), Wire(running.ports["none"]) as wire:
        assert wire.log_in("ann", "wrong").startswith(b"-ERR [AUTH]")
        assert wire.pass_in().startswith(b"+OK")
        assert wire.ask("RETR 1").startswith(b"-ERR")
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []
