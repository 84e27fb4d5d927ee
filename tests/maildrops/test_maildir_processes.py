"""Maildirs with others at work in them: delivery agents, IMAP servers, other sessions, and ``kill -9``."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from contract.maildrops import body_of, fetched, opened, reference_wire, request, run, scanned
from maildrops.disk import Mailbox, process, said
from poplin.errors import InUse, MessageGone
from poplin.identity import settle
from poplin.maildrops.base import Ending
from poplin.maildrops.maildir import Maildirs

DELIVER = """
import os, sys
path, count = sys.argv[1], int(sys.argv[2])
for n in range(count):
    name = f"{1700000000 + n}.M{n}P1.test"
    with open(f"{path}/tmp/{name}", "w") as file:
        file.write(f"message {n}\\n")
    os.rename(f"{path}/tmp/{name}", f"{path}/new/{name}")
print("done", flush=True)
"""
RENAME = """
import os, random, sys
path, chance = sys.argv[1], random.Random(1939)
print("ready", flush=True)
while True:
    for part in ("new", "cur"):
        for name in os.listdir(f"{path}/{part}"):
            flags = "".join(flag for flag in "FRS" if chance.random() < 0.5)
            try:
                os.rename(f"{path}/{part}/{name}", f"{path}/cur/{name.partition(':')[0]}:2,{flags}")
            except FileNotFoundError:
                pass
"""
POLL = """
import asyncio, sys
from contract.maildrops import fetched, opened, scanned
from poplin.errors import InUse
from poplin.identity import settle
from poplin.maildrops.maildir import Maildirs

async def poll():
    maildirs = Maildirs(sys.argv[1])
    while True:
        try:
            async with opened(maildirs, "alice") as maildrop:
                entries = list(await scanned(maildrop))
                taken = [await fetched(maildrop, entry) for entry in entries]
                removal = await settle(maildrop.remove(entries))
                assert removal.failed == 0, removal
                for message in taken:
                    print(message.decode().strip(), flush=True)
        except InUse:
            pass
        await asyncio.sleep(0.001)

asyncio.run(poll())
"""
REMOVE = """
import asyncio, sys
from contract.maildrops import opened, scanned
from poplin.identity import settle
from poplin.maildrops.maildir import Maildirs

async def remove():
    async with opened(Maildirs(sys.argv[1]), "alice") as maildrop:
        entries = list(await scanned(maildrop))
        print("ready", flush=True)
        await settle(maildrop.remove(entries[: int(sys.argv[2])]))
        print("removed", flush=True)
        sys.stdin.readline()

asyncio.run(remove())
"""
FETCH = """
import asyncio, os, sys
from contract.maildrops import fetched, opened, scanned
from poplin.maildrops.maildir import Maildirs

async def fetch():
    while True:
        async with opened(Maildirs(sys.argv[1]), "alice") as maildrop:
            print("scan", flush=True)
            for entry in await scanned(maildrop):
                await fetched(maildrop, entry)
            print("close", flush=True)
        path = sys.argv[1].replace("{user}", "alice")
        if os.path.exists(f"{path}/poplin.index"):
            os.unlink(f"{path}/poplin.index")

asyncio.run(fetch())
"""
HOLD = """
import asyncio, sys
from contract.maildrops import opened, scanned
from poplin.maildrops.maildir import Maildirs

async def hold():
    async with opened(Maildirs(sys.argv[1]), "alice") as maildrop:
        print(len(await scanned(maildrop)), flush=True)
        sys.stdin.readline()

