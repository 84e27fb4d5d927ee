from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from poplin.calling import (
    blocking,
    call,
    check_callback,
    describe,
    in_thread,
    is_awaitable,
    is_blocking,
    suggest_keywords,
    then,
)
from poplin.identity import CURRENT, ClientFacts, current_session


def double(number: int) -> int:
    return 2 * number


async def double_later(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def test_a_plain_function_is_answered_at_once() -> None:
    assert call(double, 4) == 8


def test_an_async_one_is_waited_for() -> None:
    waiting = call(double_later, 4)
    assert is_awaitable(waiting)

    async def wait() -> object:
        return await waiting

    assert asyncio.run(wait()) == 8


def test_a_blocking_one_runs_in_another_thread_and_knows_its_session() -> None:
    client = ClientFacts(address="192.0.2.7")
    loop_thread = threading.get_ident()

    @blocking
    def which(prefix: str) -> tuple[str, bool, ClientFacts]:
        return prefix, threading.get_ident() == loop_thread, current_session()

    async def wait() -> object:
        CURRENT.set(client)
        given = call(which, "x")
        assert is_awaitable(given)
        return await given

    assert asyncio.run(wait()) == ("x", False, client)


def test_its_exceptions_come_back() -> None:
    async def wait() -> None:
        await in_thread(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        asyncio.run(wait())


def test_the_threads_go_with_the_loop() -> None:
    async def wait() -> list[None]:
        return await asyncio.gather(*[in_thread(lambda: None) for _ in range(50)])

    before = threading.active_count()
    asyncio.run(wait())
    assert threading.active_count() == before


def test_blocking_marks_anything_that_can_be_called() -> None:
    class Store:
        def get(self, key: str) -> str:
            return key

    for function in (double, Store().get, len, lambda value: value, "abc".startswith):
        marked = blocking(function)
        assert is_blocking(marked)
        assert not is_blocking(function)
    assert blocking(double)(4) == 8
    assert blocking(double).__name__ == "double"


def test_an_attribute_marks_too() -> None:
    class Get:
        blocking = True

        def __call__(self, key: str) -> str:
            return key

    assert is_blocking(Get())


def test_an_async_function_cannot_be_marked() -> None:
    async def generator() -> AsyncIterator[int]:
        yield 1

    for function in (double_later, generator):
        with pytest.raises(TypeError, match="is async: it is awaited, not run in a thread"):
            blocking(function)


def test_then_waits_only_if_it_must() -> None:
    assert then(4, lambda value: (value, "done")) == (4, "done")
    waiting = then(double_later(4), lambda value: (value, "done"))
    assert is_awaitable(waiting)

    async def wait() -> object:
        return await waiting

    assert asyncio.run(wait()) == (8, "done")


def test_a_generator_is_no_awaitable() -> None:
    def generator() -> Iterator[int]:
        yield 1

    assert not is_awaitable(generator())
    assert not is_awaitable(None)


@pytest.mark.parametrize("function", [lambda a, b: None, lambda a, b, c=0: None, lambda *rest: None, max, dict.get])
def test_callbacks_that_can_be_called(function: object) -> None:
    check_callback("size", function, "user", "message_id")  # type: ignore[arg-type]  # objects of many shapes
    check_callback("size", None, "user", "message_id")


@pytest.mark.parametrize("function", [lambda: None, lambda a: None, lambda a, b, c: None, lambda a, b, *, c: None])
def test_callbacks_that_cannot(function: object) -> None:
    with pytest.raises(TypeError, match=r"the callback size is called with \(user, message_id\)"):
        check_callback("size", function, "user", "message_id")  # type: ignore[arg-type]  # objects of many shapes


def test_a_callback_that_is_no_function() -> None:
    with pytest.raises(TypeError, match=r"the callback size is int, not a function of \(user, message_id\)"):
        check_callback("size", 7, "user", "message_id")  # type: ignore[arg-type]  # the mistake is the test


def test_a_wrong_keyword_is_answered_with_the_right_one() -> None:
    @suggest_keywords
    def service(*, retrieve: int = 0, delete: int = 0) -> int:
        return retrieve + delete

    assert service(retrieve=1, delete=2) == 3
    with pytest.raises(TypeError, match="no callback 'retreive'; did you mean 'retrieve'"):
        service(retreive=1)  # type: ignore[call-arg]  # the mistake is the test
    with pytest.raises(TypeError, match=r"no callback 'zzz'\. The callbacks are: retrieve, delete"):
        service(zzz=1)  # type: ignore[call-arg]  # the mistake is the test


def test_describe_names_what_an_author_would_look_for() -> None:
    class Get:
        def __call__(self) -> None: ...

    assert describe(double) == "double"
    assert describe(Get().__call__).endswith("Get.__call__")
    assert describe(Get()).endswith("Get")


def test_asyncio_is_loaded_by_the_first_call_that_needs_a_thread() -> None:
    program = "import sys, poplin.calling as c; c.call(len, 'x'); assert 'asyncio' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
