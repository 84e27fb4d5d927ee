"""Maildirs behind the real server: others work in them meanwhile, or do not let poplin remove what was deleted."""

from __future__ import annotations

import os
import random
import re
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import poplin
from contract.maildrops import reference_wire
from maildrops.disk import Mailbox, as_nobody, process, public_directory, said
from maildrops.neighbours import STOP, base_name, message, number_of
from support.serving import OnePassword
from support.wire import Wire, logged_in

COUNT = 2000


def served(box: Mailbox) -> poplin.BackgroundServer:
    """The server of this Maildir."""
    server = poplin.Server(
        maildrops=box.maildirs(),
        authenticator=OnePassword("secret"),
        host="127.0.0.1",
        port=0,
        limits=poplin.Limits(connections_per_address=0, connections_per_user=0),
    )
    return poplin.BackgroundServer(server)


def rows(wire: Wire, command: str) -> dict[int, str]:
    """The body of UIDL or LIST, by message-number."""
    assert wire.ask(command).startswith(b"+OK")
    return {int(number): value for number, value in (line.split(" ") for line in wire.body().decode().splitlines())}


class Pollers:
    """Clients that fetch and delete what they find, several at once.

    `taken` is what is theirs for good, `doubtful` what they fetched and were told that part of it may be there
    still, `missed` what was listed and then said to be gone.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._guard = threading.Lock()
        self.taken: Counter[int] = Counter()
        self.doubtful: set[int] = set()
        self.missed: set[int] = set()
        self.refused = 0
        self.sessions = 0
        self.over = threading.Event()

    def poll(self, seed: int) -> None:
        """One session after another until told that it is over."""
        chance = random.Random(seed)
        while not self.over.is_set():
            if self.visit(chance, chance.random() * 0.5) < 0:
                time.sleep(0.001)

    def visit(self, chance: random.Random, leave: float = 0.0) -> int:
        """One session of at most a hundred messages; the result is how many there are, -1 if it was refused.

        Each fourth is dropped, and has then deleted nothing. A part of what the others fetched they `leave`.
        """
        with Wire(self._port) as wire:
            answer = wire.log_in("alice")
            if not answer.startswith(b"+OK"):
                assert answer.startswith(b"-ERR [IN-USE]"), answer
                with self._guard:
                    self.refused += 1
                return -1
            self.sessions += 1
            uidl, sizes = rows(wire, "UIDL"), rows(wire, "LIST")
            assert uidl.keys() == sizes.keys()
            numbers = {place: number_of(unique_id) for place, unique_id in uidl.items()}
            assert len(set(numbers.values())) == len(numbers), "a message is listed twice"
            with self._guard:
                assert not self.taken.keys() & set(numbers.values()), "a message came back"
            fetched = [
                place for place in list(numbers)[:100] if self._fetch(wire, place, numbers[place], int(sizes[place]))
            ]
            marked = [place for place in fetched if chance.random() >= leave]
            for place in marked:
                assert wire.ask(f"DELE {place}").startswith(b"+OK")
            if self.sessions % 4 == 2:
                wire.reset()
                return len(numbers)
            answer = wire.ask("QUIT")
            with self._guard:
                if answer.startswith(b"+OK"):
                    self.taken.update(numbers[place] for place in marked)
                else:  # what is renamed all the time is not removed, or not known to be, and the client is told
                    assert re.fullmatch(rb"-ERR \[SYS/TEMP\] \d+ of \d+ messages not removed", answer), answer
                    self.doubtful.update(numbers[place] for place in marked)
            return len(numbers)

    def _fetch(self, wire: Wire, place: int, number: int, listed: int) -> bool:
        """Whether the message was there, and then every octet right."""
        answer = wire.ask(f"RETR {place}")
        if not answer.startswith(b"+OK"):
            if not answer.startswith(b"-ERR [SYS/TEMP]"):  # else it is to be had another time
                self.missed.add(number)
            return False
        body = wire.body()
        assert body == reference_wire(message(number)), number
        assert len(body) == listed
        return True


def rest_of(child: subprocess.Popen[str]) -> list[str]:
    """All lines that the other process prints until it ends."""
    assert child.stdout is not None
    return child.stdout.read().splitlines()


def test_every_message_is_seen_once_beside_a_delivery_agent_and_an_imap_server(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    with (
        served(box) as running,
        process("import sys; from maildrops.neighbours import serve_imap; serve_imap(sys.argv[1])", box.path) as imap,
        process(
            "import sys; from maildrops.neighbours import deliver; deliver(sys.argv[1], int(sys.argv[2]))",
            box.path,
            COUNT,
        ) as delivery,
        ThreadPoolExecutor(2) as threads,
    ):
        pollers = Pollers(running.port)
        try:
            work = [threads.submit(pollers.poll, seed) for seed in range(2)]
            assert said(delivery) == "delivered"
        finally:
            pollers.over.set()
        for each in work:
            each.result()
        (box.path / STOP).touch()
        *removed, last = rest_of(imap)
        assert last == "stopped"
        while pollers.visit(random.Random(0)):
            pass
    others = set(map(int, removed))
    assert box.places() == []
    assert set(pollers.taken.values()) == {1}, "a message was deleted twice"
    assert pollers.taken.keys() | pollers.doubtful | others == set(range(COUNT)), "a message is lost"
    assert len(pollers.taken) > COUNT // 2
    assert pollers.missed <= others, "a message that was only renamed was called gone"
    assert pollers.sessions > 1, "one session at least ended without QUIT"
    assert others - pollers.taken.keys(), "the IMAP server had its share"


def test_what_could_not_be_removed_is_told_and_is_there_at_the_next_login() -> None:
    with public_directory() as directory:
        box = Mailbox(directory)
        for number in range(1, 7):
            box.put(message(number), base_name(number), part="cur" if number in {2, 4, 5} else "new").chmod(0o644)
        for path in (box.path, box.path / "new", box.path / "tmp"):
            path.chmod(0o777)
        (box.path / "cur").chmod(0o555)
        before = set(box.places())
        with as_nobody(), served(box) as running:
            with logged_in(running.port, "alice") as wire:
                for place in (1, 2, 4, 6):
                    assert wire.ask(f"DELE {place}").startswith(b"+OK")
                assert wire.ask("QUIT") == b"-ERR [SYS/TEMP] 2 of 4 messages not removed"
            with logged_in(running.port, "alice") as wire:
                uidl = rows(wire, "UIDL")
                assert list(uidl.values()) == [base_name(number) for number in (2, 3, 4, 5)]
                for place, unique_id in uidl.items():
                    assert wire.retrieve(place) == reference_wire(message(number_of(unique_id)))
                assert wire.ask("QUIT").startswith(b"+OK")
        (box.path / "cur").chmod(0o755)
        gone = {place.name.partition(":")[0] for place in before - set(box.places())}
        assert gone == {base_name(1), base_name(6)}


@pytest.mark.skipif(os.geteuid() != 0, reason="missing: the rights of root, who alone may make a file immutable")
def test_an_immutable_message_stays(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    places = [box.put(message(number), base_name(number)) for number in range(1, 4)]
    if subprocess.run(["chattr", "+i", places[1]], check=False, capture_output=True).returncode:
        pytest.skip("missing: a file system with immutable files")
    try:
        with served(box) as running:
            with logged_in(running.port, "alice") as wire:
                for place in (1, 2, 3):
                    assert wire.ask(f"DELE {place}").startswith(b"+OK")
                assert wire.ask("QUIT") == b"-ERR [SYS/TEMP] 1 of 3 messages not removed"
            with logged_in(running.port, "alice") as wire:
                assert list(rows(wire, "UIDL").values()) == [base_name(2)]
                assert wire.retrieve(1) == reference_wire(message(2))
    finally:
        subprocess.run(["chattr", "-i", places[1]], check=True)
