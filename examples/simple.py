"""A mailbox in memory, served by functions: the smallest whole POP3 server.

Run it with ``python simple.py --port 1110``; port 0 takes any free one. Log in as anybody, password ``secret``.
"""

import argparse

import poplin

messages = {
    "hello-2026": b"From: shop@example.org\nSubject: hello\n\nworld\n",
    "order-17": b"From: shop@example.org\nSubject: order 17\n\nOne lamp.\n",
}


def authenticate(user: str, password: str, client: poplin.ClientFacts) -> bool:
    return password == "secret"


def list_messages(user: str) -> list[str]:
    return list(messages)


def retrieve(user: str, message_id: str) -> bytes | None:
    return messages.get(message_id)  # None: it is gone meanwhile


def delete(user: str, message_id: str) -> None:
    messages.pop(message_id, None)


service = poplin.Callbacks(authenticate=authenticate, list=list_messages, retrieve=retrieve, delete=delete)

if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=1110)
    poplin.Server(service, host="127.0.0.1", port=arguments.parse_args().port).run()
