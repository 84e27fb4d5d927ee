"""A restart: everybody's session ends gracefully, the ports stay open, nothing is lost on the way."""

import threading

import pytest

import poplin
from support.wire import Wire, logged_in, until


def a_server(messages: dict[str, bytes], **callbacks: object) -> poplin.Server:
    service = poplin.Callbacks(
        authenticate=lambda user, password, client: password == "secret",
        list=lambda user: list(messages),
        retrieve=lambda user, message_id: messages[message_id],
        **{"delete": lambda user, message_id: messages.pop(message_id), **callbacks},  # type: ignore[arg-type]  # callbacks of any kind
    )
    return poplin.Server(service, host="127.0.0.1", port=0, limits=poplin.Limits(drain_timeout=20))


def test_sessions_end_with_a_farewell_and_the_port_stays() -> None:
    messages = {"one": b"Subject: 1\r\n\r\n"}
    with poplin.BackgroundServer(a_server(messages)) as running:
        port = running.port
        for _ in range(2):
            with logged_in(port) as wire:
                assert wire.ask("DELE 1").startswith(b"+OK")
                running.restart()
                assert wire.rest() == b"-ERR [SYS/TEMP] server shutting down, try again later\r\n"
            assert running.port == port
            assert list(messages) == ["one"]
            assert running.call(lambda server: server.totals.sessions) == 0
        with logged_in(port) as wire:
            assert wire.retrieve(1) == messages["one"]
            assert wire.ask("DELE 1").startswith(b"+OK")
            assert wire.ask("QUIT").startswith(b"+OK")
        assert messages == {}


def test_nobody_is_refused_while_the_old_life_ends() -> None:
    begun, finish = threading.Event(), threading.Event()

    @poplin.blocking
    def delete(user: str, message_id: str) -> None:
        begun.set()
        assert finish.wait(30)
        messages.pop(message_id)

    messages = {"one": b"Subject: 1\r\n\r\n"}
    with poplin.BackgroundServer(a_server(messages, delete=delete)) as running:
        with logged_in(running.port, "ann") as ann:
            assert ann.ask("DELE 1").startswith(b"+OK")
            ann.send(b"QUIT\r\n")
            assert begun.wait(30)
            before = running.call(lambda server: {client.session_id for client in server.clients})
            restarting = threading.Thread(target=running.restart)
            restarting.start()
            until(lambda: running.call(lambda server: not server.clients), "the new life began")
            assert before
            with Wire(running.port) as bob:
                assert bob.log_in("bob").startswith(b"+OK")
                assert bob.ask("NOOP") == b"+OK"
                assert restarting.is_alive()
                with Wire(running.port) as again:
                    assert again.log_in("ann").startswith(b"-ERR [IN-USE]")  # the lock is the old session's still
                finish.set()
                assert ann.line().startswith(b"+OK")
                restarting.join(30)
                assert not restarting.is_alive()
                assert bob.ask("NOOP") == b"+OK"
        assert messages == {}


def test_a_stop_in_the_middle_of_a_restart_ends_both_lives() -> None:
    begun, finish = threading.Event(), threading.Event()

    @poplin.blocking
    def delete(user: str, message_id: str) -> None:
        begun.set()
        assert finish.wait(30)
        messages.pop(message_id)

    messages = {"one": b"Subject: 1\r\n\r\n"}
    running = poplin.BackgroundServer(a_server(messages, delete=delete))
    running.start()
    with logged_in(running.port, "ann") as ann, Wire(running.port) as bob:
        assert bob.line().startswith(b"+OK")
        assert ann.ask("DELE 1").startswith(b"+OK")
        ann.send(b"QUIT\r\n")
        assert begun.wait(30)
        restarting = threading.Thread(target=running.restart)
        restarting.start()
        until(lambda: running.call(lambda server: not server.clients), "the new life began")
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        assert bob.rest().startswith(b"-ERR [SYS/TEMP]")
        finish.set()
        assert ann.line().startswith(b"+OK")
        stopping.join(30)
        restarting.join(30)
    assert messages == {}
    with pytest.raises(ConnectionRefusedError):
        Wire(running.port)


def test_what_does_not_run_is_not_restarted() -> None:
    running = poplin.BackgroundServer(a_server({}))
    with pytest.raises(RuntimeError, match="does not run"):
        running.restart()
    with running:
        running.restart()
        with logged_in(running.port):
            pass
        running.call(lambda server: server.stop())
        with pytest.raises(RuntimeError, match="stopped and does not listen: there is nothing to restart"):
            running.restart()
    with pytest.raises(RuntimeError, match="does not run"):
        running.restart()
