"""What every maildrop must do, whoever wrote it: derive a class, give it the fixture `store`, and it is tested.

class TestMine(MaildropContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return MyStore(tmp_path)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import pytest

from poplin.content import Content, FileRegion, Form, wire_octets
from poplin.errors import InUse, MessageGone
from poplin.identity import ClientFacts, Identity, settle
from poplin.maildrops.base import Ending, Entry, LockPolicy, Maildrop, Measures, Opener, OpenRequest, Removal, Scan
from poplin.maildrops.unique_ids import is_unique_id

T = TypeVar("T")

NASTY: dict[str, bytes] = {
    "plain": b"Subject: one\n\nbody\n",
    "wire form": b"Subject: one\r\n\r\nbody\r\n",
    "mixed line ends": b"Subject: one\r\n\nbody\r\n.\nlast\r\n",
    "lone dots": b"Subject: dots\n\n.\n..\n.\r\n...text\n.",
    "a dot first": b".first: octet\n\nbody\n",
    "bare CR": b"Subject: cr\n\na\rb\r\rc\r",
    "CR before CRLF": b"Subject: cr\n\na\r\r\nb\r\r\n",
    "NUL": b"Subject: nul\n\na\0b\n\0\n",
    "no final line end": b"Subject: none\n\nthe end",
    "8-bit": b"Subject: \xe4\xf6\xfc\n\n" + bytes(range(128, 256)) + b"\n",
    "empty": b"",
    "one octet": b"x",
    "one line end": b"\n",
    "header only": b"Subject: header only\n",
    "header and blank line": b"Subject: header only\n\n",
    "terminator inside": b"Subject: end\n\n\r\n.\r\nQUIT\r\n",
    "100 KB lines": b"Subject: long\n\n" + b"x" * 100_000 + b"\n." + b"y" * 100_000 + b"\n",
    "5 MB": b"Subject: big\n\n" + b".line of a big message, with a dot\n" * 150_000,
    "5 MB of wire form": b"Subject: big\r\n\r\n" + b"line of a big message\r\n" * 220_000,
}


class Store(Protocol):
    """Messages of one user, and the way to them."""

    user: str

    def opener(self) -> Opener:
        """An opener of these messages; another one each time where that is possible, as after a restart."""
        ...

    def deliver(self, message: bytes) -> None:
        """Add a message behind the others."""
        ...

    def vanish(self, unique_id: str) -> None:
        """Take a message away behind the back of every session."""
        ...


def run(conversation: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run a test's conversation in a loop of its own."""
    return asyncio.run(conversation())


def request(user: str, lock: str = "refuse") -> OpenRequest:
    """A session of `user` from a documentation address."""
    client = ClientFacts(address="192.0.2.7", session_id="session")
    return OpenRequest(identity=Identity(user), client=client, lock=LockPolicy(lock))


@asynccontextmanager
async def opened(opener: Opener, user: str, lock: str = "refuse") -> AsyncIterator[Maildrop]:
    """A maildrop, closed at the end."""
    maildrop = await settle(opener.open(request(user, lock)))
    try:
        yield maildrop
    finally:
        await settle(maildrop.close(Ending.QUIT))


async def scanned(maildrop: Maildrop) -> Scan:
    """The scan as a session would have it, sizes included."""
    scan = Scan.of(await settle(maildrop.scan()))
    if scan.octets is None:
        assert isinstance(maildrop, Measures)
        scan = scan.measured(await settle(maildrop.measure(list(scan))))
    return scan


async def body_of(content: Content) -> bytes:
    """All octets of the body, in odd pieces, and everything closed."""
    try:
        body = content.body
        if isinstance(body, bytes):
            return body
        pieces = []
        if isinstance(body, FileRegion):
            while piece := body.read(70_001):
                pieces.append(piece)
        else:
            pieces = [piece async for piece in body]
        return b"".join(pieces)
    finally:
        content.close()


async def fetched(maildrop: Maildrop, entry: Entry) -> bytes:
    """The message as it would arrive, unstuffed, after every promise about it was checked."""
    content = await settle(maildrop.retrieve(entry))
    body = await body_of(content)
    wire = content.prefix + reference_wire(body)
    assert content.octets in {None, len(wire)}
    check_form(content.form, body)
    assert wire_octets(body) == len(wire) - len(content.prefix)
    return wire


def reference_wire(message: bytes) -> bytes:
    """What a client gets: line by line, the slow and plain way."""
    lines = message.split(b"\n")
    last = lines.pop()
    wire = b"".join((line.removesuffix(b"\r") + b"\r\n") for line in lines)
    return wire + (last + b"\r\n" if last else b"")


