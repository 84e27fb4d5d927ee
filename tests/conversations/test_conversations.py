"""Every file of this directory, held as a conversation at each level and in each rhythm.

One line after the other, octet by octet, and all in one flight (RFC 2449 section 6.6): the same file, the same
replies, the same outcome. So it is through every face: a class of command methods that overrides nothing, callbacks,
and plugins that change nothing.
"""

import re
import ssl
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest

from conversations.faces import Identity, IdentityLater, callbacks_of
from conversations.script import Closed, Conversation, Drop, Event, Hear, Say, StartTls, Step, read_conversation
from conversations.wires import CoreWire, ServerWire, SessionWire, Wire
from conversations.world import Setting, arrange, digest, happen, verify
from poplin.command_server import CommandServer
from support.serving import Certificate

CONVERSATIONS = [read_conversation(path) for path in sorted(Path(__file__).parent.glob("*.txt"))]
RHYTHMS = {
    "session": ("session", "line"),
    "session-later": ("session", "line"),
    "core": ("core", "line"),
    "core-octets": ("core", "octets"),
    "core-flight-later": ("core", "flight"),
    "core-methods": ("core", "line"),
    "core-callbacks": ("core", "line"),
    "core-plugins": ("core", "line"),
    "core-everything-flight": ("core", "flight"),
    "server": ("server", "line"),
    "server-octets": ("server", "octets"),
    "server-flight": ("server", "flight"),
    "server-flight-later": ("server", "flight"),
    "server-methods-later": ("server", "line"),
    "server-callbacks-flight": ("server", "flight"),
    "server-plugins-later": ("server", "line"),
}
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def suits(conversation: Conversation, rhythm: str) -> bool:
    level, pace = RHYTHMS[rhythm]
    setting = arrange(conversation.facts)
    if setting.world.pieces and ("callbacks" in rhythm or "everything" in rhythm):
        return False  # a callback that gives pieces does not say how many octets they will be
    return level in setting.levels and not (setting.whole and pace == "octets")


CASES = [
    pytest.param(conversation, rhythm, id=f"{conversation.name}-{rhythm}")
    for conversation in CONVERSATIONS
    for rhythm in RHYTHMS
    if suits(conversation, rhythm)
]


@pytest.fixture(scope="module")
def contexts(certificate: Certificate) -> Contexts:
    """TLS for the server, and for a client that trusts it."""
    return certificate.context, ssl.create_default_context(cafile=str(certificate.folder / "authority.pem"))


def plug_in(setting: Setting, rhythm: str, contexts: Contexts) -> Wire:
    level, pace = RHYTHMS[rhythm]
    setting.world.later = rhythm.endswith("later")
    if "methods" in rhythm or "everything" in rhythm:
        setting.commands = CommandServer
    if "callbacks" in rhythm or "everything" in rhythm:
        setting.served = callbacks_of(setting.world)
    if "plugins" in rhythm or "everything" in rhythm:
        setting.pipeline.push(Identity())
        setting.pipeline.push(IdentityLater())
    piece = 1 if pace == "octets" else 0
    if level == "session":
        return SessionWire(setting)
    if level == "core":
        return CoreWire(setting, piece)
    return ServerWire(setting, contexts, piece)


class Player:
    """Plays a conversation's steps on a wire, and compares."""

    def __init__(self, wire: Wire, setting: Setting) -> None:
        self._wire = wire
        self._setting = setting
        self._timestamp = ""
        self._heard: list[str] = []

    def say(self, steps: Sequence[Say]) -> None:
        self._wire.send(b"".join(self._digested(one.octets) for one in steps))
        self._heard += [f"C: {one.octets!r}" for one in steps]

    def _digested(self, octets: bytes) -> bytes:
        def made(found: re.Match[bytes]) -> bytes:
            return digest(self._timestamp, found[1].decode()).encode()

        return re.sub(rb"<apop ([^>]*)>", made, octets)

    def hear(self, wanted: Hear) -> None:
        heard = self._wire.hear_line()
        self._heard.append(f"S: {heard!r}")
        assert wanted.fits(heard), f"line {wanted.line} wants {wanted.form!r}, heard:\n" + "\n".join(self._heard[-20:])
        if not self._timestamp and (found := re.search(rb"<[^>]*>", heard)):
            self._timestamp = found[0].decode()

    def do(self, step: Step) -> None:
        match step:
            case Event(text):
                happen(self._setting.world, text)
            case StartTls():
                self._wire.start_tls()
            case Drop():
                self._wire.drop()
            case Closed(line):
                rest = self._wire.hear_line()
                assert rest == b"", f"line {line} wants the end, heard {rest!r}"
            case Say():
                self.say([step])
            case Hear():
                self.hear(step)


def play(player: Player, steps: Sequence[Step], *, flight: bool) -> None:
    """One step after the other; or everything up to the next event at once, before anything is heard."""
    if not flight:
        for step in steps:
            player.do(step)
        return
    for together, group in groupby(steps, key=lambda step: isinstance(step, Say | Hear)):
        run = list(group)
        if not together:
            for step in run:
                player.do(step)
            continue
        greeting = next((at for at, step in enumerate(run) if isinstance(step, Say)), len(run))
        for step in run[:greeting]:  # APOP needs what the greeting says
            player.do(step)
        player.say([step for step in run if isinstance(step, Say)])
        for step in run[greeting:]:
            if isinstance(step, Hear):
                player.do(step)


def ends_by_itself(conversation: Conversation) -> bool:
    return any(isinstance(step, Closed | Drop) for step in conversation.steps)


def tells_callbacks(outcome: str) -> bool:
    """Whether callbacks hear of it: they do not hear who reads, nor of the end of what never began."""
    key, *words = outcome.split()
    return key != "read" and not (key == "ended" and "failed" in words)


@pytest.mark.parametrize(("conversation", "rhythm"), CASES)
def test_conversation(conversation: Conversation, rhythm: str, contexts: Contexts) -> None:
    setting = arrange(conversation.facts)
    wire = plug_in(setting, rhythm, contexts)
    try:
        play(Player(wire, setting), conversation.steps, flight=RHYTHMS[rhythm][1] == "flight")
    finally:
        rest = wire.finish()
    assert rest == b"", "the server said more than the conversation has"
    verify(setting.world, [line for line in conversation.outcome if setting.served is None or tells_callbacks(line)])


def test_every_conversation_ends_as_it_says() -> None:
    """A file that forgot to say how it ends proves nothing about the end."""
    unfinished = [one.name for one in CONVERSATIONS if not ends_by_itself(one) and not one.outcome]
    assert CONVERSATIONS
    assert not unfinished
