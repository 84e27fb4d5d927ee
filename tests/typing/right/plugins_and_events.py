"""A plugin with every hook, its place in the pipeline, and handlers of events."""

from dataclasses import dataclass

import poplin
from poplin.plugins.events import Authenticated, Event, Retrieved, SessionEvent
from poplin.protocol.commands import Command, Dele, Retr
from poplin.protocol.replies import Err, Ok, Reply


@dataclass(frozen=True, slots=True)
class Greedy(SessionEvent):
    """A client took too much."""

    messages: int


class Watch(poplin.Plugin):
    """Overrides all there is."""

    def on_add(self) -> None: ...

    def on_remove(self) -> None: ...

    async def on_connect(self, client: poplin.ClientFacts) -> None:
        client.state.taken = 0

    def on_command(self, client: poplin.ClientFacts, command: Command) -> Command | Reply | poplin.Swallow:
        if isinstance(command, Retr) and command.number > 100:
            return Err("not that many")
        return poplin.Swallow() if isinstance(command, Dele) else command

    async def on_reply(self, client: poplin.ClientFacts, command: Command, reply: Reply) -> Reply:
        return Ok("hello") if isinstance(reply, Ok) and command.verb == "NOOP" else reply

    def on_event(self, event: Event) -> poplin.Swallow | None:
        return poplin.Swallow(others=False) if isinstance(event, Greedy) else None

    def on_disconnect(self, client: poplin.ClientFacts, ending: poplin.Ending) -> None: ...


class Passing(poplin.Plugin):
    """Verdicts as values."""

    def on_command(
        self, client: poplin.ClientFacts, command: Command
    ) -> poplin.Continue[Command] | poplin.Deliver[Command]:
        return poplin.Deliver(command) if command.verb == "QUIT" else poplin.Continue(command)


service = poplin.Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"")
server = poplin.Server(service, plugins=[Watch()], policy=poplin.Policy(push=True))


async def taken(event: Retrieved) -> None:
    event.client.state.taken += 1
    if event.client.state.taken > 100:
        server.send_event(Greedy(event.client, event.client.state.taken))
        server.kick(event.client.session_id)


def told(event: Event) -> None:
    print(event)


name: str = server.pipeline.push(Passing(), "passing")
server.pipeline.bump_up("passing")
old: poplin.Plugin = server.pipeline.remove("passing")
server.register(taken, Retrieved)
server.register(told)
server.unregister(told, Authenticated)
