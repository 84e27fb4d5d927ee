"""The world of a conversation seen through the faces of the library: its callbacks, and plugins that change nothing.

What the callbacks cannot express is left out of the outcome, never of the octets: who reads messages is not told to
them, and there is nothing to open or close.
"""

from collections.abc import AsyncIterator, Sequence

from conversations.world import Box, World, _in_pieces, digest
from poplin.authentication.base import PASSWORD_MECHANISMS
from poplin.callbacks import Callbacks
from poplin.content import wire_octets
from poplin.identity import ClientFacts, current_session
from poplin.maildrops.base import Ending
from poplin.plugins.base import CommandVerdict, EventVerdict, Plugin, ReplyVerdict
from poplin.plugins.events import Event
from poplin.protocol.commands import Command
from poplin.protocol.replies import Reply

__all__ = ["Identity", "IdentityLater", "callbacks_of"]


class _Through:
    """The callbacks of one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def box(self, user: str) -> Box:
        return self.world.boxes[user]

    def authenticate(self, user: str, password: str, client: ClientFacts) -> bool:
        box = self.world.boxes.get(user)
        if box is not None:
            box.fail("authenticate")
        return box is not None and password == box.password

    def apop(self, user: str, made: str, timestamp: str) -> bool:
        box = self.world.boxes.get(user)
        if box is not None:
            box.fail("authenticate")
        return box is not None and made == digest(timestamp, box.password)

    def list(self, user: str) -> Sequence[str] | Sequence[tuple[str, int]]:
        box = self.box(user)
        box.fail("open")
        box.fail("scan")
        box.openings += 1
        current_session().state.user = user
        if not self.world.measured:
            return list(box.messages)
        return [(uid, box.lies.get(uid, wire_octets(body))) for uid, body in box.messages.items()]

    def size(self, user: str, uid: str) -> int:
        self.box(user).fail("measure")
        return wire_octets(self.box(user).messages.get(uid, b""))

    def retrieve(self, user: str, uid: str) -> bytes | AsyncIterator[bytes] | None:
        self.box(user).fail(f"retrieve {uid}")
        body = self.box(user).messages.get(uid)
        if body is None or not self.world.pieces:
            return body
        return _in_pieces(body, self.world.pieces)

    def delete_all(self, user: str, uids: Sequence[str]) -> None:
        box = self.box(user)
        box.fail("remove")
        for uid in uids:
            box.messages.pop(uid, None)

    def delete(self, user: str, uid: str) -> None:
        if uid in self.box(user).stuck:
            raise OSError("secret detail for the log")
        self.box(user).messages.pop(uid, None)

    def disconnect(self, client: ClientFacts, ending: Ending) -> None:
        user = getattr(client.state, "user", None)
        if user is not None:
            self.box(user).endings.append(ending)
            self.box(user).fail("close")


def callbacks_of(world: World) -> Callbacks:
    """The callback face of a world."""
    through = _Through(world)
    one_by_one = any(box.stuck for box in world.boxes.values())
    return Callbacks(
        list=through.list,
        size=None if world.measured else through.size,
        retrieve=through.retrieve,
        authenticate=through.authenticate if world.offered & PASSWORD_MECHANISMS else None,
        apop=through.apop if "APOP" in world.offered else None,
        delete=through.delete if one_by_one else None,
        delete_all=None if one_by_one else through.delete_all,
        disconnect=through.disconnect,
    )


class Identity(Plugin):
    """Says explicitly what every hook says by itself."""

    def on_command(self, client: ClientFacts, command: Command) -> CommandVerdict:
        return command

    def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> ReplyVerdict:
        return reply

    def on_event(self, event: Event) -> EventVerdict:
        return event


class IdentityLater(Plugin):
    """The same, and each time it has to be waited for."""

    async def on_connect(self, client: ClientFacts) -> None:
        """Nothing."""

    async def on_command(self, client: ClientFacts, command: Command) -> CommandVerdict:
        return command

    async def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> ReplyVerdict:
        return reply

    async def on_event(self, event: Event) -> EventVerdict:
        return None

    async def on_disconnect(self, client: ClientFacts, ending: Ending) -> None:
        """Nothing."""
