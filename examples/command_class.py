"""A server with a method for each command, as in ``http.server``: some of its own, one changed, the rest built in.

Run it with ``python command_class.py --port 1110``; port 0 takes any free one. Log in as anybody, password ``secret``.
"""

import argparse

import poplin
from poplin.authentication.callbacks import CallbackAuthenticator
from poplin.maildrops.memory import MemoryMaildrops
from poplin.protocol.replies import Reply

maildrops = MemoryMaildrops()
maildrops.deliver("alice", b"Subject: hello\n\nworld\n", unique_id="hello-2026")
authenticator = CallbackAuthenticator(authenticate=lambda user, password, client: password == "secret")


class Shop(poplin.CommandServer):
    """An instance is one session, so what is kept on it is the session's own."""

    greetings = 0

    def do_XHELLO(self, argument: str) -> Reply:
        self.greetings += 1
        return self.ok(f"hello {argument or 'stranger'}, {self.greetings} times")

    def do_VERSION(self, argument: str) -> Reply:
        return self.ok(f"poplin {poplin.__version__}")

    async def do_DELE(self, argument: str) -> Reply:
        if argument.strip() == "1":
            return self.err("the first message stays")
        return await self.builtin("DELE", argument)


def news(session: Shop, argument: str) -> Reply:
    return session.data("news follows", ["The lamps are here.", ".and this line begins with a dot"])


Shop.add_command(poplin.State.TRANSACTION, "XNEWS", news, capability="XNEWS")
for state in (poplin.State.AUTHORIZATION, poplin.State.TRANSACTION):
    Shop.add_command(state, "VERSION", capability="VERSION")  # by do_VERSION

if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=1110)
    poplin.Server(
        commands=Shop,
        maildrops=maildrops,
        authenticator=authenticator,
        host="127.0.0.1",
        port=arguments.parse_args().port,
    ).run()
