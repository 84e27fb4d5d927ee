"""The pools of threads: bounded, and what hangs in them hurts nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from poplin.errors import TemporaryFailure
from poplin.threads import Threads
from support.wire import until


class Hang:
    """A function that begins, and waits to be let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.finish = threading.Event()
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        self.begun.release()
        assert self.finish.wait(30)
        return "done"

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=30)


async def given_up(task: asyncio.Task[str]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_answers_and_exceptions_come_back() -> None:
    threads = Threads("test", 2)

    async def ask() -> None:
        assert await threads.run(lambda: 4) == 4
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)
        assert await asyncio.gather(*[threads.run(lambda n=n: n) for n in range(200)]) == list(range(200))  # type: ignore[misc]  # a default is how a loop's variable is kept

    asyncio.run(ask())


def test_no_more_run_at_a_time_than_were_allowed_and_the_rest_waits_its_turn() -> None:
    threads = Threads("test", 3)
    guard = threading.Lock()
    now = most = 0

    def count() -> None:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.002)
        with guard:
            now -= 1

    async def ask() -> None:
        await asyncio.gather(*[threads.run(count) for _ in range(50)])

    asyncio.run(ask())
    assert most == 3


def test_threads_go_when_there_is_nothing_to_do() -> None:
    async def ask() -> None:
        await asyncio.gather(*[threads.run(lambda: None) for _ in range(8)])

    threads = Threads("test", 4)
    asyncio.run(ask())
    until(lambda: not [one for one in threading.enumerate() if one.name == "poplin test"], "the threads went")
    asyncio.run(ask())


def test_what_was_given_up_before_it_began_never_begins() -> None:
    threads = Threads("test", 1)
    hang, never = Hang(), Hang()

    async def ask() -> None:
        first = asyncio.create_task(threads.run(hang))
        await hang.has_begun()
        second = asyncio.create_task(threads.run(never))
        await asyncio.sleep(0)
        await given_up(second)
        hang.finish.set()
        assert await first == "done"
        assert await threads.run(lambda: 1) == 1

    asyncio.run(ask())
    assert never.calls == 0


def test_what_hangs_with_nobody_waiting_gives_its_place_to_others() -> None:
    threads = Threads("test", 1, spare=2)
    hang = Hang()

    async def ask() -> None:
        for _ in range(2):
            task = asyncio.create_task(threads.run(hang))
            await hang.has_begun()
            waiting = asyncio.create_task(threads.run(lambda: "served"))
            await asyncio.sleep(0)
            await given_up(task)
            assert await waiting == "served"
        assert repr(threads).endswith("2 given up>")
        third = asyncio.create_task(threads.run(hang))
        await hang.has_begun()
        await given_up(third)  # there is no spare left: it keeps its place
        fourth = asyncio.create_task(threads.run(lambda: "late"))
        await asyncio.sleep(0.02)
        assert not fourth.done()
        hang.finish.set()
        assert await fourth == "late"

    asyncio.run(ask())
    until(lambda: repr(threads).endswith("0 given up>"), "all came to their end")


def test_one_owner_may_not_have_it_hang_again_and_again() -> None:
    threads = Threads("retrieve", 4, spare=4)
    hang = Hang()

    async def ask() -> None:
        for _ in range(2):
            task = asyncio.create_task(threads.run(hang, owner="mallory"))
            await hang.has_begun()
            await given_up(task)
        with pytest.raises(TemporaryFailure, match="earlier calls of retrieve for 'mallory' hang"):
            await threads.run(hang, owner="mallory")
        assert await threads.run(lambda: 1, owner="ann") == 1
        hang.finish.set()
        await asyncio.to_thread(until, lambda: repr(threads).endswith("0 given up>"), "they came to their end")
        assert await threads.run(lambda: 2, owner="mallory") == 2

    asyncio.run(ask())


@pytest.mark.parametrize("spare", [0, 1])
def test_a_thread_that_hangs_keeps_no_program_from_ending(spare: int) -> None:
    program = (
        "import asyncio, threading\n"
        "from poplin.threads import Threads\n"
        f"threads = Threads('test', 1, {spare})\n"
        "begun = threading.Event()\n"
        "def hang():\n"
        "    begun.set()\n"
        "    threading.Event().wait()\n"
        "async def main():\n"
        "    task = asyncio.create_task(threads.run(hang))\n"
        "    await asyncio.to_thread(begun.wait)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_loop_that_is_gone_is_not_told_of_a_late_answer(capsys: pytest.CaptureFixture[str]) -> None:
    threads = Threads("test", 1, spare=1)
    hang = Hang()

    async def leave() -> None:
        task = asyncio.create_task(threads.run(hang))
        await hang.has_begun()
        await given_up(task)

    asyncio.run(leave())
    hang.finish.set()
    until(lambda: repr(threads).endswith("0 given up>"), "it came to its end")
    assert capsys.readouterr().err == ""


def test_functions_of_any_kind() -> None:
    functions: list[Callable[[], object]] = [dict, lambda: None, "x".upper]
    threads = Threads("test", 2)

    async def ask() -> list[object]:
        return [await threads.run(function) for function in functions]

    assert asyncio.run(ask()) == [{}, None, "X"]
