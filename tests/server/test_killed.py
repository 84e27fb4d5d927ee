"""The server is killed in the middle, with kill -9, on a real Maildir: nothing is lost, nothing doubled, no lock stays."""

import os
import signal
import time
from pathlib import Path

import pytest

from support.corpus import write_maildir
from support.processes import big_message, running
from support.wire import Wire, logged_in

pytest.importorskip("fcntl", reason="missing: Maildirs are for POSIX")


def files(maildir: Path) -> dict[str, bytes]:
    """The messages on the disk, by unique-id."""
    return {
        path.name.partition(":")[0].partition(",")[0]: path.read_bytes()
        for folder in ("new", "cur")
        for path in (maildir / folder).iterdir()
    }


def uidl(wire: Wire) -> list[bytes]:
    assert wire.ask("UIDL").startswith(b"+OK")
    return [line.split()[1] for line in wire.body().splitlines()]


def test_killed_in_the_middle_of_a_message(tmp_path: Path) -> None:
    messages = {f"m{number}": big_message(3_000_000, number) for number in range(3)}
    write_maildir(tmp_path / "ann", messages)
    before = files(tmp_path / "ann")
    with running("maildir", tmp_path / "{user}") as server, logged_in(server.port) as wire:
        ids = uidl(wire)
        wire.ask("DELE 3")
        wire.send(b"RETR 2\r\n")
        assert wire.line().startswith(b"+OK")
        server.signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
        assert not wire.remains().endswith(b"\r\n.\r\n")
    assert files(tmp_path / "ann") == before
    with running("maildir", tmp_path / "{user}") as server, logged_in(server.port) as wire:  # at once, no lock
        assert uidl(wire) == ids
        for number, message in enumerate(messages.values(), 1):
            assert wire.retrieve(number) == message
        assert wire.ask("QUIT").startswith(b"+OK")


@pytest.mark.parametrize("moment", range(4))
def test_killed_in_the_middle_of_update(tmp_path: Path, moment: int) -> None:
    """Whatever the moment: what is gone was marked, what was not marked is there, octet for octet and by its id."""
    count = 3000
    messages = {f"m{number:04}": b"Subject: %d\r\n\r\nbody of %d\r\n" % (number, number) for number in range(count)}
    maildir = tmp_path / "ann"
    write_maildir(maildir, messages)
    before = files(maildir)
    with running("maildir", tmp_path / "{user}") as server, logged_in(server.port) as wire:
        ids = [octets.decode() for octets in uidl(wire)]
        wire.send(b"".join(b"DELE %d\r\n" % number for number in range(1, count + 1, 2)))
        for _ in range(1, count + 1, 2):
            assert wire.line().startswith(b"+OK")
        wire.send(b"QUIT\r\n")
        goal = count - 1 - moment * 400  # so many files are left when it is killed
        while len(os.listdir(maildir / "new")) + len(os.listdir(maildir / "cur")) > goal:
            time.sleep(0)
        server.signal(signal.SIGKILL)
        server.wait()
    after = files(maildir)
    marked = set(ids[0::2])
    assert set(before) - set(after) <= marked
    assert all(before[name] == octets for name, octets in after.items())
    with running("maildir", tmp_path / "{user}") as server, logged_in(server.port) as wire:
        left = [name for name in ids if name in after]
        assert [octets.decode() for octets in uidl(wire)] == left
        assert wire.retrieve(2) == before[left[1]]
        assert wire.ask("STAT") == b"+OK %d %d" % (len(left), sum(len(before[name]) for name in left))
        assert wire.ask("QUIT").startswith(b"+OK")
    assert files(maildir) == after


def test_a_second_process_is_kept_out_until_the_first_is_killed(tmp_path: Path) -> None:
    write_maildir(tmp_path / "ann", {"m": b"Subject: one\r\n\r\n"})
    template = tmp_path / "{user}"
    with (
        running("maildir", template) as first,
        running("maildir", template) as second,
        logged_in(first.port) as wire,
        Wire(second.port) as other,
    ):
        assert other.log_in().startswith(b"-ERR [IN-USE]")
        assert wire.ask("DELE 1").startswith(b"+OK")
        first.signal(signal.SIGKILL)
        first.wait()
        assert other.pass_in().startswith(b"+OK 1 messages")
        assert other.retrieve(1) == b"Subject: one\r\n\r\n"
        assert other.ask("QUIT").startswith(b"+OK")


def test_sigterm_in_the_middle_of_update_finishes_it(tmp_path: Path) -> None:
    count = 3000
    messages = {f"m{number:04}": b"Subject: %d\r\n\r\n" % number for number in range(count)}
    maildir = tmp_path / "ann"
    write_maildir(maildir, messages)
    with running("maildir", tmp_path / "{user}") as server, logged_in(server.port) as wire:
        uidl(wire)
        wire.send(b"".join(b"DELE %d\r\n" % number for number in range(1, count)))
        for _ in range(1, count):
            assert wire.line().startswith(b"+OK")
        wire.send(b"QUIT\r\n")
        while len(os.listdir(maildir / "new")) + len(os.listdir(maildir / "cur")) == count:
            time.sleep(0)
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGTERM)  # and in a hurry
        assert wire.rest() == b"+OK goodbye\r\n"
        wire.close()
        assert server.wait() == 0
    assert len(files(maildir)) == 1
