from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from poplin.calling import (
    Callback,
    WrongAnswer,
    blocking,
    check_callback,
    describe,
    in_thread,
    is_awaitable,
    is_blocking,
    note,
    suggest_keywords,
    then,
)
from poplin.errors import Refused
from poplin.identity import CURRENT, ClientFacts, current_session


def double(number: int) -> int:
    return 2 * number


async def double_later(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def test_a_plain_function_is_answered_at_once() -> None:
    assert Callback("double", double, "number")(4) == 8


def test_an_async_one_is_waited_for() -> None:
    waiting = Callback("double", double_later, "number")(4)
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
        given = Callback("which", which, "prefix")("x")
        assert is_awaitable(given)
        return await given

    assert asyncio.run(wait()) == ("x", False, client)


def test_its_exceptions_come_back() -> None:
    async def wait() -> None:
        await in_thread(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        asyncio.run(wait())


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
    taken = check_callback("size", function, "user", "message_id")  # type: ignore[arg-type]  # objects of many shapes
    assert taken == 2


@pytest.mark.parametrize("function", [lambda: None, lambda a: None, lambda a, b, c: None, lambda a, b, *, c: None])
def test_callbacks_that_cannot(function: object) -> None:
    with pytest.raises(TypeError, match=r"the callback size is called with \(user, message_id\)"):
        check_callback("size", function, "user", "message_id")  # type: ignore[arg-type]  # objects of many shapes


def test_a_callback_that_is_no_function() -> None:
    with pytest.raises(TypeError, match=r"the callback size is int, not a function of \(user, message_id\)"):
        check_callback("size", 7, "user", "message_id")  # type: ignore[arg-type]  # the mistake is the test


def test_a_wrong_keyword_is_answered_with_the_right_one() -> None:
    @suggest_keywords({"port": "Server(port=…)"})
    def service(*, retrieve: int = 0, delete: int = 0) -> int:
        return retrieve + delete

    assert service(retrieve=1, delete=2) == 3
    with pytest.raises(TypeError, match="no callback 'retreive'; did you mean 'retrieve'"):
        service(retreive=1)  # type: ignore[call-arg]  # the mistake is the test
    with pytest.raises(TypeError, match=r"no callback 'Port'; it is Server\(port=…\)\. The callbacks are"):
        service(Port=1)  # type: ignore[call-arg]  # the mistake is the test
    with pytest.raises(TypeError, match=r"no callback 'zzz'\. The callbacks are: retrieve, delete"):
        service(zzz=1)  # type: ignore[call-arg]  # the mistake is the test


def test_describe_names_what_an_author_would_look_for() -> None:
    class Get:
        def __call__(self) -> None: ...

    assert describe(double) == "double"
    assert describe(Get().__call__).endswith("Get.__call__")
    assert describe(Get()).endswith("Get")
    nameless = [lambda: None]
    line = nameless[0].__code__.co_firstlineno
    assert describe(nameless[0]).endswith(f"<lambda>, test_calling.py:{line}")


def test_asyncio_is_loaded_by_the_first_call_that_needs_a_thread() -> None:
    program = "import sys, poplin.calling as c; c.Callback('size', len, 'x')('x'); assert 'asyncio' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_callback_gets_as_many_arguments_as_it_takes() -> None:
    seen: list[tuple[object, ...]] = []
    Callback("end", lambda *given: seen.append(given), "client", "ending", fewest=1)(1, 2)
    Callback("end", lambda client, ending: seen.append((client, ending)), "client", "ending", fewest=1)(1, 2)
    Callback("end", lambda client: seen.append((client,)), "client", "ending", fewest=1)(1, 2)
    assert seen == [(1, 2), (1, 2), (1,)]
    with pytest.raises(TypeError, match=r"the callback end is called with \(client, ending\); .* takes \(\)"):
        Callback("end", lambda: None, "client", "ending", fewest=1)


def test_a_callback_that_holds_the_loop_is_told_of_once_by_name(caplog: pytest.LogCaptureFixture) -> None:
    def slow(user: str) -> None:
        time.sleep(0.11)

    callback = Callback("list", slow, "user")
    callback("ann")
    callback("ann")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "the callback list (" in record.getMessage()
    assert "slow) held up every session for 1" in record.getMessage()
    assert "poplin.blocking" in record.getMessage()


def test_one_that_works_in_a_thread_or_answers_soon_is_not(caplog: pytest.LogCaptureFixture) -> None:
    @blocking
    def slow(user: str) -> None:
        time.sleep(0.11)

    async def wait() -> None:
        waiting = Callback("list", slow, "user")("ann")
        assert is_awaitable(waiting)
        await waiting

    asyncio.run(wait())
    Callback("list", lambda user: [], "user")("ann")
    assert caplog.records == []


def failing(user: str, password: str) -> None:
    raise ZeroDivisionError


async def failing_later(user: str, password: str) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("function", [failing, failing_later, blocking(failing)])
def test_an_exception_says_who_was_called_and_keeps_the_secrets(function: Callable[..., object]) -> None:
    async def wait() -> None:
        answer = Callback("authenticate", function, "user", "password")("ann", "planted")
        assert is_awaitable(answer)
        await answer

    with pytest.raises(ZeroDivisionError) as raised:
        asyncio.run(wait())
    (written,) = raised.value.__notes__
    assert written.startswith("in the callback authenticate (failing")
    assert written.endswith("for user 'ann'")


def test_an_answer_of_ours_carries_no_note() -> None:
    def refuse(user: str) -> None:
        raise Refused("no")

    with pytest.raises(Refused) as raised:
        Callback("list", refuse, "user")("ann")
    assert not hasattr(raised.value, "__notes__")


def test_an_exception_raised_again_and_again_gathers_no_notes_without_end() -> None:
    error = ValueError("one for all")
    for number in range(100):
        note(error, f"in session {number}")
        note(error, "in the same place")
    assert len(error.__notes__) == 8
    assert len(set(error.__notes__)) == 8


def test_a_wrong_answer_for_nobody_in_particular() -> None:
    callback = Callback("login_delay", len, "user")
    assert str(WrongAnswer("x", callback, "seconds")) == "the callback login_delay (len) returned str; expected seconds"
