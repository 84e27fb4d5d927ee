"""The benchmark's one entry: makes the corpus, starts the servers, measures, writes JSON rows and a Markdown table.

    python bench/run.py --quick                                        the targets, under ten minutes
    python bench/run.py                                                every mode and server, seven repetitions
    python bench/run.py --modes login --servers dovecot-tuned poplin-uvloop     one mode, in seconds
    python bench/run.py --table FILE.jsonl                             the table of an earlier run

POPLIN_BENCH (or --work) says where corpus, logs and rows are kept: about 1.3 GB. Needs Linux, a C compiler with
OpenSSL's headers, and root for Dovecot; without that the rows are poplin's alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import corpus
from place import DEFAULT, PROJECT, Place, build_popload, make_place
from runs import MODES, Row, compare, idle, verify
from servers import SERVERS, NotAvailable, Server
from table import table

QUICK_MODES = ["login", "session", "retr8k", "retr8kP16", "retrmix", "scan100k"]
QUICK_SERVERS = ["dovecot-tuned", "poplin-uvloop", "poplin-asyncio", "serve-uvloop"]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--quick", action="store_true", help="the targets' modes, three repetitions")
    parser.add_argument("--modes", nargs="*", choices=list(MODES), help="default: all, or those of --quick")
    parser.add_argument("--servers", nargs="*", choices=list(SERVERS), help="the first is tuned Dovecot, if there")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--seconds", type=float, default=1.2, help="of each measured run (default 1.2)")
    parser.add_argument("--no-verify", action="store_true", help="compare no octets")
    parser.add_argument("--no-idle", action="store_true", help="measure no memory")
    parser.add_argument("--work", type=Path, default=DEFAULT)
    parser.add_argument("--source", type=Path, default=PROJECT / "src", help="the tree whose poplin is measured")
    parser.add_argument("--table", type=Path, metavar="FILE", help="only print the table of these rows")
    options = parser.parse_args(arguments)
    if options.modes is None:
        options.modes = QUICK_MODES if options.quick else list(MODES)
    if options.servers is None:
        options.servers = QUICK_SERVERS if options.quick else list(SERVERS)
    if options.repetitions is None:
        options.repetitions = 3 if options.quick else 7
    return options


def start(place: Place, names: Iterable[str], stack: ExitStack) -> list[Server]:
    servers = []
    for name in names:
        try:
            server = SERVERS[name](place)
        except (NotAvailable, OSError, subprocess.CalledProcessError) as reason:
            say(f"{name} is left out: {reason}")
            continue
        stack.callback(server.stop)
        servers.append(server)
        say(f"{name} on port {server.port}, pid {server.pid}")
    return servers


def rows_of(place: Place, servers: list[Server], options: argparse.Namespace) -> Iterator[Row]:
    if not options.no_verify:
        say("comparing octets")
        yield from verify(place, servers)
    for mode in options.modes:
        say(f"measuring {mode}")
        yield from compare(place, servers, [mode], (options.repetitions, options.seconds))


def rows_of_idle(place: Place, names: Iterable[str]) -> Iterator[Row]:
    for name in names:
        with ExitStack() as stack:
            for server in start(place, [name], stack):
                say("measuring idle connections")
                yield idle(place, server)


def everything(place: Place, options: argparse.Namespace) -> Iterator[Row]:
    with ExitStack() as stack:
        yield from rows_of(place, start(place, options.servers, stack), options)
    if not options.no_idle:
        yield from rows_of_idle(place, options.servers)


def main(arguments: list[str] | None = None) -> int:
    options = options_of(arguments)
    if options.table is not None:
        print(table([json.loads(line) for line in options.table.read_text().splitlines()]))
        return 0
    if shutil.which("cc") is None or shutil.which("make") is None:
        say("the load generator needs make and a C compiler: install them (Debian: apt-get install build-essential)")
        return 1
    place = make_place(options.work, options.source)
    build_popload(place)
    corpus.make_if_absent(place)
    out = place.work / time.strftime("rows-%Y%m%d-%H%M%S.jsonl")
    rows: list[Row] = []
    with out.open("w") as file:
        for row in everything(place, options):
            rows.append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
    if not rows:
        say("no server could be started")
        return 1
    print(table(rows))
    say(f"rows are in {out}")
    return 1 if any(row.get("errors") or row.get("missed") for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
