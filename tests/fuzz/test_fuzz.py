"""Garbage in, and what must hold whatever it was.

The invariant: every octet that comes back belongs to a well-formed reply or to the body of one; a session that is
over says nothing more; it ends exactly once; its maildrop is closed exactly once; nothing is removed but what was
marked and quit; memory is bounded; and neither the rhythm of the octets nor the time that answers take changes a
single octet of what is said.

`seeds/` holds inputs worth keeping; what hypothesis finds it keeps in its own database.
"""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conversations.wires import CoreWire
from conversations.world import Box, Setting, World, sized
from fuzz.grammar import garbage, sessions
from poplin.limits import Limits
from poplin.maildrops.base import Ending
from poplin.protocol.connection import NEED_DATA, Need, ServerConnection
from poplin.protocol.states import State

SEEDS = sorted((Path(__file__).parent / "seeds").iterdir())
MESSAGES = {"uid-1": sized(100), "uid-2": b".\n..\n\0\r\rx", "uid-3": b""}
LIMITS = {"bad_commands": 8, "login_failures": 3, "command_octets": 256, "sasl_octets": 1024}
STATUS = re.compile(rb"(\+OK|-ERR)( [\x20-\xff]*)?\r\n")
CHALLENGE = re.compile(rb"\+ [A-Za-z0-9+/]*={0,2}\r\n")
NUMBER = re.compile(rb"\+OK ([0-9]+) octets")
LISTINGS = (b"+OK capabilities", b"+OK mechanisms", b"+OK unique-ids", b"+OK top of")


def world() -> World:
    return World({"mrose": Box("secret", dict(MESSAGES))}, offered=frozenset({"USER", "APOP", "PLAIN", "LOGIN"}))


def listen(octets: bytes, piece: int = 0, *, later: bool = False, pieces: int = 0) -> tuple[bytes, World, CoreWire]:
    """Everything that a session says to these octets."""
    there = world()
    there.later = later
    there.pieces = pieces
    setting = Setting(there, limits=dict(LIMITS), timestamp="<1.2@localhost>")
    wire = CoreWire(setting, piece)
    wire.send(octets)
    return wire.finish(), there, wire


def check_well_formed(said: bytes) -> None:
    """Cut what was said into replies; nothing may be left over."""
    rest = said
    while rest:
        line, found, rest = rest.partition(b"\r\n")
        line += found
        assert found, f"half a line: {line!r}"
        assert len(line) <= 512
        if CHALLENGE.fullmatch(line):
            continue
        assert STATUS.fullmatch(line), line
        has_body = line.startswith(LISTINGS) or NUMBER.match(line) is not None or _is_listing(line, rest)
        if has_body:
            body, found, rest = (b"\r\n" + rest).partition(b"\r\n.\r\n")
            assert found, f"a body without its end behind {line!r}"
            for one in body.split(b"\r\n")[1:]:
                assert not one.startswith(b".") or one.startswith(b".."), f"a bare dot in the body: {one!r}"


def _is_listing(line: bytes, rest: bytes) -> bool:
    """LIST and PASS begin alike; rows of two numbers, or the terminator, tell LIST."""
    if not re.match(rb"\+OK \d+ messages \(\d+ octets\)\r\n", line):
        return False
    return re.match(rb"(\d+ \d+|\.)\r\n", rest) is not None


def check_outcome(said: bytes, there: World, wire: CoreWire) -> None:
    """What holds once the connection is gone."""
    check_well_formed(said)
    box = there.boxes["mrose"]
    assert wire.session.state is State.DISCONNECT
    assert not box.held
    assert box.openings == len(box.endings) <= 1
    removed = set(MESSAGES) - set(box.messages)
    assert box.messages == {uid: body for uid, body in MESSAGES.items() if uid not in removed}
    if removed:
        assert box.endings == [Ending.QUIT]
        assert said.endswith(b"+OK goodbye\r\n")
    for uid in removed:
        number = list(MESSAGES).index(uid) + 1
        assert b"+OK message %d marked for removal\r\n" % number in said
    for credentials in there.asked:
        assert credentials.user


def run(octets: bytes) -> None:
    """Say it whole, octet by octet, in pieces, and to somebody slow: the same answers."""
    said, there, wire = listen(octets)
    check_outcome(said, there, wire)
    for piece, later, pieces in ((1, False, 0), (3, True, 0), (0, True, 1), (7, False, 5)):
        again, there, wire = listen(octets, piece, later=later, pieces=pieces)
        check_outcome(again, there, wire)
        assert again == said


@pytest.mark.parametrize("seed", SEEDS, ids=[path.stem for path in SEEDS])
def test_seed(seed: Path) -> None:
    run(seed.read_bytes())


@given(sessions)
@example(b"QUIT\r\n")
@example(b"")
@settings(max_examples=300)
def test_garbage(octets: bytes) -> None:
    run(octets)


@given(st.binary(max_size=400))
@settings(max_examples=100)
def test_noise(octets: bytes) -> None:
    run(octets)


@given(garbage, st.integers(1, 400))
def test_the_core_holds_no_more_than_its_bounds(octets: bytes, piece: int) -> None:
    """Fed without end and never answered more than asked, it keeps at most a line and what came last."""
    limits = Limits(command_octets=256, sasl_octets=1024)
    connection = ServerConnection(limits)
    flood = (octets or b"x") * 20
    for start in range(0, min(len(flood), 20_000), piece):
        connection.receive_data(flood[start : start + piece])
        while not isinstance(connection.next_command(), Need):
            pass
        assert connection.next_command() is NEED_DATA
        assert connection.waiting <= limits.sasl_octets + 1


@given(garbage)
@settings(max_examples=50)
def test_a_session_that_is_over_says_nothing_more(octets: bytes) -> None:
    there = world()
    wire = CoreWire(Setting(there, limits=dict(LIMITS)))
    wire.send(b"USER mrose\r\nPASS secret\r\nQUIT\r\n")
    assert wire.closed
    before = wire.finish()
    wire.send(octets)
    assert wire.finish() == before
    assert there.boxes["mrose"].messages == MESSAGES
