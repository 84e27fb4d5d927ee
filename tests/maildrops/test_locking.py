"""Exclusive access: one session at a time, and no lock that outlives its process."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from maildrops.disk import as_nobody, no_descriptors, process, public_directory, said
from poplin.errors import InUse, PermanentFailure, TemporaryFailure
from poplin.maildrops.locking import Registry, SessionLock

HOLD = """
import sys
from poplin.maildrops.locking import Registry, SessionLock
lock = SessionLock(Registry(), sys.argv[1], sys.argv[2], address="198.51.100.9")
print("locked", flush=True)
sys.stdin.readline()
"""
FORK = """
import os, sys, time
from poplin.maildrops.locking import Registry, SessionLock
lock = SessionLock(Registry(), sys.argv[1], sys.argv[2])
child = os.fork()
if not child:
    sys.stdin.readline()
    os._exit(0)
lock.release()
print("released", flush=True)
os.waitpid(child, 0)
"""


class Place:
    """A maildrop's directory and the name of its session-lock file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "poplin.lock"

    def lock(self, registry: Registry | None = None, address: str = "192.0.2.1") -> SessionLock:
        """A lock as another process would take it, but for a registry that is given."""
        return SessionLock(registry or Registry(), str(self.file), str(self.directory), address=address)

    def is_free(self) -> bool:
        try:
            self.lock().release()
        except InUse:
            return False
        return True


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_registry_lets_in_one() -> None:
    registry = Registry()
    holder = registry.acquire("alice", "session", "192.0.2.1")
    with pytest.raises(InUse) as refusal:
        registry.acquire("alice")
    assert refusal.value.where == "192.0.2.1"
    assert refusal.value.since is not None
    assert registry.holder("alice") is holder
    registry.acquire("bob")
    registry.release("alice", holder)
    assert registry.holder("alice") is None


def test_a_release_that_comes_twice_frees_nobody_else() -> None:
    registry = Registry()
    first = registry.acquire("alice")
    registry.release("alice", first)
    second = registry.acquire("alice")
    registry.release("alice", first)
    assert registry.holder("alice") is second


