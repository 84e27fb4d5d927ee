"""A session against a model maildrop: whatever is done in whatever order, no message is lost and none is doubled.

The machine logs in and out, marks, resets, quits and is dropped, while mail arrives, messages vanish and removals
fail. Beside the maildrop stands a list of what must be in it: exactly the marked messages go, at QUIT alone.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conversations.wires import CoreWire
from conversations.world import Box, Setting, World, sized
from poplin.maildrops.base import Ending

places = st.integers(0, 30)


class Maildrops(RuleBasedStateMachine):
    """One user, one session at a time (and a second one that tries)."""

    def __init__(self) -> None:
        super().__init__()
        self.box = Box("secret")
        self.world = World({"mrose": self.box})
        self.expected: dict[str, bytes] = {}
        self.arrived = 0
        self.wire: CoreWire | None = None
        self.numbers: list[str] = []
        self.marked: set[int] = set()
        self.endings: list[Ending] = []

    # The world around the session

    @rule(octets=st.integers(20, 300))
    def mail_arrives(self, octets: int) -> None:
        self.arrived += 1
        uid = f"uid-{self.arrived}"
        self.box.messages[uid] = self.expected[uid] = sized(octets if octets != 21 else 22)

    @rule(place=places)
    def a_message_vanishes(self, place: int) -> None:
        if self.expected:
            uid = list(self.expected)[place % len(self.expected)]
            del self.box.messages[uid], self.expected[uid]

    @rule(place=places)
    def a_message_cannot_be_removed(self, place: int) -> None:
        if self.expected:
            self.box.stuck.add(list(self.expected)[place % len(self.expected)])

    @rule(fault=st.sampled_from(["crash", "temporary", "permanent", "lease-lost"]))
    def removals_begin_to_fail(self, fault: str) -> None:
        self.box.faults["remove"] = fault

    @rule()
    def everything_is_repaired(self) -> None:
        self.box.faults.clear()
        self.box.stuck.clear()

    # The session

    def ask(self, line: str) -> bytes:
        assert self.wire is not None
        self.wire.send(line.encode() + b"\r\n")
        return self.wire.hear_line()

    def is_open(self) -> bool:
        return self.wire is not None

    @precondition(lambda self: self.wire is None)
    @rule(later=st.booleans(), piece=st.sampled_from([0, 1, 3]))
    def log_in(self, later: bool, piece: int) -> None:
        self.world.later = later
        self.wire = CoreWire(Setting(self.world), piece)
        assert self.wire.hear_line().startswith(b"+OK")
        assert self.ask("USER mrose").startswith(b"+OK")
        self.numbers = list(self.expected)
        self.marked = set()
        assert self.ask("PASS secret") == self.totals()

    def left(self) -> dict[int, int]:
        sizes = dict(enumerate(self.sizes, 1))
        return {number: size for number, size in sizes.items() if number not in self.marked}

    @property
    def sizes(self) -> list[int]:
        return [self.known[uid] for uid in self.numbers]

    @property
    def known(self) -> dict[str, int]:
        """The sizes of the snapshot: a vanished message keeps its own within the session."""
        return self._known

    _known: dict[str, int]

    def totals(self) -> bytes:
        self._known = {uid: len(body) for uid, body in self.expected.items()}
        return b"+OK %d messages (%d octets)\r\n" % (len(self.numbers), sum(self._known.values()))

    @precondition(is_open)
    @rule(number=st.integers(1, 12))
    def dele(self, number: int) -> None:
        good = number <= len(self.numbers) and number not in self.marked
        assert self.ask(f"DELE {number}").startswith(b"+OK" if good else b"-ERR")
        if good:
            self.marked.add(number)

    @precondition(is_open)
    @rule()
    def rset(self) -> None:
        self.marked = set()
        assert self.ask("RSET").startswith(b"+OK %d messages" % len(self.numbers))

    @precondition(is_open)
    @rule()
    def stat(self) -> None:
        left = self.left()
        assert self.ask("STAT") == b"+OK %d %d\r\n" % (len(left), sum(left.values()))

    @precondition(is_open)
    @rule()
    def uidl(self) -> None:
        """Numbers never shift."""
        assert self.ask("UIDL").startswith(b"+OK")
        assert self.wire is not None
        lines = [self.wire.hear_line() for _ in range(len(self.left()) + 1)]
        wanted = [f"{number} {self.numbers[number - 1]}\r\n".encode() for number in self.left()]
        assert lines == [*wanted, b".\r\n"]

    @precondition(is_open)
    @rule(number=st.integers(1, 12))
    def retr(self, number: int) -> None:
        heard = self.ask(f"RETR {number}")
        there = number in self.left() and self.numbers[number - 1] in self.expected
        assert heard.startswith(b"+OK" if there else b"-ERR")
        if there:
            assert self.wire is not None
            body = b""
            while (line := self.wire.hear_line()) != b".\r\n":
                body += line
            assert body == self.expected[self.numbers[number - 1]]

    @precondition(is_open)
    @rule()
    def another_session_is_kept_out(self) -> None:
        other = CoreWire(Setting(self.world))
        other.send(b"USER mrose\r\nPASS secret\r\nDELE 1\r\nQUIT\r\n")
        assert b"-ERR [IN-USE] " in other.finish()

    @precondition(is_open)
    @rule()
    def quit(self) -> None:
        uids = [self.numbers[number - 1] for number in sorted(self.marked)]
        failing = "remove" in self.box.faults
        stuck = [uid for uid in uids if uid in self.box.stuck]
        heard = self.ask("QUIT")
        if not uids:
            assert heard == b"+OK goodbye\r\n"
        elif failing:
            assert heard.startswith(b"-ERR [SYS/TEMP] ")
        else:
            for uid in uids:
                if uid not in self.box.stuck:
                    self.expected.pop(uid, None)
            failed = b"-ERR [SYS/TEMP] %d of %d messages not removed\r\n" % (len(stuck), len(uids))
            assert heard == (failed if stuck else b"+OK goodbye\r\n")
        self.end(Ending.QUIT)

    @precondition(is_open)
    @rule(half=st.sampled_from([b"", b"QUIT", b"DELE 1", b"\0"]))
    def drop(self, half: bytes) -> None:
        assert self.wire is not None
        self.wire.send(half)
        self.wire.drop()
        self.end(Ending.DROPPED)

    def end(self, ending: Ending) -> None:
        assert self.wire is not None
        assert self.wire.finish() == b""
        self.wire = None
        self.endings.append(ending)

    # What always holds

    @invariant()
    def nothing_is_lost_and_nothing_doubled(self) -> None:
        assert self.box.messages == self.expected

    @invariant()
    def every_maildrop_is_closed_once(self) -> None:
        assert self.box.endings == self.endings
        assert self.box.openings == len(self.endings) + (self.wire is not None)
        assert self.box.held is (self.wire is not None)

    def teardown(self) -> None:
        if self.wire is not None:
            self.wire.drop()
        assert not self.box.held


TestMaildrops = Maildrops.TestCase
TestMaildrops.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
