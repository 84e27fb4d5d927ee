"""Events: be told what happens on a server, without changing anything of it.

Run it with ``python events.py --port 1110``; port 0 takes any free one. Log in as anybody, password ``secret``.
"""

import argparse

import poplin
from poplin.plugins.events import Authenticated, Disconnected, Removed, SessionEvent

messages = {"one": b"Subject: one\n\nbody\n"}
service = poplin.Callbacks(
    authenticate=lambda user, password, client: password == "secret",
    list=lambda user: list(messages),
    retrieve=lambda user, message_id: messages[message_id],
    delete=lambda user, message_id: messages.pop(message_id),
)


async def tell(event: SessionEvent) -> None:
    if isinstance(event, Authenticated):
        print(f"{event.user} came in by {event.mechanism}", flush=True)
    elif isinstance(event, Removed):
        print(f"{event.user} removed {event.removed} of {event.marked}", flush=True)
    elif isinstance(event, Disconnected):
        print(f"the session ended by {event.ending.value}", flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=1110)
    server = poplin.Server(service, host="127.0.0.1", port=arguments.parse_args().port)
    server.register(tell, Authenticated, Removed, Disconnected)
    server.run()
