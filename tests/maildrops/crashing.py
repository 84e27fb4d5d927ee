"""Sessions that end by ``kill -9`` at a chosen call to the system. Only what dies lives here.

Run as a program (``python -m maildrops.crashing``) it takes one line for each session, ``N HALF CALLS ROOT``,
and answers with ``killed``, or with how many messages were removed if the session ended before its Nth call.
Each session has a process of its own, forked from one that has loaded everything: thousands of them are cheap.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from contract.maildrops import fetched, opened, scanned
from poplin.identity import settle
from poplin.maildrops.maildir import Maildirs


def arm(at: int, calls: list[str], *, half: bool) -> None:
    """From now on the `at`-th of these calls of `os` kills; a ``write`` is half done before, if `half`."""
    made = 0

    def deadly(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **options: object) -> object:
            nonlocal made
            made += 1
            if made == at:
                if half and name == "write":
                    descriptor, octets = arguments
                    assert isinstance(octets, bytes)
                    call(descriptor, octets[: len(octets) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return called

    for name in calls:
        setattr(os, name, deadly(name, getattr(os, name)))


async def session(root: str) -> int:
    """Fetch all messages, delete every other one; meanwhile an IMAP server moves every third one."""
    async with opened(Maildirs(f"{root}/{{user}}/Maildir"), "alice") as maildrop:
        entries = list(await scanned(maildrop))
        path = f"{root}/alice/Maildir"
        for name in sorted([*os.listdir(f"{path}/new")])[::3]:
            os.rename(f"{path}/new/{name}", f"{path}/cur/{name}:2,S")
        for entry in entries:
            await fetched(maildrop, entry)
        removal = await settle(maildrop.remove(entries[::2]))
        assert not removal.failed, removal.reason
        return removal.removed


def die(at: int, half: str, calls: str, root: str) -> NoReturn:
    """One session, from its start to its end or to the fatal call."""
    arm(at, calls.split(","), half=half == "half")
    removed = asyncio.run(session(root))
    sys.stdout.write(f"{removed}\n")
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    """Answer line by line."""
    for line in sys.stdin:
        at, half, calls, root = line.rstrip("\n").split(" ", 3)
        child = os.fork()
        if not child:
            die(int(at), half, calls, root)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            sys.stdout.write("killed\n")
            sys.stdout.flush()
        else:
            assert status == 0, status


if __name__ == "__main__":
    main()
