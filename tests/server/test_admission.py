"""Limits: who is one too many is told so and hurts nobody, and a thousand at once are no crowd."""

import resource
import threading

import pytest

import poplin
from poplin.limits import Limits
from poplin.maildrops.memory import MemoryMaildrops
from poplin.server.admission import Admission, TooManySessions
from support.gated import Gate, GatedDoor, GatedMaildrops
from support.processes import running
from support.serving import OnePassword, Running, Serve
from support.wire import Wire, logged_in, until

TOO_MANY = b"-ERR [SYS/TEMP] too many connections, try again later"


def sessions(served: Running) -> int:
    return served.server.call(lambda server: server.sessions)


def test_connections_are_counted_whole_and_by_address() -> None:
    admission = Admission(Limits(connections=3, connections_per_address=2))
    assert [admission.connect("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [admission.connect("192.0.2.2"), admission.connect("192.0.2.3")] == [True, False]
    assert admission.connections == 3
    admission.disconnect("192.0.2.1")
    assert admission.connect("192.0.2.3")
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        admission.disconnect(address)
    assert admission.connections == 0


def test_local_sockets_have_no_address_to_be_counted_by_and_0_is_no_limit() -> None:
    admission = Admission(Limits(connections=0, connections_per_address=1, connections_per_user=0))
    assert all(admission.connect("") for _ in range(50))
    for _ in range(50):
        admission.enter("ann")


def test_a_users_sessions_are_counted() -> None:
    admission = Admission(Limits(connections_per_user=2))
    admission.enter("ann")
    admission.enter("ann")
    admission.enter("bob")
    with pytest.raises(TooManySessions):
        admission.enter("ann")
    admission.leave("ann")
    admission.enter("ann")
    with pytest.raises(TooManySessions):
        admission.enter("ann")
    admission.leave("nobody")


@pytest.mark.parametrize("limits", [Limits(connections=3), Limits(connections_per_address=3)])
def test_one_connection_too_many_is_told_so(serve: Serve, limits: Limits) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"), limits=limits)
    port = served.ports["none"]
    with logged_in(port, "ann"), logged_in(port, "bob"), Wire(port) as third:
        assert third.line().startswith(b"+OK")
        for _ in range(3):
            with Wire(port) as wire:
                assert wire.line() == TOO_MANY
                assert wire.line() == b""
        with Wire(served.ports["implicit"]) as wire:
            assert wire.remains() == b""
        assert third.pass_in("carol").startswith(b"+OK")
        assert sessions(served) == 3
    until(lambda: sessions(served) == 0, "all are gone")
    assert served.server.call(lambda server: server.totals.refused_connections) == 4
    with logged_in(port) as wire:
        assert wire.ask("QUIT").startswith(b"+OK")


def test_one_session_of_a_user_too_many_is_told_after_the_password(serve: Serve) -> None:
    class Shared(MemoryMaildrops):
        def open(self, request: poplin.OpenRequest, /) -> poplin.Maildrop:
            return super().open(
                poplin.OpenRequest(identity=poplin.Identity(request.client.session_id), client=request.client)
            )

    served = serve(
        Shared(), OnePassword("secret"), limits=Limits(connections_per_user=2), policy=poplin.Policy(failure_delay=0)
    )
    port = served.ports["none"]
    with logged_in(port) as first, logged_in(port), Wire(port) as third:
        assert third.line().startswith(b"+OK")
        assert third.pass_in("ann", "wrong").startswith(b"-ERR [AUTH]")
        assert third.pass_in() == TOO_MANY
        assert third.pass_in("bob").startswith(b"+OK")
        first.ask("QUIT")
        with logged_in(port):
            pass


def test_sessions_that_never_came_to_be_are_not_counted(serve: Serve) -> None:
    """Refused, in use, failed, dropped in the middle: the user's count is right afterwards."""
    gate = Gate()
    store = GatedMaildrops(scan=gate)
    served = serve(store, GatedDoor(), limits=Limits(connections_per_user=1))
    port = served.ports["none"]
    with Wire(port) as wire:
        wire.send(b"USER ann\r\nPASS secret\r\n")
        gate.await_arrival()
        wire.reset()
    gate.await_cancel()
    until(lambda: sessions(served) == 0, "the connection is gone")
    del store.gates["scan"]
    for _ in range(3):
        with logged_in(port) as wire:
            assert wire.ask("QUIT").startswith(b"+OK")
    store.before = explode
    with Wire(port) as wire:
        assert wire.log_in().startswith(b"-ERR [SYS/TEMP]")
        store.before = lambda step: None
        assert wire.pass_in().startswith(b"+OK")


def explode(step: str) -> None:
    if step == "scan":
        raise RuntimeError("the disk is on fire")


def test_too_many_bad_commands_in_a_row(serve: Serve) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"), limits=Limits(bad_commands=3))
    with logged_in(served.ports["none"]) as wire:
        for _ in range(4):  # a good one in between, and counting begins anew
            wire.ask("XYZZY")
            wire.ask("RETR x")
            assert wire.ask("NOOP") == b"+OK"
        wire.send(b"XYZZY\r\nXYZZY\r\nXYZZY\r\nNOOP\r\n")
        assert wire.rest() == b"-ERR unknown command\r\n-ERR unknown command\r\n-ERR too many bad commands\r\n"


def test_refused_logins_wait_longer_each_time_and_nobody_else_does(serve: Serve) -> None:
    """The waiting holds one connection up, not the loop, and not the commands' order."""
    served = serve(
        MemoryMaildrops(),
        OnePassword("secret"),
        limits=Limits(login_failures=3),
        policy=poplin.Policy(failure_delay=0.15),
    )
    port = served.ports["none"]
    with Wire(port) as wire:
        wire.line()
        wire.send(b"USER ann\r\nPASS wrong\r\nCAPA\r\n")
        assert wire.line().startswith(b"+OK")
        for _ in range(3):  # while that one waits
            with logged_in(port, "bob") as other:
                assert other.ask("QUIT").startswith(b"+OK")
        assert wire.line() == b"-ERR [AUTH] authentication failed"
        assert wire.line().startswith(b"+OK")
        wire.body()
        assert wire.pass_in("ann", "wrong") == b"-ERR [AUTH] authentication failed"
        assert wire.pass_in("ann", "wrong") == b"-ERR [AUTH] too many failed logins"
        assert wire.line() == b""
    until(lambda: served.server.call(lambda server: server.totals.refused_logins) == 3, "they were counted")


def test_who_hangs_up_while_a_refusal_waits_is_forgotten(serve: Serve) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"), policy=poplin.Policy(failure_delay=0.3))
    with Wire(served.ports["none"]) as wire:
        wire.send(b"USER ann\r\nPASS wrong\r\nUSER ann\r\nPASS secret\r\n")
        wire.line()
        wire.line()
        wire.reset()
    until(lambda: sessions(served) == 0, "the connection is gone")
    with Wire(served.ports["none"]) as wire:
        assert wire.log_in().startswith(b"+OK")


def test_kicked_and_stopped_while_a_refusal_waits(serve: Serve) -> None:
    served = serve(MemoryMaildrops(), OnePassword("secret"), policy=poplin.Policy(failure_delay=0.5))
    with Wire(served.ports["none"]) as kicked, Wire(served.ports["none"]) as stopped:
        for wire in (kicked, stopped):
            wire.line()
            wire.ask("USER ann")
            wire.send(b"PASS wrong\r\n")
            wire.socket.settimeout(20)
        until(lambda: len(served.server.call(lambda server: server.clients)) == 2, "both are there")
        port = kicked.socket.getsockname()[1]
        served.server.call(
            lambda server: [server.kick(client.session_id) for client in server.clients if client.port == port]
        )
        assert kicked.remains() == b""
        stopping = threading.Thread(target=served.server.stop)
        stopping.start()
        assert stopped.line() == b"-ERR [AUTH] authentication failed"
        assert stopped.line().startswith(b"-ERR [SYS/TEMP]")
        stopped.close()
        stopping.join()


def test_a_thousand_at_once() -> None:
    count = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * count + 200
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            pytest.skip(f"missing: {needed} file descriptors, the hard limit is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        with running("idle") as server:
            wires = [Wire(server.port) for _ in range(count)]
            for step, expected in (
                (b"", b"+OK poplin ready"),
                (b"USER %d\r\n", b"+OK send your password"),
                (b"PASS secret\r\n", b"+OK 0 messages (0 octets)"),
                (b"STAT\r\n", b"+OK 0 0"),
                (b"QUIT\r\n", b"+OK goodbye"),
            ):
                for number, wire in enumerate(wires):
                    wire.send(step % number if b"%" in step else step)
                assert [wire.line() for wire in wires] == [expected] * count
            for wire in wires:
                assert wire.line() == b""
                wire.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
