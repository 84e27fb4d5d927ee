"""However a session ends, it ends once: tasks are cancelled, UPDATE is not, the lock is free, and the right words
are said to those who can still hear them."""

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

import poplin
from poplin.content import Content
from poplin.maildrops.base import Ending
from poplin.maildrops.memory import MemoryMaildrops
from poplin.protocol.commands import Command
from poplin.server.hub import Listener
from support.gated import Gate, GatedDoor, GatedMaildrops, Streaming
from support.processes import big_message
from support.serving import OnePassword, Running, Serve
from support.wire import Wire, logged_in, until

TWO = (b"Subject: one\r\n\r\none\r\n", b"Subject: two\r\n\r\ntwo\r\n")


def sessions(served: Running) -> int:
    return served.server.call(lambda server: server.sessions)


def kick_all(server: poplin.Server) -> None:
    assert all(server.kick(client.session_id) for client in server.clients)


def ended(served: Running, store: GatedMaildrops, ending: Ending) -> None:
    """Assert that the one session ended so, once, and left nothing locked."""
    until(lambda: bool(store.endings), "the maildrop was closed")
    until(lambda: sessions(served) == 0, "the connection is gone")
    until(lambda: served.server.call(lambda server: server.totals.sessions) == 1, "the session was counted")
    assert store.endings == [ending]
    assert not store.held()
    with logged_in(served.ports["none"]) as wire:
        assert wire.ask("NOOP") == b"+OK"


# Half-closed clients


def test_a_client_that_has_said_all_gets_all_answers(serve: Serve) -> None:
    store = MemoryMaildrops()
    store.deliver("ann", big_message(500_000))
    served = serve(store, GatedDoor())
    with Wire(served.ports["none"]) as wire:
        wire.send(b"USER ann\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
        wire.end()
        wire.line()
        assert wire.line().startswith(b"+OK")
        assert wire.line().startswith(b"+OK")
        assert wire.line().startswith(b"+OK")
        assert wire.body() == big_message(500_000)
        assert wire.rest() == b"+OK message 1 marked for removal\r\n+OK goodbye\r\n"
    assert store.messages("ann") == {}


def test_an_end_in_the_middle_of_a_command_carries_nothing_out(serve: Serve) -> None:
    store = GatedMaildrops(TWO)
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"DELE 1\r\nQUIT")
        wire.end()
        assert wire.rest() == b"+OK message 1 marked for removal\r\n"
    ended(served, store, Ending.DROPPED)
    assert len(store.messages) == 2


def test_half_sent_commands_of_clients_that_vanish_remove_nothing(serve: Serve) -> None:
    store = GatedMaildrops(TWO)
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.ask("DELE 1")
        wire.send(b"QUIT\r")
        wire.reset()
    ended(served, store, Ending.DROPPED)
    assert len(store.messages) == 2


# Dropped while something is under way


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("step", ["authenticate", "open", "scan", "retrieve"])
def test_dropped_while_a_callback_waits(serve: Serve, step: str, *, reset: bool) -> None:
    """The callback is cancelled, what it held is free, and the session ends once."""
    gate = Gate()
    store = GatedMaildrops(**({} if step == "authenticate" else {step: gate}))
    served = serve(store, GatedDoor(gate if step == "authenticate" else None))
    with Wire(served.ports["none"]) as wire:
        wire.line()
        wire.ask("USER ann")
        wire.send(b"PASS secret\r\n")
        if step == "retrieve":
            wire.line()
            wire.send(b"RETR 1\r\n")
        gate.await_arrival()
        if reset:
            wire.reset()
    if reset:
        gate.await_cancel()
    else:  # the client may have half-closed: what it asked is carried out, and finds nobody
        gate.open()
    until(lambda: sessions(served) == 0, "the connection is gone")
    until(lambda: served.server.call(lambda server: server.totals.sessions) == 1, "the session was counted")
    assert not store.held()
    never_opened = reset and step in {"authenticate", "open"}
    assert store.endings == ([] if never_opened else [Ending.FAILED if reset and step == "scan" else Ending.DROPPED])


