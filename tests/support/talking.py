"""A whole conversation in one call, through session and core, without a loop: for tests of plugins and methods."""

from __future__ import annotations

from conversations.wires import CoreWire
from conversations.world import Box, Setting, World, sized
from poplin.command_server import CommandServer
from poplin.plugins.base import Plugin
from poplin.plugins.pipeline import Pipeline

LOGIN = b"USER mrose\r\nPASS secret\r\n"


def a_world() -> World:
    """One user, mrose, whose password is secret, with messages of 40 and 50 octets."""
    return World({"mrose": Box("secret", {"uid-1": sized(40), "uid-2": sized(50)})})


def talk(
    octets: bytes, *plugins: Plugin, world: World | None = None, commands: type[CommandServer] | None = None
) -> bytes:
    """Everything that the server says until the client is gone, greeting included."""
    pipeline = Pipeline(plugins)
    wire = CoreWire(Setting(world or a_world(), pipeline=pipeline, commands=commands))
    wire.send(octets)
    return wire.finish()
