# pyright: standard
"""Hooks with other parameters or answers, and handlers of other events."""

import poplin
from poplin.plugins.events import Authenticated, Event, Removed
from poplin.protocol.commands import Command


class Wrong(poplin.Plugin):
    """Nothing of this could work."""

    def on_command(self, command: Command) -> Command:  # refused: override, reportIncompatibleMethodOverride
        return command

    def on_event(self, event: Event) -> str:  # refused: override, reportIncompatibleMethodOverride
        return "gone"


def told(event: Authenticated) -> None:
    print(event.users)  # refused: attr-defined, reportAttributeAccessIssue


service = poplin.Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"")
server = poplin.Server(service, plugins=[Wrong])  # refused: list-item, reportArgumentType
server.register(told, Removed)  # refused: arg-type, reportArgumentType
server.kick(5)  # refused: arg-type, reportArgumentType