def test_a_slow_close_is_not_cut_short_by_a_second_blow(serve: Serve) -> None:
    """A kick cancels the scan; the loss of the connection that follows must not cancel the closing too."""
    scan, close = Gate(), Gate()
    store = GatedMaildrops(scan=scan, close=close)
    served = serve(store, GatedDoor())
    with Wire(served.ports["none"]) as wire:
        wire.send(b"USER ann\r\nPASS secret\r\n")
        scan.await_arrival()
        served.server.call(kick_all)
        close.await_arrival()
        wire.remains()
        served.server.call(lambda server: None)
        close.open()
        until(lambda: bool(store.endings), "the maildrop was closed")
    assert not close.cancelled.is_set()
    assert store.events[-2:] == ["close", "closed"]
    assert not store.held()


@pytest.mark.parametrize("how", ["drop", "kick", "lease"])
def test_update_runs_to_its_end(serve: Serve, how: str) -> None:
    gate = Gate()
    store = GatedMaildrops(TWO, remove=gate)
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.ask("DELE 2")
        wire.send(b"QUIT\r\n")
        gate.await_arrival()
        if how == "drop":
            wire.reset()
            until(lambda: sessions(served) == 0, "the connection is gone")
        elif how == "kick":
            served.server.call(kick_all)
        else:
            assert store.on_lost is not None
            store.on_lost("taken over")
        assert store.held()
        gate.open()
        if how != "drop":
            assert wire.line() == b"+OK goodbye"  # what was done is told
            assert wire.line() == b""
    ended(served, store, Ending.QUIT)
    assert list(store.messages) == ["id1"]
    assert not gate.cancelled.is_set()


def test_a_stop_waits_for_update_even_longer_than_it_drains(serve: Serve) -> None:
    gate = Gate()
    store = GatedMaildrops(TWO, remove=gate)
    served = serve(store, GatedDoor(), limits=poplin.Limits(drain_timeout=0.1))
    with logged_in(served.ports["none"]) as wire:
        wire.ask("DELE 1")
        wire.send(b"QUIT\r\n")
        gate.await_arrival()
        stopping = threading.Thread(target=served.server.stop)
        stopping.start()
        stopping.join(0.5)
        assert stopping.is_alive()
        gate.open()
        stopping.join(20)
        assert not stopping.is_alive()
        assert wire.line() == b"+OK goodbye"
    assert store.endings == [Ending.QUIT]
    assert list(store.messages) == ["id2"]


# Kicked


def test_kicked_while_idle_hears_why_and_loses_the_marks(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poplin")
    store = GatedMaildrops(TWO)
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.ask("DELE 1")
        served.server.call(kick_all)
        assert wire.rest() == b"-ERR [SYS/TEMP] session ended by the administrator\r\n"
    ended(served, store, Ending.KICKED)
    assert len(store.messages) == 2
    assert any(
        "ended by kicked" in record.getMessage() and "marks-dropped=1" in record.getMessage()
        for record in caplog.records
    )


def test_kicked_before_login_and_in_a_handshake(serve: Serve) -> None:
    served = serve(MemoryMaildrops(), GatedDoor())
    with Wire(served.ports["none"]) as wire, Wire(served.ports["implicit"]) as silent:
        wire.line()
        until(lambda: sessions(served) == 2, "both are there")
        served.server.call(kick_all)
        assert wire.rest().startswith(b"-ERR [SYS/TEMP]")
        assert silent.rest() == b""  # nothing in clear where TLS was to be
    assert not served.server.call(lambda server: server.kick("nobody-1"))


@pytest.mark.parametrize("step", ["authenticate", "retrieve"])
def test_kicked_while_a_callback_waits_is_cut(serve: Serve, step: str) -> None:
    gate = Gate()
    store = GatedMaildrops(**({} if step == "authenticate" else {step: gate}))
    served = serve(store, GatedDoor(gate if step == "authenticate" else None))
    with Wire(served.ports["none"]) as wire:
        wire.send(b"USER ann\r\nPASS secret\r\nRETR 1\r\n")
        gate.await_arrival()
        served.server.call(kick_all)
        gate.await_cancel()
        assert b"Subject" not in wire.remains()
    until(lambda: sessions(served) == 0, "the connection is gone")
    assert store.endings == ([Ending.KICKED] if step == "retrieve" else [])
    assert not store.held()


# The lease is lost


def test_a_lost_lease_ends_the_session_from_any_thread(serve: Serve) -> None:
    store = GatedMaildrops(TWO)
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.ask("DELE 1")
        assert store.on_lost is not None
        other = threading.Thread(target=store.on_lost, args=("taken over\r\nfrom elsewhere",))
        other.start()
        other.join()
        assert wire.rest() == b"-ERR [SYS/TEMP] session ended: taken over from elsewhere\r\n"
    ended(served, store, Ending.KICKED)
    assert len(store.messages) == 2


def test_a_lease_lost_in_the_middle_cuts_and_long_after_the_end_does_nothing(serve: Serve) -> None:
    gate = Gate()
    store = GatedMaildrops(TWO, retrieve=gate)
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"RETR 1\r\n")
        gate.await_arrival()
        assert store.on_lost is not None
        store.on_lost("taken over")
        gate.await_cancel()
        wire.remains()
    until(lambda: sessions(served) == 0, "the connection is gone")
    assert store.endings == [Ending.KICKED]
    store.on_lost("again")
    served.server.call(lambda server: None)
    served.server.stop()
    store.on_lost("when the loop is closed")
    assert store.endings == [Ending.KICKED]


