"""poplin as a library, for the benchmark: Maildirs and a password file behind `poplin.Server`. Nothing else here.

    python bench/library_server.py --maildirs '/corpus/{user}/Maildir' --users FILE --port 21110

The loop is chosen by POPLIN_LOOP (asyncio or uvloop). With ``--memory N`` it serves N messages from memory
instead, which is how the load generator is tried without a Maildir.
"""

from __future__ import annotations

import argparse

from poplin.authentication.password_file import PasswordFile
from poplin.limits import Limits
from poplin.maildrops.base import Opener
from poplin.maildrops.maildir import Maildirs
from poplin.maildrops.memory import MemoryMaildrops
from poplin.server.server import Server

LIMITS = Limits(connections=20_000, connections_per_address=20_000)


def in_memory(users: int, messages: int) -> MemoryMaildrops:
    """The same few messages for each of user0001, user0002 …"""
    body = b"Subject: bench\n\n" + b"All work and no play makes a dull boy.\n" * 200
    maildrops = MemoryMaildrops()
    for user in range(1, users + 1):
        for _ in range(messages):
            maildrops.deliver(f"user{user:04d}", body)
    return maildrops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--maildirs", help="path template with {user}")
    parser.add_argument("--memory", type=int, metavar="N", help="serve N messages from memory to user0001..user0008")
    parser.add_argument("--users", required=True, help="password file")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    maildrops: Opener = in_memory(8, options.memory) if options.memory else Maildirs(options.maildirs)
    server = Server(
        maildrops=maildrops,
        authenticator=PasswordFile(options.users),
        host="127.0.0.1",
        port=options.port,
        limits=LIMITS,
    )
    server.run()


if __name__ == "__main__":
    main()
