"""The maildrop in memory."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from contract.maildrops import MaildropContract, Store, fetched, opened, scanned
from poplin.maildrops.base import Opener
from poplin.maildrops.memory import MemoryMaildrops
from poplin.maildrops.unique_ids import is_unique_id


@dataclass
class MemoryStore:
    user: str = "alice"
    maildrops: MemoryMaildrops = field(default_factory=MemoryMaildrops)

    def opener(self) -> Opener:
        return self.maildrops

    def deliver(self, message: bytes) -> None:
        self.maildrops.deliver(self.user, message)

    def vanish(self, unique_id: str) -> None:
        self.maildrops.discard(self.user, unique_id)


class TestMemory(MaildropContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


def test_what_was_delivered_is_there() -> None:
    maildrops = MemoryMaildrops()
    first = maildrops.deliver("alice", b"one\n")
    second = maildrops.deliver("alice", b"two\n", unique_id="second")
    assert maildrops.messages("alice") == {first: b"one\n", "second": b"two\n"}
    assert second == "second"
    assert is_unique_id(first)
    assert maildrops.messages("bob") == {}
    maildrops.discard("bob", first)
    maildrops.discard("alice", first)
    assert list(maildrops.messages("alice")) == ["second"]


@pytest.mark.parametrize("unique_id", ["", "with space", "x" * 71, "ä"])
def test_a_unique_id_that_is_none_is_refused(unique_id: str) -> None:
    with pytest.raises(ValueError, match="no unique-id"):
        MemoryMaildrops().deliver("alice", b"one\n", unique_id=unique_id)


def test_a_unique_id_is_refused_for_ever_once_used() -> None:
    maildrops = MemoryMaildrops()
    maildrops.deliver("alice", b"one\n", unique_id="once")
    maildrops.discard("alice", "once")
    with pytest.raises(ValueError, match="never used again"):
        maildrops.deliver("alice", b"two\n", unique_id="once")
    maildrops.deliver("bob", b"another user's\n", unique_id="once")


def test_a_made_up_unique_id_avoids_those_that_were_given() -> None:
    maildrops = MemoryMaildrops()
    made_up = maildrops.deliver("alice", b"one\n")
    origin, _, number = made_up.rpartition(".")
    taken = f"{origin}.{int(number) + 1}"
    maildrops.deliver("alice", b"two\n", unique_id=taken)
    assert maildrops.deliver("alice", b"three\n") not in {made_up, taken}


def test_two_processes_make_up_different_unique_ids() -> None:
    assert MemoryMaildrops().deliver("alice", b"one\n") != MemoryMaildrops().deliver("alice", b"one\n")


def test_other_threads_deliver_while_a_session_reads() -> None:
    maildrops = MemoryMaildrops()

    def deliver() -> None:
        for number in range(200):
            maildrops.deliver("alice", b"%d\n" % number)

    async def read_all() -> list[bytes]:
        messages: list[bytes] = []
        while any(thread.is_alive() for thread in threads) or maildrops.messages("alice"):
            async with opened(maildrops, "alice") as maildrop:
                entries = list(await scanned(maildrop))
                messages += [await fetched(maildrop, entry) for entry in entries]
                maildrop.remove(entries)
        return messages

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    messages = asyncio.run(read_all())
    for thread in threads:
        thread.join()
    assert sorted(messages) == sorted(b"%d\r\n" % number for number in range(200) for _ in range(4))