# A graceful stop


def test_a_stop_speaks_to_the_idle_and_lets_messages_arrive_whole(serve: Serve) -> None:
    """One message whole in memory and one streamed, neither read until the stop has begun; the commands behind them
    are not begun any more."""
    big = big_message(3_000_000)

    class Source(Streaming):
        def retrieve(self, entry: poplin.Entry, /) -> Content:
            return Content(big) if entry.unique_id == "id0" else super().retrieve(entry)

    store = Source(lambda: Content(in_pieces(big)), lambda: Content(in_pieces(big)))
    served = serve(store, GatedDoor())
    with (
        logged_in(served.ports["none"], "idle") as idle,
        logged_in(served.ports["none"], "whole") as whole,
        logged_in(served.ports["none"], "streamed") as streamed,
    ):
        whole.send(b"RETR 1\r\n" + b"RETR 1\r\n" * 30)
        streamed.send(b"RETR 2\r\n" + b"RETR 2\r\n" * 30)
        assert whole.line().startswith(b"+OK")
        assert streamed.line().startswith(b"+OK")
        stopping = threading.Thread(target=served.server.stop)
        stopping.start()
        assert idle.rest() == b"-ERR [SYS/TEMP] server shutting down, try again later\r\n"
        idle.close()
        for wire in (whole, streamed):
            count = 1
            assert wire.body() == big
            while (answer := wire.line()).startswith(b"+OK"):
                assert wire.body() == big
                count += 1
            assert answer == b"-ERR [SYS/TEMP] server shutting down, try again later"
            assert count < 10
            wire.close()
        stopping.join(30)
        assert not stopping.is_alive()
    assert store.endings == [Ending.STOPPED] * 3


async def in_pieces(message: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(message), 100_000):
        yield message[start : start + 100_000]
        await asyncio.sleep(0)


def test_who_does_not_read_is_waited_for_so_long_and_no_longer(serve: Serve) -> None:
    store = MemoryMaildrops()
    store.deliver("ann", big_message(20_000_000))
    served = serve(store, OnePassword("secret"), limits=poplin.Limits(drain_timeout=0.2))
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"RETR 1\r\n")
        wire.line()
        served.server.stop()
        assert not wire.remains().endswith(b".\r\n")


def test_a_stop_takes_no_new_connections_and_removes_nothing(serve: Serve) -> None:
    store = GatedMaildrops(TWO)
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.ask("DELE 1")
        wire.ask("DELE 2")
        stopping = threading.Thread(target=served.server.stop)
        stopping.start()
        assert wire.rest().startswith(b"-ERR [SYS/TEMP]")
        wire.close()
        stopping.join()
    with pytest.raises(ConnectionRefusedError):
        Wire(served.ports["none"])
    assert store.endings == [Ending.STOPPED]
    assert len(store.messages) == 2


# Last words


