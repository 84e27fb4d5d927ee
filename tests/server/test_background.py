"""The background server: what fails in its thread is raised to its caller, and nobody forgets it in silence."""

import gc
import socket
import warnings

import pytest

import poplin
from poplin.maildrops.memory import MemoryMaildrops
from poplin.server.addresses import ListenErrors
from support.serving import OnePassword
from support.wire import Wire, logged_in, until


def a_server(**options: int) -> poplin.Server:
    return poplin.Server(
        maildrops=MemoryMaildrops(),
        authenticator=OnePassword("secret"),
        **{"host": "127.0.0.1", "port": 0, **options},  # type: ignore[arg-type]
    )


def test_entering_returns_when_the_port_answers_and_leaving_when_all_is_over() -> None:
    with poplin.BackgroundServer(a_server()) as running, logged_in(running.port) as wire:
        assert wire.ask("STAT") == b"+OK 0 0"
        port = running.port
        assert running.addresses == (f"127.0.0.1:{port}",)
        assert wire.ask("QUIT").startswith(b"+OK")
    with pytest.raises(ConnectionRefusedError):
        Wire(port)


def test_what_keeps_it_from_starting_is_raised_in_the_caller() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        running = poplin.BackgroundServer(a_server(port=other.getsockname()[1]))
        with pytest.raises(ListenErrors, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
            running.start()
    running.stop()


def test_it_is_started_once_and_may_be_stopped_twice() -> None:
    running = poplin.BackgroundServer(a_server())
    running.stop()
    running.start()
    with pytest.raises(RuntimeError, match="started before"):
        running.start()
    running.stop()
    running.stop()
    with pytest.raises(RuntimeError, match="started before"):
        running.start()


def test_a_server_has_one_life() -> None:
    server = a_server()
    with poplin.BackgroundServer(server):
        pass
    with pytest.raises(RuntimeError, match="stopped; make a new one"):
        poplin.BackgroundServer(server).start()


def test_call_reaches_the_server_in_its_own_loop() -> None:
    with poplin.BackgroundServer(a_server()) as running, logged_in(running.port) as wire:
        assert running.call(lambda server: server.sessions) == 1
        assert wire.ask("QUIT").startswith(b"+OK")
        until(lambda: running.call(lambda server: server.totals.sessions) == 1, "the session was counted")
        running.call(lambda server: server.stop())
        with pytest.raises(ConnectionRefusedError):
            Wire(running.port)
    with pytest.raises(RuntimeError, match="does not run"):
        running.call(lambda server: server.sessions)


def test_one_that_is_forgotten_is_told_of_and_stops() -> None:
    running = poplin.BackgroundServer(a_server())
    running.start()
    port = running.port
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        del running
        gc.collect()
    (told,) = [str(warning.message) for warning in warned if "never stopped" in str(warning.message)]
    assert told.startswith("<BackgroundServer")

    def refused() -> bool:
        try:
            Wire(port).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        return False

    until(refused, "the forgotten server stopped")


def test_a_stopped_one_goes_without_a_warning() -> None:
    with poplin.BackgroundServer(a_server()) as running:
        pass
    del running
    gc.collect()
