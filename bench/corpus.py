"""The mail under test: Maildirs that come out the same, octet for octet and name for name, on every machine.

    python bench/corpus.py WORK            about 20 seconds, 1.3 GB: WORK/corpus and WORK/users

Sets of users: ``user`` 8 of 500 messages, log-normal sizes (median 8 KB, to 1 MB); ``poll`` 1,000 of 20 such;
``ftwo`` and ``feig`` 8 of 500 messages of 2 and 8 KB; ``bigm`` 2 of 20 messages of 10 MB; ``huge`` 1 of 100,000
messages of 600 octets. All are RFC 5322 text with LF ends, as a Maildir has it, 7-bit, with dots at three to five
in a hundred line starts, which is more than real mail has: hard on stuffing.

``USER.sums`` has a line a message: file name, octets as POP3 sends them (CRLF, unstuffed), FNV-1a of those octets.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from place import MAIL_ID, Place, make_place

_WORDS = (  # noqa: SIM905 - as text it reads, and it is split once
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris "
    "nisi aliquip ex ea commodo consequat duis aute irure in reprehenderit voluptate velit esse "
    "cillum eu fugiat nulla pariatur excepteur sint occaecat cupidatat non proident sunt culpa"
).split()
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SEED = 1939
_FIRST_DELIVERY = 1727776800  # seconds since 1970
_MASK = (1 << 64) - 1


def fnv(octets: bytes) -> int:
    """FNV-1a over little-endian words of eight octets, then over the rest singly, as popload reckons it."""
    value, prime = 0xCBF29CE484222325, 0x100000001B3
    whole = len(octets) & ~7
    for word in memoryview(octets)[:whole].cast("Q") if whole else ():
        value = ((value ^ word) * prime) & _MASK
    for octet in octets[whole:]:
        value = ((value ^ octet) * prime) & _MASK
    return value


def _text(rng: random.Random) -> str:
    lines = []
    for _ in range(24):
        line = " ".join(rng.choices(_WORDS, k=rng.randint(4, 10)))[:76]
        kind = rng.random()
        if kind < 0.010:
            line = "."
        elif kind < 0.020:
            line = ".."
        elif kind < 0.035:
            line = "." + line[:70]
        elif kind < 0.08:
            line = ""
        lines.append(line + "\n")
    return "".join(lines)


class Blocks:
    """Prepared text and base64 to build messages of, so that large sets are quick to make."""

    def __init__(self, rng: random.Random) -> None:
        self.text = [_text(rng) for _ in range(256)]
        self.base64 = ["".join("".join(rng.choices(_BASE64, k=76)) + "\n" for _ in range(24)) for _ in range(256)]


def _date(rng: random.Random) -> str:
    return f"Tue, {rng.randint(1, 28):02d} Oct 2024 {rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:00 +0000"


def _header(rng: random.Random, user: str, number: int) -> list[str]:
    message_id = f"{rng.getrandbits(64):016x}.{number}@bench.example"
    return [
        f"Return-Path: <sender{rng.randint(1, 999)}@bench.example>",
        f"Received: from mx{rng.randint(1, 9)}.bench.example (mx.bench.example [192.0.2.{rng.randint(1, 254)}])",
        f"\tby mail.example.org with ESMTPS id {rng.getrandbits(48):012x}",
        f"\tfor <{user}@example.org>; {_date(rng)}",
        f"Date: Tue, 01 Oct 2024 10:{rng.randint(0, 59):02d}:{rng.randint(0, 59):02d} +0000",
        f"From: Sender {rng.randint(1, 999)} <sender@bench.example>",
        f"To: {user}@example.org",
        f"Subject: {' '.join(rng.choices(_WORDS, k=5))}",
        f"Message-ID: <{message_id}>",
        "MIME-Version: 1.0",
    ]


def _wire_octets(text: str) -> int:
    return len(text) + text.count("\n")


def message(rng: random.Random, blocks: Blocks, who: tuple[str, int], size: int) -> bytes:
    """The message of a user (`who`: name, number) whose octets on the wire are `size`, or up to three fewer."""
    header = _header(rng, *who)
    attachment = size > 24000
    tail = opening = ""
    if attachment:
        boundary = f"b{rng.getrandbits(60):015x}"
        header += [f'Content-Type: multipart/mixed; boundary="{boundary}"']
        opening = (
            f"--{boundary}\nContent-Type: text/plain\n\n" + rng.choice(blocks.text) + f"\n--{boundary}\n"
            "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n"
        )
        tail = f"\n--{boundary}--\n"
    else:
        header += ["Content-Type: text/plain; charset=us-ascii", "Content-Transfer-Encoding: 7bit"]
    parts = ["\n".join(header) + "\n\n"]
    if opening:
        parts.append(opening)
    total = sum(map(_wire_octets, parts)) + _wire_octets(tail)
    pool = blocks.base64 if attachment else blocks.text
    while total + len(block := rng.choice(pool)) + 24 <= size:
        parts.append(block)
        total += len(block) + 24
    if len(parts) == 1:
        parts.append(".dot\n")
        total += 6
    parts += _filling(rng, size - total, attachment=attachment)
    return "".join([*parts, tail]).encode("ascii")


def _filling(rng: random.Random, room: int, *, attachment: bool) -> list[str]:
    """Lines that fill the room, to within three octets."""
    lines = []
    while room >= 4:
        length = min(76, room - 2)
        if attachment:
            lines.append("".join(rng.choices(_BASE64, k=length)) + "\n")
        else:
            lines.append(("." if rng.random() < 0.1 else "x") + "y" * (length - 1) + "\n")
        room -= length + 2
    return lines


def _mixed_size(rng: random.Random) -> int:
    while True:
        size = int(rng.lognormvariate(math.log(8192), 1.2))
        if 700 <= size <= 1 << 20:
            return size


@dataclass(frozen=True, slots=True)
class Kind:
    """One set of users alike; `sums`: whether their octets can be verified."""

    prefix: str
    users: int
    messages: int
    size: Callable[[random.Random], int]
    sums: bool = True


KINDS = (
    Kind("user", 8, 500, _mixed_size),
    Kind("poll", 1000, 20, _mixed_size, sums=False),
    Kind("ftwo", 8, 500, lambda _: 2048),
    Kind("feig", 8, 500, lambda _: 8192),
    Kind("bigm", 2, 20, lambda _: 10 << 20),
    Kind("huge", 1, 100_000, lambda rng: rng.randint(500, 700), sums=False),
)


def _make_maildir(root: Path, user: str, kind: Kind, blocks: Blocks) -> int:
    rng = random.Random(f"{_SEED}:{user}")
    maildir = root / user / "Maildir"
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True, exist_ok=True)
    lines, total = [], 0
    for number in range(1, kind.messages + 1):
        stored = message(rng, blocks, (user, number), kind.size(rng))
        wire = stored.replace(b"\n", b"\r\n")
        moment = _FIRST_DELIVERY + number
        # Sizes in the name, as Dovecot, Courier and Exim write it.
        name = f"{moment}.M{rng.randint(0, 999999):06d}P{1000 + number}.bench,S={len(stored)},W={len(wire)}:2,"
        path = f"{maildir}/cur/{name}"
        with open(path, "wb") as file:
            file.write(stored)
        os.utime(path, (moment, moment))
        if kind.sums:
            lines.append(f"{name} {len(wire)} {fnv(wire):016x}\n")
        total += len(wire)
    if kind.sums:
        (root / f"{user}.sums").write_text("".join(lines))
    return total


def _users(kind: Kind) -> list[str]:
    return [f"{kind.prefix}{number:04d}" for number in range(1, kind.users + 1)]


def _give_away(root: Path) -> None:
    for directory, _, files in os.walk(root):
        os.chown(directory, MAIL_ID, MAIL_ID)
        for name in files:
            os.chown(os.path.join(directory, name), MAIL_ID, MAIL_ID)


def make_if_absent(place: Place) -> None:
    """Make what is missing of the corpus, and the password file: ``{PLAIN}`` records, since nothing here is to be
    a measure of hashing."""
    everybody = [user for kind in KINDS for user in _users(kind)]
    place.users.write_text("".join(f"{user}:{{PLAIN}}secret\n" for user in everybody))
    manifest = place.corpus / "manifest.json"
    if manifest.exists() and {made["user"] for made in json.loads(manifest.read_text())} >= set(everybody):
        return
    print(f"making the corpus in {place.corpus}", file=sys.stderr, flush=True)
    blocks = Blocks(random.Random(_SEED))
    made = [
        {"user": user, "messages": kind.messages, "octets": _make_maildir(place.corpus, user, kind, blocks)}
        for kind in KINDS
        for user in _users(kind)
    ]
    if os.geteuid() == 0:
        _give_away(place.corpus)
    manifest.write_text(json.dumps(made, indent=0))


if __name__ == "__main__":
    make_if_absent(make_place(Path(sys.argv[1]), Path()))
