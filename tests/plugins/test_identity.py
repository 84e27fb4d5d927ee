"""No pipeline, an empty one, plugins that change nothing, a class that overrides nothing: the same octets, whatever is
said and however it is cut."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from conversations.faces import Identity, IdentityLater
from conversations.wires import CoreWire
from conversations.world import Box, Setting, World, sized
from fuzz.grammar import sessions
from poplin.command_server import CommandServer
from poplin.plugins.pipeline import Pipeline
from poplin.plugins.read_only import ReadOnly
from poplin.plugins.transcript import Transcript

MESSAGES = {"uid-1": sized(100), "uid-2": b".\n..\n\0\r\rx", "uid-3": b""}
LIMITS = {"bad_commands": 8, "login_failures": 3, "command_octets": 256, "sasl_octets": 1024}


def listen(octets: bytes, piece: int, pipeline: Pipeline, commands: type[CommandServer] | None) -> tuple[bytes, Box]:
    """Everything that is said to these octets, and what became of the maildrop."""
    box = Box("secret", dict(MESSAGES))
    world = World({"mrose": box}, offered=frozenset({"USER", "APOP", "PLAIN", "LOGIN"}))
    setting = Setting(world, limits=dict(LIMITS), timestamp="<1.2@localhost>", pipeline=pipeline, commands=commands)
    wire = CoreWire(setting, piece)
    wire.send(octets)
    return wire.finish(), box


def emptied() -> Pipeline:
    """One that had a plugin."""
    pipeline = Pipeline([ReadOnly()])
    pipeline.pop()
    return pipeline


@given(sessions, st.integers(0, 5))
@example(b"USER mrose\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n", 0)
@example(b"AUTH LOGIN\r\nbXJvc2U=\r\nc2VjcmV0\r\nTOP 2 0\r\nQUIT\r\n", 1)
@settings(max_examples=150)
def test_the_same_octets(octets: bytes, piece: int) -> None:
    said, box = listen(octets, 0, Pipeline(), None)
    for commands in (None, CommandServer):
        for pipeline in (
            emptied(),
            Pipeline([Identity()]),
            Pipeline([IdentityLater(), Identity(), Transcript(lambda line: None)]),
        ):
            again, other = listen(octets, piece, pipeline, commands)
            assert again == said
            assert (other.messages, other.endings, other.removals) == (box.messages, box.endings, box.removals)
