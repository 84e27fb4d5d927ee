"""The index file: a help that may be torn, stale, planted or impossible to write, and never a lie or a failure."""

from __future__ import annotations

import logging
import os
import random
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.maildrops import NASTY, fetched, opened, reference_wire, request, run, scanned
from maildrops.disk import Mailbox, process, said, small_disk
from poplin.identity import settle
from poplin.maildrops.base import Ending, Removal
from poplin.maildrops.maildir_files import EXAMINED, Facts
from poplin.maildrops.maildir_index import Columns, append, load, octets_of, rewrite

BASES = st.binary(max_size=30).map(lambda name: os.fsdecode(name.replace(b"/", b"_").replace(b"\0", b"_")))
FACTS = st.builds(
    Facts,
    octets=st.integers(0, 1 << 62),
    raw=st.integers(0, 1 << 62),
    mtime=st.integers(-(1 << 62), 1 << 62),
    form=st.integers(0, 31),
)


def columns_of(facts: Sequence[Facts]) -> Columns:
    columns = Columns()
    for each in facts:
        columns.add(each)
    return columns


def known(path: Path) -> dict[str, Facts]:
    """What the index in `path` says."""
    index = load(str(path))
    return {base: index.columns.facts(row) for base, row in index.positions.items()}


@pytest.fixture
def box(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path)


def one(number: int) -> Facts:
    return Facts(number, number, number, EXAMINED)


@given(batches=st.lists(st.dictionaries(BASES, FACTS, min_size=1, max_size=5), max_size=5))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, batches: list[dict[str, Facts]]) -> None:
    path = tmp_path_factory.mktemp("index")
    expected: dict[str, Facts] = {}
    for batch in batches:
        size = append(str(path), list(batch), columns_of(list(batch.values())))
        assert size == octets_of(str(path))
        expected |= batch
    assert known(path) == expected
    assert not load(str(path)).worn
    rewrite(str(path), list(expected), columns_of(list(expected.values())))
    assert known(path) == expected


def test_an_absent_index_is_an_empty_one(tmp_path: Path) -> None:
    index = load(str(tmp_path))
    assert (index.positions, index.octets, index.worn) == ({}, -1, False)
    assert octets_of(str(tmp_path)) == -1


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    append(str(tmp_path), ["a"], columns_of([one(1)]))
    assert stat.S_IMODE((tmp_path / "poplin.index").stat().st_mode) == 0o600
    rewrite(str(tmp_path), ["a"], columns_of([one(1)]))
    assert stat.S_IMODE((tmp_path / "poplin.index").stat().st_mode) == 0o600


def test_a_torn_batch_hides_no_other(tmp_path: Path) -> None:
    file = tmp_path / "poplin.index"
    for name in ("a", "b", "c"):
        append(str(tmp_path), [name], columns_of([one(len(name))]))
    whole = file.read_bytes()
    length = len(whole) // 3
    for cut in range(1, length):
        file.write_bytes(whole[:length] + whole[length : length + cut] + whole[2 * length :])
        assert set(known(tmp_path)) == {"a", "c"}
        assert load(str(tmp_path)).worn