def test_of_many_threads_the_registry_lets_in_one_at_a_time() -> None:
    registry = Registry()
    inside: list[int] = []
    entered: list[int] = []

    def visit(number: int) -> None:
        for _ in range(300):
            try:
                holder = registry.acquire("alice")
            except InUse:
                continue
            inside.append(number)
            assert inside == [number]
            inside.remove(number)
            entered.append(number)
            registry.release("alice", holder)

    threads = [threading.Thread(target=visit, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entered
    assert registry.holder("alice") is None


def test_the_same_process_is_told_since_when_and_where(place: Place) -> None:
    registry = Registry()
    lock = place.lock(registry)
    with pytest.raises(InUse) as refusal:
        place.lock(registry)
    assert refusal.value.where == "192.0.2.1"
    assert refusal.value.since is not None
    lock.release()
    lock.release()
    place.lock(registry).release()


def test_another_process_is_told_since_when_and_where(place: Place) -> None:
    with process(HOLD, place.file, place.directory) as child:
        assert said(child) == "locked"
        with pytest.raises(InUse) as refusal:
            place.lock()
        assert refusal.value.where == "198.51.100.9"
        assert refusal.value.since is not None
        assert refusal.value.since >= 0
    place.lock().release()


def test_a_killed_process_leaves_no_lock(place: Place) -> None:
    with process(HOLD, place.file, place.directory) as child:
        assert said(child) == "locked"
        assert not place.is_free()
        child.kill()
        child.wait()
        assert place.is_free()


def test_a_refused_lock_leaves_nothing_behind(place: Place) -> None:
    registry = Registry()
    lock = place.lock()
    descriptors = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with pytest.raises(InUse):
            place.lock(registry)
    assert len(os.listdir("/dev/fd")) == descriptors
    lock.release()
    place.lock(registry).release()
    assert len(os.listdir("/dev/fd")) == descriptors - 1


def test_closing_another_descriptor_of_the_file_keeps_the_lock(place: Place) -> None:
    lock = place.lock()
    os.close(os.open(place.file, os.O_RDWR))
    assert not place.is_free()
    lock.release()
    assert place.is_free()


def test_a_forked_child_does_not_keep_the_lock(place: Place) -> None:
    with process(FORK, place.file, place.directory) as child:
        assert said(child) == "released"
        assert place.is_free()
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
        child.wait()


def test_the_file_stays_and_is_its_owners_alone(place: Place) -> None:
    place.lock().release()
    before = place.file.stat()
    place.lock().release()
    assert place.file.stat().st_ino == before.st_ino
    assert stat.S_IMODE(before.st_mode) == 0o600


def test_a_session_without_an_address_says_so(place: Place) -> None:
    lock = place.lock(address="")
    with pytest.raises(InUse) as refusal:
        place.lock()
    assert refusal.value.where == ""
    assert refusal.value.since is not None
    lock.release()


@pytest.mark.parametrize("line", [b"", b"nonsense\n", b"1 x -\n", b"\xff\xfe \xff\n", b"1 2 3 4\n", b"1" * 5000])
def test_a_line_that_is_none_says_nothing(place: Place, line: bytes) -> None:
    lock = place.lock()
    place.file.write_bytes(line)
    with pytest.raises(InUse) as refusal:
        place.lock()
    assert (refusal.value.since, refusal.value.where) == (None, "")
    lock.release()


def test_an_unprintable_address_is_not_told(place: Place) -> None:
    lock = place.lock()
    place.file.write_bytes(b"1 2 a\rb\n")
    with pytest.raises(InUse) as refusal:
        place.lock()
    assert refusal.value.where == ""
    lock.release()


def test_a_link_in_the_files_place_is_not_followed(place: Place) -> None:
    target = place.directory / "target"
    target.write_text("precious")
    place.file.symlink_to(target)
    with pytest.raises(PermanentFailure):
        place.lock()
    assert target.read_text() == "precious"


def test_a_directory_in_the_files_place_is_refused(place: Place) -> None:
    place.file.mkdir()
    with pytest.raises(PermanentFailure):
        place.lock()


def test_a_fifo_in_the_files_place_does_not_hang(place: Place) -> None:
    os.mkfifo(place.file)
    place.lock().release()


def test_no_directory_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Place(tmp_path / "absent").lock()


def test_no_descriptors_is_a_temporary_failure(place: Place) -> None:
    registry = Registry()
    place.lock(registry).release()
    with no_descriptors(), pytest.raises(TemporaryFailure):
        place.lock(registry)
    place.lock(registry).release()


def test_where_no_file_can_be_made_the_directory_is_locked() -> None:
    with public_directory() as directory:
        place = Place(directory)
        directory.chmod(0o555)
        with as_nobody():
            lock = place.lock()
            with pytest.raises(InUse) as refusal:
                place.lock()
            assert refusal.value.since is None
        assert not place.file.exists()
        directory.chmod(0o755)
        assert not place.is_free(), "who could make the file must ask for the directory first"
        assert not place.file.exists()
        lock.release()
        assert place.is_free()
        assert place.file.exists()


def test_a_file_that_can_only_be_read_is_locked_as_well() -> None:
    with public_directory() as directory:
        place = Place(directory)
        place.file.write_text("1 2 192.0.2.55\n")
        place.file.chmod(0o444)
        with as_nobody():
            lock = place.lock()
            assert not place.is_free()
            lock.release()
            assert place.is_free()
        assert place.file.read_text() == "1 2 192.0.2.55\n"


def test_a_file_of_somebody_else_is_a_permanent_failure() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can have a file that the test's user may not read")
    with public_directory() as directory:
        place = Place(directory)
        place.lock().release()
        with as_nobody(), pytest.raises(PermanentFailure):
            place.lock()
