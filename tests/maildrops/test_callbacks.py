"""Functions as a maildrop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.maildrops import MaildropContract, Store, body_of, fetched, opened, reference_wire, run, scanned
from poplin.calling import WrongAnswer, blocking, in_thread
from poplin.errors import LeaseLost, MessageGone, MessageUnreadable, TemporaryFailure
from poplin.identity import ClientFacts, Identity, settle
from poplin.maildrops.base import Ending, Entry, Maildrop, Opener, OpenRequest, Removal
from poplin.maildrops.callbacks import (
    CallbackMaildrops,
    DeleteCallback,
    DryRun,
    ListCallback,
    RetrieveCallback,
    SizeCallback,
)
from poplin.maildrops.callbacks_content import Retrieved, count_octets
from poplin.maildrops.unique_ids import lasting_unique_id


def cut(message: bytes) -> list[bytes]:
    """The message in pieces that end where it hurts: within CRLF, before dots, some empty."""
    middle = len(message) // 2
    ends = [0, 70_000, len(message)] if len(message) > 70_000 else [0, 1, 1, middle, middle + 1, len(message)]
    ends.sort()
    return [message[start:end] for start, end in itertools.pairwise(ends)]


def in_file(message: bytes) -> Path:
    descriptor, name = tempfile.mkstemp()
    with open(descriptor, "wb") as file:
        file.write(message)
    return Path(name)


async def trickle(message: bytes) -> AsyncIterator[bytes]:
    for piece in cut(message):
        await asyncio.sleep(0)
        yield piece


FORMS: dict[str, Callable[[bytes], Retrieved]] = {
    "bytes": lambda message: message,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "str": lambda message: message.decode(errors="surrogateescape"),
    "path": in_file,
    "list": cut,
    "generator": lambda message: (piece for piece in cut(message)),
    "generator of str": lambda message: (piece.decode(errors="surrogateescape") for piece in cut(message)),
    "async generator": trickle,
}


@dataclass
class CallbackStore:
    """Messages in a dictionary, shown by functions of every kind."""

    form: Callable[[bytes], Retrieved]
    kind: str
    user: str = "alice"
    messages: dict[str, bytes] = field(default_factory=dict)
    delivered: int = 0
    made: CallbackMaildrops | None = None

    def listing(self, user: str) -> list[str]:
        return list(self.messages)

    def retrieve(self, user: str, message_id: str) -> Retrieved:
        message = self.messages.get(message_id)
        return None if message is None else self.form(message)

    def delete(self, user: str, message_id: str) -> object:
        return self.messages.pop(message_id, None)

    def opener(self) -> Opener:
        if self.kind == "async":

            async def listing(user: str) -> list[str]:
                return self.listing(user)

            async def retrieve(user: str, message_id: str) -> Retrieved:
                return self.retrieve(user, message_id)

            async def delete(user: str, message_id: str) -> object:
                return self.delete(user, message_id)

            made = CallbackMaildrops(list=listing, retrieve=retrieve, delete=delete)
        elif self.kind == "blocking":
            made = CallbackMaildrops(
                list=blocking(self.listing), retrieve=blocking(self.retrieve), delete=blocking(self.delete)
            )
        else:
            made = CallbackMaildrops(list=self.listing, retrieve=self.retrieve, delete=self.delete)
        self.made = self.made or made
        return self.made

    def deliver(self, message: bytes) -> None:
        self.delivered += 1
        self.messages[f"message number {self.delivered}"] = message

    def vanish(self, unique_id: str) -> None:
        for native in list(self.messages):
            if lasting_unique_id(native) == unique_id:
                del self.messages[native]


@pytest.mark.parametrize("kind", ["plain", "async", "blocking"])
class TestKinds(MaildropContract):
    @pytest.fixture
    def store(self, kind: str) -> Store:
        return CallbackStore(FORMS["bytes"], kind)


@pytest.mark.parametrize("form", [name for name in FORMS if name != "bytes"])
class TestForms(MaildropContract):
    @pytest.fixture
    def store(self, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        return CallbackStore(FORMS[form], "plain")


class TestBlockingPieces(MaildropContract):
    @pytest.fixture
    def store(self) -> Store:
        return CallbackStore(FORMS["generator"], "blocking")


def maildrop(
    listed: ListCallback = lambda user: ["one"],
    retrieve: RetrieveCallback = lambda user, message_id: b"x\n",
    size: SizeCallback | None = None,
    delete: DeleteCallback | None = None,
) -> Maildrop:
    opener = CallbackMaildrops(list=listed, retrieve=retrieve, size=size, delete=delete)
    return opener.open(OpenRequest(identity=Identity("bob"), client=ClientFacts()))


def entries(box: Maildrop) -> list[Entry]:
    async def conversation() -> list[Entry]:
        return list(await scanned(box))

    return run(conversation)


class TestListing:
    @pytest.mark.parametrize(
        "listed",
        [
            lambda user: ["a", "b"],
            lambda user: ("a", "b"),
            lambda user: iter(["a", "b"]),
            lambda user: {"a": None, "b": None}.keys(),
            lambda user: [("a", 3), ("b", 4)],
            lambda user: {"a": 3, "b": 4},
            lambda user: zip(["a", "b"], [3, 4], strict=True),
            blocking(lambda user: iter(["a", "b"])),
        ],
    )
    def test_what_a_listing_may_be(self, listed: ListCallback) -> None:
        assert [entry.unique_id for entry in entries(maildrop(listed))] == ["a", "b"]

    def test_an_async_generator(self) -> None:
        async def listed(user: str) -> AsyncIterator[tuple[str, int]]:
            for number in range(3):
                await asyncio.sleep(0)
                yield f"{user}{number}", number

        assert entries(maildrop(listed)) == [Entry(f"bob{number}", number, f"bob{number}") for number in range(3)]

    def test_sizes_that_are_told_are_believed_and_nothing_is_retrieved(self) -> None:
        def retrieve(user: str, message_id: str) -> bytes:
            raise AssertionError("retrieved")

        assert [entry.octets for entry in entries(maildrop(lambda user: {"a": 3, "b": 0}, retrieve))] == [3, 0]

    def test_one_size_missing_and_all_are_measured(self) -> None:
        mixed = cast("ListCallback", lambda user: [("a", 30), "b"])
        assert [entry.octets for entry in entries(maildrop(mixed))] == [3, 3]

    def test_ids_that_are_no_unique_ids_are_hashed_and_handed_back_as_they_were(self) -> None:
        asked: list[str] = []

        def retrieve(user: str, message_id: str) -> bytes:
            asked.append(message_id)
            return b"x\n"

        box = maildrop(lambda user: ["https://example.org/a b", "x" * 71, "ok", ""], retrieve)
        found = entries(box)
        assert [entry.unique_id.startswith("sha256-") for entry in found] == [True, True, False, True]
        assert len({entry.unique_id for entry in found}) == 4
        assert asked == ["https://example.org/a b", "x" * 71, "ok", ""]

    @pytest.mark.parametrize(
        ("listed", "what"),
        [
            (lambda user: "abc", "str"),
            (lambda user: b"abc", "bytes"),
            (lambda user: None, "NoneType"),
            (lambda user: 7, "int"),
            (lambda user: [1, 2], "int"),
            (lambda user: [b"a"], "bytes"),
            (lambda user: [("a", 1, 2)], "tuple"),
            (lambda user: [("a", "1")], "str"),
            (lambda user: [("a", -1)], "int"),
            (lambda user: {"a": True}, "bool"),
            (lambda user: [None], "NoneType"),
        ],
    )
    def test_what_is_no_listing_is_told_by_name(self, listed: ListCallback, what: str) -> None:
        with pytest.raises(WrongAnswer, match=rf"the callback list.* returned {what} for user 'bob'.*; expected "):
            entries(maildrop(listed))

    def test_an_id_that_comes_twice(self) -> None:
        with pytest.raises(ValueError, match=r"the callback list \(.*\) gave the id 'a' twice for user 'bob'"):
            entries(maildrop(lambda user: ["b", "a", "a"]))

    def test_an_exception_of_the_author_passes_through(self) -> None:
        def listed(user: str) -> Iterator[str]:
            yield "a"
            raise ZeroDivisionError

        for function in (listed, blocking(listed)):
            with pytest.raises(ZeroDivisionError):
                entries(maildrop(function))


class TestSizes:
    def test_a_callback_is_asked_for_each_message(self) -> None:
        sizes = {"a": 3, "b": 4}

        async def later(user: str, message_id: str) -> int:
            return sizes[message_id]

        functions: list[SizeCallback] = [lambda user, message_id: sizes[message_id], later]
        for size in functions:
            assert [entry.octets for entry in entries(maildrop(lambda user: ["a", "b"], size=size))] == [3, 4]

    @pytest.mark.parametrize("answered", ["3", None, -1, 2.5, True])
    def test_what_is_no_size_is_told_by_name(self, answered: object) -> None:
        size = cast("SizeCallback", lambda user, message_id: answered)
        with pytest.raises(WrongAnswer, match=r"the callback size \(.*\) returned .* for user 'bob', message 'one'"):
            entries(maildrop(size=size))

    def test_without_it_each_message_is_retrieved_once(self) -> None:
        asked: list[str] = []

        def retrieve(user: str, message_id: str) -> str:
            asked.append(message_id)
            return "line\n" * len(asked)

        box = maildrop(lambda user: ["a", "b", "c"], retrieve)
        assert [entry.octets for entry in entries(box)] == [6, 12, 18]
        assert asked == ["a", "b", "c"]

    def test_a_message_that_cannot_be_had_does_not_hide_the_others(self, caplog: pytest.LogCaptureFixture) -> None:
        def retrieve(user: str, message_id: str) -> bytes | None:
            if message_id == "broken":
                raise KeyError("another key")
            if message_id == "unreadable":
                raise MessageUnreadable(message_id)
            return None if message_id == "gone" else b"x\n"

        box = maildrop(lambda user: ["a", "broken", "unreadable", "gone", "b"], retrieve)
        assert [entry.octets for entry in entries(box)] == [3, 0, 0, 0, 3]
        (failure,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert "failed for message 'broken' of bob" in failure.getMessage()

    def test_a_failure_behind_all_of_them_is_not_taken_for_emptiness(self) -> None:
        def retrieve(user: str, message_id: str) -> bytes:
            raise TemporaryFailure("the database is away")

        with pytest.raises(TemporaryFailure):
            entries(maildrop(retrieve=retrieve))

    @given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"", b"\0", b"\xff"])))
    def test_counting_in_pieces_is_counting_the_whole(self, pieces: list[bytes]) -> None:
        async def count() -> int:
            content = await settle(
                maildrop(retrieve=lambda user, message_id: iter(pieces)).retrieve(Entry("one", key="one"))
            )
            assert not isinstance(content.body, bytes)
            return await count_octets(content, in_thread)

        assert asyncio.run(count()) == len(reference_wire(b"".join(pieces)))


class TestRetrieving:
    @pytest.mark.parametrize("value", [7, 1.5, object(), {"a": 1}.items(), [1], (b"a", 7), (n for n in (1, 2))])
    def test_what_is_no_message_is_told_by_name(self, value: object) -> None:
        async def conversation() -> None:
            box = maildrop(retrieve=cast("RetrieveCallback", lambda user, message_id: value))
            with pytest.raises(
                WrongAnswer, match=r"the callback retrieve \(.*\) returned .* for user 'bob', message 'one'"
            ):
                await body_of(await settle(box.retrieve(Entry("one", key="one"))))

        run(conversation)

    def test_an_email_message_is_sent_as_it_would_be_by_smtp(self) -> None:
        message = EmailMessage()
        message["Subject"] = "Grüße"
        message.set_content("From here on\n.a dot\nümlaut\n")

        async def conversation() -> None:
            box = maildrop(retrieve=lambda user, message_id: message)
            (entry,) = await scanned(box)
            wire = await fetched(box, entry)
            assert entry.octets == len(wire)
            assert b"\r\nFrom here on\r\n" in wire
            assert (
                BytesParser().parsebytes(wire).get_payload(decode=True)
                == "From here on\r\n.a dot\r\nümlaut\r\n".encode()
            )

        run(conversation)

    def test_text_is_sent_as_utf_8(self) -> None:
        async def conversation() -> None:
            box = maildrop(retrieve=lambda user, message_id: "ü\n")
            assert await fetched(box, Entry("one", key="one")) == "ü\r\n".encode()

        run(conversation)

    @pytest.mark.parametrize("kind", ["plain", "async", "blocking"])
    def test_a_dictionary_without_that_message_says_gone_and_any_other_key_is_a_bug(self, kind: str) -> None:
        messages: dict[str, bytes] = {}

        async def later(user: str, message_id: str) -> bytes:
            return messages[message_id]

        kinds: dict[str, RetrieveCallback] = {
            "plain": lambda user, message_id: messages[message_id],
            "async": later,
            "blocking": blocking(lambda user, message_id: messages[message_id]),
        }

        async def conversation() -> None:
            box = maildrop(retrieve=kinds[kind])
            with pytest.raises(MessageGone):
                await settle(box.retrieve(Entry("one", key="one")))
            with pytest.raises(KeyError):
                await settle(maildrop(retrieve=lambda *_: messages["other"]).retrieve(Entry("one", key="one")))

        run(conversation)

    def test_a_file_that_is_not_there_is_a_message_that_is_gone(self, tmp_path: Path) -> None:
        with pytest.raises(MessageGone):
            asyncio.run(settle(maildrop(retrieve=lambda *_: tmp_path / "no").retrieve(Entry("one", key="one"))))

    @pytest.mark.parametrize("kind", ["directory", "fifo", "loop"])
    def test_what_is_no_file_is_unreadable_and_never_hangs(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "message"
        if kind == "directory":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to(path)

        async def conversation() -> None:
            with pytest.raises(MessageUnreadable):
                await settle(maildrop(retrieve=lambda *_: path).retrieve(Entry("one", key="one")))

        run(conversation)

    def test_a_generator_is_closed_when_the_session_stops_reading(self) -> None:
        closed: list[str] = []

        def pieces(name: str) -> Iterator[bytes]:
            try:
                while True:
                    yield b"endless\n"
            finally:
                closed.append(name)

        async def conversation() -> None:
            for name, function in (("plain", pieces), ("blocking", blocking(pieces))):
                box = maildrop(retrieve=cast("RetrieveCallback", lambda user, _, f=function, n=name: f(n)))
                content = await settle(box.retrieve(Entry("one", key="one")))
                body = cast("AsyncIterator[bytes]", content.body)
                assert await anext(body) == b"endless\n"
                await body.aclose()  # type: ignore[attr-defined]  # it is an async generator

        run(conversation)
        assert closed == ["plain", "blocking"]

    def test_a_blocking_generator_works_in_a_thread(self) -> None:
        threads: set[int] = set()

        @blocking
        def retrieve(user: str, message_id: str) -> Iterator[bytes]:
            for _ in range(3):
                threads.add(threading.get_ident())
                yield b"x"

        async def conversation() -> None:
            assert await fetched(maildrop(retrieve=retrieve), Entry("one", key="one")) == b"xxx\r\n"

        run(conversation)
        assert threads
        assert threading.get_ident() not in threads

    def test_an_exception_in_the_middle_is_not_the_end_of_the_message(self, caplog: pytest.LogCaptureFixture) -> None:
        def retrieve(user: str, message_id: str) -> Iterator[bytes]:
            yield b"half of "
            raise ZeroDivisionError

        async def conversation() -> None:
            with pytest.raises(ZeroDivisionError) as raised:
                await fetched(maildrop(retrieve=retrieve), Entry("one", key="one"))
            assert raised.value.__notes__[-1].endswith("for user 'bob', message 'one'")

        run(conversation)
        (record,) = caplog.records
        assert record.exc_info
        assert "failed in the middle of a message" in record.getMessage()


class TestRemoving:
    def removed(self, delete: DeleteCallback | None, count: int = 3) -> Removal:
        async def conversation() -> Removal:
            box = maildrop(lambda user: [str(number) for number in range(count)], delete=delete)
            return await settle(box.remove(list(await scanned(box))))

        return run(conversation)

    def test_results_mean_nothing(self) -> None:
        results: list[object] = [None, False, "no", 0, ["x"]]
        for result in results:

            def delete(user: str, message_id: str, result: object = result) -> object:
                return result

            assert self.removed(delete) == Removal(3)

    def test_each_is_deleted_once_in_order(self) -> None:
        deleted: list[tuple[str, str]] = []
        assert self.removed(lambda user, message_id: deleted.append((user, message_id))) == Removal(3)
        assert deleted == [("bob", "0"), ("bob", "1"), ("bob", "2")]

    def test_one_failure_does_not_keep_the_others(self, caplog: pytest.LogCaptureFixture) -> None:
        deleted: list[str] = []

        def delete(user: str, message_id: str) -> None:
            if message_id == "1":
                raise ZeroDivisionError("planned")
            deleted.append(message_id)

        removal = self.removed(delete)
        assert (removal.removed, removal.failed) == (2, 1)
        assert removal.reason.endswith("ZeroDivisionError: planned")
        assert deleted == ["0", "2"]
        assert "the callback delete (" in caplog.text
        assert ") failed for message '1' of bob" in caplog.text

    def test_gone_is_what_was_wanted(self) -> None:
        def delete(user: str, message_id: str) -> None:
            raise MessageGone(message_id)

        assert self.removed(delete) == Removal(3)

    def test_a_dictionary_without_that_message_says_gone_and_any_other_key_is_a_bug(self) -> None:
        messages = {"0": b"", "2": b""}
        assert self.removed(lambda user, message_id: messages.pop(message_id)) == Removal(3)
        assert messages == {}
        settings: dict[str, str] = {}
        assert self.removed(lambda user, message_id: settings["folder"]).failed == 3

    def test_all_at_once(self) -> None:
        asked: list[tuple[str, list[str]]] = []
        opener = CallbackMaildrops(
            list=lambda user: ["a", "b", "c"],
            retrieve=lambda user, message_id: b"x\n",
            delete_all=lambda user, ids: asked.append((user, list(ids))),
        )
        assert removal_of(opener, [0, 2]) == Removal(2)
        assert asked == [("bob", ["a", "c"])]

    def test_a_batch_that_fails_removed_nothing(self) -> None:
        def delete_all(user: str, ids: Sequence[str]) -> None:
            raise ZeroDivisionError

        opener = CallbackMaildrops(
            list=lambda user: ["a"], retrieve=lambda user, message_id: b"", delete_all=blocking(delete_all)
        )
        with pytest.raises(ZeroDivisionError) as raised:
            removal_of(opener, [0])
        assert "the callback delete_all (" in raised.value.__notes__[0]

    def test_one_way_to_delete_is_enough(self) -> None:
        with pytest.raises(TypeError, match="delete_all all that are marked: give one of them"):
            CallbackMaildrops(
                list=lambda user: [],
                retrieve=lambda user, message_id: b"",
                delete=lambda user, message_id: None,
                delete_all=lambda user, ids: None,
            )

    @pytest.mark.parametrize("kind", ["fixed", "plain", "async", "blocking"])
    @pytest.mark.parametrize("batch", [False, True])
    def test_a_dry_run_removes_nothing_and_the_log_says_so(
        self, kind: str, batch: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def later(user: str) -> bool:
            return user == "bob"

        kinds: dict[str, DryRun] = {
            "fixed": True,
            "plain": lambda user: {"bob": True}.get(user),
            "async": later,
            "blocking": blocking(lambda user: user == "bob"),
        }

        def never(*arguments: object) -> None:
            raise AssertionError(arguments)

        opener = CallbackMaildrops(
            list=lambda user: ["a", "b"],
            retrieve=lambda user, message_id: b"",
            delete=None if batch else never,
            delete_all=never if batch else None,
            dry_run=kinds[kind],
        )
        caplog.set_level(logging.INFO)
        assert removal_of(opener, [0, 1]) == Removal(0)
        assert "dry run: 2 messages of bob are marked, and none was removed" in caplog.text

    def test_whoever_is_not_in_the_dry_run_is_served(self) -> None:
        deleted: list[str] = []
        opener = CallbackMaildrops(
            list=lambda user: ["a"],
            retrieve=lambda user, message_id: b"",
            delete=lambda user, message_id: deleted.append(message_id),
            dry_run=lambda user: {"alice": True}.get(user),
        )
        assert removal_of(opener, [0]) == Removal(1)
        assert deleted == ["a"]

    def test_a_dry_run_that_answers_nonsense_removes_nothing(self) -> None:
        def never(*arguments: object) -> None:
            raise AssertionError(arguments)

        opener = CallbackMaildrops(
            list=lambda user: ["a"],
            retrieve=lambda user, message_id: b"",
            delete=never,
            dry_run=lambda user: "no",  # type: ignore[arg-type, return-value]  # the mistake is the test
        )
        with pytest.raises(
            WrongAnswer, match=r"the callback dry_run \(.*\) returned str for user 'bob'; expected True,"
        ):
            removal_of(opener, [0])
        with pytest.raises(TypeError, match="dry_run is str, not True, False or a function"):
            CallbackMaildrops(list=lambda user: [], retrieve=lambda user, message_id: b"", dry_run="no")  # type: ignore[arg-type]  # the mistake is the test

    def test_poplin_s_own_errors_count_as_failures(self) -> None:
        def delete(user: str, message_id: str) -> None:
            raise TemporaryFailure("busy")

        assert self.removed(delete).failed == 3

    def test_without_the_callback_nothing_is_removed_and_nobody_told(self) -> None:
        assert self.removed(None) == Removal(0)


def removal_of(opener: CallbackMaildrops, positions: list[int]) -> Removal:
    """What comes of removing the messages at these positions."""

    async def conversation() -> Removal:
        box = await settle(opener.open(OpenRequest(identity=Identity("bob"), client=ClientFacts())))
        scan = await scanned(box)
        return await settle(box.remove([scan[position] for position in positions]))

    return run(conversation)


class TestOpening:
    def test_no_callback_is_called_before_it_is_needed(self) -> None:
        def never(*arguments: object) -> list[str]:
            raise AssertionError

        opener = CallbackMaildrops(list=never, retrieve=never, size=cast("SizeCallback", never), delete=never)
        opener.open(OpenRequest(identity=Identity("bob"), client=ClientFacts())).close(Ending.DROPPED)

    def test_two_users_do_not_meet(self) -> None:
        opener = CallbackMaildrops(list=lambda user: [], retrieve=lambda user, message_id: b"")

        async def conversation() -> None:
            async with opened(opener, "alice"), opened(opener, "bob"):
                pass

        run(conversation)

    def test_exclusive_access_can_be_the_author_s_own_business(self) -> None:
        opener = CallbackMaildrops(list=lambda user: [], retrieve=lambda user, message_id: b"", exclusive=False)

        async def conversation() -> None:
            async with opened(opener, "alice"), opened(opener, "alice"):
                pass

        run(conversation)

    def test_callbacks_of_the_wrong_shape_are_refused_at_once(self) -> None:
        def listed() -> list[str]:
            return []

        with pytest.raises(TypeError, match=r"the callback list is called with \(user\); .*listed takes \(\)"):
            maildrop(listed)  # type: ignore[arg-type]  # the mistake is the test
        with pytest.raises(TypeError, match=r"the callback delete is called with \(user, message_id\)"):
            maildrop(delete=lambda user: None)  # type: ignore[arg-type, misc]  # the mistake is the test

    def test_errors_of_poplin_that_retrieve_raises_pass_through(self) -> None:
        def retrieve(user: str, message_id: str) -> bytes:
            raise LeaseLost

        async def conversation() -> None:
            with pytest.raises(LeaseLost):
                await settle(maildrop(retrieve=retrieve).retrieve(Entry("one", key="one")))

        run(conversation)
