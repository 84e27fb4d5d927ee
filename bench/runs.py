"""What is measured, and in which order: modes, priming, interleaved paired runs, octets compared. No table here.

In each repetition every server runs a mode in turn, so that the figures which are compared lie next to one another in
time; the order turns with each repetition, so that nobody is always first.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

from place import Place
from servers import Server

Row = dict[str, Any]

MODES: dict[str, list[str]] = {
    "login": ["login", "-u", "poll", "-c", "8", "-n", "1000"],
    "session": ["session", "-u", "poll", "-c", "8", "-n", "1000", "-k", "3"],
    "retr2k": ["retr", "-u", "ftwo", "-c", "4"],
    "retr8k": ["retr", "-u", "feig", "-c", "4"],
    "retr8kP16": ["retr", "-u", "feig", "-c", "4", "-K", "16"],
    "retrmix": ["retr", "-u", "user", "-c", "4"],
    "retr10M": ["retr", "-u", "bigm", "-c", "2"],
    "noop": ["noop", "-u", "poll", "-c", "4"],
    "noopP16": ["noop", "-u", "poll", "-c", "4", "-K", "16"],
    "scan100k": ["scan", "-u", "huge", "-c", "1"],
}
IDLE = ["idle", "-u", "poll", "-c", "1000", "-n", "1000"]
PRIMING = {"login": 2.5, "session": 3.0, "scan100k": 1.5}
"""Seconds of priming where 0.6 are too few: every maildrop is to have been seen once by the server and on disk."""


def popload(place: Place, server: Server, arguments: Sequence[str], timeout: float = 120) -> Row:
    """One run of the load generator; its JSON. A run that broke off is a row with errors."""
    command = place.on_core(1, place.popload, *arguments, "-p", str(server.port), "--pids", str(server.pid))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        row: Row = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        return {"errors": 1, "first_error": str(error)[:200], "ops_per_s": 0.0}
    return row


def _busy() -> tuple[float, float]:
    """Seconds of CPU used by anybody, and stolen by the machine's other guests, since the boot."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    hertz = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - ticks[3] - ticks[4]) / hertz, ticks[7] / hertz


def measured(place: Place, server: Server, arguments: Sequence[str]) -> Row:
    """A run, and with it how busy the machine was: `others` are the cores that neither side of the run used."""
    started, (busy, stolen) = time.monotonic(), _busy()
    row = popload(place, server, arguments)
    seconds, (busy_then, stolen_then) = time.monotonic() - started, _busy()
    cores = (busy_then - busy) / seconds
    row.update(
        server=server.name,
        others=round(cores - row.get("srv_cpu", 0) - row.get("gen_cpu", 0), 2),
        steal=round((stolen_then - stolen) / seconds, 2),
    )
    return row


def verify(place: Place, servers: Sequence[Server]) -> Iterator[Row]:
    """Every octet of every message of 24 users against the corpus, and LIST against what was sent."""
    for server in servers:
        for prefix in ("user", "ftwo", "feig"):
            arguments = ["verify", "-u", prefix, "-n", "8", "--sums", str(place.corpus)]
            yield measured(place, server, arguments) | {"bench": f"verify-{prefix}"}


def compare(place: Place, servers: Sequence[Server], modes: Sequence[str], plan: tuple[int, float]) -> Iterator[Row]:
    """The paired runs; `plan` is how many repetitions, and of how many seconds."""
    repetitions, seconds = plan
    for mode in modes:
        for server in servers:
            popload(place, server, [*MODES[mode], "-w", "0", "-s", str(PRIMING.get(mode, 0.6))])
        time.sleep(0.5)
        for repetition in range(repetitions):
            turn = repetition % len(servers)
            for server in [*servers[turn:], *servers[:turn]]:
                row = measured(place, server, [*MODES[mode], "-w", "0.3", "-s", str(seconds)])
                yield row | {"bench": mode, "rep": repetition}


def idle(place: Place, server: Server) -> Row:
    """Memory of 1,000 idle logged-in connections.

    `server` is a fresh one. It is shown all these maildrops first, eight at a time, so that what it keeps of them is
    there already; and it has no memory freed by earlier work in which connections would hide.
    """
    popload(place, server, [*MODES["login"], "-w", "0", "-s", "2.5"])
    time.sleep(2)
    return measured(place, server, IDLE) | {"bench": "idle", "rep": 0}
