"""A session dies, or the disk fails, at each single call to the system: nothing is lost, doubled, or left locked."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from contract.maildrops import fetched, opened, reference_wire, request, run, scanned
from maildrops.disk import Mailbox, process, said
from poplin.errors import SessionError
from poplin.identity import settle
from poplin.maildrops.base import Ending, Removal
from poplin.maildrops.maildir import Maildirs
from poplin.maildrops.maildir_index import load

WRITING = ("open", "close", "write", "pwrite", "ftruncate", "replace", "unlink", "mkdir")
READING = ("stat", "lstat", "fstat", "pread", "read", "listdir", "scandir")
KINDS = (b"lf\nof %d\n", b"crlf\r\nof %d\r\n", b".dots\n.\nof %d", b"", b"mixed\r\nof\n%d\n")


class Mail:
    """A Maildir with messages of every kind, of which the client marks every other one."""

    def __init__(self, root: Path, count: int) -> None:
        self.box = Mailbox(root)
        self.messages: dict[str, bytes] = {}
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            message = kind % number if b"%" in kind else kind
            base = f"{1_700_000_000 + number}.M{number}P1.test"
            self.box.put(message, base, part="cur" if number % 4 == 3 else "new")
            self.messages[base] = message
        self.marked = set(list(self.messages)[::2])

    @classmethod
    async def with_index(cls, root: Path, count: int, index: str) -> Mail:
        """One where an earlier session left no index, a ``good`` one, or a ``worn`` one."""
        mail = cls(root, count)
        if index == "worn":
            mail.box.index.write_bytes(b"garbage that has to be written anew")
        elif index == "good":
            await mail.check()
        return mail

    def left(self) -> dict[str, bytes]:
        """What lies there, by base name."""
        places = self.box.places()
        left = {place.name.partition(":")[0]: place.read_bytes() for place in places}
        assert len(left) == len(places), "a message is there twice"
        return left

    async def check(self) -> None:
        """Nothing is lost but what was marked, nothing locked, and a new session sees the rest rightly."""
        box, left = self.box, self.left()
        assert set(self.messages) - set(left) <= self.marked, "a message is lost"
        assert all(self.messages[base] == octets for base, octets in left.items())
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            assert [entry.unique_id for entry in entries] == sorted(left)
            for entry in entries:
                wire = reference_wire(left[entry.unique_id])
                assert entry.octets == len(wire)
                assert await fetched(maildrop, entry) == wire
        assert self.left() == left
        index = load(str(box.path))
        assert not index.worn, "the next session repairs what a crash left behind"
        assert not (box.path / "poplin.index.new").exists()
        assert set(left) <= set(index.positions)
        for base, row in index.positions.items():
            facts = index.columns.facts(row)
            assert (facts.octets, facts.raw) == (len(reference_wire(self.messages[base])), len(self.messages[base]))

    async def finish(self) -> None:
        """The client comes again for what was not deleted."""
        async with opened(self.box.opener(), self.box.user) as maildrop:
            again = [entry for entry in await scanned(maildrop) if entry.unique_id in self.marked]
            assert await settle(maildrop.remove(again)) == Removal(len(again))
        assert self.left() == {base: octets for base, octets in self.messages.items() if base not in self.marked}


class Killer:
    """Has sessions killed, each at the next one of these calls. A ``write`` is `half` done before, if wanted."""

    def __init__(self, calls: tuple[str, ...], *, half: bool = False) -> None:
        self._how = f"{'half' if half else 'whole'} {','.join(calls)}"
        self._process = process("from maildrops.crashing import main; main()")
        self.step = 0
        self.removed = -1
        """How many messages the session removed that ended by itself, at last."""

    def __enter__(self) -> Self:
        self._child = self._process.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.__exit__(None, None, None)

    def kill(self, root: Path) -> bool:
        """Whether a session there was killed; else it made fewer calls than there were steps."""
        self.step += 1
        assert self._child.stdin is not None
        self._child.stdin.write(f"{self.step} {self._how} {root}\n")
        self._child.stdin.flush()
        answer = said(self._child)
        if answer == "killed":
            return True
        self.removed = int(answer)
        return False


@pytest.mark.parametrize("index", ["none", "good", "worn"])
def test_killed_at_each_call(tmp_path: Path, index: str) -> None:
    async def conversation() -> int:
        with Killer(WRITING) as killer:
            killed = True
            while killed:
                mail = await Mail.with_index(tmp_path / f"{killer.step}", 7, index)
                killed = killer.kill(mail.box.root)
                await mail.check()
                await mail.finish()
            assert killer.removed == 4
            return killer.step

    # open and close for each of 7 messages, the lock and the index, and 4 removals: less would test nothing
    assert run(conversation) > 20


@pytest.mark.parametrize("index", ["none", "worn"])
def test_killed_in_the_middle_of_writing_the_index(tmp_path: Path, index: str) -> None:
    async def conversation() -> None:
        with Killer(("write",), half=True) as killer:
            mail = await Mail.with_index(tmp_path / "half", 7, index)
            assert killer.kill(mail.box.root)
            torn = mail.box.path / ("poplin.index" if index == "none" else "poplin.index.new")
            assert torn.stat().st_size > 50
            await mail.check()
            await mail.finish()
            assert not killer.kill(Mail(tmp_path / "whole", 7).box.root), "one write is all it takes"

    run(conversation)


def test_killed_at_each_removal_of_many(tmp_path: Path) -> None:
    """So many are removed in a thread."""

    async def conversation() -> list[int]:
        sizes = []
        with Killer(("unlink",)) as killer:
            killed = True
            while killed:
                mail = Mail(tmp_path / f"{killer.step}", 71)
                killed = killer.kill(mail.box.root)
                sizes.append(len(mail.left()))
                await mail.check()
        return sizes

    sizes = run(conversation)
    assert (sizes[0], sizes[-1]) == (71, 35)
    assert set(sizes) == set(range(35, 72)), "each removal takes one message"


def test_killed_while_a_maildir_is_made(tmp_path: Path) -> None:
    async def conversation() -> int:
        with Killer(WRITING) as killer:
            killed = True
            while killed:
                root = tmp_path / f"{killer.step}"
                killed = killer.kill(root)
                async with opened(Maildirs(f"{root}/{{user}}/Maildir"), "alice") as maildrop:
                    assert len(await scanned(maildrop)) == 0
                assert {"tmp", "new", "cur"} <= set(os.listdir(root / "alice" / "Maildir"))
            return killer.step

    assert run(conversation) > 6, "each of the directories is made by a call of its own"


class Disk:
    """Lets the `at`-th call of `os` fail with `code`, and that one alone, while it is entered."""

    def __init__(self, at: int, code: int) -> None:
        self.made = 0
        self._at, self._code = at, code
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> Self:
        for name in (*WRITING, *READING):
            if name != "close":
                self._patch.setattr(os, name, self._frail(getattr(os, name)))
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()

    def _frail(self, call: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **options: object) -> object:
            self.made += 1
            if self.made == self._at:
                raise OSError(self._code, os.strerror(self._code))
            return call(*arguments, **options)

        return called


async def fragile_session(mail: Mail, disk: Disk) -> list[SessionError]:
    """Fetch all and remove what is marked, whatever `disk` does; the result is what was told of it."""
    box, told = mail.box, []
    try:
        with disk:
            maildrop = await settle(box.opener().open(request(box.user)))
    except SessionError as error:
        return [error]
    try:
        with disk:
            entries = list(await scanned(maildrop))
        box.flag(box.places()[0], ":2,RS")
        for entry in entries:
            try:
                with disk:
                    message = await fetched(maildrop, entry)
                assert message == reference_wire(mail.messages[entry.unique_id])
            except SessionError as error:
                told.append(error)
        marked = [entry for entry in entries if entry.unique_id in mail.marked]
        box.flag(box.path / "new" / marked[1].unique_id, ":2,S")
        with disk:
            removal = await settle(maildrop.remove(marked))
        assert removal.removed + removal.failed == len(marked)
        assert removal.failed == len(set(mail.left()) & mail.marked), removal
    except SessionError as error:
        told.append(error)
    with disk:
        await settle(maildrop.close(Ending.QUIT))
    return told


@pytest.mark.parametrize(
    ("code", "index"),
    [
        (errno.EIO, "none"),
        (errno.EIO, "good"),
        (errno.EIO, "worn"),
        (errno.ENOSPC, "worn"),
        (errno.EMFILE, "none"),
        (errno.EACCES, "none"),
    ],
)
def test_each_call_fails_once(tmp_path: Path, code: int, index: str) -> None:
    """The client hears of it by the exceptions of the contract, or not at all, and the session ends like any other."""

    async def conversation() -> None:
        told: list[SessionError] = []
        for at in itertools.count(1):
            mail = await Mail.with_index(tmp_path / f"{at}", 5, index)
            disk = Disk(at, code)
            told += await fragile_session(mail, disk)
            await mail.check()
            await mail.finish()
            if disk.made < at:
                break
        assert at > 30
        assert told

    run(conversation)
