"""Maildirs: what a session sees of them, whatever lies in them and whoever works in them meanwhile."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.maildrops import (
    NASTY,
    MaildropContract,
    Store,
    fetched,
    opened,
    reference_wire,
    request,
    run,
    scanned,
    unique_ids,
)
from maildrops.disk import Mailbox, as_nobody, no_descriptors, public_directory
from poplin.content import FileRegion
from poplin.errors import InUse, MessageGone, MessageUnreadable, PermanentFailure, Refused, TemporaryFailure
from poplin.identity import Identity, settle
from poplin.maildrops.base import Ending, Entry, LockPolicy, OpenRequest, Removal
from poplin.maildrops.maildir import Maildirs
from poplin.maildrops.maildir_scan import Files
from poplin.maildrops.unique_ids import is_unique_id
from support.corpus import real_messages

HARMLESS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


@pytest.fixture
def box(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path)


class TestMaildir(MaildropContract):
    """New mail with plain names, each session as after a restart."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Mailbox(tmp_path)


class TestMaildirWithFiguresInItsNames(MaildropContract):
    """Mail that an IMAP server has seen, with ``,S=`` and ``,W=``."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Mailbox(tmp_path, figures=True, part="cur")


class TestMaildirOfOneProcess(MaildropContract):
    """Each session finds what the one before left in memory."""

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        box = Mailbox(tmp_path)
        maildirs = box.maildirs()
        monkeypatch.setattr(box, "opener", lambda: maildirs)
        return box


class TestMaildirThatReadsInPieces(MaildropContract):
    """Every message is longer than what is read in one piece."""

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        box = Mailbox(tmp_path, figures=True)
        monkeypatch.setattr(box, "opener", lambda: box.maildirs(inline_octets=1))
        return box


async def everything(box: Mailbox) -> dict[str, bytes]:
    """All messages as a new session fetches them, by unique-id, octets compared with those listed."""
    async with opened(box.opener(), box.user) as maildrop:
        messages = {}
        for entry in await scanned(maildrop):
            messages[entry.unique_id] = await fetched(maildrop, entry)
            assert entry.octets == len(messages[entry.unique_id])
        return messages


async def entries_of(box: Mailbox) -> list[Entry]:
    async with opened(box.opener(), box.user) as maildrop:
        return list(await scanned(maildrop))


def test_real_mail_arrives_octet_for_octet(box: Mailbox) -> None:
    messages = list(real_messages().values())
    for message in messages:
        box.put(message)
    for _ in range(2):
        arrived = run(lambda: everything(box))
        assert list(arrived.values()) == [reference_wire(message) for message in messages]


@HARMLESS
@given(messages=st.lists(st.binary(max_size=60) | st.text("\r\n.\0a", max_size=40).map(str.encode), max_size=6))
def test_any_octets_arrive(tmp_path_factory: pytest.TempPathFactory, messages: list[bytes]) -> None:
    box = Mailbox(tmp_path_factory.mktemp("any"))
    for message in messages:
        box.put(message)
    for _ in range(2):
        assert list(run(lambda: everything(box)).values()) == [reference_wire(message) for message in messages]


FILE_NAMES = st.binary(min_size=1, max_size=200).map(
    lambda name: name.replace(b"/", b"_").replace(b"\0", b"_").replace(b":", b"_")
)


@HARMLESS
@given(names=st.sets(FILE_NAMES.filter(lambda name: not name.startswith(b".")), max_size=8))
def test_any_file_name_has_a_lasting_unique_id(tmp_path_factory: pytest.TempPathFactory, names: set[bytes]) -> None:
    box = Mailbox(tmp_path_factory.mktemp("names"))
    for name in names:
        box.put(name, base=name)
    first = run(lambda: everything(box))
    assert sorted(first.values()) == sorted(reference_wire(name) for name in names)
    assert all(map(is_unique_id, first))
    for place in box.places():
        box.flag(place, ":2,RS")
    assert run(lambda: everything(box)) == first


@pytest.mark.parametrize(
    "base",
    [
        "1700000000.line\nend.host",
        "1700000000.tab\tand space.host",
        "1700000000." + "x" * 71,
        "1700000000.\udcff\udc80",
        "ünïcode",
        "no number at all",
        "99999999999999999999999999.far",
    ],
)
def test_an_odd_name_is_served_like_any_other(box: Mailbox, base: str) -> None:
    box.put(b"odd\n", base=base)
    box.put(b"even\n")
    before = run(lambda: unique_ids(box))
    assert sorted(run(lambda: everything(box)).values()) == [b"even\r\n", b"odd\r\n"]
    assert run(lambda: unique_ids(box)) == before

    async def conversation() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            for entry in await scanned(maildrop):
                if await fetched(maildrop, entry) == b"odd\r\n":
                    await settle(maildrop.remove([entry]))

    run(conversation)
    assert list(run(lambda: everything(box)).values()) == [b"even\r\n"]


def test_a_name_of_flags_alone_is_served(box: Mailbox) -> None:
    box.put(b"nameless\n", base="", part="cur", info=":2,S")
    assert list(run(lambda: everything(box)).values()) == [b"nameless\r\n"]


def test_the_unique_id_is_the_base_name(box: Mailbox) -> None:
    box.put(b"a\n", base="1700000000.M1P2.host,S=2,W=3", part="cur", info=":2,FS")
    assert run(lambda: unique_ids(box)) == ["1700000000.M1P2.host,S=2,W=3"]


def test_the_order_is_that_of_delivery_times(box: Mailbox) -> None:
    bases = ["nothing", "9.b", "10.a", "999999999.x", "1000000000.a", "1000000000.b", "1700000000.a", "17000000000.a"]
    for base in reversed(bases):
        box.put(base.encode(), base=base, part="new" if len(base) % 2 else "cur")
    assert run(lambda: unique_ids(box)) == bases


def test_trashed_mail_is_served(box: Mailbox) -> None:
    box.put(b"trashed\n", part="cur", info=":2,ST")
    assert len(run(lambda: everything(box))) == 1


def test_what_is_no_message_is_left_out(box: Mailbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a stranger's file\n")
    box.put(b"message\n")
    (box.path / "new" / ".hidden").write_text("hidden\n")
    (box.path / "cur" / "1.directory").mkdir()
    (box.path / "cur" / "2.link").symlink_to(secret)
    (box.path / "new" / "3.dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(box.path / "cur" / "4.fifo")
    for _ in range(2):
        assert list(run(lambda: everything(box)).values()) == [b"message\r\n"]
    assert secret.read_text() == "a stranger's file\n"


@pytest.mark.parametrize("planted", ["link", "fifo", "directory"])
def test_what_took_a_messages_place_is_not_served(box: Mailbox, tmp_path: Path, planted: str) -> None:
    async def conversation() -> None:
        box.put(b"message\n")
        box.put(b"another\n")
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            place = box.places()[0]
            place.unlink()
            if planted == "link":
                (tmp_path / "secret").write_text("a stranger's file\n")
                place.symlink_to(tmp_path / "secret")
            elif planted == "fifo":
                os.mkfifo(place)
            else:
                place.mkdir()
            with pytest.raises(MessageUnreadable):
                await fetched(maildrop, entries[0])
            assert await fetched(maildrop, entries[1]) == b"another\r\n"
            removal = await settle(maildrop.remove(entries))
            assert removal == (Removal(1, 1, removal.reason) if planted == "directory" else Removal(2))
            assert (planted == "directory") == bool(removal.reason)
        assert planted != "link" or (tmp_path / "secret").exists()

    run(conversation)


def test_two_files_of_one_base_name_are_two_messages(box: Mailbox) -> None:
    box.put(b"first\n", base="1700000000.same")
    known = run(lambda: unique_ids(box))
    box.put(b"second\n", base="1700000000.same", part="cur", info=":2,S")
    both = run(lambda: everything(box))
    assert sorted(both.values()) == [b"first\r\n", b"second\r\n"]
    assert all(map(is_unique_id, both))
    assert known[0] not in both, "a client that fetched the first one must not pass over the second"

    async def conversation() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            for entry in await scanned(maildrop):
                if await fetched(maildrop, entry) == b"second\r\n":
                    assert await settle(maildrop.remove([entry])) == Removal(1)

    run(conversation)
    assert list(run(lambda: everything(box)).values()) == [b"first\r\n"]


def test_of_two_files_of_one_base_name_the_right_one_is_removed_after_a_rename(box: Mailbox) -> None:
    async def conversation() -> None:
        box.put(b"first\n", base="1700000000.same")
        box.put(b"the second\n", base="1700000000.same", part="cur", info=":2,S")
        async with opened(box.opener(), box.user) as maildrop:
            (second,) = [e for e in await scanned(maildrop) if await fetched(maildrop, e) == b"the second\r\n"]
            box.flag(box.path / "cur" / "1700000000.same:2,S", ":2,RS")
            assert await fetched(maildrop, second) == b"the second\r\n"
            assert await settle(maildrop.remove([second])) == Removal(1)
        assert list((await everything(box)).values()) == [b"first\r\n"]

    run(conversation)


def test_a_message_that_cannot_be_told_from_another_is_not_removed(box: Mailbox) -> None:
    async def conversation() -> None:
        place = box.put(b"mine\n", base="1700000000.same")
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            place.unlink()
            box.put(b"a stranger's\n", base="1700000000.same", part="cur", info=":2,")
            box.put(b"another stranger's\n", base="1700000000.same", part="cur", info=":2,S")
            removal = await settle(maildrop.remove(entries))
            assert (removal.removed, removal.failed) == (0, 1)
            assert "cannot be told" in removal.reason
        assert len(box.places()) == 2

    run(conversation)


def test_a_message_with_two_links_is_one(box: Mailbox) -> None:
    place = box.put(b"linked\n", base="1700000000.same")
    os.link(place, box.path / "cur" / "1700000000.same:2,S")
    assert run(lambda: everything(box)) == {"1700000000.same": b"linked\r\n"}


@pytest.mark.parametrize("count", [3, 450])
def test_messages_that_are_renamed_meanwhile_are_found_and_removed(box: Mailbox, count: int) -> None:
    async def conversation() -> None:
        for number in range(count):
            box.put(b"%d\n" % number)
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            for place in box.places():
                box.flag(place, ":2,S")
            assert await fetched(maildrop, entries[1]) == b"1\r\n"
            for place in box.places():
                box.flag(place, ":2,FS")
            assert await settle(maildrop.remove(entries[1:])) == Removal(count - 1)
        assert list((await everything(box)).values()) == [b"0\r\n"]

    run(conversation)


@pytest.mark.parametrize("count", [3, 450])
def test_a_message_that_is_gone_is_told_as_gone(box: Mailbox, count: int) -> None:
    async def conversation() -> None:
        for number in range(count):
            box.put(b"%d\n" % number)
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            box.vanish(entries[2].unique_id)
            with pytest.raises(MessageGone):
                await fetched(maildrop, entries[2])
            assert await settle(maildrop.remove([entries[2], entries[0]])) == Removal(2)
        assert len(box.places()) == count - 2

    run(conversation)


def test_a_maildir_that_is_gone_has_no_messages_left(box: Mailbox) -> None:
    async def conversation() -> None:
        box.put(b"message\n")
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            box.path.rename(box.path.with_name("elsewhere"))
            with pytest.raises(MessageGone):
                await fetched(maildrop, entries[0])
            assert await settle(maildrop.remove(entries)) == Removal(1)

    run(conversation)


@pytest.mark.parametrize("figures", ["", ",W=7", ",S=6,W=7", ",W=999", ",W=0", ",S=6,W=8", ",S=5,W=8", ",W=", ",W=x"])
@pytest.mark.parametrize("message", [b"a\nb\nc\n", b"a\nb\nccc", b"a\r\nb\r\n", b""])
def test_figures_in_the_name_cannot_make_a_wrong_octet(box: Mailbox, figures: str, message: bytes) -> None:
    box.put(message, base=f"1700000000.host{figures}")

    async def conversation() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            (entry,) = await scanned(maildrop)
            assert await fetched(maildrop, entry) == reference_wire(message)
        # A figure that lied was found out by the first fetch; from the next scan on it is right.
        for opener in (box.opener(), box.opener()):
            async with opened(opener, box.user) as maildrop:
                (entry,) = await scanned(maildrop)
                assert entry.octets == len(reference_wire(message))

    run(conversation)


def test_good_figures_are_believed_without_reading_the_message(box: Mailbox) -> None:
    async def conversation() -> None:
        box.put(b"x" * 99 + b"\n", base="1700000000.host,S=100,W=150")
        async with opened(box.opener(), box.user) as maildrop:
            (entry,) = await scanned(maildrop)
            assert entry.octets == 150

    run(conversation)


ALTERED = [b"longer than it was\n", b"x\n", b"", b".\n.\n.\n", b"same sz\r", b"\r\n\r\n\r\n.."]


@pytest.mark.parametrize("altered", ALTERED)
@pytest.mark.parametrize("inline", [262_144, 1])
@pytest.mark.parametrize("kept", [True, False])
def test_a_message_altered_in_place_is_sent_as_it_is(box: Mailbox, altered: bytes, inline: int, *, kept: bool) -> None:
    async def conversation() -> None:
        place = box.put(b"8 octets\n"[1:])
        box.put(b"another\n")
        maildirs = box.maildirs(inline_octets=inline)
        async with opened(maildirs, box.user) as maildrop:
            entries = list(await scanned(maildrop))
            assert await fetched(maildrop, entries[0]) == b" octets\r\n"
        before = place.stat()
        place.write_bytes(altered)
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
        openers = [maildirs, maildirs] if kept else [box.maildirs(), box.maildirs()]
        async with opened(openers[0], box.user) as maildrop:
            entries = list(await scanned(maildrop))
            assert await fetched(maildrop, entries[0]) == reference_wire(altered)
            assert await fetched(maildrop, entries[1]) == b"another\r\n"
        async with opened(openers[1], box.user) as maildrop:
            entries = list(await scanned(maildrop))
            assert [entry.octets for entry in entries] == [len(reference_wire(altered)), 9]

    run(conversation)


def test_a_long_message_is_read_while_its_file_is_removed(box: Mailbox) -> None:
    async def conversation() -> None:
        box.put(NASTY["5 MB"])
        async with opened(box.opener(), box.user) as maildrop:
            (entry,) = await scanned(maildrop)
            content = await settle(maildrop.retrieve(entry))
            assert isinstance(content.body, FileRegion)
            box.places()[0].unlink()
            read = b"".join(
                iter(lambda: content.body.read(1 << 20) if isinstance(content.body, FileRegion) else b"", b"")
            )
            content.close()
            assert read == NASTY["5 MB"]

    run(conversation)


def test_an_unreadable_message_is_listed_and_the_others_are_served() -> None:
    with public_directory() as directory:
        box = Mailbox(directory)
        places = [box.put(b"%d\n" % number, part="cur") for number in range(3)]
        places[1].chmod(0)
        for path in (box.path, box.path / "new", box.path / "cur"):
            path.chmod(0o777)
        for place in (places[0], places[2]):
            place.chmod(0o644)

        async def conversation() -> None:
            async with opened(box.opener(), box.user) as maildrop:
                entries = list(await scanned(maildrop))
                assert len(entries) == 3
                with pytest.raises(MessageUnreadable):
                    await fetched(maildrop, entries[1])
                assert await fetched(maildrop, entries[0]) == b"0\r\n"
                assert await fetched(maildrop, entries[2]) == b"2\r\n"

        with as_nobody():
            run(conversation)
        places[1].chmod(0o644)
        with as_nobody():
            assert list(run(lambda: everything(box)).values()) == [b"0\r\n", b"1\r\n", b"2\r\n"]


def test_a_maildir_that_can_only_be_read_is_served() -> None:
    with public_directory() as directory:
        box = Mailbox(directory)
        for number in range(3):
            box.put(b"%d\n" % number, part="cur").chmod(0o644)
        for path in (box.path, box.path / "new", box.path / "cur"):
            path.chmod(0o555)

        async def conversation() -> None:
            maildirs = box.maildirs()
            for _ in range(2):
                async with opened(maildirs, box.user) as maildrop:
                    with pytest.raises(InUse):
                        maildirs.open(request(box.user))
                    entries = list(await scanned(maildrop))
                    assert await fetched(maildrop, entries[1]) == b"1\r\n"
                    removal = await settle(maildrop.remove(entries[:2]))
                    assert (removal.removed, removal.failed) == (0, 2)
                    assert "ermission" in removal.reason
            assert len(await everything(box)) == 3

        with as_nobody():
            run(conversation)
        assert not box.index.exists()
        for path in (box.path, box.path / "new", box.path / "cur"):
            path.chmod(0o755)


def test_directories_that_cannot_be_read_are_a_permanent_failure() -> None:
    with public_directory() as directory:
        box = Mailbox(directory)
        (box.path / "cur").chmod(0)

        async def conversation() -> None:
            async with opened(box.opener(), box.user, "snapshot") as maildrop:
                with pytest.raises(PermanentFailure):
                    await scanned(maildrop)

        with as_nobody():
            run(conversation)
        (box.path / "cur").chmod(0o755)


def test_no_descriptors_is_a_temporary_failure(box: Mailbox) -> None:
    async def conversation() -> None:
        box.put(b"message\n")
        async with opened(box.opener(), box.user) as maildrop:
            with no_descriptors(), pytest.raises(TemporaryFailure):
                maildrop.scan()
            entries = list(await scanned(maildrop))
            with no_descriptors(), pytest.raises(TemporaryFailure):
                maildrop.retrieve(entries[0])
            assert await fetched(maildrop, entries[0]) == b"message\r\n"

    run(conversation)


def test_without_descriptors_no_message_is_left_out(box: Mailbox) -> None:
    async def conversation() -> None:
        maildirs = box.maildirs()
        async with opened(maildirs, box.user) as maildrop:
            box.put(b"message\n")
            with no_descriptors(), pytest.raises(TemporaryFailure):
                maildrop.scan()
            assert len(await scanned(maildrop)) == 1

    run(conversation)


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[Path]:
    before = os.umask(0)
    yield tmp_path / "mail"
    os.umask(before)


def test_a_maildir_that_does_not_exist_is_made_for_its_owner_alone(nowhere: Path) -> None:
    async def conversation() -> None:
        maildirs = Maildirs(f"{nowhere}/{{user}}/Maildir")
        for lock in ("refuse", "snapshot"):
            async with opened(maildirs, f"alice-{lock}", lock) as maildrop:
                assert len(await scanned(maildrop)) == 0
            for part in ("", "Maildir", "Maildir/new", "Maildir/cur", "Maildir/tmp"):
                assert stat.S_IMODE((nowhere / f"alice-{lock}" / part).stat().st_mode) == 0o700

    run(conversation)


def test_a_part_that_is_missing_is_made(box: Mailbox) -> None:
    (box.path / "new").rmdir()
    box.put(b"message\n", part="cur")
    assert len(run(lambda: everything(box))) == 1
    assert (box.path / "new").is_dir()


@pytest.mark.parametrize("lock", ["refuse", "snapshot"])
def test_a_file_in_the_maildirs_place_is_a_permanent_failure(tmp_path: Path, lock: str) -> None:
    async def conversation() -> None:
        (tmp_path / "alice").write_text("no directory")
        maildirs = Maildirs(f"{tmp_path}/{{user}}/Maildir")
        with pytest.raises(PermanentFailure):
            async with opened(maildirs, "alice", lock) as maildrop:
                await scanned(maildrop)
        (tmp_path / "alice").unlink()
        async with opened(maildirs, "alice", lock) as maildrop:
            assert len(await scanned(maildrop)) == 0

    run(conversation)


def test_a_maildir_that_cannot_be_made_is_a_permanent_failure() -> None:
    with pytest.raises(PermanentFailure):
        Maildirs("/proc/{user}/Maildir").open(request("alice"))


@pytest.mark.parametrize(
    "user", ["", ".", "..", "../bob", "a/b", "/etc", ".hidden", "a\0b", "a\nb", "x" * 256, "\udcff"]
)
def test_a_name_that_must_not_reach_a_path_is_refused(tmp_path: Path, user: str) -> None:
    with pytest.raises(Refused):
        Maildirs(f"{tmp_path}/{{user}}/Maildir").open(request(user))
    assert list(tmp_path.iterdir()) == []


def test_the_path_may_be_a_function(box: Mailbox) -> None:
    async def conversation() -> None:
        box.put(b"message\n")
        async with opened(Maildirs(lambda identity: str(box.path)), "whoever") as maildrop:
            assert len(await scanned(maildrop)) == 1

    run(conversation)


def test_home_is_an_attribute_of_the_identity(box: Mailbox) -> None:
    async def conversation() -> None:
        box.put(b"message\n")
        identity = Identity("alice", {"home": str(box.path.parent)})
        maildrop = Maildirs("{home}/Maildir").open(OpenRequest(identity=identity, client=request("alice").client))
        assert len(await settle(maildrop.scan())) == 1
        maildrop.close(Ending.QUIT)

    run(conversation)


def test_two_names_of_one_maildir_share_its_lock(box: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "bob").symlink_to(tmp_path / "alice")
    maildirs = box.maildirs()
    maildrop = maildirs.open(request("alice"))
    with pytest.raises(InUse):
        maildirs.open(request("bob"))
    maildrop.close(Ending.QUIT)


def test_an_unknown_lock_policy_takes_no_lock(box: Mailbox) -> None:
    maildirs = box.maildirs()
    wish = OpenRequest(identity=Identity("alice"), client=request("alice").client, lock=LockPolicy("wait", wait=10))
    with pytest.raises(ValueError, match="not available in this version"):
        maildirs.open(wish)
    maildirs.open(request("alice")).close(Ending.QUIT)


def test_a_scan_that_reads_much_does_not_hold_the_loop(box: Mailbox) -> None:
    async def conversation() -> None:
        for number in range(450):
            box.put(b"%d\n" % number)
        async with opened(box.opener(), box.user) as maildrop:
            answer = maildrop.scan()
            assert asyncio.iscoroutine(answer)
            scan = await answer
            assert len(scan) == 450
            assert box.index.exists(), "what so many messages measured is kept at once"

    run(conversation)


@pytest.mark.parametrize("work", ["scan", "remove"])
def test_a_session_cut_off_in_the_middle_frees_its_lock_when_the_work_is_done(box: Mailbox, work: str) -> None:
    async def conversation() -> None:
        for number in range(600):
            box.put(b"%d\n" % number)
        maildirs = box.maildirs()
        maildrop = maildirs.open(request(box.user))
        if work == "remove":
            entries = list(await scanned(maildrop))[:500]
            task = asyncio.ensure_future(settle(maildrop.remove(entries)))
        else:
            task = asyncio.ensure_future(scanned(maildrop))  # type: ignore[arg-type]
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        maildrop.close(Ending.DROPPED)
        while True:
            try:
                again = maildirs.open(request(box.user))
                break
            except InUse:
                await asyncio.sleep(0.01)
        left = len(box.places())
        assert left in ({100, 600} if work == "remove" else {600}), "all of a removal or none, once the lock is free"
        assert len(await scanned(again)) == left
        again.close(Ending.QUIT)

    run(conversation)


def test_entries_of_an_earlier_scan_stay_good(box: Mailbox) -> None:
    async def conversation() -> None:
        for number in range(5):
            box.put(b"%d\n" % number)
        async with opened(box.opener(), box.user) as maildrop:
            early = list(await scanned(maildrop))
            box.vanish(early[0].unique_id)
            later = list(await scanned(maildrop))
            assert len(later) == 4
            assert await fetched(maildrop, early[3]) == b"3\r\n"
            assert await settle(maildrop.remove([early[3]])) == Removal(1)
        assert list((await everything(box)).values()) == [b"1\r\n", b"2\r\n", b"4\r\n"]

    run(conversation)


def test_keys_are_hashable_and_sliced_like_a_list(box: Mailbox) -> None:
    for number in range(5):
        box.put(b"%d\n" % number)
    maildrop = box.maildirs().open(request(box.user))
    scan = maildrop.scan()
    assert not asyncio.iscoroutine(scan)
    files = scan.keys  # type: ignore[union-attr]
    assert isinstance(files, Files)
    assert len({*files}) == 5
    assert files[1:3] == [files[1], files[2]]
    assert files[-1] == files[4]
    with pytest.raises(IndexError):
        files[5]
    maildrop.close(Ending.QUIT)