def test_last_words_survive_what_the_client_still_sends(serve: Serve) -> None:
    """A socket closed with input unread resets the connection, and what was queued before is lost."""
    store = MemoryMaildrops()
    store.deliver("ann", big_message(3_000_000))
    served = serve(store, OnePassword("secret"), limits=poplin.Limits(bad_commands=3))
    for last, farewell in ((b"XYZZY\r\n" * 3, b"-ERR too many bad commands\r\n"), (b"QUIT\r\n", b"+OK goodbye\r\n")):
        with Wire(served.ports["none"], receive_buffer=4096) as wire:
            wire.log_in()
            writer = threading.Thread(target=send_on, args=(wire, b"RETR 1\r\n" + last))
            writer.start()
            answer = wire.rest()
            writer.join()
            assert answer.endswith(farewell)
            assert len(answer) > 3_000_000


def send_on(wire: Wire, first: bytes) -> None:
    try:
        wire.send(first + b"NOOP\r\n" * 50_000)
    except (BrokenPipeError, ConnectionResetError):
        """The server is gone: it has said all."""


# Faults of callbacks


def test_a_callback_that_ends_by_a_cancellation_of_its_own_ends_the_session(serve: Serve) -> None:
    """A maildrop that waits for something cancelled elsewhere: nobody is left behind without an answer or an end."""

    class Source(GatedMaildrops):
        async def pass_gate(self, step: str) -> None:
            await super().pass_gate(step)
            if step == "retrieve":
                raise asyncio.CancelledError

    store = Source()
    served = serve(store, GatedDoor())
    with logged_in(served.ports["none"]) as wire:
        wire.send(b"RETR 1\r\n")
        assert wire.remains() == b""
    ended(served, store, Ending.FAILED)


# One session on a socket that somebody else accepted


def test_a_socket_served_alone_ends_with_its_session(run_async: Callable[[Awaitable[None]], None]) -> None:
    async def scenario() -> None:
        ours, theirs = socket.socketpair()
        server = poplin.Server(maildrops=MemoryMaildrops(), authenticator=GatedDoor())
        serving = asyncio.ensure_future(server.serve_socket(ours, Listener(address="unix:")))
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        assert (await loop.sock_recv(theirs, 100)).startswith(b"+OK")
        await loop.sock_sendall(theirs, b"USER ann\r\nPASS secret\r\nQUIT\r\n")
        answer = b""
        while piece := await loop.sock_recv(theirs, 1000):
            answer += piece
        assert answer.count(b"+OK") == 3
        theirs.close()
        await asyncio.wait_for(serving, 10)
        assert "stopped" in repr(server)

    run_async(scenario())


def test_a_stop_ends_everybody_though_some_have_just_gone(serve: Serve) -> None:
    """Their sockets are reset already, and the loop has not come round to telling us."""
    served = serve(GatedMaildrops(TWO), GatedDoor())
    with logged_in(served.ports["none"]) as stays:
        gone = [socket.create_connection(("127.0.0.1", served.ports["none"])) for _ in range(4)]
        for client in gone:
            assert client.recv(100).startswith(b"+OK")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        async def leave_and_stop(server: poplin.Server) -> None:
            for client in gone:
                client.close()
            await server.stop()

        served.server.call(leave_and_stop)
        assert stays.remains() == b"-ERR [SYS/TEMP] server shutting down, try again later\r\n"
    assert sessions(served) == 0


def test_who_ends_another_session_stays_the_current_one(serve: Serve) -> None:
    seen: list[tuple[str, str]] = []

    class Jealous(poplin.Plugin):
        def on_command(self, client: poplin.ClientFacts, command: Command) -> Command:
            if command.verb == "NOOP":
                others = [other.session_id for other in served.server.server.clients if other is not client]
                assert [served.server.server.kick(other) for other in others] == [True]
                seen.append((poplin.current_session().session_id, client.session_id))
            return command

    served = serve(GatedMaildrops(TWO), GatedDoor(), plugins=[Jealous()])
    with Wire(served.ports["none"]) as victim, Wire(served.ports["none"]) as jealous:
        victim.line()
        jealous.line()
        jealous.send(b"NOOP\r\n")
        assert jealous.line() == b"-ERR log in first"
        assert victim.remains().startswith(b"-ERR [SYS/TEMP] session ended")
    assert len(seen) == 1
    assert seen[0][0] == seen[0][1]
