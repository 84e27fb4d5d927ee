"""A class of command methods: its own login, its own commands, its own store."""

import poplin
from poplin.protocol.replies import MultiLine, Reply


class Scale(poplin.CommandServer):
    """A kitchen scale that speaks POP3."""

    greeting = "the scale is ready"
    user: str = ""
    weighed: int = 0

    def connect(self) -> None:
        self.weighed = 0

    def do_USER(self, argument: str) -> Reply:
        self.user = argument
        return self.ok("now the password")

    async def do_PASS(self, argument: str) -> Reply:
        return self.ok("in") if argument == "secret" else self.err("no", "AUTH")

    def do_STAT(self, argument: str) -> Reply:
        return self.ok(f"{self.weighed} 0")

    def do_XWEIGH(self, argument: str) -> MultiLine:
        self.weighed += 1
        if self.state is not poplin.State.TRANSACTION:
            self.close()
        return self.data("grams follow", ["700", ".5"])

    async def do_LIST(self, argument: str) -> Reply:
        return await self.builtin("LIST", argument)

    async def commit(self) -> None:
        print(self.client.address, self.user)

    def disconnect(self, ending: poplin.Ending) -> None:
        print(ending.value)


def version(session: Scale, argument: str) -> Reply:
    return session.ok("scale 1")


Scale.add_command(poplin.State.TRANSACTION, "VERSION", version, capability="VERSION")
Scale.remove_command(poplin.State.TRANSACTION, "XWEIGH")

server = poplin.Server(commands=Scale, port=0)
