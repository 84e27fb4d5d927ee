"""A server's own life: start, serve, stop; and ``run()`` as a program, with its signals."""

import asyncio
import gc
import importlib.util
import os
import signal
import threading
import warnings
from collections.abc import Awaitable, Callable

import pytest

import poplin
from poplin.maildrops.memory import MemoryMaildrops
from poplin.server.running import runner
from poplin.server.server import Progress
from support.gated import Gate, GatedDoor, GatedMaildrops
from support.processes import running
from support.serving import OnePassword, Serve
from support.wire import Wire, logged_in, until

Run = Callable[[Awaitable[None]], None]

LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]


def a_server() -> poplin.Server:
    return poplin.Server(maildrops=MemoryMaildrops(), authenticator=OnePassword("secret"), host="127.0.0.1", port=0)


def test_async_with_starts_and_stops(run_async: Run) -> None:
    async def scenario() -> None:
        server = a_server()
        async with server:
            assert "running" in repr(server)
            answer = await asyncio.to_thread(converse, server.port)
            assert answer.startswith(b"+OK")
        assert "stopped" in repr(server)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)

    run_async(scenario())


def refuses(port: int) -> bool:
    try:
        Wire(port).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def converse(port: int) -> bytes:
    with logged_in(port) as wire:
        return wire.ask("QUIT")


def test_it_starts_once_and_stops_as_often_as_one_likes(run_async: Run) -> None:
    async def scenario() -> None:
        server = a_server()
        await server.stop()
        await server.abort()
        await server.start()
        with pytest.raises(RuntimeError, match="this server is running"):
            await server.start()
        await asyncio.gather(server.stop(), server.stop())
        await server.stop()
        await server.abort()
        with pytest.raises(RuntimeError, match="this server is stopped"):
            await server.start()

    run_async(scenario())


def test_who_connects_while_it_stops_is_not_left_behind(run_async: Run) -> None:
    """A loop accepts connections in batches: some are made when the stop has looked at all there were."""

    async def scenario() -> None:
        server = poplin.Server(
            maildrops=MemoryMaildrops(),
            authenticator=OnePassword("secret"),
            host="127.0.0.1",
            port=0,
            limits=poplin.Limits(drain_timeout=600),
        )
        await server.start()
        wires = [Wire(server.port) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.wait_for(server.stop(), 20)
        assert server.sessions == 0
        await asyncio.sleep(0.05)
        assert server.sessions == 0
        for wire in wires:
            wire.close()

    with warnings.catch_warnings():
        # asyncio itself forgets to close what it had accepted for a listener that is closed now.
        warnings.simplefilter("ignore", ResourceWarning)
        run_async(scenario())
        gc.collect()


def test_progress_tells_what_a_stop_waits_for(serve: Serve) -> None:
    gate = Gate()
    store = GatedMaildrops(retrieve=gate)
    served = serve(store, GatedDoor())
    heard: list[Progress] = []
    with logged_in(served.ports["none"]) as idle, logged_in(served.ports["none"], "bob") as busy:
        busy.send(b"RETR 1\r\n")
        gate.await_arrival()

        def hear(progress: Progress) -> None:
            heard.append(progress)
            gate.open()

        stopping = threading.Thread(target=lambda: served.server.call(lambda server: server.stop(hear)))
        stopping.start()
        for wire, answer in ((idle, b"-ERR [SYS/TEMP]"), (busy, b"+OK")):
            assert wire.line().startswith(answer)
            wire.close()
        stopping.join()
    assert heard == [Progress(sessions=2, ended=1, busy=1, seconds=30)]


@pytest.mark.parametrize("loop", LOOPS)
def test_run_prints_where_it_listens_and_ctrl_c_ends_it_in_peace(loop: str) -> None:
    with running("both", listeners=2, loop=loop) as server:
        port = server.port
        assert server.addresses == [f"127.0.0.1:{port}", f"[::1]:{port}"]
        with logged_in(port) as wire:
            server.signal(signal.SIGINT)
            assert wire.line().startswith(b"-ERR [SYS/TEMP]")
            assert wire.line() == b""
        assert server.wait() == 0
        assert server.process.communicate() == ("", "")


def test_sigterm_ends_it_too() -> None:
    with running("both", listeners=2) as server:
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.process.communicate() == ("", "")


def test_a_second_signal_does_not_wait_for_anybody() -> None:
    with running("many", "40", "1000000") as server, logged_in(server.port) as wire:
        wire.send(b"".join(b"RETR %d\r\n" % number for number in range(1, 41)))
        assert wire.line().startswith(b"+OK")
        server.signal(signal.SIGINT)
        until(lambda: refuses(server.port), "it has heard the first")
        assert server.process.poll() is None  # and waits for the client, who does not read
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        assert server.process.communicate() == ("", "")


@pytest.mark.skipif("uvloop" not in LOOPS, reason="missing: uvloop")
def test_uvloop_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def which() -> str:
        return type(asyncio.get_running_loop()).__module__

    for wish, module in (("", "uvloop"), ("uvloop", "uvloop"), ("asyncio", "asyncio.unix_events")):
        monkeypatch.setenv("POPLIN_LOOP", wish)
        with runner() as loop_runner:
            assert loop_runner.run(which()) == module


def test_a_cancelled_serve_stops_in_peace(run_async: Run) -> None:
    """Where signals cannot be caught (Windows, other threads) Ctrl-C is a cancellation."""

    async def scenario() -> None:
        server = a_server()
        task = asyncio.ensure_future(server.serve(quiet=True))
        while "running" not in repr(server):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "stopped" in repr(server)

    run_async(scenario())


def test_the_process_keeps_no_socket_of_the_past(serve: Serve) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"))
    with logged_in(served.ports["none"]):
        pass
    until(lambda: served.server.call(lambda server: server.sessions) == 0, "the session is gone")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        with logged_in(served.ports["none"]):
            pass
    until(lambda: served.server.call(lambda server: server.sessions) == 0, "the sessions are gone")
    assert len(os.listdir("/proc/self/fd")) == before