asyncio.run(hold())
"""


@pytest.fixture
def box(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path)


def template(box: Mailbox) -> str:
    return f"{box.root}/{{user}}/Maildir"


def is_over(child: subprocess.Popen[str]) -> bool:
    return child.poll() is not None


def test_every_message_is_seen_once_while_others_deliver_and_rename(box: Mailbox) -> None:
    count = 400
    seen: Counter[bytes] = Counter()

    async def session(maildirs: Maildirs) -> None:
        """Fetch all, delete every other one and what was seen before."""
        async with opened(maildirs, box.user) as maildrop:
            entries = list(await scanned(maildrop))
            assert len({entry.unique_id for entry in entries}) == len(entries)
            taken = []
            for entry in entries[::2]:
                seen[await fetched(maildrop, entry)] += 1
                taken.append(entry)
            removal = await settle(maildrop.remove(taken))
            assert removal.failed == 0, removal.reason

    async def sessions() -> None:
        maildirs = box.maildirs()
        while not is_over(delivery):
            await session(maildirs)
            await asyncio.sleep(0.001)
        renaming.kill()
        renaming.wait()
        while box.places():
            await session(maildirs)

    with process(RENAME, box.path) as renaming, process(DELIVER, box.path, count) as delivery:
        assert said(renaming) == "ready"
        run(sessions)
    assert seen == Counter({b"message %d\r\n" % number: 1 for number in range(count)})


def test_two_processes_that_poll_share_out_every_message_once(box: Mailbox) -> None:
    count = 300
    taken: list[str] = []
    with process(POLL, template(box)) as one, process(POLL, template(box)) as other:
        with process(DELIVER, box.path, count) as delivery:
            assert said(delivery) == "done"
        while box.places():
            pass
        maildirs = box.maildirs()
        while True:  # who removed the last message has its lock until all is printed
            try:
                maildirs.open(request(box.user)).close(Ending.QUIT)
                break
            except InUse:
                continue
        for child in (one, other):
            child.terminate()
            assert child.stdout is not None
            taken += child.stdout.read().split("\n")
    assert sorted(filter(None, taken)) == sorted(f"message {number}" for number in range(count))


def test_a_process_killed_while_it_removes_loses_nothing_else(box: Mailbox) -> None:
    places = [box.put(b"%d\n" % number) for number in range(3000)]
    with process(REMOVE, template(box), 2000) as child:
        assert said(child) == "ready"
        while places[20].exists():
            pass
        child.kill()
        child.wait()
    left = {place.name for place in box.places()}
    assert {place.name for place in places[2000:]} <= left, "no unmarked message is touched"
    assert len(left) < 3000

    async def session() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            assert {entry.unique_id for entry in entries} == left
            for entry in entries[:: len(entries) // 20]:
                number = int(entry.unique_id.partition(".")[0]) - int(places[0].name.partition(".")[0])
                assert await fetched(maildrop, entry) == b"%d\r\n" % number

    run(session)


def test_a_killed_process_leaves_no_lock(box: Mailbox) -> None:
    box.put(b"message\n")
    with process(HOLD, template(box)) as child:
        assert said(child) == "1"
        maildirs = box.maildirs()
        with pytest.raises(InUse) as refusal:
            maildirs.open(request(box.user))
        assert refusal.value.where == "192.0.2.7"
        assert refusal.value.since is not None
        child.kill()
        child.wait()
        maildirs.open(request(box.user)).close(Ending.QUIT)


def test_a_lock_keeps_neither_delivery_nor_renaming_out(box: Mailbox) -> None:
    box.put(b"message\n")
    with process(HOLD, template(box)) as child:
        assert said(child) == "1"
        box.flag(box.places()[0], ":2,S")
        box.put(b"another\n")
        assert len(box.places()) == 2


def test_a_snapshot_meets_a_removal_by_another_session(box: Mailbox) -> None:
    for number in range(100):
        box.put(b"%d\n" % number)

    async def session() -> None:
        async with opened(box.opener(), box.user, "snapshot") as maildrop:
            entries = list(await scanned(maildrop))
            with process(REMOVE, template(box), 50) as child:
                assert (said(child), said(child)) == ("ready", "removed")
                gone = 0
                for entry in entries:
                    try:
                        content = await settle(maildrop.retrieve(entry))
                    except MessageGone:
                        gone += 1
                    else:
                        assert await body_of(content)
                assert gone == 50
            assert len(await scanned(maildrop)) == 50

    run(session)


def test_sessions_killed_at_any_moment_leave_the_maildir_whole(box: Mailbox) -> None:
    """They measure, fetch and write the index; whenever they die, the next session sees every message rightly."""
    messages: list[bytes] = []
    moment = random.Random(1939)

    async def session() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            assert [entry.octets for entry in entries] == [len(message) + 1 for message in messages]
            assert [await fetched(maildrop, e) for e in entries] == [reference_wire(message) for message in messages]

    for _ in range(6):
        for _ in range(100):
            messages.append(b"message %d\n" % len(messages))
            box.put(messages[-1])
        with process(FETCH, template(box)) as child:
            for _ in range(moment.randrange(1, 12)):
                assert said(child)
            child.kill()
            child.wait()
        run(session)
