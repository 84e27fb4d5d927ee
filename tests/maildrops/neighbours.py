"""Who else works in a Maildir: a delivery agent and an IMAP server, each run as a process of its own.

They know the file system alone and nothing of poplin, whose session locks they do not ask for.
"""

from __future__ import annotations

import os
import random
import time

STOP = "stop"
"""A file of this name in the Maildir ends the IMAP server."""


def message(number: int) -> bytes:
    """What message `number` has in it: all line ends, dots, and now and then more than is read in one piece."""
    kinds = (b"lf\n.\nof %d\n", b"crlf\r\n..\r\nof %d\r\n", b"unended %d", b".%d\r\n\n\r")
    body = b"Subject: %d\n\n" % number + kinds[number % 4] % number
    if number % 250 == 7:
        body += b"".join(b"\n.line %d of %d" % (line, number) for line in range(20_000))
    return body if number % 97 else b""


def base_name(number: int) -> str:
    """The base name of message `number`; every third one carries figures, as a mail server's does."""
    figures = ""
    if number % 3 == 0:
        octets = message(number)
        bare = octets.count(b"\n") - octets.count(b"\r\n")
        figures = f",S={len(octets)},W={len(octets) + bare}"  # no line end added, as mail servers count it
    return f"{1_700_000_000 + number // 5}.M{number}P1.test{figures}"


def number_of(unique_id: str) -> int:
    """The number of the message with this base name."""
    return int(unique_id.partition(".M")[2].partition("P")[0])


def deliver(path: str, count: int) -> None:
    """Deliver so many messages: by rename as most agents do, or by link and unlink as the first one did."""
    for number in range(count):
        name = base_name(number)
        with open(f"{path}/tmp/{name}", "wb") as file:
            file.write(message(number))
        if number % 2:
            os.rename(f"{path}/tmp/{name}", f"{path}/new/{name}")
        else:
            os.link(f"{path}/tmp/{name}", f"{path}/new/{name}")
            os.unlink(f"{path}/tmp/{name}")
        if number % 4 == 0:
            time.sleep(0.001)
    print("delivered", flush=True)


def serve_imap(path: str) -> None:
    """Move what is new, change flags, and remove up to 200 messages, whose numbers are printed before."""
    chance = random.Random(1939)
    removals = 200
    while not os.path.exists(f"{path}/{STOP}"):
        for part in ("new", "cur"):
            for name in os.listdir(f"{path}/{part}"):
                if part == "cur" and chance.random() < 0.7:
                    continue
                base = name.partition(":")[0]
                try:
                    if removals and chance.random() < 0.03:
                        removals -= 1
                        print(number_of(base), flush=True)
                        os.unlink(f"{path}/{part}/{name}")
                        continue
                    flags = "".join(flag for flag in "FRS" if chance.random() < 0.5)
                    os.rename(f"{path}/{part}/{name}", f"{path}/cur/{base}:2,{flags}")
                except FileNotFoundError:  # a client of poplin was quicker
                    continue
        time.sleep(0.005)
    print("stopped", flush=True)
