"""A plugin, to begin your own from: nobody deletes anything, and each session's commands are counted.

Run it with ``python plugin.py --port 1110``; port 0 takes any free one. Log in as anybody, password ``secret``.
"""

import argparse
from collections import Counter

import poplin
from poplin.protocol.commands import Command, Dele
from poplin.protocol.replies import Err, Reply


class ReadOnly(poplin.Plugin):
    """Answers DELE itself; what a session did is printed at its end."""

    def on_connect(self, client: poplin.ClientFacts) -> None:
        client.state.commands = Counter()

    def on_command(self, client: poplin.ClientFacts, command: Command) -> Command | Reply:
        client.state.commands[command.verb] += 1
        if isinstance(command, Dele):
            return Err("this maildrop is read-only")
        return command

    def on_disconnect(self, client: poplin.ClientFacts, ending: poplin.Ending) -> None:
        print(f"ended by {ending.value}: {dict(client.state.commands)}", flush=True)


service = poplin.Callbacks(
    authenticate=lambda user, password, client: password == "secret",
    list=lambda user: ["one"],
    retrieve=lambda user, message_id: b"Subject: one\n\nbody\n",
)

if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=1110)
    poplin.Server(service, plugins=[ReadOnly()], host="127.0.0.1", port=arguments.parse_args().port).run()
