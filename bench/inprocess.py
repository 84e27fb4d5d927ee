"""What poplin itself costs: sessions run against the driver with no network, no client and no second process.

    python bench/inprocess.py login|session|retr8k|noop [--maildirs '/corpus/{user}/Maildir'] [--users FILE] [--profile]

It prints the CPU time of one operation, the least of several rounds, split into user and system time. Quieter than
the load generator by far, so it shows a change of a microsecond; what the kernel takes for sockets is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import itertools
import os
import pstats
import sys
from collections.abc import Callable

from place import DEFAULT

from poplin.authentication.password_file import PasswordFile
from poplin.limits import Limits
from poplin.maildrops.maildir import Maildirs
from poplin.server.driver import Driver
from poplin.server.hub import Listener
from poplin.server.server import Server


class Wire(asyncio.Transport):
    """A transport that keeps the last octets written and otherwise forgets."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 110)})
        self.last = b""
        self.written = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.last = bytes(data[-5:])
        self.written += len(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


Say = Callable[[bytes], None]


def pollers(maildirs: str) -> list[str]:
    """The users whose last three messages are read without a thread, which a loop that stands still would not end."""
    users = []
    for number in range(1, 1001):
        user = f"poll{number:04d}"
        directory = os.path.join(maildirs.replace("{user}", user), "cur")
        names = sorted(os.listdir(directory))[-3:]
        if max(os.stat(os.path.join(directory, name)).st_size for name in names) <= Limits().inline_octets:
            users.append(user)
    return users


class Bench:
    """Sessions of one server, one after another."""

    def __init__(self, server: Server, users: list[str]) -> None:
        hub = server._hub  # the benchmark takes the place of the listening socket
        assert hub is not None
        self.hub = hub
        self.listener = Listener(address="127.0.0.1:0")
        self.users = itertools.cycle(users)

    def begin(self) -> tuple[Driver, Wire]:
        driver, wire = Driver(self.hub, self.listener), Wire()
        driver.connection_made(wire)
        return driver, wire

    def log_in(self, user: str) -> tuple[Driver, Wire]:
        driver, wire = self.begin()
        driver.data_received(b"USER %b\r\n" % user.encode())
        driver.data_received(b"PASS secret\r\n")
        return driver, wire

    @staticmethod
    def check(driver: Driver) -> None:
        """A login that failed would be measured as a quick one."""
        if driver.session is None or not driver.session.summary.user:
            raise SystemExit("the login failed: make the corpus first (bench/run.py), or see --maildirs and --users")

    def end(self, driver: Driver, wire: Wire) -> None:
        self.check(driver)
        driver.data_received(b"QUIT\r\n")
        if not wire.last.endswith(b"\r\n"):
            raise SystemExit(f"no reply to QUIT but {wire.last!r}")
        driver.connection_lost(None)

    async def wake(self, *users: str) -> None:
        """Let the server read what it reads in threads: the password file, and these maildrops."""
        for user in users:
            driver, wire = self.log_in(user)
            while driver.busy:  # noqa: ASYNC110 - the driver has no event to wait for: nobody else needs one
                await asyncio.sleep(0.01)
            self.end(driver, wire)

    def login(self) -> None:
        """As popload's login: USER, PASS, STAT, QUIT."""
        driver, wire = self.log_in(next(self.users))
        driver.data_received(b"STAT\r\n")
        self.end(driver, wire)

    def session(self) -> None:
        """As popload's session: CAPA, login, STAT, UIDL, LIST, three RETR, QUIT."""
        driver, wire = self.begin()
        driver.data_received(b"CAPA\r\n")
        driver.data_received(b"USER %b\r\n" % next(self.users).encode())
        for command in (b"PASS secret", b"STAT", b"UIDL", b"LIST", b"RETR 18", b"RETR 19", b"RETR 20"):
            driver.data_received(command + b"\r\n")
        self.end(driver, wire)

    def repeated(self, user: str, commands: list[bytes]) -> Callable[[], None]:
        """One command a call, in a session that stays open."""
        driver, _ = self.log_in(user)
        self.check(driver)
        turns = itertools.cycle(commands)

        def once() -> None:
            driver.data_received(next(turns))

        return once


def measure(operation: Callable[[], None], operations: int, rounds: int = 7) -> tuple[float, float]:
    """User and system microseconds an operation: the round with the least sum."""
    best = (1e9, 1e9)
    for _ in range(rounds):
        before = os.times()
        for _ in range(operations):
            operation()
        after = os.times()
        user, system = after.user - before.user, after.system - before.system
        best = min(best, (user / operations * 1e6, system / operations * 1e6), key=sum)
    return best


async def run(options: argparse.Namespace) -> None:
    server = Server(
        maildrops=Maildirs(options.maildirs),
        authenticator=PasswordFile(options.users),
        host="127.0.0.1",
        port=0,
        limits=Limits(connections=20_000, connections_per_address=20_000),
    )
    await server.start()
    bench = Bench(server, pollers(options.maildirs))
    await bench.wake("poll0001", "feig0001", "feig0002")
    operations = {
        "login": bench.login,
        "session": bench.session,
        "retr8k": bench.repeated("feig0001", [b"RETR %d\r\n" % number for number in range(1, 501)]),
        "noop": bench.repeated("feig0002", [b"NOOP\r\n"]),
    }
    operation = operations[options.mode]
    for _ in range(2000):  # every maildrop was seen once, and the bytecode is specialised
        operation()
        await asyncio.sleep(0)
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(lambda: [operation() for _ in range(options.operations)])
        pstats.Stats(profile, stream=sys.stdout).sort_stats(options.sort).print_stats(60)
    else:
        user, system = measure(operation, options.operations)
        print(f"{options.mode}: {user + system:.1f} us CPU an operation ({user:.1f} user, {system:.1f} system)")
    await server.abort()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("mode", choices=["login", "session", "retr8k", "noop"])
    parser.add_argument("--maildirs", default=f"{DEFAULT}/corpus/{{user}}/Maildir")
    parser.add_argument("--users", default=f"{DEFAULT}/users")
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument(
        "--profile", action="store_true", help="where the time goes, by cProfile (which inflates calls)"
    )
    parser.add_argument("--sort", default="tottime", choices=["tottime", "cumtime", "ncalls"])
    options = parser.parse_args()
    if not os.path.isdir(options.maildirs.replace("{user}", "poll0001")):
        parser.error(f"no corpus at {options.maildirs}: make it by bench/run.py --quick, or say --maildirs and --users")
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
