"""A Maildir against a model: whatever befalls its files and its index, in whatever order, sessions tell the truth.

Beside the Maildir stands a list of what must be in it. Mail arrives under any name, is renamed, altered and taken
away behind a session's back; the index is torn, doubled, planted and lost; the server is started anew.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contract.maildrops import fetched, reference_wire, request, run, scanned
from maildrops.disk import Mailbox
from poplin.errors import MessageGone
from poplin.identity import settle
from poplin.maildrops.base import Ending, Entry, Removal
from poplin.maildrops.maildir import Maildir, Maildirs
from poplin.maildrops.unique_ids import lasting_unique_id

MESSAGES = st.binary(max_size=40) | st.text("\r\n.\0a", max_size=40).map(str.encode)
TAILS = st.binary(max_size=60).map(lambda tail: tail.replace(b"/", b"_").replace(b"\0", b"_").replace(b":", b"_"))
PLACES = st.integers(0, 5)


class OneMaildir(RuleBasedStateMachine):
    """One user, one session at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.box = Mailbox(self.root)
        self.messages: dict[bytes, bytes] = {}  # by base name, in the order of delivery
        self.altered: set[bytes] = set()  # since they were measured; a fetch finds out
        self.names: dict[str, bytes] = {}  # every base name there ever was, by unique-id
        self.options: dict[str, int] = {}
        self.maildirs: Maildirs = self.box.maildirs()
        self.session: Maildir = self.maildirs.open(request(self.box.user))
        self.entries: list[Entry] = []

    def teardown(self) -> None:
        self.session.close(Ending.DROPPED)
        shutil.rmtree(self.root)

    @initialize(inline=st.sampled_from([262_144, 10]), messages=st.lists(MESSAGES, max_size=3))
    def the_server_is_set_up(self, inline: int, messages: list[bytes]) -> None:
        self.options = {"inline_octets": inline}
        for message in messages:
            self.mail_arrives(message, b"first", figures=True, seen=False)
        self.session.close(Ending.DROPPED)
        self.begin(anew=True)

    # The world around the session

    @rule(message=MESSAGES, tail=TAILS, figures=st.booleans(), seen=st.booleans())
    def mail_arrives(self, message: bytes, tail: bytes, figures: bool, seen: bool) -> None:
        base = b"%d." % (1_700_000_000 + len(self.names)) + tail
        if figures and message.endswith(b"\n"):  # mail servers do not count the line end that is added in sending
            base += b",S=%d,W=%d" % (len(message), len(reference_wire(message)))
        self.box.put(message, base, part="cur" if seen else "new")
        self.messages[base] = message
        self.names[lasting_unique_id(base)] = base

    def place(self, number: int) -> tuple[bytes, Path] | None:
        """A message, if there is any, and where it lies."""
        if not self.messages:
            return None
        base = list(self.messages)[number % len(self.messages)]
        (found,) = [p for p in self.box.places() if os.fsencode(p.name).partition(b":")[0] == base]
        return base, found

    @rule(number=PLACES, flags=st.sampled_from(["", "S", "RS", "T"]))
    def an_imap_server_sets_flags(self, number: int, flags: str) -> None:
        if chosen := self.place(number):
            self.box.flag(chosen[1], f":2,{flags}")

    @rule(number=PLACES)
    def a_message_is_taken_away(self, number: int) -> None:
        if chosen := self.place(number):
            chosen[1].unlink()
            del self.messages[chosen[0]]

    @rule(number=PLACES, message=MESSAGES, as_long=st.booleans())
    def a_message_is_altered_in_place(self, number: int, message: bytes, as_long: bool) -> None:
        """Its size or its time of modification tells of it, and never both need to."""
        if chosen := self.place(number):
            base, place = chosen
            before = place.stat()
            if as_long:
                message = (message + b"\n" * before.st_size)[: before.st_size]
            place.write_bytes(message)
            later = 1_000_000 if len(message) == before.st_size else 0
            os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns + later))
            self.messages[base] = message
            self.altered.add(base)

    @precondition(lambda self: self.box.index.exists())
    @rule(damage=st.sampled_from(["torn", "doubled", "lost", "garbage", "version", "behind"]), part=st.floats(0, 1))
    def the_index_is_damaged(self, damage: str, part: float) -> None:
        octets = self.box.index.read_bytes()
        cut = int(part * len(octets))
        match damage:
            case "torn":
                octets = octets[:cut]
            case "doubled":
                octets += octets
            case "garbage":
                octets = octets[:cut] + b"\0garbage\n" + octets[cut:]
            case "version":
                octets = octets.replace(b"poplin-index 1\n", b"poplin-index 2\n")
            case "behind":
                octets = b"poplin-index 2\n" + octets[:cut] + octets
            case _:
                self.box.index.unlink()
                return
        self.box.index.write_bytes(octets)

    # The session

    @rule()
    def look(self) -> None:
        self.entries = list(run(lambda: scanned(self.session)))
        assert [entry.unique_id for entry in self.entries] == [lasting_unique_id(base) for base in self.messages]
        for entry, (base, message) in zip(self.entries, self.messages.items(), strict=True):
            assert base in self.altered or entry.octets == len(reference_wire(message))

    @rule()
    def fetch(self) -> None:
        for entry in self.entries:
            base = self.names[entry.unique_id]
            if base in self.messages:
                assert run(lambda entry=entry: fetched(self.session, entry)) == reference_wire(self.messages[base])  # type: ignore[misc]
                self.altered.discard(base)
            else:
                with pytest.raises(MessageGone):
                    run(lambda entry=entry: fetched(self.session, entry))  # type: ignore[misc]

    @rule(marks=st.none() | st.sets(PLACES, max_size=3), fetching=st.booleans(), anew=st.booleans())
    def end(self, marks: set[int] | None, fetching: bool, anew: bool) -> None:
        """The client quits with these marks, or drops the connection; the server may then be started anew."""
        if fetching:
            self.fetch()
        if marks is not None:
            marked = [entry for number, entry in enumerate(self.entries) if number in marks]
            assert run(lambda: settle(self.session.remove(marked))) == Removal(len(marked))
            for entry in marked:
                self.messages.pop(self.names[entry.unique_id], None)
        self.session.close(Ending.DROPPED if marks is None else Ending.QUIT)
        self.begin(anew=anew)

    def begin(self, *, anew: bool) -> None:
        """The next session, of the same server or of a new one."""
        if anew:
            self.maildirs = self.box.maildirs(**self.options)
        self.session = self.maildirs.open(request(self.box.user))
        self.look()

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        left = [(os.fsencode(place.name).partition(b":")[0], place.read_bytes()) for place in self.box.places()]
        assert sorted(left) == sorted(self.messages.items())


TestMaildir = OneMaildir.TestCase
TestMaildir.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, phases=[Phase.reuse, Phase.generate, Phase.shrink]
)