def check_form(form: Form, body: bytes) -> None:
    """Every flag is a promise about the whole body."""
    assert Form.STUFFED not in form or Form.CRLF in form
    if Form.CRLF in form:
        assert reference_wire(body) == body
    if Form.LF in form:
        assert b"\r\n" not in body
    if Form.UNDOTTED in form:
        assert not any(line.startswith(b".") for line in body.split(b"\n"))


async def unique_ids(store: Store) -> list[str]:
    """The unique-ids that a new session sees."""
    async with opened(store.opener(), store.user) as maildrop:
        return list((await scanned(maildrop)).unique_ids)


async def refuses(opener: Opener, user: str) -> InUse:
    """The refusal of a second session."""
    with pytest.raises(InUse) as refusal:
        await settle(opener.open(request(user)))
    return refusal.value


class MaildropContract:
    """The tests. Each begins with the fixture `store`, empty."""

    @pytest.fixture
    def store(self) -> Store:
        raise AssertionError("a class of this contract gives the fixture `store`")

    def test_an_empty_maildrop_has_no_messages(self, store: Store) -> None:
        async def conversation() -> None:
            async with opened(store.opener(), store.user) as maildrop:
                scan = await scanned(maildrop)
                assert len(scan) == 0
                assert scan.total == 0
                assert await settle(maildrop.remove([])) == Removal(0)

        run(conversation)

    @pytest.mark.parametrize("name", NASTY)
    def test_octets_are_the_octets_sent(self, store: Store, name: str) -> None:
        async def conversation() -> None:
            store.deliver(NASTY[name])
            expected = reference_wire(NASTY[name])
            for _ in range(3):  # known by nothing, then by what the first session learned
                async with opened(store.opener(), store.user) as maildrop:
                    (entry,) = await scanned(maildrop)
                    assert entry.octets == len(expected) == wire_octets(NASTY[name])
                    assert await fetched(maildrop, entry) == expected
                    assert await fetched(maildrop, entry) == expected

        run(conversation)

    def test_messages_come_in_the_order_of_delivery_and_keep_it(self, store: Store) -> None:
        async def conversation() -> None:
            for message in NASTY.values():
                store.deliver(message)
            first: list[Entry] = []
            for _ in range(2):
                async with opened(store.opener(), store.user) as maildrop:
                    entries = list(await scanned(maildrop))
                    assert [await fetched(maildrop, entry) for entry in entries] == [
                        reference_wire(message) for message in NASTY.values()
                    ]
                    assert not first or [e.unique_id for e in first] == [e.unique_id for e in entries]
                    first = entries
            store.deliver(b"the newest\n")
            async with opened(store.opener(), store.user) as maildrop:
                *old, newest = await scanned(maildrop)
                assert [e.unique_id for e in old] == [e.unique_id for e in first]
                assert await fetched(maildrop, newest) == b"the newest\r\n"

        run(conversation)

    def test_unique_ids_are_valid_and_unique(self, store: Store) -> None:
        for _ in range(20):
            store.deliver(b"all the same\n")
        ids = run(lambda: unique_ids(store))
        assert len(ids) == len(set(ids)) == 20
        assert all(map(is_unique_id, ids))

    def test_unique_ids_are_never_used_again(self, store: Store) -> None:
        async def conversation() -> None:
            used: set[str] = set()
            for _ in range(3):
                for _ in range(3):
                    store.deliver(b"one of many\n")
                async with opened(store.opener(), store.user) as maildrop:
                    entries = list(await scanned(maildrop))
                    assert used.isdisjoint(entry.unique_id for entry in entries)
                    used.update(entry.unique_id for entry in entries)
                    assert await settle(maildrop.remove(entries)) == Removal(3)
            assert len(used) == 9
            assert await unique_ids(store) == []

        run(conversation)

    def test_a_session_sees_what_was_there_at_its_scan(self, store: Store) -> None:
        async def conversation() -> None:
            store.deliver(b"early\n")
            async with opened(store.opener(), store.user) as maildrop:
                scan = await scanned(maildrop)
                store.deliver(b"late\n")
                assert len(scan) == 1
                assert await fetched(maildrop, scan[0]) == b"early\r\n"
                await settle(maildrop.remove(list(scan)))
            async with opened(store.opener(), store.user) as maildrop:
                (late,) = await scanned(maildrop)
                assert await fetched(maildrop, late) == b"late\r\n"

        run(conversation)

    def test_a_second_scan_looks_afresh(self, store: Store) -> None:
        async def conversation() -> None:
            store.deliver(b"early\n")
            async with opened(store.opener(), store.user) as maildrop:
                (early,) = await scanned(maildrop)
                store.deliver(b"late\n")
                again = await scanned(maildrop)
                assert [await fetched(maildrop, entry) for entry in again] == [b"early\r\n", b"late\r\n"]
                assert await fetched(maildrop, early) == b"early\r\n"

        run(conversation)

    def test_a_vanished_message_is_gone_and_the_others_are_not(self, store: Store) -> None:
        async def conversation() -> None:
            for number in range(3):
                store.deliver(b"%d\n" % number)
            async with opened(store.opener(), store.user) as maildrop:
                entries = list(await scanned(maildrop))
                store.vanish(entries[1].unique_id)
                with pytest.raises(MessageGone):
                    await fetched(maildrop, entries[1])
                assert await fetched(maildrop, entries[0]) == b"0\r\n"
                assert await fetched(maildrop, entries[2]) == b"2\r\n"
            assert await unique_ids(store) == [entries[0].unique_id, entries[2].unique_id]

        run(conversation)

    def test_removing_removes_exactly_these(self, store: Store) -> None:
        async def conversation() -> None:
            for number in range(10):
                store.deliver(b"%d\n" % number)
            async with opened(store.opener(), store.user) as maildrop:
                entries = list(await scanned(maildrop))
                chosen = [entries[number] for number in (7, 0, 3)]
                removal = await settle(maildrop.remove(chosen))
                assert (removal.removed, removal.failed) == (3, 0)
            async with opened(store.opener(), store.user) as maildrop:
                left = await scanned(maildrop)
                assert [await fetched(maildrop, entry) for entry in left] == [
                    b"%d\r\n" % number for number in (1, 2, 4, 5, 6, 8, 9)
                ]

        run(conversation)

    def test_what_is_gone_already_counts_as_removed(self, store: Store) -> None:
        async def conversation() -> None:
            for number in range(3):
                store.deliver(b"%d\n" % number)
            async with opened(store.opener(), store.user) as maildrop:
                entries = list(await scanned(maildrop))
                store.vanish(entries[1].unique_id)
                removal = await settle(maildrop.remove(entries[:2]))
                assert (removal.removed, removal.failed) == (2, 0)
            assert await unique_ids(store) == [entries[2].unique_id]

        run(conversation)

    @pytest.mark.parametrize("ending", Ending)
    def test_closing_alone_removes_nothing_and_frees_the_lock(self, store: Store, ending: Ending) -> None:
        async def conversation() -> None:
            store.deliver(b"stays\n")
            opener = store.opener()
            for _ in range(2):
                maildrop = await settle(opener.open(request(store.user)))
                assert len(await scanned(maildrop)) == 1
                await settle(maildrop.close(ending))

        run(conversation)

    def test_closing_without_a_scan_frees_the_lock(self, store: Store) -> None:
        async def conversation() -> None:
            opener = store.opener()
            for _ in range(2):
                maildrop = await settle(opener.open(request(store.user)))
                await settle(maildrop.close(Ending.DROPPED))

        run(conversation)

    def test_access_is_exclusive(self, store: Store) -> None:
        async def conversation() -> None:
            opener = store.opener()
            async with opened(opener, store.user):
                refusal = await refuses(opener, store.user)
                assert refusal.where == "192.0.2.7"
                assert refusal.since is not None
                assert refusal.since >= 0
                await refuses(opener, store.user)
            async with opened(opener, store.user):
                pass

        run(conversation)

    def test_a_snapshot_needs_no_exclusive_access(self, store: Store) -> None:
        async def conversation() -> None:
            store.deliver(b"for two\n")
            opener = store.opener()
            async with opened(opener, store.user) as one, opened(opener, store.user, "snapshot") as other:
                for maildrop in (one, other):
                    (entry,) = await scanned(maildrop)
                    assert await fetched(maildrop, entry) == b"for two\r\n"
                await refuses(opener, store.user)
            async with opened(opener, store.user):
                pass

        run(conversation)

    @pytest.mark.parametrize("policy", ["wait", "take-over"])
    def test_a_lock_policy_that_is_not_built_is_not_ignored(self, store: Store, policy: str) -> None:
        async def conversation() -> None:
            opener = store.opener()
            with pytest.raises(ValueError, match="not available in this version"):
                await settle(opener.open(request(store.user, policy)))
            async with opened(opener, store.user):
                pass

        run(conversation)
