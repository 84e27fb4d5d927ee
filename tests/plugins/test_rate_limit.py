"""Too many commands: refused politely, by address, without a single look at the real clock."""

import logging

import pytest

from conversations.wires import step
from poplin.identity import ClientFacts
from poplin.plugins import rate_limit
from poplin.plugins.pipeline import Pipeline
from poplin.plugins.rate_limit import RateLimit
from poplin.protocol.commands import AuthResponse, Command, Noop, Quit
from poplin.protocol.replies import Err
from support.talking import LOGIN, a_world, talk


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(plugin: RateLimit, address: str = "192.0.2.1", command: Command | None = None) -> bool:
    given = step(Pipeline([plugin]).command(ClientFacts(address, session_id="a-1"), command or Noop()))
    return isinstance(given, Err)


def test_a_burst_and_then_so_many_a_second() -> None:
    clock = Clock()
    plugin = RateLimit(2, 3, clock=clock)
    assert [refused(plugin) for _ in range(5)] == [False, False, False, True, True]
    clock.now = 0.5
    assert [refused(plugin) for _ in range(2)] == [False, True]
    clock.now = 1000.0
    assert [refused(plugin) for _ in range(5)] == [False, False, False, True, True]


def test_each_address_has_its_own() -> None:
    plugin = RateLimit(1, 1, clock=Clock())
    assert [refused(plugin, address) for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")] == [False, False, True]
    assert [refused(plugin, "") for _ in range(2)] == [False, True], "without an address it is the session's own"


def test_quit_and_the_lines_of_an_exchange_are_free() -> None:
    plugin = RateLimit(1, 1, clock=Clock())
    assert not refused(plugin)
    assert not refused(plugin, command=Quit())
    assert not refused(plugin, command=AuthResponse(b"x"))
    assert refused(plugin)


def test_what_a_client_hears(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poplin.plugins")
    world = a_world()
    said = talk(LOGIN + b"NOOP\r\nDELE 1\r\nQUIT\r\n", RateLimit(1, 3, clock=Clock()), world=world)
    assert said.endswith(b"+OK\r\n-ERR [SYS/TEMP] too many commands, slow down and try again\r\n+OK goodbye\r\n")
    assert len(world.boxes["mrose"].messages) == 2
    assert caplog.messages == ["t-1: more than 1 commands a second"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MOST", 3)
    plugin = RateLimit(1, 1, clock=Clock())
    for last in (1, 2, 3, 1, 4):
        refused(plugin, f"192.0.2.{last}")
    assert refused(plugin, "192.0.2.1"), "seen lately: remembered"
    assert not refused(plugin, "192.0.2.2"), "seen longest ago: forgotten"


@pytest.mark.parametrize(("commands", "burst"), [(0, 5), (-1, 5), (5, 0)])
def test_a_limit_that_allows_nothing_is_refused(commands: float, burst: float) -> None:
    with pytest.raises(ValueError, match="allow at least something"):
        RateLimit(commands, burst)