def test_a_changed_octet_is_noticed(tmp_path: Path) -> None:
    append(str(tmp_path), ["name"], columns_of([one(7)]))
    file = tmp_path / "poplin.index"
    whole = file.read_bytes()
    for position in range(len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert known(tmp_path) == {}
        assert load(str(tmp_path)).worn


@given(st.binary(max_size=200))
def test_garbage_is_no_index(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage")
    (path / "poplin.index").write_bytes(garbage)
    assert known(path) == {}
    append(str(path), ["a"], columns_of([one(1)]))
    assert known(path) == {"a": one(1)}


def test_a_file_of_marks_alone_does_not_cost_a_checksum_each(tmp_path: Path) -> None:
    """Each mark claims to be a batch as long as the file: unbounded, that is 30,000 checksums of 1 MB."""
    claim = (0).to_bytes(4, "little") + (900_000).to_bytes(4, "little") + bytes(4)
    (tmp_path / "poplin.index").write_bytes((b"poplin-index 1\n" + claim) * 60_000)
    assert known(tmp_path) == {}


def test_many_batches_are_worn(tmp_path: Path) -> None:
    for number in range(65):
        assert not load(str(tmp_path)).worn
        append(str(tmp_path), [f"{number}"], columns_of([one(number)]))
    assert load(str(tmp_path)).worn
    assert len(known(tmp_path)) == 65


def test_a_scan_survives_an_index_torn_at_every_octet(box: Mailbox) -> None:
    messages = [b"one\n", b"two\r\n", b".three"]
    for message in messages:
        box.put(message)

    async def session() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            assert [entry.octets for entry in entries] == [5, 5, 8]
            assert [await fetched(maildrop, e) for e in entries] == [reference_wire(message) for message in messages]

    run(session)
    whole = box.index.read_bytes()
    for length in range(len(whole) + 1):
        box.index.write_bytes(whole[:length])
        run(session)
        assert len(known(box.path)) == 3, "what was torn is repaired by the session that found it"
        assert not load(str(box.path)).worn


def test_the_messages_are_measured_once_in_their_life(box: Mailbox) -> None:
    """What stands in the index is believed: here it says what no measuring would."""
    place = box.put(b"message\n")
    status = place.stat()
    append(str(box.path), [place.name], columns_of([Facts(4711, 8, status.st_mtime_ns, EXAMINED)]))

    async def session() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            (entry,) = await scanned(maildrop)
            assert entry.octets == 4711

    run(session)


def test_an_entry_of_another_file_of_that_name_is_not_believed_when_it_is_sent(box: Mailbox) -> None:
    place = box.put(b"a\n.\n")
    append(str(box.path), [place.name], columns_of([Facts(4711, 4, 1, EXAMINED | 1 | 4)]))

    async def session(listed: int) -> None:
        async with opened(box.opener(), box.user) as maildrop:
            (entry,) = await scanned(maildrop)
            assert entry.octets == listed
            assert await fetched(maildrop, entry) == b"a\r\n.\r\n"

    run(lambda: session(4711))
    run(lambda: session(6))


@pytest.mark.parametrize("planted", ["link", "directory", "fifo", "dangling"])
@pytest.mark.parametrize("name", ["poplin.index", "poplin.index.new"])
def test_what_is_planted_in_the_indexs_place_does_no_harm(
    box: Mailbox, tmp_path: Path, planted: str, name: str
) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    place = box.path / name
    if name != "poplin.index":
        box.index.write_bytes(b"garbage: the index has to be written anew")
    if planted == "link":
        place.symlink_to(target)
    elif planted == "dangling":
        place.symlink_to(tmp_path / "made")
    elif planted == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    box.put(b"message\n")

    async def session() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            (entry,) = await scanned(maildrop)
            assert await fetched(maildrop, entry) == b"message\r\n"

    run(session)
    run(session)
    assert target.read_text() == "precious"
    assert not (tmp_path / "made").exists()


def test_that_no_index_can_be_written_is_logged_once(box: Mailbox, caplog: pytest.LogCaptureFixture) -> None:
    box.index.mkdir()
    maildirs = box.maildirs()

    async def session() -> None:
        box.put(b"message\n")
        async with opened(maildirs, box.user) as maildrop:
            await scanned(maildrop)

    with caplog.at_level(logging.INFO, logger="poplin"):
        run(session)
        run(session)
    assert len(caplog.records) == 1
    assert "going on without" in caplog.text


def test_a_full_disk_keeps_nobody_from_reading_and_deleting_mail() -> None:
    with small_disk(256 * 1024) as disk:
        box = Mailbox(disk)
        for number in range(40):
            box.put(b"%d\n" % number)
        (disk / "ballast").write_bytes(b"")
        with (disk / "ballast").open("ab", buffering=0) as ballast:
            while True:
                try:
                    ballast.write(bytes(4096))
                except OSError:
                    break

        async def conversation() -> None:
            maildirs = box.maildirs()
            async with opened(maildirs, box.user) as maildrop:
                entries = list(await scanned(maildrop))
                assert [await fetched(maildrop, entry) for entry in entries] == [b"%d\r\n" % n for n in range(40)]
            async with opened(maildirs, box.user) as maildrop:
                entries = list(await scanned(maildrop))
                assert await settle(maildrop.remove(entries[:39])) == Removal(39)
            async with opened(box.opener(), box.user) as maildrop:
                (entry,) = await scanned(maildrop)
                assert await fetched(maildrop, entry) == b"39\r\n"

        run(conversation)


SHORT = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from poplin.maildrops.maildir_files import Facts
from poplin.maildrops.maildir_index import Columns, append, octets_of, rewrite
path, bases, columns = sys.argv[1], [f"{n}.message" for n in range(100)], Columns()
for n in range(100):
    columns.add(Facts(n, n, n, 16))
before = octets_of(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (before + 100, -1))
for write in (append, rewrite):
    try:
        write(path, bases, columns)
        print("written")
    except OSError as error:
        print(octets_of(path) - before)
"""


def test_a_write_cut_short_by_the_disk_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    append(str(tmp_path), ["old"], columns_of([one(7)]))
    with process(SHORT, tmp_path) as child:
        assert (said(child), said(child)) == ("0", "0")
    assert known(tmp_path) == {"old": one(7)}
    assert not load(str(tmp_path)).worn


def test_the_index_does_not_grow_with_mail_that_comes_and_goes(box: Mailbox) -> None:
    async def session() -> None:
        """Fetch what is new and leave it; delete what is old."""
        box.put(b"message\n")
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            await fetched(maildrop, entries[-1])
            if len(entries) > 2:
                await settle(maildrop.remove(entries[:1]))

    for _ in range(300):
        run(session)
    index = load(str(box.path))
    assert len(index.columns) < 200
    assert box.index.stat().st_size < 20_000


def test_the_index_of_one_process_does_not_grow_either(box: Mailbox) -> None:
    maildirs = box.maildirs()

    async def session() -> None:
        box.put(b"message\n")
        async with opened(maildirs, box.user) as maildrop:
            entries = list(await scanned(maildrop))
            if len(entries) > 2:
                await settle(maildrop.remove(entries[:1]))

    for _ in range(400):
        run(session)
    assert box.index.stat().st_size < 20_000


def test_what_is_fetched_and_deleted_costs_no_write(box: Mailbox) -> None:
    async def session() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            for entry in entries:
                await fetched(maildrop, entry)
            await settle(maildrop.remove(entries))

    box.put(b"message\n")
    run(session)
    assert not box.index.exists()


def test_what_another_process_learned_is_believed(box: Mailbox) -> None:
    maildirs = box.maildirs()
    box.put(b"first\n")
    maildrop = maildirs.open(request(box.user))
    maildrop.scan()
    maildrop.close(Ending.QUIT)
    second = box.put(b"second\n")
    append(str(box.path), [second.name], columns_of([Facts(4711, 7, second.stat().st_mtime_ns, EXAMINED)]))

    async def session() -> None:
        async with opened(maildirs, box.user) as maildrop:
            assert [entry.octets for entry in await scanned(maildrop)] == [7, 4711]

    run(session)


WRITER = """
import sys
from poplin.maildrops.maildir_files import Facts
from poplin.maildrops.maildir_index import Columns, append, rewrite
bases = [f"{n}.message" for n in range(2000)]
columns = Columns()
for n in range(2000):
    columns.add(Facts(n, n, n, 16))
print("ready", flush=True)
while True:
    for _ in range(5):
        append(sys.argv[1], bases, columns)
    rewrite(sys.argv[1], bases, columns)
"""


def test_a_process_killed_while_it_writes_leaves_no_wrong_entry(tmp_path: Path) -> None:
    right = {f"{number}.message": one(number) for number in range(2000)}
    moment = random.Random(1939)
    for _ in range(6):
        with process(WRITER, tmp_path) as child:
            assert said(child) == "ready"
            for _ in range(moment.randrange(3, 60)):
                assert known(tmp_path) in ({}, right), "a reader meets only whole batches"
            child.kill()
            child.wait()
        assert known(tmp_path) in ({}, right)
        append(str(tmp_path), ["later"], columns_of([one(5)]))
        assert known(tmp_path)["later"] == one(5)
        (tmp_path / "poplin.index").unlink()


def test_two_processes_that_write_at_once_mix_nothing(tmp_path: Path) -> None:
    """Only snapshot sessions do; a session lock keeps all others apart."""
    right = {f"{number}.message": one(number) for number in range(2000)}
    append(str(tmp_path), list(right), columns_of(list(right.values())))
    with process(WRITER, tmp_path) as first, process(WRITER, tmp_path) as second:
        assert said(first) == said(second) == "ready"
        for _ in range(60):
            assert known(tmp_path).items() <= right.items()


def test_the_index_of_another_maildir_does_no_harm_and_does_not_stay(box: Mailbox, tmp_path: Path) -> None:
    async def session(visited: Mailbox, messages: list[bytes]) -> None:
        async with opened(visited.opener(), visited.user) as maildrop:
            wires = [reference_wire(message) for message in messages]
            entries = list(await scanned(maildrop))
            assert [entry.octets for entry in entries] == [len(wire) for wire in wires]
            assert [await fetched(maildrop, entry) for entry in entries] == wires

    other = Mailbox(tmp_path / "other")
    others = [b"another's %d\r\n" % number for number in range(100)]
    for message in others:
        other.put(message)
    run(lambda: session(other, others))
    messages = list(NASTY.values())[:5]
    names = {box.put(message).name for message in messages}
    shutil.copy(other.index, box.index)
    run(lambda: session(box, messages))
    assert set(known(box.path)) == names


def test_a_copy_of_a_maildir_with_its_index_is_as_good(box: Mailbox, tmp_path: Path) -> None:
    """All names and sizes are the same, and all times are others."""

    async def session(root: Path) -> None:
        async with opened(Mailbox(root).opener(), box.user) as maildrop:
            entries = list(await scanned(maildrop))
            wires = [reference_wire(message) for message in NASTY.values()]
            assert [entry.octets for entry in entries] == [len(wire) for wire in wires]
            assert [await fetched(maildrop, entry) for entry in entries] == wires

    for message in NASTY.values():
        box.put(message)
    run(lambda: session(box.root))
    shutil.copytree(box.path, tmp_path / "copy" / box.user / "Maildir", copy_function=shutil.copyfile)
    run(lambda: session(tmp_path / "copy"))


def test_every_form_is_kept(box: Mailbox) -> None:
    for message in NASTY.values():
        box.put(message)

    async def session() -> None:
        async with opened(box.opener(), box.user) as maildrop:
            for entry in await scanned(maildrop):
                await fetched(maildrop, entry)

    run(session)
    learned = known(box.path)
    assert len(learned) == len(NASTY)
    assert all(facts.form & EXAMINED for facts in learned.values())
