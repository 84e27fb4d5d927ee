"""Events that nobody can wait for: told in order of sending, and no echo without end."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import ParamSpec

import pytest

from poplin.plugins.events import Event, PluginFailed
from poplin.plugins.pipeline import Pipeline
from poplin.server import announcements
from poplin.server.announcements import Announcements
from poplin.server.running import runner

P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[object, object, None]]) -> Callable[P, None]:
    """Run a test's coroutine on the loop that ``POPLIN_LOOP`` names."""

    @functools.wraps(test)
    def run(*arguments: P.args, **keywords: P.kwargs) -> None:
        with runner() as loop_runner:
            loop_runner.run(test(*arguments, **keywords))

    return run


class Tick(Event):
    """An event of somebody's own."""


class Loop:
    """The announcements of a pipeline, and the tasks that they made."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.announcements = Announcements(pipeline, asyncio.get_running_loop(), self.spawn)
        pipeline.announce = self.announcements.announce

    def spawn(self, coroutine: Coroutine[object, object, None]) -> object:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def settled(self) -> None:
        """Wait until nothing follows any more."""
        for _ in range(3):
            await asyncio.sleep(0)
            while self.tasks:
                await asyncio.wait(set(self.tasks))


@in_loop
async def test_in_order_of_sending_and_from_any_thread() -> None:
    told: list[Event] = []
    pipeline = Pipeline()
    pipeline.register(told.append)
    loop = Loop(pipeline)
    events = [Tick() for _ in range(5)]
    for event in events[:3]:
        pipeline.announce(event)
    await asyncio.to_thread(lambda: [pipeline.announce(event) for event in events[3:]])
    await loop.settled()
    assert [id(event) for event in told] == [id(event) for event in events]


@pytest.mark.parametrize(("many", "deepest", "wanted"), [(1, 16, 17), (2, 6, 2**7 - 1)])
@pytest.mark.parametrize("later", [False, True])
@in_loop
async def test_an_echo_comes_to_an_end(
    many: int, deepest: int, wanted: int, later: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(announcements, "_DEEPEST", deepest)
    told = 0
    pipeline = Pipeline()

    def echo() -> None:
        for _ in range(many):
            pipeline.announce(Tick())

    async def again(event: Tick) -> None:
        nonlocal told
        told += 1
        if later:
            await asyncio.to_thread(echo)
        else:
            echo()

    pipeline.register(again, Tick)
    loop = Loop(pipeline)
    pipeline.announce(Tick())
    await loop.settled()
    assert told == wanted
    assert set(caplog.messages) == {"Tick dropped: events that are sent at hearing of events have no end"}


@in_loop
async def test_a_heartbeat_is_no_echo() -> None:
    told = 0
    done = asyncio.Event()
    pipeline = Pipeline()

    def beat(event: Tick) -> None:
        nonlocal told
        told += 1
        if told == 50:
            done.set()
        else:
            asyncio.get_running_loop().call_later(0, pipeline.announce, Tick())

    pipeline.register(beat, Tick)
    loop = Loop(pipeline)
    pipeline.announce(Tick())
    await done.wait()
    await loop.settled()
    assert told == 50


@in_loop
async def test_no_more_at_once_than_can_be_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(announcements, "_MOST", 3)
    gate = asyncio.Event()
    told: list[Event] = []
    pipeline = Pipeline()

    async def slow(event: Tick) -> None:
        await gate.wait()
        told.append(event)

    pipeline.register(slow, Tick)
    loop = Loop(pipeline)
    for _ in range(5):
        pipeline.announce(Tick())
    await asyncio.sleep(0)
    gate.set()
    await loop.settled()
    assert len(told) == 3
    assert caplog.messages == ["Tick dropped: 3 events are not told yet"] * 2
    pipeline.announce(Tick())
    await loop.settled()
    assert len(told) == 4


@in_loop
async def test_a_failure_that_fails_is_told_once() -> None:
    failures: list[Event] = []
    pipeline = Pipeline()

    def failing(event: Event) -> None:
        failures.append(event)
        raise RuntimeError("again")

    pipeline.register(failing)
    loop = Loop(pipeline)
    pipeline.announce(Tick())
    await loop.settled()
    assert [type(event) for event in failures] == [Tick, PluginFailed]


def test_a_loop_that_is_gone_hears_nothing() -> None:
    loop = asyncio.new_event_loop()
    made = Announcements(Pipeline(), loop, lambda coroutine: pytest.fail("a task in a closed loop"))
    loop.close()
    made.announce(Tick())
